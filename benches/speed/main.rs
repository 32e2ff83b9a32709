//! Speed in one table: `cargo bench --bench speed`, or `cargo bench --bench speed -- WORDS` for the cases whose name
//! has all the words, `--repeats N` for more or fewer than three.
//!
//! Every case of the engine is one whole run without writing, from an empty fleet, on one thread. A repeat runs all
//! chosen cases once, in turns, so that what else the machine does falls on all of them. Time is the thread's time on
//! a CPU where the system tells it (Linux), else the clock on the wall. Load is the offered rate over what the fleet
//! can carry: the stave of KV capacity, the rate of the full step time at the largest feasible batch.

#[allow(dead_code, unused_imports, reason = "the loop and the tests use what the bench does not")]
#[path = "../../src/engine/queue.rs"]
mod queue;

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use wattmill::catalog::Catalog;
use wattmill::scenario::types::TraceFormat;
use wattmill::scenario::{self, LoadOptions, Resolved};
use wattmill::workload::{Workload, write_cache};
use wattmill::{EngineKind, SimOptions, simulate};

use queue::{Key, Queue, Rank};

type Anything<T> = Result<T, Box<dyn Error>>;

/// GPUs, and replicas, of a node.
const PER_NODE: u32 = 8;
/// Replicas, in whole nodes, and the shortest run of such a fleet [s].
const FLEETS: [(u32, f64); 4] = [(8, 60.0), (HUNDRED, 60.0), (1_000, 40.0), (10_000, 12.0)];
/// The fleet that others are compared with: about a hundred replicas, in whole nodes.
const HUNDRED: u32 = 104;
/// Rows of the bench's trace.
const ROWS: u32 = 300_000;
/// Operations on the queue.
const OPERATIONS: u64 = 3_000_000;

/// A case: what it does once, and how many things that was.
struct Case {
    name: String,
    /// What is counted.
    unit: &'static str,
    /// The case that its ratio refers to.
    against: Option<String>,
    work: Box<dyn Fn() -> Anything<u64>>,
}

/// What a case took, over the repeats.
struct Timed {
    count: u64,
    /// Sorted.
    seconds: Vec<f64>,
}

impl Timed {
    fn per_s(&self, i: usize) -> f64 {
        self.count as f64 / self.seconds[i]
    }

    fn median_per_s(&self) -> f64 {
        self.per_s(self.seconds.len() / 2)
    }
}

fn main() -> Anything<()> {
    let (mut words, mut repeats) = (Vec::new(), 3);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--repeats" => repeats = arguments.next().ok_or("--repeats N")?.parse::<usize>()?.max(1),
            // Cargo's own.
            "--bench" => {}
            word => words.push(word.to_owned()),
        }
    }
    let temporary = tempfile::tempdir()?;
    let mut cases = cases(temporary.path())?;
    // A chosen case brings the one it is measured against.
    let chosen: Vec<bool> = cases.iter().map(|c| words.iter().all(|w| c.name.contains(w))).collect();
    let wanted: Vec<String> =
        cases.iter().zip(&chosen).filter(|(_, c)| **c).filter_map(|(case, _)| case.against.clone()).collect();
    let mut keep = cases
        .iter()
        .zip(chosen)
        .map(|(case, c)| c || wanted.contains(&case.name))
        .collect::<Vec<_>>()
        .into_iter();
    cases.retain(|_| keep.next() == Some(true));

    let mut timed: Vec<Timed> = cases.iter().map(|_| Timed { count: 0, seconds: Vec::new() }).collect();
    for _ in 0..repeats {
        for (case, timed) in cases.iter().zip(&mut timed) {
            let started = Moment::now();
            timed.count = (case.work)().map_err(|error| format!("{}: {error}", case.name))?;
            timed.seconds.push(started.seconds());
        }
    }
    for t in &mut timed {
        t.seconds.sort_by(f64::total_cmp);
    }
    print(&cases, &timed, repeats);
    Ok(())
}

fn print(cases: &[Case], timed: &[Timed], repeats: usize) {
    println!("{:<54} {:>10} {:>26}  {:>9}  ratio", "", "count", "per s: median [spread]", "ns each");
    for (case, t) in cases.iter().zip(timed) {
        let ratio = case.against.as_ref().and_then(|name| {
            let i = cases.iter().position(|c| c.name == *name)?;
            Some(format!("{:.2} × the rate of {name}", t.median_per_s() / timed[i].median_per_s()))
        });
        let spread = format!(
            "{} [{} to {}]",
            short(t.median_per_s()),
            short(t.per_s(t.seconds.len() - 1)),
            short(t.per_s(0))
        );
        println!(
            "{:<54} {:>10} {spread:>26}  {:>9.0}  {}",
            format!("{} ({})", case.name, case.unit),
            t.count,
            1e9 / t.median_per_s(),
            ratio.unwrap_or_default()
        );
    }
    println!("{repeats} repeats; {}", if Moment::now().cpu_ns.is_some() { "CPU time" } else { "wall time" });
}

/// 1.23 M and the like.
fn short(x: f64) -> String {
    if x >= 1e6 { format!("{:.2} M", x / 1e6) } else { format!("{:.0} k", x / 1e3) }
}

/// A moment, on the wall and in CPU time of this thread.
struct Moment {
    wall: Instant,
    cpu_ns: Option<u64>,
}

impl Moment {
    fn now() -> Self {
        let cpu_ns = std::fs::read_to_string("/proc/thread-self/schedstat")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok());
        Self { wall: Instant::now(), cpu_ns }
    }

    fn seconds(&self) -> f64 {
        let now = Self::now();
        let spent = match (self.cpu_ns, now.cpu_ns) {
            (Some(before), Some(after)) => Duration::from_nanos(after - before),
            _ => now.wall - self.wall,
        };
        spent.as_secs_f64().max(1e-9)
    }
}

fn cases(temporary: &Path) -> Anything<Vec<Case>> {
    let catalog = Arc::new(Catalog::embedded()?);
    let mut cases = Vec::new();
    let mut add = |name: String, against: Option<String>, engine: EngineKind, resolved: Resolved| {
        let work = move || {
            let outcome = simulate(&resolved, &SimOptions { engine, ..SimOptions::default() })?;
            Ok(black_box(outcome).summary.requests.arrived)
        };
        cases.push(Case { name, unit: "requests", against, work: Box::new(work) });
    };

    // The fleet: about 200,000 requests a run, but no run so short that nothing would ever finish in it.
    let chat = Chat { answer_tok: 355, capacity_per_s: capacity_per_s(355, &catalog)? };
    for (replicas, shortest_s) in FLEETS {
        for load in [0.3, 0.8, 1.2] {
            let against = (replicas != HUNDRED).then(|| name(HUNDRED, load));
            let run = Run { chat, replicas, load, requests: 200_000, shortest_s };
            add(name(replicas, load), against, EngineKind::Segments, run.fleet(&catalog)?);
        }
    }
    let half = Run { chat, replicas: HUNDRED, load: 0.5, requests: 100_000, shortest_s: 60.0 };
    add(name(HUNDRED, 0.5), None, EngineKind::Segments, half.fleet(&catalog)?);
    let long = Chat { answer_tok: 3_550, capacity_per_s: capacity_per_s(3_550, &catalog)? };
    let long = Run { chat: long, requests: 50_000, ..half };
    add(
        format!("outputs × 10, {}", name(HUNDRED, 0.5)),
        Some(name(HUNDRED, 0.5)),
        EngineKind::Segments,
        long.fleet(&catalog)?,
    );
    for (replicas, shortest_s) in &FLEETS[1..] {
        let (replicas, shortest_s) = (*replicas, *shortest_s);
        let run = Run { chat, replicas, load: 0.8, requests: 200_000, shortest_s };
        add(
            format!("hall, {}", name(replicas, 0.8)),
            Some(name(replicas, 0.8)),
            EngineKind::Segments,
            run.hall(&catalog)?,
        );
    }
    let few = Run { chat, replicas: FLEETS[0].0, load: 0.8, requests: 10_000, shortest_s: 60.0 };
    add(
        format!("segments, {}", name(few.replicas, few.load)),
        None,
        EngineKind::Segments,
        few.fleet(&catalog)?,
    );
    add(
        format!("stepwise, {}", name(few.replicas, few.load)),
        Some(format!("segments, {}", name(few.replicas, few.load))),
        EngineKind::Stepwise,
        few.fleet(&catalog)?,
    );

    traces(temporary, &catalog, &mut cases)?;
    for sources in [10, 100, 1_000, 10_000] {
        let against = (sources != 100).then(|| "queue of 100 replicas".to_owned());
        let work = move || Ok(hold(sources));
        cases.push(Case {
            name: format!("queue of {sources} replicas"),
            unit: "events",
            against,
            work: Box::new(work),
        });
    }
    Ok(cases)
}

fn name(replicas: u32, load: f64) -> String {
    format!("{replicas} replicas, load {load}")
}

/// Chat with answers of a mean length, and how many a replica can carry.
#[derive(Clone, Copy)]
struct Chat {
    answer_tok: u32,
    capacity_per_s: f64,
}

/// A run of the fleet.
#[derive(Clone, Copy)]
struct Run {
    chat: Chat,
    replicas: u32,
    load: f64,
    requests: u32,
    shortest_s: f64,
}

impl Run {
    fn nodes(&self) -> u32 {
        self.replicas / PER_NODE
    }

    fn rate_per_s(&self) -> f64 {
        self.load * self.chat.capacity_per_s * f64::from(self.replicas)
    }

    fn duration_s(&self) -> f64 {
        (f64::from(self.requests) / self.rate_per_s()).max(self.shortest_s)
    }

    fn sets(&self) -> Vec<String> {
        let class = "workload.classes.0";
        vec![
            format!("duration_s={}", self.duration_s()),
            format!("{class}.arrivals.poisson.rate_per_s={}", self.rate_per_s()),
            format!("{class}.lengths.answer.lognormal.mean_tok={}", self.chat.answer_tok),
            format!("{class}.lengths.answer.lognormal.max_tok={}", 4_096 * (self.chat.answer_tok / 355)),
            format!("fleet.sites.0.pools.0.nodes={}", self.nodes()),
        ]
    }

    fn fleet(&self, catalog: &Arc<Catalog>) -> Anything<Resolved> {
        load("fleet.yaml", self.sets(), catalog)
    }

    /// The same in a building; the cap falls at a quarter of the run, rises a little at the middle, and falls further
    /// at three quarters.
    fn hall(&self, catalog: &Arc<Catalog>) -> Anything<Resolved> {
        let (site, n) = ("fleet.sites.0", f64::from(self.nodes()));
        let mut sets = self.sets();
        sets.push("start_at_h=12".into());
        sets.push(format!("{site}.power.cap_mw={}", 0.0085 * n));
        for (i, (device, mw)) in [
            ("utility", 0.013),
            ("transformer", 0.013),
            ("ups", 0.0096),
            ("pdu", 0.009),
            ("mechanical_bus", 0.002),
        ]
        .into_iter()
        .enumerate()
        {
            sets.push(format!("{site}.power.tree.{i}.device.{device}.rated_mw={}", mw * n));
        }
        for i in 0..3 {
            let at_h = 12.0 + self.duration_s() / 3600.0 * f64::from(i + 1) / 4.0;
            sets.push(format!("{site}.power.cap_fraction.steps.{i}.at_h={at_h}"));
        }
        let zone = format!("{site}.cooling.zones.0");
        sets.push(format!("{zone}.plant.tower_with_chiller.capacity_mw={}", 0.0086 * n));
        sets.push(format!("{zone}.thermal_mass_mj_per_k={}", 0.18 * n));
        load("hall.yaml", sets, catalog)
    }
}

fn load(file: &str, sets: Vec<String>, catalog: &Arc<Catalog>) -> Anything<Resolved> {
    let mut options = LoadOptions::new(catalog.clone());
    options.sets = sets;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/speed").join(file);
    Ok(scenario::load(&path, &options)?)
}

/// Requests per second that a replica can carry: the stave of KV capacity over the mean output.
fn capacity_per_s(answer_tok: u32, catalog: &Arc<Catalog>) -> Anything<f64> {
    let unknown = Chat { answer_tok, capacity_per_s: 1.0 };
    let run = Run { chat: unknown, replicas: PER_NODE, load: 0.1, requests: 1, shortest_s: 10.0 };
    let resolved = run.fleet(catalog)?;
    let outcome = simulate(&resolved, &SimOptions::default())?;
    let tok_per_s = outcome.summary.staves_tok_per_s.kv_capacity.ok_or("no stave of KV capacity")?;
    let workload = Workload::open(&resolved.scenario, &resolved.base_dir, catalog)?;
    let output_tok = workload.mix().first().ok_or("a class")?.mean_output_tok;
    Ok(tok_per_s / f64::from(PER_NODE) / output_tok)
}

/// Reading a trace: checked once, then streamed, as a run does.
fn traces(temporary: &Path, catalog: &Arc<Catalog>, cases: &mut Vec<Case>) -> Anything<()> {
    let plain = temporary.join("trace.csv");
    let packed = temporary.join("trace.csv.gz");
    let mut text = String::from("arrival_s,prompt_tok,output_tok\n");
    for i in 0..ROWS {
        let (prompt, output) = (1 + i * 7_919 % 4_000, 1 + i * 104_729 % 800);
        text += &format!("{}.{:03},{prompt},{output}\n", i / 20, i % 20 * 50);
    }
    std::fs::write(&plain, &text)?;
    let mut gz = GzEncoder::new(File::create(&packed)?, Compression::default());
    gz.write_all(text.as_bytes())?;
    gz.finish()?;
    let copied = temporary.join("trace.wmt");
    write_cache(&plain, TraceFormat::Auto, &copied)?;
    for (name, path) in [("trace, plain", plain), ("trace, gzip", packed), ("trace, cache", copied)] {
        let catalog = catalog.clone();
        let against = (name != "trace, plain").then(|| "trace, plain".to_owned());
        let work = Box::new(move || replay(&path, &catalog));
        cases.push(Case { name: name.into(), unit: "rows, read twice", against, work });
    }
    Ok(())
}

fn replay(path: &Path, catalog: &Arc<Catalog>) -> Anything<u64> {
    let sets = vec![
        format!("workload.classes.0.arrivals={{trace: {{path: '{}'}}}}", path.display()),
        "workload.classes.0.lengths=null".into(),
        "duration_s=null".into(),
    ];
    let resolved = load("fleet.yaml", sets, catalog)?;
    let workload = Workload::open(&resolved.scenario, &resolved.base_dir, catalog)?;
    let mut stream = workload.stream()?;
    let mut rows = 0;
    while let Some(request) = stream.next()? {
        rows += u64::from(black_box(request).output_tok > 0);
    }
    Ok(rows)
}

/// The queue alone: the earliest event is taken and its source set to a later one, as by a busy replica.
fn hold(sources: usize) -> u64 {
    let mut queue = Queue::new(sources);
    // Weyl's sequence: gaps without a generator in the way.
    let mut weyl = 0_u64;
    let mut gap_fs = || {
        weyl = weyl.wrapping_add(0x9E37_79B9_7F4A_7C15);
        10_000_000_000_000 + i128::from(weyl >> 16)
    };
    for source in 0..sources {
        queue.set(source, Key::new(gap_fs(), Rank::IterationEnd, source));
    }
    for _ in 0..OPERATIONS {
        let Some((source, key)) = queue.pop() else { break };
        queue.set(source, Key::new(key.at_fs() + gap_fs(), Rank::IterationEnd, source));
    }
    black_box(queue.peek());
    OPERATIONS
}
