//! What the modules share: scenarios from text, runs, intervals of confidence.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use wattmill::catalog::Catalog;
use wattmill::ledger::outcome::Outcome;
use wattmill::scenario::{self, LoadOptions, Resolved};
use wattmill::{SimOptions, simulate};

static EMBEDDED: LazyLock<Arc<Catalog>> =
    LazyLock::new(|| Arc::new(Catalog::embedded().expect("the embedded catalog is good")));

/// The catalog as released.
pub fn catalog() -> Arc<Catalog> {
    EMBEDDED.clone()
}

/// Load a scenario file.
#[track_caller]
pub fn load_file(path: &Path, sets: &[String], catalog: Arc<Catalog>) -> Resolved {
    let mut options = LoadOptions::new(catalog);
    options.sets = sets.to_vec();
    scenario::load(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// Load `text` as `test.yaml` beside `files`. What is loaded may not read files later.
#[track_caller]
pub fn load(text: &str, sets: &[&str]) -> Resolved {
    load_with(text, sets, catalog())
}

/// Load `text` against a catalog.
#[track_caller]
pub fn load_with(text: &str, sets: &[&str], catalog: Arc<Catalog>) -> Resolved {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("test.yaml");
    fs::write(&path, text).expect("scenario");
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    load_file(&path, &sets, catalog)
}

/// Run, with one row per request.
#[track_caller]
pub fn run(resolved: &Resolved) -> Outcome {
    let options = SimOptions { keep_requests: true, ..SimOptions::default() };
    simulate(resolved, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// Run under a seed.
#[track_caller]
pub fn run_seed(resolved: &Resolved, seed: u64) -> Outcome {
    let mut resolved = resolved.clone();
    resolved.scenario.seed = seed;
    run(&resolved)
}

/// Equal to `share` of `expected`.
#[track_caller]
pub fn close(what: &str, got: f64, expected: f64, share: f64) {
    let off = (got - expected).abs();
    assert!(
        off <= share * expected.abs(),
        "{what}: {got} instead of {expected}, off by {:.3e} of it",
        off / expected.abs()
    );
}

/// Mean and half the width of the 99 % interval of independent replications (Student's t).
pub fn interval(samples: &[f64]) -> (f64, f64) {
    // 99.5 % quantiles of t for these degrees of freedom; between them the larger is on the safe side.
    let quantile = match samples.len() - 1 {
        0..19 => panic!("too few replications"),
        19..24 => 2.861,
        24..29 => 2.797,
        29..39 => 2.756,
        39..59 => 2.708,
        _ => 2.660,
    };
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, quantile * (variance / n).sqrt())
}

/// Random numbers of the generator: splitmix64.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[(self.bits() % items.len() as u64) as usize]
    }
}
