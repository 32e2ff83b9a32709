//! The error table of a validation on a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{GROUPINGS, Subject, groups, spreads};
use crate::report::numbers::short;
use crate::study::validate::{Metric, Spread, Validation};

/// Reasons and remarks that are listed; more are counted.
const MOST_LISTED: usize = 12;
/// Metrics that a breakdown shows, in this order, as far as rows have them.
const MOST_COLUMNS: usize = 3;

/// The error table for people, `width` characters wide, with ANSI styles if `color`.
pub fn text(validation: &Validation, subject: &Subject, width: usize, color: bool) -> String {
    let mut page = Page { out: String::new(), width, color };
    let failed = validation.failed().count();
    let rows = validation.rows.len();
    page.line(&format!(
        "{}   {} rows of {} columns, {} simulated{}",
        page.bold(&subject.name),
        rows,
        validation.layout,
        rows - failed,
        if failed > 0 { format!(", {failed} not") } else { String::new() }
    ));
    let all = spreads(validation, |_| true);
    page.metrics(&all);
    if rows <= 30 {
        page.every_row(validation);
    }
    let shown: Vec<Metric> = all.iter().map(|(metric, _)| *metric).take(MOST_COLUMNS).collect();
    for grouping in GROUPINGS {
        let groups = groups(validation, grouping);
        if groups.len() < 2 || rows <= 30 {
            continue;
        }
        page.heading(&shown, grouping.0);
        for group in groups {
            let cells = shown.iter().map(|metric| {
                group.spreads.iter().find(|(other, _)| other == metric).map(|(_, spread)| *spread)
            });
            page.group(&group.name, group.rows, cells);
        }
    }
    page.counted("not simulated", validation.failed().map(|(_, why)| why.to_string()));
    let remarks = validation.rows.iter().flat_map(|row| row.measured.remarks.iter().cloned());
    page.counted("remarks", remarks);
    for warning in &validation.warnings {
        page.line(&format!("warning: {warning}"));
    }
    page.out
}

struct Page {
    out: String,
    width: usize,
    color: bool,
}

impl Page {
    fn bold(&self, text: &str) -> String {
        if self.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn metrics(&mut self, all: &[(Metric, Spread)]) {
        self.line("");
        let title = format!("{:<34}{:>6}{:>12}{:>12}{:>12}", "error", "rows", "median", "90th pct", "bias");
        let title = self.bold(&title);
        self.line(&title);
        for (metric, spread) in all {
            let Spread { n, median_abs_err, p90_abs_err, bias } = *spread;
            self.line(&format!(
                "{:<34}{n:>6}{:>12}{:>12}{:>12}",
                metric.words(),
                percent(median_abs_err),
                percent(p90_abs_err),
                signed_percent(bias)
            ));
        }
    }

    fn every_row(&mut self, validation: &Validation) {
        self.line("");
        let title =
            format!("{:<22}{:<34}{:>12}{:>12}{:>9}", "row", "figure", "measured", "simulated", "error");
        let title = self.bold(&title);
        self.line(&title);
        for row in &validation.rows {
            let mut name = row.measured.id.clone();
            for (metric, error) in &row.errors {
                let figure = |of: Option<&f64>| of.map_or(String::new(), |v| short(*v));
                let measured = figure(row.measured.figures.get(metric));
                let simulated = figure(row.simulated.as_ref().ok().and_then(|f| f.get(metric)));
                self.line(&format!(
                    "{:<22}{:<34}{measured:>12}{simulated:>12}{:>9}",
                    cut(&name, 21),
                    metric.words(),
                    signed_percent(Some(*error))
                ));
                name.clear();
            }
        }
    }

    fn heading(&mut self, shown: &[Metric], grouping: &str) {
        self.line("");
        let mut title = format!("{:<34}{:>6}", format!("by {grouping}"), "rows");
        for metric in shown {
            let _ = write!(title, "{:>22}", metric.key());
        }
        let title = self.bold(&title);
        self.line(&title);
    }

    fn group(&mut self, name: &str, rows: usize, cells: impl Iterator<Item = Option<Spread>>) {
        let mut line = format!("{:<34}{rows:>6}", cut(name, 33));
        for cell in cells {
            let text = cell.map_or(String::new(), |spread| {
                format!("{}  {}", percent(spread.median_abs_err), signed_percent(spread.bias))
            });
            let _ = write!(line, "{text:>22}");
        }
        self.line(&line);
    }

    /// Texts with their number, the most frequent first.
    fn counted(&mut self, title: &str, texts: impl Iterator<Item = String>) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts {
            *counts.entry(text).or_default() += 1;
        }
        if counts.is_empty() {
            return;
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        self.line("");
        let title = self.bold(title);
        self.line(&title);
        for (text, count) in counts.iter().take(MOST_LISTED) {
            let room = self.width.saturating_sub(8);
            self.line(&format!("{count:>6}  {}", cut(text, room)));
        }
        if let Some(more) = counts.get(MOST_LISTED..).filter(|more| !more.is_empty()) {
            let rows: usize = more.iter().map(|(_, count)| count).sum();
            self.line(&format!("{rows:>6}  of {} other kinds; see rows.csv", more.len()));
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".into(), |share| format!("{:.1} %", share * 100.0))
}

fn signed_percent(share: Option<f64>) -> String {
    share.map_or("–".into(), |share| format!("{:+.1} %", share * 100.0))
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
