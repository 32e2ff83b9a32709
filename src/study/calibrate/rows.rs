//! Measured rows as a fit sees them: a set-up of the catalog, a closed loop on it, and what was read off it.

use std::collections::BTreeMap;

use super::mean_field::Loop;
use crate::catalog::{self, Catalog, Precision, Split};
use crate::physics::power::GpuPower;
use crate::physics::roofline::RooflineParams;
use crate::study::validate::case::Case;
use crate::study::validate::tasks::Tasks;
use crate::study::validate::{Measured, Metric};

/// Where a prompt comes in less often than so many times a step, the median step only decodes.
const RARE_PROMPTS: f64 = 0.3;
/// Tasks that measure the front end: prompts of code, outputs of a few tokens.
const NOT_FITTED: &str = "sourcegraph-fim";

/// What a replica is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Setup {
    pub gpu: String,
    pub model: String,
    pub engine: String,
    weights: Option<Precision>,
    kv: Precision,
    tensor: u32,
    attention_data: u32,
    expert: u32,
}

impl Setup {
    /// Its costs by a catalog.
    ///
    /// # Errors
    /// A split that does not fit, in words.
    pub(super) fn params(&self, catalog: &Catalog) -> Result<RooflineParams, String> {
        let Self { gpu, model, engine, weights, kv, tensor, attention_data, expert } = self;
        let split = Split { tensor: *tensor, attention_data: *attention_data, expert: *expert };
        match (catalog.gpu(gpu), catalog.model(model), catalog.engine(engine)) {
            (Some(gpu), Some(model), Some(engine)) => {
                catalog::replica(gpu, model, split, *weights, *kv, engine)
            }
            _ => Err(format!("{gpu}, {model} or {engine} is not in the catalog")),
        }
    }

    /// Its GPU's power law by a catalog; `None` if the catalog does not have it.
    pub(super) fn power(&self, catalog: &Catalog) -> Option<GpuPower> {
        let gpu = catalog.gpu(&self.gpu)?;
        Some(catalog::gpu_power(gpu, catalog.node(&gpu.node)?))
    }
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The table it is from, in the order they were named.
    pub table: usize,
    /// Number of its set-up.
    pub setup: usize,
    /// Its closed loop, on one replica.
    pub looped: Loop,
    /// Its id in the table.
    pub id: String,
    /// The checkpoint as the table names it.
    pub checkpoint: String,
    /// Mean step as measured [s].
    pub step_s: f64,
    /// Median step as measured, where it only decodes [s].
    pub decode_s: Option<f64>,
    /// Watts of one GPU as measured.
    pub gpu_w: Option<f64>,
    /// Limit set on each GPU [W], and the row to which a ratio of throughputs relates, with the ratio.
    pub gpu_cap_w: Option<f64>,
    /// Output rate over that of the row of this id.
    pub ratio: Option<(String, f64)>,
}

/// Rows of all tables, and why others were left out.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub setups: Vec<Setup>,
    pub rows: Vec<Row>,
    /// Rows left out by reason.
    pub left_out: BTreeMap<String, usize>,
}

impl Rows {
    /// Adds the rows of a table that can be fitted on.
    pub(super) fn add(&mut self, table: usize, measured: &[Measured], catalog: &Catalog, tasks: &Tasks) {
        for row in measured {
            if let Err(why) = self.add_row(table, row, catalog, tasks) {
                *self.left_out.entry(why).or_default() += 1;
            }
        }
    }

    fn add_row(
        &mut self,
        table: usize,
        row: &Measured,
        catalog: &Catalog,
        tasks: &Tasks,
    ) -> Result<(), String> {
        if row.suspect_host_bound {
            return Err("the host is suspected to be what was measured".into());
        }
        if row.task.as_deref() == Some(NOT_FITTED) {
            return Err(format!("task {NOT_FITTED}"));
        }
        if row.batch == 0 {
            return Err("idle".into());
        }
        let case = Case::of(row, catalog, tasks)?;
        let setup = Setup {
            gpu: case.gpu.clone(),
            model: case.model.clone(),
            engine: case.engine.clone(),
            weights: case.weights,
            kv: case.kv,
            tensor: case.split.tensor,
            attention_data: case.split.attention_data,
            expert: case.split.expert,
        };
        setup.params(catalog)?;
        let replicas = f64::from(case.split.replicas);
        let running = row.running.unwrap_or(f64::from(case.batch)) / replicas;
        let figure = |metric| row.figures.get(&metric).copied();
        let ms = |metric| figure(metric).map(|ms| ms * 1e-3);
        let by_rate = figure(Metric::OutputTokPerS).map(|rate| running * replicas / rate);
        // Where a table has both, the rate is derived from the time.
        let step_s = ms(Metric::TpotMs).or(by_rate).or(ms(Metric::ItlMs));
        let ratio = row.relative_to.clone().zip(figure(Metric::ThroughputRatio));
        let looped = Loop {
            seqs: running,
            prompt_tok: f64::from(case.prompt_tok),
            output_tok: case.outputs.mean_tok,
            age_tok: case.outputs.mean_age_tok(),
        };
        let gpus = f64::from(case.split.replica_gpus());
        let rare = looped.seqs / looped.output_tok < RARE_PROMPTS;
        let place = self.setups.iter().position(|other| *other == setup);
        let setup = place.unwrap_or_else(|| {
            self.setups.push(setup);
            self.setups.len() - 1
        });
        self.rows.push(Row {
            table,
            setup,
            looped,
            id: row.id.clone(),
            checkpoint: row.model.clone(),
            step_s: match (step_s, &ratio) {
                (Some(step_s), _) => step_s,
                (None, Some(_)) => f64::NAN,
                (None, None) => return Err("neither a rate nor a time per token was measured".into()),
            },
            decode_s: ms(Metric::ItlP50Ms).filter(|_| rare),
            gpu_w: figure(Metric::GpuPowerW).map(|watts| watts / (gpus * replicas)),
            gpu_cap_w: row.gpu_cap_w,
            ratio,
        });
        Ok(())
    }

    /// Whether a coefficient changes the power law of a row with a cap and a ratio.
    pub(super) fn limits_by(&self, catalog: &Catalog, coefficient: usize) -> bool {
        let other = catalog.with_lowered(coefficient);
        let capped = self.rows.iter().filter(|row| row.ratio.is_some() && row.gpu_cap_w.is_some());
        capped.map(|row| &self.setups[row.setup]).any(|setup| setup.power(&other) != setup.power(catalog))
    }

    /// The architecture and GPU of a row.
    pub(super) fn group(&self, row: &Row) -> String {
        let setup = &self.setups[row.setup];
        format!("{} on {}", setup.model, setup.gpu)
    }
}
