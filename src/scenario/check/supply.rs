//! What must hold of breakers, batteries, modules and feeds of a power tree, and of what breaks.

use super::super::nearest::suggestion;
use super::super::types::{
    Device, Expectation, FailureTimes, Part, PowerDevice, RandomTimes, Scenario, Site, Ups,
};
use super::{Check, MAX_DURATION_S};

/// Most parallel modules of a device.
const MAX_MODULES: u64 = 1000;
/// Most entries under `failures`: each has streams of its own, told apart by a 16 bit number.
const MAX_FAILURES: usize = 65_535;
/// Largest battery [MWh].
const MAX_MWH: f64 = 1e6;

impl Check {
    /// A device's modules, breaker and battery.
    pub(super) fn supply(&mut self, path: &str, device: &PowerDevice) {
        if let Device::Ups(Ups { modules, redundant, .. }) = &device.device {
            self.count(&format!("{path}.device.ups.modules"), (*modules).into(), MAX_MODULES);
            if u64::from(*redundant) > MAX_MODULES {
                self.refuse(
                    format!("{path}.device.ups.redundant"),
                    format!("must be at most {MAX_MODULES}, is {redundant}"),
                );
            }
        }
        if let Device::Generator(generator) = &device.device {
            self.not_negative(&format!("{path}.device.generator.start_s"), generator.start_s, MAX_DURATION_S);
        }
        if let Some(breaker) = &device.breaker {
            let path = format!("{path}.breaker");
            if let Some(rated_mw) = breaker.rated_mw {
                self.positive(&format!("{path}.rated_mw"), rated_mw, super::facility::MAX_MW);
            }
            self.require(
                &format!("{path}.exponent"),
                breaker.exponent,
                (0.1..=10.0).contains(&breaker.exponent),
                "0.1 to 10",
            );
            self.positive(&format!("{path}.time_constant_s"), breaker.time_constant_s, MAX_DURATION_S);
            if let Some(reclose_s) = breaker.reclose_s {
                self.not_negative(&format!("{path}.reclose_s"), reclose_s, MAX_DURATION_S);
            }
        }
        let Some(battery) = &device.battery else { return };
        let path = format!("{path}.battery");
        if matches!(device.device, Device::Utility(_) | Device::Generator(_)) {
            self.refuse(
                &path,
                format!("stands beside a device that is fed; a {} is a source", device.device.word()),
            );
        }
        self.positive(&format!("{path}.energy_mwh"), battery.energy_mwh, MAX_MWH);
        for (name, value) in [("discharge_mw", battery.discharge_mw), ("charge_mw", battery.charge_mw)] {
            if let Some(value) = value {
                self.positive(&format!("{path}.{name}"), value, super::facility::MAX_MW);
            }
        }
        let efficiency = battery.round_trip_efficiency;
        self.require(
            &format!("{path}.round_trip_efficiency"),
            efficiency,
            efficiency > 0.0 && efficiency <= 1.0,
            "above 0 and at most 1",
        );
        self.require(
            &format!("{path}.initial_share"),
            battery.initial_share,
            (0.0..=1.0).contains(&battery.initial_share),
            "a share of energy_mwh, 0 to 1",
        );
        if let Some(shave) = battery.shave_above_mw {
            self.positive(&format!("{path}.shave_above_mw"), shave, super::facility::MAX_MW);
        }
        if let Some(recharge) = battery.recharge_below_mw {
            self.not_negative(&format!("{path}.recharge_below_mw"), recharge, super::facility::MAX_MW);
            if let Some(shave) = battery.shave_above_mw {
                self.require(
                    &format!("{path}.recharge_below_mw"),
                    recharge,
                    recharge <= shave,
                    &format!("at most shave_above_mw ({shave}): it would charge and give at once"),
                );
            }
        }
    }

    /// The devices that may feed a device besides its parent.
    pub(super) fn backups(&mut self, path: &str, device: &PowerDevice, tree: &[PowerDevice]) {
        for (i, name) in device.backups.iter().enumerate() {
            let field = format!("{path}.backups.{i}");
            if matches!(device.device, Device::Utility(_) | Device::Generator(_)) {
                self.refuse(field, format!("a {} is a source; nothing feeds it", device.device.word()));
            } else if device.parent.as_ref() == Some(name) || device.backups[..i].contains(name) {
                self.refuse(field, format!("'{name}' feeds '{}' already", device.name));
            } else if !tree.iter().any(|other| other.name == *name) {
                let known = tree.iter().map(|other| other.name.as_str()).filter(|n| *n != device.name);
                self.refuse(field, format!("unknown device '{name}'{}", suggestion(name, known)));
            }
        }
    }

    /// What breaks.
    pub(super) fn failures(&mut self, scenario: &Scenario) {
        if scenario.failures.len() > MAX_FAILURES {
            self.refuse(
                "failures",
                format!("has {} entries; at most {MAX_FAILURES}", scenario.failures.len()),
            );
            return;
        }
        for (i, failure) in scenario.failures.iter().enumerate() {
            let path = format!("failures.{i}");
            self.part(&format!("{path}.of"), &failure.of, scenario);
            match &failure.when {
                FailureTimes::At(outages) => {
                    let path = format!("{path}.when.at");
                    if outages.is_empty() {
                        self.refuse(&path, "is empty; give the times, or leave the failure out");
                    }
                    for (i, outage) in outages.iter().enumerate() {
                        let hours = MAX_DURATION_S / 3600.0;
                        self.not_negative(&format!("{path}.{i}.at_h"), outage.at_h, hours);
                        if let Some(for_h) = outage.for_h {
                            self.positive(&format!("{path}.{i}.for_h"), for_h, hours);
                        }
                    }
                }
                FailureTimes::Random(RandomTimes { mtbf_h, mttr_h }) => {
                    let path = format!("{path}.when.random");
                    self.positive(&format!("{path}.mtbf_h"), *mtbf_h, 1e9);
                    self.positive(&format!("{path}.mttr_h"), *mttr_h, 1e9);
                }
            }
        }
    }

    /// What is expected.
    pub(super) fn expectations(&mut self, scenario: &Scenario) {
        let sites: Vec<&str> = scenario.fleet.sites.iter().map(|site| site.name.as_str()).collect();
        for (i, expectation) in scenario.expect.iter().enumerate() {
            match expectation {
                Expectation::Binds(binds) => {
                    let path = format!("expect.{i}.binds");
                    for (name, share) in [("at_least", binds.at_least), ("at_most", binds.at_most)] {
                        self.require(
                            &format!("{path}.{name}"),
                            share,
                            (0.0..=1.0).contains(&share),
                            "a share of the stretch, 0 to 1",
                        );
                    }
                    if let (Some(from_h), Some(until_h)) = (binds.from_h, binds.until_h) {
                        self.require(
                            &format!("{path}.until_h"),
                            until_h,
                            until_h > from_h,
                            &format!("after from_h ({from_h})"),
                        );
                    }
                    if let Some(site) = &binds.site
                        && !sites.contains(&site.as_str())
                    {
                        self.refuse(
                            format!("{path}.site"),
                            format!("unknown site '{site}'{}", suggestion(site, sites.iter().copied())),
                        );
                    }
                }
                Expectation::Metric(range) => {
                    if range.min.is_none() && range.max.is_none() {
                        self.refuse(format!("expect.{i}.metric"), "needs min, max or both");
                    }
                }
            }
        }
    }

    fn part(&mut self, path: &str, part: &Part, scenario: &Scenario) {
        match part {
            Part::Nodes(nodes) => {
                let path = format!("{path}.nodes");
                let pools =
                    named(scenario, |site| site.pools.iter().map(|pool| pool.name.as_str()).collect());
                if self.known_part(&format!("{path}.pool"), &nodes.pool, "pool", &pools)
                    && let Some(count) = nodes.count
                {
                    let found = scenario.fleet.sites.iter().flat_map(|site| {
                        site.pools.iter().filter(|pool| is_called(&site.name, &pool.name, &nodes.pool))
                    });
                    let there = found.map(|pool| u64::from(pool.nodes)).next().unwrap_or(u64::MAX);
                    self.count(&format!("{path}.count"), count.into(), there);
                }
            }
            Part::Device(name) => {
                self.known_part(&format!("{path}.device"), name, "power device", &devices(scenario));
            }
            Part::UpsModules(modules) => {
                let path = format!("{path}.ups_modules");
                if !self.known_part(
                    &format!("{path}.device"),
                    &modules.device,
                    "power device",
                    &devices(scenario),
                ) {
                    return;
                }
                let found = scenario.fleet.sites.iter().flat_map(|site| {
                    let tree = site.power.tree.iter();
                    tree.filter(|device| is_called(&site.name, &device.name, &modules.device))
                });
                match found.map(|device| &device.device).next() {
                    Some(Device::Ups(ups)) => self.count(
                        &format!("{path}.count"),
                        modules.count.into(),
                        u64::from(ups.modules) + u64::from(ups.redundant),
                    ),
                    Some(other) => self.refuse(
                        format!("{path}.device"),
                        format!("'{}' is a {}; only a ups has modules", modules.device, other.word()),
                    ),
                    None => {}
                }
            }
            Part::Chillers(lost) | Part::Cooling(lost) => {
                let word = if matches!(part, Part::Chillers(_)) { "chillers" } else { "cooling" };
                let path = format!("{path}.{word}");
                let zones = named(scenario, |site| {
                    site.cooling.iter().flat_map(|cooling| &cooling.zones).map(|z| z.name.as_str()).collect()
                });
                self.known_part(&format!("{path}.zone"), &lost.zone, "cooling zone", &zones);
                self.require(
                    &format!("{path}.share"),
                    lost.share,
                    lost.share > 0.0 && lost.share <= 1.0,
                    "above 0 and at most 1",
                );
            }
        }
    }

    /// Whether exactly one part is called so, with its site before it or not.
    fn known_part(&mut self, path: &str, name: &str, what: &str, known: &[(String, String)]) -> bool {
        let found = known.iter().filter(|(site, own)| is_called(site, own, name)).count();
        if found == 1 {
            return true;
        }
        if found > 1 {
            self.refuse(path, format!("{found} sites have a {what} '{name}'; write <site>.{name}"));
        } else {
            let names = known.iter().map(|(_, own)| own.as_str());
            self.refuse(path, format!("unknown {what} '{name}'{}", suggestion(name, names)));
        }
        false
    }
}

fn devices(scenario: &Scenario) -> Vec<(String, String)> {
    named(scenario, |site| site.power.tree.iter().map(|device| device.name.as_str()).collect())
}

/// Names of parts with that of their site.
fn named(scenario: &Scenario, names: impl Fn(&Site) -> Vec<&str>) -> Vec<(String, String)> {
    let sites = scenario.fleet.sites.iter();
    sites
        .flat_map(|site| {
            names(site).into_iter().map(|name| (site.name.clone(), name.to_string())).collect::<Vec<_>>()
        })
        .collect()
}

fn is_called(site: &str, own: &str, name: &str) -> bool {
    own == name || name.strip_prefix(site).and_then(|rest| rest.strip_prefix('.')) == Some(own)
}
