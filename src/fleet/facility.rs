//! The building of a site: its power tree, its cooling zones, its weather.

use std::path::Path;

use super::plant::plant;
use super::supply::Supply;
use super::weather;
use crate::physics::loss::{DeviceKind, LossShares, LossStage};
use crate::physics::parameter::BadParameter;
use crate::physics::tree::{Device, Tree, TreeError};
use crate::physics::weather::Weather;
use crate::physics::zone::{Ladder, Mode, Zone, ZoneParams};
use crate::scenario::Problem;
use crate::scenario::types::{self, Site, UpsMode, ZoneMode};

/// Step in which GPUs see their inlet temperature [K]. Model choice: at 0.06 K/W it is worth 8 W of a GPU.
const INLET_STEP_K: f64 = 0.5;
/// Watts in a megawatt.
const W_PER_MW: f64 = 1e6;

/// The building of a site.
#[derive(Debug, Clone)]
pub struct Facility {
    /// Power devices, in the scenario's order.
    pub devices: Vec<Device>,
    /// Their names, `<site>.<device>`.
    pub names: Vec<String>,
    /// Their kinds.
    pub kinds: Vec<DeviceKind>,
    /// The utility: where the meter is and the cap applies.
    pub root: usize,
    /// How power gets to them.
    pub supply: Supply,
    /// Cooling zones, in the scenario's order; empty without cooling.
    pub zones: Vec<ZoneSpec>,
    /// Outdoor air; present where there are zones.
    pub weather: Option<Weather>,
}

/// A cooling zone.
#[derive(Debug, Clone)]
pub struct ZoneSpec {
    /// Name, `<site>.<zone>`.
    pub name: String,
    /// The device its plant hangs from.
    pub feed: usize,
    /// What it is made of.
    pub params: ZoneParams,
}

impl Facility {
    /// The building of the site at `path`; `None` if it has no power tree.
    ///
    /// # Errors
    /// What cannot be built, by the path of the field.
    pub(super) fn build(
        site: &Site,
        path: &str,
        base_dir: &Path,
        start_at_h: f64,
    ) -> Result<Option<Self>, Vec<Problem>> {
        if site.power.tree.is_empty() {
            return Ok(None);
        }
        let mut problems = Vec::new();
        let mut devices = Vec::new();
        for (i, device) in site.power.tree.iter().enumerate() {
            match power_device(site, device, &format!("{path}.power.tree.{i}")) {
                Ok(device) => devices.push(device),
                Err(problem) => problems.push(problem),
            }
        }
        let mut zones = Vec::new();
        let specs = site.cooling.iter().flat_map(|cooling| &cooling.zones).enumerate();
        for (i, zone) in specs {
            match zone_spec(site, zone, &format!("{path}.cooling.zones.{i}")) {
                Ok(zone) => zones.push(zone),
                Err(problem) => problems.push(problem),
            }
        }
        let mut weather = None;
        if let Some(written) = &site.weather {
            match weather::read(written, &format!("{path}.weather"), base_dir, start_at_h) {
                Ok(read) => weather = Some(read),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let supply = Supply::build(site, path)?;
        let tree = Tree::with_sources(devices.clone(), &supply.generators())
            .map_err(|error| vec![in_tree(site, path, &error)])?;
        if let Some(weather) = &weather {
            for (i, zone) in zones.iter().enumerate() {
                if let Err(error) = Zone::new(zone.params, 0, weather.at(0)) {
                    problems.push(wrong(&format!("{path}.cooling.zones.{i}"), &error));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Some(Self {
            names: site.power.tree.iter().map(|device| format!("{}.{}", site.name, device.name)).collect(),
            kinds: site.power.tree.iter().map(kind).collect(),
            root: tree.root(),
            supply,
            devices,
            zones,
            weather,
        }))
    }

    /// For every device, the one that feeds it.
    pub(super) fn parents(&self) -> Vec<Option<usize>> {
        self.devices.iter().map(|device| device.parent).collect()
    }
}

/// Number of the power device of a name.
pub(super) fn device_named(site: &Site, name: &str, path: &str) -> Result<usize, Problem> {
    site.power
        .tree
        .iter()
        .position(|device| device.name == name)
        .ok_or_else(|| Problem { path: path.into(), message: format!("unknown device '{name}'") })
}

/// Number of the cooling zone of a name.
pub(super) fn zone_named(site: &Site, name: &str, path: &str) -> Result<usize, Problem> {
    site.cooling
        .iter()
        .flat_map(|cooling| &cooling.zones)
        .position(|zone| zone.name == name)
        .ok_or_else(|| Problem { path: path.into(), message: format!("unknown cooling zone '{name}'") })
}

/// The kind of a power device as written, which decides its losses.
pub(crate) fn kind(device: &types::PowerDevice) -> DeviceKind {
    match &device.device {
        types::Device::Utility(_) => DeviceKind::Utility,
        types::Device::Transformer(_) => DeviceKind::Transformer,
        types::Device::Ups(ups) => match ups.mode {
            None | Some(UpsMode::DoubleConversion) => DeviceKind::UpsDoubleConversion,
            Some(UpsMode::Eco) => DeviceKind::UpsEco,
        },
        types::Device::Pdu(_) => DeviceKind::Pdu,
        types::Device::MechanicalBus(_) => DeviceKind::MechanicalBus,
        types::Device::Generator(_) => DeviceKind::Generator,
    }
}

fn power_device(site: &Site, device: &types::PowerDevice, path: &str) -> Result<Device, Problem> {
    let installed = match &device.device {
        types::Device::Ups(ups) => {
            f64::from(ups.modules.saturating_add(ups.redundant)) / f64::from(ups.modules.max(1))
        }
        _ => 1.0,
    };
    let shares = match device.loss {
        Some(types::Loss { a0, a1, a2 }) => LossShares { a0, a1, a2 },
        None => kind(device).default_loss(),
    };
    let parent = device.parent.as_deref();
    let zone = device.zone.as_deref();
    Ok(Device {
        parent: parent.map(|name| device_named(site, name, &format!("{path}.parent"))).transpose()?,
        // Redundant modules share the load, but add nothing to what the device may carry.
        stage: LossStage::new(device.device.rated_mw() * W_PER_MW * installed, shares)
            .map_err(|error| wrong(path, &error))?,
        derate: device.derate / installed,
        zone: zone.map(|name| zone_named(site, name, &format!("{path}.zone"))).transpose()?,
    })
}

fn zone_spec(site: &Site, zone: &types::Zone, path: &str) -> Result<ZoneSpec, Problem> {
    let plant = plant(&zone.plant, zone.capacity_scale * W_PER_MW, zone.set_c)
        .map_err(|error| wrong(&format!("{path}.plant.{}", zone.plant.word()), &error))?;
    // An instantaneous zone stays at its set point: neither mass nor ladder is used.
    let ladder = zone.ladder.map_or(
        Ladder { warn_c: 0.0, hold_c: 0.0, critical_c: 0.0, trip_c: 0.0, hysteresis_k: 0.0 },
        |types::Ladder { warn_c, hold_c, critical_c, trip_c, hysteresis_k }| Ladder {
            warn_c,
            hold_c,
            critical_c,
            trip_c,
            hysteresis_k,
        },
    );
    Ok(ZoneSpec {
        name: format!("{}.{}", site.name, zone.name),
        feed: device_named(site, &zone.feed, &format!("{path}.feed"))?,
        params: ZoneParams {
            plant,
            thermal_mass_j_per_k: zone.thermal_mass_mj_per_k.unwrap_or(0.0) * 1e6,
            mode: match zone.mode {
                ZoneMode::Buffered => Mode::Buffered,
                ZoneMode::Instantaneous => Mode::Instantaneous,
            },
            ladder,
            initial_c: zone.set_c,
            inlet_step_k: match zone.mode {
                ZoneMode::Buffered => INLET_STEP_K,
                ZoneMode::Instantaneous => 0.0,
            },
        },
    })
}

pub(super) fn wrong(path: &str, error: &BadParameter) -> Problem {
    Problem { path: path.into(), message: error.to_string() }
}

/// A tree's own complaint, with the device by its name.
fn in_tree(site: &Site, path: &str, error: &TreeError) -> Problem {
    let tree = format!("{path}.power.tree");
    let name = |device: &usize| site.power.tree.get(*device).map_or("", |device| device.name.as_str());
    let (path, message) = match error {
        TreeError::NoRoot => (tree, "has no utility".into()),
        TreeError::TwoRoots(a, b) => {
            (tree, format!("'{}' and '{}' both hang from nothing; a site has one meter", name(a), name(b)))
        }
        TreeError::UnknownParent(device) => {
            (format!("{tree}.{device}.parent"), "is no device of the tree".into())
        }
        TreeError::Cycle(device) => {
            (format!("{tree}.{device}.parent"), format!("'{}' does not lead to the utility", name(device)))
        }
        TreeError::TooDeep(device) => (
            format!("{tree}.{device}.parent"),
            format!(
                "'{}' is too many devices away from the utility; leave out those in between",
                name(device)
            ),
        ),
        TreeError::Parameter { device, source } => (format!("{tree}.{device}"), source.to_string()),
    };
    Problem { path, message }
}
