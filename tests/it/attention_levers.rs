//! Attention and precision as levers: what they do to FLOP, bytes, memory, watts and quality, against algebra and
//! published figures (DeepSeek-V3.2-Exp report: a token at position 128 k costs 1/8.6 at decoding, 1/3.6 at prefill).

use std::sync::Arc;

use wattmill::catalog::{
    Catalog, Draft, Lever, Model, Precision, Sparse, Split, draft_in, replica, replica_in,
};
use wattmill::fleet::{Fleet, memory_plan};
use wattmill::ledger::outcome::{Outcome, Summary};
use wattmill::physics::clock::Clock;
use wattmill::physics::roofline::RooflineParams;
use wattmill::physics::speculation::{Speculation, mean_tok};
use wattmill::physics::step::{FluidShape, StepLaw};
use wattmill::scenario::types::Batching;
use wattmill::scenario::{self, LoadOptions, Resolved};

use crate::engines::equal;
use crate::support::{catalog, close, load, run};

const K128: f64 = 131_072.0;
/// DeepSeek on one node: attention on each GPU's own sequences, experts over all.
const ONE_NODE: Split = Split { tensor: 1, attention_data: 8, expert: 8 };
/// DeepSeek's published decode pool is 18 nodes wide.
const WIDE: Split = Split { tensor: 1, attention_data: 144, expert: 144 };

fn model(name: &str) -> Model {
    catalog().model(name).expect("a model").clone()
}

/// A replica's costs, and the KV tokens that fit beside its weights.
fn replica_of(gpu: &str, model: &Model, split: Split, kv: Precision) -> (RooflineParams, f64) {
    let catalog: Arc<Catalog> = catalog();
    let (gpu, engine) = (catalog.gpu(gpu).expect("a GPU"), catalog.engine("sglang-0.5").expect("an engine"));
    let params = replica_in(catalog.node(&gpu.node), gpu, model, split, None, kv, engine)
        .unwrap_or_else(|error| panic!("{error}"));
    let batching = Batching::default();
    let blocks = memory_plan(gpu, &params, &batching).kv_blocks;
    (params, blocks as f64 * f64::from(batching.kv_block_tok))
}

/// Decode attention of one token at `context` on its GPU, the indexer included [s].
fn attention_s(params: &RooflineParams, context: f64) -> f64 {
    let law = params.decode_attention();
    let seen = params.attention.window_tok.map_or(0.0, |window| context.min(f64::from(window)));
    let all = law.memory_s_per_ctx_tok.max(law.compute_s_per_ctx_tok);
    let window = law.memory_s_per_window_tok.max(law.compute_s_per_window_tok);
    params.groups * (context * all + seen * window)
}

/// Prefill attention of one token at `position` on its GPU, and the linear layers' share of a token in a step of 16 k [s].
fn prefill_s(params: &RooflineParams, position: f64) -> (f64, f64) {
    let law = params.prefill_attention();
    let seen = params.attention.prompt_window_tok.map_or(0.0, |window| position.min(f64::from(window)));
    let attention = law.s_per_pair * (position + law.overhead_tok)
        + law.s_per_window_pair * (seen + law.window_overhead_tok);
    let tokens = 16_384.0;
    let linear = params.linear(tokens, 0.0);
    let rest = linear.compute_s + linear.memory_s + params.comm_s(tokens);
    (params.groups * attention, params.groups * rest / tokens)
}

/// A decode step of `n` sequences of `context` each [s].
fn step_s(params: &RooflineParams, n: f64, context: f64) -> f64 {
    let seen = params.attention.window_tok.map_or(0.0, |window| context.min(f64::from(window)));
    let shape = FluidShape { n, kv_tok: n * context, window_tok: n * seen, ..FluidShape::default() };
    params.step(&shape).step_s
}

/// GPU time of a token where as many sequences of `context` decode as the memory holds, at most 256 a GPU [s].
fn full_batch_s(params: &RooflineParams, room_tok: f64, context: f64) -> f64 {
    let n = (room_tok / context).floor().min(256.0 * params.gpus());
    assert!(n >= 1.0, "{context} tokens do not fit");
    params.gpus() * step_s(params, n, context) / n
}

#[test]
fn latents_keep_71_times_less() {
    let latent = model("DeepSeek-V3");
    let whole = latent.with_attention(Lever::Uncompressed).expect("it has latents");
    let bf16 = Precision::Bf16;
    assert_eq!((whole.kv_bytes_per_tok(bf16), latent.kv_bytes_per_tok(bf16)), (4_997_120.0, 70_272.0));
    // The same checkpoint: as many parameters, and not absorbed 2·128·(192 + 128) instead of 2·128·(576 + 512) FLOP.
    assert_eq!(whole.total_params(), latent.total_params());
    assert_eq!((whole.decode_flop_per_layer(), latent.decode_flop_per_layer()), (81_920.0, 278_528.0));
    for (split, parts) in [(ONE_NODE, 1.0), (Split::tensor(8), 8.0)] {
        let (a, a_tok) = replica_of("H200-SXM-141GB", &whole, split, bf16);
        let (b, b_tok) = replica_of("H200-SXM-141GB", &latent, split, bf16);
        assert_eq!(a.weight_bytes_per_gpu, b.weight_bytes_per_gpu);
        // Tensor parallelism splits the heads' cache, but repeats the latents.
        assert_eq!(a.kv_bytes_per_tok_per_gpu / b.kv_bytes_per_tok_per_gpu, 4_997_120.0 / 70_272.0 / parts);
        // Whole blocks of 16 tokens.
        close("tokens that fit", b_tok / a_tok, 4_997_120.0 / 70_272.0 / parts, 32.0 / a_tok);
    }
}

/// A closed loop on one node of H200.
fn looped(model: &str, prompt_tok: u32, in_flight: u32, more: &str) -> Resolved {
    let text = format!(
        "duration_s: 300\nwarm_up_s: 60\nworkload:\n  classes:\n    - name: a\n      arrivals: {{ closed_loop: \
         {{ in_flight: {in_flight} }} }}\n      lengths: {{ prompt: {{ constant: {{ tok: {prompt_tok} }} }}, answer: \
         {{ constant: {{ tok: 500 }} }} }}\nmodels: [{model}]\nfleet:\n  sites:\n    - pools:\n        - {{ model: m, gpu: \
         H200-SXM-141GB, nodes: 1, engine: sglang-0.5, {more} }}\n"
    );
    load(&text, &[])
}

fn summary(resolved: &Resolved) -> Summary {
    run(resolved).summary
}

#[test]
fn a_larger_cache_costs_batch_tokens_and_joules() {
    let served = |attention: &str| {
        let model = format!("{{ name: m, catalog: DeepSeek-V3, attention: {attention} }}");
        summary(&looped(&model, 4000, 192, "parallel: { tensor: 8 }"))
    };
    let (latent, whole) = (served("native"), served("uncompressed"));
    assert!(whole.throughput.output_tok_per_s < 0.5 * latent.throughput.output_tok_per_s);
    let joules = |s: &Summary| s.j_per_output_token.facility.expect("tokens");
    assert!(joules(&whole) > 1.5 * joules(&latent), "{} {}", joules(&whole), joules(&latent));
    // Few sequences share the weights that stream past them: bandwidth binds where arithmetic did.
    let share = |s: &Summary, of: &str| serde_json::to_value(s.binding.share).expect("shares")[of].as_f64();
    assert!(share(&latent, "compute") > share(&latent, "memory_bandwidth"));
    assert!(
        share(&whole, "memory_bandwidth") > Some(0.5) && share(&whole, "compute") < share(&latent, "compute")
    );
    let stave =
        |s: &Summary| serde_json::to_value(s.staves_tok_per_s).expect("staves")["kv_capacity"].as_f64();
    assert!(stave(&whole) < stave(&latent), "{:?} {:?}", stave(&whole), stave(&latent));
}

#[test]
fn heads_of_the_cache_by_hand() {
    let llama = model("Llama-3.1-8B");
    for kv_heads in [1, 2, 4, 8, 16, 32] {
        let grouped = llama.with_attention(Lever::Grouped(kv_heads)).expect("a divisor of 32");
        let bf16 = Precision::Bf16;
        assert_eq!(grouped.kv_bytes_per_tok(bf16), 131_072.0 / 8.0 * f64::from(kv_heads));
        // Two projections of 4,096 × 128 per head in 32 layers.
        let more = 2.0 * 4096.0 * 128.0 * 32.0 * (f64::from(kv_heads) - 8.0);
        assert_eq!(grouped.total_params() - llama.total_params(), more);
        assert_eq!(grouped.decode_flop_per_layer(), llama.decode_flop_per_layer());
        // One head cannot be split: each GPU of four has it.
        let (four, _) = replica_of("H100-SXM-80GB", &grouped, Split::tensor(4), bf16);
        let split = f64::from(kv_heads.min(4));
        assert_eq!(four.kv_bytes_per_tok_per_gpu, grouped.kv_bytes_per_tok(bf16) / split);
    }
}

#[test]
fn windows_leave_one_layer_in_so_many() {
    let llama = model("Llama-3.1-8B");
    let bf16 = Precision::Bf16;
    for (every, global) in [(Some(2), 16.0), (Some(4), 8.0), (Some(5), 6.0), (Some(32), 1.0), (None, 0.0)] {
        let windowed = llama.with_attention(Lever::Sliding { window_tok: 1024, every }).expect("windows");
        assert_eq!(windowed.kv_bytes_per_further_tok(bf16), 4096.0 * global);
        assert_eq!(windowed.kv_window_bytes_per_seq(bf16), 4096.0 * (32.0 - global) * 1024.0);
        let (params, room_tok) = replica_of("H100-SXM-80GB", &windowed, Split::tensor(1), bf16);
        assert!(room_tok > 0.0 && room_tok.is_finite());
        let (full, _) = replica_of("H100-SXM-80GB", &llama, Split::tensor(1), bf16);
        let share = (global * K128 + (32.0 - global) * 1024.0) / (32.0 * K128);
        close(
            "decode attention at 128 k",
            attention_s(&params, K128) / attention_s(&full, K128),
            share,
            1e-12,
        );
    }
}

#[test]
fn sparse_attention_by_hand() {
    let (v3, v32) = (model("DeepSeek-V3"), model("DeepSeek-V3.2"));
    // Keys of 128 byte and a scale of 4 in 61 layers, beside the latents, which stay.
    assert_eq!(v32.kv_bytes_per_tok(Precision::Bf16) - v3.kv_bytes_per_tok(Precision::Bf16), 61.0 * 132.0);
    assert_eq!(v32.kv_bytes_per_tok(Precision::Fp8) - v3.kv_bytes_per_tok(Precision::Fp8), 61.0 * 132.0);
    // Queries from the query's latent, a key, weights of the heads.
    let indexer = 1536.0 * 64.0 * 128.0 + 7168.0 * 128.0 + 7168.0 * 64.0;
    assert_eq!(v32.total_params() - v3.total_params(), 61.0 * indexer);

    let (p, _) = replica_of("H200-SXM-141GB", &v32, ONE_NODE, Precision::Bf16);
    // Indexer: key, scale and score there and back at 0.75 of 4.8 TB/s, more than 2·64·128 FLOP at 0.41 of 1,979 TFLOP/s.
    let score_s = 61.0 * 140.0 / (4.8e12 * 0.75);
    assert!(score_s > 61.0 * 16_384.0 / (1.979e15 * 0.41));
    // Gathered: 2,048 latents, absorbed, 278,528 FLOP at 0.415 of 989 TFLOP/s.
    let gathered_s = 2048.0 * 61.0 * 278_528.0 / (9.89e14 * 0.415);
    close("decoding at 128 k", attention_s(&p, K128), K128 * score_s + gathered_s, 1e-3);
    // A prompt's token: the scores and their traffic, and 2,048 latents at 0.647 of the peak; short of the threshold
    // in full, 2·128·320 FLOP a pair.
    let pair_s = 61.0 * (16_384.0 / (1.979e15 * 0.41) + 8.0 / (4.8e12 * 0.75));
    let gathered_s = 2048.0 * 61.0 * 278_528.0 / (9.89e14 * 0.647);
    let dense_s = 61.0 * 81_920.0 / (9.89e14 * 0.7);
    close(
        "a prompt's token at 128 k",
        prefill_s(&p, K128).0,
        K128 * pair_s + gathered_s + 683.0 * dense_s,
        1e-3,
    );
    close("and at 2 k", prefill_s(&p, 2048.0).0, 2048.0 * (pair_s + dense_s) + 683.0 * dense_s, 1e-9);

    // The indexer is whole on each GPU of a tensor-parallel group: parameters, keys and work.
    let of = |tensor| replica_of("H200-SXM-141GB", &v32, Split::tensor(tensor), Precision::Bf16).0;
    let dense = |tensor| replica_of("H200-SXM-141GB", &v3, Split::tensor(tensor), Precision::Bf16).0;
    for tensor in [4, 8] {
        let (sparse, dense) = (of(tensor), dense(tensor));
        let bytes = sparse.weight_bytes_per_gpu - dense.weight_bytes_per_gpu;
        close("weights of the indexers", bytes, 61.0 * indexer, 1e-9);
        assert_eq!(sparse.kv_bytes_per_tok_per_gpu - dense.kv_bytes_per_tok_per_gpu, 61.0 * 132.0);
        assert_eq!(sparse.attention.decode_flop_per_ctx_tok, 61.0 * 16_384.0);
    }
}

/// Attention and indexer together: at least four times faster at 128 k; a prompt's token 2.5 to 5 times.
#[test]
fn sparse_attention_pays_at_128_k() {
    for (gpu, split) in [("H200-SXM-141GB", ONE_NODE), ("H100-SXM-80GB", WIDE)] {
        let [dense, sparse] = ["DeepSeek-V3", "DeepSeek-V3.2"]
            .map(|name| replica_of(gpu, &model(name), split, Precision::Bf16).0);
        let faster = attention_s(&dense, K128) / attention_s(&sparse, K128);
        let prompts = prefill_s(&dense, K128).0 / prefill_s(&sparse, K128).0;
        println!("{gpu}: decode attention {faster:.2}, prefill attention {prompts:.2}");
        assert!(faster >= 4.0, "{gpu}: {faster}");
        assert!((2.5..=5.0).contains(&prompts), "{gpu}: {prompts}");
        // It grows with the context, for decoding and for prompts.
        let gain = |context| attention_s(&dense, context) / attention_s(&sparse, context);
        assert!(gain(8192.0) < gain(32_768.0) && gain(32_768.0) < gain(K128));
    }
    // With the linear layers, at the rates that were fitted, the prompt's token is near the lower end.
    let [dense, sparse] = ["DeepSeek-V3", "DeepSeek-V3.2"]
        .map(|name| replica_of("H200-SXM-141GB", &model(name), ONE_NODE, Precision::Bf16).0)
        .map(|params| prefill_s(&params, K128))
        .map(|(attention, linear)| attention + linear);
    println!(
        "prefill, a token at 128 k: {:.0} against {:.0} us, {:.2}",
        dense * 1e6,
        sparse * 1e6,
        dense / sparse
    );
    assert!((2.2..=5.0).contains(&(dense / sparse)), "{}", dense / sparse);
}

/// Up to 4 k tokens whole steps, dense and sparse, are within a tenth of each other.
#[test]
fn short_contexts_are_at_parity() {
    for (gpu, split) in [("H200-SXM-141GB", ONE_NODE), ("H100-SXM-80GB", WIDE)] {
        let [(dense, dense_tok), (sparse, sparse_tok)] = ["DeepSeek-V3", "DeepSeek-V3.2"]
            .map(|name| replica_of(gpu, &model(name), split, Precision::Bf16));
        for context in [256.0, 1024.0, 2048.0, 4096.0] {
            let n = 64.0 * dense.gpus();
            let step = step_s(&sparse, n, context) / step_s(&dense, n, context);
            assert!((0.9..=1.1).contains(&step), "{gpu}, {context}: step {step}");
            let full = full_batch_s(&sparse, sparse_tok, context) / full_batch_s(&dense, dense_tok, context);
            println!("{gpu}, {context}: same batch {step:.3}, full batch {full:.3}");
            assert!((0.85..=1.1).contains(&full), "{gpu}, {context}: full batch {full}");
            let prompt = |params| {
                let (attention, linear) = prefill_s(params, context);
                attention + linear
            };
            let prompt = prompt(&sparse) / prompt(&dense);
            assert!((0.9..=1.1).contains(&prompt), "{gpu}, {context}: prompt {prompt}");
        }
    }
}

/// A replica with DeepSeek's MTP module, whose token is accepted 85 to 90 times in 100 (DeepSeek-V3 report, section 5.4.3):
/// its step, the KV tokens that fit, and tokens of a step and sequence.
fn with_mtp(gpu: &str, name: &str, split: Split) -> (StepLaw, f64, f64) {
    let catalog = catalog();
    let (of, gpu) = (catalog.model(name).expect("a model"), catalog.gpu(gpu).expect("a GPU"));
    let engine = catalog.engine("sglang-0.5").expect("an engine");
    let kv = Precision::Fp8;
    let (mut params, _) = replica_of(&gpu.name, of, split, kv);
    let head = Draft::Head { of, weights: None, layers: 1 };
    let draft = draft_in(Some(catalog.node(&gpu.node).expect("a node")), gpu, head, split, kv, engine)
        .expect("it fits");
    let batching = Batching::default();
    let both = RooflineParams {
        weight_bytes_per_gpu: params.weight_bytes_per_gpu + draft.weight_bytes_per_gpu,
        kv_bytes_per_tok_per_gpu: params.kv_bytes_per_tok_per_gpu + draft.kv_bytes_per_tok_per_gpu,
        ..params.clone()
    };
    let room_tok = memory_plan(gpu, &both, &batching).kv_blocks as f64 * f64::from(batching.kv_block_tok);
    params.two_batch_overlap = true;
    let most = 2 * 256 * split.gpus();
    let draft = StepLaw::roofline(&RooflineParams { two_batch_overlap: true, ..draft }, most);
    let speculation = Some(Box::new(Speculation { draft_tok: 1, draft }));
    (StepLaw { speculation, ..StepLaw::roofline(&params, most) }, room_tok, mean_tok(0.875, 1))
}

/// A step of `n` sequences with a context of `context` each [s].
fn mtp_step_s(law: &StepLaw, n: f64, context: f64) -> f64 {
    let shape = FluidShape {
        n,
        kv_tok: n * context,
        window_tok: law.even_window_tok(n, n * context),
        ..FluidShape::default()
    };
    law.fluid(&shape, &Clock::FULL).parts.total_s()
}

/// What the gain at 128 k comes to: little where the memory holds few sequences, for the weights and the gaps between
/// kernels are shared by few; more in a wide pool; most for one long context among many of the usual length, who pays
/// its own attention and its share of the rest. Published: 8.6, of a decode pool that speculates by its MTP module.
/// Its two tokens share the indexer's reading of keys, where bandwidth limits it, while dense attention, which
/// arithmetic limits, takes twice as long for two.
#[test]
fn the_gain_of_a_step_grows_with_the_pool() {
    let gain = |gpu: &str, split: Split| {
        let plain = ["DeepSeek-V3", "DeepSeek-V3.2"]
            .map(|name| replica_of(gpu, &model(name), split, Precision::Fp8))
            .map(|(params, room_tok)| full_batch_s(&params, room_tok, K128));
        let drafted = ["DeepSeek-V3", "DeepSeek-V3.2"].map(|name| {
            let (law, room_tok, mean_tok) = with_mtp(gpu, name, split);
            let n = (room_tok / K128).floor();
            f64::from(split.gpus()) * mtp_step_s(&law, n, K128) / (n * mean_tok)
        });
        let [plain, drafted] = [plain, drafted].map(|[dense, sparse]| dense / sparse);
        println!("{gpu}, {} GPUs, full of 128 k: {plain:.2}, with MTP {drafted:.2}", split.gpus());
        (plain, drafted)
    };
    let one = gain("H200-SXM-141GB", ONE_NODE);
    let wide = gain("H100-SXM-80GB", WIDE);
    assert!(one.0 > 1.1 && one.0 < 2.0 && one.1 > one.0 && one.1 < 2.0, "{one:?}");
    assert!(wide.0 > one.0 && wide.1 > wide.0 && wide.1 > one.1, "{wide:?} {one:?}");

    // The mean context of DeepSeek's published day, 128 sequences a GPU.
    let (each, context) = (128.0, 4989.0);
    let n = each * f64::from(WIDE.gpus());
    let plain = ["DeepSeek-V3", "DeepSeek-V3.2"].map(|name| {
        let (mut params, room_tok) = replica_of("H100-SXM-80GB", &model(name), WIDE, Precision::Fp8);
        params.two_batch_overlap = true;
        assert!(n * context < room_tok);
        let rest = step_s(&params, n, context) / each - attention_s(&params, context);
        rest + attention_s(&params, K128)
    });
    let drafted = ["DeepSeek-V3", "DeepSeek-V3.2"].map(|name| {
        let (law, room_tok, mean_tok) = with_mtp("H100-SXM-80GB", name, WIDE);
        assert!(n * context < room_tok);
        let step = mtp_step_s(&law, n, context);
        let own = |context: f64| (mtp_step_s(&law, n, context) - mtp_step_s(&law, n, 0.0)) / each;
        let rest = step / each - own(context);
        println!(
            "{name} with MTP: step {:.1} ms, {:.3} ms of a sequence beside {:.3} of its own at 128 k",
            step * 1e3,
            rest * 1e3,
            own(K128) * 1e3
        );
        (rest + own(K128)) / mean_tok
    });
    let [plain, drafted] = [plain, drafted].map(|[dense, sparse]| dense / sparse);
    println!("one of 128 k among many of 5 k: {plain:.2}, with MTP {drafted:.2} (published 8.6)");
    assert!(plain > wide.0 && drafted > plain, "{plain} {drafted}");
    assert!((6.0..11.0).contains(&drafted), "{drafted}");
}

/// One half computes while the other communicates: never slower, never faster than the linear layers, and where both
/// halves compute for longer than they communicate, nothing is seen of the links.
#[test]
fn two_halves_hide_what_fits() {
    let (plain, _) = replica_of("H100-SXM-80GB", &model("DeepSeek-V3"), WIDE, Precision::Fp8);
    let split = RooflineParams { two_batch_overlap: true, ..plain.clone() };
    let total = |p: &RooflineParams, tokens: f64| {
        let (linear, links_s) = p.linear_and_links(tokens, tokens);
        linear.compute_s + linear.memory_s + links_s
    };
    let (mut same, mut shorter) = (0, 0);
    for tokens in (0..24).map(|i| 144.0 * f64::from(1_u32 << (i / 2)) * if i % 2 == 0 { 1.0 } else { 1.5 }) {
        let linear = plain.linear(tokens, tokens);
        let (one, two) = (total(&plain, tokens), total(&split, tokens));
        assert!(two <= one && two >= linear.compute_s, "{tokens}");
        close("FLOP", split.linear_and_links(tokens, tokens).0.flop, linear.flop, 1e-12);
        same += usize::from(two == one);
        if two < one {
            shorter += 1;
            // Two halves, each with its own all-to-alls; what is hidden was in both.
            let half = plain.linear(0.5 * tokens, 0.5 * tokens);
            let busy = 2.0 * (half.compute_s + half.memory_s);
            close("of two halves", two, busy.max(2.0 * plain.comm_s(0.5 * tokens)), 1e-12);
        }
    }
    // Few tokens would stream the weights twice for little.
    assert!(same > 0 && shorter > 0, "{same} {shorter}");
    let text = POOL.replace("expert: 32 }", "expert: 32, two_batch_overlap: true }");
    let (overlapped, _) = equal("overlapped", &load(&text, &[]));
    let (plain, _) = equal("plain", &load(POOL, &[]));
    let rate = |outcome: &wattmill::ledger::outcome::Outcome| outcome.summary.throughput.output_tok_per_s;
    assert!(rate(&overlapped) > rate(&plain), "{} {}", rate(&overlapped), rate(&plain));
}

/// DeepSeek's published day: 14,800 output tokens/s from a decode node of eight H800 at 20 to 22 tokens/s per user, contexts
/// of 4,989 tokens on average, over 18 nodes. An H800's links in the node are slower, which hardly matters over 18.
#[test]
fn deepseeks_decode_nodes() {
    let (mut params, _) = replica_of("H100-SXM-80GB", &model("DeepSeek-V3"), WIDE, Precision::Fp8);
    for overlap in [false, true] {
        params.two_batch_overlap = overlap;
        let per_gpu = 14_800.0 / 8.0 / 21.0;
        let step = step_s(&params, per_gpu * params.gpus(), 4989.0);
        let rate = 8.0 * per_gpu / step;
        println!(
            "overlap {overlap}: {per_gpu:.0} sequences a GPU, {:.1} ms, {rate:.0} tokens/s a node",
            step * 1e3
        );
        if overlap {
            close("tokens/s of a node", rate, 14_800.0, 0.35);
        }
    }
}

/// A replica over several nodes: the all-to-alls of DeepEP, within the errors of the fit that the catalog states.
#[test]
fn all_to_alls_between_nodes() {
    let v3 = model("DeepSeek-V3");
    for (gpus, dispatch_us, combine_us) in
        [(16, 118.0, 195.0), (32, 155.0, 273.0), (64, 173.0, 314.0), (128, 192.0, 369.0), (256, 194.0, 360.0)]
    {
        let split = Split { tensor: 1, attention_data: gpus, expert: gpus };
        let (p, _) = replica_of("H100-SXM-80GB", &v3, split, Precision::Bf16);
        let measured_s = 58.0 * (dispatch_us + combine_us) * 1e-6;
        close("all-to-alls of 128 tokens a GPU", p.comm_s(128.0 * f64::from(gpus)), measured_s, 0.12);
    }
    // A decode pool as published; experts over 18 nodes, and the memory that leaves.
    let (p, room_tok) = replica_of("H100-SXM-80GB", &v3, WIDE, Precision::Fp8);
    close(
        "experts on a GPU",
        p.weight_bytes_per_gpu - v3.expert_bytes(v3.native()) / 144.0,
        v3.weight_bytes(v3.native()) - v3.expert_bytes(v3.native()),
        1e-12,
    );
    assert!(room_tok > 144.0 * 128.0 * 4989.0);
}

const POOL: &str = "\
workload:
  classes:
    - name: a
      arrivals: { closed_loop: { in_flight: 4000 } }
      lengths: { prompt: { constant: { tok: 1000 } }, answer: { constant: { tok: 200 } } }
duration_s: 60
warm_up_s: 20
models:
  - { name: m, catalog: DeepSeek-V3.2, kv_cache: fp8 }
fleet:
  sites:
    - pools:
        - model: m
          gpu: H100-SXM-80GB
          nodes: 8
          engine: sglang-0.5
          parallel: { attention_data: 32, expert: 32 }
          batching: { max_seqs: 2048, max_step_tok: 16384 }
";

#[test]
fn a_replica_of_four_nodes_runs() {
    let resolved = load(POOL, &[]);
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
    let pool = &fleet.pools[0];
    assert_eq!((pool.replicas.len(), pool.gpus_per_replica, fleet.sites[0].gpus), (2, 32, 64));
    // Eight nodes idle as eight nodes do.
    let node = resolved.catalog.node("8xH100-air").expect("a node");
    close("overhead", pool.power.node_overhead_w, 4.0 * node.overhead_w.value, 1e-12);
    let (segments, _) = equal("four nodes", &resolved);
    assert!(segments.summary.tokens.output > 0);
    let replicas = Summary::clone(&segments.summary).requests.completed;
    assert!(replicas > 0);
    // The network is what is slow: with ports ten times as fast a step of 1,000 tokens a GPU is shorter.
    let [slow, fast] = [1.0, 10.0].map(|times| {
        let catalog = catalog();
        let mut node = node.clone();
        let network = node.network.as_mut().expect("a network");
        network.port_gb_s.value *= times;
        let gpu = catalog.gpu("H100-SXM-80GB").expect("a GPU");
        let engine = catalog.engine("sglang-0.5").expect("an engine");
        let split = Split { tensor: 1, attention_data: 32, expert: 32 };
        replica_in(Some(&node), gpu, &model("DeepSeek-V3"), split, None, Precision::Bf16, engine)
            .expect("a replica")
            .comm_s(32_000.0)
    });
    assert!(slow > 3.0 * fast, "{slow} {fast}");
}

/// Segments and stepwise engine agree where decoding and prompts outgrow different windows.
#[test]
fn engines_agree_on_every_attention() {
    let text = "\
duration_s: 8
at_end: drain
workload:
  classes:
    - name: a
      arrivals: { poisson: { rate_per_s: 4 } }
      lengths: { prompt: { lognormal: { mean_tok: 120, sigma: 1, max_tok: 900 } }, answer: { lognormal: { mean_tok: 40, sigma: 1, max_tok: 300 } } }
models:
  - { name: m, catalog: MODEL, attention: ATTENTION }
fleet:
  sites:
    - pools:
        - { model: m, gpu: H200-SXM-141GB, nodes: 1, parallel: { PARALLEL }, batching: { max_seqs: 12, max_step_tok: 48, kv_blocks: 90 } }
";
    let (tensor, data) = ("tensor: 8", "attention_data: 8, expert: 8");
    for (name, parallel, attention, windows) in [
        // To gather 20 latents costs arithmetic what 28 cost in a row; where the heads are split, reading them takes
        // longer, and that costs the same.
        ("DeepSeek-V3", data, "{ sparse_top_k: { tokens: 20 } }", Some((28, 74))),
        ("DeepSeek-V3", tensor, "{ sparse_top_k: { tokens: 20 } }", Some((20, 74))),
        ("DeepSeek-V3", tensor, "uncompressed", None),
        ("DeepSeek-V3", tensor, "{ sliding_window: { tokens: 30, every: 4 } }", Some((30, 30))),
        ("Llama-3.1-8B", tensor, "{ sparse_top_k: { tokens: 17 } }", Some((17, 18))),
        ("Llama-3.1-8B", tensor, "{ sliding_window: { tokens: 25 } }", Some((25, 25))),
        ("Llama-3.1-8B", tensor, "{ grouped: { kv_heads: 32 } }", None),
    ] {
        let text = text.replace("MODEL", name).replace("ATTENTION", attention).replace("PARALLEL", parallel);
        let resolved = load(&text, &[]);
        let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
        assert_eq!(fleet.pools[0].step.windows(), windows, "{name}, {attention}");
        let (segments, _) = equal(name, &resolved);
        assert!(segments.summary.requests.completed > 10);
        if windows.is_some() {
            // Both windows are outgrown, or the comparison says nothing.
            let c = fleet.pools[0].step.coefficients(1, 0, 0, &Clock::FULL);
            assert!(c.window_tok_fs > 0 && c.window_pair_fs > 0);
        }
    }
}

/// Windows that nothing outgrows cost what attention to everything does: layers pay the same for short prompts. Where all
/// slide, nothing grows with the context, and no block is asked for.
#[test]
fn windows_that_nothing_outgrows_cost_the_same() {
    let text = "\
duration_s: 20
at_end: drain
workload:
  classes:
    - name: a
      arrivals: { poisson: { rate_per_s: 3 } }
      lengths: { prompt: { lognormal: { mean_tok: 2000, sigma: 0.5, max_tok: 4000 } }, answer: { constant: { tok: 80 } } }
models:
  - { name: m, catalog: Llama-3.1-8B, attention: ATTENTION }
fleet:
  sites:
    - pools:
        - { model: m, gpu: H100-SXM-80GB, nodes: 1, batching: { max_seqs: 16 } }
";
    let of = |attention: &str| {
        let (outcome, _) = equal(attention, &load(&text.replace("ATTENTION", attention), &[]));
        outcome
    };
    let full = of("native");
    for (attention, blocks) in [
        ("{ sliding_window: { tokens: 8192, every: 4 } }", true),
        ("{ sliding_window: { tokens: 8192 } }", false),
    ] {
        let windows = of(attention);
        assert_eq!(windows.summary.per_pool[0].kv_blocks_per_replica.is_some(), blocks);
        let rows = |outcome: &Outcome| outcome.requests.clone().expect("rows");
        for (full, windows) in rows(&full).iter().zip(rows(&windows)) {
            let ms = |fs: Option<i128>| fs.expect("done") as f64 * 1e-12;
            // A decoded token itself is counted beside its context where layers see all, and within it where they slide:
            // one token of two thousand.
            close("first token", ms(windows.first_token_fs), ms(full.first_token_fs), 1e-5);
            close("end", ms(windows.finish_fs), ms(full.finish_fs), 1e-5);
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |text: &str, words: &str| {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, text).expect("scenario");
        let error = scenario::load(&path, &LoadOptions::new(catalog())).map(|resolved| {
            Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).map(|_| ())
        });
        let message = match error {
            Err(error) => error.to_string(),
            Ok(Err(problems)) => format!("{problems:?}"),
            Ok(Ok(())) => panic!("not refused: {words}"),
        };
        assert!(message.contains(words), "{message}");
    };
    let with = |model: &str, attention: &str| {
        POOL.replace(
            "catalog: DeepSeek-V3.2, kv_cache: fp8",
            &format!("catalog: {model}, attention: {attention}"),
        )
    };
    refused(&with("Qwen3-8B", "uncompressed"), "Qwen3-8B has no latent attention");
    refused(&with("DeepSeek-V3.2", "uncompressed"), "gathers latents");
    refused(&with("DeepSeek-V3", "{ grouped: { kv_heads: 8 } }"), "has latent attention; use uncompressed");
    refused(&with("Qwen3-8B", "{ grouped: { kv_heads: 5 } }"), "kv_heads: is 5; must divide the 32 heads");
    refused(&with("gpt-oss-20b", "{ sliding_window: { tokens: 64 } }"), "sliding windows of its own");
    refused(&with("gpt-oss-20b", "sparse_top_k"), "sliding windows of its own");
    refused(&with("DeepSeek-V3.2", "sparse_top_k"), "sparse attention of its own");
    refused(&with("Qwen3-8B", "{ sliding_window: { tokens: 0 } }"), "tokens: is 0; at least 1");
    refused(
        &with("DeepSeek-V3", "{ sliding_window: { tokens: 16000000 } }"),
        "the sliding windows of 2048 sequences take",
    );
    refused(&with("Qwen3-8B", "native, kv_cache: nvfp4"), "kv_cache: a KV cache cannot be kept in nvfp4");
    refused(
        &with("Qwen3-8B", "{ sliding_window: { tokens: 64, every: 1 } }"),
        "every: is 1; one layer in 2 to 36",
    );
    refused(&with("Qwen3-8B", "{ sparse_top_k: { tokens: 64, indexer: 3 } }"), "unknown field 'indexer'");
    refused(&POOL.replace("nodes: 8", "nodes: 6"), "takes 4 nodes");
    refused(&POOL.replace("attention_data: 32", "attention_data: 36"), "a multiple of 8");
    refused(&POOL.replace("H100-SXM-80GB", "A100-SXM-80GB"), "no network in the catalog");
    refused(&with("Llama-3.1-8B", "native").replace(", expert: 32", ""), "has no experts");
    let overlap = |parallel: &str| POOL.replace("attention_data: 32, expert: 32", parallel);
    refused(&overlap("tensor: 8, two_batch_overlap: true"), "none without attention_data");
    let llama = with("Llama-3.1-8B", "native");
    refused(
        &llama.replace("attention_data: 32, expert: 32", "attention_data: 8, two_batch_overlap: true"),
        "has no experts to send tokens to",
    );
}

/// Precision acts on bytes, FLOP rate, memory and energy.
#[test]
fn precision_acts_on_bytes_rates_and_joules() {
    let catalog = catalog();
    let (gpu, engine) =
        (catalog.gpu("B200-SXM-180GB").expect("a GPU"), catalog.engine("vllm-0.11").expect("an engine"));
    let llama = model("Llama-3.1-70B");
    let of = |weights, kv| replica(gpu, &llama, Split::tensor(1), Some(weights), kv, engine).expect("fits");
    let bf16 = of(Precision::Bf16, Precision::Bf16);
    for (format, bytes, faster) in
        [(Precision::Fp8, 1.0, true), (Precision::Nvfp4, 0.5625, true), (Precision::Int4, 0.515_625, false)]
    {
        let p = of(format, Precision::Bf16);
        let body = llama.body_params();
        assert_eq!(bf16.weight_bytes_per_gpu - p.weight_bytes_per_gpu, body * (2.0 - bytes));
        // int4 is multiplied in 16 bit.
        let rate = |p: &RooflineParams| p.dense.peak_flop_s * p.dense.mfu;
        assert_eq!(rate(&p) > rate(&bf16), faster, "{}", format.name());
        assert!(p.linear(8.0, 8.0).memory_s < bf16.linear(8.0, 8.0).memory_s);
        assert_eq!(p.kv_bytes_per_tok_per_gpu, bf16.kv_bytes_per_tok_per_gpu);
    }
    for kv in [Precision::Fp8, Precision::Int8] {
        let p = of(Precision::Bf16, kv);
        assert_eq!(p.kv_bytes_per_tok_per_gpu * 2.0, bf16.kv_bytes_per_tok_per_gpu);
        assert_eq!(attention_s(&p, K128) * 2.0, attention_s(&bf16, K128));
        assert_eq!(p.weight_bytes_per_gpu, bf16.weight_bytes_per_gpu);
    }
    let joules = |levers: &str| {
        let model = format!("{{ name: m, catalog: Llama-3.1-70B{levers} }}");
        let s = summary(&looped(&model, 2000, 512, "parallel: { tensor: 4 }"));
        s.j_per_output_token.facility.expect("tokens")
    };
    let (all, weights, kv, both) = (
        joules(""),
        joules(", weights: fp8"),
        joules(", kv_cache: fp8"),
        joules(", weights: fp8, kv_cache: fp8"),
    );
    assert!(weights < all && kv < all && both < weights.min(kv), "{all} {weights} {kv} {both}");
}

/// What a target can reach is the tier's best, 0.91 of medium problems with 7b, times what the levers keep.
#[test]
fn levers_keep_a_share_of_the_quality() {
    let reach = |model: &str, tier: &str, share: &str| -> f64 {
        let text = format!(
            "duration_s: 1\nworkload:\n  classes:\n    - name: a\n      arrivals: {{ constant: {{ rate_per_s: 1 }} }}\n      \
             difficulty: {{ share: {{ {share} }} }}\n      reasoning: fixed\n      quality_target: 1\nmodels: [{{ name: m, \
             quality_tier: {tier}, {model} }}]\nfleet:\n  sites:\n    - pools: [{{ model: m, gpu: B200-SXM-180GB, nodes: 1, \
             parallel: {{ tensor: 8 }} }}]\n"
        );
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, text).expect("scenario");
        let error =
            scenario::load(&path, &LoadOptions::new(catalog())).expect_err("out of reach").to_string();
        let (_, after) = error.split_once("in at most ").unwrap_or_else(|| panic!("{error}"));
        after.split(' ').next().expect("a word").parse().expect("a number")
    };
    let medium = "easy: 0, medium: 1, hard: 0";
    let hard = "easy: 0, medium: 0, hard: 1";
    let at = |levers: &str, kept: f64, share: &str, most: f64, model: &str, tier: &str| {
        let got = reach(&format!("catalog: {model}{levers}"), tier, share);
        assert!((got - most * kept).abs() < 6e-4, "{model}{levers}: {got} instead of {}", most * kept);
    };
    let qwen = "Qwen3-8B";
    at("", 1.0, medium, 0.91, qwen, "7b");
    at(", weights: bf16", 1.0, medium, 0.91, qwen, "7b");
    at(", weights: fp8", 0.995, medium, 0.91, qwen, "7b");
    at(", weights: nvfp4", 0.985, medium, 0.91, qwen, "7b");
    at(", weights: nvfp4", 0.97, hard, 0.55, qwen, "7b");
    at(", weights: int4", 0.96, hard, 0.55, qwen, "7b");
    at(", weights: fp8, kv_cache: fp8", 0.995 * 0.995, medium, 0.91, qwen, "7b");
    // Published in these formats, they cost nothing; in fewer bits they do.
    at(", weights: fp8", 1.0, medium, 0.973, "DeepSeek-V3", "frontier");
    at(", weights: nvfp4", 0.97, hard, 0.9, "DeepSeek-V3", "frontier");
    at(", weights: mxfp4", 1.0, medium, 0.943, "gpt-oss-120b", "32b");
    // Not the cache but the choice of tokens costs quality.
    at(", attention: uncompressed", 1.0, hard, 0.9, "DeepSeek-V3", "frontier");
    at("", 0.99, hard, 0.9, "DeepSeek-V3.2", "frontier");
    at(", attention: sparse_top_k", 0.99, hard, 0.9, "DeepSeek-V3", "frontier");
}

/// A checkpoint that nobody has gets no quality by its size.
#[test]
fn hypothetical_checkpoints_name_their_tier() {
    let text = |levers: &str| {
        format!(
            "duration_s: 1\nworkload:\n  classes:\n    - name: a\n      arrivals: {{ constant: {{ rate_per_s: 1 }} }}\n      \
             difficulty: {{ share: {{ easy: 1, medium: 0, hard: 0 }} }}\nmodels: [{{ name: m, catalog: Qwen3-8B{levers} \
             }}]\nfleet:\n  sites:\n    - pools: [{{ model: m, gpu: H100-SXM-80GB, nodes: 1 }}]\n"
        )
    };
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("a.yaml");
    for attention in ["{ grouped: { kv_heads: 4 } }", "{ sliding_window: { tokens: 64 } }", "sparse_top_k"] {
        let levers = format!(", attention: {attention}");
        std::fs::write(&path, text(&levers)).expect("scenario");
        let error = scenario::load(&path, &LoadOptions::new(catalog())).expect_err(attention).to_string();
        assert!(error.contains("has no quality tier; name one"), "{error}");
        load(&text(&format!("{levers}, quality_tier: 7b")), &[]);
    }
    load(&text(""), &[]);
}

/// An indexer of the user's own scales with its heads and its width.
#[test]
fn an_indexer_of_ones_own() {
    let known = model("DeepSeek-V3.2").sparse.expect("sparse attention");
    let halved = Sparse { index_heads: 32, index_head_dim: 64, ..known.clone() };
    assert_eq!(halved.index_flop() * 4.0, known.index_flop());
    assert_eq!(known.index_bytes() - halved.index_bytes(), 64.0);
}
