//! Tests of whole workloads: what comes out of the stream.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::random::{Key, Purpose};
use super::synth::{Preset, SynthOptions, write_trace};
use super::*;

fn catalog() -> &'static Catalog {
    static EMBEDDED: std::sync::LazyLock<Catalog> =
        std::sync::LazyLock::new(|| Catalog::embedded().unwrap_or_else(|e| panic!("{e}")));
    &EMBEDDED
}

fn scenario(seed: u64, duration_s: Value, classes: Value) -> Scenario {
    let mut s = json!({ "seed": seed, "workload": { "classes": classes }, "fleet": { "sites": [] } });
    if !duration_s.is_null() {
        s["duration_s"] = duration_s;
    }
    serde_json::from_value(s).expect("a scenario of the test")
}

fn one_class(arrivals: Value) -> Value {
    let lengths = json!({ "prompt": { "constant": { "tok": 10 } }, "answer": { "constant": { "tok": 20 } } });
    if arrivals.get("trace").is_some() {
        json!([{ "name": "chat", "arrivals": arrivals }])
    } else {
        json!([{ "name": "chat", "arrivals": arrivals, "lengths": lengths }])
    }
}

fn open(s: &Scenario, dir: &Path) -> Workload {
    Workload::open(s, dir, catalog()).unwrap_or_else(|e| panic!("{e}"))
}

fn all(w: &Workload) -> Vec<Request> {
    let mut stream = w.stream().unwrap();
    let mut out = Vec::new();
    while let Some(t) = stream.peek_fs() {
        let r = stream.next().unwrap().unwrap();
        assert_eq!(t, r.arrival_fs);
        assert_eq!(r.index, out.len() as u64);
        out.push(r);
    }
    assert_eq!(stream.next(), Ok(None));
    out
}

fn run(seed: u64, duration_s: f64, arrivals: Value) -> Vec<Request> {
    all(&open(&scenario(seed, json!(duration_s), one_class(arrivals)), Path::new("")))
}

/// A folder with files of a test.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn trace_error(content: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.csv"), content).unwrap();
    let s = scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } })));
    let e = Workload::open(&s, dir.path(), catalog()).expect_err("a bad trace");
    assert_eq!(e.field, "workload.classes.0.arrivals.trace.path");
    let text = e.to_string();
    let shown = dir.path().join("t.csv").display().to_string();
    assert!(text.contains(&shown), "{text}");
    text.replace(&shown, "t.csv")
}

// ---- arrivals ----

#[test]
fn a_constant_rate_does_not_drift() {
    let third = arrivals::Constant::new(3.0);
    assert_eq!(third.instant(1), Some(333_333_333_333_333));
    assert_eq!(third.instant(2), Some(666_666_666_666_667));
    let k = 1_000_000_000_u64;
    assert_eq!(third.instant(k), Some((i128::from(k) * FS_PER_S + 1) / 3));
    assert_eq!(third.instant(3 * k), Some(i128::from(k) * FS_PER_S));
    // A decimal rate means that decimal, not the nearest binary fraction.
    assert_eq!(arrivals::Constant::new(0.1).instant(k), Some(i128::from(10 * k) * FS_PER_S));
    assert_eq!(arrivals::Constant::new(0.7).instant(7 * k), Some(i128::from(10 * k) * FS_PER_S));
    // Beyond what fits there is no instant, and no panic.
    assert_eq!(arrivals::Constant::new(1e-15).instant(u64::MAX), None);
    // The first after one gap, the last at the very end.
    let r = run(1, 2.0, json!({ "constant": { "rate_per_s": 2.5 } }));
    let at: Vec<i128> = r.iter().map(|r| r.arrival_fs / (FS_PER_S / 10)).collect();
    assert_eq!(at, [4, 8, 12, 16, 20]);
}

#[test]
fn poisson_gaps_are_exponential() {
    let r = run(7, 2000.0, json!({ "poisson": { "rate_per_s": 100 } }));
    // 200,000 ± 447: within 4 standard deviations.
    assert!(r.len().abs_diff(200_000) < 1800, "{}", r.len());
    let mut before = 0;
    let gaps: Vec<f64> = r
        .iter()
        .map(|r| {
            let gap = fs_to_seconds(r.arrival_fs - before) * 100.0;
            before = r.arrival_fs;
            gap
        })
        .collect();
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let var = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n;
    // Standard errors of mean and variance of unit exponentials: 1/√n and √(8/n).
    assert!((mean - 1.0).abs() < 4.0 / n.sqrt(), "{mean}");
    assert!((var - 1.0).abs() < 4.0 * (8.0 / n).sqrt(), "{var}");
    // Kolmogorov–Smirnov distance to 1 − e^−x, and no correlation between neighbours.
    let mut sorted = gaps.clone();
    sorted.sort_by(f64::total_cmp);
    let d =
        sorted.iter().enumerate().map(|(i, g)| (1.0 - (-g).exp() - i as f64 / n).abs()).fold(0.0, f64::max);
    assert!(d * n.sqrt() < 1.95, "{d}");
    let lag: f64 = gaps.windows(2).map(|w| (w[0] - 1.0) * (w[1] - 1.0)).sum::<f64>() / n;
    assert!(lag.abs() < 4.0 / n.sqrt(), "{lag}");
}

/// Gaps between requests, the first from t = 0 [s].
fn gaps_of(r: &[Request]) -> Vec<f64> {
    let mut before = 0;
    r.iter().map(|r| fs_to_seconds(r.arrival_fs - std::mem::replace(&mut before, r.arrival_fs))).collect()
}

#[test]
fn gamma_gaps_have_their_mean_and_variation() {
    for cv in [0.5, 1.0, 3.0] {
        let r = run(11, 4000.0, json!({ "gamma": { "rate_per_s": 50, "cv": cv } }));
        let gaps = &gaps_of(&r)[1..];
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let var = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n;
        assert!((50.0 * mean - 1.0).abs() < 4.0 * cv / n.sqrt(), "cv {cv}: mean gap {mean} s");
        // Fourth moment of a gamma: kurtosis 3 + 6·cv², so that the variance's relative error is √((2 + 6·cv²)/n).
        let off = var / (mean * mean) / (cv * cv) - 1.0;
        assert!(off.abs() < 4.0 * ((2.0 + 6.0 * cv * cv) / n).sqrt(), "cv {cv}: off by {off}");
    }
}

#[test]
fn gamma_gaps_at_cv_1_are_exponential_in_distribution() {
    let mut gaps = gaps_of(&run(7, 2000.0, json!({ "gamma": { "rate_per_s": 100, "cv": 1 } })));
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    let d = gaps.iter().enumerate().map(|(i, g)| (1.0 - (-100.0 * g).exp() - i as f64 / n).abs());
    let d = d.fold(0.0, f64::max);
    assert!(d * n.sqrt() < 1.95, "{d}");
}

#[test]
fn gamma_arrivals_are_stationary_from_the_start_on() {
    // Started with a whole gap, the process would be (cv² − 1)/2 = 4 requests ahead for the rest of the run, and
    // far ahead of rate·t early on: here 20 are expected in the first 2 s.
    let counts: Vec<f64> = (0..2000)
        .map(|seed| run(seed, 2.0, json!({ "gamma": { "rate_per_s": 10, "cv": 3 } })).len() as f64)
        .collect();
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<f64>() / n;
    let sd = (counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n).sqrt();
    assert!((mean - 20.0).abs() < 3.5 * sd / n.sqrt(), "{mean} ± {}", sd / n.sqrt());
    assert!(3.5 * sd / n.sqrt() < 2.0, "the test can tell 24 from 20");
}

/// χ² of counts against expectations.
fn chi2(counts: &[f64], expected: &[f64]) -> f64 {
    counts.iter().zip(expected).map(|(c, e)| (c - e).powi(2) / e).sum()
}

#[test]
fn a_day_follows_its_cosine_hour_by_hour_for_weeks() {
    for (peak_to_mean, start_at_h) in [(1.5, 0.0), (2.0, 9.5)] {
        let mut s = scenario(
            3,
            json!(28 * 86_400),
            one_class(
                json!({ "diurnal": { "mean_per_s": 0.3, "peak_to_mean": peak_to_mean, "peak_at_h": 14 } }),
            ),
        );
        s.start_at_h = start_at_h;
        let w = open(&s, Path::new(""));
        let r = all(&w);
        let hours = 28 * 24;
        let mut counts = vec![0.0; hours];
        for r in &r {
            counts[(r.arrival_fs / (3600 * FS_PER_S)) as usize] += 1.0;
        }
        // The integral by hand, not by the code under test: Simpson's rule over the formula.
        let rate = |h: f64| {
            0.3 * (1.0 + (peak_to_mean - 1.0) * (std::f64::consts::TAU * (h - 14.0) / 24.0).cos()) * 3600.0
        };
        let expected: Vec<f64> = (0..hours)
            .map(|i| {
                let h = start_at_h + i as f64;
                (rate(h) + 4.0 * rate(h + 0.5) + rate(h + 1.0)) / 6.0
            })
            .collect();
        let (x, df) = (chi2(&counts, &expected), hours as f64);
        assert!((x - df).abs() < 4.0 * (2.0 * df).sqrt(), "{x} for {df}");
        // The last week like the first: no drift.
        let (a, b) = (counts[..168].iter().sum::<f64>(), counts[504..].iter().sum::<f64>());
        assert!((a - b).abs() < 4.0 * (a + b).sqrt(), "{a} {b}");
        assert!((w.mix()[0].requests_per_s.unwrap() - 0.3).abs() < 1e-12);
    }
}

#[test]
fn the_day_is_inverted_to_the_femtosecond() {
    // The exponentials are recovered from the arrivals by the integral.
    let mean = 0.01;
    let day = json!({ "diurnal": { "mean_per_s": mean, "peak_to_mean": 1.8, "peak_at_h": 6 } });
    let s = scenario(5, json!(864_000), one_class(day));
    let types::Arrivals::Diurnal(d) = &s.workload.classes[0].arrivals else { unreachable!() };
    let cosine = arrivals::Cosine::open(d, 0.0, "x").unwrap();
    let key = Key::new(5, Purpose::Gap, 0);
    let mut sum = 0.0;
    for (k, r) in all(&open(&s, Path::new(""))).iter().enumerate() {
        let e: f64 = rand::RngExt::sample(&mut key.generator(k as u64), rand_distr::Exp1);
        sum += e;
        let got = cosine.expected(r.arrival_fs);
        assert!((got - sum).abs() < 1e-9 * sum.max(1.0), "request {k}: {got} instead of {sum}");
    }
    assert!(sum > 7000.0);
    // Rare arrivals, many days apart.
    let rare = json!({ "diurnal": { "mean_per_s": 1e-6, "peak_to_mean": 2, "peak_at_h": 0 } });
    let n = run(1, 1e9, rare).len();
    assert!((880..1120).contains(&n), "{n}");
}

#[test]
fn a_rate_curve_is_followed_and_repeats_and_its_zero_stretches_are_empty() {
    let dir = folder(&[("r.csv", "time_s,rate_per_s\n0,20\n10,0\n30,0\n40,5\n")]);
    let curve = json!({ "rate_curve": { "path": "r.csv", "scale": 2 } });
    let w = open(&scenario(1, json!(5_000), one_class(curve)), dir.path());
    let r = all(&w);
    let mut counts = [0.0; 5];
    for r in &r {
        let within = r.arrival_fs % (50 * FS_PER_S);
        counts[(within / (10 * FS_PER_S)) as usize] += 1.0;
    }
    assert_eq!(counts[1..4], [0.0; 3]);
    let x = chi2(&[counts[0], counts[4]], &[40_000.0, 10_000.0]);
    assert!(x < 14.0, "{x}: {counts:?}");
    assert!((w.mix()[0].requests_per_s.unwrap() - 10.0).abs() < 1e-12);
    // Part of a period.
    let curve = json!({ "rate_curve": { "path": "r.csv" } });
    let w = open(&scenario(1, json!(60), one_class(curve)), dir.path());
    assert!((w.mix()[0].requests_per_s.unwrap() - (200.0 + 50.0 + 200.0) / 60.0).abs() < 1e-12);
}

#[test]
fn a_rate_curve_with_one_row_is_a_poisson_process_and_zero_rates_offer_nothing() {
    let dir =
        folder(&[("one.csv", "time_s,rate_per_s\n0,50\n"), ("zero.csv", "time_s,rate_per_s\n0,0\n60,0\n")]);
    let of = |path: &str| {
        let curve = json!({ "rate_curve": { "path": path } });
        all(&open(&scenario(1, json!(100), one_class(curve)), dir.path()))
    };
    let poisson = run(1, 100.0, json!({ "poisson": { "rate_per_s": 50 } }));
    let curve = of("one.csv");
    assert_eq!(curve.len(), poisson.len());
    assert!(curve.iter().zip(&poisson).all(|(a, b)| a.arrival_fs.abs_diff(b.arrival_fs) < 10_000));
    assert!(of("zero.csv").is_empty());
    for none in [
        json!({ "constant": { "rate_per_s": 0 } }),
        json!({ "poisson": { "rate_per_s": 0 } }),
        json!({ "diurnal": { "mean_per_s": 0, "peak_to_mean": 1.5, "peak_at_h": 0 } }),
        json!({ "closed_loop": { "in_flight": 0 } }),
    ] {
        assert!(run(1, 100.0, none).is_empty());
    }
}

#[test]
fn closed_loops_start_at_zero_and_replace_until_the_end() {
    let classes = json!([
        { "name": "a", "arrivals": { "poisson": { "rate_per_s": 1 } } },
        { "name": "b", "arrivals": { "closed_loop": { "in_flight": 3 } } },
    ]);
    let w = open(&scenario(1, json!(10), classes), Path::new(""));
    assert_eq!(w.mix()[1].requests_per_s, None);
    let mut s = w.stream().unwrap();
    for i in 0..3 {
        let r = s.next().unwrap().unwrap();
        assert_eq!((r.index, r.class, r.arrival_fs), (i, 1, 0));
    }
    assert!(s.peek_fs().unwrap() > 0);
    let r = s.replace(1, FS_PER_S).unwrap();
    assert_eq!((r.index, r.class, r.arrival_fs), (3, 1, FS_PER_S));
    assert_eq!(s.next().unwrap().unwrap().index, 4);
    assert!(s.replace(1, 10 * FS_PER_S).is_some());
    assert_eq!(s.replace(1, 10 * FS_PER_S + 1), None);
    assert_eq!(s.replace(0, FS_PER_S), None);
    assert_eq!(s.replace(9, FS_PER_S), None);
    assert!(s.is_closed_loop(1) && !s.is_closed_loop(0) && !s.is_closed_loop(9));
}

#[test]
fn classes_are_merged_by_time_then_number_and_do_not_disturb_each_other() {
    let c =
        |name: &str, rate: f64| json!({ "name": name, "arrivals": { "constant": { "rate_per_s": rate } } });
    let p = |name: &str| json!({ "name": name, "arrivals": { "poisson": { "rate_per_s": 5 } } });
    let both = all(&open(&scenario(1, json!(50), json!([c("a", 2.0), c("b", 4.0), p("c")])), Path::new("")));
    assert!(both.windows(2).all(|w| (w[0].arrival_fs, w[0].class) <= (w[1].arrival_fs, w[1].class)));
    let strip = |r: &[Request], class: u16| -> Vec<Request> {
        r.iter().filter(|r| r.class == class).map(|r| Request { index: 0, ..*r }).collect()
    };
    let changed = all(&open(&scenario(1, json!(50), json!([p("x"), c("y", 3.0), p("z")])), Path::new("")));
    assert_eq!(strip(&both, 2), strip(&changed, 2));
    assert_ne!(strip(&both, 0), strip(&changed, 0));
}

// ---- common random numbers and lengths ----

fn lengths_and_route(r: &[Request]) -> Vec<(u32, u32, u64)> {
    r.iter().map(|r| (r.prompt_tok, r.output_tok, r.route_bits)).collect()
}

#[test]
fn a_changed_rate_keeps_lengths_and_a_changed_length_keeps_arrivals() {
    let w = |rate: f64, answer: Value, seed: u64| {
        all(&open(
            &scenario(
                seed,
                json!(100),
                json!([{
                    "name": "chat",
                    "arrivals": { "poisson": { "rate_per_s": rate } },
                    "lengths": { "answer": answer },
                }]),
            ),
            Path::new(""),
        ))
    };
    let answer = json!({ "lognormal": { "mean_tok": 355, "sigma": 1.1 } });
    let slow = w(10.0, answer.clone(), 1);
    let fast = w(20.0, answer.clone(), 1);
    assert!(fast.len() > slow.len());
    assert_eq!(lengths_and_route(&slow), lengths_and_route(&fast)[..slow.len()]);
    let other = w(10.0, json!({ "exponential": { "mean_tok": 99 } }), 1);
    assert_eq!(slow.len(), other.len());
    for (a, b) in slow.iter().zip(&other) {
        assert_eq!((a.arrival_fs, a.prompt_tok, a.route_bits), (b.arrival_fs, b.prompt_tok, b.route_bits));
    }
    assert_ne!(lengths_and_route(&slow), lengths_and_route(&w(10.0, answer, 2))[..]);
}

#[test]
fn lengths_have_the_moments_they_are_given() {
    let of = |length: Value| {
        let class = json!([{
            "name": "chat",
            "arrivals": { "constant": { "rate_per_s": 1000 } },
            "lengths": { "prompt": length, "answer": { "constant": { "tok": 7 } } },
        }]);
        let w = open(&scenario(1, json!(100), class), Path::new(""));
        let v: Vec<f64> = all(&w).iter().map(|r| f64::from(r.prompt_tok)).collect();
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        let sd = (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let max = v.iter().copied().fold(0.0, f64::max);
        (mean, sd, max, w.mix()[0])
    };
    // Rounding up adds half a token.
    let (mean, sd, _, mix) = of(json!({ "exponential": { "mean_tok": 300 } }));
    assert!((mean - 300.5).abs() < 4.0 * 300.0 / 316.0, "{mean}");
    assert!((sd - 300.0).abs() < 8.0, "{sd}");
    assert_eq!((mix.n, mix.mean_output_tok, mix.mean_output_sq), (16_384, 7.0, 49.0));
    assert!((mix.mean_prompt_tok - 300.5).abs() < 4.0 * 300.0 / 128.0);
    assert!((mix.mean_prompt_times_output - 7.0 * mix.mean_prompt_tok).abs() < 1e-9);
    let sigma: f64 = 0.8;
    let (mean, sd, _, _) = of(json!({ "lognormal": { "mean_tok": 1000, "sigma": sigma } }));
    let want = 1000.0 * ((sigma * sigma).exp() - 1.0).sqrt();
    assert!((mean - 1000.5).abs() < 4.0 * want / 316.0, "{mean}");
    assert!((sd / want - 1.0).abs() < 0.05, "{sd} {want}");
    let (_, _, max, _) = of(json!({ "lognormal": { "mean_tok": 1000, "sigma": 1.1, "max_tok": 1500 } }));
    assert_eq!(max, 1500.0);
    let (mean, sd, _, _) = of(json!({ "lognormal": { "mean_tok": 64, "sigma": 0 } }));
    assert!((64.0..=65.0).contains(&mean) && sd == 0.0, "{mean} {sd}");
}

#[test]
fn empirical_lengths_come_from_the_rows() {
    let dir = folder(&[("l.csv", "id,tok\na,3\nb,7.2\nc,100\n")]);
    let class = |file: &str, column: &str| {
        let e = json!({ "empirical": { "path": file, "column": column } });
        json!([{
            "name": "chat",
            "arrivals": { "constant": { "rate_per_s": 3000 } },
            "lengths": { "prompt": e, "answer": e },
        }])
    };
    let r = all(&open(&scenario(1, json!(10), class("l.csv", "tok")), dir.path()));
    let mut joint = std::collections::BTreeMap::new();
    for r in &r {
        *joint.entry((r.prompt_tok, r.output_tok)).or_insert(0.0) += 1.0;
    }
    // Three by three, drawn independently.
    assert_eq!(joint.keys().map(|k| k.0).collect::<std::collections::BTreeSet<_>>(), [3, 8, 100].into());
    let x = chi2(&joint.values().copied().collect::<Vec<f64>>(), &[30_000.0 / 9.0; 9]);
    assert!(joint.len() == 9 && x < 27.0, "{x}");
    let e =
        Workload::open(&scenario(1, json!(10), class("l.csv", "tokens")), dir.path(), catalog()).unwrap_err();
    assert!(e.to_string().ends_with("l.csv:1:1: there is no column `tokens`; the header is `id,tok`"), "{e}");
}

// ---- traces ----

const OWN_TRACE: &str = "arrival_s,prompt_tok,output_tok\n0.5,10,20\n1,11,21\n1,12,22\n2.25,13,23\n";

#[test]
fn a_trace_is_replayed_as_it_is() {
    let dir = folder(&[("t.csv", OWN_TRACE)]);
    let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    assert_eq!(w.duration_fs(), 2_250_000_000_000_000);
    let got: Vec<(i128, u32, u32)> =
        all(&w).iter().map(|r| (r.arrival_fs / 10_i128.pow(12), r.prompt_tok, r.output_tok)).collect();
    assert_eq!(got, [(500, 10, 20), (1000, 11, 21), (1000, 12, 22), (2250, 13, 23)]);
    let m = w.mix()[0];
    assert_eq!((m.n, m.mean_prompt_tok, m.mean_output_tok), (4, 11.5, 21.5));
    assert_eq!(m.mean_prompt_times_output, (200.0 + 231.0 + 264.0 + 299.0) / 4.0);
    assert_eq!(m.mean_output_sq, (400.0 + 441.0 + 484.0 + 529.0) / 4.0);
    assert_eq!(m.requests_per_s, Some(4.0 / 2.25));
    assert!(w.notes().is_empty());
    // A shorter run says what it leaves out; the row at its very end is inside.
    let w = open(&scenario(1, json!(1), one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    assert_eq!(all(&w).len(), 3);
    assert_eq!(w.mix()[0].requests_per_s, Some(3.0));
    assert!(w.notes()[0].contains("1 of 4 rows of class `chat` arrive after duration_s"), "{:?}", w.notes());
}

#[test]
fn crlf_quotes_blanks_bom_blank_lines_order_of_columns_and_unused_columns() {
    let text = "\u{feff}output_tok,\"arrival_s\", session ,prompt_tok\r\n\r\n20,\"0.5\",\"a,\"\"b\"\"\", 10 \r\n21.0,1e0,x,11";
    let dir = folder(&[("t.csv", text)]);
    let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    let got: Vec<(i128, u32, u32)> =
        all(&w).iter().map(|r| (r.arrival_fs, r.prompt_tok, r.output_tok)).collect();
    assert_eq!(got, [(FS_PER_S / 2, 10, 20), (FS_PER_S, 11, 21)]);
    assert!(w.notes()[0].ends_with("t.csv: column not used: session"), "{:?}", w.notes());
}

#[test]
fn a_class_column_selects_rows() {
    let text = "arrival_s,prompt_tok,output_tok,class\n0,1,1,chat\n1,2,2,code\n2,3,3,chat\n";
    let dir = folder(&[("t.csv", text)]);
    let c = |name: &str| json!({ "name": name, "arrivals": { "trace": { "path": "t.csv" } } });
    let w = open(&scenario(1, Value::Null, json!([c("chat"), c("code")])), dir.path());
    let got: Vec<(u16, u32)> = all(&w).iter().map(|r| (r.class, r.prompt_tok)).collect();
    assert_eq!(got, [(0, 1), (1, 2), (0, 3)]);
    let e =
        Workload::open(&scenario(1, Value::Null, json!([c("maths")])), dir.path(), catalog()).unwrap_err();
    let text = e.to_string();
    assert!(text.contains("has no row of class `maths`") && text.ends_with("`chat`, `code`"), "{text}");
}

#[test]
fn speed_up_divides_times_exactly_and_the_duration_covers_the_last_request() {
    let dir = folder(&[("t.csv", OWN_TRACE)]);
    let of = |speed_up: f64| {
        let t = json!({ "trace": { "path": "t.csv", "speed_up": speed_up } });
        let w = open(&scenario(1, Value::Null, one_class(t)), dir.path());
        (w.duration_fs(), all(&w).iter().map(|r| r.arrival_fs).collect::<Vec<_>>())
    };
    assert_eq!(of(2.0).1, [250, 500, 500, 1125].map(|ms| ms * 10_i128.pow(12)));
    assert_eq!(of(0.1).1, [5_000, 10_000, 10_000, 22_500].map(|ms| ms * 10_i128.pow(12)));
    let (duration, at) = of(7.0);
    // 2.25 s / 7 = 0.321428571428571(43) s; up to the next microsecond.
    assert_eq!(at[3], 321_428_571_428_571);
    assert_eq!(duration, 321_429 * 10_i128.pow(9));
    assert_eq!(at.len(), 4);
}

#[test]
fn scale_copies_and_thins_rows_by_their_own_draw() {
    let mut text = String::from("arrival_s,prompt_tok,output_tok\n");
    for i in 0..10_000 {
        text += &format!("{},{},5\n", i, i + 1);
    }
    let dir = folder(&[("t.csv", &text)]);
    let of = |scale: f64| {
        let t = json!({ "trace": { "path": "t.csv", "scale": scale } });
        let w = open(&scenario(1, Value::Null, one_class(t)), dir.path());
        let offered = w.mix()[0].requests_per_s.unwrap() * 9_999.0;
        assert!((offered - 10_000.0 * scale).abs() < 1e-6);
        all(&w)
    };
    let half: Vec<u32> = of(0.5).iter().map(|r| r.prompt_tok).collect();
    assert!(half.len().abs_diff(5_000) < 200, "{}", half.len());
    let more = of(2.5);
    // 2.5 is two of each, and a third of the same rows that 0.5 keeps.
    assert_eq!(more.len(), 20_000 + half.len());
    let thrice: Vec<u32> = (0..more.len())
        .filter(|&i| i >= 2 && more[i].prompt_tok == more[i - 2].prompt_tok)
        .map(|i| more[i].prompt_tok)
        .collect();
    assert_eq!(thrice, half);
    assert!(more.windows(2).all(|w| w[0].route_bits != w[1].route_bits));
    // A higher share keeps all that a lower share keeps.
    let most: Vec<u32> = of(0.75).iter().map(|r| r.prompt_tok).collect();
    assert!(half.iter().all(|p| most.binary_search(p).is_ok()) && most.len() > half.len());
    assert_eq!(of(3.0).len(), 30_000);
    assert!(of(0.0).is_empty());
}

#[test]
fn azure_stamps_are_relative_to_the_first_row() {
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                2023-11-30 23:59:59.9000000,374,44\n2023-12-01 00:00:00.1000001,396,109\n";
    let dir = folder(&[("t.csv", text)]);
    let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    let r = all(&w);
    assert_eq!((r[0].arrival_fs, r[1].arrival_fs), (0, 200_000_100_000_000));
    assert_eq!(w.duration_fs(), 200_001 * 10_i128.pow(9));
}

#[test]
fn records_of_a_served_trace_are_replayed() {
    let text = "request_id,arrival_s,input_tokens,output_tokens,measured_ttft_s\na,0.5,374,44,0.1\nb,0.7,396,109,0.2\n";
    let dir = folder(&[("t.csv", text)]);
    let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    let r = all(&w);
    assert_eq!((r[0].arrival_fs, r[1].arrival_fs), (500_000_000_000_000, 700_000_000_000_000));
    assert_eq!((r[1].prompt_tok, r[1].output_tok), (396, 109));
}

#[test]
fn errors_in_rows_name_line_and_column() {
    let mut text = String::from("arrival_s,prompt_tok,output_tok\n");
    for i in 0..12_344 {
        text += &format!("{i}.5,100,200\n");
    }
    // Row 12,345 stands on line 12,346.
    let with = |row: &str| trace_error(format!("{text}{row}\n99999,1,1\n").as_bytes());
    let cases = [
        ("x,100,200", "1: `arrival_s` = `x` is not a number; times are seconds from the start of the run"),
        ("-1,100,200", "1: `arrival_s` = `-1` is negative; times are seconds from the start of the run"),
        (
            "1e15,100,200",
            "1: `arrival_s` = `1e15` is beyond 1000000000000 s; times are seconds from the start of the run",
        ),
        (
            "12343.4,100,200",
            "1: `arrival_s` = `12343.4` is earlier than the row before it (12343.5 s); sort the rows by time",
        ),
        ("20000,,200", "7: `prompt_tok` is empty"),
        ("20000,abc,200", "7: `prompt_tok` = `abc` is not a number of tokens"),
        ("20000,0,200", "7: `prompt_tok` = `0` is zero; tokens are at least 1 (leave such rows out)"),
        ("20000,100,-5", "11: `output_tok` = `-5` is negative; tokens are at least 1"),
        ("20000,100,2.5", "11: `output_tok` = `2.5` is not a whole number of tokens"),
        ("20000,100,10000001", "11: `output_tok` = `10000001` is more than 10000000 tokens"),
        (
            "20000,100,99999999999999999999999999999999999999999",
            "11: `output_tok` = `9999999999999999999999999999999999999999…` is more than 10000000 tokens",
        ),
        ("20000,100", "1: the row has 2 fields, the header 3"),
        ("20000,100,1,1", "1: the row has 4 fields, the header 3"),
        ("20000,\"100,1", "7: a quote opens here and does not close on this line"),
    ];
    for (row, want) in cases {
        assert_eq!(with(row), format!("t.csv:12346:{want}"));
    }
}

#[test]
fn errors_in_azure_rows_and_headers() {
    let header = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n";
    let e = trace_error(format!("{header}2023-11-16 18:15:46.5,1,1\n").as_bytes());
    assert_eq!(
        e,
        "t.csv:3:1: `TIMESTAMP` = `2023-11-16 18:15:46.5` is 0.18 s earlier than the row before it; sort the rows by time"
    );
    let e = trace_error(format!("{header}2023-02-29 18:15:46,1,1\n").as_bytes());
    assert!(e.starts_with("t.csv:3:1: `TIMESTAMP` = `2023-02-29 18:15:46` is not a time stamp like"), "{e}");
    let e = trace_error(b"time,input,output\n1,2,3\n");
    assert_eq!(
        e,
        "t.csv:1:1: the header `time,input,output` is of no known trace; known are \
         `TIMESTAMP,ContextTokens,GeneratedTokens` (azure), `arrival_s,input_tokens,output_tokens` (served), \
         `arrival_s,prompt_tok,output_tok[,class,difficulty,thinking_tok]` (wattmill), \
         `timestamp,input_length,output_length` (mooncake), `Timestamp,Request tokens,Response tokens` (burstgpt), \
         and mooncake's JSON Lines"
    );
    let e = trace_error(b"arrival_s,prompt,output_tok\n1,2,3\n");
    assert_eq!(e, "t.csv:1:1: there is no column `prompt_tok`; the header is `arrival_s,prompt,output_tok`");
    let e = trace_error(b"arrival_s,prompt_tok,prompt_tok,output_tok\n1,2,3,4\n");
    assert_eq!(e, "t.csv:1:22: the column `prompt_tok` appears twice");
    assert!(trace_error(b"arrival_s,prompt_tok,output_tok\n\n").ends_with("t.csv: has a header but no rows"));
    assert!(trace_error(b"").ends_with("t.csv: is empty; a CSV with a header is needed"));
}

#[test]
fn what_is_no_table_is_refused_fast() {
    let key = Key::new(1, Purpose::Gap, 0);
    let garbage: Vec<u8> = (0..20_000).flat_map(|i| key.bits(i).to_le_bytes()).collect();
    let e = trace_error(&garbage);
    assert!(e.starts_with("t.csv:1:1: "), "{e}");
    let e = trace_error(&[b"a".repeat(65_537), b"\n1\n".to_vec()].concat());
    assert!(e.contains("t.csv:1:1: the line is longer than 65536 bytes"), "{e}");
    // A good beginning, then no line end any more.
    let long = [b"arrival_s,prompt_tok,output_tok\n1,1,1\n".to_vec(), b"7".repeat(300_000)].concat();
    assert!(trace_error(&long).contains("t.csv:3:1: the line is longer than 65536 bytes"));
    // The longest line that is allowed.
    let edge =
        [b"arrival_s,prompt_tok,output_tok\n1,1,".to_vec(), b"7".repeat(65_532), b"\n".to_vec()].concat();
    assert!(trace_error(&edge).contains("is more than 10000000 tokens"));
    // 200 MB of zeros (a sparse file), a broken gzip, a folder, nothing.
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("big.csv")).unwrap();
    file.set_len(200_000_000).unwrap();
    std::fs::write(dir.path().join("broken.csv.gz"), [0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let start = Instant::now();
    for (path, want) in [
        ("big.csv", "big.csv:1:1: the line is longer"),
        ("broken.csv.gz", "broken.csv.gz:1:1: the file cannot be read on from here"),
        (".", "is not a regular file"),
        ("none.csv", "none.csv: cannot be opened: "),
    ] {
        let s = scenario(1, Value::Null, one_class(json!({ "trace": { "path": path } })));
        let e = Workload::open(&s, dir.path(), catalog()).unwrap_err().to_string();
        assert!(e.contains(want), "{e}");
    }
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn errors_in_rate_curves() {
    for (text, want) in [
        (
            "time_s,rate_per_s\n5,1\n",
            "r.csv:2:1: `time_s` = `5` must be 0: the curve starts where the run starts",
        ),
        (
            "time_s,rate_per_s\n0,1\n0,2\n",
            "r.csv:3:1: `time_s` = `0` is not later than the row before it (0 s)",
        ),
        (
            "time_s,rate_per_s\n0,1\n9,-1\n",
            "r.csv:3:3: `rate_per_s` = `-1` is negative; a rate is at least 0 per second",
        ),
        (
            "time_s,rate_per_s\n0,nan\n",
            "r.csv:2:3: `rate_per_s` = `nan` is not a number of arrivals per second",
        ),
        (
            "time_s,rate_per_s\n0,1e12\n",
            "r.csv:2:3: `rate_per_s` = `1e12` (times scale) is above 1000000000 per second",
        ),
        ("time_s,rate\n0,1\n", "r.csv:1:1: there is no column `rate_per_s`; the header is `time_s,rate`"),
        ("time_s,rate_per_s\n", "r.csv: has a header but no rows"),
    ] {
        let dir = folder(&[("r.csv", text)]);
        let s = scenario(1, json!(10), one_class(json!({ "rate_curve": { "path": "r.csv" } })));
        let e = Workload::open(&s, dir.path(), catalog()).unwrap_err().to_string();
        assert!(e.ends_with(want), "{e}");
    }
}

#[test]
fn errors_in_the_scenario_name_the_field() {
    let dir = folder(&[("t.csv", OWN_TRACE), ("zero.csv", "arrival_s,prompt_tok,output_tok\n0,1,1\n")]);
    let trace = |extra: Value| {
        let mut t = json!({ "path": "t.csv" });
        t.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        one_class(json!({ "trace": t }))
    };
    let with_lengths = |length: Value| json!([{ "name": "a", "arrivals": { "poisson": { "rate_per_s": 1 } }, "lengths": { "answer": length } }]);
    let mut both = trace(json!({}));
    both[0]["lengths"] = json!({});
    let p = "workload.classes.0.";
    for (duration, classes, field) in [
        (json!(10), json!([]), "workload.classes".to_string()),
        (Value::Null, one_class(json!({ "poisson": { "rate_per_s": 1 } })), "duration_s".into()),
        (Value::Null, trace(json!({ "path": "zero.csv" })), "duration_s".into()),
        (json!(0), trace(json!({})), "duration_s".into()),
        (json!(-5), trace(json!({})), "duration_s".into()),
        (json!(1e13), trace(json!({})), "duration_s".into()),
        (
            json!(10),
            one_class(json!({ "poisson": { "rate_per_s": -1 } })),
            format!("{p}arrivals.poisson.rate_per_s"),
        ),
        (
            json!(10),
            one_class(json!({ "constant": { "rate_per_s": 1e10 } })),
            format!("{p}arrivals.constant.rate_per_s"),
        ),
        (
            json!(10),
            one_class(json!({ "closed_loop": { "in_flight": 1_000_000_000 } })),
            format!("{p}arrivals.closed_loop.in_flight"),
        ),
        (
            json!(10),
            one_class(json!({ "diurnal": { "mean_per_s": 1, "peak_to_mean": 2.5, "peak_at_h": 1 } })),
            format!("{p}arrivals.diurnal.peak_to_mean"),
        ),
        (
            json!(10),
            one_class(json!({ "diurnal": { "mean_per_s": 1, "peak_to_mean": 1.5, "peak_at_h": 25 } })),
            format!("{p}arrivals.diurnal.peak_at_h"),
        ),
        (json!(10), trace(json!({ "scale": -1 })), format!("{p}arrivals.trace.scale")),
        (json!(10), trace(json!({ "speed_up": 0 })), format!("{p}arrivals.trace.speed_up")),
        (json!(10), both, format!("{p}lengths")),
        (
            json!(10),
            with_lengths(json!({ "constant": { "tok": 0 } })),
            format!("{p}lengths.answer.constant.tok"),
        ),
        (
            json!(10),
            with_lengths(json!({ "exponential": { "mean_tok": 0 } })),
            format!("{p}lengths.answer.exponential.mean_tok"),
        ),
        (
            json!(10),
            with_lengths(json!({ "lognormal": { "mean_tok": 5, "sigma": -1 } })),
            format!("{p}lengths.answer.lognormal.sigma"),
        ),
        (
            json!(10),
            with_lengths(json!({ "lognormal": { "mean_tok": 5, "sigma": 1, "max_tok": 0 } })),
            format!("{p}lengths.answer.lognormal.max_tok"),
        ),
    ] {
        let e = Workload::open(&scenario(1, duration, classes), dir.path(), catalog()).unwrap_err();
        assert_eq!(e.field, field, "{e}");
        assert!(e.to_string().starts_with(&field), "{e}");
    }
    let mut s = scenario(1, json!(f64::MAX), trace(json!({})));
    for bad in [f64::NAN, f64::INFINITY] {
        s.duration_s = Some(bad);
        assert_eq!(Workload::open(&s, dir.path(), catalog()).unwrap_err().field, "duration_s");
    }
}

#[test]
fn gzip_equals_plain_and_a_cut_gzip_is_an_error() {
    use std::io::Write;
    let dir = folder(&[("t.csv", OWN_TRACE)]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(OWN_TRACE.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    std::fs::write(dir.path().join("t.csv.gz"), &gz).unwrap();
    std::fs::write(dir.path().join("cut.csv.gz"), &gz[..gz.len() - 12]).unwrap();
    let of = |path: &str| {
        let s = scenario(1, Value::Null, one_class(json!({ "trace": { "path": path } })));
        Workload::open(&s, dir.path(), catalog()).map(|w| all(&w))
    };
    assert_eq!(of("t.csv"), of("t.csv.gz"));
    assert_eq!(of("t.csv").unwrap().len(), 4);
    assert!(of("cut.csv.gz").unwrap_err().message.contains("cannot be read on"));
}

#[test]
fn a_trace_that_changes_after_the_check_is_an_error_of_the_stream() {
    let dir = folder(&[("t.csv", OWN_TRACE)]);
    let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    std::fs::write(dir.path().join("t.csv"), OWN_TRACE.replace("12,22", "12,x")).unwrap();
    let mut s = w.stream().unwrap();
    assert!(s.next().is_ok());
    assert_eq!(s.next().unwrap_err().line, Some(4));
}

#[test]
fn a_long_line_at_every_offset_of_the_buffer() {
    // Lines of many lengths, so that every kind of break at the buffer's end occurs.
    let mut text = String::from("arrival_s,prompt_tok,output_tok,pad\n");
    for i in 0..400_usize {
        text += &format!("{i},{},{},{}\n", i + 1, 2 * i + 1, "p".repeat((i * 7919) % 65_000));
    }
    let dir = folder(&[("t.csv", &text)]);
    let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    let got: Vec<(u32, u32)> = all(&w).iter().map(|r| (r.prompt_tok, r.output_tok)).collect();
    let want: Vec<(u32, u32)> = (0..400).map(|i| (i + 1, 2 * i + 1)).collect();
    assert_eq!(got, want);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// Whatever the bytes: an answer or an error, and what is accepted is sound.
    #[test]
    fn no_bytes_make_a_trace_panic(
        azure in proptest::bool::ANY,
        edits in proptest::collection::vec((0_usize..200, 0_usize..24), 0..6),
    ) {
        let pieces: [&[u8]; 24] = [
            b"\"", b",", b"\n", b"\r", b"-", b"+", b".", b"e", b"9", b"0", b" ", b"\0", b"\xff", b"\xc3", b"T", b"Z",
            b"99999999999999999999", b"1e400", b"nan", b"\"\"", b"class", b"2023-02-30", b"\xef\xbb\xbf", b":",
        ];
        let mut bytes = if azure {
            b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16T18:15:50Z,396,109\n".to_vec()
        } else {
            b"arrival_s,prompt_tok,output_tok,class\n0.5,10,20,chat\n1.25,11,21,chat\n2e1,13,23.0,\"chat\"\n".to_vec()
        };
        for (at, piece) in edits {
            let at = at % (bytes.len() + 1);
            // Even places insert, odd ones overwrite.
            let end = if at % 2 == 0 { at } else { (at + pieces[piece].len()).min(bytes.len()) };
            bytes.splice(at..end, pieces[piece].iter().copied());
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("t.csv"), &bytes).unwrap();
        let s = scenario(1, json!(100), one_class(json!({ "trace": { "path": "t.csv" } })));
        match Workload::open(&s, dir.path(), catalog()) {
            Ok(w) => {
                let r = all(&w);
                assert!(r.windows(2).all(|w| w[0].arrival_fs <= w[1].arrival_fs));
                assert!(r.iter().all(|r| r.prompt_tok >= 1 && r.output_tok >= 1 && r.arrival_fs <= w.duration_fs()));
            }
            Err(e) => assert!(!e.to_string().is_empty()),
        }
    }
}

// ---- the public and the synthetic traces ----

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn totals_of_the_public_azure_traces() {
    let dir = root().join("../shared/data/traces");
    for (file, rows, prompt, output) in [
        ("AzureLLMInferenceTrace2023_conv.csv", 19_366, 22_361_870_u64, 4_088_665_u64),
        ("AzureLLMInferenceTrace2023_code.csv", 8_819, 18_059_974, 245_896),
    ] {
        if !dir.join(file).exists() {
            eprintln!("SKIPPED: the public trace {file} is not on this machine");
            continue;
        }
        let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": file } }))), &dir);
        let r = all(&w);
        assert_eq!(r.len(), rows);
        assert_eq!(r.iter().map(|r| u64::from(r.prompt_tok)).sum::<u64>(), prompt);
        assert_eq!(r.iter().map(|r| u64::from(r.output_tok)).sum::<u64>(), output);
        assert_eq!(w.mix()[0].n as usize, rows);
        assert!((3400.0..3600.0).contains(&fs_to_seconds(w.duration_fs())));
    }
}

const COMMITTED: SynthOptions<'static> =
    SynthOptions { requests: Some(6_000), duration_s: None, seed: 1, stop: None };

/// A trace of the preset whose file is committed.
fn write_conversation(path: &Path, options: &SynthOptions) -> Result<super::synth::Synthesised, TraceError> {
    write_trace(path, Preset::Azure2023Conversation, options)
}

#[test]
fn the_committed_trace_is_what_the_generator_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("again.csv");
    write_conversation(&path, &COMMITTED).unwrap();
    let again = std::fs::read_to_string(&path).unwrap();
    let committed = std::fs::read_to_string(root().join("traces/azure-2023-conversation-synth.csv")).unwrap();
    assert!(again == committed.replace("\r\n", "\n"), "the generator changed: write the trace again");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file remains");
    // Packed, another seed, a place that cannot be written.
    write_conversation(&dir.path().join("again.csv.gz"), &COMMITTED).unwrap();
    let of = |p: &str| {
        all(&open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": p } }))), dir.path()))
    };
    assert_eq!(of("again.csv"), of("again.csv.gz"));
    write_conversation(&path, &SynthOptions { seed: 2, ..COMMITTED }).unwrap();
    assert_ne!(again, std::fs::read_to_string(&path).unwrap());
    let e = write_conversation(&dir.path().join("no/where.csv"), &COMMITTED).unwrap_err();
    assert!(e.to_string().contains("where.csv: cannot be written"), "{e}");
    let e = write_conversation(&path, &SynthOptions { requests: Some(0), ..COMMITTED }).unwrap_err();
    assert!(matches!(&e, TraceError::Input(e) if e.field == "requests"), "{e}");
    assert_eq!("azure-2023-conversation".parse(), Ok(Preset::Azure2023Conversation));
    let e = "azure-2023-conversatoin".parse::<Preset>().unwrap_err();
    assert!(e.contains("did you mean 'azure-2023-conversation'?"), "{e}");
}

/// Mean, median, p90, p99.
fn summary(values: &mut [u32]) -> [f64; 4] {
    values.sort_unstable();
    let n = values.len();
    let at = |q: f64| f64::from(values[(q * (n - 1) as f64) as usize]);
    [values.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64, at(0.5), at(0.9), at(0.99)]
}

#[test]
fn the_synthetic_trace_has_the_published_statistics() {
    let s = scenario(
        1,
        Value::Null,
        one_class(json!({ "trace": { "path": "traces/azure-2023-conversation-synth.csv" } })),
    );
    let w = open(&s, &root());
    let r = all(&w);
    let mut p: Vec<u32> = r.iter().map(|r| r.prompt_tok).collect();
    let mut o: Vec<u32> = r.iter().map(|r| r.output_tok).collect();
    let (p, o) = (summary(&mut p), summary(&mut o));
    let mut per_10_s = vec![0.0; (w.duration_fs() / (10 * FS_PER_S)) as usize + 1];
    for r in &r {
        per_10_s[(r.arrival_fs / (10 * FS_PER_S)) as usize] += 1.0;
    }
    per_10_s.pop();
    let n = per_10_s.len() as f64;
    let mean = per_10_s.iter().sum::<f64>() / n;
    let fano = per_10_s.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n / mean;
    let m = w.mix()[0];
    println!("prompt {p:?} output {o:?} rate {:?} fano {fano} mix {m:?}", m.requests_per_s);
    // Original: AzureLLMInferenceTrace_conv.csv, 19,366 rows.
    for (got, want) in
        p.iter().zip([1154.7, 1020.0, 2734.0, 4142.0]).chain(o.iter().zip([211.1, 129.0, 424.0, 601.0]))
    {
        assert!((got / want - 1.0).abs() < 0.04, "{got} instead of {want}");
    }
    assert!((m.mean_prompt_times_output / 223_497.0 - 1.0).abs() < 0.05);
    assert!((m.mean_output_sq / 71_100.0 - 1.0).abs() < 0.05);
    assert!((m.requests_per_s.unwrap() / 5.53 - 1.0).abs() < 0.04);
    assert!((2.5..5.0).contains(&fano), "{fano}");
}

#[test]
#[ignore = "a measurement: cargo test --release workload::tests::speed -- --ignored --nocapture"]
fn speed() {
    let lognormal = json!({
        "prompt": { "lognormal": { "mean_tok": 1155, "sigma": 1.1, "max_tok": 16384 } },
        "answer": { "lognormal": { "mean_tok": 355, "sigma": 1.1, "max_tok": 4096 } },
    });
    let constant = one_class(json!({ "poisson": { "rate_per_s": 1000 } }))[0]["lengths"].clone();
    let dir = tempfile::tempdir().unwrap();
    write_conversation(&dir.path().join("t.csv"), &SynthOptions { requests: Some(2_000_000), ..COMMITTED })
        .unwrap();
    std::fs::write(dir.path().join("r.csv"), "time_s,rate_per_s\n0,900\n600,1100\n1200,1000\n").unwrap();
    let poisson = json!({ "poisson": { "rate_per_s": 1000 } });
    let day = json!({ "diurnal": { "mean_per_s": 1000, "peak_to_mean": 1.5, "peak_at_h": 14 } });
    for (name, arrivals, lengths) in [
        ("constant, constant lengths", json!({ "constant": { "rate_per_s": 1000 } }), &constant),
        ("poisson, constant lengths", poisson.clone(), &constant),
        ("poisson, lognormal lengths", poisson, &lognormal),
        ("gamma, constant lengths", json!({ "gamma": { "rate_per_s": 1000, "cv": 3 } }), &constant),
        ("diurnal, constant lengths", day, &constant),
        ("rate curve, constant lengths", json!({ "rate_curve": { "path": "r.csv" } }), &constant),
    ] {
        let class = json!([{ "name": "a", "arrivals": arrivals, "lengths": lengths }]);
        let w = open(&scenario(1, json!(4000), class), dir.path());
        time(name, &w);
    }
    let start = Instant::now();
    let w = open(&scenario(1, Value::Null, one_class(json!({ "trace": { "path": "t.csv" } }))), dir.path());
    println!(
        "{:32} {:6.1} ns/row",
        "trace, checked",
        start.elapsed().as_nanos() as f64 / w.mix()[0].n as f64
    );
    time("trace, replayed", &w);
}

fn time(name: &str, w: &Workload) {
    let start = Instant::now();
    let mut stream = w.stream().unwrap();
    let (mut n, mut sum) = (0_u64, 0_u64);
    while let Some(r) = stream.next().unwrap() {
        n += 1;
        sum += u64::from(r.prompt_tok);
    }
    println!("{name:32} {:6.1} ns/request ({n}, {sum})", start.elapsed().as_nanos() as f64 / n as f64);
}

#[test]
#[ignore = "writes the committed trace again: cargo test workload::tests::write_the_committed -- --ignored"]
fn write_the_committed_trace() {
    write_conversation(&root().join("traces/azure-2023-conversation-synth.csv"), &COMMITTED).unwrap();
}
