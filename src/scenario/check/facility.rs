//! What must hold in a site's power tree, weather and cooling zones.

use super::super::nearest::suggestion;
use super::super::types::{
    Cooling, Device, Ladder, PowerDevice, Site, TemperatureCourse, Weather, Zone, ZoneMode,
};
use super::Check;

/// Largest device or plant [MW]; more than all the world's power stations would be a slip of a unit.
pub(super) const MAX_MW: f64 = 1e6;
/// Warmer or colder than written [K]: more is another climate.
const OFFSET_K: (f64, f64) = (-30.0, 30.0);
/// Last hour of a spell [h], more than a century.
const MAX_HOUR: u64 = 1_000_000;
/// Coldest and warmest outdoor air of a scenario [°C]: beyond what was ever measured on Earth.
pub(super) const OUTDOORS_C: (f64, f64) = (-90.0, 60.0);
/// Coldest and warmest supply, water and threshold temperature [°C].
pub(super) const INDOORS_C: (f64, f64) = (-50.0, 150.0);
/// Most devices of a site; the check for cycles follows each to the meter.
const MAX_DEVICES: usize = 10_000;
/// Largest thermal mass [MJ/K].
const MAX_MASS: f64 = 1e9;

impl Check {
    /// Power tree, weather and cooling of the site at `path`, and its pools' places in them.
    pub(super) fn facility(&mut self, path: &str, site: &Site) {
        let tree = &site.power.tree;
        if site.static_pue.is_some() {
            let other = match (tree.is_empty(), &site.cooling) {
                (false, _) => Some("a power tree"),
                (true, Some(_)) => Some("cooling"),
                (true, None) => None,
            };
            if let Some(other) = other {
                self.refuse(
                    format!("{path}.static_pue"),
                    format!("stands for losses and cooling, which {other} computes; leave one of them out"),
                );
            }
        }
        let feeds: Vec<&str> = tree.iter().map(|device| device.name.as_str()).collect();
        let zones: Option<Vec<&str>> = site
            .cooling
            .as_ref()
            .map(|cooling| cooling.zones.iter().map(|zone| zone.name.as_str()).collect());
        if !tree.is_empty() {
            self.tree(&format!("{path}.power.tree"), tree, zones.as_deref());
        }
        for (i, pool) in site.pools.iter().enumerate() {
            let pool_path = format!("{path}.pools.{i}");
            self.pool_feed(&pool_path, pool.feed.as_deref(), tree, &feeds);
            self.place_in_zone(&format!("{pool_path}.zone"), pool.zone.as_deref(), zones.as_deref());
            if pool.zone.is_none()
                && let Some(zones) = &zones
            {
                self.refuse(
                    pool_path,
                    format!("zone is missing; name the cooling zone the nodes heat ({})", zones.join(", ")),
                );
            }
        }
        match (&site.weather, &site.cooling) {
            (Some(_), None) => {
                self.refuse(
                    format!("{path}.weather"),
                    "changes nothing without cooling; add it, or leave both out",
                );
            }
            (None, Some(_)) => {
                self.refuse(
                    format!("{path}.cooling"),
                    "works against the outdoor air, which is missing; add weather to the site",
                );
            }
            _ => {}
        }
        if let Some(weather) = &site.weather {
            self.weather(&format!("{path}.weather"), weather);
        }
        if let Some(cooling) = &site.cooling {
            self.cooling(&format!("{path}.cooling"), cooling, tree, &feeds);
        }
    }

    fn tree(&mut self, path: &str, tree: &[PowerDevice], zones: Option<&[&str]>) {
        if tree.len() > MAX_DEVICES {
            self.refuse(path, format!("has {} devices; at most {MAX_DEVICES}", tree.len()));
            return;
        }
        self.unique(
            tree.iter().enumerate().map(|(i, device)| (format!("{path}.{i}.name"), device.name.as_str())),
            "device",
        );
        let mut utility: Option<&str> = None;
        for (i, device) in tree.iter().enumerate() {
            let path = format!("{path}.{i}");
            self.device(&path, device);
            self.supply(&path, device);
            self.backups(&path, device, tree);
            self.place_in_zone(&format!("{path}.zone"), device.zone.as_deref(), zones);
            match (&device.device, &device.parent) {
                (Device::Utility(_), parent) => {
                    if parent.is_some() {
                        self.refuse(
                            format!("{path}.parent"),
                            "must be left out: a utility is the connection to the grid, nothing feeds it",
                        );
                    }
                    if let Some(first) = utility {
                        self.refuse(
                            format!("{path}.device"),
                            format!("there is already a utility, '{first}'; a site has one meter"),
                        );
                    }
                    utility.get_or_insert(&device.name);
                }
                (Device::Generator(_), None) => {}
                (Device::Generator(_), Some(_)) => {
                    self.refuse(
                        format!("{path}.parent"),
                        "must be left out: nothing feeds a generator; devices name it among their backups",
                    );
                }
                (kind, None) => {
                    self.refuse(
                        &path,
                        format!(
                            "parent is missing: '{}' hangs from nothing; only a utility or a generator may, and it is a {}",
                            device.name,
                            kind.word()
                        ),
                    );
                }
                (_, Some(parent)) => {
                    if !tree.iter().any(|other| other.name == *parent) {
                        let known = tree.iter().map(|other| other.name.as_str());
                        let known = known.filter(|name| *name != device.name);
                        self.refuse(
                            format!("{path}.parent"),
                            format!("unknown device '{parent}'{}", suggestion(parent, known)),
                        );
                    }
                }
            }
        }
        // A device that hangs from nothing is told already.
        if utility.is_none() && tree.iter().all(|device| device.parent.is_some()) {
            self.refuse(path, "has no utility; one device must be the connection to the grid");
        }
        self.cycles(path, tree);
    }

    /// Each circle of devices is told once, at its first device.
    fn cycles(&mut self, path: &str, tree: &[PowerDevice]) {
        let index = |name: &str| tree.iter().position(|device| device.name == name);
        // A utility with a parent is told already.
        let feeder = |device: &PowerDevice| match device.device {
            Device::Utility(_) | Device::Generator(_) => None,
            _ => device.parent.as_deref().and_then(index),
        };
        let parents: Vec<Option<usize>> = tree.iter().map(feeder).collect();
        // The walk, from 1, in which a device was met.
        let mut met = vec![0; tree.len()];
        for start in 0..tree.len() {
            let mut at = start;
            while met[at] == 0 {
                met[at] = start + 1;
                match parents[at] {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
            // It came back to a device of this very walk: from there on it is a circle.
            if met[at] == start + 1 && parents[at].is_some() {
                let mut circle = vec![at];
                let mut next = parents[at];
                while let Some(device) = next
                    && device != at
                {
                    circle.push(device);
                    next = parents[device];
                }
                let first = circle.iter().copied().min().unwrap_or(at);
                let place = circle.iter().position(|device| *device == first).unwrap_or(0);
                circle.rotate_left(place);
                circle.push(first);
                let names: Vec<&str> = circle.iter().map(|device| tree[*device].name.as_str()).collect();
                self.refuse(
                    format!("{path}.{first}.parent"),
                    format!(
                        "is a circle: {}; each device must lead to the utility",
                        names.join(" hangs from ")
                    ),
                );
            }
        }
    }

    fn device(&mut self, path: &str, device: &PowerDevice) {
        self.name(&format!("{path}.name"), &device.name);
        let word = device.device.word();
        self.positive(&format!("{path}.device.{word}.rated_mw"), device.device.rated_mw(), MAX_MW);
        self.require(
            &format!("{path}.derate"),
            device.derate,
            device.derate > 0.0 && device.derate <= 1.0,
            "above 0 and at most 1",
        );
        let Some(loss) = &device.loss else { return };
        for (name, share) in [("a0", loss.a0), ("a1", loss.a1), ("a2", loss.a2)] {
            self.require(
                &format!("{path}.loss.{name}"),
                share,
                (0.0..=1.0).contains(&share),
                "a share of the rating, 0 to 1",
            );
        }
        if let Device::Ups(ups) = &device.device
            && ups.mode.is_some()
        {
            self.refuse(
                format!("{path}.device.ups.mode"),
                "decides the losses, which `loss` gives; leave one of them out",
            );
        }
    }

    fn pool_feed(&mut self, path: &str, feed: Option<&str>, tree: &[PowerDevice], feeds: &[&str]) {
        let field = format!("{path}.feed");
        match feed {
            None if tree.is_empty() => {}
            None => {
                let usable = tree.iter().filter(|device| !matches!(device.device, Device::MechanicalBus(_)));
                let usable: Vec<&str> = usable.map(|device| device.name.as_str()).collect();
                self.refuse(
                    path,
                    format!(
                        "feed is missing; name the power device the nodes hang from ({})",
                        usable.join(", ")
                    ),
                );
            }
            Some(_) if tree.is_empty() => {
                self.refuse(
                    field,
                    "names a power device, but the site has no power.tree; add one, or leave it out",
                );
            }
            Some(feed) => match tree.iter().find(|device| device.name == feed) {
                None => self.refuse(
                    field,
                    format!("unknown device '{feed}'{}", suggestion(feed, feeds.iter().copied())),
                ),
                Some(device) if matches!(device.device, Device::MechanicalBus(_)) => self.refuse(
                    field,
                    format!("'{feed}' is a mechanical_bus, which feeds cooling plants; name another device"),
                ),
                Some(_) => {}
            },
        }
    }

    /// A zone that is named must be there.
    fn place_in_zone(&mut self, path: &str, zone: Option<&str>, zones: Option<&[&str]>) {
        match (zone, zones) {
            (Some(_), None) => {
                self.refuse(
                    path,
                    "names a cooling zone, but the site has no cooling; add it, or leave this out",
                );
            }
            (Some(zone), Some(zones)) if !zones.contains(&zone) => {
                self.refuse(
                    path,
                    format!("unknown cooling zone '{zone}'{}", suggestion(zone, zones.iter().copied())),
                );
            }
            _ => {}
        }
    }

    fn weather(&mut self, path: &str, weather: &Weather) {
        self.between(&format!("{path}.offset_k"), weather.offset_k, OFFSET_K, "K");
        for (i, spell) in weather.spells.iter().enumerate() {
            let path = format!("{path}.spells.{i}");
            self.count(&format!("{path}.to_h"), spell.to_h.into(), MAX_HOUR);
            self.require(
                &format!("{path}.from_h"),
                spell.from_h,
                spell.from_h < spell.to_h,
                &format!("below to_h ({})", spell.to_h),
            );
            for (name, added_k) in [("wet_bulb_k", spell.wet_bulb_k), ("dry_bulb_k", spell.dry_bulb_k)] {
                self.between(&format!("{path}.{name}"), added_k, OFFSET_K, "K");
            }
        }
        for (name, course) in [("wet_bulb_c", &weather.wet_bulb_c), ("dry_bulb_c", &weather.dry_bulb_c)] {
            let path = format!("{path}.{name}");
            match course {
                TemperatureCourse::Constant(value) => {
                    self.between(&format!("{path}.constant"), *value, OUTDOORS_C, "°C");
                }
                TemperatureCourse::Daily(daily) => {
                    let path = format!("{path}.daily");
                    self.between(&format!("{path}.min"), daily.min, OUTDOORS_C, "°C");
                    self.between(&format!("{path}.max"), daily.max, OUTDOORS_C, "°C");
                    self.require(
                        &format!("{path}.max"),
                        daily.max,
                        daily.max >= daily.min,
                        &format!("at least min ({})", daily.min),
                    );
                    self.require(
                        &format!("{path}.max_at_h"),
                        daily.max_at_h,
                        (0.0..=24.0).contains(&daily.max_at_h),
                        "a time of day, 0 to 24",
                    );
                }
                TemperatureCourse::Csv(table) => {
                    if table.column.is_empty() {
                        self.refuse(format!("{path}.csv.column"), "must name a column of the CSV");
                    }
                }
                TemperatureCourse::Epw(file) => {
                    self.count(&format!("{path}.epw.from_day"), file.from_day.into(), u32::MAX.into());
                }
            }
        }
    }

    fn cooling(&mut self, path: &str, cooling: &Cooling, tree: &[PowerDevice], feeds: &[&str]) {
        if tree.is_empty() {
            self.refuse(path, "needs a power tree, from which the plants hang; add power.tree to the site");
        }
        let zones = &cooling.zones;
        if zones.is_empty() {
            self.refuse(format!("{path}.zones"), "is empty; leave cooling out, or add a zone");
        }
        self.unique(
            zones.iter().enumerate().map(|(i, zone)| (format!("{path}.zones.{i}.name"), zone.name.as_str())),
            "cooling zone",
        );
        for (i, zone) in zones.iter().enumerate() {
            let path = format!("{path}.zones.{i}");
            self.name(&format!("{path}.name"), &zone.name);
            let field = format!("{path}.feed");
            match tree.iter().find(|device| device.name == zone.feed) {
                None if tree.is_empty() => {}
                None => self.refuse(
                    field,
                    format!(
                        "unknown device '{}'{}",
                        zone.feed,
                        suggestion(&zone.feed, feeds.iter().copied())
                    ),
                ),
                Some(device) if !matches!(device.device, Device::MechanicalBus(_)) => self.refuse(
                    field,
                    format!(
                        "'{}' is a {}; a cooling plant hangs from a mechanical_bus",
                        zone.feed,
                        device.device.word()
                    ),
                ),
                Some(_) => {}
            }
            self.zone(&path, zone);
        }
    }

    fn zone(&mut self, path: &str, zone: &Zone) {
        self.between(&format!("{path}.set_c"), zone.set_c, INDOORS_C, "°C");
        self.positive(&format!("{path}.capacity_scale"), zone.capacity_scale, 1e6);
        self.plant(path, zone);
        match zone.mode {
            ZoneMode::Buffered => {
                for (name, missing) in [
                    ("thermal_mass_mj_per_k", zone.thermal_mass_mj_per_k.is_none()),
                    ("ladder", zone.ladder.is_none()),
                ] {
                    if missing {
                        self.refuse(path, format!("{name} is missing; a buffered zone needs it"));
                    }
                }
            }
            ZoneMode::Instantaneous => {
                for (name, given) in [
                    ("thermal_mass_mj_per_k", zone.thermal_mass_mj_per_k.is_some()),
                    ("ladder", zone.ladder.is_some()),
                ] {
                    if given {
                        self.refuse(
                            format!("{path}.{name}"),
                            "is not used by an instantaneous zone, whose temperature stays; leave it out (null)",
                        );
                    }
                }
            }
        }
        if let Some(mass) = zone.thermal_mass_mj_per_k {
            self.positive(&format!("{path}.thermal_mass_mj_per_k"), mass, MAX_MASS);
        }
        if let Some(ladder) = &zone.ladder {
            self.ladder(&format!("{path}.ladder"), zone.set_c, ladder);
        }
    }

    fn ladder(&mut self, path: &str, set_c: f64, ladder: &Ladder) {
        let Ladder { warn_c, hold_c, critical_c, trip_c, hysteresis_k } = *ladder;
        let mut below = ("set_c", set_c);
        for (name, value) in
            [("warn_c", warn_c), ("hold_c", hold_c), ("critical_c", critical_c), ("trip_c", trip_c)]
        {
            self.require(
                &format!("{path}.{name}"),
                value,
                value > below.1,
                &format!("above {} ({})", below.0, below.1),
            );
            below = (name, value);
        }
        self.require(
            &format!("{path}.trip_c"),
            trip_c,
            trip_c <= INDOORS_C.1,
            &format!("at most {}", INDOORS_C.1),
        );
        if warn_c > set_c {
            self.require(
                &format!("{path}.hysteresis_k"),
                hysteresis_k,
                hysteresis_k > 0.0 && warn_c - hysteresis_k >= set_c,
                &format!("above 0 and at most warn_c - set_c ({})", warn_c - set_c),
            );
        }
    }

    pub(super) fn between(&mut self, path: &str, value: f64, (low, high): (f64, f64), unit: &str) {
        self.require(path, value, (low..=high).contains(&value), &format!("{low} to {high} {unit}"));
    }
}
