//! Speculative decoding: runs worked by hand, its formula, what it costs in time and memory, where it pays and where not.

use wattmill::catalog::{Draft, Precision, Split, draft_in};
use wattmill::fleet::{Fleet, Pool, memory_plan};
use wattmill::physics::clock::Clock;
use wattmill::physics::speculation::mean_tok;
use wattmill::scenario::{self, LoadOptions, Resolved};

use crate::engines::equal;
use crate::support::{catalog, close, load, run};

/// One request after the other at one replica of 70B, whose draft is 8B.
const ALONE: &str = "\
name: alone
duration_s: 30
at_end: drain
workload:
  classes:
    - name: a
      arrivals: { closed_loop: { in_flight: 1 } }
      lengths: { prompt: { constant: { tok: 100 } }, answer: { constant: { tok: 41 } } }
models:
  - name: fast
    catalog: Llama-3.1-70B
    speculation: { draft_tok: 3, draft: { model: Llama-3.1-8B }, acceptance: 1 }
fleet:
  sites:
    - pools:
        - model: fast
          gpu: H100-SXM-80GB
          nodes: 1
          parallel: { tensor: 8 }
";

const PLAIN: &str = "fleet.sites.0.pools.0.model=Llama-3.1-70B";

#[track_caller]
fn pool(resolved: &Resolved) -> Pool {
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
    fleet.pools[0].clone()
}

/// Time of a step of one sequence with `context` tokens in the cache [fs].
fn alone_fs(pool: &Pool, context: i64) -> i128 {
    let law = pool.step.coefficients(1, 0, 0, &Clock::FULL);
    i128::from(law.base_fs + context * law.kv_tok_fs)
}

/// Tokens of each step of 40 tokens, by hand: at 4 tokens a step 10 of 4; at 1 + 1/2 + 1/4 + 1/8 = 1.875 a step 22 steps,
/// 4 of 1 and 18 of 2; at 1 a step 40 of 1.
#[test]
fn a_sequence_alone_emits_what_it_accepts() {
    for (acceptance, steps) in
        [("1", vec![4; 10]), ("0.5", [[1; 4].as_slice(), &[2; 18]].concat()), ("0", vec![1; 40])]
    {
        assert_eq!(steps.iter().sum::<i64>(), 40);
        let resolved =
            load(ALONE, &[&format!("models.0.speculation.acceptance={acceptance}"), "duration_s=2"]);
        let (segments, _) = equal("alone", &resolved);
        let pool = pool(&resolved);
        let row = segments.requests.as_ref().expect("rows")[0].clone();
        let prompt = pool.step.coefficients(0, 100, 1, &Clock::FULL);
        let mut now_fs = i128::from(prompt.base_fs + 5050 * prompt.pair_fs);
        assert_eq!(row.first_token_fs, Some(now_fs), "{acceptance}");
        let mut context = 100;
        for tok in &steps {
            now_fs += alone_fs(&pool, context);
            context += tok;
        }
        assert_eq!(row.finish_fs, Some(now_fs), "{acceptance}");
        // One gap per step, whatever it emits.
        let summary = &segments.summary;
        assert_eq!(summary.latency_s.itl.n, summary.requests.completed * steps.len() as u64);
        assert_eq!(summary.tokens.output, summary.requests.completed * 41);
    }
}

/// What no token accepted costs: the draft, and the tokens to verify.
#[test]
fn a_draft_costs_time_whether_accepted_or_not() {
    let (none, plain) =
        (pool(&load(ALONE, &["models.0.speculation.acceptance=0"])), pool(&load(ALONE, &[PLAIN])));
    let draft = pool(&load(ALONE, &["fleet.sites.0.pools.0.model=Llama-3.1-8B"]));
    let more = alone_fs(&none, 1000) - alone_fs(&plain, 1000);
    // Three passes of the draft, less what the host schedules only once, and less than another step of the target.
    let pass = alone_fs(&draft, 1000) - i128::from(draft.step.host_step_fs);
    assert!(more > 3 * pass && more < 3 * pass + alone_fs(&plain, 1000), "{more} beside {pass}");
    let all = pool(&load(ALONE, &[]));
    assert_eq!(all.step, none.step, "steps cost the same whatever is accepted");
}

/// A request with acceptance α takes 1/m(α) steps per token (Leviathan et al. 2023), up to a last step that is not full.
#[test]
fn alone_it_is_as_much_faster_as_the_formula_says() {
    let sets = [
        "models.0.speculation.acceptance=0.75",
        "models.0.speculation.acceptance_sd=0.15",
        "workload.classes.0.lengths.answer.constant.tok=401",
        "duration_s=1200",
    ];
    let fast = load(ALONE, &sets);
    let plain = load(ALONE, &[&sets[2..], &[PLAIN]].concat());
    let tpot = |resolved: &Resolved| run(resolved).summary.latency_s.tpot;
    let (with, without) = (tpot(&fast), tpot(&plain));
    let pools = [pool(&fast), pool(&plain)];
    // Contexts go from 100 to 500.
    let step_s = |pool: &Pool| alone_fs(pool, 300) as f64 * 1e-15;
    let speculation = pools[0].speculation.as_ref().expect("it speculates");
    let expected = speculation.step_per_tok * step_s(&pools[0]) / step_s(&pools[1]);
    let got = with.mean.expect("requests") / without.mean.expect("requests");
    // 1/m varies by about 0.11 around 0.39 over requests; the last step adds half a step to 156.
    let sampling = 5.0 * 0.11 / 0.39 / (with.n as f64).sqrt();
    assert!(with.n > 300 && sampling < 0.1, "{}", with.n);
    close("time per token", got, expected * (1.0 + 0.5 / 156.0), sampling);
    assert!(1.0 / mean_tok(0.75, 3) < speculation.step_per_tok);
}

/// It pays while weights are streamed for few tokens, and costs where arithmetic is all that counts.
#[test]
fn it_pays_at_small_batches_only() {
    let speed = |in_flight: u32, sets: &[&str]| {
        let loops = format!("workload.classes.0.arrivals.closed_loop.in_flight={in_flight}");
        let rest = [
            loops.as_str(),
            "models.0.speculation.acceptance=0.7",
            "fleet.sites.0.pools.0.batching={ max_seqs: 1024, max_step_tok: 8192 }",
            "at_end=cut",
            "warm_up_s=5",
        ];
        let outcome = run(&load(ALONE, &[&rest, sets].concat()));
        outcome.summary.throughput.output_tok_per_s
    };
    let gain = |in_flight| speed(in_flight, &[]) / speed(in_flight, &[PLAIN]);
    let gains = [1, 16, 1024].map(gain);
    println!("gains at 1, 16, 1024 sequences: {gains:.2?}");
    assert!(gains[0] > 1.3 && gains[1] > 1.0 && gains[2] < 1.0, "{gains:?}");
    assert!(gains[0] < mean_tok(0.7, 3), "no more than is accepted");
}

/// Weights and cache of the draft are beside those of the target; a head has its target's embedding and output head.
#[test]
fn drafts_take_memory() {
    let catalog = catalog();
    let resolved = load(ALONE, &[]);
    let batching = resolved.scenario.fleet.sites[0].pools[0].batching.clone();
    let gpu = catalog.gpu("H100-SXM-80GB").expect("a GPU");
    let engine = catalog.engine(&resolved.scenario.fleet.sites[0].pools[0].engine).expect("an engine");
    let params = |name: &str| {
        let model = catalog.model(name).expect("a model");
        let kv = Precision::Bf16;
        wattmill::catalog::replica(gpu, model, Split::tensor(8), None, kv, engine).expect("a replica")
    };
    let (target, draft) = (params("Llama-3.1-70B"), params("Llama-3.1-8B"));
    let usable = memory_plan(gpu, &target, &batching).usable_gb * 1e9;
    // 8B: 8.03e9 parameters of 2 bytes, 131,072 bytes per token, over 8 GPUs; 70B has 70.55e9 and 327,680.
    close("weights", draft.weight_bytes_per_gpu * 8.0, 8.03e9 * 2.0, 1e-3);
    let free = usable - (70.553e9 + 8.030e9) * 2.0 / 8.0;
    let blocks = free / (f64::from(batching.kv_block_tok) * (327_680.0 + 131_072.0) / 8.0);
    close("blocks", pool(&resolved).kv_blocks as f64, blocks, 1e-3);
    // A layer of 70B: 855.6e6 parameters, and 2·8192² to join hidden state and token.
    let head = pool(&load(ALONE, &["models.0.speculation.draft={ head: { layers: 1 } }"]));
    let free = usable - (70.553e9 + 0.8556e9 + 2.0 * 8192.0 * 8192.0) * 2.0 / 8.0;
    let blocks = free / (f64::from(batching.kv_block_tok) * 327_680.0 * (81.0 / 80.0) / 8.0);
    close("blocks beside a head", head.kv_blocks as f64, blocks, 1e-3);
}

/// DeepSeek-V3's MTP module has 11.5 billion parameters of its own, and activates 2.4 billion with embedding and output head,
/// 0.9 billion each (README_WEIGHTS.md of its repository): both to the last digit without the matrix that joins hidden
/// state and token, 0.1 billion.
#[test]
fn a_head_of_deepseek_has_the_published_parameters() {
    let catalog = catalog();
    let gpu = catalog.gpu("H200-SXM-141GB").expect("a GPU");
    let engine = catalog.engine("vllm-0.11").expect("an engine");
    let of = catalog.model("DeepSeek-V3").expect("a model");
    let draft = Draft::Head { of, weights: Some(Precision::Fp8), layers: 1 };
    let head = draft_in(None, gpu, draft, Split::tensor(8), Precision::Bf16, engine).expect("it fits");
    let joining = 2.0 * 7168.0 * 7168.0;
    // A byte each.
    close("its own", head.weight_bytes_per_gpu * 8.0 - joining, 11.5e9, 0.05 / 11.5);
    let routed = head.experts_per_tok * head.moe_layers * head.expert_params;
    let activated = head.dense_params - joining + routed + 2.0 * head.head_params;
    close("activated", activated, 2.4e9, 0.05 / 2.4);
}

/// More than slots and blocks can hold: sequences are preempted in the midst of either speed, and nothing is lost.
#[test]
fn crowded_engines_are_equal() {
    let mut preemptions = 0;
    for (block_tok, blocks) in [(1, 700), (4, 170), (16, 45)] {
        let resolved = load(
            ALONE,
            &[
                "workload.classes.0.arrivals={ constant: { rate_per_s: 300 } }",
                "workload.classes.0.lengths.answer={ exponential: { mean_tok: 60, max_tok: 300 } }",
                "models.0.speculation={ draft_tok: 4, draft: { head: { layers: 1 } }, acceptance: 0.6, acceptance_sd: 0.2 }",
                "duration_s=2",
                &format!(
                    "fleet.sites.0.pools.0.batching={{ max_seqs: 8, max_step_tok: 48, kv_block_tok: {block_tok}, kv_blocks: {blocks} }}"
                ),
            ],
        );
        let (segments, _) = equal("crowded", &resolved);
        preemptions += segments.counters.preemptions;
        assert!(segments.summary.engine.segments < segments.counters.iterations);
    }
    assert!(preemptions > 30, "{preemptions}");
}

/// The Token Production Function knows of the tokens that a step yields: a full pool comes as near to what it predicts as
/// one without a draft, and not beyond.
#[test]
fn prediction_holds_with_drafts() {
    let u = |sets: &[&str]| {
        let rest = [
            "workload.classes.0.arrivals.closed_loop.in_flight=120",
            "workload.classes.0.lengths.answer={ exponential: { mean_tok: 300 } }",
            "fleet.sites.0.pools.0.batching.max_seqs=64",
            "at_end=cut",
            "duration_s=100",
            "warm_up_s=20",
        ];
        run(&load(ALONE, &[&rest, sets].concat())).summary.tpf.u.expect("a prediction")
    };
    let plain = u(&[PLAIN]);
    for (draft_tok, acceptance, sd) in [(1, 0.9, 0.05), (3, 0.7, 0.2), (8, 0.95, 0.0), (4, 0.1, 0.1)] {
        let speculation = format!(
            "models.0.speculation={{ draft_tok: {draft_tok}, draft: {{ model: Llama-3.1-8B }}, acceptance: {acceptance}, acceptance_sd: {sd} }}"
        );
        let with = u(&[speculation.as_str()]);
        println!("{draft_tok} tokens at {acceptance} ± {sd}: u = {with:.3}, without {plain:.3}");
        assert!(with <= 1.0 && with > 0.9 * plain, "{with} beside {plain}");
    }
}

/// DeepSeek-V3 says of its MTP module: the second token is accepted 85 to 90 times in 100, which gives 1.8 times as many
/// tokens per second (report, section 5.4.3). No setting is said; on one node of H200 at small batches:
#[test]
fn deepseek_mtp_at_small_batches() {
    let text =
        ALONE.replace("Llama-3.1-70B", "DeepSeek-V3").replace("H100-SXM-80GB", "H200-SXM-141GB").replace(
            "draft_tok: 3, draft: { model: Llama-3.1-8B }, acceptance: 1",
            "draft_tok: 1, draft: { head: { layers: 1 } }, acceptance: 0.875",
        );
    let gain = |in_flight: u32| {
        let speed = |model: &str| {
            let sets = [
                format!("workload.classes.0.arrivals.closed_loop.in_flight={in_flight}"),
                format!("fleet.sites.0.pools.0.model={model}"),
                "workload.classes.0.lengths.answer.constant.tok=400".into(),
                "at_end=cut".into(),
                "warm_up_s=5".into(),
            ];
            let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
            run(&load(&text, &sets)).summary.throughput.output_tok_per_s
        };
        speed("fast") / speed("DeepSeek-V3")
    };
    let gains = [1, 4, 16].map(gain);
    println!(
        "DeepSeek-V3, tokens per second with MTP over without, at 1, 4, 16 sequences: {gains:.3?} (published 1.8)"
    );
    assert!(gains.iter().all(|gain| (1.0..1.875).contains(gain)), "{gains:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    for (sets, path, said) in [
        (&["models.0.speculation.draft_tok=0"][..], "models.0.speculation.draft_tok", "at least 1"),
        (&["models.0.speculation.draft_tok=9"], "models.0.speculation.draft_tok", "at most 8"),
        (
            &["models.0.speculation.acceptance=1.2"],
            "models.0.speculation.acceptance",
            "a probability, 0 to 1",
        ),
        (
            &["models.0.speculation.acceptance=0.5", "models.0.speculation.acceptance_sd=0.6"],
            "models.0.speculation.acceptance_sd",
            "below √(acceptance·(1 − acceptance)) = 0.500",
        ),
        (
            &["models.0.speculation.draft={ model: Qwen3-8B }"],
            "models.0.speculation.draft.model",
            "a draft must propose the model's own tokens",
        ),
        (
            &["models.0.speculation.draft={ head: { layers: 81 } }"],
            "models.0.speculation.draft.head.layers",
            "at most 80",
        ),
        (&["models.0.speculative=none"], "models.0.speculative", "contradicts `speculation`"),
        (
            &["fleet.sites.0.pools.0.batching={ max_seqs: 256, max_step_tok: 1000 }"],
            "fleet.sites.0.pools.0.batching.max_seqs",
            "a step would have 1024, and max_step_tok is 1000; use at most 250 sequences",
        ),
        (
            &[
                "fleet.sites.0.pools.0.step_law={ affine: { base_us: 1000, energy: { per_token: { it_j_per_tok: 1 } } } }",
            ],
            "fleet.sites.0.pools.0.step_law",
            "does not know what its draft costs",
        ),
        (
            &[
                "models.0.catalog=gpt-oss-120b",
                "models.0.attention=native",
                "models.0.speculation.draft={ model: DeepSeek-V3.2 }",
            ],
            "models.0.speculation.draft.model",
            "DeepSeek-V3.2 has layers that see part of the context only",
        ),
    ] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = dir.path().join("test.yaml");
        std::fs::write(&file, ALONE).expect("scenario");
        let mut options = LoadOptions::new(catalog());
        options.sets = sets.iter().map(ToString::to_string).collect();
        let error = match scenario::load(&file, &options) {
            Ok(_) => panic!("{sets:?} are not refused"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(path) && error.contains(said), "{sets:?}: {error}");
    }
}
