//! Requests answered in several legs, in the segment engine: which round they are in, and what comes of its legs. Kept out
//! of line, so that requests answered at once do not pay for it.

use std::collections::BTreeMap;

use crate::ledger::outcome::RequestOutcome;
use crate::ledger::{Ledger, LegDone};
use crate::serving::slots::NONE;
use crate::workload::{Itinerary, Request, Stream};

/// A request that is over, and what its closed loop goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) class: u16,
    pub(super) outcome: RequestOutcome,
    /// Who refused it, or lost it.
    pub(super) replica: Option<u32>,
}

/// A request on its way.
#[derive(Debug)]
struct Journey {
    first: Request,
    itinerary: Itinerary,
    round: u8,
    /// Legs of the round that have not ended.
    running: u8,
    /// Tokens emitted by those that have.
    spent_tok: u64,
    delivered: Option<LegDone>,
    /// Why it will come to nothing once the round has ended.
    failed: Option<(RequestOutcome, Option<u32>)>,
}

/// All requests on their way, in a slab.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    all: Vec<Journey>,
    free: Vec<u32>,
    /// By slot: the journey of the leg in it. Of slots without one, anything.
    of_slot: Vec<u32>,
    /// Legs that set out now, by request and leg.
    setting_out: BTreeMap<u64, (Request, u32)>,
}

impl Journeys {
    /// No journey.
    pub(super) const NONE: u32 = NONE;

    /// A request sets out; its first leg is the request itself, and the others of the first round follow.
    #[inline(never)]
    pub(super) fn begin(&mut self, first: &Request, stream: &Stream) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.all.push(Journey {
                first: *first,
                itinerary: Itinerary::default(),
                round: 0,
                running: 0,
                spent_tok: 0,
                delivered: None,
                failed: None,
            });
            (self.all.len() - 1) as u32
        });
        let journey = &mut self.all[id as usize];
        journey.first = *first;
        stream.itinerary(first, &mut journey.itinerary);
        (journey.round, journey.spent_tok) = (0, 0);
        (journey.delivered, journey.failed) = (None, None);
        self.begin_round(id, first.arrival_fs, 1);
        id
    }

    /// Legs of a journey's round set out, but for the first `gone` of them.
    fn begin_round(&mut self, id: u32, now_fs: i128, gone: usize) {
        let journey = &mut self.all[id as usize];
        let legs = journey.itinerary.round(journey.round);
        journey.running = legs.len() as u8;
        for number in legs.skip(gone) {
            let leg = journey.itinerary.leg(&journey.first, number, now_fs);
            self.setting_out.insert(leg.order(), (leg, id));
        }
    }

    /// Whether no leg sets out at this instant.
    #[inline]
    pub(super) fn none_set_out(&self) -> bool {
        self.setting_out.is_empty()
    }

    /// When the next leg sets out [fs].
    #[inline]
    pub(super) fn next_fs(&self) -> Option<i128> {
        self.setting_out.first_key_value().map(|(_, (leg, _))| leg.arrival_fs)
    }

    /// The next leg to set out, and its journey.
    #[inline(never)]
    pub(super) fn next(&mut self) -> Option<(Request, u32)> {
        self.setting_out.pop_first().map(|(_, next)| next)
    }

    /// A leg of a journey is in a slot.
    #[inline(never)]
    pub(super) fn place(&mut self, slot: u32, id: u32) {
        let slot = slot as usize;
        if slot >= self.of_slot.len() {
            self.of_slot.resize(slot + 1, NONE);
        }
        self.of_slot[slot] = id;
    }

    /// The journey of the leg in a slot.
    pub(super) fn of(&self, slot: u32) -> u32 {
        self.of_slot[slot as usize]
    }

    /// When the request arrived whose answer is shown as the leg in a slot emits it; `None` if that is shown later, or
    /// never [fs].
    #[inline(never)]
    pub(super) fn shown_since(&self, slot: u32, leg: &Request) -> Option<i128> {
        let journey = &self.all[self.of(slot) as usize];
        let delivered = leg.leg.number() == Some(journey.itinerary.delivered);
        (delivered && !journey.itinerary.verified).then_some(journey.first.arrival_fs)
    }

    /// The leg in a slot is done; returns its request if that is over.
    #[inline(never)]
    pub(super) fn done(
        &mut self,
        now_fs: i128,
        slot: u32,
        leg: &Request,
        first_token_fs: i128,
        replica: u32,
        ledger: &mut Ledger,
    ) -> Option<Over> {
        let id = self.of(slot);
        let journey = &mut self.all[id as usize];
        ledger.leg_done(leg);
        journey.spent_tok += u64::from(leg.output_tok);
        if leg.leg.number() == Some(journey.itinerary.delivered) {
            journey.delivered =
                Some(LegDone { request: *leg, first_token_fs, last_token_fs: now_fs, replica });
        }
        self.ended(now_fs, id, ledger)
    }

    /// A leg of a journey comes to nothing; returns its request if that is over.
    #[inline(never)]
    pub(super) fn dropped(
        &mut self,
        now_fs: i128,
        id: u32,
        leg: &Request,
        left: &Dropped,
        ledger: &mut Ledger,
    ) -> Option<Over> {
        let journey = &mut self.all[id as usize];
        ledger.leg_dropped(leg, left.emitted, left.admitted);
        journey.spent_tok += u64::from(left.emitted);
        journey.failed.get_or_insert((left.outcome, left.replica));
        self.ended(now_fs, id, ledger)
    }

    /// A leg of a journey has ended: with the last of its round the next one begins, or the request is over.
    fn ended(&mut self, now_fs: i128, id: u32, ledger: &mut Ledger) -> Option<Over> {
        let journey = &mut self.all[id as usize];
        journey.running -= 1;
        if journey.running > 0 {
            return None;
        }
        let class = journey.first.class;
        let over = match (journey.failed, &journey.delivered) {
            (Some((outcome, replica)), _) => {
                ledger.unanswered(now_fs, &journey.first, outcome, replica, journey.spent_tok);
                Over { class, outcome, replica }
            }
            (None, Some(delivered)) if journey.itinerary.round(journey.round + 1).is_empty() => {
                ledger.answered(now_fs, &journey.first, &journey.itinerary, delivered, journey.spent_tok);
                Over { class, outcome: RequestOutcome::Completed, replica: None }
            }
            _ => {
                journey.round += 1;
                self.begin_round(id, now_fs, 0);
                return None;
            }
        };
        self.free.push(id);
        Some(over)
    }

    /// The run ends with the leg in a slot in flight.
    pub(super) fn left_over(&mut self, slot: u32, emitted: u32, ledger: &mut Ledger) {
        let id = self.of(slot);
        ledger.leg_left_over(emitted);
        self.all[id as usize].spent_tok += u64::from(emitted);
    }

    /// The run ends: hand over the requests on their way, all of whose legs are.
    pub(super) fn close(&self, end_fs: i128, ledger: &mut Ledger) {
        for journey in self.all.iter().filter(|journey| journey.running > 0) {
            ledger.on_its_way(end_fs, &journey.first, journey.spent_tok);
        }
    }
}

/// How a leg came to nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropped {
    pub(super) outcome: RequestOutcome,
    pub(super) replica: Option<u32>,
    /// Tokens it emitted.
    pub(super) emitted: u32,
    /// Whether it was admitted, at least once.
    pub(super) admitted: bool,
}
