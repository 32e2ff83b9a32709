//! The ledger's label of a stretch against the prices of its limits (PHYSICS D5).

use super::{Level, Limit, LimitKind, Price};
use crate::ledger::outcome::{Constraint, Stretch};

/// Envelope elasticities below this leave the label to the device.
const SLACK: f64 = 0.05;
/// A label that holds for less of the stretch than this is one among several.
const MOST: f64 = 0.9;

/// What the ledger says of a stretch: shares of its time by label and place, over all replications.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels {
    /// Label, device, zone or pool, and share; the largest first.
    pub shares: Vec<(Constraint, String, f64)>,
    /// By pool: shares of its GPU-seconds by label. What holds for some steps and not for others shows here alone.
    pub by_pool: Vec<Vec<(Constraint, f64)>>,
}

impl Labels {
    /// Of the timelines of replications, between two times [s].
    pub(super) fn of<'a>(
        timelines: impl Iterator<Item = &'a [Stretch]>,
        (from_s, until_s): (f64, f64),
    ) -> Self {
        let mut shares: Vec<(Constraint, String, f64)> = Vec::new();
        let mut total_s = 0.0;
        for stretch in timelines.flatten() {
            let inside_s = stretch.end_s.min(until_s) - stretch.start_s.max(from_s);
            if inside_s <= 0.0 {
                continue;
            }
            total_s += inside_s;
            // Demand is demand wherever it is low.
            let place = if stretch.constraint == Constraint::Demand { "" } else { stretch.place.as_str() };
            match shares.iter_mut().find(|(label, at, _)| *label == stretch.constraint && at == place) {
                Some((_, _, share)) => *share += inside_s,
                None => shares.push((stretch.constraint, place.into(), inside_s)),
            }
        }
        for (_, _, share) in &mut shares {
            *share /= total_s;
        }
        shares.sort_by(|a, b| b.2.total_cmp(&a.2));
        Self { shares, by_pool: Vec::new() }
    }

    /// Shares by label, whatever the place; the largest first.
    #[must_use]
    pub fn by_constraint(&self) -> Vec<(Constraint, f64)> {
        let of = |label: Constraint| self.shares.iter().filter(|s| s.0 == label).map(|s| s.2).sum::<f64>();
        let mut shares: Vec<(Constraint, f64)> = Constraint::ALL
            .into_iter()
            .map(|label| (label, of(label)))
            .filter(|(_, share)| *share > 0.0)
            .collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }

    /// Whether a pool has several labels, other than demand, of which none holds for most of its time.
    fn are_mixed(&self, pool: usize) -> bool {
        let Some(shares) = self.by_pool.get(pool) else { return false };
        let others =
            || shares.iter().filter(|(label, _)| *label != Constraint::Demand).map(|(_, share)| *share);
        let sum: f64 = others().sum();
        sum > 0.0 && others().fold(0.0, f64::max) < MOST * sum
    }

    /// Share of the stretch in which the label names a limit. Labels of devices name pools, and links or the host are
    /// told from FLOP/s by their place.
    #[must_use]
    pub fn share_of(&self, limit: &Limit) -> f64 {
        let Some(constraint) = limit.kind.constraint() else { return 0.0 };
        let names = |label: Constraint, place: &str| {
            let apart = place.ends_with(".host") || place.ends_with(".link");
            // `row-1` is no part of `row-10`.
            let rest = place.strip_prefix(&limit.place);
            let within = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            label == constraint
                && match limit.kind {
                    LimitKind::Demand => true,
                    LimitKind::HostAndLinks => apart && within,
                    LimitKind::Flops => !apart && within,
                    _ => within,
                }
        };
        self.shares.iter().filter(|(label, place, _)| names(*label, place)).map(|s| s.2).sum()
    }
}

/// Whether label and prices agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// The label's limits are worth most.
    Agree,
    /// Another's are worth as much, within their intervals.
    Tie,
    /// Several labels share the stretch.
    Transient,
    /// They are not.
    Disagree,
}

/// What the prices say binds, and whether the ledger says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The label that follows from the prices; none if nothing is worth anything.
    pub by_price: Option<Constraint>,
    /// The ledger's label of most of the stretch.
    pub by_ledger: Option<Constraint>,
    /// Whether they agree.
    pub agreement: Agreement,
}

/// An elasticity with its interval.
#[derive(Debug, Clone, Copy)]
struct Worth {
    mean: f64,
    low: f64,
    high: f64,
}

impl Verdict {
    /// Of prices and labels; `gpus` by pool.
    ///
    /// As a site's label is made of those of its replicas (PHYSICS D5), this one is made of those of the pools: of what
    /// binds pools other than demand, that of most GPUs; demand if that is all there is.
    /// `loose`: a label of the envelope whose limits are known not to bind.
    pub(super) fn of(prices: &[Price], labels: &Labels, gpus: &[u64], loose: Option<Constraint>) -> Self {
        let by_constraint = labels.by_constraint();
        let by_ledger = by_constraint.first().map(|(label, _)| *label);
        let pools: Vec<Option<Binding>> =
            (0..gpus.len()).map(|pool| Binding::of(prices, pool, loose)).collect();
        let gpus_of = |label: Constraint| {
            let bound =
                pools.iter().zip(gpus).filter(|(pool, _)| pool.is_some_and(|pool| pool.label == label));
            bound.map(|(_, gpus)| gpus).sum::<u64>()
        };
        let other = Constraint::ALL.into_iter().filter(|label| *label != Constraint::Demand);
        let other = other.filter(|label| gpus_of(*label) > 0).max_by_key(|label| gpus_of(*label));
        let demand = (gpus_of(Constraint::Demand) > 0).then_some(Constraint::Demand);
        let by_price = other.or(demand);
        let agreement = if by_price == by_ledger {
            Agreement::Agree
        } else if by_constraint.first().is_none_or(|(_, share)| *share < MOST)
            || pools.iter().flatten().any(|pool| labels.are_mixed(pool.pool))
        {
            Agreement::Transient
        } else if by_ledger.is_some_and(|label| pools.iter().flatten().any(|pool| pool.may_be(prices, label)))
        {
            Agreement::Tie
        } else {
            Agreement::Disagree
        };
        Self { by_price, by_ledger, agreement }
    }

    /// The envelope's label by price where the ledger names a device: a cap may cost a little before it binds.
    pub(super) fn in_doubt(&self) -> Option<Constraint> {
        let device = self.by_ledger.is_some_and(|label| level_of(label) == Level::Device);
        self.by_price.filter(|label| device && matches!(label, Constraint::Power | Constraint::Cooling))
    }
}

/// What binds a pool, by its prices.
#[derive(Debug, Clone, Copy)]
struct Binding {
    pool: usize,
    label: Constraint,
    worth: Worth,
    /// The largest worth of the envelope's limits.
    envelope: Option<Worth>,
}

impl Binding {
    fn of(prices: &[Price], pool: usize, loose: Option<Constraint>) -> Option<Self> {
        let best = |level: Level| {
            let labels = Constraint::ALL.into_iter().filter(move |label| level_of(*label) == level);
            let labels = labels.filter(|label| Some(*label) != loose);
            let worths = labels.filter_map(|label| Some((label, worth(prices, label, pool)?)));
            worths.max_by(|a, b| a.1.mean.total_cmp(&b.1.mean)).filter(|(_, worth)| worth.mean > 0.0)
        };
        let envelope = best(Level::Envelope);
        let (label, worth) = match envelope {
            Some((label, worth)) if worth.mean >= SLACK => (label, worth),
            _ => best(Level::Device).or(envelope)?,
        };
        Some(Self { pool, label, worth, envelope: envelope.map(|(_, worth)| worth) })
    }

    /// Whether the pool's label could as well be another, within the intervals.
    fn may_be(&self, prices: &[Price], label: Constraint) -> bool {
        let Some(own) = worth(prices, label, self.pool) else { return false };
        if level_of(label) == level_of(self.label) {
            return own.high >= self.worth.low;
        }
        self.envelope.is_some_and(|envelope| envelope.low <= SLACK && SLACK <= envelope.high)
    }
}

fn level_of(label: Constraint) -> Level {
    match label {
        Constraint::Demand | Constraint::Power | Constraint::Cooling => Level::Envelope,
        Constraint::Compute | Constraint::MemoryBandwidth | Constraint::KvCapacity => Level::Device,
        Constraint::Operations => Level::Price,
    }
}

/// What a label is worth to a pool. The limits of its hardware add up; of power devices and zones the tightest counts.
fn worth(prices: &[Price], label: Constraint, pool: usize) -> Option<Worth> {
    let of_label = prices.iter().filter(|price| price.limit.kind.constraint() == Some(label));
    let elasticities = of_label.filter_map(|price| *price.by_pool.get(pool)?);
    let worths = elasticities.map(|mean| Worth { mean: mean.mean, low: mean.ci95_low, high: mean.ci95_high });
    match level_of(label) {
        Level::Device => {
            worths.reduce(|a, b| Worth { mean: a.mean + b.mean, low: a.low + b.low, high: a.high + b.high })
        }
        _ => worths.max_by(|a, b| a.mean.total_cmp(&b.mean)),
    }
}
