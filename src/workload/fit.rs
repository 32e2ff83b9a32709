//! Arrival processes and length distributions of a scenario, fitted on a trace.
//!
//! What is fitted is what scenarios can draw: Poisson or gamma gaps, a cosine day, or rates hour by hour; lognormal
//! lengths. What the trace has beyond that (rates that change within minutes, lengths with several modes, prompts that
//! go with outputs) is lost, and each fit says by how much it is off.

use std::f64::consts::PI;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::describe::{Description, Profile};
use super::token_counts::{TokenCounts, drawn_lognormal_mean};
use super::written::TraceError;
use crate::input::InputError;
use crate::physics::normal::lognormal_below;
use crate::scenario::types::GammaRate;

/// Distance between distributions from which a fit is called poor.
pub const POOR_DISTANCE: f64 = 0.1;
/// Share of the variance of hourly counts that a cosine must explain to be chosen.
const DAY_EXPLAINS: f64 = 0.5;
const HOURS_PER_DAY: usize = 24;
/// From this coefficient of variation on, half of gamma gaps are shorter than a hundredth of their mean.
const CLUMPED_CV: f64 = 3.0;
/// A trace begins late when its first request comes after so many mean gaps.
const LATE_GAPS: f64 = 20.0;

/// Which arrival process to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArrivalFit {
    /// A cosine day where whole days are there and it explains at least half of the variance of the hourly counts;
    /// else gamma gaps where their variation differs from 1 by more than chance; else Poisson.
    #[default]
    Auto,
    /// Independent exponential gaps.
    Poisson,
    /// Independent gamma gaps.
    Gamma,
    /// A cosine day.
    Diurnal,
    /// The rate of each hour.
    Hourly,
}

/// A fitted trace.
#[derive(Debug, Clone, Serialize)]
pub struct Fitted {
    /// The trace.
    pub file: String,
    /// Its requests.
    pub requests: u64,
    /// Length of a run with as many requests [s]: up to the last arrival.
    pub duration_s: f64,
    /// Time of day at t = 0 of the run [h], where the trace has one or does not begin at its time 0.
    pub start_at_h: Option<f64>,
    /// Its classes; one where rows do not say.
    pub classes: Vec<FittedClass>,
}

/// A fitted class.
#[derive(Debug, Clone, Serialize)]
pub struct FittedClass {
    /// Name of the workload class.
    pub name: String,
    /// Its requests.
    pub requests: u64,
    /// When they arrive.
    pub arrivals: FittedArrivals,
    /// What the arrivals do not keep.
    pub arrivals_note: String,
    /// Prompt tokens.
    pub prompt: FittedLength,
    /// Output tokens.
    pub output: FittedLength,
}

/// A fitted arrival process.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FittedArrivals {
    /// Equal gaps.
    Constant {
        /// Requests per second.
        rate_per_s: f64,
    },
    /// Exponential gaps.
    Poisson {
        /// Requests per second.
        rate_per_s: f64,
    },
    /// Gamma gaps.
    Gamma {
        /// Requests per second.
        rate_per_s: f64,
        /// Coefficient of variation of the gaps.
        cv: f64,
    },
    /// A cosine day.
    Diurnal {
        /// Requests per second, mean over a day.
        mean_per_s: f64,
        /// Highest rate over the mean.
        peak_to_mean: f64,
        /// Time of day of the highest rate [h].
        peak_at_h: f64,
        /// Share of the variance of hourly counts that it explains.
        explained: f64,
    },
    /// The rate of each hour, in a file of its own.
    Hourly {
        /// Name of the file, beside that of the fit.
        path: String,
        /// Requests per second in each hour from time 0 on.
        per_s: Vec<f64>,
    },
}

/// A fitted length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FittedLength {
    /// Mean before the limit [tokens]: such that draws, rounded up and limited, have the trace's mean.
    pub mean_tok: f64,
    /// σ of the logarithm, as in the trace; 0: all are the same.
    pub sigma: f64,
    /// Longest in the trace [tokens].
    pub max_tok: u32,
    /// Mean of the trace [tokens].
    pub trace_mean_tok: f64,
    /// Mean of the lognormal with the trace's moments of the logarithm, without a limit [tokens].
    pub ln_moments_mean_tok: f64,
    /// Largest distance between the distributions, 0 to 1 (Kolmogorov–Smirnov).
    pub ks_distance: f64,
}

/// Fits each class of a described trace. `beside`: the file of the fit, by whose name that of hourly rates is called.
///
/// # Errors
/// Fewer than two requests, or all at one instant; a cosine day or hours asked for where there is no whole day or hour.
pub fn fit(
    description: &Description,
    arrivals: ArrivalFit,
    beside: Option<&Path>,
) -> Result<Fitted, TraceError> {
    let stem = Path::new(&description.file)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .and_then(|name| name.split('.').next().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "trace".into());
    let named: Vec<(String, u64, &Profile)> = if description.classes.is_empty() {
        vec![(stem, description.requests, &description.all)]
    } else {
        description.classes.iter().map(|c| (c.name.clone(), c.requests, &c.profile)).collect()
    };
    let all = &description.all;
    // A trace that begins late is fitted from its first request on.
    let mean_gap_s = all.gaps.map_or(0.0, |gaps| gaps.mean_s);
    let begin_s = if all.first_s > LATE_GAPS * mean_gap_s { all.first_s } else { 0.0 };
    let span = Span { begin_s, duration_s: all.last_s - begin_s, start_at_h: description.start_at_h };
    if span.duration_s <= 0.0 {
        let message = "has a single instant of arrival; no rate follows from it";
        return Err(InputError::file("", &description.file, message).into());
    }
    let mut classes = Vec::with_capacity(named.len());
    for (number, (name, requests, profile)) in named.into_iter().enumerate() {
        let fail =
            |message: String| InputError::file("", &description.file, format!("class `{name}`: {message}"));
        let rates_file = beside.map(|path| hourly_path(path, number));
        let (arrivals, note) = fit_arrivals(profile, requests, arrivals, &span, rates_file).map_err(fail)?;
        classes.push(FittedClass {
            // What a scenario takes for a name.
            name: name.chars().filter(|c| !c.is_control()).take(100).collect(),
            requests,
            arrivals,
            arrivals_note: note,
            prompt: fit_length(&profile.counts.prompt),
            output: fit_length(&profile.counts.output),
        });
    }
    Ok(Fitted {
        file: description.file.clone(),
        requests: description.requests,
        duration_s: span.duration_s,
        // A day's phase counts from the trace's time 0, known or not.
        start_at_h: (span.start_at_h.is_some() || begin_s > 0.0)
            .then(|| (span.start_at_h.unwrap_or(0.0) + begin_s / 3600.0).rem_euclid(24.0)),
        classes,
    })
}

/// Which part of the trace's time a run stands for.
struct Span {
    /// Its time 0 in the trace [s].
    begin_s: f64,
    duration_s: f64,
    /// Time of day at the trace's time 0 [h].
    start_at_h: Option<f64>,
}

/// Where the hourly rates of class `number` go.
fn hourly_path(fit: &Path, number: usize) -> PathBuf {
    let stem = fit.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    fit.with_file_name(format!("{stem}-rates-{number}.csv"))
}

/// Rounded to six digits: what is written and what is fitted are the same number.
fn digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

fn fit_arrivals(
    profile: &Profile,
    requests: u64,
    wanted: ArrivalFit,
    span: &Span,
    rates_file: Option<PathBuf>,
) -> Result<(FittedArrivals, String), String> {
    let Some(cv) = profile.gaps.and_then(|gaps| gaps.cv) else {
        return Err("has a single instant of arrival; nothing follows from it".into());
    };
    // As many requests as the trace has, also of a class that is there for a part of it only.
    let rate = digits(requests as f64 / span.duration_s);
    let hours = profile.counts.hours.as_deref().map(|hours| whole_hours(hours, profile));
    let day =
        hours.as_ref().and_then(|(first, counts)| fit_day(*first, counts, span.start_at_h.unwrap_or(0.0)));
    let bursts = |cv_kept: f64| {
        let long = profile.dispersion.iter().rev().find(|d| d.windows >= 30).or(profile.dispersion.last());
        long.map_or(String::new(), |d| {
            format!(
                "; counts per {} s vary {:.3} times as much as a Poisson process's, gaps alone would make it {:.3}",
                d.window_s,
                d.index,
                cv_kept * cv_kept
            )
        })
    };
    // Standard error of the coefficient of variation of n exponential gaps: 1/√n.
    let by_chance = (3.0 / (requests as f64).sqrt()).max(0.02);
    let gamma = || {
        let kept = digits(cv.clamp(*GammaRate::CV.start(), *GammaRate::CV.end()));
        let clumps = if kept > CLUMPED_CV {
            "; at such a CV most gamma gaps are next to zero, and short windows are burstier than the trace's"
        } else {
            ""
        };
        let note = format!("gaps have a CV of {cv:.3}{}{clumps}", bursts(kept));
        if cv < *GammaRate::CV.start() {
            (FittedArrivals::Constant { rate_per_s: rate }, note)
        } else {
            (FittedArrivals::Gamma { rate_per_s: rate, cv: kept }, note)
        }
    };
    let poisson = || {
        let differs =
            if (cv - 1.0).abs() > by_chance { ", which Poisson arrivals (CV 1) do not keep" } else { "" };
        (
            FittedArrivals::Poisson { rate_per_s: rate },
            format!("gaps have a CV of {cv:.3}{differs}{}", bursts(1.0)),
        )
    };
    let diurnal = |day: FittedArrivals| {
        let explained = if let FittedArrivals::Diurnal { explained, .. } = day { explained } else { 0.0 };
        let note = format!(
            "explains {:.1} % of the variance of hourly counts; gaps have a CV of {cv:.3}, which a Poisson day does not keep{}",
            100.0 * explained,
            bursts(1.0)
        );
        (day, note)
    };
    match wanted {
        ArrivalFit::Poisson => Ok(poisson()),
        ArrivalFit::Gamma => Ok(gamma()),
        ArrivalFit::Diurnal => day.map(diurnal).ok_or_else(|| {
            format!("spans {:.1} h; a cosine day needs {HOURS_PER_DAY} whole hours", profile.last_s / 3600.0)
        }),
        ArrivalFit::Hourly => {
            let path = rates_file.ok_or("hourly rates go into a file beside the fit: name it with -o")?;
            if span.begin_s > 0.0 {
                return Err(format!(
                    "begins at {} s; for hourly rates convert it first, with `trace convert --from-s`",
                    span.begin_s
                ));
            }
            hourly(profile, &path).map(|arrivals| {
                let note = format!("within an hour gaps are Poisson's; the trace's have a CV of {cv:.3}");
                (arrivals, note)
            })
        }
        ArrivalFit::Auto => Ok(match day {
            Some(day) if matches!(day, FittedArrivals::Diurnal { explained, .. } if explained >= DAY_EXPLAINS) => {
                diurnal(day)
            }
            _ if (cv - 1.0).abs() > by_chance => gamma(),
            _ => poisson(),
        }),
    }
}

/// Hours that lie wholly between the first and the last arrival: the number of the first, and counts.
fn whole_hours<'a>(hours: &'a [u64], profile: &Profile) -> (usize, &'a [u64]) {
    let first = (profile.first_s / 3600.0).ceil() as usize;
    // A trace that begins in the very first seconds is taken to begin with its hour.
    let first = if profile.first_s < 36.0 { 0 } else { first };
    let end = (profile.last_s / 3600.0).floor() as usize;
    (first, hours.get(first..end.max(first).min(hours.len())).unwrap_or_default())
}

/// Least squares of counts per hour on 1, cos and sin of the time of day.
fn fit_day(first: usize, counts: &[u64], start_at_h: f64) -> Option<FittedArrivals> {
    if counts.len() < HOURS_PER_DAY {
        return None;
    }
    // A cosine averaged over an hour is that of the hour's middle, a little lower.
    let half = PI / HOURS_PER_DAY as f64;
    let averaged = half.sin() / half;
    let mut normal = [[0.0_f64; 4]; 3];
    let row = |i: usize| {
        let angle = 2.0 * half * (start_at_h + (first + i) as f64 + 0.5);
        [1.0, averaged * angle.cos(), averaged * angle.sin()]
    };
    for (i, &count) in counts.iter().enumerate() {
        let x = row(i);
        for r in 0..3 {
            for c in 0..3 {
                normal[r][c] += x[r] * x[c];
            }
            normal[r][3] += x[r] * count as f64;
        }
    }
    let [mean, cos, sin] = solve(normal)?;
    if mean <= 0.0 {
        return None;
    }
    let average = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let (mut left, mut all) = (0.0, 0.0);
    for (i, &count) in counts.iter().enumerate() {
        let x = row(i);
        left += (count as f64 - (mean * x[0] + cos * x[1] + sin * x[2])).powi(2);
        all += (count as f64 - average).powi(2);
    }
    let peak_at_h = (sin.atan2(cos) / (2.0 * half)).rem_euclid(HOURS_PER_DAY as f64);
    Some(FittedArrivals::Diurnal {
        mean_per_s: digits(mean / 3600.0),
        // A rate is never negative: a scenario's cosine is at most as high as its mean.
        peak_to_mean: digits((1.0 + cos.hypot(sin) / mean).min(2.0)),
        peak_at_h: digits(peak_at_h),
        explained: if all > 0.0 { 1.0 - left / all } else { 0.0 },
    })
}

/// Solves three equations with a positive matrix by elimination.
fn solve(mut m: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for i in 0..3 {
        let pivot = (i..3).max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs()))?;
        m.swap(i, pivot);
        if m[i][i].abs() < 1e-12 {
            return None;
        }
        for r in 0..3 {
            if r != i {
                let factor = m[r][i] / m[i][i];
                let lead = m[i];
                for (x, y) in m[r].iter_mut().zip(lead) {
                    *x -= factor * y;
                }
            }
        }
    }
    Some([0, 1, 2].map(|i| m[i][3] / m[i][i]))
}

fn hourly(profile: &Profile, path: &Path) -> Result<FittedArrivals, String> {
    let Some(hours) = profile.counts.hours.as_deref().filter(|_| profile.last_s >= 3600.0) else {
        return Err("hourly rates need between an hour and a hundred years".into());
    };
    // The last hour is cut by the end of the trace: its rate is that of its part.
    let cut_s = profile.last_s - 3600.0 * (hours.len() - 1) as f64;
    let last = hours.len() - 1;
    let per_s = hours.iter().enumerate().map(|(hour, &count)| {
        digits(count as f64 / if hour == last && cut_s > 0.0 { cut_s } else { 3600.0 })
    });
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(FittedArrivals::Hourly { path: name, per_s: per_s.collect() })
}

fn fit_length(counts: &TokenCounts) -> FittedLength {
    let (mean_ln, sigma) = counts.ln_moments();
    let (mean, max_tok) = (counts.mean(), counts.most());
    let ln_moments_mean_tok = (mean_ln + 0.5 * sigma * sigma).exp();
    if counts.least() == max_tok {
        return FittedLength {
            mean_tok: mean,
            sigma: 0.0,
            max_tok,
            trace_mean_tok: mean,
            ln_moments_mean_tok,
            ks_distance: 0.0,
        };
    }
    // What a scenario allows; traces are far inside.
    let sigma = digits(sigma.clamp(1e-3, 10.0));
    let half = 0.5 * sigma * sigma;
    let (mut low, mut high) = (-half, f64::from(super::lengths::MOST_TOK).ln() - half);
    for _ in 0..60 {
        let mu = 0.5 * (low + high);
        if drawn_lognormal_mean(mu, sigma, max_tok) < mean { low = mu } else { high = mu }
    }
    let mean_tok = digits((0.5 * (low + high) + half).exp());
    let mu = mean_tok.ln() - half;
    let below = |k: u32| if k >= max_tok { 1.0 } else { lognormal_below(f64::from(k), mu, sigma) };
    FittedLength {
        mean_tok,
        sigma,
        max_tok,
        trace_mean_tok: mean,
        ln_moments_mean_tok,
        ks_distance: counts.distance(below),
    }
}

impl Fitted {
    /// The part of a scenario that the fit is: everything but a fleet.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "# Fitted by `wattmill trace fit` on {} ({} requests). Add a fleet, and it is a scenario.\n",
            file_name(&self.file),
            self.requests
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "duration_s: {}", digits(self.duration_s.max(1e-3)));
        if let Some(hour) = self.start_at_h {
            let _ = writeln!(
                text,
                "start_at_h: {} # UTC, or what the trace takes for the time of day",
                digits(hour)
            );
        }
        text.push_str("workload:\n  classes:\n");
        for class in &self.classes {
            let _ = writeln!(text, "    - name: {}", yaml_text(&class.name));
            let _ = writeln!(text, "      # {}", class.arrivals_note);
            let _ = writeln!(text, "      arrivals: {}", class.arrivals.yaml());
            text.push_str("      lengths:\n");
            for (name, length) in [("prompt", &class.prompt), ("answer", &class.output)] {
                let _ = writeln!(text, "        # {}", length.note());
                let _ = writeln!(text, "        {name}: {}", length.yaml());
            }
        }
        text
    }

    /// Files of hourly rates: names beside the fit's, and contents.
    #[must_use]
    pub fn rate_files(&self) -> Vec<(String, String)> {
        let files = self.classes.iter().filter_map(|class| match &class.arrivals {
            FittedArrivals::Hourly { path, per_s } => {
                let mut text = String::from("time_s,rate_per_s\n");
                for (hour, rate) in per_s.iter().enumerate() {
                    let _ = writeln!(text, "{},{rate}", hour * 3600);
                }
                Some((path.clone(), text))
            }
            _ => None,
        });
        files.collect()
    }
}

fn file_name(path: &str) -> String {
    let name =
        Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // A comment ends with its line.
    name.replace(char::is_control, " ")
}

/// A text in YAML; JSON's way of writing it is one of YAML's.
fn yaml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl FittedArrivals {
    /// As a scenario writes it.
    #[must_use]
    pub fn yaml(&self) -> String {
        match self {
            Self::Constant { rate_per_s } => format!("{{ constant: {{ rate_per_s: {rate_per_s} }} }}"),
            Self::Poisson { rate_per_s } => format!("{{ poisson: {{ rate_per_s: {rate_per_s} }} }}"),
            Self::Gamma { rate_per_s, cv } => {
                format!("{{ gamma: {{ rate_per_s: {rate_per_s}, cv: {cv} }} }}")
            }
            Self::Diurnal { mean_per_s, peak_to_mean, peak_at_h, .. } => format!(
                "{{ diurnal: {{ mean_per_s: {mean_per_s}, peak_to_mean: {peak_to_mean}, peak_at_h: {peak_at_h} }} }}"
            ),
            Self::Hourly { path, .. } => format!("{{ rate_curve: {{ path: {} }} }}", yaml_text(path)),
        }
    }
}

impl FittedLength {
    fn yaml(&self) -> String {
        if self.sigma == 0.0 {
            format!("{{ constant: {{ tok: {} }} }}", self.max_tok)
        } else {
            format!(
                "{{ lognormal: {{ mean_tok: {}, sigma: {}, max_tok: {} }} }}",
                self.mean_tok, self.sigma, self.max_tok
            )
        }
    }

    /// How good it is.
    #[must_use]
    pub fn note(&self) -> String {
        let verdict = if self.ks_distance > POOR_DISTANCE {
            ", a poor fit: replay the trace where the shape matters"
        } else {
            ""
        };
        format!(
            "mean {} tokens as in the trace; KS distance {:.3}{verdict}",
            digits(self.trace_mean_tok),
            self.ks_distance
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_equations() {
        let x = solve([[4.0, 1.0, 0.0, 6.0], [1.0, 3.0, 1.0, 10.0], [0.0, 1.0, 2.0, 8.0]]).unwrap();
        for (got, want) in x.into_iter().zip([1.0, 2.0, 3.0]) {
            assert!((got - want).abs() < 1e-12, "{x:?}");
        }
        assert_eq!(solve([[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]]), None);
    }

    #[test]
    fn a_cosine_day_is_found_again() {
        // Expected counts of a day with mean 2/s, peak 1.6 times that at 20:30; the hours begin at 06:00.
        let omega = 2.0 * PI / 24.0;
        let integral = |h: f64| h + 0.6 / omega * (omega * (h - 20.5)).sin();
        let counts: Vec<u64> = (0..60)
            .map(|i| {
                let h = 6.0 + f64::from(i);
                (1e6 * 7200.0 * (integral(h + 1.0) - integral(h))) as u64
            })
            .collect();
        let Some(FittedArrivals::Diurnal { mean_per_s, peak_to_mean, peak_at_h, explained }) =
            fit_day(0, &counts, 6.0)
        else {
            panic!("no day");
        };
        assert!((mean_per_s / 2e6 - 1.0).abs() < 1e-5, "{mean_per_s}");
        assert!((peak_to_mean - 1.6).abs() < 1e-5, "{peak_to_mean}");
        assert!((peak_at_h - 20.5).abs() < 1e-4, "{peak_at_h}");
        assert!(explained > 1.0 - 1e-9);
        assert_eq!(fit_day(0, &counts[..23], 6.0), None);
    }

    #[test]
    fn a_fitted_length_keeps_the_mean_and_says_how_far_off_it_is() {
        // Two modes: half at 10, half at 1000. No lognormal is near.
        let mut counts = TokenCounts::default();
        for i in 0..10_000 {
            counts.add(if i % 2 == 0 { 10 } else { 1000 });
        }
        let fitted = fit_length(&counts);
        assert!(
            (drawn_lognormal_mean(fitted.mean_tok.ln() - fitted.sigma.powi(2) / 2.0, fitted.sigma, 1000)
                / 505.0
                - 1.0)
                .abs()
                < 1e-4
        );
        // Logarithms are ln 10 and ln 1000: their standard deviation is half the distance.
        assert!((fitted.sigma - 100_f64.ln() / 2.0).abs() < 1e-4, "{fitted:?}");
        assert!(fitted.ks_distance > 0.3 && fitted.note().contains("poor"), "{fitted:?}");
    }
}
