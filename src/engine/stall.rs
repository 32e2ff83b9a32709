//! When a draining run ends with requests that nobody serves: those that wait for watts.

use super::SimError;
use crate::physics::s_from_fs;

/// How long a run waits for weather, zones, failures and repairs to let a replica run again: a day has them all [fs].
const PATIENCE_FS: i128 = 24 * 3600 * 1_000_000_000_000_000;
/// So many of their events are as good as a day: power control may look for room every millisecond.
const PATIENCE_EVENTS: u32 = 50_000;

/// Since when no replica is at work.
#[derive(Debug, Default)]
pub(super) struct Stall {
    since_fs: Option<i128>,
    events: u32,
}

impl Stall {
    /// An iteration ends.
    pub(super) fn progress(&mut self, now_fs: i128) {
        (self.since_fs, self.events) = (Some(now_fs), 0);
    }

    /// An event of the building, of power control, or of failures, which engines have in common; whether these have been
    /// waited for long enough. A replica `at_work` is progress: of one that fails meanwhile no iteration ends.
    pub(super) fn is_too_long(&mut self, now_fs: i128, at_work: bool) -> bool {
        if at_work {
            self.progress(now_fs);
            return false;
        }
        self.events = self.events.saturating_add(1);
        now_fs - *self.since_fs.get_or_insert(now_fs) >= PATIENCE_FS || self.events >= PATIENCE_EVENTS
    }

    /// What is said of a run that ended so.
    pub(super) fn too_long(&self, now_fs: i128, in_flight: u64) -> String {
        format!(
            "{in_flight} requests are not finished: for {:.0} s power cap or cooling has let no replica of theirs run",
            s_from_fs(now_fs - self.since_fs.unwrap_or(now_fs))
        )
    }

    /// What is said of a run in which nothing is to come.
    ///
    /// # Errors
    /// Nobody waits for watts, so that it is a bug.
    pub(super) fn for_ever(in_flight: u64, waits: bool) -> Result<String, SimError> {
        if waits {
            Ok(format!(
                "{in_flight} requests can never be finished: power cap or cooling lets no replica of theirs run"
            ))
        } else {
            Err(SimError::Invariant(format!("{in_flight} requests in flight and nothing moves")))
        }
    }
}
