//! Entries of the catalog but for models: GPUs, nodes, serving engines; and where numbers come from.

use serde::{Deserialize, Serialize};

/// How much a number can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Read off an instrument, or derived from such readings by arithmetic.
    Measured,
    /// Adjusted until the model reproduces measurements.
    Fitted,
    /// The vendor's figure.
    Datasheet,
    /// An assumption: an input whose influence is worth checking.
    Guess,
}

/// A value a catalog entry may hold.
pub trait CatalogValue: Sized {
    /// What is wrong with it, if anything.
    fn check(&self) -> Result<(), String>;

    /// What stands for a number that is still to be taken from the fit; `None` if it cannot be.
    fn pending() -> Option<Self>;
}

impl CatalogValue for f64 {
    fn check(&self) -> Result<(), String> {
        if !self.is_finite() {
            Err(format!("expected a finite number, found {self}"))
        } else if *self < 0.0 {
            Err(format!("expected a number of at least 0, found {self}"))
        } else {
            Ok(())
        }
    }

    fn pending() -> Option<Self> {
        Some(f64::NAN)
    }
}

impl CatalogValue for u32 {
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn pending() -> Option<Self> {
        None
    }
}

/// A number, where it comes from and how much it can be trusted. In a file: `{ value, source, quality }`, or
/// `{ fit: NAME }` for a coefficient of the catalog's [`super::Fit`], of which it takes the value, `times` a factor if
/// there is one, and unless it has its own the source and the quality `fitted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written<T>", bound(deserialize = "T: CatalogValue + Deserialize<'de>"))]
pub struct Sourced<T> {
    /// The number, in the unit its field's name ends in.
    pub value: T,
    /// Citation, or the reasoning of a guess. In a file it may be a key of the file's `sources`.
    pub source: String,
    /// How much it can be trusted.
    pub quality: Quality,
    /// The coefficient it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<String>,
    /// Its value over the coefficient's; `None`: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
}

impl Sourced<f64> {
    /// Takes the value that follows from the coefficient it names.
    pub(super) fn take(&mut self, coefficient: f64) {
        self.value = coefficient * self.times.unwrap_or(1.0);
    }
}

/// A [`Sourced`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<T> {
    value: Option<T>,
    source: Option<String>,
    quality: Option<Quality>,
    fit: Option<String>,
    times: Option<f64>,
}

impl<T: CatalogValue> TryFrom<Written<T>> for Sourced<T> {
    type Error = String;

    fn try_from(written: Written<T>) -> Result<Self, String> {
        match written {
            Written { times: Some(times), .. } if !times.is_finite() || times <= 0.0 => {
                Err(format!("times is {times}; expected a number above 0"))
            }
            Written { fit: None, times: Some(_), .. } => Err("`times` needs a `fit` to multiply".into()),
            Written {
                value: Some(value), source: Some(source), quality: Some(quality), fit: None, ..
            } => {
                value.check()?;
                Ok(Self { value, source, quality, fit: None, times: None })
            }
            Written { value: None, source, quality, fit: Some(fit), times } => {
                let value = T::pending().ok_or("a whole number cannot follow a fit; give its `value`")?;
                let quality = quality.unwrap_or(Quality::Fitted);
                Ok(Self { value, source: source.unwrap_or_default(), quality, fit: Some(fit), times })
            }
            Written { value: Some(_), fit: Some(_), .. } => {
                Err("give either `value` or `fit`, not both".into())
            }
            Written { value: None, fit: None, .. } => {
                Err("missing `value` (with `source` and `quality`), or `fit`, the name of a coefficient"
                    .into())
            }
            Written { source: None, .. } => Err("missing field `source`: where is the number from?".into()),
            Written { quality: None, .. } => {
                Err("missing field `quality`: one of measured, fitted, datasheet, guess".into())
            }
        }
    }
}

/// A GPU (or TPU chip) with what software gets out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Name in scenarios.
    pub name: String,
    /// Name of the node it sits in unless the scenario says otherwise.
    pub node: String,
    /// GPUs of a node, or of the domain over which a replica can be split.
    pub gpus_per_node: Sourced<u32>,
    /// Peak 16 bit rate without sparsity [TFLOP/s].
    pub bf16_dense_tflops: Sourced<f64>,
    /// Peak 8 bit floating-point rate without sparsity [TFLOP/s]; absent: the chip has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fp8_dense_tflops: Option<Sourced<f64>>,
    /// Peak 4 bit floating-point rate without sparsity [TFLOP/s]; absent: the chip has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fp4_dense_tflops: Option<Sourced<f64>>,
    /// Peak 8 bit integer rate without sparsity [TOP/s]; absent: the chip has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8_dense_tops: Option<Sourced<f64>>,
    /// Memory [GB = 1e9 byte].
    pub hbm_gb: Sourced<f64>,
    /// Peak memory bandwidth [TB/s].
    pub hbm_tb_s: Sourced<f64>,
    /// Power limit at stock settings [W].
    pub tdp_w: Sourced<f64>,
    /// Scale-up link, both directions together [GB/s].
    pub link_gb_s: Sourced<f64>,
    /// What software reaches of the peaks.
    pub fractions: Fractions,
    /// All-reduces between the GPUs of a replica.
    pub comm: Comm,
    /// Watts and clocks.
    pub power: GpuPowerEntry,
    /// Chip temperature at which it lowers its clock [°C]; needed only where its pool stands in a cooling zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_c: Option<Sourced<f64>>,
}

/// Achievable shares of the peaks, at stock power.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fractions {
    /// Large matrix products in 16 bit, share of the 16 bit peak.
    pub gemm_mfu_bf16: Sourced<f64>,
    /// Large matrix products in 8 bit, share of the 8 bit peak; absent where the chip has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gemm_mfu_fp8: Option<Sourced<f64>>,
    /// Large matrix products in 4 bit, share of the 4 bit peak; absent where the chip has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gemm_mfu_fp4: Option<Sourced<f64>>,
    /// Share of the memory bandwidth at which weights are streamed.
    pub weight_mbu: Sourced<f64>,
    /// Of the GEMM shares above, what the grouped products of routed experts reach.
    pub expert_mfu_factor: Sourced<f64>,
    /// Share of the memory bandwidth at which decode attention reads the KV cache.
    pub attn_mbu: Sourced<f64>,
    /// Decode attention on latent caches, which arithmetic can limit, share of the 16 bit peak.
    pub absorbed_attn_mfu: Sourced<f64>,
    /// Prefill attention over long contexts, share of the 16 bit peak.
    pub prefill_attn_mfu: Sourced<f64>,
    /// K in the time of prefill attention, flop·p·(c + K)/(share·peak): short prompts are less efficient.
    pub prefill_attn_overhead_tok: Sourced<f64>,
}

/// All-reduce of m bytes over N GPUs, at a rate r = fraction · link/2: in one shot, in which each GPU reads what all
/// others have, `one_shot` + m·(N − 1)/r; in two phases `latency` + m·2(N − 1)/N/r; whichever is faster. An all-to-all
/// takes `latency` + m/r.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comm {
    /// Time of an all-reduce in one shot, without its bytes [µs].
    pub one_shot_us: Sourced<f64>,
    /// Time of one in two phases, without its bytes [µs].
    pub latency_us: Sourced<f64>,
    /// Share of the link's one-directional rate that messages reach.
    pub link_fraction: Sourced<f64>,
}

/// Watts and clocks of a GPU; the laws are in [`crate::physics::power`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuPowerEntry {
    /// No weights resident, no work [W].
    pub empty_w: Sourced<f64>,
    /// Weights resident, no work [W].
    pub idle_loaded_w: Sourced<f64>,
    /// Busy with next to no bandwidth or FLOP used, over the TDP.
    pub p0_tdp: Sourced<f64>,
    /// What the law tends to at full use, over the TDP; the TDP cuts it.
    pub pmax_tdp: Sourced<f64>,
    /// Weight of the bandwidth share.
    pub mbu_weight: Sourced<f64>,
    /// Weight of the root of the FLOP share.
    pub mfu_weight: Sourced<f64>,
    /// Exponent of the clock.
    pub clock_exponent: Sourced<f64>,
    /// Lowest clock, share of the full clock.
    pub min_clock: Sourced<f64>,
    /// Clock below which memory slows down as well, share of the full clock.
    pub memory_clock_knee: Sourced<f64>,
}

/// A node: what it adds to its GPUs at the wall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Name in scenarios.
    pub name: String,
    /// GPUs it holds.
    pub gpus: Sourced<u32>,
    /// Watts at the wall whatever the GPUs do, P_0 in P_0 + k·ΣP_gpu [W].
    pub overhead_w: Sourced<f64>,
    /// Watts at the wall per watt of GPU, k.
    pub gpu_factor: Sourced<f64>,
    /// Chip above supply temperature per watt of one GPU [K/W]; needed only where a pool of it stands in a
    /// cooling zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r_th_k_per_w: Option<Sourced<f64>>,
    /// Network between nodes; without it a replica stays within its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What replaces the GPU's own numbers in this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Overrides>,
}

/// Network between nodes, as all-to-alls of experts find it: `latency` + m/(fraction · rate) for the m bytes that leave
/// a GPU for other nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Rate of one GPU's port, one direction [GB/s].
    pub port_gb_s: Sourced<f64>,
    /// Share of it that all-to-alls reach.
    pub port_fraction: Sourced<f64>,
    /// Time of an all-to-all without its bytes [µs].
    pub all_to_all_us: Sourced<f64>,
}

/// Numbers of the GPU that a node replaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Instead of both `empty_w` and `idle_loaded_w` [W].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_w: Option<Sourced<f64>>,
    /// Instead of the GPU's exponent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_exponent: Option<Sourced<f64>>,
    /// Instead of the GPU's lowest clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_clock: Option<Sourced<f64>>,
    /// Instead of the GPU's memory knee: 1 slows memory in proportion to the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_clock_knee: Option<Sourced<f64>>,
}

impl Node {
    /// Lowest clock of `gpu` in this node, share of the full clock.
    pub fn min_clock(&self, gpu: &Gpu) -> f64 {
        self.over(|o| &o.min_clock).unwrap_or(gpu.power.min_clock.value)
    }

    /// Clock below which the memory of `gpu` slows down in this node, share of the full clock.
    pub fn memory_clock_knee(&self, gpu: &Gpu) -> f64 {
        self.over(|o| &o.memory_clock_knee).unwrap_or(gpu.power.memory_clock_knee.value)
    }

    /// Exponent of the clock of `gpu` in this node.
    pub fn clock_exponent(&self, gpu: &Gpu) -> f64 {
        self.over(|o| &o.clock_exponent).unwrap_or(gpu.power.clock_exponent.value)
    }

    /// Draw of `gpu` with weights resident and no work in this node [W].
    pub fn idle_loaded_w(&self, gpu: &Gpu) -> f64 {
        self.over(|o| &o.idle_w).unwrap_or(gpu.power.idle_loaded_w.value)
    }

    fn over(&self, field: impl Fn(&Overrides) -> &Option<Sourced<f64>>) -> Option<f64> {
        self.overrides.as_ref().and_then(|o| field(o).as_ref()).map(|sourced| sourced.value)
    }
}

/// A serving engine in one version: what the host costs, and what its kernels waste.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Name and version in scenarios.
    pub name: String,
    /// Host time of a step [µs].
    pub per_step_us: Sourced<f64>,
    /// Host time per running sequence and step [µs].
    pub per_seq_us: Sourced<f64>,
    /// Gaps between the kernels of a layer, attention's launch included [µs].
    pub per_layer_us: Sourced<f64>,
    /// More of a layer with routed experts: routing, sorting, launches [µs].
    pub per_moe_layer_us: Sourced<f64>,
    /// The same where the experts are stored in 8 bit [µs].
    pub per_fp8_moe_layer_us: Sourced<f64>,
    /// The same where the experts are stored in 4 bit [µs].
    pub per_fp4_moe_layer_us: Sourced<f64>,
    /// Tokens of a step, after the first, that pick their experts independently: the rest follow the favourites.
    pub expert_spread: Sourced<f64>,
    /// Rows of a tile in the grouped products of 16 bit experts [tokens].
    pub expert_tile_bf16_tok: Sourced<f64>,
    /// The same for 8 bit experts [tokens].
    pub expert_tile_fp8_tok: Sourced<f64>,
    /// The same for 4 bit experts [tokens].
    pub expert_tile_fp4_tok: Sourced<f64>,
}

impl Gpu {
    /// Every number that is not whole.
    pub(super) fn numbers_mut(&mut self) -> Vec<&mut Sourced<f64>> {
        let Self {
            name: _,
            node: _,
            gpus_per_node: _,
            bf16_dense_tflops,
            fp8_dense_tflops,
            fp4_dense_tflops,
            int8_dense_tops,
            hbm_gb,
            hbm_tb_s,
            tdp_w,
            link_gb_s,
            fractions,
            comm: Comm { one_shot_us, latency_us, link_fraction },
            power,
            throttle_c,
        } = self;
        let Fractions {
            gemm_mfu_bf16,
            gemm_mfu_fp8,
            gemm_mfu_fp4,
            weight_mbu,
            expert_mfu_factor,
            attn_mbu,
            absorbed_attn_mfu,
            prefill_attn_mfu,
            prefill_attn_overhead_tok,
        } = fractions;
        let GpuPowerEntry {
            empty_w,
            idle_loaded_w,
            p0_tdp,
            pmax_tdp,
            mbu_weight,
            mfu_weight,
            clock_exponent,
            min_clock,
            memory_clock_knee,
        } = power;
        let mut numbers = vec![
            bf16_dense_tflops,
            hbm_gb,
            hbm_tb_s,
            tdp_w,
            link_gb_s,
            one_shot_us,
            latency_us,
            link_fraction,
            gemm_mfu_bf16,
            weight_mbu,
            expert_mfu_factor,
            attn_mbu,
            absorbed_attn_mfu,
            prefill_attn_mfu,
            prefill_attn_overhead_tok,
            empty_w,
            idle_loaded_w,
            p0_tdp,
            pmax_tdp,
            mbu_weight,
            mfu_weight,
            clock_exponent,
            min_clock,
            memory_clock_knee,
        ];
        let optional =
            [fp8_dense_tflops, fp4_dense_tflops, int8_dense_tops, gemm_mfu_fp8, gemm_mfu_fp4, throttle_c];
        numbers.extend(optional.into_iter().flatten());
        numbers
    }
}

impl Node {
    /// Every number that is not whole.
    pub(super) fn numbers_mut(&mut self) -> Vec<&mut Sourced<f64>> {
        let Self { name: _, gpus: _, overhead_w, gpu_factor, r_th_k_per_w, network, overrides } = self;
        let mut numbers = vec![overhead_w, gpu_factor];
        numbers.extend(r_th_k_per_w);
        if let Some(Network { port_gb_s, port_fraction, all_to_all_us }) = network {
            numbers.extend([port_gb_s, port_fraction, all_to_all_us]);
        }
        if let Some(Overrides { idle_w, clock_exponent, min_clock, memory_clock_knee }) = overrides {
            numbers.extend([idle_w, clock_exponent, min_clock, memory_clock_knee].into_iter().flatten());
        }
        numbers
    }
}

impl Engine {
    /// Every number.
    pub(super) fn numbers_mut(&mut self) -> Vec<&mut Sourced<f64>> {
        let Self {
            name: _,
            per_step_us,
            per_seq_us,
            per_layer_us,
            per_moe_layer_us,
            per_fp8_moe_layer_us,
            per_fp4_moe_layer_us,
            expert_spread,
            expert_tile_bf16_tok,
            expert_tile_fp8_tok,
            expert_tile_fp4_tok,
        } = self;
        vec![
            per_step_us,
            per_seq_us,
            per_layer_us,
            per_moe_layer_us,
            per_fp8_moe_layer_us,
            per_fp4_moe_layer_us,
            expert_spread,
            expert_tile_bf16_tok,
            expert_tile_fp8_tok,
            expert_tile_fp4_tok,
        ]
    }
}
