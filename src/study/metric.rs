//! A number of `summary.json` by its path, and conditions on it.

use std::fmt;

use serde_json::Value;

use super::paired::Mean;
use crate::ledger::outcome::Summary;
use crate::scenario::suggestion;

/// `summary.json` as a tree.
#[must_use]
pub fn tree(summary: &Summary) -> Value {
    serde_json::to_value(summary).unwrap_or_default()
}

/// A number of `summary.json`, e.g. `latency_s.ttft.p99`; entries of lists by their index from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    path: String,
}

impl Metric {
    /// The metric at a path; whether a summary has it, [`check`](Self::check) tells.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.trim().to_string() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether summaries like this one have a number there; it may be null in this one.
    ///
    /// # Errors
    /// What stands there instead, in words, or the nearest known name.
    pub fn check(&self, summary: &Value) -> Result<(), String> {
        let mut value = summary;
        let mut walked = String::new();
        for part in self.path.split('.') {
            let here = || if walked.is_empty() { "summary.json" } else { walked.as_str() };
            value = match value {
                Value::Object(map) => map.get(part).ok_or_else(|| {
                    format!(
                        "unknown '{part}' in {}{}",
                        here(),
                        suggestion(part, map.keys().map(String::as_str))
                    )
                })?,
                Value::Array(items) => {
                    part.parse::<usize>().ok().and_then(|index| items.get(index)).ok_or_else(|| {
                        format!(
                            "{} is a list with {} entries, counted from 0; it has no '{part}'",
                            here(),
                            items.len()
                        )
                    })?
                }
                Value::Null => {
                    return Err(format!("{} is null in this scenario, so it has no '{part}'", here()));
                }
                _ => return Err(format!("{} is a single value; it has no '{part}'", here())),
            };
            if !walked.is_empty() {
                walked.push('.');
            }
            walked += part;
        }
        match value {
            Value::Number(_) | Value::Null => Ok(()),
            Value::Object(map) => {
                let parts: Vec<&str> = map.keys().map(String::as_str).collect();
                let first = parts.first().copied().unwrap_or_default();
                Err(format!(
                    "{walked} has parts ({}); name one of them, e.g. {walked}.{first}",
                    parts.join(", ")
                ))
            }
            Value::Array(_) => Err(format!("{walked} is a list; name a number in it, e.g. {walked}.0.…")),
            Value::String(_) | Value::Bool(_) => Err(format!("{walked} is not a number")),
        }
    }

    /// Its value in a summary; none where it is null or absent.
    #[must_use]
    pub fn of(&self, summary: &Value) -> Option<f64> {
        let value = self.path.split('.').try_fold(summary, |value, part| match value {
            Value::Object(map) => map.get(part),
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        })?;
        value.as_f64()
    }
}

/// How a metric is held against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `<`
    Below,
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::Below => "<",
        }
    }
}

/// A condition, e.g. `latency_s.ttft.p99<=1.0`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub metric: Metric,
    /// How.
    pub comparison: Comparison,
    /// Limit in the metric's unit.
    pub limit: f64,
}

/// Whether a condition holds, and whether the seeds leave a doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// By the mean over the seeds.
    pub met: bool,
    /// The whole 95 % interval is on the same side of the limit.
    pub sure: bool,
}

impl Verdict {
    /// Of conditions that must all hold: surely met if all surely are, surely missed if one surely is.
    #[must_use]
    pub fn all(verdicts: &[Self]) -> Self {
        let met = verdicts.iter().all(|verdict| verdict.met);
        let sure = if met {
            verdicts.iter().all(|verdict| verdict.sure)
        } else {
            verdicts.iter().any(|verdict| !verdict.met && verdict.sure)
        };
        Self { met, sure }
    }
}

impl Condition {
    /// Reads a path of `summary.json`, one of `>=`, `<=`, `>`, `<`, and a number.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "write it like slo_attainment>=0.99 or latency_s.ttft.p99<=1.0";
        let at = text.find(['<', '>', '=']).ok_or_else(|| format!("has no comparison; {form}"))?;
        let (path, rest) = text.split_at(at);
        let signs = [Comparison::AtLeast, Comparison::AtMost, Comparison::Above, Comparison::Below];
        let (comparison, number) = signs
            .into_iter()
            .find_map(|comparison| Some((comparison, rest.strip_prefix(comparison.sign())?)))
            .ok_or_else(|| format!("compare with >=, <=, > or <; {form}"))?;
        if path.trim().is_empty() {
            return Err(format!("names no metric; {form}"));
        }
        let limit = number.trim().parse::<f64>().ok().filter(|limit| limit.is_finite());
        let limit = limit.ok_or_else(|| format!("'{}' is not a number; {form}", number.trim()))?;
        Ok(Self { metric: Metric::new(path), comparison, limit })
    }

    /// By the mean over seeds and its interval. Without a mean, as the metric is null under a seed, the condition is
    /// missed: `all_null` makes that sure.
    #[must_use]
    pub fn verdict(&self, mean: Option<&Mean>, all_null: bool) -> Verdict {
        let Some(mean) = mean else { return Verdict { met: false, sure: all_null } };
        let met = self.comparison.holds(mean.mean, self.limit);
        let ends = [mean.ci95_low, mean.ci95_high];
        Verdict { met, sure: ends.iter().all(|end| self.comparison.holds(*end, self.limit) == met) }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}{}", self.metric.path, self.comparison.sign(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_read_and_refused() {
        let condition = Condition::parse(" latency_s.ttft.p99 <= 1.5").unwrap();
        assert_eq!(condition.to_string(), "latency_s.ttft.p99<=1.5");
        assert_eq!(Condition::parse("a>1e6").unwrap().limit, 1e6);
        for bad in ["slo_attainment", "a=1", "a==1", ">=1", "a>=", "a>=x", "a<nan", "a<inf", "a=<3"] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mean_within_its_interval_of_the_limit_is_in_doubt() {
        let condition = Condition::parse("x<=2").unwrap();
        let of = |mean, half| {
            let mean = Mean { n: 8, mean, ci95_low: mean - half, ci95_high: mean + half };
            let verdict = condition.verdict(Some(&mean), false);
            (verdict.met, verdict.sure)
        };
        assert_eq!(of(1.0, 0.5), (true, true));
        assert_eq!(of(1.8, 0.5), (true, false));
        assert_eq!(of(2.2, 0.5), (false, false));
        assert_eq!(of(3.0, 0.5), (false, true));
        // Seeds that all agree leave no doubt, on the limit itself either.
        assert_eq!(of(2.0, 0.0), (true, true));
        assert_eq!(condition.verdict(None, true), Verdict { met: false, sure: true });
    }

    #[test]
    fn one_sure_miss_is_enough() {
        let v = |met, sure| Verdict { met, sure };
        assert_eq!(Verdict::all(&[v(true, true), v(true, false)]), v(true, false));
        assert_eq!(Verdict::all(&[v(true, false), v(false, true)]), v(false, true));
        assert_eq!(Verdict::all(&[v(true, true), v(false, false)]), v(false, false));
    }

    #[test]
    fn paths_are_checked_in_words() {
        let summary = json!({"latency_s": {"ttft": {"p99": null, "mean": 1.0}}, "name": "x", "quality": null,
            "per_site": [{"pue": 1.1}]});
        let error = |path: &str| Metric::new(path).check(&summary).unwrap_err();
        assert!(Metric::new("latency_s.ttft.p99").check(&summary).is_ok());
        assert_eq!(Metric::new("per_site.0.pue").of(&summary), Some(1.1));
        assert!(error("latency_s.tfft.p99").contains("did you mean 'ttft'?"));
        assert!(error("latency_s.ttft").contains("latency_s.ttft.mean"));
        assert!(error("quality.accuracy").contains("quality is null"));
        assert!(error("name").contains("not a number"));
        assert!(error("per_site.1.pue").contains("1 entries"));
    }
}
