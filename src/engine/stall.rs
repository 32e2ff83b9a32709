//! When a draining run ends with requests that nobody serves: those that wait for watts.

use super::SimError;
use crate::physics::s_from_fs;

/// How long a run waits for weather, zones, failures and repairs to let a replica run again: a day has them all [fs].
const PATIENCE_FS: i128 = 24 * 3600 * 1_000_000_000_000_000;
/// So many of their events are as good as a day: power control may look for room every millisecond.
const PATIENCE_EVENTS: u32 = 50_000;

/// Since when no replica moves.
#[derive(Debug, Default)]
pub(super) struct Stall {
    since_fs: Option<i128>,
    looks: u32,
    lasted_fs: i128,
}

impl Stall {
    /// Whether the run ends after an event: nothing `moves`, and no failure, repair or change of the building is pending that
    /// gives `hope`; or none has helped for a day, which is `looked` at after such an event, or of power control: engines have
    /// those in common.
    pub(super) fn is_over(&mut self, now_fs: i128, looked: bool, moves: bool, hope: bool) -> bool {
        if moves {
            (self.since_fs, self.looks) = (None, 0);
            return false;
        }
        self.lasted_fs = now_fs - *self.since_fs.get_or_insert(now_fs);
        self.looks += u32::from(looked);
        !hope || (looked && (self.lasted_fs >= PATIENCE_FS || self.looks >= PATIENCE_EVENTS))
    }

    /// What is said of it.
    ///
    /// # Errors
    /// Nobody waits for watts, so that it is a bug.
    pub(super) fn note(&self, in_flight: u64, hope: bool, waits: bool) -> Result<String, SimError> {
        if !waits {
            return Err(SimError::Invariant(format!("{in_flight} requests in flight and nothing moves")));
        }
        Ok(match hope {
            false => {
                format!(
                    "{in_flight} requests can never be finished: power cap or cooling lets no replica of theirs run"
                )
            }
            true => format!(
                "{in_flight} requests are not finished: for {:.0} s power cap or cooling has let no replica of theirs run",
                s_from_fs(self.lasted_fs)
            ),
        })
    }
}
