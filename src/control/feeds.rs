//! Which power devices have power now, and from whom: failures, breakers, batteries, generators, and the edges of the
//! tree that follow from them.
//!
//! A device is *live* if it is in service and its first live feeder (parent, then backups) feeds it, or its battery
//! carries it. Transfers take no time: a static switch is faster than a power supply's hold-up. The way back to a
//! feeder that has power again is as fast.

use crate::fleet::Supply;
use crate::physics::battery::Battery;
use crate::physics::breaker::Breaker;
use crate::physics::loss::LossStage;
use crate::physics::tree::Tree;
use crate::physics::truncated;

/// Nanowatts in a watt.
const NW_PER_W: f64 = 1e9;

/// A breaker at a device's output.
#[derive(Debug, Clone)]
struct Switch {
    device: usize,
    breaker: Breaker,
    /// After how long it is closed again [fs].
    reclose_fs: Option<i128>,
    open: bool,
    /// While open: when it closes [fs].
    closes_fs: Option<i128>,
}

/// What a generator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Off,
    /// It carries load from this instant on [fs].
    Starting(i128),
    Running,
}

#[derive(Debug, Clone)]
struct Generator {
    device: usize,
    start_fs: i128,
    engine: Engine,
}

/// Feeds of a site in operation.
#[derive(Debug, Clone)]
pub struct Feeds {
    supply: Supply,
    /// By device: failures under way, and modules that are out.
    failed: Vec<u32>,
    lost_modules: Vec<u32>,
    switches: Vec<Switch>,
    generators: Vec<Generator>,
    batteries: Vec<(usize, Battery)>,
    /// By device: whether there is power at its output.
    live: Vec<bool>,
    trips: u64,
    transfers: u64,
}

impl Feeds {
    /// At t = 0: everything in service. `tree`: with its loads at the start.
    pub fn new(supply: &Supply, tree: &mut Tree) -> Self {
        let devices = supply.feeders.len();
        let mut feeds = Self {
            failed: vec![0; devices],
            lost_modules: vec![0; devices],
            switches: Vec::new(),
            generators: supply
                .generators
                .iter()
                .map(|&(device, start_fs)| Generator { device, start_fs, engine: Engine::Off })
                .collect(),
            batteries: supply
                .batteries
                .iter()
                .map(|&(device, params)| (device, Battery::new(params)))
                .collect(),
            live: vec![true; devices],
            trips: 0,
            transfers: 0,
            supply: supply.clone(),
        };
        feeds.reconnect(0, tree);
        feeds.transfers = 0;
        // As warm as the load at the start keeps them.
        feeds.switches = supply
            .breakers
            .iter()
            .map(|&(device, params, reclose_fs)| Switch {
                device,
                breaker: Breaker::new(params, tree.out_nw(device)),
                reclose_fs,
                open: false,
                closes_fs: None,
            })
            .collect();
        feeds
    }

    /// Whether a device has power at its output.
    pub fn is_live(&self, device: usize) -> bool {
        self.live[device]
    }

    /// A device fails (once more), or one of its failures is over.
    pub fn fail(&mut self, now_fs: i128, device: usize, breaks: bool, tree: &mut Tree) {
        step(&mut self.failed[device], 1, breaks);
        self.reconnect(now_fs, tree);
    }

    /// So many modules of a device fail, or are back.
    pub fn fail_modules(&mut self, now_fs: i128, device: usize, count: u32, breaks: bool, tree: &mut Tree) {
        step(&mut self.lost_modules[device], count, breaks);
        let modules = self.supply.modules[device];
        let in_service = modules.installed.saturating_sub(self.lost_modules[device]);
        if in_service > 0
            && let Ok(stage) = LossStage::new(modules.rated_w_of(in_service), modules.loss)
        {
            let rated_w = modules.rated_w_of(in_service.min(modules.needed)) * modules.derate;
            tree.set_stage(device, stage, truncated((rated_w * NW_PER_W).floor()));
        }
        self.reconnect(now_fs, tree);
    }

    /// Loads are others from now on.
    #[inline]
    pub fn loaded(&mut self, now_fs: i128, tree: &Tree) {
        for switch in &mut self.switches {
            switch.breaker.set_load(now_fs, tree.out_nw(switch.device));
        }
        for (device, battery) in &mut self.batteries {
            battery.set(now_fs, tree.discharge_nw(*device));
        }
    }

    /// The next instant of its own at which something changes [fs].
    pub fn next_event_fs(&self) -> Option<i128> {
        let switches = self
            .switches
            .iter()
            .filter_map(|switch| if switch.open { switch.closes_fs } else { switch.breaker.trips_fs() });
        let generators = self.generators.iter().filter_map(|generator| match generator.engine {
            Engine::Starting(at_fs) => Some(at_fs),
            _ => None,
        });
        let batteries = self.batteries.iter().filter_map(|(_, battery)| battery.next_event_fs());
        switches.chain(generators).chain(batteries).min()
    }

    /// What is due up to now; returns whether anything was.
    pub fn on_event(&mut self, now_fs: i128, tree: &mut Tree) -> bool {
        let mut due = false;
        for switch in &mut self.switches {
            let at_fs = if switch.open { switch.closes_fs } else { switch.breaker.trips_fs() };
            if at_fs.is_some_and(|at_fs| at_fs <= now_fs) {
                due = true;
                switch.open = !switch.open;
                self.trips += u64::from(switch.open);
                switch.closes_fs =
                    switch.reclose_fs.filter(|_| switch.open).map(|after_fs| now_fs + after_fs);
                switch.breaker.set_load(now_fs, 0);
            }
        }
        for generator in &mut self.generators {
            if matches!(generator.engine, Engine::Starting(at_fs) if at_fs <= now_fs) {
                due = true;
                generator.engine = Engine::Running;
            }
        }
        for (_, battery) in &mut self.batteries {
            due |= battery.on_event(now_fs);
        }
        if due {
            self.reconnect(now_fs, tree);
        }
        due
    }

    /// What batteries give in all; negative while they charge [nW].
    pub fn discharge_nw(&self, tree: &Tree) -> i128 {
        self.batteries.iter().map(|&(device, _)| tree.discharge_nw(device)).sum()
    }

    /// Charge of all batteries over what they can hold; none without a battery.
    pub fn charge_share(&self, now_fs: i128) -> Option<f64> {
        let capacity_j: f64 = self.batteries.iter().map(|(_, battery)| battery.capacity_j()).sum();
        let charge_j: f64 = self.batteries.iter().map(|(_, battery)| battery.charge_j(now_fs)).sum();
        (capacity_j > 0.0).then(|| charge_j / capacity_j)
    }

    /// Breakers that tripped so far.
    pub fn trips(&self) -> u64 {
        self.trips
    }

    /// Devices that went over to another feeder so far, ways back included.
    pub fn transfers(&self) -> u64 {
        self.transfers
    }

    /// Find out who feeds whom, and load the tree accordingly.
    fn reconnect(&mut self, now_fs: i128, tree: &mut Tree) {
        let devices = self.supply.feeders.len();
        let mut parents: Vec<Option<usize>> = (0..devices).map(|device| tree.parent(device)).collect();
        let mut fed = vec![false; devices];
        for device in self.supply.order.clone() {
            let serves = self.serves(device);
            let feeders = &self.supply.feeders[device];
            let feeder = feeders.iter().copied().find(|&feeder| self.live[feeder]);
            if let Some(feeder) = feeder {
                self.transfers += u64::from(parents[device] != Some(feeder));
                parents[device] = Some(feeder);
            }
            fed[device] = serves
                && match self.generators.iter().find(|generator| generator.device == device) {
                    Some(generator) => generator.engine == Engine::Running,
                    None => feeders.is_empty() || feeder.is_some(),
                };
            self.live[device] = fed[device];
            if let Some((_, battery)) = self.batteries.iter().find(|(of, _)| *of == device) {
                let buffer = battery.buffer(now_fs, fed[device]).filter(|buffer| {
                    let load_nw = tree.out_nw(device) + tree.loss_at(device);
                    serves && (fed[device] || load_nw <= buffer.most_discharge_nw)
                });
                self.live[device] |= buffer.is_some();
                tree.set_buffer(device, buffer);
            }
        }
        self.call_generators(now_fs);
        // Every device hangs from one of its feeders, each of which comes before it: always a tree.
        let connected = tree.connect(&parents, &fed);
        debug_assert!(connected.is_ok(), "{connected:?}");
        self.loaded(now_fs, tree);
    }

    /// Whether a device is in service.
    fn serves(&self, device: usize) -> bool {
        self.failed[device] == 0
            && self.lost_modules[device] < self.supply.modules[device].installed
            && !self.switches.iter().any(|switch| switch.device == device && switch.open)
    }

    /// Start generators that are wanted, stop those that no longer are.
    fn call_generators(&mut self, now_fs: i128) {
        for number in 0..self.generators.len() {
            let device = self.generators[number].device;
            let wanted = self.serves(device)
                && (0..self.live.len()).filter(|&fed| self.serves(fed)).any(|fed| {
                    let feeders = &self.supply.feeders[fed];
                    let place = feeders.iter().position(|&feeder| feeder == device);
                    let before = place.map(|place| &feeders[..place]);
                    before.is_some_and(|before| before.iter().all(|&feeder| !self.live[feeder]))
                });
            let generator = &mut self.generators[number];
            generator.engine = match (wanted, generator.engine) {
                (false, _) => Engine::Off,
                (true, Engine::Off) => Engine::Starting(now_fs + generator.start_fs),
                (true, engine) => engine,
            };
        }
    }
}

/// Count up when something breaks, down when it is repaired.
fn step(count: &mut u32, by: u32, breaks: bool) {
    *count = if breaks { count.saturating_add(by) } else { count.saturating_sub(by) };
}
