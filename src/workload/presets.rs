//! Services whose statistics are known: short fitted profiles, no rows.
//!
//! Quantiles are read off the public data and joined by straight lines; a test holds what is generated against the data
//! where it is at hand. None keeps sessions or what successive requests have to do with each other.

use std::str::FromStr;

use crate::scenario::suggestion;

/// A service whose statistics are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The conversation service of the Azure LLM inference trace of November 2023.
    ///
    /// Statistics of `AzureLLMInferenceTrace_conv.csv` of the Azure Public Dataset (CC-BY-4.0;
    /// Patel et al., *Splitwise*, ISCA 2024): 19,366 requests in 3,502 s; prompts of mean 1,155 and
    /// median 1,020 tokens, at most 14,050; outputs of mean 211 and median 129, at most 1,000. The
    /// outputs have two modes, near 100 and near 400 tokens; practically all of the long ones answer
    /// prompts of 512 to 2,047 tokens, and prompts from 2,048 on get 80 tokens on average.
    Azure2023Conversation,
    /// The code service of the same trace.
    ///
    /// Statistics of `AzureLLMInferenceTrace_code.csv` (the same source): 8,819 requests in 3,436 s, in bursts: counts
    /// per 10 s vary 72 times as much as a Poisson process's, and more than half of these windows are empty. Prompts of
    /// mean 2,048 and median 1,469 tokens, cut at 7,437; outputs of mean 28 and median 13, at most 1,899. The two are
    /// uncorrelated (−0.02 in ranks).
    Azure2023Code,
    /// The conversation trace of Mooncake.
    ///
    /// Statistics of `conversation_trace.jsonl` of the FAST '25 release (Apache-2.0; Qin et al., *Mooncake*, FAST 2025):
    /// 12,031 requests in 3,537 s, stamped every 3 s; prompts of mean 12,035 and median 6,909 tokens, at most 126,195;
    /// outputs of mean 343 and median 350, at most 2,000; hardly correlated (0.07). Its shared prefixes are not kept.
    MooncakeConversation,
    /// DeepSeek-R1 as served by Alibaba Cloud Model Studio.
    ///
    /// Statistics of `data/reason/deepseek-r1` of ServeGen (Apache-2.0; Xiang et al., *ServeGen*, NSDI 2026), clients
    /// pooled by their rates: a day with a mean of 16.0 requests/s, hour by hour; outputs of mean 1,527 and median 792
    /// tokens (p90 3,432, p99 12,607), of which a share, 0.76 in the median and with two modes, is thought; prompts of
    /// median 208. Lengths and share are drawn independently, gaps within an hour are Poisson's: single clients are
    /// burstier (their CV is 2.6).
    ServegenReasoning,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [
        Self::Azure2023Conversation,
        Self::Azure2023Code,
        Self::MooncakeConversation,
        Self::ServegenReasoning,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Azure2023Conversation => "azure-2023-conversation",
            Self::Azure2023Code => "azure-2023-code",
            Self::MooncakeConversation => "mooncake-conversation",
            Self::ServegenReasoning => "servegen-reasoning",
        }
    }

    /// Where its statistics are from.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Azure2023Conversation | Self::Azure2023Code => {
                "Azure Public Dataset, Azure LLM inference trace 2023 (CC-BY-4.0); Patel et al., Splitwise, ISCA 2024"
            }
            Self::MooncakeConversation => {
                "kvcache-ai/Mooncake, FAST25-release/traces (Apache-2.0); Qin et al., Mooncake, FAST 2025"
            }
            Self::ServegenReasoning => {
                "alibaba/ServeGen, data/reason/deepseek-r1 (Apache-2.0); Xiang et al., ServeGen, NSDI 2026"
            }
        }
    }

    /// Requests of the original.
    #[must_use]
    pub fn requests(self) -> u64 {
        match self {
            Self::Azure2023Conversation => 19_366,
            Self::Azure2023Code => 8_819,
            Self::MooncakeConversation => 12_031,
            // A day at its mean rate.
            Self::ServegenReasoning => 1_383_669,
        }
    }

    pub(super) fn shape(self) -> &'static Shape {
        match self {
            Self::Azure2023Conversation => &AZURE_2023_CONVERSATION,
            Self::Azure2023Code => &AZURE_2023_CODE,
            Self::MooncakeConversation => &MOONCAKE_CONVERSATION,
            Self::ServegenReasoning => &SERVEGEN_REASONING,
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            format!("there is no preset `{name}`{}", suggestion(name, Self::ALL.map(Self::name)))
        })
    }
}

/// Quantiles (share, value) in order, from share 0 to 1; linear between them.
pub(super) type Quantiles = &'static [(f64, f64)];

/// The statistics of a service.
pub(super) struct Shape {
    /// Mean arrivals [1/s].
    pub rate_per_s: f64,
    /// Rate over its mean in equal parts of the trace, whatever its length.
    pub profile: &'static [f64],
    /// How the rate varies besides, from one `slice_s` to the next.
    pub variation: Variation,
    pub slice_s: f64,
    /// Stamps are multiples of this, rounded down; 0: as they come.
    pub tick_s: f64,
    pub prompt: Quantiles,
    pub output: Quantiles,
    pub pairing: Pairing,
    /// Share of thought in the output, where there is thought [1/1000].
    pub thinking: Option<Quantiles>,
}

/// How the rate of a slice differs from its course.
pub(super) enum Variation {
    /// Uniformly by ± this share.
    Uniform(f64),
    /// By a factor with these quantiles, over their mean.
    Factor(Quantiles),
}

/// What outputs have to do with prompts.
pub(super) enum Pairing {
    /// Nothing.
    Independent,
    /// Outputs above the first share of their distribution are long and answer prompts between the two shares of theirs
    /// only. The longest prompts, above the second of them, get rather short answers.
    LongAnswers(f64, (f64, f64)),
}

static AZURE_2023_CONVERSATION: Shape = Shape {
    rate_per_s: 5.53,
    profile: &[0.85, 0.84, 0.92, 0.92, 1.11, 1.32, 1.31, 1.09, 1.00, 0.99, 0.86, 0.79],
    variation: Variation::Uniform(0.22),
    slice_s: 10.0,
    tick_s: 0.0,
    prompt: &[
        (0.0, 2.0),
        (0.05, 181.0),
        (0.2, 387.0),
        (0.3, 403.0),
        (0.5, 1020.0),
        (0.75, 1189.0),
        (0.85, 1876.0),
        (0.9, 2734.0),
        (0.95, 4083.0),
        (0.99, 4142.0),
        (0.999, 6122.0),
        (1.0, 14050.0),
    ],
    output: &[
        (0.0, 7.0),
        (0.05, 41.0),
        (0.2, 77.0),
        (0.5, 129.0),
        (0.6, 177.0),
        (0.665, 240.0),
        (0.67, 371.0),
        (0.9, 424.0),
        (0.95, 451.0),
        (0.99, 601.0),
        (0.998, 916.0),
        (1.0, 1000.0),
    ],
    pairing: Pairing::LongAnswers(0.665, (0.394, 0.860)),
    thinking: None,
};

static AZURE_2023_CODE: Shape = Shape {
    rate_per_s: 2.567,
    profile: &[1.00, 0.61, 1.27, 1.66, 1.61, 1.13, 1.32, 1.12, 0.77, 0.52, 0.28, 0.71],
    variation: Variation::Factor(&[
        (0.0, 0.0),
        (0.55, 0.0),
        (0.6, 0.47),
        (0.7, 1.17),
        (0.75, 1.56),
        (0.8, 2.03),
        (0.9, 2.97),
        (0.95, 4.93),
        (0.99, 6.22),
        (1.0, 12.79),
    ]),
    slice_s: 10.0,
    tick_s: 0.0,
    prompt: &[
        (0.0, 3.0),
        (0.08, 109.0),
        (0.165, 261.0),
        (0.316, 839.0),
        (0.44, 1201.0),
        (0.604, 1915.0),
        (0.76, 2799.0),
        (0.8375, 3660.0),
        (0.893, 4804.0),
        (0.942, 6611.0),
        (0.951, 7372.0),
        (0.963, 7434.0),
        (1.0, 7437.0),
    ],
    output: &[
        (0.0, 6.0),
        (0.083, 6.0),
        (0.3, 9.0),
        (0.52, 13.0),
        (0.6, 16.0),
        (0.694, 19.0),
        (0.77, 25.0),
        (0.82, 32.0),
        (0.87, 45.0),
        (0.909, 58.0),
        (0.94, 79.0),
        (0.965, 115.0),
        (0.98, 172.0),
        (0.99, 252.0),
        (0.995, 361.0),
        (0.998, 676.0),
        (0.9995, 895.0),
        (1.0, 1899.0),
    ],
    pairing: Pairing::Independent,
    thinking: None,
};

static MOONCAKE_CONVERSATION: Shape = Shape {
    rate_per_s: 3.401,
    profile: &[0.91, 0.80, 0.93, 0.94, 1.00, 1.01, 1.02, 1.06, 1.09, 1.06, 1.11, 1.07],
    variation: Variation::Uniform(0.6),
    slice_s: 3.0,
    tick_s: 3.0,
    prompt: &[
        (0.0, 891.0),
        (0.052, 901.0),
        (0.075, 912.0),
        (0.1035, 978.0),
        (0.169, 1387.0),
        (0.226, 1934.0),
        (0.4745, 6331.0),
        (0.581, 8987.0),
        (0.689, 12617.0),
        (0.784, 16945.0),
        (0.843, 20777.0),
        (0.887, 25529.0),
        (0.939, 34552.0),
        (0.95, 39552.0),
        (0.97, 52225.0),
        (0.99, 85401.0),
        (0.999, 121301.0),
        (1.0, 126195.0),
    ],
    output: &[
        (0.0, 1.0),
        (0.007, 2.0),
        (0.028, 3.0),
        (0.065, 13.0),
        (0.1455, 42.0),
        (0.275, 188.0),
        (0.359, 264.0),
        (0.505, 353.0),
        (0.771, 483.0),
        (0.879, 569.0),
        (0.925, 637.0),
        (0.95, 698.0),
        (0.986, 990.0),
        (0.99, 1120.0),
        (1.0, 2000.0),
    ],
    pairing: Pairing::Independent,
    thinking: None,
};

static SERVEGEN_REASONING: Shape = Shape {
    rate_per_s: 16.0147,
    // Hours of a day from t = 0 on.
    profile: &[
        1.206, 1.389, 2.034, 1.788, 1.064, 0.908, 0.749, 0.577, 0.596, 0.664, 0.810, 0.830, 0.447, 0.545,
        0.684, 0.704, 0.878, 0.553, 0.749, 0.587, 1.240, 1.621, 2.194, 1.181,
    ],
    variation: Variation::Uniform(0.0),
    slice_s: 60.0,
    tick_s: 0.0,
    prompt: &[
        (0.0, 6.0),
        (0.135, 24.0),
        (0.215, 31.0),
        (0.32, 63.0),
        (0.375, 91.0),
        (0.465, 200.0),
        (0.54, 215.0),
        (0.565, 255.0),
        (0.625, 279.0),
        (0.65, 349.0),
        (0.74, 456.0),
        (0.8, 748.0),
        (0.87, 1257.0),
        (0.9, 2092.0),
        (0.94, 4987.0),
        (0.95, 6714.0),
        (0.965, 10740.0),
        (0.98, 16479.0),
        (0.99, 23423.0),
        (0.999, 33783.0),
        (1.0, 35472.0),
    ],
    output: &[
        (0.0, 70.0),
        (0.005, 117.0),
        (0.035, 201.0),
        (0.095, 282.0),
        (0.175, 365.0),
        (0.32, 488.0),
        (0.38, 554.0),
        (0.44, 648.0),
        (0.49, 764.0),
        (0.62, 1164.0),
        (0.79, 1632.0),
        (0.83, 1903.0),
        (0.86, 2400.0),
        (0.9, 3432.0),
        (0.93, 4537.0),
        (0.95, 5701.0),
        (0.97, 7617.0),
        (0.98, 9338.0),
        (0.99, 12607.0),
        (0.995, 15737.0),
        (0.999, 20833.0),
        (1.0, 21875.0),
    ],
    pairing: Pairing::Independent,
    thinking: Some(&[
        (0.0, 200.0),
        (0.03, 297.0),
        (0.075, 343.0),
        (0.2, 441.0),
        (0.335, 617.0),
        (0.41, 699.0),
        (0.52, 776.0),
        (0.725, 884.0),
        (0.82, 926.0),
        (0.95, 974.0),
        (0.965, 980.0),
        (0.99, 992.0),
        (0.999, 998.0),
        (1.0, 1000.0),
    ]),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_profiles_are_well_formed() {
        for preset in Preset::ALL {
            let shape = preset.shape();
            let factor = if let Variation::Factor(points) = shape.variation { Some(points) } else { None };
            for points in
                [Some(shape.prompt), Some(shape.output), shape.thinking, factor].into_iter().flatten()
            {
                assert_eq!((points[0].0, points[points.len() - 1].0), (0.0, 1.0), "{}", preset.name());
                assert!(points.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 <= p[1].1), "{}", preset.name());
            }
            let mean = shape.profile.iter().sum::<f64>() / shape.profile.len() as f64;
            assert!((mean - 1.0).abs() < 0.002, "{}: {mean}", preset.name());
            assert_eq!(preset.name().parse(), Ok(preset));
        }
    }
}
