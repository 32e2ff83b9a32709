//! `wattmill catalog`: the entries that scenarios name, with numbers, units, sources and what follows from them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use wattmill::catalog::{Catalog, Kind, Number, Sheet};
use wattmill::scenario::suggestion;

use super::exit::Failure;
use super::{backend, terminal};

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List entries
    List(List),
    /// Show an entry: every number with unit, source and quality, and what follows from them
    Show(Show),
}

#[derive(Args)]
struct List {
    /// Kind of entries; default: all
    #[arg(value_enum)]
    kind: Option<KindName>,
    /// Folder with your own catalog entries, which are marked
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Print all numbers as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Show {
    /// Name of an entry, or what else it is called (H200, Llama-3.3-70B)
    name: String,
    /// Folder with your own catalog entries, which are marked
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    Gpus,
    Models,
    Nodes,
    Engines,
    Quality,
    Fit,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Gpus => Self::Gpus,
            KindName::Models => Self::Models,
            KindName::Nodes => Self::Nodes,
            KindName::Engines => Self::Engines,
            KindName::Quality => Self::Quality,
            KindName::Fit => Self::Fit,
        }
    }
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let text = match &arguments.command {
        Command::List(list) => {
            let catalog = backend::catalog(list.catalog.as_deref())?;
            let kinds = list.kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind.into()]);
            if list.json { list_json(&catalog, &kinds)? } else { list_text(&catalog, &kinds) }
        }
        Command::Show(show) => {
            let catalog = backend::catalog(show.catalog.as_deref())?;
            let sheets = catalog.sheets_called(&show.name);
            if sheets.is_empty() {
                let known: Vec<String> = Kind::ALL
                    .into_iter()
                    .flat_map(|kind| catalog.sheets(kind))
                    .flat_map(|sheet| sheet.aliases.into_iter().chain([sheet.name]))
                    .collect();
                // All names would fill a page; the kinds are a beginning.
                let hint = suggestion(&show.name, known.iter().map(String::as_str));
                let hint = if hint.starts_with("; did") {
                    hint
                } else {
                    "; `wattmill catalog list` lists all".into()
                };
                return Err(Failure::input(format!("there is no entry '{}'{hint}", show.name)));
            }
            if show.json {
                pretty(&json!({ "entries": sheets }))?
            } else {
                sheets.iter().map(show_text).collect::<Vec<_>>().join("\n\n")
            }
        }
    };
    terminal::print(&text)?;
    Ok(())
}

fn pretty(value: &Value) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?)
}

fn list_json(catalog: &Catalog, kinds: &[Kind]) -> Result<String, Failure> {
    let mut all = Map::new();
    for kind in kinds {
        let sheets = serde_json::to_value(catalog.sheets(*kind)).map_err(anyhow::Error::from)?;
        all.insert(kind.name().into(), sheets);
    }
    pretty(&Value::Object(all))
}

/// What a list shows of each kind: fields, or what follows from them, by the heads of its columns.
fn columns(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Gpus => &[
            ("bf16 TFLOP/s", "bf16_dense_tflops"),
            ("fp8", "fp8_dense_tflops"),
            ("fp4", "fp4_dense_tflops"),
            ("HBM GB", "hbm_gb"),
            ("TB/s", "hbm_tb_s"),
            ("TDP W", "tdp_w"),
            ("FLOP/byte", "ridge point bf16, peaks"),
        ],
        Kind::Models => &[
            ("1e9 params", "parameters"),
            ("passed", "parameters a token passes"),
            ("weights GB", "weights as published"),
            ("KV byte/tok", "KV cache per token, 16 bit"),
            ("GFLOP/tok", "FLOP per decoded token, without attention"),
        ],
        Kind::Nodes => &[("GPUs", "gpus"), ("overhead W", "overhead_w"), ("W per GPU W", "gpu_factor")],
        Kind::Engines => {
            &[("us/step", "per_step_us"), ("us/seq", "per_seq_us"), ("us/layer", "per_layer_us")]
        }
        Kind::Quality => &[
            ("up to 1e9", "default_up_to_b"),
            ("sigma", "sigma"),
            ("a1 easy", "easy.a1"),
            ("medium", "medium.a1"),
            ("hard", "hard.a1"),
            ("keeps: easy", "easy"),
            ("medium", "medium"),
            ("hard", "hard"),
        ],
        Kind::Fit => &[("value", "value"), ("95 % from", "95 % from"), ("to", "95 % to"), ("prior", "prior")],
    }
}

fn list_text(catalog: &Catalog, kinds: &[Kind]) -> String {
    let mut blocks = Vec::new();
    for kind in kinds {
        let heads = columns(*kind);
        let mut rows: Vec<Vec<String>> = vec![
            std::iter::once(kind.name().to_owned())
                .chain(heads.iter().map(|(head, _)| (*head).to_owned()))
                .chain(["weakest".into(), String::new()])
                .collect(),
        ];
        for sheet in catalog.sheets(*kind) {
            let value = |field: &str| {
                let number = sheet.numbers.iter().find(|n| n.field == field).map(|n| n.value);
                number.or_else(|| sheet.derived.iter().find(|d| d.name == field).map(|d| d.value))
            };
            let mut row = vec![sheet.name.clone()];
            row.extend(heads.iter().map(|(_, field)| value(field).map_or("-".into(), digits)));
            row.push(sheet.quality.word().into());
            row.push(mark(&sheet).into());
            rows.push(row);
        }
        blocks.push(aligned(&rows, heads.len()));
    }
    blocks.join("\n\n")
}

/// Names to the left, numbers to the right.
fn aligned(rows: &[Vec<String>], numbers: usize) -> String {
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(i, cell)| {
            let width = width(i).unwrap_or(0);
            if (1..=numbers).contains(&i) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn mark(sheet: &Sheet) -> &'static str {
    if sheet.own { "own" } else { "" }
}

fn show_text(sheet: &Sheet) -> String {
    let own = if sheet.own { ", your own" } else { "" };
    let mut lines = vec![format!("{} ({}{own})", sheet.name, sheet.kind.name())];
    if !sheet.aliases.is_empty() {
        lines.push(format!("  also called  {}", sheet.aliases.join(", ")));
    }
    lines.push(format!("  weakest      {}: {}", sheet.quality.word(), sheet.weakest));
    let mut sources: Vec<&str> = Vec::new();
    let whole = cite(&mut sources, sheet.source.as_deref());
    for (field, text) in &sheet.words {
        lines.push(format!("  {field}: {text}"));
    }
    let rows: Vec<Vec<String>> =
        sheet.numbers.iter().map(|n| number_row(n, cite(&mut sources, n.source.as_deref()))).collect();
    lines.push(indented(&aligned(&rows, 1)));
    if !sheet.derived.is_empty() {
        lines.push("  follows from these:".into());
        let rows: Vec<Vec<String>> =
            sheet.derived.iter().map(|d| vec![d.name.clone(), digits(d.value), d.unit.into()]).collect();
        lines.push(indented(&aligned(&rows, 1)));
    }
    if !whole.is_empty() {
        lines.push(format!("  as a whole   {whole}"));
    }
    for (i, source) in sources.iter().enumerate() {
        lines.push(format!("  [{}] {source}", i + 1));
    }
    lines.join("\n")
}

/// Number of a source in the list below the entry, where it stands once.
fn cite<'a>(sources: &mut Vec<&'a str>, source: Option<&'a str>) -> String {
    let Some(source) = source else { return String::new() };
    let at = sources.iter().position(|other| *other == source).unwrap_or_else(|| {
        sources.push(source);
        sources.len() - 1
    });
    format!("[{}]", at + 1)
}

fn number_row(n: &Number, cited: String) -> Vec<String> {
    let follows = n.follows.as_ref().map_or(String::new(), |f| {
        let times = if f.times == 1.0 { String::new() } else { format!("{} x ", digits(f.times)) };
        format!("95 %: {} to {}, {times}{}", digits(f.low95), digits(f.high95), f.coefficient)
    });
    let quality = n.quality.map_or("", wattmill::catalog::Quality::word);
    vec![n.field.clone(), digits(n.value), n.unit.into(), quality.into(), cited, follows]
}

fn indented(block: &str) -> String {
    block.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Whole numbers as they are, with their thousands apart; others with four digits or as many as they have.
fn digits(x: f64) -> String {
    if x == x.trunc() && x.abs() < 1e15 {
        let plain = format!("{:.0}", x.abs());
        let mut text = String::from(if x < 0.0 { "-" } else { "" });
        for (i, digit) in plain.chars().enumerate() {
            if i > 0 && (plain.len() - i).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return text;
    }
    let places = (3 - x.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{x:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
