//! `peer-driver CONFIG.toml TRACE.csv [REQUESTS.csv]`: replays a trace (`arrival_s,prompt_tok,output_tok`) through
//! inference-lab's engine and prints one line of means and percentiles in seconds.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use inference_lab::config::{ClusterSpec, ModelSpec, RouterConfig, SchedulerConfig};
use inference_lab::request::Request;
use inference_lab::simulation::{Engine, Topology};

#[derive(serde::Deserialize)]
struct Setup {
    kv_blocks: u64,
    model: ModelSpec,
    cluster: ClusterSpec,
    scheduler: SchedulerConfig,
    router: RouterConfig,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(config), Some(trace), log) = (args.next(), args.next(), args.next()) else {
        return Err("usage: peer-driver CONFIG.toml TRACE.csv [REQUESTS.csv]".into());
    };
    let mut setup: Setup = toml::from_str(&std::fs::read_to_string(config)?)?;
    if let Some(replicas) = std::env::var_os("REPLICAS") {
        setup.cluster.num_workers = replicas.to_string_lossy().parse()?;
    }
    // The peer counts KV in bytes.
    setup.scheduler.kv_cache_capacity = setup.kv_blocks * setup.model.kv_storage_bytes(setup.scheduler.block_size);
    let topology = Topology::aggregated(setup.cluster, setup.model, setup.scheduler)?.with_router(&setup.router);
    let mut engine = Engine::new(topology);

    let mut rows = BufReader::new(File::open(trace)?).lines();
    rows.next();
    let mut number = 0_u64;
    let mut next = || -> Result<Option<Request>, Box<dyn Error>> {
        let Some(row) = rows.next() else { return Ok(None) };
        let row = row?;
        let mut cells = row.split(',');
        let mut cell = || cells.next().ok_or("a row has three cells");
        let (at, prompt, output) = (cell()?.parse()?, cell()?.parse()?, cell()?.parse()?);
        number += 1;
        Ok(Some(Request::new((number - 1).to_string(), 0, at, prompt, output)))
    };

    let mut done = Vec::new();
    let mut arrival = next()?;
    loop {
        // Arrivals enter in time, before any event that comes later: none waits for the end of a step to be seen.
        while arrival.as_ref().is_some_and(|r| engine.next_event_time().is_none_or(|t| r.arrival_time <= t)) {
            engine.submit(arrival.take().ok_or("an arrival")?);
            arrival = next()?;
        }
        if engine.next_event_time().is_none() {
            break;
        }
        let outcome = engine.step()?;
        if !outcome.failed.is_empty() {
            return Err("a request failed".into());
        }
        done.extend(outcome.completions.into_iter().map(|t| {
            let index: u64 = t.request_id.parse().unwrap_or(u64::MAX);
            (index, t.arrival_time, t.ttft(), t.tpot(), t.e2e(), t.num_output_tokens, t.num_preemptions, t.rejected)
        }));
    }
    done.sort_by_key(|d| d.0);
    if let Some(log) = log {
        let mut out = BufWriter::new(File::create(log)?);
        writeln!(out, "index,arrival_s,ttft_s,tpot_s,e2e_s,output_tok,preemptions,rejected")?;
        for (index, at, ttft, tpot, e2e, output, preemptions, rejected) in &done {
            let tpot = tpot.map_or(String::new(), |t| t.to_string());
            writeln!(out, "{index},{at},{ttft},{tpot},{e2e},{output},{preemptions},{rejected}")?;
        }
        out.flush()?;
    }
    println!("{} requests, {} preemptions", done.len(), engine.aggregate_preemptions());
    Ok(())
}
