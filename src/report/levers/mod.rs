//! Measured levers for readers: a table with sentences, JSON, CSV, figures.

mod terminal;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::subject::Head;
use super::{ReportError, Subject, Theme, figures, folder};
use crate::study::levers::{Answer, GOODS, Good, Load, Missed, Question, Shares, Subset, Unreached};
use crate::study::paired::Mean;
pub use terminal::text;

#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
    #[serde(flatten)]
    head: Head<'a>,
    seeds: &'a [u64],
    /// Orders that were drawn; null where all subsets were looked at.
    orders: Option<u32>,
    held: Value,
    levers: Vec<Value>,
    joint_phi: Option<f64>,
    /// Φ of all together over the product of each alone.
    interaction: Option<f64>,
    joint: Value,
    binding: Value,
    unreached: Vec<Value>,
    reachable: Vec<Value>,
    subsets: Vec<Value>,
    curves: Vec<Value>,
}

/// The whole answer as JSON (schema in the README).
#[must_use]
pub fn json(answer: &Answer, question: &Question, subject: &Subject) -> String {
    let joint = answer.shares.as_ref().map(|shares| &shares.joint);
    let all = answer.subset(answer.all());
    let json = Json {
        schema_version: 1,
        head: subject.head("levers"),
        seeds: &answer.seeds,
        orders: answer.orders,
        held: held(answer, question),
        levers: (0..answer.levers.len()).map(|lever| row(answer, lever)).collect(),
        joint_phi: joint.and_then(|joint| factor(joint[PHI])),
        interaction: answer.shares.as_ref().and_then(|shares| factor(shares.interaction[PHI])),
        joint: joint.map_or(Value::Null, effects),
        binding: json!({
            "without": answer.subset(0).map_or(Value::Null, binding),
            "with_all": all.map_or(Value::Null, binding),
        }),
        unreached: answer.subsets.iter().flat_map(|subset| unreached(answer, subset)).collect(),
        reachable: answer
            .reachable()
            .into_iter()
            .map(|(class, accuracy)| json!({ "class": class, "accuracy": accuracy }))
            .collect(),
        subsets: answer.subsets.iter().map(|subset| subset_row(answer, subset)).collect(),
        curves: answer
            .curves
            .iter()
            .map(|curve| {
                let points = curve.points.iter();
                let points: Vec<Value> = points
                    .map(|(a, j, held)| json!({ "accuracy": a, "j_per_accepted_answer": j, "held": held }))
                    .collect();
                json!({ "levers": answer.names(curve.mask), "points": points })
            })
            .collect(),
    };
    serde_json::to_string_pretty(&json).unwrap_or_default()
}

/// Φ: tokens per megawatt.
const PHI: usize = Good::UsefulTokPerSPerMw as usize;

fn factor(ln: Option<Mean>) -> Option<f64> {
    ln.map(|mean| mean.mean.exp())
}

/// What is held equal in all subsets.
fn held(answer: &Answer, question: &Question) -> Value {
    let classes = answer.held.iter();
    let quality: Vec<Value> = classes
        .map(|held| json!({ "class": held.class, "accuracy": held.accuracy, "is_target": held.is_target }))
        .collect();
    let (load, attainment) = match question.load {
        Load::Given => ("given", None),
        Load::Solved { attainment, .. } => ("solved", Some(attainment)),
    };
    json!({
        "quality": quality,
        "slo_attainment": attainment,
        "load": load,
        "per_mw": if answer.per_cap { "cap" } else { "drawn" },
    })
}

/// Factors of effects by number.
fn effects(ln: &[Option<Mean>; GOODS]) -> Value {
    let all = Good::ALL.into_iter().map(|good| (good.key().to_string(), json!(factor(ln[good as usize]))));
    Value::Object(all.collect::<Map<_, _>>())
}

fn row(answer: &Answer, lever: usize) -> Value {
    let all = answer.all();
    let shares = answer.shares.as_ref();
    let share = |good: Good| shares.and_then(|shares| shares.by_lever[lever][good as usize]);
    let of = |which: fn(&Shares) -> &Vec<[Option<Mean>; GOODS]>| {
        shares.and_then(|shares| factor(which(shares)[lever][PHI]))
    };
    let phi = share(Good::UsefulTokPerSPerMw);
    let staves: Map<String, Value> = answer
        .moved(lever)
        .into_iter()
        .map(|(good, ln)| (good.key().trim_end_matches("_tok_per_s").to_string(), json!(ln.exp())))
        .collect();
    json!({
        "lever": answer.levers[lever],
        "set": answer.sets[lever],
        "phi": factor(phi),
        "ln_phi_share": phi.map(|mean| mean.mean),
        "ln_phi_share_ci95_low": phi.map(|mean| mean.ci95_low),
        "ln_phi_share_ci95_high": phi.map(|mean| mean.ci95_high),
        "phi_alone": of(|shares| &shares.alone),
        "phi_last": of(|shares| &shares.last),
        "j_per_token": {
            "gpu": factor(share(Good::GpuJPerTok)),
            "it": factor(share(Good::ItJPerTok)),
            "facility": factor(share(Good::FacilityJPerTok)),
        },
        "useful_tok_per_s": factor(share(Good::UsefulTokPerS)),
        "j_per_accepted_answer": factor(share(Good::JPerAcceptedAnswer)),
        "accepted_answers_per_s_per_mw": factor(share(Good::AcceptedPerSPerMw)),
        "staves": staves,
        "binding": {
            "alone": answer.subset(1 << lever).map_or(Value::Null, binding),
            "all_but_it": answer.subset(all & !(1 << lever)).map_or(Value::Null, binding),
        },
    })
}

fn binding(subset: &Subset) -> Value {
    let (label, share) = subset.binding().unzip();
    json!({
        "constraint": label.map(crate::ledger::outcome::Constraint::key),
        "share": share,
        "power_lasting_s": subset.power_lasting_s(),
        "cooling_lasting_s": subset.cooling_lasting_s(),
        "shortest_stave": subset.shortest().map(|good| good.key().trim_end_matches("_tok_per_s")),
    })
}

/// Why a subset has no result: one entry, or one by class.
fn unreached(answer: &Answer, subset: &Subset) -> Vec<Value> {
    let names = answer.names(subset.mask);
    let Some(why) = subset.result.as_ref().err() else { return Vec::new() };
    vec![match why {
        Unreached::Quality(missed) => {
            let each = missed.iter().map(|Missed { class, target, best }| {
                json!({ "levers": names, "class": class, "accuracy": target, "best_accuracy": best })
            });
            return each.collect();
        }
        Unreached::Service { target, best } => {
            json!({ "levers": names, "slo_attainment": target, "best_slo_attainment": best })
        }
        Unreached::Build(text) => json!({ "levers": names, "cannot_be_built": text }),
    }]
}

fn subset_row(answer: &Answer, subset: &Subset) -> Value {
    let mut row = Map::new();
    row.insert("levers".into(), json!(answer.names(subset.mask)));
    row.insert("load".into(), json!(subset.mean_of(|run| Some(run.load))));
    row.insert("accuracy".into(), json!(subset.mean_of(|run| run.accuracy)));
    row.insert("slo_attainment".into(), json!(subset.mean_of(|run| run.slo_attainment)));
    for good in Good::ALL {
        row.insert(good.key().into(), json!(subset.mean(good)));
    }
    row.insert("binding".into(), binding(subset));
    Value::Object(row)
}

/// A number of a table; empty where there is none.
fn cell(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// One row per lever, then all together: factors, and the ends of the interval of Φ.
fn levers_csv(answer: &Answer) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let own = ["lever", "phi_ci95_low", "phi_ci95_high", "phi_alone", "phi_last"];
    writer.write_record(own.into_iter().chain(Good::ALL.map(Good::key)))?;
    let Some(shares) = &answer.shares else { return writer.into_inner().map_err(|e| e.into_error().into()) };
    for (lever, name) in answer.levers.iter().enumerate() {
        let phi = shares.by_lever[lever][PHI];
        let mut record = vec![
            name.clone(),
            cell(phi.map(|phi| phi.ci95_low.exp())),
            cell(phi.map(|phi| phi.ci95_high.exp())),
            cell(factor(shares.alone[lever][PHI])),
            cell(factor(shares.last[lever][PHI])),
        ];
        record.extend(shares.by_lever[lever].iter().map(|ln| cell(factor(*ln))));
        writer.write_record(record)?;
    }
    let joint = shares.joint[PHI];
    let mut record = vec![
        "all".to_string(),
        cell(joint.map(|phi| phi.ci95_low.exp())),
        cell(joint.map(|phi| phi.ci95_high.exp())),
        String::new(),
        String::new(),
    ];
    record.extend(shares.joint.iter().map(|ln| cell(factor(*ln))));
    writer.write_record(record)?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// One row per subset and seed.
fn subsets_csv(answer: &Answer) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let own = ["levers", "seed", "load", "accuracy", "slo_attainment"];
    writer.write_record(own.into_iter().chain(Good::ALL.map(Good::key)))?;
    for subset in &answer.subsets {
        let Ok(runs) = &subset.result else { continue };
        for (run, seed) in runs.iter().zip(&answer.seeds) {
            let mut record = vec![
                answer.names(subset.mask).join("+"),
                seed.to_string(),
                run.load.to_string(),
                cell(run.accuracy),
                cell(run.slo_attainment),
            ];
            record.extend(run.goods.map(cell));
            writer.write_record(record)?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Writes the folder `dir` with `summary.json`, `levers.csv`, `subsets.csv` and figures, complete or not at all.
///
/// # Errors
/// The disk said no, or a figure cannot be drawn.
pub fn write(
    dir: &Path,
    answer: &Answer,
    question: &Question,
    subject: &Subject,
) -> Result<Vec<PathBuf>, ReportError> {
    let staging = folder::Staging::beside(dir)?;
    let table = |name: &str, made: Result<Vec<u8>, csv::Error>| {
        made.map_err(|error| ReportError::Io { path: dir.join(name), source: io::Error::other(error) })
    };
    let mut text = json(answer, question, subject);
    text.push('\n');
    let files = [
        ("summary.json", text.into_bytes()),
        ("levers.csv", table("levers.csv", levers_csv(answer))?),
        ("subsets.csv", table("subsets.csv", subsets_csv(answer))?),
    ];
    for (name, bytes) in &files {
        folder::write_file(&staging.path().join(name), bytes)?;
    }
    let mut names: Vec<PathBuf> = files.iter().map(|(name, _)| PathBuf::from(name)).collect();
    let theme = Theme::default();
    let drawn: Vec<_> = [
        figures::waterfall(answer, question, subject, &theme),
        figures::accuracy(answer, question, subject, &theme),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !drawn.is_empty() {
        let inner = staging.path().join("figures");
        std::fs::create_dir(&inner).map_err(|source| ReportError::Io { path: inner.clone(), source })?;
        let drawn = figures::write(&inner, &drawn)?;
        names.extend(drawn.into_iter().map(|name| Path::new("figures").join(name)));
    }
    staging.put_in_place()?;
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// What is held, in words: for captions.
pub(super) fn held_in_words(answer: &Answer, question: &Question) -> String {
    let quality = match answer.held.as_slice() {
        [] => String::new(),
        [one] => format!("{:.1} % right", one.accuracy * 100.0),
        _ => "equal accuracy".into(),
    };
    let service = match question.load {
        Load::Given => "at the load given".to_string(),
        Load::Solved { attainment, .. } => {
            format!("{} % within SLO", super::numbers::significant(attainment * 100.0, 4))
        }
    };
    if quality.is_empty() { service } else { format!("{quality}, {service}") }
}
