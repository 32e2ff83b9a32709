//! An electrical tree: the flow through every device, what is left at a feed, and the IT power a cap allows.
//!
//! Flows are integer nanowatts: a loss is rounded up once per device, so the meter reads loads plus losses
//! exactly, and a load changed along its path gives the same bits as the whole tree computed anew.
//!
//! Edges may be swapped while it runs ([`Tree::connect`]): a device may hang from another one, or be without a feed.
//! A device without a feed loses nothing and draws nothing, unless its battery carries it.

use super::battery::Buffer;
use super::loss::LossStage;
use super::parameter::{BadParameter, require};
use super::{real, rounded_up, short_rounded_up, truncated};

/// Longest path from a device to the root.
const MAX_DEPTH: usize = 64;

/// Largest load and largest loss taken note of [nW]: absurd overloads must not overflow their sums.
const CEILING_NW: i128 = 1_000_000_000_000_000_000_000_000_000_000;

/// Nanowatts in a watt.
const NW_PER_W: f64 = 1e9;

/// Shares of a limit this close count as reached; the search for the largest IT power ends there.
const TIGHT: f64 = 1e-12;

/// A device and where it hangs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Device {
    /// The device that feeds it; `None` for the utility.
    pub parent: Option<usize>,
    /// Rating and losses.
    pub stage: LossStage,
    /// Share of the rating it may carry, 0 < derate ≤ 1.
    pub derate: f64,
    /// Cooling zone in which its losses become heat; `None`: outdoors.
    pub zone: Option<usize>,
}

/// What can be wrong with a tree. Devices are named by their index.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TreeError {
    /// There is no device without parent, or no device at all.
    #[error("no device is the root")]
    NoRoot,
    /// Two devices have no parent, and the second is no source of its own.
    #[error("devices {0} and {1} both have no parent")]
    TwoRoots(usize, usize),
    /// A parent that is no device.
    #[error("device {0} has a parent that does not exist")]
    UnknownParent(usize),
    /// A device that feeds itself.
    #[error("device {0} is part of, or hangs from, a cycle")]
    Cycle(usize),
    /// A chain too long to be a power tree.
    #[error("device {0} is more than {MAX_DEPTH} devices away from the root")]
    TooDeep(usize),
    /// A number outside its range.
    #[error("device {device}: {source}")]
    Parameter {
        /// The device.
        device: usize,
        /// What is wrong with it.
        source: BadParameter,
    },
}

/// A power tree with its present loads. Devices go by their index in the list it was built from; any other
/// index is a mistake of the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Devices, parents first; equally deep ones by index.
    order: Vec<usize>,
    /// Number of devices that hang from nothing: the first in `order`.
    roots: usize,
    zone_loss_nw: Vec<i128>,
    /// A bound on how much a load passes on to any device above it, per watt.
    gain: f64,
}

/// A device and what flows through it.
#[derive(Debug, Clone, PartialEq)]
struct Node {
    device: Device,
    /// What it may put out: derated rating, or the meter's cap if that is less [nW].
    limit_nw: i128,
    rating_nw: i128,
    cap_nw: i128,
    load_nw: i128,
    out_nw: i128,
    loss_nw: i128,
    in_nw: i128,
    /// Whether its feed has power; one without draws nothing.
    fed: bool,
    /// Its battery, if that may act.
    buffer: Option<Buffer>,
}

impl Node {
    /// What it may put out: its rating, a cap, and what its battery can give where that is all there is.
    fn find_limit(&mut self) {
        let by_battery = match &self.buffer {
            Some(buffer) if !self.fed => largest_out_nw(&self.device.stage, buffer.most_discharge_nw),
            _ => i128::MAX,
        };
        self.limit_nw = self.rating_nw.min(self.cap_nw).min(by_battery).max(0);
    }

    /// What it loses at an output [nW].
    #[inline]
    fn loss_at(&self, out_nw: i128) -> i128 {
        if self.fed || self.buffer.is_some() { loss_nw(&self.device.stage, out_nw) } else { 0 }
    }

    /// What it draws at an output and the loss there [nW].
    #[inline]
    fn input_at(&self, out_nw: i128, loss_nw: i128) -> i128 {
        match (&self.buffer, self.fed) {
            (None, true) => out_nw + loss_nw,
            (Some(buffer), true) => buffer.pass_nw(out_nw) + loss_nw,
            (_, false) => 0,
        }
    }

    /// As [`Self::input_at`] with the loss there [W].
    #[inline]
    fn input_w(&self, out_w: f64) -> f64 {
        match (&self.buffer, self.fed) {
            (None, true) => self.device.stage.input_w(out_w),
            (Some(buffer), true) => buffer.pass_w(out_w) + self.device.stage.loss_w(out_w),
            (_, false) => 0.0,
        }
    }

    /// The largest output with an input within `in_nw`, to a few nanowatts; negative if there is none [nW].
    fn largest_out_nw(&self, in_nw: i128) -> i128 {
        let Some(buffer) = &self.buffer else {
            return if self.fed { largest_out_nw(&self.device.stage, in_nw) } else { self.limit_nw };
        };
        if !self.fed {
            return self.limit_nw;
        }
        // Beyond what passes without a battery by what it can give at most.
        let fits = |out_nw: i128| buffer.pass_nw(out_nw) + loss_nw(&self.device.stage, out_nw) <= in_nw;
        if !fits(0) {
            return -1;
        }
        let (mut low, mut high) = (0, in_nw.max(0) + buffer.most_discharge_nw + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl Tree {
    /// A tree without load. Devices may come in any order; exactly one has no parent.
    pub fn new(devices: Vec<Device>) -> Result<Self, TreeError> {
        Self::with_sources(devices, &[])
    }

    /// A tree of which `sources` (generators) hang from nothing, besides the one root.
    pub fn with_sources(devices: Vec<Device>, sources: &[usize]) -> Result<Self, TreeError> {
        let (order, roots) = parents_first(&devices, sources)?;
        for (device, d) in devices.iter().enumerate() {
            require(d.derate > 0.0 && d.derate <= 1.0, "derate", "above 0, at most 1", d.derate)
                .map_err(|source| TreeError::Parameter { device, source })?;
        }
        let zones = devices.iter().filter_map(|d| d.zone).map(|zone| zone + 1).max().unwrap_or(0);
        // By how much inputs rise with outputs, from the root down.
        let mut gains = vec![1.0_f64; devices.len()];
        for &d in &order {
            let above = devices[d].parent.map_or(1.0, |parent| gains[parent]);
            gains[d] = above * devices[d].stage.steepest();
        }
        let nodes = devices.into_iter().map(|device| {
            let rating_nw = (device.stage.rated_w() * device.derate * NW_PER_W).floor() as i128;
            Node {
                device,
                limit_nw: rating_nw,
                rating_nw,
                cap_nw: i128::MAX,
                load_nw: 0,
                out_nw: 0,
                loss_nw: 0,
                in_nw: 0,
                fed: true,
                buffer: None,
            }
        });
        let mut tree = Self {
            nodes: nodes.collect(),
            order,
            roots,
            zone_loss_nw: vec![0; zones],
            gain: gains.into_iter().fold(1.0, f64::max),
        };
        tree.flow();
        Ok(tree)
    }

    /// Hang every device from another one: `parents[d]` feeds d, `fed[d]` tells whether there is power. Sources stay
    /// where they are. Nothing changes, and an error is returned, if that were no tree.
    pub fn connect(&mut self, parents: &[Option<usize>], fed: &[bool]) -> Result<(), TreeError> {
        let devices: Vec<Device> = self
            .nodes
            .iter()
            .zip(parents)
            .map(|(node, &parent)| Device { parent: node.device.parent.and(parent), ..node.device })
            .collect();
        let sources: Vec<usize> = self.order[1..self.roots].to_vec();
        (self.order, self.roots) = parents_first(&devices, &sources)?;
        let mut gains = vec![1.0_f64; devices.len()];
        for &d in &self.order {
            let above = devices[d].parent.map_or(1.0, |parent| gains[parent]);
            gains[d] = above * devices[d].stage.steepest();
        }
        self.gain = gains.into_iter().fold(1.0, f64::max);
        for ((node, device), &fed) in self.nodes.iter_mut().zip(devices).zip(fed) {
            (node.device, node.fed) = (device, fed);
            node.find_limit();
        }
        self.flow();
        Ok(())
    }

    /// The battery of a device as it may act from now on; [`Tree::flow`] follows.
    pub fn set_buffer(&mut self, device: usize, buffer: Option<Buffer>) {
        self.nodes[device].buffer = buffer;
        self.nodes[device].find_limit();
    }

    /// Another part of a device is in service: its losses, and what it may put out [nW].
    pub fn set_stage(&mut self, device: usize, stage: LossStage, rating_nw: i128) {
        let node = &mut self.nodes[device];
        (node.device.stage, node.rating_nw) = (stage, rating_nw);
        node.find_limit();
    }

    /// The device that feeds a device now.
    pub fn parent(&self, device: usize) -> Option<usize> {
        self.nodes[device].device.parent
    }

    /// What a device would lose at its output if it had power [nW].
    pub fn loss_at(&self, device: usize) -> i128 {
        loss_nw(&self.nodes[device].device.stage, self.nodes[device].out_nw)
    }

    /// Whether a device's feed has power.
    pub fn is_fed(&self, device: usize) -> bool {
        self.nodes[device].fed
    }

    /// What its battery gives to a device's load now; negative while it charges [nW].
    pub fn discharge_nw(&self, device: usize) -> i128 {
        let node = &self.nodes[device];
        if node.buffer.is_some() { node.out_nw + node.loss_nw - node.in_nw } else { 0 }
    }

    /// Number of zones that devices stand in.
    pub fn zones(&self) -> usize {
        self.zone_loss_nw.len()
    }

    /// Number of devices.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no device; never so for a tree that was built.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The device that hangs from nothing: where the meter is.
    pub fn root(&self) -> usize {
        self.order[0]
    }

    /// Cap the output of a device [nW], below its derated rating or not; `None` lifts the cap.
    pub fn set_cap_nw(&mut self, device: usize, cap_nw: Option<i128>) {
        let node = &mut self.nodes[device];
        node.cap_nw = cap_nw.unwrap_or(i128::MAX);
        node.find_limit();
    }

    /// Set the loads that hang directly from each device [nW] and compute the whole tree.
    pub fn set_loads_nw(&mut self, loads_nw: &[i128]) {
        for (node, new) in self.nodes.iter_mut().zip(loads_nw) {
            node.load_nw = (*new).clamp(0, CEILING_NW);
        }
        self.flow();
    }

    /// Change the load that hangs directly from one device [nW]: work along its path to the root only.
    pub fn set_load_nw(&mut self, device: usize, load_nw: i128) {
        let change = load_nw.clamp(0, CEILING_NW) - self.nodes[device].load_nw;
        self.add_load_nw(device, change, |_, _| {});
    }

    /// Add to the load that hangs directly from one device [nW], and tell the new loss [nW] of each device up to the
    /// root.
    #[inline]
    pub fn add_load_nw(&mut self, device: usize, change_nw: i128, mut tell: impl FnMut(usize, i128)) {
        let before_nw = self.nodes[device].load_nw;
        let load_nw = (before_nw + change_nw).clamp(0, CEILING_NW);
        self.nodes[device].load_nw = load_nw;
        let (mut change, mut at) = (load_nw - before_nw, Some(device));
        while let Some(d) = at {
            let node = &mut self.nodes[d];
            node.out_nw += change;
            if node.device.stage.is_lossless() && node.fed && node.buffer.is_none() {
                // A wire: nothing to tell.
                node.in_nw += change;
                at = node.device.parent;
                continue;
            }
            let loss_nw = node.loss_at(node.out_nw);
            let in_nw = node.input_at(node.out_nw, loss_nw);
            let more_in = in_nw - std::mem::replace(&mut node.in_nw, in_nw);
            let more_loss = loss_nw - std::mem::replace(&mut node.loss_nw, loss_nw);
            if let Some(zone) = node.device.zone {
                self.zone_loss_nw[zone] += more_loss;
            }
            tell(d, loss_nw);
            change = more_in;
            at = node.device.parent;
        }
    }

    /// Whether every device from `device` to the root stays within its limit if the load at `device` grows by
    /// `more_nw` [nW], losses included.
    pub fn fits(&self, device: usize, more_nw: i128) -> bool {
        let (mut change, mut at) = (more_nw, Some(device));
        while let Some(d) = at {
            let node = &self.nodes[d];
            let out_nw = node.out_nw + change;
            if out_nw > node.limit_nw {
                return false;
            }
            change = node.input_at(out_nw, node.loss_at(out_nw)) - node.in_nw;
            at = node.device.parent;
        }
        true
    }

    /// Loads may grow by so much in sum, wherever they hang, before any device carries too much [nW]; negative if
    /// one does. A bound: [`Tree::room_nw`] is exact, for one place.
    pub fn slack_nw(&self) -> i128 {
        let headroom = (0..self.nodes.len()).map(|d| self.headroom_nw(d)).min().unwrap_or(0);
        // Every loss on the way is rounded up.
        truncated(real(headroom) / self.gain) - self.nodes.len() as i128 - 1
    }

    /// Every device from its loads and its children's inputs, leaves first.
    pub fn flow(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.out_nw = node.load_nw);
        self.zone_loss_nw.fill(0);
        for &d in self.order.iter().rev() {
            let node = &mut self.nodes[d];
            let loss = node.loss_at(node.out_nw);
            (node.loss_nw, node.in_nw) = (loss, node.input_at(node.out_nw, loss));
            let (in_nw, Device { parent, zone, .. }) = (node.in_nw, node.device);
            if let Some(zone) = zone {
                self.zone_loss_nw[zone] += loss;
            }
            if let Some(parent) = parent {
                self.nodes[parent].out_nw += in_nw;
            }
        }
    }

    /// Load that hangs directly from a device [nW].
    pub fn load_nw(&self, device: usize) -> i128 {
        self.nodes[device].load_nw
    }

    /// What a device puts out: its loads and its children's inputs [nW].
    pub fn out_nw(&self, device: usize) -> i128 {
        self.nodes[device].out_nw
    }

    /// What a device draws [nW].
    pub fn in_nw(&self, device: usize) -> i128 {
        self.nodes[device].in_nw
    }

    /// What a device loses [nW].
    pub fn loss_nw(&self, device: usize) -> i128 {
        self.nodes[device].loss_nw
    }

    /// What the site draws from the grid and from generators [nW].
    pub fn meter_nw(&self) -> i128 {
        self.order[..self.roots].iter().map(|&d| self.nodes[d].in_nw).sum()
    }

    /// Losses that become heat in a zone [nW].
    pub fn zone_loss_nw(&self, zone: usize) -> i128 {
        self.zone_loss_nw.get(zone).copied().unwrap_or(0)
    }

    /// What a device may put out [nW].
    pub fn limit_nw(&self, device: usize) -> i128 {
        self.nodes[device].limit_nw
    }

    /// What a device may still put out [nW]; negative if it carries too much.
    pub fn headroom_nw(&self, device: usize) -> i128 {
        self.nodes[device].limit_nw - self.nodes[device].out_nw
    }

    /// Headroom as a share of the limit; −∞ at a limit of 0 that is passed.
    pub fn headroom_share(&self, device: usize) -> f64 {
        let (left, limit) = (self.headroom_nw(device), self.nodes[device].limit_nw);
        if limit > 0 {
            left as f64 / limit as f64
        } else if left < 0 {
            f64::NEG_INFINITY
        } else {
            0.0
        }
    }

    /// The device with the least headroom share; of equals, the one nearest to the root.
    pub fn tightest(&self) -> usize {
        let mut tightest = self.root();
        for &d in &self.order {
            if self.headroom_share(d) < self.headroom_share(tightest) {
                tightest = d;
            }
        }
        tightest
    }

    /// The same among the devices that feed `device`, itself included.
    pub fn tightest_above(&self, device: usize) -> usize {
        let mut tightest = device;
        let mut at = self.nodes[device].device.parent;
        while let Some(d) = at {
            if self.headroom_share(d) <= self.headroom_share(tightest) {
                tightest = d;
            }
            at = self.nodes[d].device.parent;
        }
        tightest
    }

    /// How much the load at `device` may grow before a device above it, or itself, carries too much [nW], the
    /// growth of their losses included; negative: how much it must shrink.
    pub fn room_nw(&self, device: usize) -> i128 {
        let mut path = [0; MAX_DEPTH + 1];
        let mut depth = 0;
        let mut at = Some(device);
        while let Some(d) = at {
            path[depth] = d;
            depth += 1;
            at = self.nodes[d].device.parent;
        }
        let root = path[depth - 1];
        let mut allowed_out = self.nodes[root].limit_nw;
        for pair in path[..depth].windows(2).rev() {
            let (d, parent) = (pair[0], pair[1]);
            let allowed_in = self.nodes[d].in_nw + allowed_out - self.nodes[parent].out_nw;
            allowed_out = self.nodes[d].limit_nw.min(self.nodes[d].largest_out_nw(allowed_in));
        }
        allowed_out - self.nodes[device].out_nw
    }

    /// Ratings of a device's children over its own: above 1 it is oversubscribed.
    pub fn oversubscription(&self, device: usize) -> f64 {
        let children = self.nodes.iter().map(|node| &node.device).filter(|d| d.parent == Some(device));
        children.map(|d| d.stage.rated_w()).sum::<f64>() / self.nodes[device].device.stage.rated_w()
    }

    /// The site at IT power `it_w` [W], split and cooled as `plan` says; `None` if cooling the plant's own
    /// losses has no end. The present loads do not matter.
    pub fn balance(&self, it_w: f64, plan: &Plan<'_>) -> Option<Balance> {
        let mut balance = Balance::default();
        self.balance_into(it_w, plan, &mut balance).then_some(balance)
    }

    /// [`Tree::balance`] in place; false if there is none.
    fn balance_into(&self, it_w: f64, plan: &Plan<'_>, balance: &mut Balance) -> bool {
        let zones = plan.mechanical.iter().map(|m| m.zone + 1);
        let zones = zones.chain(plan.shares.iter().filter_map(|s| s.zone).map(|zone| zone + 1));
        let zones = zones.max().unwrap_or(0).max(self.zone_loss_nw.len());
        let Balance { out_w, heat_w, plants_w, .. } = balance;
        plants_w.clear();
        plants_w.resize(plan.mechanical.len(), 0.0);
        // Cooling power heats a zone only through losses of devices above the plant that stand in it: a few
        // per cent of itself a round. Starting from none, the rounds rise to the least solution.
        for _ in 0..200 {
            out_w.clear();
            out_w.resize(self.nodes.len(), 0.0);
            heat_w.clear();
            heat_w.resize(zones, 0.0);
            for share in plan.shares {
                out_w[share.device] += share.share * it_w;
                if let Some(zone) = share.zone {
                    heat_w[zone] += share.share * it_w;
                }
            }
            for (mechanical, watts) in plan.mechanical.iter().zip(plants_w.iter()) {
                out_w[mechanical.device] += watts;
            }
            let mut meter_w = 0.0;
            for &d in self.order.iter().rev() {
                let node = &self.nodes[d];
                let Device { parent, ref stage, zone, .. } = node.device;
                let in_w = node.input_w(out_w[d]);
                if let Some(zone) = zone.filter(|_| node.fed || node.buffer.is_some()) {
                    heat_w[zone] += stage.loss_w(out_w[d]);
                }
                match parent {
                    Some(parent) => out_w[parent] += in_w,
                    None => meter_w += in_w,
                }
            }
            let mut settled = true;
            for (mechanical, watts) in plan.mechanical.iter().zip(plants_w.iter_mut()) {
                let next = (plan.cooling_w)(mechanical.zone, heat_w[mechanical.zone]);
                settled &= (next - *watts).abs() <= 1e-14 * meter_w;
                *watts = next;
            }
            if settled {
                (balance.it_w, balance.meter_w) = (it_w, meter_w);
                balance.cooling_w = balance.plants_w.iter().sum();
                return true;
            }
        }
        false
    }

    /// The largest IT power, at most `asked_w`, at which every device stays within its limit and every zone
    /// within its heat limit; `None` if losses and cooling without any IT are too much already.
    ///
    /// Bracketed false position (the Illinois rule): what it returns is always feasible, and the tightest
    /// limit is met to 1e-12, unless cooling power jumps there.
    pub fn largest_it(&self, asked_w: f64, plan: &Plan<'_>) -> Option<Largest> {
        // Sources and batteries together: no IT power is above that.
        let roots = self.order[..self.roots].iter().map(|&d| self.nodes[d].limit_nw);
        let given = self.nodes.iter().filter_map(|node| {
            node.buffer.as_ref().map(|buffer| if node.fed { buffer.most_discharge_nw } else { node.limit_nw })
        });
        let root_w = real(roots.chain(given).sum()) / NW_PER_W;
        let mut high_w = if asked_w.is_nan() { 0.0 } else { asked_w.clamp(0.0, root_w) };
        let mut fits = self.balance(0.0, plan)?;
        let (mut low_over, mut limit) = self.tightest_in(&fits, plan);
        if low_over > 0.0 {
            return None;
        }
        let mut trial = Balance::default();
        let mut high_over = f64::INFINITY;
        if self.balance_into(high_w, plan, &mut trial) {
            (high_over, limit) = self.tightest_in(&trial, plan);
            if high_over <= 0.0 {
                let limit = if high_over >= -TIGHT { limit } else { Limit::Asked };
                return Some(Largest { balance: trial, limit });
            }
        }
        let mut low_w = 0.0;
        let mut last_side = 0;
        for _ in 0..200 {
            if low_over >= -TIGHT || high_w - low_w <= 1e-15 * high_w {
                break;
            }
            let secant_w = low_w + (high_w - low_w) * (low_over / (low_over - high_over));
            // A jump, or a first step without a finite end: halve instead.
            let inside = secant_w > low_w && secant_w < high_w;
            let it_w = if inside { secant_w } else { 0.5 * (low_w + high_w) };
            if it_w <= low_w || it_w >= high_w {
                break;
            }
            let there = self.balance_into(it_w, plan, &mut trial).then(|| self.tightest_in(&trial, plan));
            match there {
                Some((over, by)) if over <= 0.0 => {
                    (low_w, low_over) = (it_w, over);
                    std::mem::swap(&mut fits, &mut trial);
                    if over >= -TIGHT {
                        limit = by;
                    }
                    high_over *= if last_side == -1 { 0.5 } else { 1.0 };
                    last_side = -1;
                }
                there => {
                    // What is passed just above the solution is what limits it, even where it jumps.
                    (high_w, high_over) = (it_w, f64::INFINITY);
                    if let Some((over, by)) = there {
                        (high_over, limit) = (over, by);
                    }
                    // The kept end's weight shrinks, but never to what would count as reached.
                    low_over = if last_side == 1 { (low_over * 0.5).min(-2.0 * TIGHT) } else { low_over };
                    last_side = 1;
                }
            }
        }
        Some(Largest { balance: fits, limit })
    }

    /// By what share the tightest limit is passed (negative: what is left), and which one that is.
    pub fn tightest_in(&self, balance: &Balance, plan: &Plan<'_>) -> (f64, Limit) {
        let mut tightest = (f64::NEG_INFINITY, Limit::Asked);
        for &d in &self.order {
            let limit_w = real(self.nodes[d].limit_nw) / NW_PER_W;
            let over = share_over(balance.out_w[d], limit_w);
            if over > tightest.0 {
                tightest = (over, Limit::Device(d));
            }
        }
        for (zone, (&heat_w, &limit_w)) in balance.heat_w.iter().zip(plan.heat_limits_w).enumerate() {
            let over = share_over(heat_w, limit_w);
            if over > tightest.0 {
                tightest = (over, Limit::Zone(zone));
            }
        }
        tightest
    }
}

/// How IT power is spread over a site, and what cools it.
pub struct Plan<'a> {
    /// Where each share of the IT power hangs; shares sum to 1.
    pub shares: &'a [ItShare],
    /// The feeds of the cooling plants.
    pub mechanical: &'a [Mechanical],
    /// Cooling power [W] of a zone at its heat [W]; must not fall as the heat rises.
    pub cooling_w: &'a dyn Fn(usize, f64) -> f64,
    /// Most heat each zone may take [W]; zones beyond the slice have no limit.
    pub heat_limits_w: &'a [f64],
}

/// A share of the IT power of a site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItShare {
    /// Device it hangs from.
    pub device: usize,
    /// Zone it heats.
    pub zone: Option<usize>,
    /// Share of the IT power.
    pub share: f64,
}

/// The feed of a zone's cooling plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanical {
    /// Device the plant hangs from.
    pub device: usize,
    /// Zone it cools.
    pub zone: usize,
}

/// A site in steady state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Balance {
    /// IT power [W].
    pub it_w: f64,
    /// Power at the meter [W].
    pub meter_w: f64,
    /// Cooling power [W].
    pub cooling_w: f64,
    /// Power of each plant, in the order of [`Plan::mechanical`] [W].
    pub plants_w: Vec<f64>,
    /// Output of each device [W].
    pub out_w: Vec<f64>,
    /// Heat of each zone: IT, and losses of the devices in it [W].
    pub heat_w: Vec<f64>,
}

impl Balance {
    /// Losses of all devices [W].
    pub fn loss_w(&self) -> f64 {
        self.meter_w - self.it_w - self.cooling_w
    }
}

/// The largest IT power of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Largest {
    /// The site there.
    pub balance: Balance,
    /// What forbids more.
    pub limit: Limit,
}

/// What forbids more IT power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: no more was asked for.
    Asked,
    /// A device's rating or cap.
    Device(usize),
    /// A zone's heat limit.
    Zone(usize),
}

/// By what share `limit` is passed.
fn share_over(value: f64, limit: f64) -> f64 {
    if limit > 0.0 {
        value / limit - 1.0
    } else if value > 0.0 {
        f64::INFINITY
    } else {
        0.0
    }
}

/// Loss at an output, rounded up to a nanowatt [nW]; never falls as the output rises.
#[inline]
fn loss_nw(stage: &LossStage, out_nw: i128) -> i128 {
    let loss_nw = stage.loss_w(real(out_nw) / NW_PER_W) * NW_PER_W;
    if loss_nw < 9e18 { i128::from(short_rounded_up(loss_nw)) } else { rounded_up(loss_nw).min(CEILING_NW) }
}

/// An output whose input is within `in_nw`, to a few nanowatts the largest [nW]; negative if the loss
/// without load is more than that.
fn largest_out_nw(stage: &LossStage, in_nw: i128) -> i128 {
    let mut out = truncated(stage.output_w(real(in_nw) / NW_PER_W) * NW_PER_W);
    // Rounding leaves an excess of nanowatts; an output that much smaller has an input at least that much
    // smaller, so this ends.
    loop {
        let excess = out + loss_nw(stage, out) - in_nw;
        if excess <= 0 {
            return out;
        }
        out -= excess;
    }
}

/// Indices of the devices, parents before children, the root first and `sources` after it; and how many of these
/// there are.
fn parents_first(devices: &[Device], sources: &[usize]) -> Result<(Vec<usize>, usize), TreeError> {
    let mut root = None;
    let mut children = vec![Vec::new(); devices.len()];
    for (d, device) in devices.iter().enumerate() {
        match (device.parent, root) {
            (None, _) if sources.contains(&d) => {}
            (None, None) => root = Some(d),
            (None, Some(first)) => return Err(TreeError::TwoRoots(first, d)),
            (Some(parent), _) => children.get_mut(parent).ok_or(TreeError::UnknownParent(d))?.push(d),
        }
    }
    let mut order = vec![root.ok_or(TreeError::NoRoot)?];
    order.extend(sources.iter().filter(|&&d| devices.get(d).is_some_and(|device| device.parent.is_none())));
    let roots = order.len();
    let mut depth = vec![None; devices.len()];
    for &d in &order {
        depth[d] = Some(0);
    }
    let mut next = 0;
    while let Some(&d) = order.get(next) {
        next += 1;
        for &child in &children[d] {
            let below = depth[d].map_or(0, |depth| depth + 1);
            if below > MAX_DEPTH {
                return Err(TreeError::TooDeep(child));
            }
            depth[child] = Some(below);
            order.push(child);
        }
    }
    match depth.iter().position(Option::is_none) {
        Some(unreached) => Err(TreeError::Cycle(unreached)),
        None => Ok((order, roots)),
    }
}

#[cfg(test)]
mod tests;
