//! `wattmill catalog`: entries with their numbers; a user's own are marked; unknown names are helped.

use std::fs;
use std::path::Path;
use std::process::Command;

fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(dir)
        .arg("catalog")
        .args(arguments)
        .output()
        .expect("wattmill runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn lists_have_every_entry_and_json_every_number() {
    let here = Path::new(".");
    let (code, table, _) = run(here, &["list"]);
    assert_eq!(code, Some(0));
    for part in ["gpus", "H200-SXM-141GB", "Llama-3.1-70B", "8xH200-air", "vllm-0.19", "hopper.weight_mbu"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let (code, gpus, _) = run(here, &["list", "gpus"]);
    assert!(code == Some(0) && gpus.contains("H200") && !gpus.contains("Llama"), "{gpus}");
    let (_, json, _) = run(here, &["list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let catalog = crate::support::catalog();
    assert_eq!(json["gpus"].as_array().map(Vec::len), Some(catalog.gpus().len()));
    assert_eq!(json["fit"].as_array().map(Vec::len), Some(catalog.fit().coefficients.len()));
    for kind in ["gpus", "models", "nodes", "engines", "quality", "fit"] {
        for entry in json[kind].as_array().expect("entries") {
            assert_eq!(entry["own"], false);
            assert!(entry["numbers"].as_array().is_some_and(|n| !n.is_empty()), "{}", entry["name"]);
        }
    }
}

#[test]
fn an_entry_is_shown_by_any_of_its_names() {
    let here = Path::new(".");
    let (code, text, _) = run(here, &["show", "meta-llama/Llama-3.3-70B-Instruct"]);
    assert_eq!(code, Some(0));
    for part in ["Llama-3.1-70B (models)", "327,680", "KV cache per token, 16 bit", "config.json of"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let (_, text, _) = run(here, &["show", "H200"]);
    // A fitted number has its interval, and 989 TFLOP/s over 4.8 TB/s are 206 FLOP a byte.
    for part in ["95 %: ", "hopper.weight_mbu", "ridge point bf16, peaks", "206"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let (_, json, _) = run(here, &["show", "hopper.weight_mbu", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["entries"][0]["kind"], "fit");
    for (name, part) in [
        ("H20O", "did you mean 'H200'?"),
        ("Lama-3.1-8B", "did you mean 'Llama-3.1-8B'?"),
        ("zzz", "catalog list"),
    ] {
        let (code, out, err) = run(here, &["show", name]);
        assert!(code == Some(2) && out.is_empty() && err.contains(part), "{name}: {err}");
    }
}

#[test]
fn a_users_own_entries_are_marked() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let own = dir.path().join("own");
    fs::create_dir(&own).expect("folder");
    let node = "nodes:\n  - name: 8xH200-air\n    gpus: { value: 8, source: mine, quality: measured }\n    \
                overhead_w: { value: 1400, source: mine, quality: measured }\n    \
                gpu_factor: { value: 1.1, source: mine, quality: measured }\n";
    fs::write(own.join("nodes.yaml"), node).expect("overlay");
    let (_, json, _) = run(dir.path(), &["list", "nodes", "--json", "--catalog", "own"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let marked: Vec<&str> = json["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter(|node| node["own"] == true)
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(marked, ["8xH200-air"]);
    let (_, text, _) = run(dir.path(), &["show", "8xH200-air", "--catalog", "own"]);
    assert!(text.contains("8xH200-air (nodes, your own)") && text.contains("1,400"), "{text}");
    let (_, text, _) = run(dir.path(), &["list", "nodes", "--catalog", "own"]);
    assert_eq!(text.lines().filter(|line| line.ends_with("own")).count(), 1, "{text}");
    let (code, _, err) = run(dir.path(), &["list", "--catalog", "none"]);
    assert!(code == Some(2) && err.contains("no such folder"), "{err}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("'{}' catalog list --json | head -n 1", env!("CARGO_BIN_EXE_wattmill")))
        .output()
        .expect("sh runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
