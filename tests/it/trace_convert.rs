//! `wattmill trace convert`: every format gives the requests that a scenario reads from it, and published rates a curve.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use wattmill::workload::convert::{ConvertOptions, Converted, convert};
use wattmill::workload::describe::{DescribeOptions, describe};
use wattmill::workload::synth::{Preset, SynthOptions, write_trace};
use wattmill::workload::{Request, TraceError, Workload, fs_to_seconds};

use crate::support::{catalog, load_file};

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
    2023-11-16 18:15:46.6805900,374,44\n\
    2023-11-16 18:15:50.9951690,396,109\n\
    2023-11-16 18:15:51.2224670,879,55\n";
/// The year's other spelling of stamps.
const AZURE_2024: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
    2024-05-10 00:00:00.009930+00:00,2162,5\n\
    2024-05-10 00:00:00.017335+00:00,2399,6\n";
const MOONCAKE_CSV: &str =
    "timestamp_ms,input_length,output_length,n_hash_blocks\n0,6758,500,14\n3000,13544,71,27\n5999.5,7,12,1\n";
const MOONCAKE_JSON: &str = "{\"timestamp\": 0, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0, 1, 2]}\n\
    {\"timestamp\": 3000, \"input_length\": 13544, \"output_length\": 71, \"hash_ids\": [0, 14]}\n\n\
    {\"output_length\": 12, \"timestamp\": 5999.5, \"hash_ids\": [], \"input_length\": 7}\n";
const BURSTGPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
    5,ChatGPT,472,18,490,Conversation log\n\
    45,GPT-4,1087,230,1317,Conversation log\n\
    50,ChatGPT,88,0,88,API log\n\
    55,ChatGPT,0,0,0,API log\n\
    118.5,ChatGPT,417,276,693,API log\n";
const SERVED: &str = "request_id,arrival_s,input_tokens,output_tokens,measured_ttft_s\n\
    a,0.5,374,44,0.1\nb,0.7,396,109,0.2\n";
const OWN: &str = "arrival_s,class,prompt_tok,output_tok,difficulty,thinking_tok,user\n\
    0.500000000000001,chat,120,30,easy,0,a\n\
    1.25,chat,80,900,hard,850,b\n";

fn requests(dir: &TempDir, file: &str) -> (Vec<Request>, Vec<String>) {
    let text = format!(
        "name: t\nworkload: {{ classes: [{{ name: chat, arrivals: {{ trace: {{ path: {file} }} }} }}] }}\n\
         fleet: {{ sites: [{{ pools: [{{ model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }}] }}] }}\n"
    );
    let path = dir.path().join("s.yaml");
    fs::write(&path, text).expect("scenario");
    let resolved = load_file(&path, &[], catalog());
    let workload = Workload::open(&resolved.scenario, &resolved.base_dir, &catalog()).expect("workload");
    let mut stream = workload.stream().expect("stream");
    (std::iter::from_fn(|| stream.next().expect("request")).collect(), workload.notes())
}

fn folder(name: &str, text: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join(name), text).expect("file");
    dir
}

fn converted(dir: &TempDir, name: &str, options: &ConvertOptions) -> (Converted, String) {
    let to = dir.path().join("out.csv");
    let made = convert(&dir.path().join(name), &to, options).unwrap_or_else(|error| panic!("{error}"));
    (made, fs::read_to_string(to).expect("converted"))
}

#[test]
fn a_converted_trace_is_replayed_like_its_original() {
    for (name, text, rows, format) in [
        ("t.csv", AZURE, 3, "azure"),
        ("t.csv", AZURE_2024, 2, "azure"),
        ("t.csv", MOONCAKE_CSV, 3, "mooncake"),
        ("t.jsonl", MOONCAKE_JSON, 3, "mooncake (JSON Lines)"),
        ("t.csv", BURSTGPT, 3, "burstgpt"),
        ("t.csv", SERVED, 2, "served"),
        ("t.csv", OWN, 2, "wattmill"),
    ] {
        let dir = folder(name, text);
        let (original, _) = requests(&dir, name);
        assert_eq!(original.len(), rows, "{format}");
        let options = ConvertOptions { class: Some("chat".into()), ..ConvertOptions::default() };
        let (made, _) = converted(&dir, name, &options);
        let Converted::Trace { format: found, written, .. } = made else { panic!("{made:?}") };
        assert_eq!((found, written as usize), (format, rows));
        assert_eq!(requests(&dir, "out.csv").0, original, "{format}");
        // And through gzip.
        let packed = dir.path().join("out.csv.gz");
        convert(&dir.path().join(name), &packed, &options).expect("packed");
        assert_eq!(requests(&dir, "out.csv.gz").0, original, "{format}");
    }
}

#[test]
fn columns_and_rows_are_these() {
    let options = ConvertOptions::default();
    let dir = folder("t.csv", MOONCAKE_CSV);
    let (made, text) = converted(&dir, "t.csv", &options);
    assert_eq!(text, "arrival_s,prompt_tok,output_tok\n0,6758,500\n3,13544,71\n5.9995,7,12\n");
    let Converted::Trace { columns_not_read, .. } = made else { panic!("{made:?}") };
    assert_eq!(columns_not_read, ["n_hash_blocks"]);

    let dir = folder("t.jsonl", MOONCAKE_JSON);
    assert_eq!(converted(&dir, "t.jsonl", &options).1, text);

    // Without a class of their own, rows keep the model; failed ones are counted.
    let dir = folder("t.csv", BURSTGPT);
    let (made, text) = converted(&dir, "t.csv", &options);
    assert_eq!(
        text,
        "arrival_s,prompt_tok,output_tok,class\n5,472,18,ChatGPT\n45,1087,230,GPT-4\n118.5,417,276,ChatGPT\n"
    );
    let Converted::Trace { failed_left_out, read, .. } = made else { panic!("{made:?}") };
    assert_eq!((failed_left_out, read), (2, 3));
    let (_, notes) = requests(&dir, "t.csv");
    assert!(notes.iter().any(|note| note.contains("2 failed rows")), "{notes:?}");

    let dir = folder("t.csv", OWN);
    assert_eq!(
        converted(&dir, "t.csv", &options).1,
        "arrival_s,prompt_tok,output_tok,class,difficulty,thinking_tok\n\
         0.500000000000001,120,30,chat,easy,0\n1.25,80,900,chat,hard,850\n"
    );
}

#[test]
fn windows_and_samples() {
    let mut text = String::from("arrival_s,prompt_tok,output_tok\n");
    for i in 0..10_000 {
        text += &format!("{i},{},5\n", i + 1);
    }
    let dir = folder("t.csv", &text);
    let rows = |options: &ConvertOptions| -> Vec<(f64, u32)> {
        let made = converted(&dir, "t.csv", options).1;
        let row = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            (fields[0].parse().expect("time"), fields[1].parse().expect("tokens"))
        };
        made.lines().skip(1).map(row).collect()
    };
    let window = ConvertOptions { from_s: Some(100.0), until_s: Some(102.5), ..ConvertOptions::default() };
    assert_eq!(rows(&window), [(0.0, 101), (1.0, 102), (2.0, 103)]);
    let third = ConvertOptions { sample: Some(1.0 / 3.0), ..ConvertOptions::default() };
    let kept = rows(&third);
    // Four standard deviations of a binomial.
    assert!(kept.len().abs_diff(3333) < 4 * 47, "{}", kept.len());
    // A row's draw is its own: a larger share keeps it, a window does not change it, another seed does.
    let half = rows(&ConvertOptions { sample: Some(0.5), ..third.clone() });
    assert!(kept.iter().all(|row| half.contains(row)) && half.len() > kept.len());
    let part = rows(&ConvertOptions { from_s: Some(5000.0), ..third.clone() });
    let late: Vec<(f64, u32)> = kept.iter().filter(|r| r.0 >= 5000.0).map(|r| (r.0 - 5000.0, r.1)).collect();
    assert_eq!(part, late);
    assert_ne!(rows(&ConvertOptions { seed: 2, ..third }), kept);
}

#[test]
fn bad_rows_are_named_and_nothing_is_written() {
    let cases = [
        ("t.jsonl", MOONCAKE_JSON.replace("71", "0"), "t.jsonl:2:44: `output_length` = `0` is zero"),
        ("t.jsonl", MOONCAKE_JSON.replace("3000", "-3"), "t.jsonl:2:2: `timestamp` = `-3` is negative"),
        (
            "t.jsonl",
            MOONCAKE_JSON.replace("3000,", "3000"),
            "t.jsonl:2:20: is no request of a mooncake trace: expected",
        ),
        (
            "t.jsonl",
            MOONCAKE_JSON.replace("5999.5", "2"),
            "t.jsonl:4:23: `timestamp` = `2` is earlier than the row",
        ),
        ("t.jsonl", MOONCAKE_JSON.replace("\"timestamp\": 5999.5, ", ""), "missing field `timestamp`"),
        (
            "t.csv",
            MOONCAKE_CSV.replace("5999.5", "x"),
            "t.csv:4:1: `timestamp_ms` = `x` is not a number; times are milliseconds",
        ),
        (
            "t.csv",
            BURSTGPT.replace("1087", "1087.5"),
            "t.csv:3:10: `Request tokens` = `1087.5` is not a whole",
        ),
        ("t.csv", BURSTGPT.replace("118.5", "54"), "t.csv:6:1: `Timestamp` = `54` is earlier than the row"),
        ("t.csv", AZURE.replace(",55", ","), "t.csv:4:33: `GeneratedTokens` is empty"),
        ("t.csv", "a,b\n1,2\n".into(), "t.csv:1:1: the header `a,b` is of no known trace"),
        ("t.csv", "".into(), "is empty"),
        ("t.csv", BURSTGPT.lines().take(1).collect(), "has no rows"),
    ];
    for (name, text, part) in cases {
        let dir = folder(name, &text);
        let to = dir.path().join("out.csv");
        let error = convert(&dir.path().join(name), &to, &ConvertOptions::default()).expect_err(part);
        assert!(error.to_string().contains(part), "{error}\n  not {part}");
        assert!(matches!(error, TraceError::Input(_)));
        assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1, "{part}: something was left behind");
        // A scenario refuses the same row.
        if !text.is_empty() && !part.contains("no rows") && !part.contains("no known") {
            let scenario = format!("classes: [{{ name: a, arrivals: {{ trace: {{ path: {name} }} }} }}]");
            let scenario: wattmill::scenario::types::Workload =
                serde_yaml::from_str(&scenario).expect("workload");
            let mut whole: wattmill::scenario::types::Scenario =
                serde_yaml::from_str("{ workload: { classes: [] }, fleet: { sites: [] } }")
                    .expect("scenario");
            whole.workload = scenario;
            let again = Workload::open(&whole, dir.path(), &catalog()).expect_err(part);
            assert!(again.to_string().contains(part), "{again}");
        }
    }
}

#[test]
fn published_rates_become_a_curve() {
    let options = ConvertOptions::default();
    let dir = folder("r.csv", "t_s,total_rate_rps,rate_weighted_client_cv\n0,2,1\n600,6,3\n1200,4,2\n");
    let (made, text) = converted(&dir, "r.csv", &options);
    assert_eq!(text, "time_s,rate_per_s\n0,2\n600,6\n1200,4\n");
    let Converted::RateCurve { mean_per_s, peak_per_s, client_cv, rows, .. } = made else {
        panic!("{made:?}")
    };
    assert_eq!((mean_per_s, peak_per_s, rows), (4.0, 6.0, 3));
    // (2·1 + 6·3 + 4·2) / 12
    assert_eq!(client_cv, Some(28.0 / 12.0));
    let window = ConvertOptions { from_s: Some(900.0), ..ConvertOptions::default() };
    assert_eq!(converted(&dir, "r.csv", &window).1, "time_s,rate_per_s\n0,6\n300,4\n");
    let class = ConvertOptions { class: Some("a".into()), ..ConvertOptions::default() };
    let error = convert(&dir.path().join("r.csv"), &dir.path().join("x.csv"), &class).expect_err("a class");
    assert!(error.to_string().contains("holds rates, not requests"), "{error}");

    let dir = folder(
        "r.csv",
        "timestamp_utc,requests_per_minute\n2024-05-10T00:00:00Z,60\n2024-05-10T00:10:00Z,90\n",
    );
    assert_eq!(converted(&dir, "r.csv", &options).1, "time_s,rate_per_s\n0,1\n600,1.5\n");

    // Clients of ServeGen, added up: one comes later, one has a gap.
    let dir = tempfile::tempdir().expect("temporary folder");
    let clients = dir.path().join("clients");
    fs::create_dir(&clients).expect("folder");
    fs::write(
        clients.join("chunk-0-trace.csv"),
        "0,1.5,2.5,Gamma,0.16,6.25\n600,0.5,1.0,Weibull,1.0,2000000\n",
    )
    .expect("client");
    fs::write(clients.join("chunk-1-trace.csv"), "600,2,1,Gamma,1,1\n1200,,,,,\n").expect("client");
    fs::write(clients.join("chunk-0-dataset.json"), "{}").expect("client");
    let (made, text) = converted(&dir, "clients", &options);
    assert_eq!(text, "time_s,rate_per_s\n0,1.5\n600,2.5\n1200,0\n");
    let Converted::RateCurve { files, .. } = made else { panic!("{made:?}") };
    assert_eq!(files, 2);
    // One client alone, and a bad number in it.
    fs::write(dir.path().join("one.csv"), "0,1.5,2.5,Gamma,0.16,6.25\n600,-1,1.0,Weibull,1.0,2\n")
        .expect("client");
    let error =
        convert(&dir.path().join("one.csv"), &dir.path().join("x.csv"), &options).expect_err("a rate");
    assert!(error.to_string().contains("one.csv:2:5: `rate_per_s` = `-1`"), "{error}");
}

fn wattmill(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(dir)
        .arg("trace")
        .args(arguments)
        .output()
        .expect("wattmill runs")
}

#[test]
fn the_command_says_what_it_did_and_spares_what_is_there() {
    let dir = folder("t.csv", BURSTGPT);
    let run = |arguments: &[&str]| {
        let output = wattmill(dir.path(), arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = run(&["convert", "t.csv", "-o", "u.csv"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("3 of 3 requests (burstgpt)") && out.contains("2 failed rows"), "{out}");
    let (code, _, err) = run(&["convert", "t.csv", "-o", "u.csv"]);
    assert!(code == Some(2) && err.contains("use --force"), "{err}");
    let (code, out, _) = run(&["convert", "t.csv", "-o", "u.csv", "--force", "--json", "--until-s", "50"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, json["trace"]["written"].as_u64()), (Some(0), Some(2)));
    for (arguments, part) in [
        (&["convert", "t.csv", "-o", "no/u.csv"][..], "there is no folder"),
        (&["convert", "t.csv", "-o", "u.txt"], "a trace is a .csv"),
        (&["convert", "none.csv", "-o", "v.csv"], "none.csv: cannot be opened"),
        (&["convert", "t.csv", "-o", "v.csv", "--sample", "1.5"], "--sample: is 1.5"),
        (&["convert", "t.csv", "-o", "v.csv", "--from-s", "9", "--until-s", "9"], "--until-s: must be after"),
        (&["convert", "t.csv", "-o", "v.csv", "--from-s", "1e6"], "none of its 3 requests is kept"),
    ] {
        let (code, _, err) = run(arguments);
        assert!(code == Some(2) && err.contains(part), "{arguments:?}: {err}");
        assert!(!dir.path().join("v.csv").exists());
    }
}

#[test]
fn a_raised_flag_stops_the_work_and_leaves_nothing() {
    let stop = std::sync::atomic::AtomicBool::new(true);
    let dir = tempfile::tempdir().expect("temporary folder");
    let (from, to) = (dir.path().join("t.csv"), dir.path().join("u.csv"));
    let many = SynthOptions { requests: Some(100_000), ..SynthOptions::default() };
    write_trace(&from, Preset::Azure2023Code, &many).expect("a long trace");
    let options = ConvertOptions { stop: Some(&stop), ..ConvertOptions::default() };
    let ends = [
        convert(&from, &to, &options).expect_err("stopped"),
        write_trace(&to, Preset::Azure2023Code, &SynthOptions { stop: Some(&stop), ..many })
            .expect_err("stopped"),
        describe(&from, &DescribeOptions { stop: Some(&stop), ..DescribeOptions::default() })
            .expect_err("stopped"),
    ];
    assert!(ends.iter().all(|end| matches!(end, TraceError::Interrupted)), "{ends:?}");
    assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1);
}

#[test]
fn times_survive_exactly() {
    // Mooncake's halves of milliseconds are seconds to the digit.
    let dir = folder("t.csv", MOONCAKE_CSV);
    let last = requests(&dir, "t.csv").0[2].arrival_fs;
    assert_eq!((last, fs_to_seconds(last)), (5_999_500_000_000_000, 5.9995));
}
