//! Rows of power devices: what each put out in the window, and what of its limit can be used at all.
//!
//! **Stranded power** is the part of a device's limit that no load can use, whatever is done with the replicas. It
//! follows from tree, nameplates and losses alone. With `in(o) = o + loss(o)`, of a device d of limit L:
//!
//! ```text
//! taken(d)    = min(L, Σ nameplates of pools and plants that hang from d + Σ in(taken(c)) over devices c that d may feed)
//! given(d)    = L for a source, else min(L, the largest over its feeders f of the o with in(o) = given(f))
//! stranded(d) = L − min(taken(d), given(d))
//! ```
//!
//! So what is above delivers as if all beside it drew nothing, and what is below takes all that it can. Devices with
//! backups are counted below each that may feed them. Batteries are left out: they move energy in time and make none.
//! Limits are derated ratings, at the meter the highest cap of the window if that is less.

use super::book::seconds;
use super::outcome::{DeviceSummary, DistributionRow, Stranded};
use crate::control::DeviceMeter;
use crate::fleet::{Facility, Pool, ZoneSpec};
use crate::physics::loss::LossStage;
use crate::physics::real;

/// Hours of weather that are looked at: a year.
const HOURS: usize = 8784;
/// Nanowatts in a watt.
const NW_PER_W: f64 = 1e9;
/// Steps in which shares of time are told.
const STEPS: usize = 200;

/// A device as built.
struct Place {
    limit_w: f64,
    stage: LossStage,
    /// Devices that may feed it; none: a source.
    feeders: Vec<usize>,
    /// Nameplates of pools and plants that hang from it [W].
    loads_w: f64,
}

/// What a pool draws at most: its replicas at full clock, or at the limit set on their GPUs, at their nameplate [W].
fn nameplate_w(pool: &Pool) -> f64 {
    let draw = pool.power.nameplate(&pool.step, pool.max_seqs, pool.max_step_tok);
    pool.replicas.len() as f64 * real(i128::from(draw.it_nw(&pool.local_clock(&draw)))) / NW_PER_W
}

/// What the plants of a building draw at full speed, in the hour of the run in which that is most [W].
fn plants_w(facility: &Facility, end_fs: i128) -> Vec<f64> {
    let Some(weather) = &facility.weather else { return vec![0.0; facility.zones.len()] };
    let (mut airs, mut at_fs) = (vec![weather.at(0)], 0);
    while let Some(next_fs) = weather.next_change_fs(at_fs).filter(|&next_fs| next_fs < end_fs)
        && airs.len() < HOURS
    {
        airs.push(weather.at(next_fs));
        at_fs = next_fs;
    }
    let most = |zone: &ZoneSpec| {
        airs.iter().map(|air| zone.params.plant.under(*air).full_speed().power_w()).fold(0.0, f64::max)
    };
    facility.zones.iter().map(most).collect()
}

/// Per device what of its limit can be taken from it, and what can be given to it [W]. `order`: each device after all
/// that may feed it.
fn usable_w(places: &[Place], order: &[usize]) -> Vec<(f64, f64)> {
    let mut taken: Vec<f64> = places.iter().map(|place| place.loads_w).collect();
    for &device in order.iter().rev() {
        taken[device] = taken[device].min(places[device].limit_w);
        for &feeder in &places[device].feeders {
            taken[feeder] += places[device].stage.input_w(taken[device]);
        }
    }
    let mut given: Vec<f64> = places.iter().map(|place| place.limit_w).collect();
    for &device in order {
        let place = &places[device];
        let most = place.feeders.iter().map(|&feeder| place.stage.output_w(given[feeder]));
        given[device] = most.reduce(f64::max).map_or(place.limit_w, |most| most.min(place.limit_w));
    }
    taken.into_iter().zip(given).collect()
}

/// The measured window of a site.
pub(super) struct Window {
    pub(super) end_fs: i128,
    pub(super) length_s: f64,
    /// Highest cap at the meter [W]; none without one.
    pub(super) cap_w: Option<f64>,
}

/// Rows of the devices of a site, in the scenario's order. `pools`: of the site.
pub(super) fn rows(
    facility: &Facility,
    pools: &[Pool],
    meters: &[DeviceMeter],
    window: &Window,
) -> Vec<DeviceSummary> {
    let hangs = |device: usize, feed: Option<usize>| feed.unwrap_or(facility.root) == device;
    let plants_w = plants_w(facility, window.end_fs);
    let places: Vec<Place> = (0..facility.devices.len())
        .map(|device| {
            let built = &facility.devices[device];
            let rated_w = built.stage.rated_w() * built.derate;
            let cap_w = window.cap_w.filter(|_| device == facility.root).unwrap_or(f64::INFINITY);
            let of_pools = pools.iter().filter(|pool| hangs(device, pool.feed)).map(nameplate_w);
            let of_plants = facility.zones.iter().zip(&plants_w).filter(|(zone, _)| zone.feed == device);
            Place {
                limit_w: rated_w.min(cap_w),
                stage: built.stage,
                feeders: facility.supply.feeders[device].clone(),
                loads_w: of_pools.sum::<f64>() + of_plants.map(|(_, watts)| watts).sum::<f64>(),
            }
        })
        .collect();
    let usable = usable_w(&places, &facility.supply.order);
    let rated_w = |device: usize| facility.supply.modules[device].rated_w;
    (0..places.len())
        .map(|device| {
            let (meter, limit_w) = (&meters[device], places[device].limit_w);
            let below = (0..places.len()).filter(|&d| facility.devices[d].parent == Some(device));
            let nameplate_w = below.map(rated_w).sum::<f64>() + places[device].loads_w;
            let p99 = meter.loads(&[0.99])[0];
            let (over, over_fs) = meter.overshoot();
            let (taken, given) = usable[device];
            let stranded_w = limit_w - taken.min(given);
            let cause = if taken <= given { Stranded::Below } else { Stranded::Above };
            DeviceSummary {
                name: facility.names[device].clone(),
                parent: facility.devices[device].parent.map(|parent| facility.names[parent].clone()),
                rated_w: rated_w(device),
                limit_w,
                mean_w: if window.length_s > 0.0 { meter.energy().as_j() / window.length_s } else { 0.0 },
                p99_w: meter.outputs_w(&[0.99])[0],
                max_w: meter.max_w(),
                p99_share_of_limit: p99,
                headroom_p99_w: limit_w * (1.0 - p99),
                overshoot_s: seconds(over_fs),
                overshoot_j: over.as_j(),
                stranded_w,
                stranded_by: (stranded_w > 0.0).then_some(cause),
                nameplate_below_w: nameplate_w,
                oversubscription: (nameplate_w > 0.0).then(|| nameplate_w / rated_w(device)),
            }
        })
        .collect()
}

/// Shares of the time at which distributions are told.
fn shares() -> Vec<f64> {
    (0..=STEPS).map(|step| step as f64 / STEPS as f64).collect()
}

/// Distribution of the nodes of a pool, `watts` being asked for shares of the time.
pub(super) fn of_nodes(name: &str, watts: impl FnOnce(&[f64]) -> Vec<f64>) -> Vec<DistributionRow> {
    let shares = shares();
    let watts = watts(&shares);
    let row = |(time_share, power_w)| DistributionRow {
        of: "node".to_string(),
        name: name.to_string(),
        time_share,
        power_w,
        limit_share: None,
    };
    shares.into_iter().zip(watts).map(row).collect()
}

/// Distribution of the output of a device.
pub(super) fn of_device(name: &str, meter: &DeviceMeter) -> Vec<DistributionRow> {
    let shares = shares();
    let (outputs, loads) = (meter.outputs_w(&shares), meter.loads(&shares));
    let row = |((time_share, power_w), load)| DistributionRow {
        of: "device".to_string(),
        name: name.to_string(),
        time_share,
        power_w,
        limit_share: Some(load),
    };
    shares.into_iter().zip(outputs).zip(loads).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::loss::LossShares;

    fn place(limit_w: f64, a1: f64, feeders: &[usize], loads_w: f64) -> Place {
        let stage = LossStage::new(limit_w, LossShares { a0: 0.0, a1, a2: 0.0 }).unwrap();
        Place { limit_w, stage, feeders: feeders.to_vec(), loads_w }
    }

    fn stranded(places: &[Place], order: &[usize]) -> Vec<f64> {
        let usable = usable_w(places, order);
        places.iter().zip(usable).map(|(place, (taken, given))| place.limit_w - taken.min(given)).collect()
    }

    #[track_caller]
    fn assert_close(found: &[f64], by_hand: &[f64]) {
        let close = found.iter().zip(by_hand).all(|(found, by_hand)| (found - by_hand).abs() < 1e-9);
        assert!(close && found.len() == by_hand.len(), "{found:?} {by_hand:?}");
    }

    /// A meter of 1,000 W feeds a UPS of 600 W that loses a tenth of its output. Two PDUs of 400 W without losses, of
    /// pools of 250 W and 500 W.
    /// Taken: 250 and 400 from the PDUs, so 600 of 650 from the UPS, 660 from the meter. Given: all there is.
    #[test]
    fn stranded_by_what_hangs_below() {
        let places =
            [place(1000.0, 0.0, &[], 0.0), place(600.0, 0.1, &[0], 0.0), place(400.0, 0.0, &[1], 250.0)];
        let [meter, ups, first] = places;
        let places = [meter, ups, first, place(400.0, 0.0, &[1], 500.0)];
        assert_close(&stranded(&places, &[0, 1, 2, 3]), &[340.0, 0.0, 150.0, 0.0]);
    }

    /// A cap of 330 W in front of the same UPS: it gets 300 W out, its PDU of 400 W as much.
    #[test]
    fn stranded_by_what_is_above() {
        let places =
            [place(330.0, 0.0, &[], 0.0), place(600.0, 0.1, &[0], 0.0), place(400.0, 0.0, &[1], 500.0)];
        let usable = usable_w(&places, &[0, 1, 2]);
        assert_close(&stranded(&places, &[0, 1, 2]), &[0.0, 300.0, 100.0]);
        assert!(usable[1].1 < usable[1].0, "given less than could be taken");
    }

    /// Two feeds of 500 W, each of which may carry the PDU of 400 W: 100 W of each are stranded, and none of the PDU
    /// even if the first is capped to 200 W.
    #[test]
    fn a_second_feed_counts() {
        let places = |first_w| {
            [
                place(1000.0, 0.0, &[], 0.0),
                place(first_w, 0.0, &[0], 0.0),
                place(500.0, 0.0, &[0], 0.0),
                place(400.0, 0.0, &[1, 2], 700.0),
            ]
        };
        assert_close(&stranded(&places(500.0), &[0, 1, 2, 3]), &[200.0, 100.0, 100.0, 0.0]);
        assert_close(&stranded(&places(200.0), &[0, 1, 2, 3]), &[400.0, 0.0, 100.0, 0.0]);
    }
}
