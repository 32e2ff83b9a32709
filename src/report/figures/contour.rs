//! Where the constraint that binds most changes on a grid: marching squares on differences of shares.

use std::collections::{BTreeMap, VecDeque};

use crate::ledger::outcome::Constraint;

/// Shares by constraint at a point of the grid, in the order of [`Constraint::ALL`]; none where nothing is known.
pub(super) type Shares = Option<[f64; 7]>;

/// Passes of smoothing along a border: over about a cell, so that a staircase of half steps becomes a line.
const SMOOTHINGS: usize = 40;
/// A point of a border is moved at most so far [cells].
const MOST_MOVED: f64 = 0.4;
/// A border that ends at the edge of the grid goes on in the direction of its last piece of this length [cells].
const DIRECTION: f64 = 2.0;

/// A border between two regions, in units of the grid: the point (i, j) is column i, row j.
#[derive(Debug, Clone)]
pub(super) struct Border {
    /// Positions in [`Constraint::ALL`].
    pub(super) between: (usize, usize),
    pub(super) points: Vec<(f64, f64)>,
}

/// The constraint that binds the largest share; the first in the order of reports on a tie.
pub(super) fn dominant(shares: &[f64; 7]) -> usize {
    let mut best = 0;
    for (k, share) in shares.iter().enumerate() {
        if *share > shares[best] {
            best = k;
        }
    }
    best
}

/// The borders of a grid of `columns` × `rows`.
///
/// Each square between four points is cut into four triangles that meet in its middle, where shares are the mean of
/// the corners'. Within a triangle shares are linear, so that the border between two constraints is the straight line
/// on which their difference is zero, as far as no third has more.
pub(super) fn borders(columns: usize, rows: usize, at: impl Fn(usize, usize) -> Shares) -> Vec<Border> {
    let mut pieces: BTreeMap<(usize, usize), Vec<Piece>> = BTreeMap::new();
    for i in 1..columns {
        for j in 1..rows {
            let corners = [(i - 1, j - 1), (i, j - 1), (i, j), (i - 1, j)];
            let known: Option<Vec<Corner>> = corners
                .into_iter()
                .map(|(i, j)| Some(Corner { place: (i as f64, j as f64), shares: at(i, j)? }))
                .collect();
            let Some(known) = known else { continue };
            let first = dominant(&known[0].shares);
            if known.iter().all(|c| dominant(&c.shares) == first) {
                continue;
            }
            let middle = Corner {
                place: (i as f64 - 0.5, j as f64 - 0.5),
                shares: std::array::from_fn(|k| known.iter().map(|c| c.shares[k]).sum::<f64>() / 4.0),
            };
            for k in 0..4 {
                cut(&mut pieces, [&known[k], &known[(k + 1) % 4], &middle]);
            }
        }
    }
    let mut out = Vec::new();
    for (between, pieces) in pieces {
        for chain in chained(pieces) {
            let points = extended(smoothed(chain), columns, rows);
            out.push(Border { between, points });
        }
    }
    out
}

type Piece = ((f64, f64), (f64, f64));

struct Corner {
    place: (f64, f64),
    shares: [f64; 7],
}

/// Adds the borders within a triangle.
fn cut(pieces: &mut BTreeMap<(usize, usize), Vec<Piece>>, corners: [&Corner; 3]) {
    let n = Constraint::ALL.len();
    for a in 0..n {
        for b in a + 1..n {
            let difference = corners.map(|c| c.shares[a] - c.shares[b]);
            // A corner of equal shares counts to the first, everywhere alike.
            let mut ends: Vec<((f64, f64), [f64; 7])> = Vec::new();
            for (p, q) in [(0, 1), (1, 2), (2, 0)] {
                let (dp, dq) = (difference[p], difference[q]);
                if (dp >= 0.0) != (dq >= 0.0) {
                    let t = dp / (dp - dq);
                    let mix = |x: f64, y: f64| x + t * (y - x);
                    let (cp, cq) = (corners[p], corners[q]);
                    let place = (mix(cp.place.0, cq.place.0), mix(cp.place.1, cq.place.1));
                    ends.push((place, std::array::from_fn(|k| mix(cp.shares[k], cq.shares[k]))));
                }
            }
            let [(from, shares_from), (to, shares_to)] = ends.as_slice() else { continue };
            // As far as no third has more.
            let (mut low, mut high) = (0.0_f64, 1.0_f64);
            for third in (0..n).filter(|k| *k != a && *k != b) {
                let (u, v) = (shares_from[a] - shares_from[third], shares_to[a] - shares_to[third]);
                match (u >= -1e-12, v >= -1e-12) {
                    (true, true) => {}
                    (false, false) => high = -1.0,
                    (true, false) => high = high.min(u / (u - v)),
                    (false, true) => low = low.max(u / (u - v)),
                }
            }
            let mix = |t: f64| (from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1));
            if high - low > 1e-9 {
                pieces.entry((a, b)).or_default().push((mix(low), mix(high)));
            }
        }
    }
}

/// Ends that meet are equal up to rounding.
fn key(point: (f64, f64)) -> (i64, i64) {
    let grid = |v: f64| (v * 1e6).round() as i64;
    (grid(point.0), grid(point.1))
}

/// Pieces joined end to end; a closed one ends where it begins.
fn chained(pieces: Vec<Piece>) -> Vec<Vec<(f64, f64)>> {
    let pieces: Vec<Piece> = pieces.into_iter().filter(|(p, q)| key(*p) != key(*q)).collect();
    let mut at: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
    for (k, (p, q)) in pieces.iter().enumerate() {
        at.entry(key(*p)).or_default().push(k);
        at.entry(key(*q)).or_default().push(k);
    }
    let mut used = vec![false; pieces.len()];
    let mut out = Vec::new();
    for start in 0..pieces.len() {
        if used[start] {
            continue;
        }
        used[start] = true;
        let mut chain = VecDeque::from([pieces[start].0, pieces[start].1]);
        for at_end in [true, false] {
            while let Some(end) = if at_end { chain.back().copied() } else { chain.front().copied() } {
                let next = at.get(&key(end)).into_iter().flatten().find(|k| !used[**k]);
                let Some(&next) = next else { break };
                used[next] = true;
                let (p, q) = pieces[next];
                let far = if key(p) == key(end) { q } else { p };
                if at_end { chain.push_back(far) } else { chain.push_front(far) }
            }
        }
        out.push(Vec::from(chain));
    }
    out
}

/// A line without the corners of the grid: means of neighbours, its ends kept.
fn smoothed(found: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut line = found.clone();
    let closed = line.len() > 3 && line.first().map(|p| key(*p)) == line.last().map(|p| key(*p));
    for _ in 0..SMOOTHINGS {
        let n = line.len();
        let mean = |a: (f64, f64), b: (f64, f64), c: (f64, f64)| {
            ((a.0 + 2.0 * b.0 + c.0) / 4.0, (a.1 + 2.0 * b.1 + c.1) / 4.0)
        };
        let mut next = line.clone();
        for k in 1..n.saturating_sub(1) {
            next[k] = mean(line[k - 1], line[k], line[k + 1]);
        }
        if closed {
            next[0] = mean(line[n - 2], line[0], line[1]);
            next[n - 1] = next[0];
        }
        line = next;
    }
    let near = |v: f64, was: f64| v.clamp(was - MOST_MOVED, was + MOST_MOVED);
    line.iter().zip(found).map(|(p, was)| (near(p.0, was.0), near(p.1, was.1))).collect()
}

/// A line that ends at the outermost points goes on to the edge of their cells.
fn extended(mut line: Vec<(f64, f64)>, columns: usize, rows: usize) -> Vec<(f64, f64)> {
    let (right, bottom) = (columns as f64 - 1.0, rows as f64 - 1.0);
    for _ in 0..2 {
        if let Some(&end) = line.last()
            && let Some(before) =
                line.iter().rev().find(|p| (p.0 - end.0).hypot(p.1 - end.1) >= DIRECTION).or(line.first())
        {
            let (dx, dy) = (end.0 - before.0, end.1 - before.1);
            // How far until half a cell beyond the edge that it ends at.
            let reach = [
                (end.0 < 1e-6 && dx < 0.0).then(|| 0.5 / -dx),
                (end.0 > right - 1e-6 && dx > 0.0).then(|| 0.5 / dx),
                (end.1 < 1e-6 && dy < 0.0).then(|| 0.5 / -dy),
                (end.1 > bottom - 1e-6 && dy > 0.0).then(|| 0.5 / dy),
            ];
            if let Some(t) = reach.into_iter().flatten().reduce(f64::min) {
                let to = |v: f64, d: f64, most: f64| (v + t * d).clamp(-0.5, most + 0.5);
                line.push((to(end.0, dx, right), to(end.1, dy, bottom)));
            }
        }
        line.reverse();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(usize, f64)]) -> [f64; 7] {
        let mut out = [0.0; 7];
        for (k, share) in pairs {
            out[*k] = *share;
        }
        out
    }

    /// Linear shares: the border is exact, straight, and reaches both edges.
    #[test]
    fn a_border_of_linear_shares_is_exact() {
        let shares = |i: usize, j: usize| {
            let v = 0.5 + (i as f64 - 2.3 * j as f64 + 4.2) / 100.0;
            Some(of(&[(1, v), (4, 1.0 - v)]))
        };
        let borders = borders(9, 7, shares);
        assert_eq!(borders.len(), 1);
        assert_eq!(borders[0].between, (1, 4));
        for (x, y) in &borders[0].points {
            assert!((x - 2.3 * y + 4.2).abs() < 1e-6, "{x} {y}");
        }
        let ends = [borders[0].points[0], borders[0].points[borders[0].points.len() - 1]];
        assert!(
            ends.iter().any(|p| (p.0 + 0.5).abs() < 1e-6) && ends.iter().any(|p| (p.0 - 8.5).abs() < 1e-6)
        );
    }

    /// Shares of 0 and 1 leave half a step open; the drawn line stays within it.
    #[test]
    fn a_border_of_steps_is_within_half_a_cell() {
        for slope in [0.2, 0.5, 1.0, 1.04, 1.7] {
            let limit = |x: f64| 3.3 + slope * x;
            let shares = |i: usize, j: usize| {
                let power = f64::from(u8::from((j as f64) < limit(i as f64)));
                Some(of(&[(1, 1.0 - power), (4, power)]))
            };
            let borders = borders(12, 25, shares);
            assert_eq!(borders.len(), 1, "{slope}");
            for (x, y) in &borders[0].points {
                let across = (y - limit(*x)).abs() / slope.max(1.0);
                assert!(across <= 0.5 + 1e-6, "{slope}: {x} {y}, not {}", limit(*x));
            }
        }
    }

    /// Three regions meet in one point, and every border ends there or at an edge.
    #[test]
    fn three_regions_meet_in_a_point() {
        let shares = |i: usize, j: usize| {
            let (x, y) = (i as f64 - 4.1, j as f64 - 4.2);
            let raw = [(1, y), (4, -0.5 * y - x), (5, -0.5 * y + x)].map(|(k, v)| (k, 0.3 + v / 40.0));
            Some(of(&raw))
        };
        let borders = borders(9, 9, shares);
        assert_eq!(borders.iter().map(|b| b.between).collect::<Vec<_>>(), [(1, 4), (1, 5), (4, 5)]);
        for border in &borders {
            let ends = [border.points[0], border.points[border.points.len() - 1]];
            let meets = |p: &(f64, f64)| (p.0 - 4.1).abs() < 1e-6 && (p.1 - 4.2).abs() < 1e-6;
            assert_eq!(ends.iter().filter(|p| meets(p)).count(), 1, "{:?}", border.points);
        }
    }

    #[test]
    fn an_island_is_closed_and_holes_break_nothing() {
        let island = |i: usize, j: usize| {
            Some(if (2..4).contains(&i) && (2..4).contains(&j) { of(&[(4, 1.0)]) } else { of(&[(0, 1.0)]) })
        };
        let closed = borders(6, 6, island);
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].points.first(), closed[0].points.last());
        let with_hole = borders(6, 6, |i, j| if (i, j) == (2, 2) { None } else { island(i, j) });
        assert!(with_hole.iter().all(|b| b.points.len() > 1));
        assert!(borders(1, 5, island).is_empty() && borders(0, 0, island).is_empty());
    }
}
