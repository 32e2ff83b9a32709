//! The building of a site alone, in steady state: what it draws and evaporates at an IT power in some air, and
//! what forbids more.
//!
//! IT power is split over the site's pools by their number of GPUs: the watts of a pool at full load would hang
//! on the requests it gets, and here are none. Each plant carries the heat of its zone for good: at its set point
//! where it can, else warmer and at full speed. A point is sustainable if every device stays within its derated
//! rating, the meter also within its cap, and every zone within the heat that its plant rejects at `hold_c`
//! (`set_c` when instantaneous).

use std::path::Path;

use super::weather::{COLDEST_C, WARMEST_C, must_be};
use super::{Facility, Fleet};
use crate::input::{InputError, Table};
use crate::physics::plant::PlantNow;
use crate::physics::tree::{ItShare, Limit, Mechanical, Plan, Tree, TreeError};
use crate::physics::weather::Air;
use crate::physics::zone::Zone;
use crate::scenario::suggestion;

/// Watts in a megawatt.
const W_PER_MW: f64 = 1e6;
/// Most IT power of a point [MW]: more than all that is generated on Earth.
const MOST_MW: f64 = 1e7;
/// Share of the asked IT power by which the search may fall short: it meets limits to 1e-12.
const TIGHT: f64 = 1e-9;
/// Columns of a file of points.
const WET: &str = "wet_bulb_c";
const IT: &str = "it_mw";
const DRY: &str = "dry_bulb_c";

/// A question: this much IT power in this air.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Outdoor air.
    pub air: Air,
    /// IT power [MW].
    pub it_mw: f64,
}

/// Read points from a CSV with the columns `wet_bulb_c` [°C], `it_mw` [MW] and, if wanted, `dry_bulb_c` [°C],
/// in any order. Without the last, the dry bulb is the wet bulb (saturated air). `field` names the file's origin
/// in messages.
///
/// # Errors
/// What is wrong, with file, line and column.
pub fn read_points(path: &Path, field: &str) -> Result<Vec<Point>, InputError> {
    let mut table = Table::open(path, field)?;
    let (wet, it, dry) = (table.require(WET)?, table.require(IT)?, table.column(DRY));
    let known = [WET, IT, DRY];
    if let Some(i) = table.header().iter().position(|name| !known.contains(&name.as_str())) {
        let name = &table.header()[i];
        let hint = suggestion(name, known);
        return Err(table.bad(i, format!("unknown column `{name}`{hint}")));
    }
    let mut points = Vec::new();
    while table.advance()? {
        let celsius = |column: usize| match table.text(column).trim().parse::<f64>() {
            Ok(value) if (COLDEST_C..=WARMEST_C).contains(&value) => Ok(value),
            _ => Err(table.bad_value(column, &must_be())),
        };
        let wet_bulb_c = celsius(wet)?;
        let dry_bulb_c = dry.map_or(Ok(wet_bulb_c), celsius)?;
        if let Some(dry) = dry.filter(|_| dry_bulb_c < wet_bulb_c) {
            let problem = format!("is below the wet bulb ({wet_bulb_c} °C); no air has that");
            return Err(table.bad_value(dry, &problem));
        }
        let it_mw = match table.text(it).trim().parse::<f64>() {
            Ok(value) if (0.0..=MOST_MW).contains(&value) => value,
            _ => {
                return Err(table.bad_value(it, &format!("is no IT power; expected 0 to {MOST_MW} MW")));
            }
        };
        points.push(Point { air: Air { wet_bulb_c, dry_bulb_c }, it_mw });
    }
    if points.is_empty() {
        return Err(table.bad_file("has a header but no rows; each row is a point".into()));
    }
    Ok(points)
}

/// What the building does at a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Steady {
    /// IT power asked for [W].
    pub it_w: f64,
    /// The flows; `None` if losses and cooling feed each other without end.
    pub flows: Option<Flows>,
    /// The device or zone that forbids so much IT power, `<site>.<name>`: of several, the one that is met first
    /// as IT power rises from 0. `None`: sustainable.
    pub limit: Option<String>,
}

/// Flows of a building.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flows {
    /// Power at the utility meter over IT power; `None` without IT power.
    pub pue: Option<f64>,
    /// Losses of all devices [W].
    pub loss_w: f64,
    /// Fans, pumps and compressors of all plants [W].
    pub cooling_w: f64,
    /// Make-up water [kg/s].
    pub water_kg_per_s: f64,
}

/// A site's building, ready to be asked.
#[derive(Debug, Clone)]
pub struct SteadyBuilding<'a> {
    facility: &'a Facility,
    tree: Tree,
    shares: Vec<ItShare>,
    mechanical: Vec<Mechanical>,
}

impl<'a> SteadyBuilding<'a> {
    /// The building of site number `site`; `None` if it has no power tree. The cap at the meter counts with its
    /// highest level over time.
    ///
    /// # Errors
    /// A facility that no scenario makes: its devices are no tree.
    pub fn new(fleet: &'a Fleet, site: usize) -> Result<Option<Self>, TreeError> {
        let site = &fleet.sites[site];
        let Some(facility) = &site.facility else { return Ok(None) };
        let mut tree = Tree::new(facility.devices.clone())?;
        tree.set_cap_nw(tree.root(), site.cap.iter().map(super::CapLevel::meter_nw).max());
        let pools = &fleet.pools[site.pools.clone()];
        let gpus = |pool: &super::Pool| pool.replicas.len() as f64 * f64::from(pool.gpus_per_replica);
        let all: f64 = pools.iter().map(gpus).sum();
        let share = |pool: &super::Pool| ItShare {
            device: pool.feed.unwrap_or(facility.root),
            zone: pool.zone,
            share: gpus(pool) / all,
        };
        let zones = facility.zones.iter().enumerate();
        Ok(Some(Self {
            facility,
            tree,
            shares: pools.iter().map(share).collect(),
            mechanical: zones.map(|(zone, spec)| Mechanical { device: spec.feed, zone }).collect(),
        }))
    }

    /// Steady state at a point.
    pub fn at(&self, point: &Point) -> Steady {
        let it_w = point.it_mw * W_PER_MW;
        let plants: Vec<PlantNow> =
            self.facility.zones.iter().map(|spec| spec.params.plant.under(point.air)).collect();
        // A zone that the fleet was built with can be built.
        let bearable =
            |spec: &super::ZoneSpec| Zone::new(spec.params, 0, point.air).map_or(0.0, |z| z.sustainable_w());
        let heat_limits_w: Vec<f64> = self.facility.zones.iter().map(bearable).collect();
        let cooling_w = |zone: usize, heat_w: f64| plants[zone].regulated(heat_w).power_w();
        let plan = Plan {
            shares: &self.shares,
            mechanical: &self.mechanical,
            cooling_w: &cooling_w,
            heat_limits_w: &heat_limits_w,
        };
        let flows = self.tree.balance(it_w, &plan).map(|balance| Flows {
            pue: (it_w > 0.0).then(|| balance.meter_w / it_w),
            loss_w: balance.loss_w(),
            cooling_w: balance.cooling_w,
            water_kg_per_s: plants
                .iter()
                .zip(&balance.heat_w)
                .map(|(plant, &heat_w)| {
                    // A warmer zone rejects more to the outdoors; a chiller alone cannot be outgrown.
                    let outdoors = plant.conductance_w_per_k() > 0.0;
                    let rejected_w = if outdoors { heat_w } else { heat_w.min(plant.chiller_w) };
                    plant.water_kg_per_s(rejected_w, &plant.regulated(heat_w))
                })
                .sum(),
        });
        Steady { it_w, flows, limit: self.limit(it_w, &plan) }
    }

    fn limit(&self, it_w: f64, plan: &Plan<'_>) -> Option<String> {
        let limit = match self.tree.largest_it(it_w, plan) {
            Some(largest) if largest.balance.it_w >= it_w * (1.0 - TIGHT) => return None,
            Some(largest) => largest.limit,
            // Too much without any IT power.
            None => match self.tree.balance(0.0, plan) {
                Some(idle) => self.tree.tightest_in(&idle, plan).1,
                None => Limit::Device(self.tree.root()),
            },
        };
        Some(match limit {
            Limit::Zone(zone) => self.facility.zones[zone].name.clone(),
            Limit::Device(device) => self.facility.names[device].clone(),
            Limit::Asked => return None,
        })
    }
}
