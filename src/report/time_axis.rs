//! Where to mark a time axis, and what to write there: shared by figures and terminal.

use super::numbers::time_of_day;

/// A marked instant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// Seconds since the start of the run.
    pub(crate) time_s: f64,
    /// What stands at the mark.
    pub(crate) label: String,
}

/// Marks for a run of `end_s` [s] that starts at `start_h` [h, local time], at most `most` of them, and the
/// axis title.
pub(crate) fn ticks(start_h: f64, end_s: f64, most: usize) -> (Vec<Tick>, String) {
    let most = most.max(2) as f64;
    let step_of = |steps: &[f64], span: f64| {
        let last = steps.last().copied().unwrap_or(1.0);
        let fitting = steps.iter().copied().find(|s| span / s <= most - 1.0);
        fitting.unwrap_or_else(|| last * (span / last / (most - 1.0)).ceil())
    };
    // At most ~100 marks whatever comes in: a step is never below a hundredth of the span.
    let marks = |first: f64, step: f64, label: &dyn Fn(f64) -> String| -> Vec<Tick> {
        let n = if step > 0.0 { ((end_s - first) / step + 1e-9).floor() } else { -1.0 };
        (0..=(n.clamp(-1.0, 100.0) as i64))
            .map(|k| first + k as f64 * step)
            .map(|time_s| Tick { time_s, label: label(time_s) })
            .collect()
    };
    if !(end_s.is_finite() && start_h.is_finite() && end_s > 0.0) {
        return (vec![Tick { time_s: 0.0, label: "0".to_string() }], "Time [s]".to_string());
    }
    const H: f64 = 3600.0;
    if (2.0 * H..=48.0 * H).contains(&end_s) {
        let step = step_of(&[0.25 * H, 0.5 * H, H, 2.0 * H, 3.0 * H, 4.0 * H, 6.0 * H, 12.0 * H], end_s);
        let offset = (start_h * H).rem_euclid(step);
        let first = if offset < 1e-6 { 0.0 } else { step - offset };
        (marks(first, step, &|t| time_of_day(start_h, t)), "Local time [hh:mm]".to_string())
    } else if end_s > 48.0 * H {
        let step = step_of(&[24.0 * H, 48.0 * H, 168.0 * H, 336.0 * H, 672.0 * H], end_s);
        let offset = (start_h * H).rem_euclid(24.0 * H);
        let first = if offset < 1e-6 { 0.0 } else { 24.0 * H - offset };
        let day_of = |t: f64| ((start_h.rem_euclid(24.0) * H + t) / (24.0 * H) + 1e-9).floor() as i64 + 1;
        (
            marks(first, step, &|t| format!("day {}", day_of(t))),
            "Day of the run, marked at 00:00 local time".to_string(),
        )
    } else if end_s > 180.0 {
        let step = step_of(&[30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0], end_s);
        (marks(0.0, step, &|t| plain(t / 60.0)), "Time since the start [min]".to_string())
    } else {
        let steps: Vec<f64> = (-6..=2).flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e))).collect();
        let step = step_of(&steps, end_s);
        (marks(0.0, step, &|t| plain(t)), "Time since the start [s]".to_string())
    }
}

fn plain(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(start_h: f64, end_s: f64) -> Vec<String> {
        ticks(start_h, end_s, 8).0.into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn hours_stand_at_round_local_times() {
        assert_eq!(labels(8.5, 4.0 * 3600.0), ["09:00", "10:00", "11:00", "12:00"].map(String::from));
        let (marks, title) = ticks(8.5, 4.0 * 3600.0, 8);
        assert_eq!(marks[0].time_s, 1800.0);
        assert_eq!(title, "Local time [hh:mm]");
    }

    #[test]
    fn short_and_long_runs() {
        assert_eq!(labels(0.0, 60.0), ["0", "10", "20", "30", "40", "50", "60"].map(String::from));
        assert_eq!(labels(0.0, 1800.0), ["0", "5", "10", "15", "20", "25", "30"].map(String::from));
        assert_eq!(labels(6.0, 604_800.0).first().map(String::as_str), Some("day 2"));
        assert_eq!(labels(0.0, 604_800.0).len(), 8);
    }

    #[test]
    fn any_span_gives_few_marks() {
        for end_s in [0.0, 1e-9, 0.3, 1.0, 7199.0, 7200.0, 1e6, 1e9, 1e15, f64::NAN, f64::INFINITY] {
            for start_h in [0.0, 13.37, -5.0, 1e6] {
                let n = ticks(start_h, end_s, 8).0.len();
                assert!(n <= 101, "{end_s} {start_h}: {n}");
            }
        }
    }
}
