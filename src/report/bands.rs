//! What the fit leaves open, in words and numbers for the terminal and the page alike.

use super::numbers::{count, percent, quantity, short, short_time, significant, time_of_day};
use super::palette;
use crate::ledger::outcome::{Outcome, Summary};
use crate::ledger::uncertainty::{Band, Bands, Reading, Uncertainty};

/// What the bands are of, and what they leave out.
pub(super) const LIMITS: &str = "These bands hold what the fit of the coefficients leaves open, and that alone: not \
    whether the laws have the right form, not the guesses among the catalog's numbers, not another day's requests. \
    Where a fitted value stands at its bound, as shares of 1 do, draws lie on one side of it: the run itself may be at \
    the end of a band.";

/// More changes than this are counted instead of listed.
const MOST_CHANGES: usize = 12;
/// Seconds in a day.
const DAY_S: f64 = 86_400.0;

/// A row: what, in the run itself, 5th, 50th, 95th percentile, and a remark.
pub(super) struct Line {
    pub(super) what: String,
    pub(super) run: String,
    pub(super) band: [String; 3],
    pub(super) remark: String,
}

/// How many sets of coefficients were drawn.
pub(super) fn heading(uncertainty: &Uncertainty) -> String {
    format!("What the fit leaves open: {} draws", count(u64::from(uncertainty.draws)))
}

/// How a value is written.
type Write = fn(f64) -> String;
/// What, its band, how it is read and written.
type Figure = (&'static str, Option<Band>, Reading, Write);

/// Figures with a band.
pub(super) fn figures(summary: &Summary, uncertainty: &Uncertainty) -> Vec<Line> {
    let Bands { j_per_output_token: j, .. } = &uncertainty.bands;
    let b = &uncertainty.bands;
    let three: Write = |v| significant(v, 3);
    let watts: Write = |v| quantity(v, "W");
    let share: Write = |v| format!("{} %", significant(v * 100.0, if v > 0.99 { 4 } else { 3 }));
    let figures: [Figure; 9] = [
        ("output tok/s", b.output_tok_per_s, |s| Some(s.throughput.output_tok_per_s), short),
        ("useful tok/s", b.useful_tok_per_s, |s| Some(s.throughput.useful_tok_per_s), short),
        ("J/output token, GPU", j.gpu, |s| s.j_per_output_token.gpu, three),
        ("J/output token, IT", j.it, |s| s.j_per_output_token.it, three),
        ("J/output token, facility", j.facility, |s| s.j_per_output_token.facility, three),
        ("mean IT power", b.it_power_mean_w, |s| Some(s.power_w.it.mean), watts),
        ("SLO met", b.slo_attainment, |s| s.slo_attainment, share),
        ("TTFT p99", b.ttft_p99_s, |s| s.latency_s.ttft.p99, short_time),
        ("TPOT p99", b.tpot_p99_s, |s| s.latency_s.tpot.p99, short_time),
    ];
    figures
        .into_iter()
        .filter_map(|(what, band, read, write)| {
            let band = band?;
            Some(Line {
                what: what.to_string(),
                run: read(summary).map_or("–".to_string(), write),
                band: [band.p5, band.p50, band.p95].map(write),
                remark: String::new(),
            })
        })
        .collect()
}

/// Times at which the binding constraint changes; and how many are not listed.
pub(super) fn changes(summary: &Summary, uncertainty: &Uncertainty) -> (Vec<Line>, usize) {
    let time = |at: Option<f64>| at.map_or("–".to_string(), |at| moment(summary, at));
    let lines = uncertainty.changes.iter().take(MOST_CHANGES).map(|change| Line {
        what: format!("{} binds from", palette::name(change.to)),
        run: moment(summary, change.at_s),
        band: [change.p5_s, change.p50_s, change.p95_s].map(time),
        remark: change.share.map_or(String::new(), |share| format!("in {}", percent(share))),
    });
    (lines.collect(), uncertainty.changes.len().saturating_sub(MOST_CHANGES))
}

/// Local time of an instant; with the number of the day where the run has several.
fn moment(summary: &Summary, at_s: f64) -> String {
    let info = &summary.scenario;
    let clock = time_of_day(info.start_at_h, at_s);
    if info.duration_s <= 1.001 * DAY_S {
        return clock;
    }
    let day = ((info.start_at_h * 3600.0 + at_s + 30.0) / DAY_S).floor() as u64 + 1;
    format!("d{day} {clock}")
}

/// How many draws failed, and why the first did.
pub(super) fn failed(outcome: &Outcome, uncertainty: &Uncertainty) -> Option<String> {
    let first = outcome.draws.iter().flat_map(|draws| &draws.rows).find_map(|row| row.outcome.as_ref().err());
    (uncertainty.failed > 0).then(|| {
        let why = first.map_or(String::new(), |why| format!(": {why}"));
        format!(
            "{} of {} draws could not be built and are left out{why}",
            uncertainty.failed, uncertainty.draws
        )
    })
}
