//! Arrivals and lengths: a stream of requests.

/// A request as it arrives; nothing about it depends on the fleet that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Number in order of handing out, from 0.
    pub index: u64,
    /// Class number.
    pub class: u16,
    /// Instant of arrival [fs].
    pub arrival_fs: i128,
    /// Prompt tokens, ≥ 1.
    pub prompt_tok: u32,
    /// Output tokens, ≥ 1.
    pub output_tok: u32,
    /// 64 random bits of this request's own for routing: hash(seed, "route", class, number in class).
    pub route_bits: u64,
}
