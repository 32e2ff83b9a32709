//! Columns of the results: paths in `summary.json`, with kind and unit. They are fixed when a sweep is planned, so that
//! they do not depend on what its points turn out to have; what a point does not have is empty.

use serde::{Deserialize, Serialize};

use super::axes::Axis;
use super::cell::{Cell, Kind};
use crate::ledger::outcome::Summary;
use crate::scenario::suggestion;
use crate::scenario::types::Scenario;

use Kind::{Bool, Float, Int, Text};

/// A column of the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, e.g. `throughput.useful_tok_per_s`.
    pub name: String,
    /// Keys on the way to it in `summary.json`; empty for columns that a summary does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// What it holds.
    pub kind: Kind,
    /// Unit; empty for names, words and what an axis gives.
    pub unit: String,
}

impl Column {
    fn own(name: &str, kind: Kind, unit: &str) -> Self {
        Self { name: name.into(), keys: Vec::new(), kind, unit: unit.into() }
    }

    fn of_summary(prefix: &[&str], path: &str, kind: Kind, unit: &str) -> Self {
        let keys = prefix.iter().copied().chain(path.split('.').filter(|key| !key.is_empty()));
        let keys: Vec<String> = keys.map(String::from).collect();
        Self { name: keys.join("."), keys, kind, unit: unit.into() }
    }
}

/// What every sweep has of a summary: which stave was the shortest.
const ALWAYS: &str = "binding.share";

/// What is kept of a summary unless the sweep says otherwise.
const DEFAULT: [&str; 9] = [
    "throughput",
    "latency_s.ttft.p99",
    "latency_s.tpot.p99",
    "slo_attainment",
    "j_per_output_token",
    "j_per_useful_token",
    "power_w",
    "pue",
    ALWAYS,
];

type Leaf = (&'static str, Kind, &'static str);

/// The single values of a summary up to `energy_j.by`, in its order.
const BEFORE_BUILDING: &[Leaf] = &[
    ("schema_version", Int, ""),
    ("scenario.name", Text, ""),
    ("scenario.hash", Text, ""),
    ("scenario.seed", Int, ""),
    ("scenario.duration_s", Float, "s"),
    ("scenario.warm_up_s", Float, "s"),
    ("scenario.end_s", Float, "s"),
    ("scenario.start_at_h", Float, "h"),
    ("engine.kind", Text, ""),
    ("engine.events", Int, "events"),
    ("engine.segments", Int, "segments"),
    ("engine.iterations_represented", Int, "iterations"),
    ("requests.arrived", Int, "requests"),
    ("requests.completed", Int, "requests"),
    ("requests.shed", Int, "requests"),
    ("requests.in_flight", Int, "requests"),
    ("requests.met_slo", Int, "requests"),
    ("requests.met_quality", Int, "requests"),
    ("requests.useful", Int, "requests"),
    ("requests.shed_by.patience", Int, "requests"),
    ("requests.shed_by.queue_full", Int, "requests"),
    ("requests.shed_by.too_long", Int, "requests"),
    ("requests.shed_by.overheated", Int, "requests"),
    ("requests.shed_by.lost", Int, "requests"),
    ("requests.shed_by.unavailable", Int, "requests"),
    ("requests.retried", Int, "requests"),
    ("tokens.prompt", Int, "tok"),
    ("tokens.output", Int, "tok"),
    ("tokens.useful_output", Int, "tok"),
    ("tokens.recomputed", Int, "tok"),
    ("tokens.prompt_cached", Int, "tok"),
    ("throughput.output_tok_per_s", Float, "tok/s"),
    ("throughput.useful_tok_per_s", Float, "tok/s"),
    ("throughput.utilisation_adjusted_tok_per_s", Float, "tok/s"),
    ("throughput.prompt_tok_per_s", Float, "tok/s"),
    ("throughput.completed_req_per_s", Float, "requests/s"),
    ("latency_s.ttft.n", Int, "requests"),
    ("latency_s.ttft.mean", Float, "s"),
    ("latency_s.ttft.p50", Float, "s"),
    ("latency_s.ttft.p90", Float, "s"),
    ("latency_s.ttft.p99", Float, "s"),
    ("latency_s.tpot.n", Int, "requests"),
    ("latency_s.tpot.mean", Float, "s/tok"),
    ("latency_s.tpot.p50", Float, "s/tok"),
    ("latency_s.tpot.p90", Float, "s/tok"),
    ("latency_s.tpot.p99", Float, "s/tok"),
    ("latency_s.itl.n", Int, "tok"),
    ("latency_s.itl.mean", Float, "s"),
    ("latency_s.itl.p50", Float, "s"),
    ("latency_s.itl.p90", Float, "s"),
    ("latency_s.itl.p99", Float, "s"),
    ("latency_s.e2e.n", Int, "requests"),
    ("latency_s.e2e.mean", Float, "s"),
    ("latency_s.e2e.p50", Float, "s"),
    ("latency_s.e2e.p90", Float, "s"),
    ("latency_s.e2e.p99", Float, "s"),
    ("latency_s.queue.n", Int, "requests"),
    ("latency_s.queue.mean", Float, "s"),
    ("latency_s.queue.p50", Float, "s"),
    ("latency_s.queue.p90", Float, "s"),
    ("latency_s.queue.p99", Float, "s"),
    ("slo_attainment", Float, "share"),
    ("energy_j.gpu", Float, "J"),
    ("energy_j.it", Float, "J"),
    ("energy_j.facility", Float, "J"),
    ("energy_j.by.gpu_active", Float, "J"),
    ("energy_j.by.gpu_idle", Float, "J"),
    ("energy_j.by.node_overhead", Float, "J"),
    ("energy_j.by.pue_overhead", Float, "J"),
];

/// After `energy_j.by.loss_<site>.<device>`.
const PLANTS: &[Leaf] = &[
    ("energy_j.by.fans", Float, "J"),
    ("energy_j.by.pumps", Float, "J"),
    ("energy_j.by.chiller", Float, "J"),
];

/// After the plants, where there is a battery.
const BATTERIES: &[Leaf] = &[("energy_j.by.batteries", Float, "J")];

/// After `energy_j.by`.
const AFTER_BUILDING: &[Leaf] = &[
    ("j_per_output_token.gpu", Float, "J/tok"),
    ("j_per_output_token.it", Float, "J/tok"),
    ("j_per_output_token.facility", Float, "J/tok"),
    ("j_per_useful_token.gpu", Float, "J/tok"),
    ("j_per_useful_token.it", Float, "J/tok"),
    ("j_per_useful_token.facility", Float, "J/tok"),
    ("j_per_accepted_answer.gpu", Float, "J/answer"),
    ("j_per_accepted_answer.it", Float, "J/answer"),
    ("j_per_accepted_answer.facility", Float, "J/answer"),
    ("quality.accuracy", Float, "share"),
    ("quality.accepted_answers", Int, "answers"),
    ("quality.mean_thinking_tok", Float, "tok"),
];

/// Of a class with difficulty, below `quality.by_class.<class>`.
const OF_CLASS: &[Leaf] = &[
    ("answered", Int, "answers"),
    ("accuracy", Float, "share"),
    ("expected_accuracy", Float, "share"),
    ("target", Float, "share"),
    ("target_met", Bool, ""),
    ("accepted_answers", Int, "answers"),
    ("mean_thinking_tok", Float, "tok"),
    ("cut_off_share", Float, "share"),
    ("flagged_hard_share", Float, "share"),
    ("tier", Text, ""),
    ("tier_flagged_hard", Text, ""),
];

/// Of a class that answers in several legs, below its `answering`.
const OF_ANSWERING: &[Leaf] = &[
    ("mean_attempts", Float, "attempts"),
    ("first_attempt_accuracy", Float, "share"),
    ("verified_share", Float, "share"),
    ("mean_output_tok", Float, "tok"),
    ("mean_verdict_tok", Float, "tok"),
];

/// Of problems of one difficulty, below `quality.by_class.<class>.by_difficulty.<difficulty>`.
const OF_DIFFICULTY: &[Leaf] = &[
    ("answered", Int, "answers"),
    ("accuracy", Float, "share"),
    ("mean_thinking_tok", Float, "tok"),
    ("cut_off_share", Float, "share"),
    ("flagged_hard_share", Float, "share"),
];

/// After the classes of `quality`.
const AFTER_QUALITY: &[Leaf] = &[
    ("power_w.it.mean", Float, "W"),
    ("power_w.it.p99", Float, "W"),
    ("power_w.it.max", Float, "W"),
    ("power_w.facility.mean", Float, "W"),
    ("power_w.facility.p99", Float, "W"),
    ("power_w.facility.max", Float, "W"),
    ("power_w.delivered_it_mean", Float, "W"),
    ("power_w.cap_facility_mean", Float, "W"),
    ("power_w.overshoot_s", Float, "s"),
    ("power_w.overshoot_j", Float, "J"),
    ("pue.mean", Float, "W/W"),
    ("pue.min", Float, "W/W"),
    ("pue.max", Float, "W/W"),
    ("water_l", Float, "l"),
    ("carbon_kg", Float, "kg"),
    ("cost_usd", Float, "$"),
    ("ppue.power_chain", Float, "W/W"),
    ("ppue.cooling", Float, "W/W"),
    ("itue", Float, "W/W"),
    ("tue", Float, "W/W"),
    ("wue_l_per_kwh", Float, "l/kWh"),
    ("cue_kg_per_kwh", Float, "kg/kWh"),
    ("cost_usd_per_million_useful_tok", Float, "$/Mtok"),
    ("carbon_g_per_million_useful_tok", Float, "g/Mtok"),
    ("staves_tok_per_s.demand", Float, "tok/s"),
    ("staves_tok_per_s.compute", Float, "tok/s"),
    ("staves_tok_per_s.memory_bandwidth", Float, "tok/s"),
    ("staves_tok_per_s.kv_capacity", Float, "tok/s"),
    ("staves_tok_per_s.power", Float, "tok/s"),
    ("staves_tok_per_s.cooling", Float, "tok/s"),
    ("binding.share.demand", Float, "share"),
    ("binding.share.compute", Float, "share"),
    ("binding.share.memory_bandwidth", Float, "share"),
    ("binding.share.kv_capacity", Float, "share"),
    ("binding.share.power", Float, "share"),
    ("binding.share.cooling", Float, "share"),
    ("binding.share.operations", Float, "share"),
    ("binding.first.power_s", Float, "s"),
    ("binding.first.cooling_s", Float, "s"),
    ("tpf.k_eff_flop_per_s", Float, "FLOP/s"),
    ("tpf.c_tok_flop", Float, "FLOP/tok"),
    ("tpf.e_tok_j", Float, "J/tok"),
    ("tpf.theta", Float, "W/W"),
    ("tpf.p_facility_w", Float, "W"),
    ("tpf.phi", Float, "1"),
    ("tpf.u", Float, "1"),
    ("tpf.predicted_tok_per_s", Float, "tok/s"),
    ("tpf.measured_tok_per_s", Float, "tok/s"),
];

/// What a summary has and a table has no place for: lists, and what depends on the machine.
const REFUSED: &[(&str, &str)] = &[
    ("binding.timeline", LIST),
    ("per_site", LIST),
    ("per_pool", LIST),
    ("sources", LIST),
    ("notes", LIST),
    ("uncertainty", "is there only with `run --uncertainty`"),
    ("engine.wall_s", MACHINE),
    ("engine.requests_per_s", MACHINE),
];
const LIST: &str = "is a list, and a row has no place for one; run the point by itself to see it";
const MACHINE: &str = "depends on the machine; results of a sweep do not";

/// All that a summary of this scenario may hold in single values, in the summary's order.
pub(super) fn all(scenario: &Scenario) -> Vec<Column> {
    let mut columns = Vec::new();
    let mut put = |prefix: &[&str], leaves: &[Leaf]| {
        columns.extend(leaves.iter().map(|(path, kind, unit)| Column::of_summary(prefix, path, *kind, unit)));
    };
    put(&[], BEFORE_BUILDING);
    for site in &scenario.fleet.sites {
        for device in &site.power.tree {
            let loss = format!("loss_{}.{}", site.name, device.name);
            put(&["energy_j", "by", &loss], &[("", Float, "J")]);
        }
    }
    put(&[], PLANTS);
    if scenario.fleet.sites.iter().flat_map(|site| &site.power.tree).any(|device| device.battery.is_some()) {
        put(&[], BATTERIES);
    }
    put(&[], AFTER_BUILDING);
    let mut classes: Vec<(&str, bool)> = scenario
        .workload
        .classes
        .iter()
        .filter(|class| class.difficulty.is_some())
        .map(|class| (class.name.as_str(), class.answering.is_some()))
        .collect();
    classes.sort_unstable();
    for (class, in_legs) in classes {
        put(&["quality", "by_class", class], OF_CLASS);
        if in_legs {
            put(&["quality", "by_class", class, "answering"], OF_ANSWERING);
        }
        for difficulty in ["easy", "hard", "medium"] {
            put(&["quality", "by_class", class, "by_difficulty", difficulty], OF_DIFFICULTY);
        }
    }
    put(&[], AFTER_QUALITY);
    columns
}

/// The columns of `chosen`, each a value of a summary or a group of them. The error says which is wrong, by its number.
pub(super) fn choose(chosen: Option<&[String]>, known: &[Column]) -> Result<Vec<Column>, (usize, String)> {
    let mut columns: Vec<Column> = Vec::new();
    let default = DEFAULT.map(String::from);
    let chosen = chosen.unwrap_or(&default);
    let always = [ALWAYS.to_string()];
    for (number, name) in chosen.iter().chain(&always).enumerate() {
        let found = below(name, known);
        if found.is_empty() {
            return Err((number, unknown(name, known)));
        }
        for column in found {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
    }
    Ok(columns)
}

/// The column of this name, or all in the group of this name.
fn below<'a>(name: &str, known: &'a [Column]) -> Vec<&'a Column> {
    let is_below = |column: &&Column| {
        column.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    known.iter().filter(is_below).collect()
}

fn unknown(name: &str, known: &[Column]) -> String {
    let refused = |(path, _): &&(&str, &str)| {
        name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if let Some((path, why)) = REFUSED.iter().find(refused) {
        return format!("column '{name}': {path} {why}");
    }
    let mut groups: Vec<String> = Vec::new();
    for column in known {
        for depth in 1..=column.keys.len() {
            let group = column.keys[..depth].join(".");
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    // Far from all names, the first level alone is worth listing.
    let top: Vec<&str> = groups.iter().map(String::as_str).filter(|group| !group.contains('.')).collect();
    let near = suggestion(name, groups.iter().map(String::as_str));
    let hint = if near.starts_with("; did you mean") { near } else { format!("; known: {}", top.join(", ")) };
    format!("summary.json has no '{name}'{hint}")
}

/// All columns of the results: what tells rows apart, axes, values of the summary, and why there are none.
pub(super) fn of_results(axes: &[Axis], chosen: Vec<Column>) -> Result<Vec<Column>, (String, String)> {
    let mut columns = vec![
        Column::own("point_id", Int, ""),
        Column::own("replication", Int, ""),
        Column::own("seed", Int, ""),
    ];
    columns.extend(axes.iter().map(|axis| Column::own(&axis.name, axis.kind, "")));
    columns.extend(chosen);
    columns.push(Column::own("error", Text, ""));
    for axis in axes {
        if columns.iter().filter(|column| column.name == axis.name).count() > 1 {
            let why = format!("axis '{}' has the name of another column; choose another", axis.name);
            return Err((axis.name.clone(), why));
        }
    }
    Ok(columns)
}

/// What a summary holds in `columns`.
pub(super) fn cells(summary: Summary, columns: &[Column]) -> Vec<Cell> {
    // Long lists that no column reads are not worth converting.
    let mut summary = summary;
    summary.binding.timeline.clear();
    summary.per_site.clear();
    summary.per_pool.clear();
    summary.sources.clear();
    // Plain structs convert; if one did not, its columns would be empty.
    let json = serde_json::to_value(&summary).unwrap_or_default();
    let find = |keys: &[String]| keys.iter().try_fold(&json, |value, key| value.get(key));
    columns.iter().map(|column| Cell::of_json(find(&column.keys), column.kind)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::catalog::Catalog;
    use crate::scenario::{self, LoadOptions};
    use crate::{SimOptions, simulate};

    fn leaves(value: &serde_json::Value, path: &str, found: &mut Vec<(String, serde_json::Value)>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    leaves(value, &path, found);
                }
            }
            other => found.push((path.into(), other.clone())),
        }
    }

    /// Every single value of a real summary is a column of the right kind, and every column is in it.
    #[test]
    fn the_table_is_the_summary() {
        is_the_summary(&[]);
        is_the_summary(&[
            "duration_s=20",
            "routing=random",
            "workload.classes.0.model=small",
            "workload.classes.1.answering={cascade: {models: [small, large], verify: {model: small, accepts_right: 0.9, \
             accepts_wrong: 0.3}}}",
        ]);
    }

    fn is_the_summary(sets: &[&str]) {
        let mut options = LoadOptions::new(Arc::new(Catalog::embedded().unwrap()));
        options.sets = vec!["duration_s=300".into()];
        options.sets.extend(sets.iter().map(ToString::to_string));
        let resolved = scenario::load(Path::new("configs/hot-day.yaml"), &options).unwrap();
        let known = all(&resolved.scenario);
        let summary = simulate(&resolved, &SimOptions::default()).unwrap().summary;
        let mut found = Vec::new();
        leaves(&serde_json::to_value(&summary).unwrap(), "", &mut found);
        for (path, value) in &found {
            let refused =
                REFUSED.iter().any(|(name, _)| path == name || path.starts_with(&format!("{name}.")));
            let column = known.iter().find(|column| column.name == *path);
            assert!(refused != column.is_some(), "{path}: in no list of columns.rs, or in two");
            let Some(column) = column else { continue };
            let cell = Cell::of_json(Some(value), column.kind);
            assert!(value.is_null() || cell != Cell::Null, "{path} is {value}, not {:?}", column.kind);
            assert_eq!(
                matches!(value, serde_json::Value::Number(n) if n.is_f64()),
                column.kind == Float && !value.is_null(),
                "{path}"
            );
        }
        for column in &known {
            // With a tree there is no static PUE, and without there are no devices.
            assert!(found.iter().any(|(path, _)| *path == column.name), "no summary has {}", column.name);
        }
    }

    #[test]
    fn groups_expand_in_the_order_of_the_summary_and_once() {
        let known = all(&crate::study::sweep::tests::small());
        let chosen = ["pue".to_string(), "throughput.output_tok_per_s".into(), "pue.min".into()];
        let names: Vec<String> = choose(Some(&chosen), &known).unwrap().into_iter().map(|c| c.name).collect();
        assert_eq!(names[..4], ["pue.mean", "pue.min", "pue.max", "throughput.output_tok_per_s"]);
        assert_eq!(names[4], "binding.share.demand");
        assert_eq!(names.len(), 4 + 7);
    }

    #[test]
    fn what_is_no_column_is_said() {
        let known = all(&crate::study::sweep::tests::small());
        let refusal = |name: &str| choose(Some(&["pue".into(), name.into()]), &known).unwrap_err();
        assert!(refusal("binding.timeline").1.contains("is a list"), "{:?}", refusal("binding.timeline"));
        assert!(refusal("per_pool.0.mean_clock").1.contains("is a list"));
        assert!(refusal("engine.wall_s").1.contains("depends on the machine"));
        let (number, said) = refusal("throughput.output_tok_per");
        assert_eq!(number, 1);
        assert!(said.contains("did you mean 'throughput.output_tok_per_s'"), "{said}");
        assert!(refusal("xyz").1.contains("known: schema_version, scenario,"));
    }
}
