//! The oracle's requests in several legs: kept by their index, looked up each time.

use super::Stepwise;
use crate::ledger::LegDone;
use crate::ledger::outcome::RequestOutcome;
use crate::workload::{Itinerary, Request};

/// A request that is answered in several legs.
#[derive(Debug)]
pub(super) struct Journey {
    first: Request,
    itinerary: Itinerary,
    round: u8,
    /// Legs of the round under way or about to set out.
    under_way: usize,
    spent_tok: u64,
    delivered: Option<LegDone>,
    failed: Option<(RequestOutcome, Option<usize>)>,
}

impl Stepwise<'_> {
    /// A request arrives that is answered in several legs, of which it is the first.
    pub(super) fn begin_journey(&mut self, first: Request) {
        let mut itinerary = Itinerary::default();
        self.setup.stream.itinerary(&first, &mut itinerary);
        let legs = itinerary.round(0);
        for number in legs.clone().skip(1) {
            self.setting_out.push(itinerary.leg(&first, number, first.arrival_fs));
        }
        let journey = Journey {
            first,
            itinerary,
            round: 0,
            under_way: legs.len(),
            spent_tok: 0,
            delivered: None,
            failed: None,
        };
        self.journeys.insert(first.index, journey);
    }

    /// Take the leg that sets out first: of the earliest request, the one of lowest number.
    pub(super) fn next_leg(&mut self) -> Option<Request> {
        let place = (0..self.setting_out.len()).min_by_key(|&place| {
            let leg = &self.setting_out[place];
            (leg.index, leg.leg.number())
        })?;
        Some(self.setting_out.remove(place))
    }

    /// The first token of a leg is out.
    pub(super) fn leg_first_token(&mut self, now_fs: i128, leg: &Request) {
        let journey = &self.journeys[&leg.index];
        let is_delivered = leg.leg.number() == Some(journey.itinerary.delivered);
        let shown = is_delivered && !journey.itinerary.verified;
        let since_fs = if shown { Some(journey.first.arrival_fs) } else { None };
        self.setup.ledger.leg_first_token(now_fs, leg, since_fs);
    }

    /// A leg is done.
    pub(super) fn leg_done(&mut self, now_fs: i128, leg: &Request, first_token_fs: i128, number: usize) {
        self.setup.ledger.leg_done(leg);
        if let Some(journey) = self.journeys.get_mut(&leg.index) {
            journey.spent_tok += u64::from(leg.output_tok);
            if leg.leg.number() == Some(journey.itinerary.delivered) {
                let (request, replica) = (*leg, number as u32);
                let last_token_fs = now_fs;
                journey.delivered = Some(LegDone { request, first_token_fs, last_token_fs, replica });
            }
        }
        self.leg_ended(now_fs, leg.index);
    }

    /// A leg comes to nothing after `emitted` tokens.
    pub(super) fn leg_dropped(
        &mut self,
        now_fs: i128,
        leg: &Request,
        (emitted, admitted): (u32, bool),
        outcome: RequestOutcome,
        replica: Option<usize>,
    ) {
        self.setup.ledger.leg_dropped(leg, emitted, admitted);
        if let Some(journey) = self.journeys.get_mut(&leg.index) {
            journey.spent_tok += u64::from(emitted);
            if journey.failed.is_none() {
                journey.failed = Some((outcome, replica));
            }
        }
        self.leg_ended(now_fs, leg.index);
    }

    fn leg_ended(&mut self, now_fs: i128, index: u64) {
        let Some(journey) = self.journeys.get_mut(&index) else { return };
        journey.under_way -= 1;
        if journey.under_way > 0 {
            return;
        }
        if journey.failed.is_none() {
            journey.round += 1;
            let legs = journey.itinerary.round(journey.round);
            journey.under_way = legs.len();
            if !legs.is_empty() {
                for number in legs {
                    self.setting_out.push(journey.itinerary.leg(&journey.first, number, now_fs));
                }
                return;
            }
        }
        let Some(journey) = self.journeys.remove(&index) else { return };
        let first = &journey.first;
        let ledger = &mut self.setup.ledger;
        match (journey.failed, &journey.delivered) {
            (Some((outcome, replica)), _) => {
                let number = replica.map(|number| number as u32);
                ledger.unanswered(now_fs, first, outcome, number, journey.spent_tok);
            }
            (None, Some(delivered)) => {
                ledger.answered(now_fs, first, &journey.itinerary, delivered, journey.spent_tok);
            }
            (None, None) => {}
        }
        match journey.failed {
            Some((RequestOutcome::ShedQueueFull | RequestOutcome::ShedTooLong, _)) => {}
            Some((RequestOutcome::ShedOverheated | RequestOutcome::ShedUnavailable, Some(replica)))
                if !self.lets_in(usize::from(self.setup.fleet.pool_of[replica])) =>
            {
                self.owe(replica, first);
            }
            _ => self.replaced.extend(self.setup.stream.replace(first.class, now_fs)),
        }
    }

    /// The run ends: hand over the requests on their way. `legs`: those in flight, and what they have emitted.
    pub(super) fn close_journeys(&mut self, end_fs: i128, legs: &[(Request, u32)]) {
        for (leg, emitted) in legs {
            self.setup.ledger.leg_left_over(*emitted);
            if let Some(journey) = self.journeys.get_mut(&leg.index) {
                journey.spent_tok += u64::from(*emitted);
            }
        }
        for journey in self.journeys.values() {
            self.setup.ledger.on_its_way(end_fs, &journey.first, journey.spent_tok);
        }
    }
}
