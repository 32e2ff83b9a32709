//! Rows of a measured table.

use std::collections::HashSet;

use super::layout::Layout;
use super::measured::{Figures, Measured, Metric, Split};
use crate::input::{InputError, Table};

/// Most rows of a table; each is simulated.
const MOST_ROWS: usize = 100_000;
/// GPUs that one server has at most, racks apart.
const GPUS_OF_A_SERVER: u32 = 8;
/// Figures that should agree may differ by this share.
const AGREE: f64 = 0.02;

/// A measured table, ready to be simulated.
#[derive(Debug)]
pub struct MeasuredTable {
    /// Whose columns it has.
    pub layout: &'static str,
    /// Its rows.
    pub rows: Vec<Measured>,
    /// What a reader of all rows must know.
    pub warnings: Vec<String>,
}

/// Reads all rows.
pub(super) fn read(mut table: Table) -> Result<MeasuredTable, InputError> {
    let Some(layout) = Layout::of(table.header()) else {
        return Err(table.bad_header(format!(
            "the header `{}` is of no known table; known are {}",
            table.shown_header(),
            Layout::known()
        )));
    };
    let mut columns = Columns { layout, used: Vec::new() };
    let places = Places::find(&table, &mut columns)?;
    let copied: Vec<usize> = (0..table.header().len())
        .filter(|i| !columns.used.contains(i) && !layout.unused.contains(&table.header()[*i].as_str()))
        .collect();
    let mut warnings: Vec<String> = layout.warnings.iter().map(ToString::to_string).collect();
    if !copied.is_empty() {
        let names: Vec<String> = copied.iter().map(|&i| format!("`{}`", table.header()[i])).collect();
        warnings.push(format!("not understood, copied as it is: {}", names.join(", ")));
    }
    let mut rows: Vec<Measured> = Vec::new();
    let mut ids = HashSet::new();
    // What rows relate to, and the error if that turns out to be nowhere.
    let mut references: Vec<(String, InputError)> = Vec::new();
    while table.advance()? {
        if rows.len() == MOST_ROWS {
            return Err(table.bad_line(format!("a measured table has at most {MOST_ROWS} rows; split it")));
        }
        let mut row = places.row(&table, layout)?;
        row.copied = copied.iter().map(|&i| (table.header()[i].clone(), table.text(i))).collect();
        if let (Some(id), Some(i)) = (&row.relative_to, places.relative_to) {
            references.push((id.clone(), table.bad_value(i, "is no row's id")));
        }
        if !ids.insert(row.id.clone()) {
            row.remarks.push("its id appears more than once".into());
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(table.bad_file("has a header but no rows".into()));
    }
    match references.into_iter().find(|(id, _)| !ids.contains(id)) {
        Some((_, nowhere)) => Err(nowhere),
        None => Ok(MeasuredTable { layout: layout.name, rows, warnings }),
    }
}

/// Finds columns and remembers which were asked for.
struct Columns {
    layout: &'static Layout,
    used: Vec<usize>,
}

impl Columns {
    fn find(&mut self, table: &Table, ours: &'static str) -> Option<usize> {
        let found = table.column(self.layout.column(ours))?;
        self.used.push(found);
        Some(found)
    }

    fn require(&mut self, table: &Table, ours: &'static str) -> Result<usize, InputError> {
        let found = table.require(self.layout.column(ours))?;
        self.used.push(found);
        Ok(found)
    }
}

/// Where the columns are.
struct Places {
    id: Option<usize>,
    model: usize,
    gpu: usize,
    node: Option<usize>,
    precision: usize,
    kv_precision: Option<usize>,
    engine: Option<usize>,
    engine_version: Option<usize>,
    task: Option<usize>,
    gpus: usize,
    tensor: usize,
    pipeline: Option<usize>,
    expert: Option<usize>,
    data: Option<usize>,
    attention_data: Option<usize>,
    batch: usize,
    running: Option<usize>,
    expert_tensor: Option<usize>,
    input_tok: Option<usize>,
    output_tok: usize,
    output_sigma: Option<usize>,
    max_step_tok: Option<usize>,
    gpu_cap_w: Option<usize>,
    relative_to: Option<usize>,
    source: Option<usize>,
    suspect: Option<usize>,
    metrics: Vec<(Metric, usize)>,
}

impl Places {
    fn find(table: &Table, columns: &mut Columns) -> Result<Self, InputError> {
        let input_tok = columns.find(table, "input_tok");
        let task = columns.find(table, "task");
        if input_tok.is_none() && task.is_none() {
            return Err(table.bad_header(format!(
                "there is neither a column `input_tok` nor a `task` that tells the prompt's length; the header is `{}`",
                table.shown_header()
            )));
        }
        let mut metrics = Vec::new();
        for metric in Metric::ALL {
            let found = table.column(columns.layout.metric(metric));
            if let Some(i) = found {
                columns.used.push(i);
                metrics.push((metric, i));
            }
        }
        if metrics.is_empty() {
            let keys: Vec<&str> = Metric::ALL.iter().map(|m| columns.layout.metric(*m)).collect();
            return Err(table.bad_header(format!(
                "nothing was measured: give at least one of the columns {}",
                keys.join(", ")
            )));
        }
        Ok(Self {
            id: columns.find(table, "id"),
            model: columns.require(table, "model")?,
            gpu: columns.require(table, "gpu")?,
            node: columns.find(table, "node"),
            precision: columns.require(table, "precision")?,
            kv_precision: columns.find(table, "kv_precision"),
            engine: columns.find(table, "engine"),
            engine_version: columns.find(table, "engine_version"),
            task,
            gpus: columns.require(table, "gpus")?,
            tensor: columns.require(table, "tensor_parallel")?,
            pipeline: columns.find(table, "pipeline_parallel"),
            expert: columns.find(table, "expert_parallel"),
            data: columns.find(table, "data_parallel"),
            attention_data: columns.find(table, "attention_dp"),
            batch: columns.require(table, "batch")?,
            running: columns.find(table, "running"),
            expert_tensor: columns.find(table, "moe_tp_size"),
            input_tok,
            output_tok: columns.require(table, "output_tok")?,
            output_sigma: columns.find(table, "output_sigma"),
            max_step_tok: columns.find(table, "max_num_batched_tokens"),
            gpu_cap_w: columns.find(table, "gpu_cap_w"),
            relative_to: columns.find(table, "relative_to"),
            source: columns.find(table, "source"),
            suspect: columns.find(table, "suspect_host_bound"),
            metrics,
        })
    }

    fn row(&self, table: &Table, layout: &Layout) -> Result<Measured, InputError> {
        let cells = Cells { table, zero_is_unknown: layout.zero_is_unknown };
        let mut remarks: Vec<String> = Vec::new();
        let mut figures = Figures::new();
        for &(metric, i) in &self.metrics {
            if let Some(value) = cells.positive(i)? {
                figures.insert(metric, value);
            }
        }
        let tensor = cells.count(self.tensor)?;
        let mut asked = Asked {
            gpus: cells.count(self.gpus)?,
            tensor: tensor.unwrap_or(1),
            pipeline: cells.optional_count(self.pipeline)?,
            expert: cells.optional_count(self.expert)?,
            data: cells.optional_count(self.data)?,
            attention_data: cells.optional_count(self.attention_data)?,
        };
        if asked.squared(cells.optional_count(self.expert_tensor)?) {
            let gpus = asked.expert.unwrap_or(1);
            remarks.push(format!(
                "its {} GPUs seem to be {gpus}, counted once for attention and once for experts",
                gpus * gpus
            ));
            asked = asked.unsquared(gpus);
        }
        let gpus = asked.gpus();
        remarks.extend(reconcile_watts(&mut figures, gpus));
        let batch = cells.whole(self.batch, 0)?.ok_or_else(|| table.bad_value(self.batch, ""))?;
        let output_tok = match cells.number(self.output_tok)? {
            Some(tokens) if batch == 0 || (1.0..=1e7).contains(&tokens) => tokens,
            None if batch == 0 => 0.0,
            _ => return Err(table.bad_value(self.output_tok, "must lie in 1..=10000000 tokens")),
        };
        let input_tok = match self.input_tok {
            Some(i) if batch > 0 => match cells.number(i)? {
                Some(tokens) if !(1.0..=1e7).contains(&tokens) => {
                    return Err(table.bad_value(i, "must lie in 1..=10000000 tokens"));
                }
                tokens => tokens.map(|tokens| tokens.round() as u32),
            },
            _ => None,
        };
        if let (Some(i), None, None, true) = (self.input_tok, input_tok, self.task, batch > 0) {
            return Err(table.bad_value(i, "and no `task` tells the prompt's length"));
        }
        let output_sigma = match self.output_sigma.map(|i| (i, cells.number(i))) {
            Some((i, sigma)) => match sigma? {
                Some(sigma) if !(0.0..=5.0).contains(&sigma) => {
                    return Err(table.bad_value(i, "must lie in 0..=5 (0: all outputs equally long)"));
                }
                sigma => sigma,
            },
            None => None,
        };
        Ok(Measured {
            id: cells.text(self.id).unwrap_or_else(|| table.line().to_string()),
            line: table.line(),
            model: cells.required(self.model)?,
            gpu: cells.required(self.gpu)?,
            node: cells.text(self.node),
            precision: cells.text(Some(self.precision)),
            kv_precision: cells.text(self.kv_precision),
            engine: cells.text(self.engine).or(layout.engine.map(|(name, _)| name.into())),
            engine_version: cells
                .text(self.engine_version)
                .or(layout.engine.map(|(_, version)| version.into())),
            task: cells.text(self.task),
            gpus,
            split: asked.split(),
            batch,
            running: match self.running {
                Some(i) => cells.positive(i)?,
                None => None,
            },
            input_tok,
            output_tok,
            output_sigma: output_sigma.or(layout.constant_lengths.then_some(0.0)),
            max_step_tok: cells.optional_count(self.max_step_tok)?,
            gpu_cap_w: match self.gpu_cap_w {
                Some(i) => cells.positive(i)?,
                None => None,
            },
            relative_to: cells.text(self.relative_to),
            source: cells.text(self.source),
            suspect_host_bound: match self.suspect {
                Some(i) => cells.flag(i)?,
                None => false,
            },
            figures,
            remarks,
            copied: Vec::new(),
        })
    }
}

/// The split as the table gives it.
struct Asked {
    gpus: Option<u32>,
    tensor: u32,
    pipeline: Option<u32>,
    expert: Option<u32>,
    data: Option<u32>,
    attention_data: Option<u32>,
}

impl Asked {
    /// GPUs of the row; where the table does not say, those of one replica.
    fn gpus(&self) -> u32 {
        self.gpus.unwrap_or_else(|| {
            let data = self.data.unwrap_or(1).saturating_mul(self.attention_data.unwrap_or(1));
            self.tensor.saturating_mul(data).max(self.expert.unwrap_or(1))
        })
    }

    /// Whether the row has as many GPUs for attention as for experts, and calls their product its GPUs: some tables
    /// of InferenceX results do, in which the same measurement is found under both counts. `expert_tensor` is what
    /// they say each expert is split over; without it only a product that no server has is taken for one.
    fn squared(&self, expert_tensor: Option<u32>) -> bool {
        let replica = self.tensor.saturating_mul(self.attention_data.unwrap_or(1));
        match (self.expert, expert_tensor) {
            (Some(expert), Some(tensor)) => {
                expert > 1 && tensor == expert && expert.saturating_mul(expert) == replica
            }
            (Some(expert), None) => {
                expert > 1 && replica > GPUS_OF_A_SERVER && expert.saturating_mul(expert) == replica
            }
            (None, _) => false,
        }
    }

    /// The same with `gpus` GPUs, as attention or as tensor parallelism has them.
    fn unsquared(self, gpus: u32) -> Self {
        let attention = self.attention_data.is_some_and(|groups| groups > 1);
        Self {
            gpus: None,
            tensor: if attention { 1 } else { gpus },
            attention_data: attention.then_some(gpus),
            ..self
        }
    }

    /// Replicas over which experts are spread share them, as vLLM has it: experts lie on tensor × data GPUs, and
    /// what is left to tensor parallelism is attention.
    fn split(&self) -> Result<Split, String> {
        if let Some(stages) = self.pipeline.filter(|stages| *stages > 1) {
            return Err(format!("{stages} pipeline stages cannot be simulated"));
        }
        let expert = self.expert.unwrap_or(1);
        let (attention_data, data) = match (self.attention_data.unwrap_or(1), self.data) {
            (attention, Some(data)) if expert > 1 && data > 1 => (attention.saturating_mul(data), None),
            (attention, data) => (attention, data),
        };
        let replica = self.tensor.saturating_mul(attention_data).max(expert);
        let gpus = self.gpus();
        let replicas = gpus / replica;
        if !replica.is_multiple_of(attention_data) || replicas == 0 || !gpus.is_multiple_of(replica) {
            return Err(format!(
                "{gpus} GPUs cannot be shared by replicas of {replica} (tensor {}, expert {expert}, attention data \
                 {attention_data})",
                self.tensor
            ));
        }
        match data.filter(|data| *data != replicas) {
            Some(data) => Err(format!(
                "{gpus} GPUs hold {replicas} replicas of {replica}, the row says data_parallel {data}"
            )),
            None => Ok(Split { tensor: replica / attention_data, attention_data, expert, replicas }),
        }
    }
}

/// Power, rate and energy per token must agree; where they say that the power is that of one GPU, it is multiplied.
fn reconcile_watts(figures: &mut Figures, gpus: u32) -> Option<String> {
    let figure = |metric| figures.get(&metric).copied();
    let per_token = figure(Metric::JPerOutputToken)?;
    let ratio = figure(Metric::GpuPowerW)? / figure(Metric::OutputTokPerS)? / per_token;
    if (ratio - 1.0).abs() <= AGREE {
        return None;
    }
    if gpus > 1 && (ratio * f64::from(gpus) - 1.0).abs() <= AGREE {
        if let Some(watts) = figures.get_mut(&Metric::GpuPowerW) {
            *watts *= f64::from(gpus);
        }
        return Some(format!("its GPU power is that of one GPU, as its joules show: taken {gpus} times"));
    }
    Some(format!("its GPU power over its output rate is {ratio:.2} times its joules per token"))
}

/// Cells of the current row.
struct Cells<'a> {
    table: &'a Table,
    zero_is_unknown: bool,
}

impl Cells<'_> {
    fn text(&self, i: Option<usize>) -> Option<String> {
        i.map(|i| self.table.text(i)).filter(|text| !text.is_empty())
    }

    fn required(&self, i: usize) -> Result<String, InputError> {
        self.text(Some(i)).ok_or_else(|| self.table.bad_value(i, ""))
    }

    fn number(&self, i: usize) -> Result<Option<f64>, InputError> {
        let text = self.table.text(i);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => {
                Err(self.table.bad_value(i, "is not a number (leave the cell empty if it was not measured)"))
            }
        }
    }

    fn positive(&self, i: usize) -> Result<Option<f64>, InputError> {
        match self.number(i)? {
            Some(number) if number <= 0.0 => {
                Err(self.table.bad_value(i, "must be above 0 (leave the cell empty if it was not measured)"))
            }
            number => Ok(number),
        }
    }

    fn whole(&self, i: usize, least: u32) -> Result<Option<u32>, InputError> {
        match self.number(i)? {
            None => Ok(None),
            Some(number) if number == 0.0 && least > 0 && self.zero_is_unknown => Ok(None),
            Some(number) if number.fract() == 0.0 && (f64::from(least)..=1e7).contains(&number) => {
                Ok(Some(number as u32))
            }
            Some(_) => Err(self.table.bad_value(i, &format!("must be a whole number in {least}..=10000000"))),
        }
    }

    fn count(&self, i: usize) -> Result<Option<u32>, InputError> {
        match self.whole(i, 1)? {
            None if !self.zero_is_unknown => Err(self.table.bad_value(i, "")),
            count => Ok(count),
        }
    }

    fn optional_count(&self, i: Option<usize>) -> Result<Option<u32>, InputError> {
        i.map_or(Ok(None), |i| self.whole(i, 1))
    }

    fn flag(&self, i: usize) -> Result<bool, InputError> {
        match self.table.text(i).to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(true),
            "" | "0" | "false" | "no" => Ok(false),
            _ => Err(self.table.bad_value(i, "must be 1 or 0")),
        }
    }
}
