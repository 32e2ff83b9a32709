//! Trees: one path against the whole, room, caps, and the largest IT power.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::super::loss::{DeviceKind, LossShares};
use super::super::plant::{Plant, tests::hot_day as hot_day_plant};
use super::super::weather::Air;
use super::*;

fn device(parent: Option<usize>, kind: DeviceKind, rated_w: f64, zone: Option<usize>) -> Device {
    Device { parent, stage: LossStage::new(rated_w, kind.default_loss()).unwrap(), derate: 1.0, zone }
}

const METER: usize = 0;
const UPS: usize = 2;
const ROW_A: usize = 3;
const ROW_B: usize = 4;
const PLANT_BUS: usize = 5;

/// The tree of `configs/hot-day.yaml`.
fn hot_day() -> Tree {
    Tree::new(vec![
        device(None, DeviceKind::Utility, 0.35e6, None),
        device(Some(0), DeviceKind::Transformer, 0.35e6, None),
        device(Some(1), DeviceKind::UpsDoubleConversion, 0.27e6, Some(0)),
        device(Some(2), DeviceKind::Pdu, 0.05e6, Some(0)),
        device(Some(2), DeviceKind::Pdu, 0.25e6, Some(0)),
        device(Some(1), DeviceKind::MechanicalBus, 0.07e6, None),
    ])
    .unwrap()
}

const SHARES: [ItShare; 2] = [
    ItShare { device: ROW_A, zone: Some(0), share: 0.15 },
    ItShare { device: ROW_B, zone: Some(0), share: 0.85 },
];
const MECHANICAL: [Mechanical; 1] = [Mechanical { device: PLANT_BUS, zone: 0 }];

fn random_tree(random: &mut Pcg64Mcg) -> Tree {
    let n = random.random_range(1..40);
    let mut devices = Vec::new();
    for d in 0..n {
        let parent = if d == 0 { None } else { Some(random.random_range(0..d)) };
        let zone = random.random_bool(0.5).then(|| random.random_range(0..3));
        devices.push(device(parent, DeviceKind::UpsDoubleConversion, random.random_range(1e4..1e7), zone));
    }
    // Any order will do: reverse the indices.
    devices.reverse();
    for device in &mut devices {
        device.parent = device.parent.map(|parent| n - 1 - parent);
    }
    Tree::new(devices).unwrap()
}

#[test]
fn one_path_at_a_time_equals_the_whole_tree() {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    for _ in 0..100 {
        let mut tree = random_tree(&mut random);
        let mut whole = tree.clone();
        let mut loads = vec![0; tree.len()];
        for _ in 0..50 {
            let d = random.random_range(0..tree.len());
            loads[d] = random.random_range(0..10_000_000_000_000_000_i128);
            tree.set_load_nw(d, loads[d]);
            whole.set_loads_nw(&loads);
            assert_eq!(tree, whole);
            let losses: i128 = (0..tree.len()).map(|d| tree.loss_nw(d)).sum();
            assert_eq!(tree.meter_nw(), loads.iter().sum::<i128>() + losses, "losses once");
        }
    }
}

#[test]
fn room_is_what_fits_and_no_more() {
    let mut random = Pcg64Mcg::seed_from_u64(8);
    for _ in 0..300 {
        let mut tree = random_tree(&mut random);
        let loads: Vec<i128> = (0..tree.len()).map(|_| random.random_range(0..20_000_000_000_000)).collect();
        tree.set_loads_nw(&loads);
        let feed = random.random_range(0..tree.len());
        let room = tree.room_nw(feed);
        if room < 0 {
            continue;
        }
        let path = |tree: &Tree| {
            let mut at = Some(feed);
            let mut least = i128::MAX;
            while let Some(d) = at {
                least = least.min(tree.headroom_nw(d));
                at = tree.nodes[d].device.parent;
            }
            least
        };
        assert!(tree.fits(feed, room) && !tree.fits(feed, room + 1_000));
        tree.set_load_nw(feed, loads[feed] + room);
        assert!(path(&tree) >= 0, "{room} fits");
        let tightest = tree.tightest_above(feed);
        assert!(tree.headroom_share(tightest) < 1e-9);
        tree.set_load_nw(feed, loads[feed] + room + 1_000);
        assert!(path(&tree) < 0, "a microwatt more does not");
    }
}

#[test]
fn slack_fits_wherever_it_is_added() {
    let mut random = Pcg64Mcg::seed_from_u64(9);
    let mut with_slack = 0;
    for _ in 0..300 {
        let mut tree = random_tree(&mut random);
        let loads: Vec<i128> = (0..tree.len()).map(|_| random.random_range(0..2_000_000_000_000)).collect();
        tree.set_loads_nw(&loads);
        let mut slack = tree.slack_nw();
        if slack < 0 {
            assert!((0..tree.len()).any(|d| tree.headroom_nw(d) < 1_000), "none is short of room");
            continue;
        }
        with_slack += 1;
        while slack > 0 {
            let (d, more) = (random.random_range(0..tree.len()), random.random_range(0..=slack));
            assert!(tree.fits(d, more), "{more} of {slack} at {d}");
            tree.add_load_nw(d, more, |_, _| {});
            assert!((0..tree.len()).all(|d| tree.headroom_nw(d) >= 0));
            slack -= more.max(1);
        }
    }
    assert!(with_slack > 50, "{with_slack}");
}

#[test]
fn caps_ratings_and_derates_limit() {
    let mut tree = hot_day();
    tree.set_load_nw(ROW_B, 150_000_000_000_000);
    assert_eq!(tree.tightest(), ROW_B, "150 of 250 kW is a larger share than any above");
    tree.set_cap_nw(METER, Some(170_000_000_000_000));
    assert_eq!(tree.tightest(), METER);
    assert_eq!(tree.tightest_above(PLANT_BUS), METER);
    assert_eq!(tree.headroom_nw(METER), 170_000_000_000_000 - tree.meter_nw());
    tree.set_cap_nw(METER, Some(100_000_000_000_000));
    let room = tree.room_nw(ROW_B);
    assert!(room < 0);
    tree.set_load_nw(ROW_B, 150_000_000_000_000 + room);
    assert!((0..1_000).contains(&tree.headroom_nw(METER)), "it must shrink by just that");
    tree.set_cap_nw(METER, None);
    assert_eq!(tree.limit_nw(METER), 350_000_000_000_000);
    assert!((tree.oversubscription(UPS) - 0.30 / 0.27).abs() < 1e-12);
    let loss: i128 = [UPS, ROW_A, ROW_B].iter().map(|d| tree.loss_nw(*d)).sum();
    assert_eq!(tree.zone_loss_nw(0), loss);
    assert_eq!(tree.zone_loss_nw(9), 0);
}

#[test]
fn the_largest_it_power_is_tight_and_rises_with_the_cap() {
    let plant = Plant::tower_with_chiller(&hot_day_plant(), 31.0).unwrap();
    let mut tree = hot_day();
    for wet_bulb_c in [-20.0, 10.0, 22.0, 24.0, 26.0] {
        let now = plant.under(Air { wet_bulb_c, dry_bulb_c: wet_bulb_c });
        let cooling_w = |_, heat_w| now.regulated(heat_w).power_w();
        let free =
            Plan { shares: &SHARES, mechanical: &MECHANICAL, cooling_w: &cooling_w, heat_limits_w: &[] };
        let mut last = 0.0;
        for cap_kw in (20..=350).step_by(5) {
            let cap_w = f64::from(cap_kw) * 1e3;
            tree.set_cap_nw(METER, Some((cap_w * 1e9) as i128));
            let largest = tree.largest_it(1e9, &free).unwrap();
            let Balance { it_w, meter_w, .. } = largest.balance;
            assert!(it_w >= last * (1.0 - 1e-11), "{wet_bulb_c} {cap_kw}: {it_w} {last}");
            assert!(meter_w <= cap_w);
            match largest.limit {
                Limit::Device(METER) => assert!(
                    meter_w >= cap_w * (1.0 - 1e-9)
                        || tree.balance(it_w * (1.0 + 1e-9), &free).unwrap().meter_w > cap_w,
                    "tight, or a fan starts: {wet_bulb_c} {cap_kw}: {meter_w}"
                ),
                Limit::Device(d) => {
                    let limit_w = tree.limit_nw(d) as f64 / 1e9;
                    assert!((largest.balance.out_w[d] / limit_w - 1.0).abs() < 1e-9);
                }
                other => panic!("{other:?}"),
            }
            last = it_w;
            let heat_w = largest.balance.heat_w[0];
            let half = Plan { heat_limits_w: &[heat_w / 2.0], ..free };
            let cooled = tree.largest_it(1e9, &half);
            if let Some(cooled) = cooled {
                assert_eq!(cooled.limit, Limit::Zone(0));
                assert!((cooled.balance.heat_w[0] / heat_w - 0.5).abs() < 1e-9);
            }
            let asked = tree.largest_it(it_w / 2.0, &free).unwrap();
            assert_eq!((asked.limit, asked.balance.it_w), (Limit::Asked, it_w / 2.0));
        }
    }
    tree.set_cap_nw(METER, Some(3_000_000_000_000));
    let none = Plan { shares: &SHARES, mechanical: &MECHANICAL, cooling_w: &|_, _| 0.0, heat_limits_w: &[] };
    assert_eq!(tree.largest_it(1e9, &none), None, "losses without load are 3.7 kW");
}

#[test]
fn the_solve_agrees_with_the_integer_flow_and_with_bisection() {
    let plant = Plant::tower_with_chiller(&hot_day_plant(), 31.0).unwrap();
    let now = plant.under(Air { wet_bulb_c: 25.0, dry_bulb_c: 30.0 });
    let cooling_w = |_, heat_w| now.regulated(heat_w).power_w();
    let plan = Plan { shares: &SHARES, mechanical: &MECHANICAL, cooling_w: &cooling_w, heat_limits_w: &[] };
    let mut tree = hot_day();
    tree.set_cap_nw(METER, Some(205_000_000_000_000));
    let Balance { it_w, meter_w, cooling_w: cooled_w, .. } =
        tree.largest_it(f64::INFINITY, &plan).unwrap().balance;
    let (mut low, mut high) = (0.0, 205e3);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if tree.balance(middle, &plan).unwrap().meter_w <= 205e3 { low = middle } else { high = middle }
    }
    assert!((it_w / low - 1.0).abs() < 1e-9, "{it_w} {low}");
    let nw = |watts: f64| (watts * 1e9) as i128;
    tree.set_loads_nw(&[0, 0, 0, nw(0.15 * it_w), nw(0.85 * it_w), nw(cooled_w)]);
    assert!((tree.meter_nw() as f64 / 1e9 / meter_w - 1.0).abs() < 1e-12);
    assert!(
        (tree.balance(it_w, &plan).unwrap().loss_w()
            - (0..6).map(|d| tree.loss_nw(d) as f64 / 1e9).sum::<f64>())
        .abs()
            < 1e-6
    );
}

#[test]
fn power_usage_is_never_below_one() {
    let plant = Plant::tower_with_chiller(&hot_day_plant(), 31.0).unwrap();
    let tree = hot_day();
    for wet_bulb in -20..=45 {
        let now = plant.under(Air { wet_bulb_c: f64::from(wet_bulb), dry_bulb_c: f64::from(wet_bulb) });
        let cooling_w = |_, heat_w| now.regulated(heat_w).power_w();
        let plan =
            Plan { shares: &SHARES, mechanical: &MECHANICAL, cooling_w: &cooling_w, heat_limits_w: &[] };
        for it_kw in [1.0, 20.0, 100.0, 220.0] {
            let balance = tree.balance(it_kw * 1e3, &plan).unwrap();
            assert!(balance.meter_w > balance.it_w && balance.cooling_w > 0.0 && balance.loss_w() > 0.0);
        }
    }
}

/// A transformer inside the hall it feeds: cooling power adds to the heat it must remove.
#[test]
fn a_plant_may_feed_back_on_itself() {
    let mut devices: Vec<Device> = hot_day().nodes.iter().map(|node| node.device).collect();
    devices[1].zone = Some(0);
    let tree = Tree::new(devices).unwrap();
    let plan = Plan {
        shares: &SHARES,
        mechanical: &MECHANICAL,
        cooling_w: &|_, heat_w| 0.3 * heat_w,
        heat_limits_w: &[],
    };
    let balance = tree.balance(100e3, &plan).unwrap();
    assert!((balance.cooling_w - 0.3 * balance.heat_w[0]).abs() < 1e-6);
    assert!((balance.heat_w[0] - 100e3 - balance.loss_w()).abs() < 1e-6, "all losses are heat in the hall");
}

#[test]
fn impossible_trees_are_named() {
    let row = |parent| device(parent, DeviceKind::Pdu, 1e3, None);
    assert_eq!(Tree::new(vec![]).unwrap_err(), TreeError::NoRoot);
    assert_eq!(Tree::new(vec![row(None), row(None)]).unwrap_err(), TreeError::TwoRoots(0, 1));
    assert_eq!(Tree::new(vec![row(None), row(Some(2))]).unwrap_err(), TreeError::UnknownParent(1));
    assert_eq!(Tree::new(vec![row(None), row(Some(2)), row(Some(1))]).unwrap_err(), TreeError::Cycle(1));
    assert_eq!(Tree::new(vec![row(Some(0))]).unwrap_err(), TreeError::NoRoot);
    let chain = (0..100_000).map(|d: usize| row(d.checked_sub(1))).collect();
    assert_eq!(Tree::new(chain).unwrap_err(), TreeError::TooDeep(MAX_DEPTH + 1));
    let wrong = Device { derate: 1.5, ..row(None) };
    assert!(matches!(Tree::new(vec![wrong]), Err(TreeError::Parameter { device: 0, .. })));
    // A megawatt through sixty devices of a watt: absurd, but no overflow.
    let mut tiny = Tree::new(
        (0..60)
            .map(|d: usize| Device {
                stage: LossStage::new(1.0, DeviceKind::Pdu.default_loss()).unwrap(),
                ..row(d.checked_sub(1))
            })
            .collect(),
    )
    .unwrap();
    tiny.set_load_nw(59, 1_000_000_000_000_000);
    assert!(tiny.room_nw(59) < 0 && tiny.headroom_nw(0) < 0);
    let free = LossShares { a0: 0.0, a1: 0.0, a2: 0.0 };
    let wire = Device { stage: LossStage::new(1e3, free).unwrap(), ..row(None) };
    let mut tree = Tree::new(vec![wire]).unwrap();
    tree.set_load_nw(0, 7);
    assert_eq!((tree.meter_nw(), tree.is_empty()), (7, false));
}

/// A second chiller starts at 100 kW of heat and takes 25 kW at once: no IT power meets the cap exactly.
#[test]
fn a_jump_of_cooling_power_is_approached_from_below() {
    let mut tree = hot_day();
    // Below the jump the row is the fuller one; the meter is what forbids more.
    tree.set_cap_nw(METER, Some(125_000_000_000_000));
    tree.set_cap_nw(ROW_B, Some(81_000_000_000_000));
    let calls = std::cell::Cell::new(0);
    let cooling_w = |_, heat_w| {
        calls.set(calls.get() + 1);
        if heat_w > 100e3 { 30e3 } else { 5e3 }
    };
    let plan = Plan { shares: &SHARES, mechanical: &MECHANICAL, cooling_w: &cooling_w, heat_limits_w: &[] };
    let largest = tree.largest_it(1e9, &plan).unwrap();
    assert_eq!(largest.limit, Limit::Device(METER));
    let heat_w = largest.balance.heat_w[0];
    assert!(heat_w <= 100e3 && heat_w > 100e3 * (1.0 - 1e-9), "{heat_w}");
    assert!(calls.get() < 400, "{} evaluations", calls.get());
}
