//! The building around a site's replicas: its power tree as loaded now, its cooling zones, and the IT power both
//! allow.

mod water;

use super::failures::Broken;
use super::feeds::Feeds;
use crate::fleet::{Facility, Fleet};
use crate::physics::course::Weighted;
use crate::physics::tree::{ItShare, Limit, Mechanical, Plan, Tree};
use crate::physics::weather::{Air, Weather};
use crate::physics::zone::{Stage, Zone, ZoneChange, ZoneTotals};
use crate::physics::{real, truncated};

/// Nanowatts in a watt.
const NW_PER_W: f64 = 1e9;
/// Air of a site without weather: it has no zones, so nothing depends on it.
const OUTDOORS: Air = Air { wet_bulb_c: 15.0, dry_bulb_c: 20.0 };
/// Two ceilings this close are a tie, told as power (PHYSICS D5).
const TIE: f64 = 0.005;
/// Budgets are solved anew when a pool's share of the planned power moved by more than this.
const SHARE_DRIFT: f64 = 1e-3;

/// Fans, pumps, compressors and batteries: what a meter keeps of a building besides the losses of its devices.
pub const OTHER_PARTS: usize = 4;

/// Exact checks of a device's path between two times that the slack of the whole tree is taken stock of.
const STOCK_EVERY: u32 = 32;

/// What holds a site's clocks down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Held {
    /// Nothing does.
    #[default]
    Free,
    /// A power device, by its number in the site.
    Device(usize),
    /// A cooling zone, by its number in the site.
    Zone(usize),
}

/// IT power that the building allows, and what forbids more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// [nW]
    pub it_nw: i128,
    /// The tightest limit; none below the nameplate asked for.
    pub held: Held,
}

/// Shares of a zone's plant that are broken; entries may add up to more than all.
#[derive(Debug, Clone, Copy, Default)]
struct Lost {
    plant: f64,
    chillers: f64,
}

/// A building in operation.
#[derive(Clone)]
pub struct Building {
    tree: Tree,
    zones: Vec<Zone>,
    mechanical: Vec<Mechanical>,
    weather: Option<Weather>,
    weather_next_fs: Option<i128>,
    /// Who feeds whom, where that can change.
    feeds: Option<Box<Feeds>>,
    /// By zone: what its plant has lost.
    lost: Vec<Lost>,
    /// By pool of the site: its feed and its zone.
    pools: Vec<(usize, Option<usize>)>,
    /// IT power by zone: drawn, and as it would be at full clock [nW].
    zone_it_nw: Vec<i128>,
    uncapped_nw: Vec<i128>,
    /// Loads may grow by so much in sum before any device can carry too much [nW]: a bound that is spent by every
    /// growth and renewed after some exact checks.
    slack_nw: i128,
    until_stock: u32,
    /// The last solution: shares of the planned power by pool, and the IT power of each that it allows [nW].
    solved: Vec<ItShare>,
    allowed_nw: Vec<i128>,
    /// Heat limits of the zones, and none [W]; kept to be used again.
    heat_limits_w: Vec<f64>,
    unlimited_w: Vec<f64>,
    /// Cap and ratings hold nobody back: the policy does not plan for them.
    unlimited_power: bool,
    /// Water by its price, and when that changes next [fs]; the end of time without.
    water: Option<Box<Weighted<f64>>>,
    water_next_fs: i128,
}

/// IT power of a site that nothing limits [nW]: more than any, and far from where sums of it end.
const UNLIMITED_NW: i128 = 1 << 80;
/// Where the search for the IT power that zones allow begins, and gives up [W].
const LEAST_W: f64 = 1e3;
const MOST_W: f64 = 1e12;

impl Building {
    /// A building at t = 0, without load. `pools`: of its site, by number in the site. `unlimited_power`: neither cap nor
    /// ratings hold anybody back, only zones do.
    pub fn new(
        fleet: &Fleet,
        facility: &Facility,
        pools: std::ops::Range<usize>,
        unlimited_power: bool,
    ) -> Option<Self> {
        let sources = facility.supply.generators();
        let tree = Tree::with_sources(facility.devices.clone(), &sources).ok()?;
        let air = facility.weather.as_ref().map_or(OUTDOORS, |weather| weather.at(0));
        let zones: Vec<Zone> =
            facility.zones.iter().map(|spec| Zone::new(spec.params, 0, air).ok()).collect::<Option<_>>()?;
        let mechanical = facility
            .zones
            .iter()
            .enumerate()
            .map(|(zone, spec)| Mechanical { device: spec.feed, zone })
            .collect();
        let count = pools.len();
        let pools: Vec<(usize, Option<usize>)> =
            fleet.pools[pools].iter().map(|pool| (pool.feed.unwrap_or(facility.root), pool.zone)).collect();
        let mut building = Self {
            tree,
            mechanical,
            weather_next_fs: facility.weather.as_ref().and_then(|weather| weather.next_change_fs(0)),
            weather: facility.weather.clone(),
            solved: pools.iter().map(|&(device, zone)| ItShare { device, zone, share: 0.0 }).collect(),
            allowed_nw: vec![0; count],
            feeds: None,
            lost: vec![Lost::default(); zones.len()],
            heat_limits_w: Vec::with_capacity(zones.len()),
            unlimited_w: vec![f64::INFINITY; zones.len()],
            pools,
            slack_nw: -1,
            until_stock: STOCK_EVERY,
            zone_it_nw: vec![0; zones.len()],
            uncapped_nw: vec![0; zones.len()],
            zones,
            unlimited_power,
            water: None,
            water_next_fs: i128::MAX,
        };
        building.feed_plants();
        Some(building)
    }

    /// From now, t = 0, on feeds may change; its loads are those of the start.
    pub fn open_feeds(&mut self, facility: &Facility) {
        self.feeds = Some(Box::new(Feeds::new(&facility.supply, &mut self.tree)));
        self.slack_nw = self.tree.slack_nw();
    }

    /// Something breaks, or is repaired.
    pub fn failure(&mut self, now_fs: i128, what: &Broken, breaks: bool) -> ZoneChange {
        self.pay_water(now_fs);
        let sign = if breaks { 1.0 } else { -1.0 };
        match (what, &mut self.feeds) {
            (Broken::Device(device), Some(feeds)) => feeds.fail(now_fs, *device, breaks, &mut self.tree),
            (Broken::Modules(device, count), Some(feeds)) => {
                feeds.fail_modules(now_fs, *device, *count, breaks, &mut self.tree);
            }
            (Broken::Chillers(zone, share), _) => self.lost[*zone].chillers += sign * share,
            (Broken::Plant(zone, share), _) => self.lost[*zone].plant += sign * share,
            (Broken::Replicas(_) | Broken::Device(_) | Broken::Modules(..), _) => {}
        }
        self.reconnected(now_fs)
    }

    /// Feeds or plants are others: plants without power stand still, and all flows are looked at anew.
    fn reconnected(&mut self, now_fs: i128) -> ZoneChange {
        let mut change = ZoneChange { power: true, heat_cap: true, ..ZoneChange::default() };
        for zone in 0..self.zones.len() {
            let device = self.mechanical[zone].device;
            let live = self.feeds.as_ref().is_none_or(|feeds| feeds.is_live(device));
            let Lost { plant, chillers } = self.lost[zone];
            // Sums of shares that broke and were repaired end a rounding away from 0.
            let left = |lost: f64| if lost < 1e-9 { 1.0 } else { (1.0 - lost).max(0.0) };
            let plant_share = if live { left(plant) } else { 0.0 };
            change = merge(change, self.zones[zone].set_available(now_fs, plant_share, left(chillers)));
        }
        self.feed_plants();
        change = merge(change, self.pass_heat(now_fs));
        self.slack_nw = self.tree.slack_nw();
        if let Some(feeds) = &mut self.feeds {
            feeds.loaded(now_fs, &self.tree);
        }
        change
    }

    /// The device that a pool of the site hangs from.
    pub fn feed(&self, pool: usize) -> usize {
        self.pools[pool].0
    }

    /// Whether a pool of the site hangs from a device, as the feeds are now.
    pub fn hangs_from(&self, pool: usize, device: usize) -> bool {
        let mut at = Some(self.pools[pool].0);
        while let Some(d) = at {
            if d == device {
                return true;
            }
            at = self.tree.parent(d);
        }
        false
    }

    /// Whether a pool of the site has power.
    pub fn powered(&self, pool: usize) -> bool {
        self.feeds.as_ref().is_none_or(|feeds| feeds.is_live(self.pools[pool].0))
    }

    /// Who feeds whom, where that can change.
    pub fn feeds(&self) -> Option<&Feeds> {
        self.feeds.as_deref()
    }

    /// A pool's IT power changes by `change_nw` [nW]; tells what that does to the zones, and `loss` the new loss [nW] of
    /// each device above it.
    pub fn draw(
        &mut self,
        now_fs: i128,
        pool: usize,
        change_nw: i128,
        loss: impl FnMut(usize, i128),
    ) -> ZoneChange {
        self.pay_water(now_fs);
        let (feed, zone) = self.pools[pool];
        self.slack_nw -= change_nw.max(0);
        self.tree.add_load_nw(feed, change_nw, loss);
        if let Some(zone) = zone {
            self.zone_it_nw[zone] += change_nw;
        }
        let change = self.pass_heat(now_fs);
        if let Some(feeds) = &mut self.feeds {
            feeds.loaded(now_fs, &self.tree);
        }
        change
    }

    /// A pool's IT power at full clock changes by `change_nw` [nW].
    #[inline]
    pub fn uncapped(&mut self, now_fs: i128, pool: usize, change_nw: i128) -> ZoneChange {
        let Some(zone) = self.pools[pool].1 else { return ZoneChange::default() };
        self.uncapped_nw[zone] += change_nw;
        if self.zones[zone].stage() == Stage::Hold {
            return self.tell_uncapped(now_fs, zone);
        }
        ZoneChange::default()
    }

    #[cold]
    fn tell_uncapped(&mut self, now_fs: i128, zone: usize) -> ZoneChange {
        self.pay_water(now_fs);
        let uncapped_nw = self.uncapped_nw[zone] + self.zone_loss_nw(zone);
        self.zones[zone].set_uncapped_nw(now_fs, uncapped_nw)
    }

    /// Weather changes and zone thresholds up to now.
    pub fn on_event(&mut self, now_fs: i128) -> ZoneChange {
        self.pay_water(now_fs);
        let mut change = ZoneChange::default();
        if let (Some(weather), Some(at_fs)) = (&self.weather, self.weather_next_fs)
            && at_fs <= now_fs
        {
            let air = weather.at(now_fs);
            self.weather_next_fs = weather.next_change_fs(now_fs);
            for zone in &mut self.zones {
                change = merge(change, zone.set_weather(now_fs, air));
            }
            // The plant is another even where nothing passed a threshold.
            change.power = true;
            change.heat_cap = true;
        }
        for zone in &mut self.zones {
            change = merge(change, zone.on_event(now_fs));
        }
        if let Some(feeds) = &mut self.feeds
            && feeds.on_event(now_fs, &mut self.tree)
        {
            change = merge(change, self.reconnected(now_fs));
        }
        for zone in 0..self.zones.len() {
            if self.zones[zone].stage() == Stage::Hold {
                change = merge(change, self.tell_uncapped(now_fs, zone));
            }
        }
        if change.power {
            self.feed_plants();
            change = merge(change, self.pass_heat(now_fs));
            if let Some(feeds) = &mut self.feeds {
                feeds.loaded(now_fs, &self.tree);
            }
        }
        change
    }

    /// The next instant of its own at which something changes [fs].
    pub fn next_event_fs(&self) -> Option<i128> {
        let zones = self.zones.iter().filter_map(Zone::next_event_fs);
        let feeds = self.feeds.as_ref().and_then(|feeds| feeds.next_event_fs());
        zones.chain(self.weather_next_fs).chain(feeds).min()
    }

    /// Cap the utility meter [nW].
    pub fn set_cap_nw(&mut self, cap_nw: Option<i128>) {
        self.tree.set_cap_nw(self.tree.root(), cap_nw);
        self.slack_nw = self.tree.slack_nw();
    }

    /// IT power on top of what is drawn that a pool could draw now: by every device above it, and by its zone [nW].
    pub fn room_nw(&self, pool: usize) -> i128 {
        let (feed, zone) = self.pools[pool];
        let by_tree = if self.unlimited_power { UNLIMITED_NW } else { self.tree.room_nw(feed) };
        let by_zone = zone.and_then(|zone| self.zone_room_nw(zone));
        by_zone.map_or(by_tree, |room| room.min(by_tree))
    }

    /// Heat that a zone has room for, if it is capped [nW].
    #[inline]
    fn zone_room_nw(&self, zone: usize) -> Option<i128> {
        let cap_w = self.zones[zone].heat_cap_w()?;
        Some(truncated(cap_w * NW_PER_W) - self.zone_it_nw[zone] - self.zone_loss_nw(zone))
    }

    /// Whether a pool of the site may draw `more_nw` [nW] on top of what it draws now: by every device above it,
    /// and by its zone. [`Building::room_nw`] answers how much more, at several times the cost.
    #[inline]
    pub fn fits(&mut self, pool: usize, more_nw: i128) -> bool {
        let (feed, zone) = self.pools[pool];
        let in_zone = zone.and_then(|zone| self.zone_room_nw(zone)).is_none_or(|room| more_nw <= room);
        in_zone
            && (self.unlimited_power || more_nw.max(0) <= self.slack_nw || self.fits_exactly(feed, more_nw))
    }

    /// As [`Tree::fits`]; takes stock of what every place has room for now and then.
    fn fits_exactly(&mut self, feed: usize, more_nw: i128) -> bool {
        self.until_stock -= 1;
        if self.until_stock == 0 {
            self.until_stock = STOCK_EVERY;
            self.slack_nw = self.tree.slack_nw();
        }
        self.tree.fits(feed, more_nw)
    }

    /// Whether a plan calls for another solution: a pool plans more than its part of what was allowed, and
    /// shares have moved since. Less of everything needs none: what a plan within those parts draws, every
    /// device and zone can bear.
    #[inline]
    pub fn outgrown(&self, planned_nw: &[i128]) -> bool {
        let outgrown = (0..planned_nw.len().min(self.allowed_nw.len()))
            .any(|pool| planned_nw[pool] > self.allowed_nw[pool]);
        outgrown && self.shares_moved(planned_nw)
    }

    /// Whether planned shares moved since the last solution.
    pub fn shares_moved(&self, planned_nw: &[i128]) -> bool {
        let even = 1.0 / planned_nw.len().max(1) as f64;
        let total = real(planned_nw.iter().sum());
        planned_nw.iter().zip(&self.solved).any(|(&planned, solved)| {
            let share = if total > 0.0 { real(planned) / total } else { even };
            (share - solved.share).abs() > SHARE_DRIFT
        })
    }

    /// The largest IT power, split as planned, that cap, ratings and zones allow.
    pub fn allowance(&mut self, planned_nw: &[i128]) -> Allowance {
        let even = 1.0 / planned_nw.len().max(1) as f64;
        let total = real(planned_nw.iter().sum());
        for (solved, &planned) in self.solved.iter_mut().zip(planned_nw) {
            solved.share = if total > 0.0 { real(planned) / total } else { even };
        }
        self.heat_limits_w.clear();
        self.heat_limits_w.extend(self.zones.iter().map(|zone| zone.heat_cap_w().unwrap_or(f64::INFINITY)));
        let allowance = self.solve();
        for (allowed, solved) in self.allowed_nw.iter_mut().zip(&self.solved) {
            *allowed = truncated(real(allowance.it_nw) * solved.share);
        }
        allowance
    }

    fn solve(&self) -> Allowance {
        if self.unlimited_power {
            return self.solve_zones();
        }
        let with_zones = self.largest(&self.solved, &self.heat_limits_w);
        if let Some((it_w, Limit::Zone(_))) = with_zones
            && let Some((by_power_w, Limit::Device(device))) = self.largest(&self.solved, &self.unlimited_w)
            && by_power_w <= it_w * (1.0 + TIE)
        {
            return Allowance { it_nw: floor_nw(it_w), held: Held::Device(device) };
        }
        match with_zones {
            Some((it_w, Limit::Asked)) => Allowance { it_nw: floor_nw(it_w), held: Held::Free },
            Some((it_w, Limit::Device(device))) => {
                Allowance { it_nw: floor_nw(it_w), held: Held::Device(device) }
            }
            Some((it_w, Limit::Zone(zone))) => Allowance { it_nw: floor_nw(it_w), held: Held::Zone(zone) },
            // Not even the losses without IT power fit.
            None => {
                let zone = self.overheated(&self.solved, &self.heat_limits_w);
                let held = zone.map_or(Held::Device(self.tree.root()), Held::Zone);
                Allowance { it_nw: 0, held }
            }
        }
    }

    /// The largest IT power that the zones allow, whatever the devices carry: bisection, as heat grows with it.
    fn solve_zones(&self) -> Allowance {
        let limits_w = &self.heat_limits_w;
        let free = Allowance { it_nw: UNLIMITED_NW, held: Held::Free };
        if limits_w.iter().all(|limit_w| limit_w.is_infinite()) {
            return free;
        }
        // The zone that is passed most, if any is.
        let passed = |it_w: f64| -> Option<usize> {
            let Some(heat_w) = self.heat_at(&self.solved, it_w) else { return Some(0) };
            let over = heat_w.iter().zip(limits_w).map(|(heat_w, limit_w)| heat_w - limit_w).enumerate();
            over.filter(|(_, over_w)| *over_w > 0.0).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(zone, _)| zone)
        };
        let (mut low_w, mut high_w) = (0.0, LEAST_W);
        let mut zone = loop {
            match passed(high_w) {
                Some(zone) => break zone,
                None if high_w > MOST_W => return free,
                None => (low_w, high_w) = (high_w, 2.0 * high_w),
            }
        };
        for _ in 0..60 {
            let middle_w = 0.5 * (low_w + high_w);
            match passed(middle_w) {
                Some(worst) => (high_w, zone) = (middle_w, worst),
                None => low_w = middle_w,
            }
        }
        Allowance { it_nw: floor_nw(low_w), held: Held::Zone(zone) }
    }

    /// Of the zones that losses without IT power already heat too much, the worst.
    fn overheated(&self, shares: &[ItShare], limits_w: &[f64]) -> Option<usize> {
        let heat_w = self.heat_at(shares, 0.0)?;
        let excess = heat_w.iter().zip(limits_w).map(|(heat_w, limit_w)| heat_w - limit_w).enumerate();
        excess
            .filter(|(_, excess_w)| *excess_w > 0.0)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(zone, _)| zone)
    }

    /// The largest IT power split by `shares` in this weather, at most `asked_w`: within cap and ratings, and
    /// within what the zones can bear for good, each alone [W].
    pub fn sustainable_w(&self, shares: &[f64], asked_w: f64, cap_nw: Option<i128>) -> (f64, f64) {
        let mut building = self.clone();
        building.set_cap_nw(cap_nw);
        let shares = self.it_shares(shares);
        let limits: Vec<f64> = self.zones.iter().map(Zone::sustainable_w).collect();
        let by_power =
            building.largest(&shares, &self.unlimited_w).map_or(0.0, |(it_w, _)| it_w.min(asked_w));
        // Without cap and ratings: the heat alone, at the losses that go with it.
        let mut by_cooling = asked_w;
        for _ in 0..4 {
            let Some(heat_w) = building.heat_at(&shares, by_cooling) else { break };
            let excess = heat_w.iter().zip(&limits).map(|(heat, limit)| heat / limit).fold(0.0, f64::max);
            if excess > 0.0 {
                by_cooling = (by_cooling / excess).min(asked_w);
            }
        }
        (by_power, by_cooling)
    }

    fn heat_at(&self, shares: &[ItShare], it_w: f64) -> Option<Vec<f64>> {
        let cooling_w = |zone: usize, heat_w: f64| self.plant_w(zone, heat_w);
        let plan = Plan { shares, mechanical: &self.mechanical, cooling_w: &cooling_w, heat_limits_w: &[] };
        self.tree.balance(it_w, &plan).map(|balance| balance.heat_w)
    }

    fn it_shares(&self, shares: &[f64]) -> Vec<ItShare> {
        let pools = self.pools.iter().zip(shares);
        pools.map(|(&(device, zone), &share)| ItShare { device, zone, share }).collect()
    }

    /// What a zone's plant draws at a heat [W]. Above its set point everything runs at full speed.
    fn plant_w(&self, zone: usize, heat_w: f64) -> f64 {
        let plant = self.zones[zone].plant();
        let saturated = heat_w > plant.max_at_set_w() || self.zones[zone].stage() > Stage::Normal;
        if saturated { plant.full_speed().power_w() } else { plant.regulated(heat_w).power_w() }
    }

    fn largest(&self, shares: &[ItShare], heat_limits_w: &[f64]) -> Option<(f64, Limit)> {
        let cooling_w = |zone: usize, heat_w: f64| self.plant_w(zone, heat_w);
        let plan = Plan { shares, mechanical: &self.mechanical, cooling_w: &cooling_w, heat_limits_w };
        self.tree.largest_it(f64::MAX, &plan).map(|largest| (largest.balance.it_w, largest.limit))
    }

    /// Power at the utility meter, and of generators [nW].
    pub fn meter_nw(&self) -> i128 {
        self.tree.meter_nw()
    }

    /// What the grid gives of it [nW].
    pub fn grid_nw(&self) -> i128 {
        self.tree.in_nw(self.tree.root())
    }

    /// Fans, pumps and compressors of all plants, and what batteries take [nW].
    pub fn other_parts_nw(&self) -> [i128; OTHER_PARTS] {
        let plants = self.zones.iter().map(plant_nw);
        let [fans, pumps, compressors] =
            plants.fold([0; 3], |sum, plant| std::array::from_fn(|part| sum[part] + plant[part]));
        [fans, pumps, compressors, -self.discharge_nw()]
    }

    /// What batteries give in all; negative while they charge [nW].
    pub fn discharge_nw(&self) -> i128 {
        self.feeds.as_ref().map_or(0, |feeds| feeds.discharge_nw(&self.tree))
    }

    /// The tree as loaded now.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The zones.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Sums of a zone.
    pub fn zone_totals(&self, now_fs: i128, zone: usize) -> ZoneTotals {
        self.zones[zone].totals(now_fs)
    }

    /// Wet and dry bulb now [°C].
    pub fn air(&self, now_fs: i128) -> Option<Air> {
        self.weather.as_ref().map(|weather| weather.at(now_fs))
    }

    /// Whether a pool of the site must drain.
    pub fn drains(&self, pool: usize) -> bool {
        self.pools[pool].1.is_some_and(|zone| self.zones[zone].stage() >= Stage::Critical)
    }

    /// Inlet temperature of a pool's GPUs, upper edge of its step [°C].
    pub fn inlet_c(&self, pool: usize) -> Option<f64> {
        self.pools[pool].1.map(|zone| self.zones[zone].inlet_c())
    }

    fn zone_loss_nw(&self, zone: usize) -> i128 {
        self.tree.zone_loss_nw(zone)
    }

    /// Tell each zone its heat; where a plant then draws another power, load its feed and tell them again.
    #[inline]
    fn pass_heat(&mut self, now_fs: i128) -> ZoneChange {
        let change = self.tell_zones(now_fs);
        if change.power { self.settle_plants(now_fs, change) } else { change }
    }

    /// Plant power heats a zone only through losses of devices in it: a second round settles it.
    fn settle_plants(&mut self, now_fs: i128, mut all: ZoneChange) -> ZoneChange {
        for _ in 0..2 {
            self.feed_plants();
            let change = self.tell_zones(now_fs);
            all = merge(all, change);
            if !change.power {
                return all;
            }
        }
        self.feed_plants();
        all
    }

    #[inline]
    fn tell_zones(&mut self, now_fs: i128) -> ZoneChange {
        let mut all = ZoneChange::default();
        for (zone, state) in self.zones.iter_mut().enumerate() {
            let heat = self.zone_it_nw[zone] + self.tree.zone_loss_nw(zone);
            let change = state.set_heat_nw(now_fs, heat);
            if change != ZoneChange::default() {
                all = merge(all, change);
            }
        }
        all
    }

    fn feed_plants(&mut self) {
        for (number, mechanical) in self.mechanical.iter().enumerate() {
            let before = &self.mechanical[..number];
            if before.iter().any(|other| other.device == mechanical.device) {
                continue;
            }
            let fed = self.mechanical[number..].iter().filter(|other| other.device == mechanical.device);
            let load: i128 = fed.flat_map(|m| plant_nw(&self.zones[m.zone])).sum();
            self.slack_nw -= (load - self.tree.load_nw(mechanical.device)).max(0);
            self.tree.set_load_nw(mechanical.device, load);
        }
    }
}

/// What fans, pumps and compressors of a zone's plant draw [nW].
fn plant_nw(zone: &Zone) -> [i128; 3] {
    let operation = zone.operation();
    [operation.fan_w, operation.pump_w, operation.compressor_w].map(|w| truncated((w * NW_PER_W).round()))
}

fn floor_nw(watts: f64) -> i128 {
    truncated(watts * NW_PER_W)
}

fn merge(a: ZoneChange, b: ZoneChange) -> ZoneChange {
    ZoneChange {
        woke: a.woke || b.woke,
        stage: a.stage || b.stage,
        heat_cap: a.heat_cap || b.heat_cap,
        power: a.power || b.power,
        inlet: a.inlet || b.inlet,
    }
}
