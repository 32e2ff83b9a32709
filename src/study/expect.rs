//! Whether a run is what its scenario's author expected.

use super::metric::{self, Metric};
use crate::ledger::outcome::{Binding, Summary};
use crate::scenario::types::{Binds, Expectation, MetricRange, Scenario};

/// An expectation and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it held.
    pub held: bool,
    /// What was expected, and what was found.
    pub told: String,
}

/// Hold a run against its scenario's `expect`, in its order.
#[must_use]
pub fn judge(scenario: &Scenario, summary: &Summary) -> Vec<Verdict> {
    let tree = metric::tree(summary);
    scenario
        .expect
        .iter()
        .map(|expectation| match expectation {
            Expectation::Binds(binds) => bound(binds, scenario, summary),
            Expectation::Metric(range) => within(range, &tree),
        })
        .collect()
}

fn bound(binds: &Binds, scenario: &Scenario, summary: &Summary) -> Verdict {
    let binding = match &binds.site {
        None => Some(&summary.binding),
        Some(name) => summary.per_site.iter().find(|site| site.name == *name).map(|site| &site.binding),
    };
    let duration_s = summary.scenario.duration_s;
    let run_s = |hours: f64| (hours - scenario.start_at_h) * 3600.0;
    let from_s = binds.from_h.map_or(0.0, run_s).max(0.0);
    let until_s = binds.until_h.map_or(duration_s, run_s).min(duration_s);
    let share = binding.map_or(0.0, |binding| share_bound(binds, binding, from_s, until_s));
    let clock = |s: f64| {
        let minutes = ((s / 3600.0 + scenario.start_at_h) * 60.0).round();
        format!("{}:{:02}", (minutes / 60.0).floor(), minutes % 60.0)
    };
    Verdict {
        held: share >= binds.at_least - 1e-9 && share <= binds.at_most + 1e-9,
        told: format!(
            "{}{} binds {:.0} to {:.0} % of {}–{}: {:.1} %",
            binds.constraint.key(),
            binds.place.as_ref().or(binds.site.as_ref()).map_or(String::new(), |at| format!(" at {at}")),
            binds.at_least * 100.0,
            binds.at_most * 100.0,
            clock(from_s),
            clock(until_s),
            share * 100.0
        ),
    }
}

/// Share of a stretch of time in which a constraint binds.
fn share_bound(binds: &Binds, binding: &Binding, from_s: f64, until_s: f64) -> f64 {
    let of = binding.timeline.iter().filter(|stretch| {
        stretch.constraint.key() == binds.constraint.key()
            && binds.place.as_ref().is_none_or(|place| stretch.place == *place)
    });
    let bound_s: f64 =
        of.map(|stretch| (stretch.end_s.min(until_s) - stretch.start_s.max(from_s)).max(0.0)).sum();
    if until_s > from_s { bound_s / (until_s - from_s) } else { 0.0 }
}

fn within(range: &MetricRange, tree: &serde_json::Value) -> Verdict {
    let metric = Metric::new(&range.path);
    let (value, problem) = match metric.check(tree) {
        Ok(()) => (metric.of(tree), None),
        Err(problem) => (None, Some(problem)),
    };
    let above = range.min.is_none_or(|min| value.is_some_and(|value| value >= min));
    let below = range.max.is_none_or(|max| value.is_some_and(|value| value <= max));
    let limits = match (range.min, range.max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "a number".into(),
    };
    let found = match (value, problem) {
        (Some(value), _) => value.to_string(),
        (None, Some(problem)) => problem,
        (None, None) => "null".into(),
    };
    Verdict { held: above && below && value.is_some(), told: format!("{} is {limits}: {found}", range.path) }
}
