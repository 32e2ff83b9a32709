//! Stretches of the binding constraint that last, and which stretch of another run is the same.
//!
//! A timeline on a grid of minutes flickers where two limits are nearly equal. The shortest stretch goes to the longer
//! of its neighbours until all that remain last for at least a forty-eighth of the run (half an hour of a day). A
//! change is the start of such a stretch. What binds counts, not where.
//!
//! Stretches of two runs that bind alike are paired in order of time, such that the times between their starts sum to
//! the least; one whose start is more than a quarter of the run away from every other is left alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ledger::outcome::{Constraint, Stretch};

/// A stretch lasts if it is at least this share of the run.
const LASTS: f64 = 1.0 / 48.0;
/// Starts farther apart than this share of the run are not those of one stretch.
const FARTHEST: f64 = 0.25;
/// Cell of a timeline [s]: no stretch is shorter but the last.
const CELL_S: f64 = 60.0;

/// What lasts of a timeline over a run of `duration_s`, in order; places are where each constraint held longest.
pub(super) fn lasting(timeline: &[Stretch], duration_s: f64) -> Vec<Stretch> {
    let least_s = (duration_s * LASTS).max(CELL_S);
    let mut chain = Chain::of(timeline);
    // Lengths are positive, so their bits are in their order; of equals the earliest goes first.
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let push = |heap: &mut BinaryHeap<_>, chain: &Chain, at: usize| {
        let length_s = chain.length_s(at);
        if length_s < least_s {
            heap.push(Reverse((length_s.to_bits(), at)));
        }
    };
    for at in 0..chain.links.len() {
        push(&mut heap, &chain, at);
    }
    while let Some(Reverse((bits, at))) = heap.pop() {
        if chain.links[at].gone || chain.length_s(at).to_bits() != bits {
            continue;
        }
        if let Some(grown) = chain.give_away(at) {
            push(&mut heap, &chain, grown);
        }
    }
    let kept = chain.links.into_iter().filter(|link| !link.gone);
    kept.map(|link| Stretch {
        place: longest_place(timeline, &link),
        start_s: link.start_s,
        end_s: link.end_s,
        constraint: link.constraint,
    })
    .collect()
}

/// A stretch among its neighbours that are left.
struct Link {
    start_s: f64,
    end_s: f64,
    constraint: Constraint,
    before: Option<usize>,
    after: Option<usize>,
    gone: bool,
}

struct Chain {
    links: Vec<Link>,
}

impl Chain {
    /// Neighbours that bind alike at different places are one.
    fn of(timeline: &[Stretch]) -> Self {
        let mut links: Vec<Link> = Vec::new();
        for stretch in timeline.iter().filter(|s| s.end_s > s.start_s) {
            match links.last_mut() {
                Some(last) if last.constraint == stretch.constraint => last.end_s = stretch.end_s,
                _ => links.push(Link {
                    start_s: stretch.start_s,
                    end_s: stretch.end_s,
                    constraint: stretch.constraint,
                    before: links.len().checked_sub(1),
                    after: None,
                    gone: false,
                }),
            }
        }
        for at in 1..links.len() {
            links[at - 1].after = Some(at);
        }
        Self { links }
    }

    fn length_s(&self, at: usize) -> f64 {
        self.links[at].end_s - self.links[at].start_s
    }

    /// Gives a stretch to the longer of its neighbours (of equals the earlier), joins what then binds alike, and says
    /// which grew; none if it is alone.
    fn give_away(&mut self, at: usize) -> Option<usize> {
        let (before, after) = (self.links[at].before, self.links[at].after);
        let to = match (before, after) {
            (Some(before), Some(after)) if self.length_s(after) > self.length_s(before) => after,
            (Some(before), _) => before,
            (None, after) => after?,
        };
        let alike = |a: Option<usize>, b: Option<usize>| match (a, b) {
            (Some(a), Some(b)) => self.links[a].constraint == self.links[b].constraint,
            _ => false,
        };
        let joined = alike(before, after);
        self.absorb(to, at);
        if joined {
            let other = if Some(to) == before { after } else { before };
            self.absorb(to, other?);
        }
        Some(to)
    }

    /// `to` takes the span of its neighbour `from`.
    fn absorb(&mut self, to: usize, from: usize) {
        let Link { start_s, end_s, before, after, .. } = self.links[from];
        self.links[from].gone = true;
        if self.links[to].before == Some(from) {
            self.links[to].start_s = start_s;
            self.links[to].before = before;
            if let Some(before) = before {
                self.links[before].after = Some(to);
            }
        } else {
            self.links[to].end_s = end_s;
            self.links[to].after = after;
            if let Some(after) = after {
                self.links[after].before = Some(to);
            }
        }
    }
}

/// Where a stretch's constraint held longest within it; the first of equals.
fn longest_place(timeline: &[Stretch], link: &Link) -> String {
    let mut sums: Vec<(&str, f64)> = Vec::new();
    for stretch in timeline.iter().filter(|s| s.constraint == link.constraint) {
        let within_s = stretch.end_s.min(link.end_s) - stretch.start_s.max(link.start_s);
        if within_s > 0.0 {
            match sums.iter_mut().find(|(place, _)| *place == stretch.place) {
                Some((_, sum_s)) => *sum_s += within_s,
                None => sums.push((&stretch.place, within_s)),
            }
        }
    }
    let longest = sums.into_iter().fold(("", 0.0), |a, b| if b.1 > a.1 { b } else { a });
    longest.0.to_string()
}

/// For each stretch of a run the start of the same one in another run of `duration_s`, if it is there.
pub(super) fn paired(run: &[Stretch], other: &[Stretch], duration_s: f64) -> Vec<Option<f64>> {
    let mut starts = vec![None; run.len()];
    for constraint in Constraint::ALL {
        let of = |stretches: &[Stretch]| -> Vec<(usize, f64)> {
            let alike = stretches.iter().enumerate().filter(|(_, s)| s.constraint == constraint);
            alike.map(|(at, s)| (at, s.start_s)).collect()
        };
        let (mine, theirs) = (of(run), of(other));
        for (i, j) in pairs(&mine, &theirs, duration_s * FARTHEST) {
            starts[mine[i].0] = Some(theirs[j].1);
        }
    }
    starts
}

/// Pairs in order with the least sum of distances, where one that stays alone costs half of `farthest_s`.
fn pairs(mine: &[(usize, f64)], theirs: &[(usize, f64)], farthest_s: f64) -> Vec<(usize, usize)> {
    let (m, n) = (mine.len(), theirs.len());
    let alone = farthest_s / 2.0;
    let apart = |i: usize, j: usize| (mine[i].1 - theirs[j].1).abs();
    // Least cost of what comes before i and j.
    let mut cost = vec![vec![0.0; n + 1]; m + 1];
    for i in 0..=m {
        for j in 0..=n {
            let skipped = |k: usize, cost: f64| if k > 0 { cost + alone } else { f64::INFINITY };
            let both = if i > 0 && j > 0 { cost[i - 1][j - 1] + apart(i - 1, j - 1) } else { f64::INFINITY };
            if i > 0 || j > 0 {
                let mine = skipped(i, if i > 0 { cost[i - 1][j] } else { 0.0 });
                let theirs = skipped(j, if j > 0 { cost[i][j - 1] } else { 0.0 });
                cost[i][j] = both.min(mine).min(theirs);
            }
        }
    }
    let (mut i, mut j) = (m, n);
    let mut found = Vec::new();
    while i > 0 && j > 0 {
        if cost[i][j] == cost[i - 1][j - 1] + apart(i - 1, j - 1) {
            (i, j) = (i - 1, j - 1);
            found.push((i, j));
        } else if cost[i][j] == cost[i - 1][j] + alone {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: f64 = 86_400.0;

    /// Stretches of (constraint, minutes) one after another.
    fn line(parts: &[(Constraint, u32)]) -> Vec<Stretch> {
        let mut start_s = 0.0;
        let stretch = |(constraint, minutes): &(Constraint, u32)| {
            let end_s = start_s + f64::from(*minutes) * 60.0;
            let stretch = Stretch { start_s, end_s, constraint: *constraint, place: constraint.key().into() };
            start_s = end_s;
            stretch
        };
        parts.iter().map(stretch).collect()
    }

    fn shown(stretches: &[Stretch]) -> Vec<(Constraint, f64)> {
        stretches.iter().map(|s| (s.constraint, s.start_s / 60.0)).collect()
    }

    #[test]
    fn what_flickers_is_given_to_what_lasts() {
        use Constraint::{Cooling, Demand, Power};
        // Between demand and power a half hour of flicker, in which power gains; then a peak of 10 minutes that is none.
        let flicker = [
            (Demand, 300),
            (Power, 1),
            (Demand, 12),
            (Power, 3),
            (Demand, 2),
            (Power, 400),
            (Cooling, 10),
            (Power, 712),
        ];
        let kept = lasting(&line(&flicker), DAY_S);
        assert_eq!(shown(&kept), [(Demand, 0.0), (Power, 313.0)]);
        assert_eq!(kept[1].end_s, DAY_S);
        // Half an hour of a day lasts, a minute less does not.
        assert_eq!(lasting(&line(&[(Demand, 1410), (Power, 30)]), DAY_S).len(), 2);
        assert_eq!(lasting(&line(&[(Demand, 1411), (Power, 29)]), DAY_S).len(), 1);
        assert_eq!(shown(&lasting(&line(&[(Demand, 9), (Power, 1)]), DAY_S)), [(Demand, 0.0)]);
        assert!(lasting(&[], DAY_S).is_empty());
        // Of three short ones between two that last, the shortest goes first.
        let three = [(Demand, 600), (Power, 20), (Cooling, 5), (Power, 15), (Demand, 800)];
        assert_eq!(shown(&lasting(&line(&three), DAY_S)), [(Demand, 0.0), (Power, 600.0), (Demand, 640.0)]);
    }

    #[test]
    fn places_do_not_part_a_stretch_and_the_longest_is_named() {
        let mut parts = line(&[(Constraint::Demand, 100), (Constraint::Power, 90), (Constraint::Power, 60)]);
        (parts[1].place, parts[2].place) = ("meter".into(), "row".into());
        let kept = lasting(&parts, 250.0 * 60.0);
        assert_eq!(kept.len(), 2);
        assert_eq!((kept[1].place.as_str(), kept[1].end_s), ("meter", 250.0 * 60.0));
    }

    /// Two evenings of power: a run that has the second alone has the second, not the first.
    #[test]
    fn stretches_are_paired_by_time_and_in_order() {
        use Constraint::{Demand, Power};
        let run = line(&[(Demand, 480), (Power, 60), (Demand, 480), (Power, 180), (Demand, 240)]);
        let later = line(&[(Demand, 1000), (Power, 240), (Demand, 200)]);
        let starts = paired(&run, &later, DAY_S);
        assert_eq!(starts[1], None);
        assert_eq!(starts[3], Some(1000.0 * 60.0));
        assert_eq!(starts[0], Some(0.0));
        // Both shifted: the first stays the first though the second is nearer to it by a hair.
        let shifted = line(&[(Demand, 600), (Power, 60), (Demand, 500), (Power, 180), (Demand, 100)]);
        let starts = paired(&run, &shifted, DAY_S);
        assert_eq!((starts[1], starts[3]), (Some(600.0 * 60.0), Some(1160.0 * 60.0)));
        // A quarter of the run away is another stretch.
        let far = line(&[(Demand, 100), (Power, 100), (Demand, 1240)]);
        assert_eq!(paired(&run[..2], &far, DAY_S)[1], None);
        assert_eq!(paired(&run, &[], DAY_S), vec![None; 5]);
    }
}
