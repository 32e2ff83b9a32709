//! Where a condition changes along the positions of a search, from what is known of some of them.

use crate::study::metric::Verdict;

/// Positions looked at, from the end that fails to the end that meets, with what was seen: in ascending order.
pub(super) type Seen = [(usize, Verdict)];

/// What must hold from a position on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    /// Not surely missed: where the interval of the answer begins.
    Begins,
    /// Met by the mean: the answer.
    Met,
    /// Surely met: where the interval ends.
    Ends,
}

impl Crossing {
    pub(super) const ALL: [Self; 3] = [Self::Begins, Self::Met, Self::Ends];

    fn holds(self, verdict: Verdict) -> bool {
        match self {
            Self::Begins => verdict.met || !verdict.sure,
            Self::Met => verdict.met,
            Self::Ends => verdict.met && verdict.sure,
        }
    }
}

/// The last position seen before a crossing, and the first behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bracket {
    /// None if the crossing holds from the first position on.
    pub(super) before: Option<usize>,
    /// None if it does not even hold at the last.
    pub(super) behind: Option<usize>,
}

impl Bracket {
    /// From there on the crossing holds wherever it was looked at: of several crossings the last.
    pub(super) fn of(seen: &Seen, crossing: Crossing) -> Self {
        let holds = seen.iter().rev().take_while(|(_, verdict)| crossing.holds(*verdict)).count();
        let first = seen.len() - holds;
        Self {
            before: first.checked_sub(1).map(|i| seen[i].0),
            behind: seen.get(first).map(|(position, _)| *position),
        }
    }

    /// The position to look at next; none if the bracket is as narrow as it gets, or open.
    pub(super) fn middle(self) -> Option<usize> {
        let (before, behind) = (self.before?, self.behind?);
        (behind - before > 1).then(|| before + (behind - before) / 2)
    }
}

/// Positions that meet although one nearer to the end that meets does not; true where an interval leaves no doubt.
pub(super) fn contradictions(seen: &Seen) -> Vec<(usize, bool)> {
    let contradiction = |(i, (position, verdict)): (usize, &(usize, Verdict))| {
        let mut against = seen[i + 1..].iter().filter(|(_, later)| verdict.met && !later.met).peekable();
        against.peek()?;
        Some((*position, against.any(|(_, later)| later.sure || verdict.sure)))
    };
    seen.iter().enumerate().filter_map(contradiction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISS: Verdict = Verdict { met: false, sure: true };
    const MISS_MAYBE: Verdict = Verdict { met: false, sure: false };
    const MEET_MAYBE: Verdict = Verdict { met: true, sure: false };
    const MEET: Verdict = Verdict { met: true, sure: true };

    /// Bisects every truth over 0..=n, and counts the looks.
    #[test]
    fn bisection_finds_every_crossing() {
        for n in [1_usize, 2, 7, 100] {
            for truth in 1..=n {
                let look = |position| if position >= truth { MEET } else { MISS };
                let mut seen = vec![(0, look(0)), (n, look(n))];
                while let Some(next) = Bracket::of(&seen, Crossing::Met).middle() {
                    seen.push((next, look(next)));
                    seen.sort_by_key(|(position, _)| *position);
                }
                let bracket = Bracket::of(&seen, Crossing::Met);
                assert_eq!((bracket.before, bracket.behind), (Some(truth - 1), Some(truth)));
                assert!(seen.len() <= 2 + n.ilog2() as usize + 1, "{n} {truth}: {} looks", seen.len());
                assert!(contradictions(&seen).is_empty());
            }
        }
    }

    #[test]
    fn doubt_has_two_ends() {
        let seen = [(0, MISS), (3, MISS), (4, MISS_MAYBE), (6, MEET_MAYBE), (7, MEET), (9, MEET)];
        let at = |crossing| Bracket::of(&seen, crossing);
        assert_eq!(at(Crossing::Begins), Bracket { before: Some(3), behind: Some(4) });
        assert_eq!(at(Crossing::Met), Bracket { before: Some(4), behind: Some(6) });
        assert_eq!(at(Crossing::Ends), Bracket { before: Some(6), behind: Some(7) });
        let open = [(0, MISS_MAYBE), (9, MEET_MAYBE)];
        assert_eq!(Bracket::of(&open, Crossing::Begins), Bracket { before: None, behind: Some(0) });
        assert_eq!(Bracket::of(&open, Crossing::Ends), Bracket { before: Some(9), behind: None });
        assert_eq!(Bracket::of(&open, Crossing::Ends).middle(), None);
    }

    #[test]
    fn the_last_crossing_counts_and_the_others_are_told() {
        let seen = [(0, MISS), (2, MEET), (4, MISS_MAYBE), (6, MEET)];
        assert_eq!(Bracket::of(&seen, Crossing::Met), Bracket { before: Some(4), behind: Some(6) });
        assert_eq!(contradictions(&seen), [(2, true)]);
        assert_eq!(contradictions(&[(0, MEET_MAYBE), (1, MISS_MAYBE), (2, MEET)]), [(0, false)]);
    }
}
