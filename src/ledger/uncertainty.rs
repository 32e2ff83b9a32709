//! The block `uncertainty` of a summary, and the draws behind it.
//!
//! It holds what the catalog's fit leaves open, and that alone: not whether the laws have the right form, not the
//! guesses among the catalog's numbers, not another day's requests.

use serde::{Deserialize, Serialize};

use super::outcome::{Constraint, First, Summary};

/// Bands over runs of one scenario under other coefficients of the fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Uncertainty {
    /// Sets of coefficients that were drawn.
    pub draws: u32,
    /// Of them, those whose scenario could not be built; bands and shares are of the others.
    pub failed: u32,
    /// Coefficients that the laws of the fleet's pools depend on.
    pub coefficients: Vec<String>,
    /// Null where no draw has the figure.
    pub bands: Bands,
    /// Changes of the fleet's binding constraint in the run, in order.
    pub changes: Vec<Change>,
    pub first: FirstBands,
}

/// Null where no draw has the figure.
pub type Bands = Figures<Option<Band>>;

/// Percentiles over draws, linear between neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names are the JSON keys")]
pub struct Band {
    pub p5: f64,
    pub p50: f64,
    pub p95: f64,
}

/// The binding constraint changes: a stretch begins that lasts. Percentiles are over the draws that have the stretch;
/// null without any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Change {
    pub from: Constraint,
    pub to: Constraint,
    /// Where `to` holds longest in its stretch.
    #[serde(rename = "where")]
    pub place: String,
    /// In the run itself.
    pub at_s: f64,
    pub p5_s: Option<f64>,
    pub p50_s: Option<f64>,
    pub p95_s: Option<f64>,
    /// Share of the draws in which the stretch occurs.
    pub share: Option<f64>,
}

/// When power and cooling bind for the first time, as `binding.first` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct FirstBands {
    pub power_s: FirstBand,
    pub cooling_s: FirstBand,
}

/// Percentiles over the draws in which it happens; null without any.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names are the JSON keys")]
pub struct FirstBand {
    pub p5: Option<f64>,
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    /// Share of the draws in which it happens.
    pub share: Option<f64>,
}

/// The figures of an outcome that have a band.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Figures<T> {
    pub output_tok_per_s: T,
    pub useful_tok_per_s: T,
    pub j_per_output_token: ByBoundary<T>,
    pub j_per_useful_token: ByBoundary<T>,
    pub j_per_accepted_answer: ByBoundary<T>,
    pub it_power_mean_w: T,
    pub facility_power_mean_w: T,
    pub pue_mean: T,
    pub slo_attainment: T,
    pub ttft_p50_s: T,
    pub ttft_p99_s: T,
    pub tpot_p50_s: T,
    pub tpot_p99_s: T,
    pub binding_share: ByConstraint<T>,
}

/// One per accounting boundary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names are the JSON keys")]
pub struct ByBoundary<T> {
    pub gpu: T,
    pub it: T,
    pub facility: T,
}

/// One per constraint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names are the JSON keys")]
pub struct ByConstraint<T> {
    pub demand: T,
    pub compute: T,
    pub memory_bandwidth: T,
    pub kv_capacity: T,
    pub power: T,
    pub cooling: T,
    pub operations: T,
}

/// How a figure is read from a summary.
pub type Reading = fn(&Summary) -> Option<f64>;

impl<T> Figures<T> {
    /// Every figure, made from its name and from how it is read.
    pub fn each(mut of: impl FnMut(&'static str, Reading) -> T) -> Self {
        Self {
            output_tok_per_s: of("output_tok_per_s", |s| Some(s.throughput.output_tok_per_s)),
            useful_tok_per_s: of("useful_tok_per_s", |s| Some(s.throughput.useful_tok_per_s)),
            j_per_output_token: ByBoundary {
                gpu: of("j_per_output_token.gpu", |s| s.j_per_output_token.gpu),
                it: of("j_per_output_token.it", |s| s.j_per_output_token.it),
                facility: of("j_per_output_token.facility", |s| s.j_per_output_token.facility),
            },
            j_per_useful_token: ByBoundary {
                gpu: of("j_per_useful_token.gpu", |s| s.j_per_useful_token.gpu),
                it: of("j_per_useful_token.it", |s| s.j_per_useful_token.it),
                facility: of("j_per_useful_token.facility", |s| s.j_per_useful_token.facility),
            },
            j_per_accepted_answer: ByBoundary {
                gpu: of("j_per_accepted_answer.gpu", |s| s.j_per_accepted_answer.gpu),
                it: of("j_per_accepted_answer.it", |s| s.j_per_accepted_answer.it),
                facility: of("j_per_accepted_answer.facility", |s| s.j_per_accepted_answer.facility),
            },
            it_power_mean_w: of("it_power_mean_w", |s| Some(s.power_w.it.mean)),
            facility_power_mean_w: of("facility_power_mean_w", |s| Some(s.power_w.facility.mean)),
            pue_mean: of("pue_mean", |s| Some(s.pue.mean)),
            slo_attainment: of("slo_attainment", |s| s.slo_attainment),
            ttft_p50_s: of("ttft_p50_s", |s| s.latency_s.ttft.p50),
            ttft_p99_s: of("ttft_p99_s", |s| s.latency_s.ttft.p99),
            tpot_p50_s: of("tpot_p50_s", |s| s.latency_s.tpot.p50),
            tpot_p99_s: of("tpot_p99_s", |s| s.latency_s.tpot.p99),
            binding_share: ByConstraint {
                demand: of("binding_share.demand", |s| Some(s.binding.share.demand)),
                compute: of("binding_share.compute", |s| Some(s.binding.share.compute)),
                memory_bandwidth: of("binding_share.memory_bandwidth", |s| {
                    Some(s.binding.share.memory_bandwidth)
                }),
                kv_capacity: of("binding_share.kv_capacity", |s| Some(s.binding.share.kv_capacity)),
                power: of("binding_share.power", |s| Some(s.binding.share.power)),
                cooling: of("binding_share.cooling", |s| Some(s.binding.share.cooling)),
                operations: of("binding_share.operations", |s| Some(s.binding.share.operations)),
            },
        }
    }
}

impl<T: Copy> Figures<T> {
    /// All values, in the order of [`Figures::each`].
    pub fn values(&self) -> Vec<T> {
        let ByBoundary { gpu, it, facility } = self.j_per_output_token;
        let mut values = vec![self.output_tok_per_s, self.useful_tok_per_s, gpu, it, facility];
        for ByBoundary { gpu, it, facility } in [self.j_per_useful_token, self.j_per_accepted_answer] {
            values.extend([gpu, it, facility]);
        }
        values.extend([self.it_power_mean_w, self.facility_power_mean_w, self.pue_mean, self.slo_attainment]);
        values.extend([self.ttft_p50_s, self.ttft_p99_s, self.tpot_p50_s, self.tpot_p99_s]);
        let ByConstraint { demand, compute, memory_bandwidth, kv_capacity, power, cooling, operations } =
            self.binding_share;
        values.extend([demand, compute, memory_bandwidth, kv_capacity, power, cooling, operations]);
        values
    }
}

/// Every draw, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// Names of the coefficients that matter.
    pub coefficients: Vec<String>,
    /// One per draw.
    pub rows: Vec<DrawRow>,
}

/// One set of coefficients, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawRow {
    /// In the order of [`Draws::coefficients`].
    pub values: Vec<f64>,
    /// Why the scenario could not be built with them, or its outcome.
    pub outcome: Result<Drawn, String>,
}

/// The outcome of a draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Its figures.
    pub figures: Figures<Option<f64>>,
    /// When power and cooling bound for the first time.
    pub first: First,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_the_order_of_their_names() {
        let mut names = Vec::new();
        let values = Figures::each(|name, _| {
            names.push(name);
            name
        })
        .values();
        assert_eq!(values, names);
        // Names are the paths of the JSON.
        let json = serde_json::to_value(Figures::each(|name, _| name)).unwrap();
        for name in names {
            let pointer = format!("/{}", name.replace('.', "/"));
            assert_eq!(json.pointer(&pointer).and_then(|v| v.as_str()), Some(name));
        }
    }
}
