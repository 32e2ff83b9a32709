//! A trace cache gives the same requests and the same summary as its CSV, and is refused when it was cut or changed.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use wattmill::input::InputError;
use wattmill::report::summary_json;
use wattmill::scenario::Resolved;
use wattmill::scenario::types::TraceFormat;
use wattmill::workload::{Request, Workload, write_cache};

use crate::support::{catalog, load_file, run};

/// Two classes that take turns, difficulty, recorded thought, a column that nobody reads, and simultaneous arrivals.
const ROWS: &str = "arrival_s,class,prompt_tok,output_tok,difficulty,thinking_tok,user\n\
    0.5,chat,120,30,easy,0,a\n\
    0.5,problems,80,900,hard,850,b\n\
    0.500000000000001,chat,16000,1,medium,0,a\n\
    3,problems,50,400,easy,100,c\n\
    3,chat,1,2,easy,1,a\n\
    7.25,problems,70,2000,medium,1900,c\n";

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
    2023-11-16 18:15:46.6805900,374,44\n\
    2023-11-16 18:15:50.9951690,396,109\n\
    2023-11-16 18:15:51.2224670,879,55\n";

/// Two rows are no requests; the copy tells.
const BURSTGPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
    5,ChatGPT,472,18,490,Conversation log\n\
    50,ChatGPT,88,0,88,API log\n\
    51,GPT-4,0,0,0,API log\n\
    118.5,GPT-4,417,276,693,API log\n";

fn scenario(classes: &str) -> String {
    format!(
        "name: t\nworkload:\n  classes:\n{classes}fleet:\n  sites: [{{ pools: [{{ model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }}] }}]\n"
    )
}

fn class(name: &str, file: &str, more: &str) -> String {
    format!("    - {{ name: {name}, arrivals: {{ trace: {{ path: {file}{more} }} }} }}\n")
}

/// `text` with FILE for the trace, over the CSV and over its cache.
#[track_caller]
fn both(csv: &str, text: &str) -> (TempDir, [Resolved; 2]) {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("t.csv"), csv).expect("trace");
    let rows = write_cache(&dir.path().join("t.csv"), TraceFormat::Auto, &dir.path().join("t.wmt"));
    let failed = csv.lines().filter(|line| line.contains(",0,88,") || line.contains(",0,0,0,")).count();
    assert_eq!(rows, Ok((csv.lines().count() - failed) as u64 - 1));
    let both = ["t.csv", "t.wmt"].map(|file| {
        let path = dir.path().join("s.yaml");
        fs::write(&path, text.replace("FILE", file)).expect("scenario");
        load_file(&path, &[], catalog())
    });
    (dir, both)
}

fn requests(resolved: &Resolved) -> Vec<Request> {
    let workload = Workload::open(&resolved.scenario, &resolved.base_dir, &catalog()).expect("workload");
    let mut stream = workload.stream().expect("stream");
    std::iter::from_fn(|| stream.next().expect("request")).collect()
}

#[test]
fn a_cache_is_the_same_run() {
    let difficulty = |name: &str, reasoning: &str| {
        format!(
            "    - {{ name: {name}, arrivals: {{ trace: {{ path: FILE, scale: 2.5 }} }}, \
             difficulty: {{ flagged_hard: {{ easy: 0.3, medium: 0.6, hard: 0.9 }} }}, reasoning: {reasoning} }}\n"
        )
    };
    let cases = [
        (AZURE, class("chat", "FILE", ", scale: 3.5, speed_up: 1.7"), 9),
        (BURSTGPT, class("chat", "FILE", ""), 2),
        (ROWS, class("chat", "FILE", "") + &class("problems", "FILE", ", speed_up: 0.3"), 6),
        (ROWS, class("chat", "FILE", "") + &difficulty("problems", "{ fixed: { budget_tok: 500 } }"), 9),
    ];
    for (csv, classes, least) in cases {
        let (_files, [from_csv, from_cache]) = both(csv, &scenario(&classes));
        let (a, b) = (requests(&from_csv), requests(&from_cache));
        assert_eq!(a, b, "{classes}");
        assert!(a.len() >= least, "{} requests of {classes}", a.len());
        assert_eq!(from_csv.hash, from_cache.hash, "{classes}");
        let [a, b] = [from_csv, from_cache].map(|resolved| {
            let mut outcome = run(&resolved);
            outcome.summary.engine.wall_s = None;
            outcome.summary.engine.requests_per_s = None;
            summary_json(&outcome).replace("t.wmt", "t.csv")
        });
        assert_eq!(a.contains("2 failed rows"), csv == BURSTGPT, "{a}");
        for (a, b) in a.lines().zip(b.lines()) {
            assert_eq!(a, b, "{classes}");
        }
        assert_eq!(a.len(), b.len(), "{classes}");
    }
}

#[test]
fn a_cache_is_small() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/azure-2023-conversation-synth.csv");
    let wmt = dir.path().join("t.wmt");
    write_cache(&csv, TraceFormat::Auto, &wmt).expect("cache");
    let size = |path: &Path| fs::metadata(path).expect("size").len();
    assert!(2 * size(&wmt) < size(&csv), "{} bytes of {}", size(&wmt), size(&csv));
}

#[test]
fn a_cut_or_changed_cache_is_refused_at_every_byte() {
    let (_files, [_, resolved]) = both(ROWS, &scenario(&class("chat", "FILE", "")));
    let path = resolved.base_dir.join("t.wmt");
    let whole = fs::read(&path).expect("cache");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).expect("damaged cache");
        let error: InputError =
            Workload::open(&resolved.scenario, &resolved.base_dir, &catalog()).expect_err(what);
        assert!(error.to_string().contains("t.wmt"), "{what}: {error}");
        error.message
    };
    // Past the magic, a shorter file is a cut cache; before its end, no trace at all.
    for length in 8..whole.len() {
        let message = refused(&whole[..length], &format!("cut to {length} bytes"));
        assert!(message.contains("cut or changed"), "{message}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        refused(&changed, &format!("byte {at} changed"));
    }
    let longer = [&whole[..], b"more"].concat();
    assert!(refused(&longer, "longer").contains("cut or changed"));
}

#[test]
fn what_cannot_be_a_cache_is_said() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (csv, wmt, again) = (dir.path().join("t.csv"), dir.path().join("t.wmt"), dir.path().join("u.wmt"));
    fs::write(&csv, ROWS).expect("trace");
    write_cache(&csv, TraceFormat::Auto, &wmt).expect("cache");
    let error = write_cache(&wmt, TraceFormat::Auto, &again).expect_err("a cache of a cache");
    assert!(error.message.contains("already"), "{error}");
    fs::write(&csv, ROWS.replace("80,900", "80,x")).expect("trace");
    let error = write_cache(&csv, TraceFormat::Auto, &again).expect_err("a bad row");
    assert_eq!(error.line, Some(3), "{error}");
    assert!(!again.exists());

    let text = scenario(&class("chat", "t.wmt", ", format: azure"));
    let path = dir.path().join("s.yaml");
    fs::write(&path, text).expect("scenario");
    let resolved = load_file(&path, &[], catalog());
    let error = Workload::open(&resolved.scenario, &resolved.base_dir, &catalog()).expect_err("a format");
    assert!(error.message.contains("format: auto"), "{error}");
}
