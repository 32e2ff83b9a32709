//! The data files of a result: `summary.json`, `timeseries.csv`, `requests.csv`, byte for byte reproducible.

use std::fmt::Write as _;

use super::numbers::exact_seconds;
use crate::ledger::outcome::{
    DistributionRow, EngineInfo, Outcome, RequestOutcome, RequestRow, SeriesRow, Summary,
};

/// `summary.json`: pretty-printed, every number finite or null. What depends on the machine
/// (`engine.wall_s`, `engine.requests_per_s`) is null, so that the same scenario gives the same bytes.
pub fn summary_json(outcome: &Outcome) -> String {
    let summary = &outcome.summary;
    debug_assert!(!has_non_finite(summary), "a number in the summary is not finite: {summary:?}");
    let engine = EngineInfo { wall_s: None, requests_per_s: None, ..summary.engine.clone() };
    let summary = Summary { engine, ..summary.clone() };
    // Serialising plain structs to memory cannot fail; an empty object would say so if it did.
    let mut text = serde_json::to_string_pretty(&summary).unwrap_or_else(|_| "{}".to_string());
    text.push('\n');
    text
}

/// Looks through the debug output outside of quoted strings: the one place that shows NaN and infinity.
fn has_non_finite(summary: &Summary) -> bool {
    let text = format!("{summary:?}");
    let mut outside = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            c => outside.push(c),
        }
    }
    outside.split(|c: char| !c.is_alphanumeric()).any(|word| word == "NaN" || word == "inf")
}

/// `timeseries.csv`, with its header even where there is no row.
pub(super) fn timeseries_csv(series: &[SeriesRow]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in series {
        writer.serialize(row)?;
    }
    if series.is_empty() {
        writer.serialize(SeriesRow::default())?;
    }
    let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
    // Numbers and keys of constraints: plain ASCII.
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if series.is_empty() {
        text.truncate(text.find('\n').map_or(0, |end| end + 1));
    }
    debug_assert!(!text.contains("NaN") && !text.contains("inf,"), "a number in the series is not finite");
    Ok(text)
}

/// Name of the file of distributions.
pub(super) const DISTRIBUTION: &str = "power_distribution.csv";

/// `power_distribution.csv`.
pub(super) fn distribution_csv(rows: &[DistributionRow]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `requests.csv`: instants are exact decimals of integer femtoseconds.
/// `with_quality`: also what classes with difficulty know; `correct` is empty unless the request completed.
/// `with_legs`: also in how many legs each was answered, and the tokens of all of them; empty unless it completed. Where
/// any prompt shares a prefix, also what came from the cache.
pub(super) fn requests_csv(requests: &[RequestRow], with_quality: bool, with_legs: bool) -> String {
    let with_cache = requests.iter().any(|r| r.cached_tok.is_some());
    let mut out = String::with_capacity(64 * (requests.len() + 2));
    out.push_str("index,class,arrival_s,first_token_s,finish_s,prompt_tok,output_tok,replica,outcome");
    out.push_str(if with_quality { ",difficulty,flagged,thinking_tok,correct" } else { "" });
    out.push_str(if with_legs { ",legs,legs_output_tok" } else { "" });
    out.push_str(if with_cache {
        ",cached_tok
"
    } else {
        "
"
    });
    for r in requests {
        let instant = |fs: Option<i128>| fs.map(exact_seconds).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{},{},{},{},{},{},{},{},{}",
            r.index,
            r.class,
            exact_seconds(r.arrival_fs),
            instant(r.first_token_fs),
            instant(r.finish_fs),
            r.prompt_tok,
            r.output_tok,
            r.replica.map(|n| n.to_string()).unwrap_or_default(),
            r.outcome.key()
        );
        if with_quality {
            let _ = match r.attempt.difficulty() {
                None => write!(out, ",,,,"),
                Some(difficulty) => {
                    let correct = match r.outcome {
                        RequestOutcome::Completed if r.attempt.correct() => "true",
                        RequestOutcome::Completed => "false",
                        _ => "",
                    };
                    let (name, flagged) = (difficulty.name(), r.attempt.flagged_hard());
                    write!(out, ",{name},{flagged},{},{correct}", r.thinking_tok)
                }
            };
        }
        if with_legs {
            let _ = match r.outcome {
                RequestOutcome::Completed => write!(out, ",{},{}", r.legs, r.spent_tok),
                _ => write!(out, ",,"),
            };
        }
        if with_cache {
            let _ = write!(out, ",{}", r.cached_tok.map(|tok| tok.to_string()).unwrap_or_default());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Difficulty;
    use crate::report::sample;
    use crate::workload::Attempt;

    #[test]
    fn requests_are_exact_to_the_femtosecond() {
        let mut rows = [
            RequestRow {
                index: 0,
                class: 1,
                arrival_fs: 1,
                first_token_fs: Some(1_000_000_000_000_000),
                finish_fs: Some(1_250_000_000_000_000),
                prompt_tok: 12,
                cached_tok: None,
                output_tok: 3,
                thinking_tok: 2,
                attempt: Attempt::new(Difficulty::Medium, true, true, false),
                replica: Some(7),
                outcome: RequestOutcome::Completed,
                legs: 1,
                spent_tok: 1,
            },
            RequestRow {
                index: 1,
                class: 0,
                arrival_fs: 604_799_999_999_999_999_999,
                first_token_fs: None,
                finish_fs: None,
                prompt_tok: 1,
                cached_tok: None,
                output_tok: 1,
                thinking_tok: 0,
                attempt: Attempt::NONE,
                replica: None,
                outcome: RequestOutcome::ShedQueueFull,
                legs: 1,
                spent_tok: 1,
            },
        ];
        assert_eq!(
            requests_csv(&rows, false, false),
            "index,class,arrival_s,first_token_s,finish_s,prompt_tok,output_tok,replica,outcome\n\
             0,1,0.000000000000001,1,1.25,12,3,7,completed\n\
             1,0,604799.999999999999999,,,1,1,,shed_queue_full\n"
        );
        assert_eq!(
            requests_csv(&rows, true, false),
            "index,class,arrival_s,first_token_s,finish_s,prompt_tok,output_tok,replica,outcome,\
             difficulty,flagged,thinking_tok,correct\n\
             0,1,0.000000000000001,1,1.25,12,3,7,completed,medium,true,2,false\n\
             1,0,604799.999999999999999,,,1,1,,shed_queue_full,,,,\n"
        );
        rows[0].cached_tok = Some(8);
        let lines = requests_csv(&rows, false, false);
        assert!(lines.contains(",outcome,cached_tok\n"), "{lines}");
        assert!(lines.contains(",completed,8\n") && lines.ends_with(",shed_queue_full,\n"), "{lines}");
    }

    #[test]
    fn summary_leaves_out_what_depends_on_the_machine() {
        let mut a = sample::day();
        let mut b = sample::day();
        a.summary.engine.wall_s = Some(1.0);
        b.summary.engine.wall_s = Some(2.0);
        assert_eq!(summary_json(&a), summary_json(&b));
        let value: serde_json::Value = serde_json::from_str(&summary_json(&a)).unwrap();
        assert!(value["engine"]["wall_s"].is_null());
        assert_eq!(value["binding"]["timeline"][0]["where"], "dallas.large");
    }

    #[test]
    fn finds_what_is_not_finite_but_not_in_words() {
        let mut outcome = sample::day();
        outcome.summary.notes.push("NaN inf \" NaN".to_string());
        assert!(!has_non_finite(&outcome.summary));
        outcome.summary.pue.mean = f64::NAN;
        assert!(has_non_finite(&outcome.summary));
        outcome.summary.pue.mean = f64::NEG_INFINITY;
        assert!(has_non_finite(&outcome.summary));
    }

    #[test]
    fn series_has_a_header_and_a_line_per_row() {
        let outcome = sample::day();
        let text = timeseries_csv(&outcome.series).unwrap();
        assert_eq!(text.lines().count(), outcome.series.len() + 1);
        assert!(text.starts_with("time_s,length_s,stave_demand_tok_per_s,"));
        let empty = timeseries_csv(&[]).unwrap();
        assert_eq!(empty.lines().count(), 1);
        assert_eq!(empty.lines().next(), text.lines().next());
    }
}
