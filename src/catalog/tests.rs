use std::path::Path;

use super::*;
use crate::physics::roofline::RooflineParams;

const EVERY_GPU: [&str; 14] = [
    "A100-SXM-80GB",
    "H100-SXM-80GB",
    "H200-SXM-141GB",
    "B200-SXM-180GB",
    "GB200-NVL72 (per GPU)",
    "B300-SXM",
    "GB300-NVL72 (per GPU)",
    "MI300X",
    "MI325X",
    "MI355X",
    "L40S",
    "RTX-PRO-6000-Blackwell-Server",
    "TPU v5e",
    "TPU v6e",
];

fn catalog() -> Catalog {
    Catalog::embedded().unwrap_or_else(|error| panic!("{error}"))
}

fn model(name: &str) -> Model {
    catalog().model(name).unwrap_or_else(|| panic!("no model {name}")).clone()
}

fn params(gpu: &str, name: &str, tp: u32, weights: Option<Precision>) -> RooflineParams {
    let catalog = catalog();
    replica(
        catalog.gpu(gpu).unwrap(),
        catalog.model(name).unwrap(),
        Split::tensor(tp),
        weights,
        Precision::Bf16,
        catalog.engine("vllm-0.11").unwrap(),
    )
    .unwrap()
}

/// `n` sequences of `context` tokens each decoding alone: seconds per step.
fn decode_step_s(p: &RooflineParams, n: f64, context: f64) -> f64 {
    let linear = p.linear(n, n);
    let attention = p.decode_attention();
    let ctx = n * context;
    linear.compute_s
        + linear.memory_s
        + (ctx * attention.memory_s_per_ctx_tok).max(ctx * attention.compute_s_per_ctx_tok)
        + p.attention.window_tok.map_or(0.0, |window| {
            n * context.min(f64::from(window))
                * attention.memory_s_per_window_tok.max(attention.compute_s_per_window_tok)
        })
        + p.comm_s(n)
        + p.host_step_s
        + n * p.host_seq_s
}

#[test]
fn the_embedded_catalog_is_complete() {
    let catalog = catalog();
    for name in EVERY_GPU {
        assert!(catalog.gpu(name).is_some(), "{name}");
    }
    assert_eq!(catalog.gpus().len(), EVERY_GPU.len());
    assert_eq!(catalog.models().len(), 20);
    assert!(catalog.engine("vllm-0.11").is_some() && catalog.engine("vllm-0.19").is_some());
    let ideal = catalog.node("ideal_linear").unwrap();
    let gpu = catalog.gpu("B200-SXM-180GB").unwrap();
    assert_eq!((ideal.overhead_w.value, ideal.gpu_factor.value), (0.0, 1.0));
    assert_eq!((ideal.idle_loaded_w(gpu), ideal.clock_exponent(gpu), ideal.min_clock(gpu)), (0.0, 1.0, 0.01));
}

#[test]
fn every_source_is_a_citation_not_a_key() {
    let catalog = catalog();
    for gpu in catalog.gpus() {
        assert!(gpu.tdp_w.source.contains(' '), "{}: {}", gpu.name, gpu.tdp_w.source);
        assert!(gpu.power.clock_exponent.source.contains(' '), "{}", gpu.name);
    }
    assert!(catalog.models().iter().all(|model| model.source.contains(' ')));
    assert!(catalog.nodes().iter().all(|node| node.overhead_w.source.contains(' ')));
    assert!(catalog.engines().iter().all(|engine| engine.per_moe_layer_us.source.contains(' ')));
    for tier in catalog.quality_tiers() {
        assert!(tier.sigma.source.contains(' '), "{}", tier.name);
        for difficulty in Difficulty::ALL {
            let Answering { a0, a1, mean_thinking_tok } = tier.at(difficulty);
            assert!([a0, a1, mean_thinking_tok].iter().all(|n| n.source.contains(' ')), "{}", tier.name);
        }
    }
}

#[test]
fn models_have_a_quality_tier_by_their_size() {
    let catalog = catalog();
    for (model, tier) in [
        ("Llama-3.1-8B", "7b"),
        ("Qwen3-14B", "7b"),
        ("Qwen3-32B", "32b"),
        ("gpt-oss-120b", "32b"),
        ("Qwen3-235B-A22B", "frontier"),
        ("DeepSeek-R1", "frontier"),
    ] {
        let found = catalog.default_quality_tier(catalog.model(model).unwrap()).unwrap();
        assert_eq!(found.name, tier, "{model}");
    }
}

#[test]
fn a_tier_that_unlearns_by_thinking_is_refused() {
    let number = |value: f64| format!("{{ value: {value}, source: own, quality: guess }}");
    let tier = |a0: f64, a1: f64, mean: f64| {
        let at = format!("{{ a0: {}, a1: {}, mean_thinking_tok: {} }}", number(a0), number(a1), number(mean));
        let text = format!(
            "quality_tiers:\n  - name: own\n    sigma: {}\n    easy: {at}\n    medium: {at}\n    hard: {at}\n",
            number(0.7)
        );
        Catalog::from_text("own.yaml", &text).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(tier(0.2, 0.9, 100.0), Ok(()));
    for (wrong, words) in [
        (tier(0.9, 0.2, 100.0), "own.yaml:2:5: own: easy.a0 must not exceed easy.a1"),
        (tier(0.2, 1.1, 100.0), "easy.a1 is 1.1, a probability"),
        (tier(0.2, 0.9, 0.0), "easy.mean_thinking_tok is 0"),
    ] {
        let error = wrong.unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

/// Sizes as published, in billions.
#[test]
fn parameters_match_published_sizes() {
    for (name, total) in [
        ("Llama-3.1-8B", 8.03),
        ("Llama-3.1-70B", 70.55),
        ("Llama-3.1-405B", 405.85),
        ("DeepSeek-V3", 671.03),
        ("Qwen3-235B-A22B", 235.09),
        ("gpt-oss-120b", 116.79),
        ("gpt-oss-20b", 20.91),
        ("Mixtral-8x7B", 46.70),
        ("GPT-J-6B", 6.05),
    ] {
        let found = model(name).total_params() / 1e9;
        assert!((found / total - 1.0).abs() < 0.002, "{name}: {found} instead of {total}");
    }
}

#[test]
fn geometry_matches_the_reference_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/models.csv");
    if !path.exists() {
        println!("SKIPPED: ../shared/data absent");
        return;
    }
    let catalog = catalog();
    let mut reader = csv::Reader::from_path(path).unwrap();
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        let name = &record[0];
        let model = catalog.model(name).unwrap_or_else(|| panic!("no model {name}"));
        let number = |header: &str| record[column(header)].parse::<f64>().unwrap();
        for (found, header) in [
            (model.total_params() / 1e9, "total_params_B"),
            (model.active_params() / 1e9, "active_params_B"),
            (model.active_body_params() / 1e9, "active_params_no_emb_B"),
            (model.kv_bytes_per_tok(Precision::Bf16), "kv_bytes_per_token_bf16"),
        ] {
            let expected = number(header);
            assert!((found / expected - 1.0).abs() < 0.003, "{name} {header}: {found}, not {expected}");
        }
    }
}

#[test]
fn gpus_match_the_reference_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hardware.csv");
    if !path.exists() {
        println!("SKIPPED: ../shared/data absent");
        return;
    }
    let catalog = catalog();
    for record in csv::Reader::from_path(path).unwrap().records() {
        let record = record.unwrap();
        let gpu = catalog.gpu(&record[0]).unwrap_or_else(|| panic!("no GPU {}", &record[0]));
        let value = |number: &Option<Sourced<f64>>| number.as_ref().map(|number| number.value);
        assert_eq!(record[1].parse().ok(), Some(gpu.bf16_dense_tflops.value), "{}", gpu.name);
        assert_eq!(record[2].parse().ok(), value(&gpu.fp8_dense_tflops), "{}", gpu.name);
        assert_eq!(record[3].parse().ok(), value(&gpu.fp4_dense_tflops), "{}", gpu.name);
        assert_eq!(record[4].parse().ok(), Some(gpu.hbm_gb.value), "{}", gpu.name);
        assert_eq!(record[5].parse().ok(), Some(gpu.hbm_tb_s.value), "{}", gpu.name);
        match record[6].parse::<f64>() {
            Ok(tdp) => assert_eq!(tdp, gpu.tdp_w.value, "{}", gpu.name),
            Err(_) => assert_eq!(gpu.tdp_w.quality, Quality::Guess, "{}", gpu.name),
        }
        assert_eq!(record[7].parse().ok(), Some(gpu.link_gb_s.value), "{}", gpu.name);
    }
}

#[test]
fn kv_bytes_by_hand() {
    for (name, bytes) in [
        ("Llama-3.1-8B", 131_072.0), // 32 layers · 2 · 8 heads · 128 · 2 bytes
        ("Llama-3.1-70B", 327_680.0),
        ("Llama-3.1-405B", 516_096.0),
        ("Qwen3-32B", 262_144.0),
        ("Qwen3-235B-A22B", 192_512.0),
        ("Llama-2-7B", 524_288.0),
        ("gpt-oss-120b", 73_728.0),
        ("DeepSeek-V3", 70_272.0), // 61 layers · (512 + 64) · 2 bytes
    ] {
        assert_eq!(model(name).kv_bytes_per_tok(Precision::Bf16), bytes, "{name}");
    }
    assert_eq!(model("gpt-oss-120b").kv_bytes_per_further_tok(Precision::Bf16), 36_864.0);
    assert_eq!(model("gpt-oss-120b").kv_window_bytes_per_seq(Precision::Bf16), 128.0 * 36_864.0);
    assert_eq!(model("DeepSeek-V3").kv_bytes_per_tok_uncompressed(Precision::Bf16), 4_997_120.0);
    assert_eq!(model("Llama-3.1-8B").kv_bytes_per_tok(Precision::Fp8), 65_536.0);
}

#[test]
fn attention_flop_by_hand() {
    for (name, mflop) in [
        ("Llama-3.1-8B", 0.52), // 32 layers · 4 · 32 heads · 128
        ("Llama-3.1-70B", 2.62),
        ("Llama-3.1-405B", 8.26),
        ("Qwen3-32B", 2.10),
        ("Qwen3-235B-A22B", 3.08),
        ("gpt-oss-120b", 0.29),
        ("DeepSeek-V3", 17.0),
    ] {
        let model = model(name);
        let found = model.global_layers() * model.decode_flop_per_layer() / 1e6;
        assert!((found - mflop).abs() < 0.01, "{name}: {found}");
    }
}

#[test]
fn kv_is_split_by_key_heads_and_latents_are_not() {
    let whole = params("H100-SXM-80GB", "Llama-3.1-8B", 1, None);
    let split = params("H100-SXM-80GB", "Llama-3.1-8B", 4, None);
    assert_eq!(split.kv_bytes_per_tok_per_gpu * 4.0, whole.kv_bytes_per_tok_per_gpu);
    // Qwen3-235B has 4 key heads: 8 GPUs keep each twice.
    let four = params("H200-SXM-141GB", "Qwen3-235B-A22B", 4, None);
    let eight = params("H200-SXM-141GB", "Qwen3-235B-A22B", 8, None);
    assert_eq!(four.kv_bytes_per_tok_per_gpu, eight.kv_bytes_per_tok_per_gpu);
    assert_eq!(params("H200-SXM-141GB", "DeepSeek-V3", 8, None).kv_bytes_per_tok_per_gpu, 70_272.0);
}

#[test]
fn weights_of_a_format() {
    let llama = model("Llama-3.1-70B");
    assert_eq!(llama.weight_bytes(llama.native()), 2.0 * llama.total_params());
    let fp8 = llama.weight_bytes(llama.weights(Some(Precision::Fp8)));
    assert_eq!(fp8, llama.body_params() + 4.0 * llama.head_params());
    // gpt-oss-120b is published as about 61 GiB.
    let oss = model("gpt-oss-120b");
    let gib = oss.weight_bytes(oss.native()) / f64::powi(2.0, 30);
    assert!((gib - 60.8).abs() < 1.5, "{gib}");
    assert_eq!(oss.weights(Some(Precision::Mxfp4)), oss.native());
}

#[test]
fn formats_without_a_unit_are_expanded() {
    let catalog = catalog();
    let (a100, h100) = (catalog.gpu("A100-SXM-80GB").unwrap(), catalog.gpu("H100-SXM-80GB").unwrap());
    let b200 = catalog.gpu("B200-SXM-180GB").unwrap();
    assert_eq!(arithmetic(a100, Precision::Fp8).format, Precision::Bf16);
    assert_eq!(arithmetic(a100, Precision::Int8).peak_flop_s, 624e12);
    assert_eq!(arithmetic(h100, Precision::Fp8).peak_flop_s, 1979e12);
    assert_eq!(arithmetic(h100, Precision::Mxfp4).format, Precision::Bf16);
    assert_eq!(arithmetic(b200, Precision::Nvfp4).peak_flop_s, 9000e12);
    assert_eq!(arithmetic(b200, Precision::Int4).format, Precision::Bf16);
    // The traffic is that of the stored format all the same.
    let stored = params("A100-SXM-80GB", "Llama-3.1-8B", 1, Some(Precision::Fp8));
    assert_eq!(stored.dense.bytes_per_param, 1.0);
}

#[test]
fn impossible_replicas_are_refused_in_words() {
    let catalog = catalog();
    let gpu = catalog.gpu("H100-SXM-80GB").unwrap();
    let engine = catalog.engine("vllm-0.11").unwrap();
    let llama = catalog.model("Llama-3.1-8B").unwrap();
    let of = |tp, kv| replica(gpu, llama, Split::tensor(tp), None, kv, engine);
    assert!(of(16, Precision::Bf16).unwrap_err().contains("does not fit"));
    assert!(of(3, Precision::Bf16).unwrap_err().contains("divisor of 32"));
    assert!(of(0, Precision::Bf16).is_err());
    assert!(of(1, Precision::Int4).unwrap_err().contains("use bf16, fp8 or int8"));
    let (qwen, bf16) = (catalog.model("Qwen3-30B-A3B").unwrap(), Precision::Bf16);
    let split = |model, attention_data, expert| {
        replica(gpu, model, Split { tensor: 2, attention_data, expert }, None, bf16, engine)
    };
    assert!(split(llama, 1, 2).unwrap_err().contains("has no experts to spread"));
    assert!(split(qwen, 1, 3).unwrap_err().contains("use a divisor of 2"));
    assert!(split(qwen, 5, 1).unwrap_err().contains("10 GPUs does not fit"));
    assert!(split(qwen, 4, 8).is_ok());
}

#[test]
fn experts_touched_grow_from_k_to_all() {
    let p = params("H100-SXM-80GB", "Qwen3-30B-A3B", 2, None);
    assert_eq!(p.experts_touched(0.0), 0.0);
    // One token touches its 8 whatever the favourites are.
    assert!((p.experts_touched(1.0) - 8.0).abs() < 1e-9);
    let even = RooflineParams { expert_spread: 1.0, ..p.clone() };
    assert!((even.experts_touched(2.0) - (16.0 - 0.5)).abs() < 1e-9, "8 + 8·(1 − 8/128)");
    assert!(p.experts_touched(64.0) < even.experts_touched(64.0));
    assert!((p.experts_touched(1e6) - 128.0).abs() < 1e-9);
    let mut last = 0.0;
    for tokens in 1..2000 {
        let touched = p.experts_touched(f64::from(tokens));
        assert!(touched >= last && touched <= 128.0);
        last = touched;
    }
    assert_eq!(params("H100-SXM-80GB", "Llama-3.1-8B", 1, None).experts_touched(64.0), 0.0);
}

#[test]
fn more_work_never_takes_less_time() {
    for (name, tp) in [("Llama-3.1-8B", 1), ("Qwen3-235B-A22B", 8), ("DeepSeek-V3", 8), ("gpt-oss-120b", 2)] {
        let p = params("B200-SXM-180GB", name, tp, None);
        let (mut last_linear, mut last_comm) = (0.0, 0.0);
        for tokens in 1..4096 {
            let term = p.linear(f64::from(tokens), f64::from(tokens.min(256)));
            let linear = term.compute_s + term.memory_s;
            assert!(linear > last_linear, "{name} at {tokens}");
            assert!(term.peak_flop_s <= term.compute_s && term.bytes / p.hbm_byte_s <= term.memory_s);
            assert!(p.comm_s(f64::from(tokens)) >= last_comm);
            (last_linear, last_comm) = (linear, p.comm_s(f64::from(tokens)));
        }
        assert_eq!(p.linear(0.0, 0.0).bytes, 0.0);
        let (decode, prefill) = (p.decode_attention(), p.prefill_attention());
        assert!(decode.memory_s_per_ctx_tok > 0.0 && decode.compute_s_per_ctx_tok > 0.0);
        assert!(prefill.s_per_pair > 0.0 && prefill.flop_per_pair > 0.0);
    }
}

/// Experts of a step of 8 tokens by hand, E = 128, k = 8, 4 GPUs with whole experts, spread 1:
/// touched 128·(1 − (15/16)^8) = 51.6, π = 0.403, m = 12.9; z(4) = Φ⁻¹(3.625/4.25) = 1.05;
/// busiest over mean 1 + 1.05·√(0.597/12.9) = 1.226.
#[test]
fn the_busiest_gpu_by_hand() {
    let p = params("H100-SXM-80GB", "Qwen3-235B-A22B", 4, None);
    let p = RooflineParams { expert_spread: 1.0, expert_groups: 4.0, expert_tile_tok: 16.0, ..p };
    let touched = p.experts_touched(8.0);
    assert!((touched - 51.62).abs() < 0.01, "{touched}");
    let busiest = p.busiest_over_mean(touched);
    assert!((busiest - 1.226).abs() < 0.001, "{busiest}");
    assert_eq!(p.busiest_over_mean(128.0), 1.0);
    assert_eq!(RooflineParams { expert_groups: 1.0, ..p.clone() }.busiest_over_mean(touched), 1.0);
    // Each of them gets 64/51.62 rows and computes 16: 12.9 times the FLOP asked for.
    let (with, without) =
        (p.linear(8.0, 8.0), RooflineParams { expert_tile_tok: 0.0, ..p.clone() }.linear(8.0, 8.0));
    let experts = 2.0 * p.expert_params * p.moe_layers * 64.0 / 4.0;
    let more = (with.peak_flop_s - without.peak_flop_s) * p.expert.peak_flop_s / experts;
    assert!((more - (16.0 / (64.0 / touched) - 1.0)).abs() < 1e-9, "{more}");
    assert_eq!(with.flop, without.flop);
    // Bytes are those of the mean GPU, the time that of the busiest.
    let bytes = p.expert_params * p.moe_layers * touched * 2.0 / 4.0;
    let later = with.memory_s - with.bytes / (p.hbm_byte_s * p.weight_mbu);
    assert!((later - bytes * (busiest - 1.0) / (p.hbm_byte_s * p.weight_mbu)).abs() < 1e-12);
}

/// Two groups of two GPUs: each GPU multiplies a quarter of the tokens' FLOP, streams half of the dense weights and a
/// quarter of the experts, and keeps the caches of half of the sequences.
#[test]
fn data_parallel_attention_by_hand() {
    let catalog = catalog();
    let of = |tensor, attention_data| {
        let split = Split { tensor, attention_data, expert: 1 };
        let (gpu, model) = (catalog.gpu("B200-SXM-180GB").unwrap(), catalog.model("DeepSeek-V3").unwrap());
        replica(gpu, model, split, None, Precision::Bf16, catalog.engine("sglang-0.5").unwrap()).unwrap()
    };
    let (one, four, grouped) = (of(1, 1), of(4, 1), of(2, 2));
    assert_eq!(grouped.kv_bytes_per_tok_per_gpu * 2.0, one.kv_bytes_per_tok_per_gpu);
    assert_eq!(four.kv_bytes_per_tok_per_gpu, one.kv_bytes_per_tok_per_gpu);
    assert!((grouped.linear(64.0, 64.0).flop / four.linear(64.0, 64.0).flop - 1.0).abs() < 1e-12);
    let dense = one.dense_params * one.dense.bytes_per_param;
    let model = catalog.model("DeepSeek-V3").unwrap();
    let experts = model.expert_bytes(model.native());
    let rest = model.weight_bytes(model.native()) - experts;
    assert!((grouped.weight_bytes_per_gpu - (rest / 2.0 + experts / 4.0)).abs() < 1.0);
    assert!(dense < rest, "embedding and head besides");
    assert!(grouped.comm_s(64.0) > 0.0);
}

#[test]
fn one_gpu_needs_no_links() {
    assert_eq!(params("H100-SXM-80GB", "Llama-3.1-8B", 1, None).comm_s(512.0), 0.0);
    assert!(params("H100-SXM-80GB", "Llama-3.1-8B", 2, None).comm_s(512.0) > 0.0);
}

/// Fused prefill attention: 0.3 of the peak for prompts of 1 k tokens, 0.6 for 8 k.
#[test]
fn prefill_attention_reaches_the_known_shares() {
    let p = params("H100-SXM-80GB", "Llama-3.1-8B", 1, None).prefill_attention();
    for (prompt, expected) in [(1024.0, 0.3), (8192.0, 0.6)] {
        let pairs = prompt * (prompt + 1.0) / 2.0;
        let time = p.s_per_pair * (pairs + prompt * p.overhead_tok);
        let share = pairs * p.flop_per_pair / time / p.peak_flop_s;
        assert!((share - expected).abs() < 0.01, "{prompt}: {share}");
    }
}

/// Llama-3.1-8B in 16 bit on one H100, ML.ENERGY v3: 1,070 tok/s at batch 8, 9,806 at 512. Mean context
/// in flight: a prompt of 150 tokens and, with lognormal answers of mean 355 and sigma 1.10, 595 more.
#[test]
fn decode_rates_are_near_the_measured_ones() {
    let p = params("H100-SXM-80GB", "Llama-3.1-8B", 1, None);
    for (batch, measured) in [(8.0, 1070.0), (512.0, 9806.0)] {
        let rate = batch / decode_step_s(&p, batch, 745.0);
        assert!((rate / measured - 1.0).abs() < 0.25, "batch {batch}: {rate}");
    }
}

#[test]
fn power_law_comes_from_gpu_and_node() {
    let catalog = catalog();
    let gpu = catalog.gpu("H200-SXM-141GB").unwrap();
    let own = gpu_power(gpu, catalog.node(&gpu.node).unwrap());
    assert_eq!(own.tdp_w, 700.0);
    assert!(own.idle_loaded_w > 0.0 && own.alpha > 1.0);
    let ideal = gpu_power(gpu, catalog.node("ideal_linear").unwrap());
    assert_eq!((ideal.idle_loaded_w, ideal.alpha), (0.0, 1.0));
    assert_eq!(ideal.at_clock_w(600.0, 0.5), 300.0);
    let wall = node_power(catalog.node("8xH200-air").unwrap()).wall_w(8.0 * own.idle_loaded_w);
    assert!((wall - 2400.0).abs() < 5.0, "{wall}");
}

/// What the fits ask is what the engine tabulates.
#[test]
fn the_step_law_tabulates_the_roofline() {
    use crate::physics::clock::Clock;
    use crate::physics::step::{FluidShape, StepLaw};
    for (name, tp) in [("Llama-3.1-8B", 1), ("Qwen3-235B-A22B", 8), ("gpt-oss-120b", 2)] {
        let p = params("H100-SXM-80GB", name, tp, Some(Precision::Fp8));
        let law = StepLaw::roofline(&p, 1024);
        let mut shape = FluidShape {
            n: 37.0,
            kv_tok: 30_000.0,
            p: 500.0,
            chunks: 2.0,
            pairs: 70_000.0,
            ..FluidShape::default()
        };
        if p.attention.window_tok.is_some() {
            (shape.window_tok, shape.window_pairs) = (37.0 * 128.0, 50_000.0);
        }
        let (step, fluid) = (p.step(&shape), law.fluid(&shape, &Clock::FULL));
        assert!((step.step_s / fluid.parts.total_s() - 1.0).abs() < 1e-6, "{name}");
        assert!((step.peak_s / fluid.work.peak_s - 1.0).abs() < 1e-9, "{name}");
        assert!((step.bytes / fluid.work.bytes - 1.0).abs() < 1e-9, "{name}");
    }
}

#[test]
fn numbers_follow_the_fit() {
    let catalog = catalog();
    let fit = catalog.fit();
    let of = |name: &str| fit.coefficient(name).unwrap().value;
    let h200 = catalog.gpu("H200-SXM-141GB").unwrap();
    assert_eq!(h200.fractions.weight_mbu.value, of("hopper.weight_mbu"));
    assert_eq!(h200.fractions.weight_mbu.quality, Quality::Fitted);
    let mi300x = catalog.gpu("MI300X").unwrap();
    assert_eq!(mi300x.fractions.weight_mbu.value, 0.8 * of("hopper.weight_mbu"));
    assert_eq!(mi300x.fractions.weight_mbu.quality, Quality::Guess);
    // Other values reach every number that follows them.
    let doubled: Vec<f64> = fit.values().iter().map(|value| value * 0.5).collect();
    let other = catalog.with_coefficients(&doubled);
    let half = other.gpu("MI300X").unwrap().fractions.weight_mbu.value;
    assert_eq!(half, 0.4 * of("hopper.weight_mbu"));
    assert_eq!(other.gpu("MI300X").unwrap().hbm_tb_s, mi300x.hbm_tb_s);
}

/// Whatever the coefficients are, no check of a catalog file is broken, and what does not follow the fit stays.
#[test]
fn drawn_numbers_keep_to_the_checks() {
    let catalog = catalog();
    let fitted = catalog.fit().values();
    assert_eq!(catalog.with_drawn(&fitted).gpus(), catalog.gpus());
    for number in 0..400 {
        // Up to a factor of 20 either way.
        let off = |place: usize| (f64::from(number) * (1.7 + place as f64)).sin() * 3.0;
        let wild: Vec<f64> =
            fitted.iter().enumerate().map(|(place, value)| value * off(place).exp()).collect();
        let other = catalog.with_drawn(&wild);
        for gpu in other.gpus() {
            load::check_gpu_numbers(gpu).unwrap();
            assert_eq!(gpu.hbm_tb_s, catalog.gpu(&gpu.name).unwrap().hbm_tb_s);
        }
        other.nodes().iter().try_for_each(load::check_node).unwrap();
        other.engines().iter().try_for_each(load::check_engine).unwrap();
    }
    // A busy GPU that would draw more than the fullest draws as much.
    let mut values = fitted.clone();
    let place = |name: &str| catalog.fit().coefficients.iter().position(|c| c.name == name).unwrap();
    (values[place("power.p0_tdp")], values[place("power.pmax_tdp")]) = (0.9, 0.8);
    let power = catalog.with_drawn(&values).gpu("H100-SXM-80GB").unwrap().power.clone();
    assert!((power.p0_tdp.value / 0.8 - 1.0).abs() < 1e-14 && power.pmax_tdp.value == 0.8);
}

#[test]
fn mistakes_of_a_fit_have_a_place() {
    let engine = |number: &str| {
        let names = [
            "per_step_us",
            "per_seq_us",
            "per_layer_us",
            "per_moe_layer_us",
            "per_fp8_moe_layer_us",
            "per_fp4_moe_layer_us",
            "expert_spread",
            "expert_tile_bf16_tok",
            "expert_tile_fp8_tok",
        ];
        let good =
            names.map(|name| format!("    {name}: {{ value: 1, source: me, quality: guess }}\n")).concat();
        format!("engines:\n  - name: mine-1.0\n{good}    expert_tile_fp4_tok: {number}\n")
    };
    for (text, says) in [
        (engine("{ fit: kernels.expert_tile_fp4_toc }"), "did you mean 'kernels.expert_tile_fp4_tok'?"),
        (engine("{ fit: kernels.expert_tile_fp4_tok, value: 1 }"), "not both"),
        (engine("{ source: me }"), "missing `value`"),
        (engine("{ value: 1, quality: guess }"), "missing field `source`"),
        (engine("{ value: 1, source: me, quality: guess, times: 2 }"), "`times` needs a `fit`"),
        (
            "fit: { date: d, source: s, coefficients: [], correlations: [[]] }".into(),
            "a row for each of the 0",
        ),
    ] {
        let error = Catalog::from_text("my.yaml", &text).expect_err(&text).to_string();
        assert!(error.starts_with("my.yaml:") && error.contains(says), "{error}");
    }
    assert!(Catalog::from_text("my.yaml", &engine("{ fit: kernels.expert_tile_fp4_tok, times: 2 }")).is_ok());
}

const MY_NODE: &str = "\
nodes:
  - name: mine
    gpus: { value: 4, source: me, quality: guess }
    overhead_w: { value: 100, source: me, quality: guess }
    gpu_factor: { value: 1.1, source: me, quality: guess }
  - name: 8xH200-air
    gpus: { value: 8, source: h200-wall, quality: datasheet }
    overhead_w: { value: 1234, source: h200-wall, quality: measured }
    gpu_factor: { value: 1.2, source: me, quality: guess }
";

#[test]
fn an_overlay_adds_and_replaces() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine.yaml"), MY_NODE).unwrap();
    let (plain, with) = (catalog(), Catalog::with_overlay(dir.path()).unwrap());
    assert_eq!(with.nodes().len(), plain.nodes().len() + 1);
    assert_eq!(with.node("mine").unwrap().gpus.value, 4);
    assert_eq!(with.node("8xH200-air").unwrap().overhead_w.value, 1234.0);
    assert_eq!(with.gpus().len(), plain.gpus().len());
    // Sources of the embedded files may be cited.
    assert!(with.node("8xH200-air").unwrap().overhead_w.source.starts_with("MLPerf"));
}

#[test]
fn an_overlay_without_files_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Catalog::with_overlay(dir.path()), Err(CatalogError::Empty { .. })));
    assert!(matches!(Catalog::with_overlay(&dir.path().join("none")), Err(CatalogError::Io { .. })));
}

#[test]
fn mistakes_have_a_place() {
    for (find, replace, line, says) in [
        ("    overhead_w:", "    overhead:", 4, "overhead"),
        ("value: 100,", "value: .nan,", 4, "finite"),
        ("value: 100,", "value: -1,", 4, "at least 0"),
        ("value: 1.1,", "value: .inf,", 5, "finite"),
        ("value: 4,", "value: 4, unit: GPUs,", 3, "unit"),
        (
            "quality: guess }\n    gpu_factor: { value: 1.1",
            "quality: sure }\n    gpu_factor: { value: 1.1",
            4,
            "sure",
        ),
        ("nodes:", "node:", 1, "node"),
        ("name: 8xH200-air", "name: mine", 6, "twice"),
        ("value: 1.1,", "value: 0.9,", 2, "at least 1"),
    ] {
        let text = MY_NODE.replacen(find, replace, 1);
        assert_ne!(text, MY_NODE);
        let error = Catalog::from_text("my.yaml", &text).expect_err(replace);
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("my.yaml:{line}:")), "{replace:?}: {shown}");
        assert!(shown.contains(says), "{replace:?}: {shown}");
        assert!(!shown.contains('\n'), "{replace:?}: {shown}");
    }
}

// ---- sheets ----

fn derived(sheet: &Sheet, name: &str) -> f64 {
    let found = sheet.derived.iter().find(|d| d.name == name);
    found.unwrap_or_else(|| panic!("{} has no '{name}'", sheet.name)).value
}

#[test]
fn sheets_derive_what_physics_lists() {
    let catalog = catalog();
    let kv = "KV cache per token, 16 bit";
    for (name, bytes) in [
        ("Llama-3-8B", 131_072.0),
        ("Llama-3.3-70B", 327_680.0),
        ("Llama-3.1-405B", 516_096.0),
        ("Qwen3-32B", 262_144.0),
        ("Qwen3-235B-A22B", 192_512.0),
        ("Llama-2-7B", 524_288.0),
        ("gpt-oss-120b", 73_728.0),
        ("DeepSeek-V3", 70_272.0),
    ] {
        let [sheet] = &catalog.sheets_called(name)[..] else { panic!("{name}") };
        assert_eq!(derived(sheet, kv), bytes, "{name}");
    }
    let [oss] = &catalog.sheets_called("gpt-oss-120b")[..] else { panic!() };
    assert_eq!(derived(oss, "KV cache per token beyond the windows, 16 bit"), 36_864.0);
    let [v3] = &catalog.sheets_called("dsv3")[..] else { panic!() };
    assert_eq!(derived(v3, "KV cache per token without latent attention, 16 bit"), 4_997_120.0);
    // 8.03e9 parameters less the embedding of 128,256 · 4,096, twice.
    let [llama] = &catalog.sheets_called("Llama-3.1-8B")[..] else { panic!() };
    let flop = 2.0 * (8.030_261_248e9 - 128_256.0 * 4_096.0) * 1e-9;
    assert!((derived(llama, "FLOP per decoded token, without attention") - flop).abs() < 1e-6);
    for (name, mflop) in [
        ("Llama-3.1-8B", 0.52),
        ("Llama-3.1-70B", 2.62),
        ("Llama-3.1-405B", 8.26),
        ("Qwen3-32B", 2.10),
        ("Qwen3-235B-A22B", 3.08),
        ("gpt-oss-120b", 0.29),
        ("DeepSeek-V3", 17.0),
    ] {
        let sheet = &catalog.sheets_called(name)[0];
        let found = derived(sheet, "FLOP per decoded token and token of context, beyond windows");
        assert!((found - mflop).abs() < 0.011, "{name}: {found}");
    }
    // 989 TFLOP/s over 3.35 TB/s.
    let [h100] = &catalog.sheets_called("h100")[..] else { panic!() };
    assert!((derived(h100, "ridge point bf16, peaks") - 989.0 / 3.35).abs() < 1e-9);
}

#[test]
fn every_number_of_every_entry_is_on_its_sheet_with_source_and_unit() {
    let mut catalog = catalog();
    for kind in Kind::ALL {
        let sheets = catalog.sheets(kind);
        assert!(!sheets.is_empty());
        for sheet in sheets {
            assert!(
                !sheet.own && !sheet.numbers.is_empty() && sheet.derived.iter().all(|d| d.value.is_finite())
            );
            for n in &sheet.numbers {
                assert!(n.value.is_finite(), "{}: {}", sheet.name, n.field);
                assert!(n.source.is_some() || sheet.source.is_some(), "{}: {}", sheet.name, n.field);
                if let Some(f) = &n.follows {
                    assert!(f.low95 <= n.value && n.value <= f.high95, "{}: {f:?}", sheet.name);
                    assert!(f.low95 < f.high95, "{}: {f:?}", sheet.name);
                }
                if ["_w", "_us", "_gb", "_c", "_tok", "_tflops"].iter().any(|end| n.field.ends_with(end))
                    && !n.field.ends_with("_per_tok")
                {
                    assert!(!n.unit.is_empty(), "{}: {}", sheet.name, n.field);
                }
            }
        }
    }
    // None is lost on the way.
    let gpu = catalog.gpus[0].clone();
    let [sheet] = &catalog.sheets_called(&gpu.name)[..] else { panic!() };
    let sheet = sheet.clone();
    assert_eq!(sheet.numbers.len(), 1 + catalog.gpus[0].numbers_mut().len());
}

#[test]
fn entries_of_the_user_are_marked() {
    let text = "models:\n  - { name: Mine-1B, source: me, quality: guess, layers: 16, hidden: 2048, heads: 16, \
                kv_heads: 4, head_dim: 128, ffn: 8192, vocab: 32000, native_weights: bf16 }\n";
    let own = Catalog::from_text("mine.yaml", text).unwrap();
    let marked: Vec<String> = Kind::ALL
        .into_iter()
        .flat_map(|kind| own.sheets(kind))
        .filter(|sheet| sheet.own)
        .map(|sheet| sheet.name)
        .collect();
    assert_eq!(marked, ["Mine-1B"]);
    // 16 layers · 2 · 4 heads · 128 · 2 bytes.
    assert_eq!(derived(&own.sheets_called("Mine-1B")[0], "KV cache per token, 16 bit"), 32_768.0);
    assert!(own.sheets_called("Mine-2B").is_empty());
}

#[test]
fn retentions_are_shares_of_known_levers() {
    let text = |name: &str, hard: &str| {
        let number = |value: &str| format!("{{ value: {value}, source: a test, quality: guess }}");
        format!(
            "retentions:\n  - name: {name}\n    easy: {one}\n    medium: {one}\n    hard: {}\n",
            number(hard),
            one = number("1")
        )
    };
    let own = Catalog::from_text("own.yaml", &text("weights-fp8", "0.5")).expect("good");
    assert_eq!(own.retention(Levered::WeightsFp8).unwrap().hard.value, 0.5);
    assert_eq!(own.retentions().len(), Levered::ALL.len());
    for (name, hard, words) in [
        ("weights-fp9", "1", "unknown lever 'weights-fp9'; known are weights-fp8,"),
        ("weights-fp8", "1.1", "hard is 1.1; a share"),
        ("weights-fp8", "0", "hard is 0; a share"),
    ] {
        let error = Catalog::from_text("own.yaml", &text(name, hard)).expect_err(words).to_string();
        assert!(error.starts_with("own.yaml:2:") && error.contains(words), "{error}");
    }
    let tier = own.quality_tier("7b").unwrap();
    let kept = tier.keeping(own.retention(Levered::WeightsFp8).unwrap());
    assert_eq!(kept.p_right(Difficulty::Hard, 4e3), 0.5 * tier.p_right(Difficulty::Hard, 4e3));
    assert_eq!(kept.p_right(Difficulty::Easy, 4e3), tier.p_right(Difficulty::Easy, 4e3));
    assert_eq!(kept.mean_thinking_tok(Difficulty::Hard, 4e3), tier.mean_thinking_tok(Difficulty::Hard, 4e3));
}

#[test]
fn sparse_attention_is_checked() {
    let model = serde_json::to_value(model("DeepSeek-V3.2")).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value), words: &str| {
        let mut other = model.clone();
        change(&mut other);
        let text = serde_json::json!({ "models": [other] }).to_string();
        let error = Catalog::from_text("own.yaml", &text).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(&|m| m["sparse"]["top_k_tok"] = 0.into(), "sparse.top_k_tok is 0");
    refused(&|m| m["sparse"]["index_mfu"]["value"] = 1.5.into(), "sparse.index_mfu is a share");
    refused(&|m| m["mla"]["expanded"] = true.into(), "beside an expanded cache");
    refused(
        &|m| m["sliding"] = serde_json::json!({ "window_tok": 8, "layers": 3 }),
        "beside sliding windows",
    );
}
