//! `wattmill check`: everything that can be known to be wrong before a run.

use clap::Args;
use serde_json::json;
use wattmill::fleet::{Fleet, Pool, UNLIMITED_KV_BLOCKS};
use wattmill::scenario::Resolved;

use super::exit::Failure;
use super::scenario_args::ScenarioArguments;
use super::{backend, terminal};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Print what was understood as JSON
    #[arg(long)]
    json: bool,
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let resolved = arguments.scenario.load(None)?;
    backend::open_workload(&resolved).map_err(Failure::input)?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&json!({
            "ok": true,
            "scenario": {
                "name": resolved.scenario.name,
                "hash": resolved.hash,
                "seed": resolved.scenario.seed,
                "duration_s": resolved.scenario.duration_s,
            },
            "resolved": resolved.scenario,
        }))
        .map_err(anyhow::Error::from)?
    } else {
        summary(&resolved)
    };
    terminal::print(&text)?;
    Ok(())
}

fn summary(resolved: &Resolved) -> String {
    let scenario = &resolved.scenario;
    let duration = match scenario.duration_s {
        Some(duration_s) => format!("{duration_s} s"),
        None => "as long as its traces".into(),
    };
    let mut lines = vec![
        format!("{}: ok", resolved.source.shown()),
        format!("  name      {} (hash {})", scenario.name, short(&resolved.hash)),
        format!("  runs      {duration}, seed {}", scenario.seed),
    ];
    for class in &scenario.workload.classes {
        let for_model = class.model.as_ref().map_or(String::new(), |model| format!(", only {model}"));
        lines.push(format!("  class     {}{for_model}", class.name));
    }
    for site in &scenario.fleet.sites {
        let cap = site.power.cap_mw.map_or("no cap".into(), |cap_mw| format!("cap {cap_mw} MW"));
        lines.push(format!("  site      {}, {cap}", site.name));
        for pool in &site.pools {
            lines.push(format!(
                "  pool      {}: {} on {} nodes of {}, tensor {}",
                pool.name, pool.model, pool.nodes, pool.gpu, pool.parallel.tensor
            ));
        }
    }
    lines.extend(drafts(resolved));
    lines.join("\n")
}

/// What speculation yields and what its draft leaves of the KV cache, by pool.
fn drafts(resolved: &Resolved) -> Vec<String> {
    let mut plain = resolved.scenario.clone();
    plain.models.iter_mut().for_each(|model| model.speculation = None);
    let build = |scenario| Fleet::build(scenario, &resolved.catalog, &resolved.base_dir).ok();
    let (Some(with), Some(without)) = (build(&resolved.scenario), build(&plain)) else { return Vec::new() };
    let pools = with.pools.iter().zip(&without.pools);
    let line = |(pool, plain): (&Pool, &Pool)| {
        let speculation = pool.speculation.as_ref()?;
        Some(format!(
            "  draft     {}: proposes {} tokens a step, {:.2} are emitted; {} a replica, {} without it",
            pool.name,
            speculation.draft_tok,
            1.0 / speculation.step_per_tok,
            blocks(pool),
            blocks(plain)
        ))
    };
    pools.filter_map(line).collect()
}

fn blocks(pool: &Pool) -> String {
    match pool.kv_blocks {
        UNLIMITED_KV_BLOCKS => "as many KV blocks as asked for".into(),
        blocks => format!("{blocks} KV blocks"),
    }
}

/// The part of a hash that people compare.
pub fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}
