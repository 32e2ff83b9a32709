//! Shares of a joint effect: each lever's mean over the orders in which levers may be pulled (Shapley 1953).
//!
//! A subset of levers is a bit mask. In every order the gains add up to the effect of all levers together, so the shares
//! do as well, without a residual.

use crate::workload::random::mix64;

/// Most levers whose 2^n subsets are all looked at; of more, orders are drawn.
pub const MOST_EXACT: usize = 6;

/// Shares of `n` levers by all subsets: φ_i = Σ_S |S|!·(n − |S| − 1)!/n! · (v(S ∪ i) − v(S)).
///
/// The sums are taken in an order that does not depend on how levers are numbered.
#[must_use]
pub fn exact(n: usize, value: impl Fn(u32) -> f64) -> Vec<f64> {
    let mut binomial = 1.0;
    let weights: Vec<f64> = (0..n)
        .map(|size| {
            // 1/(n · C(n − 1, size))
            let weight = 1.0 / (n as f64 * binomial);
            binomial *= (n - 1 - size) as f64 / (size + 1) as f64;
            weight
        })
        .collect();
    (0..n)
        .map(|lever| {
            let without = (0..1_u32 << n).filter(|mask| mask & (1 << lever) == 0);
            let mut terms: Vec<f64> = without
                .map(|mask| weights[mask.count_ones() as usize] * (value(mask | (1 << lever)) - value(mask)))
                .collect();
            terms.sort_unstable_by(f64::total_cmp);
            terms.iter().sum()
        })
        .collect()
}

/// Gains of levers in one order: by lever.
#[must_use]
pub fn of_order(order: &[usize], value: impl Fn(u32) -> f64) -> Vec<f64> {
    let mut gains = vec![0.0; order.len()];
    let mut mask = 0;
    for &lever in order {
        let with = mask | (1 << lever);
        gains[lever] = value(with) - value(mask);
        mask = with;
    }
    gains
}

/// The subsets that an order passes through, the empty one first.
pub fn passed(order: &[usize]) -> impl Iterator<Item = u32> + '_ {
    (0..=order.len()).map(|k| order[..k].iter().fold(0, |mask, lever| mask | (1 << lever)))
}

/// Drawn orders of levers, in pairs of an order and its reverse. They go by the levers' names, so that numbering them
/// otherwise changes nothing.
#[must_use]
pub fn orders(names: &[&str], seed: u64, count: u32) -> Vec<Vec<usize>> {
    let hashes: Vec<u64> =
        names.iter().map(|name| name.bytes().fold(seed, |h, b| mix64(h ^ u64::from(b)))).collect();
    let drawn = (0..count.div_ceil(2)).flat_map(|number| {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|&lever| (mix64(hashes[lever] ^ mix64(u64::from(number) + 1)), names[lever]));
        let reverse: Vec<usize> = order.iter().rev().copied().collect();
        [order, reverse]
    });
    drawn.take(count as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two levers, v(∅) = 0: A alone 3, B alone 5, both 6. A gains 3 first and 1 last, B 5 first and 3 last.
    #[test]
    fn two_levers_by_hand() {
        let value = |mask: u32| [0.0, 3.0, 5.0, 6.0][mask as usize];
        assert_eq!(exact(2, value), [2.0, 4.0]);
        assert_eq!(of_order(&[0, 1], value), [3.0, 3.0]);
        assert_eq!(of_order(&[1, 0], value), [1.0, 5.0]);
        assert_eq!(passed(&[1, 0]).collect::<Vec<_>>(), [0, 2, 3]);
    }

    /// The gloves game: one left glove, two right ones; a pair is worth 1. Shares 2/3, 1/6, 1/6.
    #[test]
    fn gloves() {
        let value = |mask: u32| f64::from(u8::from(mask & 1 == 1 && mask & 6 != 0));
        for (share, of_six) in exact(3, value).iter().zip([4.0, 1.0, 1.0]) {
            assert!((share - of_six / 6.0).abs() < 1e-15);
        }
    }

    /// A value of a subset without any structure.
    fn value(names: &[&str], mask: u32) -> f64 {
        let mut on: Vec<&str> = (0..names.len()).filter(|k| mask & (1 << k) != 0).map(|k| names[k]).collect();
        on.sort_unstable();
        let bits = on.concat().bytes().fold(7, |h, b| mix64(h ^ u64::from(b)));
        bits as f64 / u64::MAX as f64 - 0.5
    }

    #[test]
    fn shares_leave_nothing_over_and_go_by_no_number() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let renumbered = ["f", "c", "a", "e", "b", "d"];
        let shares = exact(6, |mask| value(&names, mask));
        let joint = value(&names, 63) - value(&names, 0);
        assert!((shares.iter().sum::<f64>() - joint).abs() < 1e-14);
        let others = exact(6, |mask| value(&renumbered, mask));
        for (k, name) in renumbered.iter().enumerate() {
            let before = names.iter().position(|n| n == name).unwrap();
            assert_eq!(others[k], shares[before], "{name}");
        }
    }

    #[test]
    fn drawn_orders_estimate_the_shares_and_go_by_no_number() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let of = |names: &[&str], count| orders(names, 1, count);
        for order in of(&names, 21) {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        }
        let exact = exact(6, |mask| value(&names, mask));
        let many = of(&names, 20_000);
        let mut mean = [0.0; 6];
        for order in &many {
            for (mean, gain) in mean.iter_mut().zip(of_order(order, |mask| value(&names, mask))) {
                *mean += gain / many.len() as f64;
            }
        }
        for (mean, exact) in mean.iter().zip(&exact) {
            assert!((mean - exact).abs() < 0.02, "{mean} {exact}");
        }
        let renumbered = ["f", "c", "a", "e", "b", "d"];
        let by_name = |names: &[&str]| -> Vec<String> {
            of(names, 9).iter().map(|order| order.iter().map(|k| names[*k]).collect()).collect()
        };
        assert_eq!(by_name(&names), by_name(&renumbered));
    }
}
