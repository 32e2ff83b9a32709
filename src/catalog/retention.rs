//! Retention: what a checkpoint keeps of its quality under a lever, by difficulty (PHYSICS §6).

use serde::{Deserialize, Serialize};

use super::Catalog;
use super::entry::Sourced;
use super::model::{Model, Precision};
use super::quality::{Answering, Difficulty, QualityTier};

/// Probability of a right answer with a lever over that without, by difficulty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The lever, as [`Levered::name`] has it.
    pub name: String,
    /// Easy problems.
    pub easy: Sourced<f64>,
    /// Medium problems.
    pub medium: Sourced<f64>,
    /// Hard problems.
    pub hard: Sourced<f64>,
}

/// Levers whose retention is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levered {
    /// Weights in fp8, published in more bits.
    WeightsFp8,
    /// Weights in int8, published in more bits.
    WeightsInt8,
    /// Weights in nvfp4, published in more bits.
    WeightsNvfp4,
    /// Weights in mxfp4, published in more bits.
    WeightsMxfp4,
    /// Weights in int4, published in more bits.
    WeightsInt4,
    /// KV cache in fp8.
    KvCacheFp8,
    /// KV cache in int8.
    KvCacheInt8,
    /// Attention to the best tokens only.
    SparseTopK,
}

impl Levered {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::WeightsFp8,
        Self::WeightsInt8,
        Self::WeightsNvfp4,
        Self::WeightsMxfp4,
        Self::WeightsInt4,
        Self::KvCacheFp8,
        Self::KvCacheInt8,
        Self::SparseTopK,
    ];

    /// The lever of a format of weights.
    fn weights(format: Precision) -> Option<Self> {
        match format {
            Precision::Bf16 => None,
            Precision::Fp8 => Some(Self::WeightsFp8),
            Precision::Int8 => Some(Self::WeightsInt8),
            Precision::Nvfp4 => Some(Self::WeightsNvfp4),
            Precision::Mxfp4 => Some(Self::WeightsMxfp4),
            Precision::Int4 => Some(Self::WeightsInt4),
        }
    }

    /// The lever of a format of the KV cache.
    fn kv_cache(format: Precision) -> Option<Self> {
        match format {
            Precision::Fp8 => Some(Self::KvCacheFp8),
            Precision::Int8 => Some(Self::KvCacheInt8),
            _ => None,
        }
    }

    /// As the catalog calls it: a scenario's field and its value.
    pub fn name(self) -> &'static str {
        match self {
            Self::WeightsFp8 => "weights-fp8",
            Self::WeightsInt8 => "weights-int8",
            Self::WeightsNvfp4 => "weights-nvfp4",
            Self::WeightsMxfp4 => "weights-mxfp4",
            Self::WeightsInt4 => "weights-int4",
            Self::KvCacheFp8 => "kv_cache-fp8",
            Self::KvCacheInt8 => "kv_cache-int8",
            Self::SparseTopK => "attention-sparse_top_k",
        }
    }
}

/// Levers of a model as it is served that cost quality. Formats of weights do where they have fewer bits than the
/// published ones; the KV cache is measured against 16 bit.
pub fn levered(model: &Model, weights: Option<Precision>, kv: Precision) -> Vec<Levered> {
    let (native, served) = (model.native(), model.weights(weights));
    let narrower = |from: Precision, to: Precision| to.bytes() < from.bytes();
    let weights = if model.moe.is_some() && narrower(native.experts, served.experts) {
        Levered::weights(served.experts)
    } else if narrower(native.body, served.body) {
        Levered::weights(served.body)
    } else {
        None
    };
    let sparse = model.sparse.is_some().then_some(Levered::SparseTopK);
    weights.into_iter().chain(Levered::kv_cache(kv)).chain(sparse).collect()
}

impl Retention {
    /// The number of a difficulty.
    pub fn at(&self, difficulty: Difficulty) -> &Sourced<f64> {
        match difficulty {
            Difficulty::Easy => &self.easy,
            Difficulty::Medium => &self.medium,
            Difficulty::Hard => &self.hard,
        }
    }

    /// Every number.
    pub(super) fn numbers_mut(&mut self) -> [&mut Sourced<f64>; 3] {
        [&mut self.easy, &mut self.medium, &mut self.hard]
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let names = Levered::ALL.map(Levered::name);
        if !names.contains(&self.name.as_str()) {
            return Err(format!("unknown lever '{}'; known are {}", self.name, names.join(", ")));
        }
        for difficulty in Difficulty::ALL {
            let value = self.at(difficulty).value;
            if !(value > 0.0 && value <= 1.0) {
                let name = difficulty.name();
                return Err(format!("{}: {name} is {value}; a share, above 0 and at most 1", self.name));
            }
        }
        Ok(())
    }
}

impl QualityTier {
    /// This tier under a lever: both probabilities of a right answer are multiplied; the length of thought stays.
    #[must_use]
    pub fn keeping(&self, retention: &Retention) -> Self {
        let mut tier = self.clone();
        for (answering, kept) in [
            (&mut tier.easy, &retention.easy),
            (&mut tier.medium, &retention.medium),
            (&mut tier.hard, &retention.hard),
        ] {
            let Answering { a0, a1, mean_thinking_tok: _ } = answering;
            for number in [a0, a1] {
                number.value *= kept.value;
                number.quality = number.quality.max(kept.quality);
                number.source = format!(
                    "{}; times {} for {}: {}",
                    number.source, kept.value, retention.name, kept.source
                );
            }
        }
        tier
    }
}

impl Catalog {
    /// Retentions of quality, in the order of the files.
    #[must_use]
    pub fn retentions(&self) -> &[Retention] {
        &self.retentions
    }

    /// What a lever keeps; `None` if the catalog does not say.
    #[must_use]
    pub fn retention(&self, lever: Levered) -> Option<&Retention> {
        self.retentions.iter().find(|retention| retention.name == lever.name())
    }
}
