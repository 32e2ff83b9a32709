//! What is compared between subsets of levers: numbers of a run whose logarithms are shared out.

use crate::ledger::outcome::Summary;

/// A number of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    /// Useful tokens/s per MW of facility cap; without a cap per MW drawn at the meter.
    UsefulTokPerSPerMw,
    /// Useful tokens/s.
    UsefulTokPerS,
    /// Joules per useful token at the GPUs.
    GpuJPerTok,
    /// At the node's wall.
    ItJPerTok,
    /// At the meter.
    FacilityJPerTok,
    /// Joules at the meter per accepted answer: right and within its SLO.
    JPerAcceptedAnswer,
    /// Accepted answers/s per MW, as of tokens.
    AcceptedPerSPerMw,
    /// Output rate that arithmetic, host and links alone would allow [tok/s].
    Compute,
    /// That memory bandwidth alone would allow [tok/s].
    MemoryBandwidth,
    /// That slots and KV memory allow [tok/s].
    KvCapacity,
    /// That power allows [tok/s].
    Power,
    /// That cooling allows [tok/s].
    Cooling,
}

/// How many there are.
pub const GOODS: usize = 12;

impl Good {
    /// All, in the order in which they are kept.
    pub const ALL: [Self; GOODS] = [
        Self::UsefulTokPerSPerMw,
        Self::UsefulTokPerS,
        Self::GpuJPerTok,
        Self::ItJPerTok,
        Self::FacilityJPerTok,
        Self::JPerAcceptedAnswer,
        Self::AcceptedPerSPerMw,
        Self::Compute,
        Self::MemoryBandwidth,
        Self::KvCapacity,
        Self::Power,
        Self::Cooling,
    ];

    /// The staves, of those that levers can move.
    pub const STAVES: [Self; 5] =
        [Self::Compute, Self::MemoryBandwidth, Self::KvCapacity, Self::Power, Self::Cooling];

    /// Its column.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::UsefulTokPerSPerMw => "useful_tok_per_s_per_mw",
            Self::UsefulTokPerS => "useful_tok_per_s",
            Self::GpuJPerTok => "gpu_j_per_useful_token",
            Self::ItJPerTok => "it_j_per_useful_token",
            Self::FacilityJPerTok => "facility_j_per_useful_token",
            Self::JPerAcceptedAnswer => "j_per_accepted_answer",
            Self::AcceptedPerSPerMw => "accepted_answers_per_s_per_mw",
            Self::Compute => "compute_tok_per_s",
            Self::MemoryBandwidth => "memory_bandwidth_tok_per_s",
            Self::KvCapacity => "kv_capacity_tok_per_s",
            Self::Power => "power_tok_per_s",
            Self::Cooling => "cooling_tok_per_s",
        }
    }

    /// Its value in a run; none where the run has none.
    #[must_use]
    pub fn of(self, summary: &Summary) -> Option<f64> {
        let mw = 1e-6 * watts(summary);
        let facility_w = summary.power_w.facility.mean;
        let staves = &summary.staves_tok_per_s;
        let value = match self {
            Self::UsefulTokPerSPerMw => Some(summary.throughput.useful_tok_per_s / mw),
            Self::UsefulTokPerS => Some(summary.throughput.useful_tok_per_s),
            Self::GpuJPerTok => summary.j_per_useful_token.gpu,
            Self::ItJPerTok => summary.j_per_useful_token.it,
            Self::FacilityJPerTok => summary.j_per_useful_token.facility,
            Self::JPerAcceptedAnswer => summary.j_per_accepted_answer.facility,
            // Watts over joules an answer are answers a second.
            Self::AcceptedPerSPerMw => summary.j_per_accepted_answer.facility.map(|j| facility_w / j / mw),
            Self::Compute => staves.compute,
            Self::MemoryBandwidth => staves.memory_bandwidth,
            Self::KvCapacity => staves.kv_capacity,
            Self::Power => staves.power,
            Self::Cooling => staves.cooling,
        };
        value.filter(|value| value.is_finite())
    }
}

/// Watts that tokens are counted against: the mean cap, else the mean drawn.
fn watts(summary: &Summary) -> f64 {
    summary.power_w.cap_facility_mean.unwrap_or(summary.power_w.facility.mean)
}
