//! The points of a sweep: the product of its axes without what is skipped, each as often as there are replications.

use super::axes::Axis;
use super::skip::Condition;
use crate::workload::random::mix64;

/// Most rows of a sweep.
pub(super) const MAX_ROWS: u64 = 10_000_000;
/// Seeds stay below this, so that they are exact in JSON and YAML wherever numbers are doubles.
const SEED_BITS: u32 = 53;

/// Numbers of the points, and of the rows that repeat them.
#[derive(Debug, Clone)]
pub struct Points {
    /// Number of values by axis; the first varies slowest.
    lengths: Vec<usize>,
    /// Places in the product of the points that are not skipped; none where nothing is.
    kept: Option<Vec<u32>>,
    points: u64,
    replications: u32,
    seed: u64,
}

/// One run: a point under one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Dense, from 0.
    pub point_id: u64,
    /// From 0.
    pub replication: u32,
    /// The same at every point.
    pub seed: u64,
    /// By axis, which of its values.
    pub at: Vec<usize>,
}

impl Points {
    /// The points of `axes`; none if there are more than the format allows.
    pub(super) fn new(axes: &[Axis], skip: &[Vec<Condition>], replications: u32, seed: u64) -> Option<Self> {
        let lengths: Vec<usize> = axes.iter().map(|axis| axis.labels.len()).collect();
        let product = lengths.iter().try_fold(1_u64, |product, length| {
            product.checked_mul(*length as u64).filter(|product| *product <= MAX_ROWS)
        })?;
        let kept = (!skip.is_empty()).then(|| {
            let is_kept = |place: &u32| {
                let at = split(&lengths, u64::from(*place));
                let holds =
                    |c: &Condition| axes.get(c.axis).is_some_and(|axis| c.holds(&axis.labels[at[c.axis]]));
                !skip.iter().any(|conditions| conditions.iter().all(holds))
            };
            (0..product as u32).filter(is_kept).collect::<Vec<u32>>()
        });
        let points = kept.as_ref().map_or(product, |kept| kept.len() as u64);
        let rows = points.checked_mul(u64::from(replications))?;
        (rows <= MAX_ROWS).then_some(Self { lengths, kept, points, replications, seed })
    }

    /// Number of points.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// Number of rows: points times replications.
    pub fn rows(&self) -> u64 {
        self.points * u64::from(self.replications)
    }

    /// A row by its number below [`Points::rows`]: the replications of a point follow one another.
    pub fn row(&self, number: u64) -> Row {
        let replications = u64::from(self.replications.max(1));
        let point_id = number / replications;
        let place = match &self.kept {
            Some(kept) => kept.get(point_id as usize).map_or(0, |place| u64::from(*place)),
            None => point_id,
        };
        let replication = (number % replications) as u32;
        let seed = seed_of(self.seed, replication);
        Row { point_id, replication, seed, at: split(&self.lengths, place) }
    }
}

/// Which value of each axis a place in their product stands for.
fn split(lengths: &[usize], mut place: u64) -> Vec<usize> {
    let mut at = vec![0; lengths.len()];
    for (index, length) in at.iter_mut().zip(lengths).rev() {
        let length = (*length).max(1) as u64;
        *index = (place % length) as usize;
        place /= length;
    }
    at
}

/// The seed of a replication: a hash of the sweep's seed and its number.
fn seed_of(seed: u64, replication: u32) -> u64 {
    const TAG: u64 = u64::from_le_bytes(*b"sweep\0\0\0");
    mix64(mix64(seed ^ TAG).wrapping_add(u64::from(replication) + 1)) >> (64 - SEED_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::sweep::cell::{Cell, Kind};

    fn axis(name: &str, labels: &[i64]) -> Axis {
        let labels = labels.iter().map(|label| Cell::Int(*label)).collect();
        Axis { name: name.into(), kind: Kind::Int, labels, paths: Vec::new() }
    }

    #[test]
    fn the_first_axis_varies_slowest_and_replications_fastest() {
        let points = Points::new(&[axis("a", &[1, 2]), axis("b", &[1, 2, 3])], &[], 2, 1).unwrap();
        assert_eq!((points.points(), points.rows()), (6, 12));
        let rows: Vec<(u64, u32, Vec<usize>)> =
            (0..12).map(|n| points.row(n)).map(|r| (r.point_id, r.replication, r.at)).collect();
        assert_eq!(rows[0], (0, 0, vec![0, 0]));
        assert_eq!(rows[1], (0, 1, vec![0, 0]));
        assert_eq!(rows[2], (1, 0, vec![0, 1]));
        assert_eq!(rows[11], (5, 1, vec![1, 2]));
    }

    #[test]
    fn ids_stay_dense_where_points_are_skipped() {
        let skip = [vec![
            Condition { axis: 0, above: Some(1.0), below: None, is: None },
            Condition { axis: 1, above: None, below: Some(3.0), is: None },
        ]];
        let points = Points::new(&[axis("a", &[1, 2]), axis("b", &[1, 2, 3])], &skip, 1, 1).unwrap();
        let at: Vec<Vec<usize>> = (0..points.rows()).map(|n| points.row(n).at).collect();
        assert_eq!(at, [vec![0, 0], vec![0, 1], vec![0, 2], vec![1, 2]]);
    }

    #[test]
    fn seeds_depend_on_the_replication_alone_and_are_exact_doubles() {
        let points = Points::new(&[axis("a", &[1, 2])], &[], 100, 7).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for replication in 0..100 {
            let seed = points.row(replication).seed;
            assert_eq!(seed, points.row(100 + replication).seed);
            assert_eq!(seed as f64 as u64, seed);
            assert!(seen.insert(seed));
        }
    }

    #[test]
    fn too_many_points_are_none() {
        let long: Vec<i64> = (0..5000).collect();
        assert!(Points::new(&[axis("a", &long), axis("b", &long)], &[], 1, 1).is_none());
        assert!(Points::new(&[axis("a", &long)], &[], 5000, 1).is_none());
    }
}
