//! Water, carbon, money and the ratios of efficiency, from the sums of meters.

use super::outcome::{Accounts, Energy, PartialPue};
use crate::control;
use crate::fleet::Site;

/// Joules in a kilowatt-hour.
const J_PER_KWH: f64 = 3.6e6;

/// What one site used up.
#[derive(Debug, Clone, Copy)]
pub(super) struct SiteAccounts {
    /// In the whole run, and in the measured window.
    total: control::Accounts,
    window: control::Accounts,
    /// Losses of the power tree in the window [J]; none without one.
    losses_j: Option<f64>,
    /// Fans, pumps and chillers in the window [J]; none without cooling zones.
    cooling_j: Option<f64>,
}

impl SiteAccounts {
    /// From the sums at the end and when the window opened; `window` is the site's energy in it.
    pub(super) fn new(
        site: &Site,
        total: control::Accounts,
        at_window: &control::Accounts,
        window: &Energy,
    ) -> Self {
        let sum = |is_one: fn(&str) -> bool| -> f64 {
            window.by.building.iter().filter(|(name, _)| is_one(name)).map(|(_, joules)| joules).sum()
        };
        let facility = site.facility.as_ref();
        Self {
            total,
            window: total.since(at_window),
            losses_j: facility.map(|_| sum(|name| name.starts_with("loss_"))),
            cooling_j: facility
                .filter(|facility| !facility.zones.is_empty())
                .map(|_| sum(|name| matches!(name, "fans" | "pumps" | "chiller"))),
        }
    }

    /// The sites together: what one does not know, they do not.
    pub(super) fn of_all(sites: &[Self]) -> Self {
        let both = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
        let plus = |a: &control::Accounts, b: &control::Accounts| control::Accounts {
            usd: both(a.usd, b.usd),
            carbon_kg: both(a.carbon_kg, b.carbon_kg),
            water_kg: both(a.water_kg, b.water_kg),
            grid_j: a.grid_j + b.grid_j,
        };
        let mut all = sites.first().copied().unwrap_or(Self {
            total: control::Accounts::default(),
            window: control::Accounts::default(),
            losses_j: None,
            cooling_j: None,
        });
        for site in sites.iter().skip(1) {
            all.total = plus(&all.total, &site.total);
            all.window = plus(&all.window, &site.window);
            all.losses_j = both(all.losses_j, site.losses_j);
            all.cooling_j = both(all.cooling_j, site.cooling_j);
        }
        all
    }

    /// As reported, beside the energy of the same window.
    pub(super) fn report(&self, window: &Energy) -> Accounts {
        let over = |part: Option<f64>, whole: f64| part.filter(|_| whole > 0.0).map(|part| part / whole);
        let it_kwh = window.it / J_PER_KWH;
        Accounts {
            water_l: self.total.water_kg,
            carbon_kg: self.total.carbon_kg,
            cost_usd: self.total.usd,
            ppue: PartialPue {
                power_chain: over(self.losses_j, window.it).map(|share| 1.0 + share),
                cooling: over(self.cooling_j, window.it).map(|share| 1.0 + share),
            },
            itue: over(Some(window.it), window.gpu),
            tue: over(Some(window.facility), window.gpu),
            wue_l_per_kwh: over(self.window.water_kg, it_kwh),
            cue_kg_per_kwh: over(self.window.carbon_kg, it_kwh),
        }
    }

    /// ($, g) of the window per million of `tokens`.
    pub(super) fn per_million(&self, tokens: f64) -> (Option<f64>, Option<f64>) {
        let per = |sum: Option<f64>| sum.filter(|_| tokens > 0.0).map(|sum| sum / tokens * 1e6);
        (per(self.window.usd), per(self.window.carbon_kg.map(|kg| kg * 1000.0)))
    }

    /// Joules of the whole run that the grid did not give, where they make cost or carbon incomplete.
    pub(super) fn unbilled_j(&self, total: &Energy) -> Option<f64> {
        let billed = self.total.usd.is_some() || self.total.carbon_kg.is_some();
        // Both are sums of real numbers: their last digits differ.
        let rest_j = total.facility - self.total.grid_j;
        (billed && rest_j > 1e-9 * total.facility).then_some(rest_j)
    }
}
