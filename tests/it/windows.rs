//! Attention windows: a sequence worked out by hand, and catalogs in which windows are short enough to be outgrown.

use std::fs;
use std::sync::{Arc, LazyLock};

use wattmill::catalog::{Catalog, Lever, Sliding, Sparse};
use wattmill::fleet::Fleet;
use wattmill::physics::clock::Clock;

use crate::engines::equal;
use crate::support::load_file;

/// The catalog with half of the layers of some models behind windows of so many tokens, and sparse attention to so many
/// in others.
fn windowed(windows: &[(&str, u32)], choices: &[(&str, u32)]) -> Arc<Catalog> {
    let embedded = Catalog::embedded().expect("the embedded catalog is good");
    let sparse =
        embedded.model("DeepSeek-V3.2").and_then(|model| model.sparse.clone()).expect("it is sparse");
    let chosen = choices.iter().map(|&(name, top_k_tok)| {
        let model = embedded.model(name).expect("a model");
        model.with_attention(Lever::Sparse(Sparse { top_k_tok, ..sparse.clone() })).expect("a lever")
    });
    let models: Vec<_> = windows
        .iter()
        .map(|&(name, window_tok)| {
            let mut model = embedded.model(name).expect("a model").clone();
            model.sliding = Some(Sliding { window_tok, layers: model.layers / 2 });
            model
        })
        .chain(chosen)
        .collect();
    let dir = tempfile::tempdir().expect("temporary folder");
    let text = serde_json::json!({ "models": models }).to_string();
    fs::write(dir.path().join("windowed.yaml"), text).expect("catalog");
    Arc::new(Catalog::with_overlay(dir.path()).unwrap_or_else(|error| panic!("{error}")))
}

/// Of the random fleets' models one outgrows its windows within a few dozen tokens, one what it attends to of its
/// context, where prompts do so later than decoding; one sees everything.
pub fn short_windows() -> Arc<Catalog> {
    static CATALOG: LazyLock<Arc<Catalog>> =
        LazyLock::new(|| windowed(&[("gpt-oss-20b", 32)], &[("Qwen3-8B", 13)]));
    Arc::clone(&CATALOG)
}

/// A window of 32 tokens in half the layers of the model of the tests that have one pool.
pub fn llama_window() -> Arc<Catalog> {
    static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| windowed(&[("Llama-3.1-8B", 32)], &[]));
    Arc::clone(&CATALOG)
}

/// One request at a time, whose prompt comes in chunks and grows out of the window before or after decoding begins.
const ALONE: &str = "\
name: alone
duration_s: 1
at_end: drain
workload:
  classes:
    - name: a
      arrivals: { trace: { path: alone.csv } }
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          parallel: { tensor: 8 }
          batching: { max_step_tok: 10 , max_seqs: 10 }
";

/// Of a sequence alone every iteration is known: Σ min(position, 32) of its chunk, min(context, 32) of its decoding.
#[test]
fn a_sequence_alone_outgrows_its_window() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("alone.yaml");
    fs::write(&path, ALONE).expect("scenario");
    for (prompt, output) in
        [(25_i64, 60_i64), (20, 12), (20, 13), (20, 14), (31, 5), (32, 5), (33, 5), (75, 40)]
    {
        let rows = format!("arrival_s,prompt_tok,output_tok\n0,{prompt},{output}\n");
        fs::write(dir.path().join("alone.csv"), rows).expect("trace");
        let resolved = load_file(&path, &[], llama_window());
        let (segments, _) = equal("alone", &resolved);
        let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
        let law = &fleet.pools[0].step;
        let (mut now_fs, mut done) = (0_i128, 0);
        while done < prompt {
            let chunk = 10.min(prompt - done);
            let c = law.coefficients(0, chunk as u32, 1, &Clock::FULL);
            let (all, seen) = (done + 1..=done + chunk)
                .fold((0, 0), |(all, seen), position| (all + position, seen + position.min(32)));
            assert!(c.window_pair_fs > 0);
            now_fs += i128::from(c.base_fs + all * c.pair_fs + seen * c.window_pair_fs);
            done += chunk;
        }
        let row = segments.requests.as_ref().expect("rows")[0].clone();
        assert_eq!(row.first_token_fs, Some(now_fs), "{prompt} + {output}");
        for context in prompt..prompt + output - 1 {
            let c = law.coefficients(1, 0, 0, &Clock::FULL);
            assert!(c.window_tok_fs > 0);
            now_fs += i128::from(c.base_fs + context * c.kv_tok_fs + context.min(32) * c.window_tok_fs);
        }
        assert_eq!(row.finish_fs, Some(now_fs), "{prompt} + {output}");
    }
}
