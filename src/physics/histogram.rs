//! Counts by value in cells of 0.1 %: an index is a shift and an addition, memory grows with the values seen.

/// Cells are narrower than 2^-10 of their values; values below 2^11 have cells of their own.
const PRECISION_BITS: u32 = 10;

/// Weighted counts of whole values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

/// Bits of a value that its cell does not tell.
#[inline]
fn shift_of(value: u64) -> u32 {
    (u64::BITS - 1 - PRECISION_BITS).saturating_sub(value.leading_zeros())
}

/// Number of a value's cell.
#[inline]
pub fn cell_of(value: u64) -> usize {
    let shift = shift_of(value);
    ((shift as usize) << PRECISION_BITS) + (value >> shift) as usize
}

/// Largest value of the cell that `value` lies in.
#[inline]
pub fn highest_equivalent(value: u64) -> u64 {
    value | ((1 << shift_of(value)) - 1)
}

impl Histogram {
    /// Count `value` `count` times.
    #[inline]
    pub fn record_n(&mut self, value: u64, count: u64) {
        self.record_cell(cell_of(value), count);
    }

    /// Count a value of a cell `count` times; see [`cell_of`].
    #[inline]
    pub fn record_cell(&mut self, cell: usize, count: u64) {
        match self.counts.get_mut(cell) {
            Some(there) => *there += count,
            None => self.grow(cell, count),
        }
        self.total += count;
    }

    #[cold]
    fn grow(&mut self, cell: usize, count: u64) {
        self.counts.resize((cell + 1).next_multiple_of(64), 0);
        self.counts[cell] = count;
    }

    /// The value, to its cell's upper end, at or below which a share `quantile` of all counts lies; 0 of none.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        let wanted = ((quantile.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (cell, &count) in self.counts.iter().enumerate() {
            below += count;
            if below >= wanted {
                return highest_of_cell(cell);
            }
        }
        0
    }

    /// [`Self::value_at_quantile`] of several, ascending, at once.
    pub fn values_at(&self, quantiles: &[f64]) -> Vec<u64> {
        let mut cells = self.cells();
        let (mut value, mut below) = (0, 0);
        let at = |quantile: &f64| {
            let wanted = ((quantile.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
            while below < wanted
                && let Some((highest, count)) = cells.next()
            {
                (value, below) = (highest, below + count);
            }
            value
        };
        quantiles.iter().map(at).collect()
    }

    /// Largest value of each cell that holds something, ascending, and how many it holds.
    pub fn cells(&self) -> impl Iterator<Item = (u64, u64)> {
        let cells = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        cells.map(|(cell, &count)| (highest_of_cell(cell), count))
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Forget all counts.
    pub fn reset(&mut self) {
        self.counts.clear();
        self.total = 0;
    }
}

/// Largest value of a cell.
fn highest_of_cell(cell: usize) -> u64 {
    let shift = (cell >> PRECISION_BITS).saturating_sub(1) as u32;
    let lowest = ((cell - ((shift as usize) << PRECISION_BITS)) as u64) << shift;
    lowest | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_contiguous_and_narrow() {
        let mut value = 0_u64;
        let mut cell = 0;
        while value < 1 << 40 {
            assert_eq!(cell_of(value), cell, "{value} begins a cell");
            let last = highest_equivalent(value);
            assert_eq!((cell_of(last), highest_of_cell(cell)), (cell, last));
            assert!(last - value <= value >> PRECISION_BITS, "{value}..={last}");
            (value, cell) = (last + 1, cell + 1);
        }
        assert_eq!(highest_equivalent(u64::MAX), u64::MAX);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values_to_a_thousandth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.value_at_quantile(0.5), 0);
        let mut values: Vec<u64> = (0..5_000_u64).map(|i| i * i * 37 % 1_000_003).collect();
        for &value in &values {
            histogram.record_n(value, 3);
        }
        values.sort_unstable();
        for quantile in [0.001, 0.25, 0.5, 0.9, 0.99, 1.0] {
            let exact = values[((quantile * 5_000.0_f64).ceil() as usize).max(1) - 1];
            let found = histogram.value_at_quantile(quantile);
            assert!(
                found >= exact && found - exact <= exact >> PRECISION_BITS,
                "{quantile}: {found} {exact}"
            );
        }
        let quantiles = [0.0, 0.001, 0.25, 0.5, 0.5, 0.99, 1.0];
        assert_eq!(
            histogram.values_at(&quantiles),
            quantiles.map(|quantile| histogram.value_at_quantile(quantile))
        );
        assert_eq!(histogram.cells().map(|cell| cell.1).sum::<u64>(), 15_000);
        histogram.reset();
        assert_eq!(histogram, Histogram::default());
    }
}
