//! How a run of either engine ended.

/// How a run ended.
pub(super) struct Ended {
    /// End of the run [fs].
    pub(super) end_fs: i128,
    /// Events handled.
    pub(super) events: u64,
    /// Remarks.
    pub(super) notes: Vec<String>,
}
