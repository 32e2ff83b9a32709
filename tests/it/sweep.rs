//! Sweeps: the closed form over a plane, the same bytes however they are run, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use wattmill::study::sweep::{self, Plan, Shard};

use crate::support::{Draw, close};

/// A fleet of one node, quick to run; its arrivals are random.
const BASE: &str = "\
duration_s: 120
workload:
  classes:
    - name: chat
      arrivals: { poisson: { rate_per_s: 80 } }
      slo: { ttft_ms: 1000, tpot_ms: 50 }
fleet:
  sites:
    - name: lab
      static_pue: 1.2
      power: { cap_mw: 0.01 }
      pools:
        - { model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }
";

/// 4 x 5 points, 3 seeds each: 60 rows in 20 chunks.
const SWEEP: &str = "\
name: small
base: base.yaml
seed: 7
replications: 3
axes:
  - name: rate
    paths: { workload.classes.0.arrivals.poisson.rate_per_s: { linspace: { from: 40, to: 160, points: 4 } } }
  - name: cap
    paths: { fleet.sites.0.power.cap_mw: [0.006, 0.007, 0.008, 0.009, 0.010] }
chunk_points: 3
columns: [throughput, slo_attainment, latency_s.ttft.p99, power_w.facility]
";

/// A temporary folder with a base scenario and a sweep file.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new(base: &str, sweep: &str) -> Self {
        let lab = Self { folder: tempfile::tempdir().expect("temporary folder") };
        lab.put("base.yaml", base);
        lab.put("sweep.yaml", sweep);
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wattmill"));
        command.current_dir(self.folder.path()).arg("sweep").args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        command
    }

    fn sweep(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("wattmill")
    }

    /// Must succeed; returns stdout.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.sweep(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Must fail with this exit code and say this on stderr.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, said: &[&str]) {
        let output = self.sweep(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for part in said {
            assert!(text.contains(part), "{arguments:?}: no '{part}' in: {text}");
        }
    }

    #[track_caller]
    fn plan(&self, dir: &str) {
        self.ok(&["plan", "sweep.yaml", "-o", dir, "--no-pilot"]);
    }

    #[track_caller]
    fn status(&self, dir: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["status", dir, "--json"])).expect("JSON")
    }

    /// Hashes of the merged Parquet and CSV.
    #[track_caller]
    fn merged(&self, dir: &str) -> Vec<String> {
        let json: serde_json::Value =
            serde_json::from_str(&self.ok(&["merge", dir, "--json"])).expect("JSON");
        let files = json["files"].as_array().expect("files");
        files.iter().map(|file| file["sha256"].as_str().expect("hash").to_string()).collect()
    }

    fn chunk(&self, dir: &str, number: u64) -> PathBuf {
        self.path(&format!("{dir}/chunks/{number:06}.chunk"))
    }

    fn rows(&self, file: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path(file)).expect("CSV");
        reader.deserialize().map(|row| row.expect("row")).collect()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is '{}'", row[column]))
}

/// PHYSICS §1: Q = min(nodes, cap / (PUE · 10,401 W)) · 102,909 tok/s over the whole plane, and power binds exactly
/// where the second is smaller (a cap that costs at most 1 % of the step time does not bind).
#[test]
fn the_plane_of_pue_and_cap_is_the_closed_form() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::read(Path::new("configs/sweeps/pue-power-cap.yaml"), None).unwrap();
    assert_eq!(plan.remarks.failing, 0);
    let sweep = plan.write(&folder.path().join("plane")).unwrap();
    let survey = sweep::survey(&sweep, Shard::WHOLE).unwrap();
    let options = sweep::Options { jobs: 2, go_on: &|| true, rows_done: &|_| {} };
    assert_eq!(sweep::run(&sweep, &survey, &options).unwrap(), sweep::End::Finished);
    let file = folder.path().join("plane.csv");
    sweep::merge(&sweep, std::slice::from_ref(&file)).unwrap();
    let rows: Vec<BTreeMap<String, String>> =
        csv::Reader::from_path(&file).unwrap().deserialize().map(Result::unwrap).collect();
    assert!(rows.len() >= 200, "{} points", rows.len());
    let (mut by_power, mut by_compute) = (0, 0);
    for row in &rows {
        let (pue, cap_mw) = (number(row, "site.pue"), number(row, "power.cap_mw"));
        let nodes_by_power = cap_mw / (pue * 0.010401);
        let expected = nodes_by_power.min(10.0) * 102_909.0;
        let what = format!("tokens/s at PUE {pue}, {cap_mw} MW");
        close(&what, number(row, "throughput.output_tok_per_s"), expected, 1e-9);
        let bound = |cause: &str| number(row, &format!("binding.share.{cause}"));
        if nodes_by_power < 9.89 {
            assert_eq!((bound("power"), bound("compute")), (1.0, 0.0), "PUE {pue}, {cap_mw} MW");
            by_power += 1;
        } else if nodes_by_power > 10.0 {
            assert_eq!((bound("power"), bound("compute")), (0.0, 1.0), "PUE {pue}, {cap_mw} MW");
            by_compute += 1;
        }
        assert_eq!(row["error"], "");
    }
    assert!(by_power > 100 && by_compute > 50, "{by_power} by power, {by_compute} by compute");
}

/// One thread; twenty times killed; by shards out of 2, 3 and 5; by two processes at once: always the same bytes.
#[test]
fn merged_bytes_do_not_depend_on_how_the_sweep_was_run() {
    let lab = Lab::new(BASE, SWEEP);
    lab.plan("plain");
    lab.ok(&["run", "plain", "--jobs", "1", "-q"]);
    let expected = lab.merged("plain");

    lab.plan("killed");
    let mut draw = Draw::new(3);
    let (mut killed, mut done_before) = (0, 0);
    while killed < 20 {
        let mut child = lab.command(&["run", "killed", "--jobs", "2", "-q"]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(draw.between(5e3, 90e3) as u64));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let done = lab.status("killed")["chunks"]["done"].as_u64().unwrap();
        assert!(done >= done_before, "{done} chunks after a kill, {done_before} before");
        assert_eq!(lab.status("killed")["chunks"]["failed"], 0);
        done_before = done;
        if status.success() {
            // It was done sooner than it was killed: take some away.
            for chunk in (0..20).step_by(3) {
                fs::remove_file(lab.chunk("killed", chunk)).unwrap();
            }
            done_before = 0;
        } else {
            killed += 1;
        }
    }
    lab.ok(&["run", "killed", "-q"]);
    assert_eq!(lab.merged("killed"), expected, "after {killed} kills");

    lab.plan("shards");
    let shards = ["1/2", "0/3", "2/3", "4/5"];
    let children: Vec<_> =
        shards.map(|shard| lab.command(&["run", "shards", "--shard", shard, "-q"]).spawn().unwrap()).into();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    // Chunk 6 leaves 0, 0 and 1.
    assert!(lab.chunk("shards", 7).exists() && lab.chunk("shards", 4).exists());
    lab.ok(&["run", "shards", "--shard", "0/1", "-q"]);
    assert_eq!(lab.merged("shards"), expected, "by shards");

    lab.plan("twice");
    let children: Vec<_> =
        (0..2).map(|_| lab.command(&["run", "twice", "--jobs", "2", "-q"]).spawn().unwrap()).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(lab.merged("twice"), expected, "by two processes at once");
    assert_eq!(lab.merged("twice"), expected, "merged again over itself");
    for dir in ["killed", "shards", "twice"] {
        let left = fs::read_dir(lab.path(&format!("{dir}/chunks"))).unwrap();
        let whole = left.filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count();
        assert_eq!(whole, 20, "{dir}: one file a chunk");
    }
}

/// Shard I of N does the chunks that leave I, whatever is there already.
#[test]
fn a_shard_does_its_own_chunks_and_no_others() {
    let lab = Lab::new(BASE, &SWEEP.replace("replications: 3", "replications: 1"));
    lab.plan("s");
    lab.ok(&["run", "s", "--shard", "1/3", "-q"]);
    // 20 rows in 7 chunks.
    let there: Vec<u64> = (0..7).filter(|chunk| lab.chunk("s", *chunk).exists()).collect();
    assert_eq!(there, [1, 4]);
    lab.refused(&["merge", "s"], 2, &["5 of 7 chunks are missing: 0, 2, 3, 5, 6", "wattmill sweep run s"]);
    assert!(!lab.path("s/merged.csv").exists());
    lab.refused(&["run", "s", "--shard", "3/3"], 2, &["the last is 2/3"]);
    lab.refused(&["run", "s", "--shard", "x"], 2, &["0/4"]);
    let status = lab.status("s");
    assert_eq!(
        status,
        serde_json::json!({
            "chunks": { "total": 7, "done": 2, "missing": 5, "failed": 0 },
            "points": { "total": 20, "ok": 6, "error": 0 },
        })
    );
}

#[test]
fn an_interrupt_keeps_what_is_finished_and_says_how_to_go_on() {
    let lab = Lab::new(BASE, &SWEEP.replace("replications: 3", "replications: 60"));
    lab.plan("s");
    let child = lab.command(&["run", "s", "--jobs", "2"]).spawn().unwrap();
    for _ in 0..200 {
        if lab.chunk("s", 0).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("go on with: wattmill sweep run s"), "{said}");
    let done = lab.status("s")["chunks"]["done"].as_u64().unwrap();
    assert!(done >= 1 && said.contains(&format!("{done} of 400 chunks are done")), "{done}: {said}");
    let temporary = fs::read_dir(lab.path("s/chunks")).unwrap();
    assert!(
        !temporary.map(|e| e.unwrap().file_name()).any(|name| name.to_string_lossy().starts_with(".tmp"))
    );
}

#[test]
fn damaged_chunks_are_made_again_and_foreign_ones_refused() {
    let short = SWEEP.replace("replications: 3", "replications: 1");
    let lab = Lab::new(BASE, &short);
    lab.plan("s");
    lab.ok(&["run", "s", "-q"]);
    let expected = lab.merged("s");
    let whole = fs::read(lab.chunk("s", 2)).unwrap();

    // Cut off anywhere: nothing left, in the first line, in a row, in the last line.
    for length in [0, 9, 60, 300, whole.len() - 30, whole.len() - 1] {
        fs::write(lab.chunk("s", 2), &whole[..length]).unwrap();
        assert_eq!(lab.status("s")["chunks"]["failed"], 1, "{length} bytes");
        lab.refused(&["merge", "s"], 2, &["1 of 7 chunks are missing: 2 (damaged", "wattmill sweep run s"]);
        let output = lab.sweep(&["run", "s"]);
        assert!(output.status.success());
        assert!(stderr(&output).contains("000002.chunk"), "{}", stderr(&output));
        assert_eq!(fs::read(lab.chunk("s", 2)).unwrap(), whole);
    }
    // A digit changed in a row: only the checksum knows.
    let mut changed = whole.clone();
    let place = changed.len() / 2;
    changed[place] = if changed[place] == b'1' { b'2' } else { b'1' };
    fs::write(lab.chunk("s", 2), &changed).unwrap();
    lab.refused(&["merge", "s"], 2, &["000002.chunk", "checksum", "wattmill sweep run s"]);
    lab.ok(&["run", "s", "-q"]);
    assert_eq!(lab.merged("s"), expected);

    // The chunk of another place, of another sweep, and under another name.
    fs::copy(lab.chunk("s", 3), lab.chunk("s", 2)).unwrap();
    for command in ["run", "merge"] {
        lab.refused(&[command, "s"], 2, &["000002.chunk: holds chunk 3 of this sweep, not 2"]);
    }
    lab.put("sweep.yaml", &short.replace("seed: 7", "seed: 8"));
    lab.plan("other");
    lab.ok(&["run", "other", "-q"]);
    fs::copy(lab.chunk("other", 2), lab.chunk("s", 2)).unwrap();
    let foreign = fs::read(lab.chunk("s", 2)).unwrap();
    for command in ["run", "merge"] {
        lab.refused(&[command, "s"], 2, &["000002.chunk: is of another sweep"]);
    }
    assert_eq!(fs::read(lab.chunk("s", 2)).unwrap(), foreign, "what is not ours stays");
    fs::write(lab.chunk("s", 2), &whole).unwrap();
    fs::copy(lab.chunk("s", 3), lab.path("s/chunks/000003 (copy).chunk")).unwrap();
    for command in ["run", "merge"] {
        lab.refused(&[command, "s"], 2, &["000003 (copy).chunk", "move it out"]);
    }
    fs::remove_file(lab.path("s/chunks/000003 (copy).chunk")).unwrap();
    assert_eq!(lab.merged("s"), expected);
}

#[test]
fn what_was_planned_must_be_what_is_run() {
    let base = BASE.replace(
        "{ poisson: { rate_per_s: 80 } }",
        "{ trace: { path: trace.csv } }\n      lengths: { prompt: { constant: { tok: 9 } }, answer: { constant: { tok: 9 } } }",
    );
    let base = base.replace(
        "      lengths: { prompt: { constant: { tok: 9 } }, answer: { constant: { tok: 9 } } }\n",
        "",
    );
    let sweep =
        "base: base.yaml\naxes:\n  - { name: cap, paths: { fleet.sites.0.power.cap_mw: [0.006, 0.01] } }\n";
    let lab = Lab::new(&base, sweep);
    let trace = "arrival_s,prompt_tok,output_tok\n0.5,100,20\n1.5,200,30\n";
    lab.put("trace.csv", trace);
    lab.plan("a/b/s");
    let unchanged = |lab: &Lab| lab.ok(&["run", "a/b/s", "-q"]);
    unchanged(&lab);
    let expected = lab.merged("a/b/s");

    lab.put("base.yaml", &base.replace("1.2", "1.3"));
    lab.refused(&["run", "a/b/s"], 2, &["base.yaml: the base scenario was changed"]);
    assert_eq!(lab.merged("a/b/s"), expected, "a merge needs the folder alone");
    fs::remove_file(lab.path("base.yaml")).unwrap();
    unchanged(&lab);
    lab.put("base.yaml", &base);

    lab.put("trace.csv", &trace.replace("200", "201"));
    lab.refused(&["run", "a/b/s"], 2, &["trace.csv: the input file was changed"]);
    fs::remove_file(lab.path("trace.csv")).unwrap();
    lab.refused(&["run", "a/b/s"], 2, &["trace.csv: the input file cannot be read"]);
    lab.put("trace.csv", trace);

    for file in ["base.yaml", "points.csv"] {
        let path = lab.path(&format!("a/b/s/{file}"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("0", "1")).unwrap();
        lab.refused(&["run", "a/b/s"], 2, &[file, "was changed after planning"]);
        fs::write(&path, text).unwrap();
    }
    let path = lab.path("a/b/s/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    for (changed, said) in [
        (text.replace("\"points\": 2", "\"points\": 3"), "was changed after planning"),
        (text[..text.len() / 2].to_string(), "is damaged"),
        (text.replace("\"format\": 1", "\"format\": 2"), "has format 2; this wattmill reads format 1"),
    ] {
        fs::write(&path, changed).unwrap();
        for command in ["run", "status", "merge"] {
            lab.refused(&[command, "a/b/s"], 2, &["manifest.json", said]);
        }
    }
    fs::write(&path, text).unwrap();
    unchanged(&lab);
    assert_eq!(lab.merged("a/b/s"), expected);

    // Planned again elsewhere, from the same files: the same sweep.
    lab.plan("other");
    lab.ok(&["run", "other", "-q"]);
    assert_eq!(lab.merged("other"), expected);
    // A sweep file that has changed since is only said.
    lab.put("sweep.yaml", &sweep.replace("0.006", "0.007"));
    let output = lab.sweep(&["run", "other"]);
    assert!(
        output.status.success() && stderr(&output).contains("sweep.yaml: was changed after"),
        "{output:?}"
    );
    lab.refused(&["plan", "sweep.yaml", "-o", "other"], 2, &["other: is there already"]);
    lab.refused(&["status", "a"], 2, &["a: is not the folder of a sweep"]);
}

#[test]
fn a_point_that_cannot_be_run_is_a_row_with_its_error() {
    let sweep = "\
base: base.yaml
axes:
  - name: model
    paths: { fleet.sites.0.pools.0.model: [Llama-3.1-8B, Llama-3.1-70B] }
  - name: tensor
    paths: { fleet.sites.0.pools.0.parallel.tensor: [1, 8] }
columns: [throughput.output_tok_per_s, scenario.name, engine.events]
";
    let lab = Lab::new(&BASE.replace("cap_mw: 0.01 ", "cap_mw: 0.02 "), sweep);
    let output = lab.sweep(&["plan", "sweep.yaml", "-o", "s"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 of 4 points tried cannot be run"), "{}", stderr(&output));
    lab.ok(&["run", "s", "-q"]);
    assert_eq!(lab.status("s")["points"], serde_json::json!({ "total": 4, "ok": 3, "error": 1 }));
    lab.merged("s");
    let rows = lab.rows("s/merged.csv");
    for row in &rows {
        let failed = row["model"] == "Llama-3.1-70B" && row["tensor"] == "1";
        assert_eq!(row["error"].is_empty(), !failed, "{row:?}");
        assert_eq!(row["throughput.output_tok_per_s"].is_empty(), failed, "{row:?}");
        assert_eq!(row["scenario.name"], if failed { "" } else { "base" });
        if failed {
            assert!(row["error"].contains("GB"), "{row:?}");
            assert!(!row["error"].contains(lab.folder.path().to_str().unwrap()), "{row:?}");
            assert!(!row["error"].contains("s/base.yaml"), "no folder: {row:?}");
        }
    }
}

/// The Parquet file holds what the CSV holds, bit for bit, with kinds, units and no trace of its making.
#[test]
fn parquet_and_csv_hold_the_same() {
    let sweep = "\
name: kinds
base: base.yaml
replications: 2
axes:
  - name: router
    paths: { routing: [least_loaded, { least_loaded: { probe: 2 } }] }
    labels: [all, two]
  - name: nodes
    paths:
      fleet.sites.0.pools.0.nodes: [1, 2]
      fleet.sites.0.power.cap_mw: { linspace: { from: 0.01, to: 0.02, points: 2 } }
  - name: tpot_ms
    paths: { workload.classes.0.slo.tpot_ms: [20.5, 50, null] }
skip: [{ nodes: { above: 1 }, router: { is: two } }]
columns: [throughput, tokens.output, engine.kind, quality.accuracy, slo_attainment]
";
    let lab = Lab::new(BASE, sweep);
    lab.plan("s");
    lab.ok(&["run", "s", "-q"]);
    lab.merged("s");
    let mut reader = csv::Reader::from_path(lab.path("s/merged.csv")).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(String::from).collect();
    assert_eq!(names[..6], ["point_id", "replication", "seed", "router", "nodes", "tpot_ms"]);
    assert_eq!(names.last().unwrap(), "error");
    let rows: Vec<Vec<String>> =
        reader.records().map(|r| r.unwrap().iter().map(String::from).collect()).collect();
    assert_eq!(rows.len(), (2 * 2 * 3 - 3) * 2);

    let file = SerializedFileReader::new(fs::File::open(lab.path("s/merged.parquet")).unwrap()).unwrap();
    let metadata = file.metadata().file_metadata().clone();
    assert_eq!(metadata.created_by(), Some(concat!("wattmill ", env!("CARGO_PKG_VERSION"))));
    let keys: BTreeMap<String, String> = metadata
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|pair| (pair.key.clone(), pair.value.clone().unwrap()))
        .collect();
    let units: BTreeMap<String, String> = serde_json::from_str(&keys["wattmill.units"]).unwrap();
    assert_eq!(units["throughput.output_tok_per_s"], "tok/s");
    assert_eq!(keys["wattmill.name"], "kinds");
    let mut compared = 0;
    for (row, expected) in file.get_row_iter(None).unwrap().zip(&rows) {
        let row = row.unwrap();
        for ((name, field), (column, text)) in row.get_column_iter().zip(names.iter().zip(expected)) {
            assert_eq!(name, column);
            let got = match field {
                Field::Null => String::new(),
                Field::Long(whole) => whole.to_string(),
                Field::Double(float) => {
                    assert_eq!(float.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{name}");
                    text.clone()
                }
                Field::Bool(b) => b.to_string(),
                Field::Str(text) => text.clone(),
                other => panic!("{name} is {other:?}"),
            };
            assert_eq!(got, *text, "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, rows.len() * names.len());
    // No path, host or time: the folder's name is nowhere.
    let bytes = fs::read(lab.path("s/merged.parquet")).unwrap();
    let folder = lab.folder.path().file_name().unwrap().to_str().unwrap().as_bytes().to_vec();
    assert!(!bytes.windows(folder.len()).any(|window| window == folder));

    // The same seeds at every point; ids are dense over the points; a skipped combination is not there.
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row[0], (number / 2).to_string());
        assert_eq!(row[1], (number % 2).to_string());
        assert_eq!(row[2], rows[number % 2][2]);
        assert!(!(row[3] == "two" && row[4] == "2"));
    }
    assert_ne!(rows[0][2], rows[1][2]);
    // Another seed, other requests; another SLO, the same.
    let column = |name: &str| names.iter().position(|column| column == name).unwrap();
    let (output, slo) = (column("tokens.output"), column("slo_attainment"));
    assert_ne!(rows[0][output], rows[1][output]);
    assert_eq!(rows[0][output], rows[2][output]);
    assert_ne!(rows[0][slo], rows[2][slo]);
}

/// Each mistake is said with file, line, column, and what would be right; nothing is written.
#[test]
fn mistakes_in_a_sweep_file_have_a_place() {
    let axes = |values: &str| format!("base: base.yaml\naxes:\n  - name: cap\n    paths:\n      {values}\n");
    let cap = "fleet.sites.0.power.cap_mw";
    let cases: Vec<(String, &[&str])> = vec![
        ("axes: []\n".into(), &["sweep.yaml:1:1: missing field 'base' in the sweep"]),
        (
            "base: base.yaml\naxis: []\n".into(),
            &["sweep.yaml:2:1: unknown field 'axis'", "did you mean 'axes'"],
        ),
        ("base: none.yaml\n".into(), &["sweep.yaml:1:7: base 'none.yaml' there is no such file"]),
        ("base: base.yaml\nreplications: 0\n".into(), &["sweep.yaml:2:15: replications must be 1 to"]),
        ("base: base.yaml\nset: { duration_s: x }\n".into(), &["sweep.yaml:2:8: duration_s=x", "a number"]),
        ("base: base.yaml\nset: { duration: 1 }\n".into(), &["sweep.yaml:2:8:", "did you mean 'duration_s'"]),
        ("base: base.yaml\nset: { seed: 1 }\n".into(), &["sweep.yaml:2:8:", "replications"]),
        (axes("fleet.sites.0.power.cap_mv: [1]"), &["sweep.yaml:5:7:", "did you mean 'cap_mw'"]),
        (axes("fleet.sites.1.power.cap_mw: [1]"), &["sweep.yaml:5:7:", "index 1 is out of range"]),
        (axes(&format!("{cap}: []")), &["sweep.yaml:5:7:", "has no values"]),
        (axes(&format!("{cap}: 3")), &["sweep.yaml:5:7:", "expected a list of values, or linspace"]),
        (axes(&format!("{cap}: [0.01, -1]")), &["sweep.yaml:5:42: fleet.sites.0.power.cap_mw=-1: must be"]),
        (axes(&format!("{cap}: [0.01, high]")), &["sweep.yaml:5:42:", "=high", "expected a number"]),
        (axes(&format!("{cap}: [0.01, .nan]")), &["sweep.yaml:5:42:", "expected a finite number"]),
        (
            axes(&format!("{cap}: {{ linspace: {{ from: 0.01, to: -1, points: 3 }} }}")),
            &["sweep.yaml:5:37: fleet.sites.0.power.cap_mw=-0.495: must be"],
        ),
        (
            axes(&format!("{cap}: {{ linspce: {{ from: 0.01, to: 1, points: 3 }} }}")),
            &["sweep.yaml:5:37:", "did you mean 'linspace'"],
        ),
        (
            axes(&format!("{cap}: {{ logspace: {{ from: 0, to: 1, points: 3 }} }}")),
            &["sweep.yaml:5:55:", "from must be above 0"],
        ),
        (
            axes(&format!("{cap}: [0.01, 0.02]\n      fleet.sites.0.static_pue: [1.1]")),
            &["sweep.yaml:6:7:", "has 1 values, but fleet.sites.0.power.cap_mw has 2"],
        ),
        (
            format!("{}  - {{ name: cap, paths: {{ duration_s: [1] }} }}\n", axes(&format!("{cap}: [1]"))),
            &["sweep.yaml:6:5: there is already an axis named 'cap'"],
        ),
        (
            format!("{}  - {{ name: b, paths: {{ {cap}: [1] }} }}\n", axes(&format!("{cap}: [1]"))),
            &["sweep.yaml:6:", "is moved by axis 'cap' already"],
        ),
        (
            format!("{}set: {{ {cap}: 1 }}\n", axes(&format!("{cap}: [1]"))),
            &["sweep.yaml:6:8:", "setting it does nothing"],
        ),
        (
            format!("{}skip: [{{ cup: {{ above: 1 }} }}]\n", axes(&format!("{cap}: [1]"))),
            &["sweep.yaml:6:", "there is no axis 'cup'; did you mean 'cap'"],
        ),
        (
            format!("{}skip: [{{ cap: {{ above: 0 }} }}]\n", axes(&format!("{cap}: [1]"))),
            &["sweep.yaml: all points are skipped"],
        ),
        (
            format!("{}columns: [throughput, binding.timeline]\n", axes(&format!("{cap}: [1]"))),
            &["sweep.yaml:6:23: column 'binding.timeline'", "is a list"],
        ),
        (
            format!("{}columns: [latency_s.ttft.p98]\n", axes(&format!("{cap}: [1]"))),
            &["sweep.yaml:6:11:", "did you mean 'latency_s.ttft.p9"],
        ),
        (axes(&format!("{cap}: [1")), &["sweep.yaml:"]),
        (
            axes("workload.classes.0.arrivals: [{ trace: { path: none.csv } }]"),
            &["sweep.yaml:5:", "workload.classes.0.arrivals.trace.path", "'none.csv': there is no such file"],
        ),
        (
            axes(&format!("{cap}: {{ linspace: {{ from: 1, to: 2, points: 1000000 }} }}"))
                + "replications: 100\n",
            &["sweep.yaml: more than 10000000 rows"],
        ),
    ];
    for (sweep, said) in cases {
        let lab = Lab::new(BASE, &sweep);
        lab.refused(&["plan", "sweep.yaml", "-o", "s"], 2, said);
        let left = fs::read_dir(lab.folder.path()).unwrap().count();
        assert_eq!(left, 2, "nothing is written: {sweep}");
    }
}

/// Input files that an axis names are relative to the sweep file, and found from the sweep's folder.
#[test]
fn an_axis_may_name_input_files() {
    let lab = Lab::new(BASE, "");
    fs::create_dir(lab.path("plans")).unwrap();
    lab.put("plans/short.csv", "arrival_s,prompt_tok,output_tok\n0.5,100,20\n");
    lab.put("plans/long.csv", "arrival_s,prompt_tok,output_tok\n0.5,100,20\n1.5,200,30\n2.5,1,1\n");
    lab.put(
        "plans/sweep.yaml",
        "\
name: files
base: ../base.yaml
axes:
  - name: trace
    paths:
      workload.classes.0.arrivals: [{ trace: { path: short.csv } }, { trace: { path: long.csv } }]
    labels: [short, long]
columns: [requests.arrived]
",
    );
    lab.ok(&["plan", "plans/sweep.yaml", "-o", "deep/er/s", "-q"]);
    lab.ok(&["run", "deep/er/s", "-q"]);
    lab.merged("deep/er/s");
    let rows = lab.rows("deep/er/s/merged.csv");
    let arrived: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["trace"].as_str(), row["requests.arrived"].as_str())).collect();
    assert_eq!(arrived, [("short", "1"), ("long", "3")], "{rows:?}");
    // The folder may be elsewhere when it is run, as long as it is run from anywhere.
    let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(lab.path("deep"))
        .args(["sweep", "run", "er/s", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    lab.put("plans/long.csv", "arrival_s,prompt_tok,output_tok\n0.5,100,20\n");
    lab.refused(&["run", "deep/er/s"], 2, &["long.csv: the input file was changed"]);
}

#[test]
fn a_merge_replaces_merged_files_alone() {
    let lab = Lab::new(BASE, &SWEEP.replace("replications: 3", "replications: 1"));
    lab.plan("s");
    lab.ok(&["run", "s", "-q"]);
    lab.put("mine.csv", "a,b\n1,2\n");
    lab.put("mine.parquet", "PAR1 something else PAR1");
    for file in ["mine.csv", "mine.parquet"] {
        lab.refused(&["merge", "s", "-o", file], 2, &[file, "is there already"]);
    }
    lab.refused(&["merge", "s", "-o", "table.xlsx"], 2, &["ends in .parquet or .csv"]);
    lab.refused(&["merge", "s", "-o", "no/such/table.csv"], 2, &["no/such/table.csv: cannot be written"]);
    for _ in 0..2 {
        lab.ok(&["merge", "s", "-o", "table.csv", "-o", "table.parquet"]);
    }
    assert_eq!(fs::read_to_string(lab.path("mine.csv")).unwrap(), "a,b\n1,2\n");
    lab.merged("s");
    assert_eq!(fs::read(lab.path("table.csv")).unwrap(), fs::read(lab.path("s/merged.csv")).unwrap());
}

/// A disk that is full, by the limit on a file's size and, where namespaces are allowed, a real one; and a folder that
/// may not be written. What was finished stays, and the sweep goes on when there is room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_or_read_only_disk_is_said_and_loses_nothing() {
    let lab = Lab::new(BASE, &SWEEP.replace("replications: 3", "replications: 1"));
    lab.plan("plain");
    lab.ok(&["run", "plain", "-q"]);
    let expected = lab.merged("plain");
    lab.plan("s");
    lab.ok(&["run", "s", "--shard", "0/7", "-q"]);
    let done = fs::read(lab.chunk("s", 0)).unwrap();
    let shell = |script: &str| {
        let wattmill = env!("CARGO_BIN_EXE_wattmill");
        let mut command = Command::new("sh");
        command.current_dir(lab.folder.path()).arg("-c").arg(script.replace("WATTMILL", wattmill));
        command.output().unwrap()
    };
    // One block of 512 bytes, less than a chunk; the signal is ignored, so writing fails as on a full disk.
    let output = shell("trap '' XFSZ; ulimit -f 1; exec WATTMILL sweep run s");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be written"), "{}", stderr(&output));
    assert!(stderr(&output).contains("run the sweep again"), "{}", stderr(&output));
    assert_eq!(lab.status("s")["chunks"]["done"], 1);
    assert_eq!(fs::read_dir(lab.path("s/chunks")).unwrap().count(), 1, "nothing half written");
    let output = shell("trap '' XFSZ; ulimit -f 1; exec WATTMILL sweep merge plain -o big.csv");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!lab.path("big.csv").exists());
    let output = shell("trap '' XFSZ; ulimit -f 1; exec WATTMILL sweep plan sweep.yaml -o none");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!lab.path("none").exists());
    let here = fs::read_dir(lab.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!here.map(|name| name.to_string_lossy().into_owned()).any(|name| name.starts_with('.')));

    if shell("unshare -rm mount -t tmpfs -o size=16k none s/chunks").status.success() {
        let output = shell(
            "unshare -rm sh -c 'mount -t tmpfs -o size=8k none s/chunks && exec WATTMILL sweep run s --jobs 1'",
        );
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
        let output = shell(
            "unshare -rm sh -c 'mount --bind s s && mount -o remount,ro,bind s && exec WATTMILL sweep run s'",
        );
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("s/chunks: cannot be written: Read-only"), "{}", stderr(&output));
    } else {
        eprintln!("SKIPPED: no full and no read-only disk was tried, as nothing may be mounted here");
    }
    assert_eq!(fs::read(lab.chunk("s", 0)).unwrap(), done);
    lab.ok(&["run", "s", "-q"]);
    assert_eq!(lab.merged("s"), expected);
}

/// Own catalog entries are copied into the sweep's folder: it runs without the folder they came from, and only as they
/// were.
#[test]
fn own_catalog_entries_come_along() {
    let sweep = "base: base.yaml\naxes:\n  - name: node\n    paths: { fleet.sites.0.pools.0.node: [8xH100-air, mine] }\n";
    let lab = Lab::new(BASE, sweep);
    lab.refused(&["plan", "sweep.yaml", "-o", "s"], 2, &["sweep.yaml:4:55:", "unknown node 'mine'"]);
    fs::create_dir(lab.path("catalog")).unwrap();
    let nodes = fs::read_to_string("configs/catalog/nodes.yaml").unwrap();
    lab.put("catalog/nodes.yaml", &nodes.replace("name: 8xH100-air", "name: mine"));
    lab.ok(&["plan", "sweep.yaml", "-o", "s", "--catalog", "catalog", "--no-pilot"]);
    fs::remove_dir_all(lab.path("catalog")).unwrap();
    lab.ok(&["run", "s", "-q"]);
    lab.merged("s");
    let rows = lab.rows("s/merged.csv");
    assert_eq!(rows[0]["power_w.it.mean"], rows[1]["power_w.it.mean"], "the same node under two names");
    assert_eq!(rows[1]["error"], "");
    fs::write(lab.path("s/catalog/nodes.yaml"), nodes).unwrap();
    lab.refused(&["run", "s"], 2, &["s/catalog: was changed after planning"]);
}

/// Each sweep of the repository can be planned, and its pilot runs.
#[test]
fn the_sweeps_of_the_repository_can_be_planned() {
    let mut count = 0;
    for entry in fs::read_dir("configs/sweeps").unwrap() {
        let path = entry.unwrap().path();
        let plan = Plan::read(&path, None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.remarks.failing, 0, "{}: {:?}", path.display(), plan.remarks.first);
        assert!(
            fs::read_to_string(&path).unwrap().lines().next().unwrap().ends_with('?'),
            "{path:?}: a question"
        );
        count += 1;
    }
    assert!(count >= 4);
}
