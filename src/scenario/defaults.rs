//! Defaults that depend on the rest of the scenario: names and token counts.

use super::types::{Arrivals, Device, Lengths, Reasoning, Scenario, UpsMode, default_answer, default_prompt};

/// Fill in names and lengths; `file_name` is the scenario's name if it has none.
pub(crate) fn fill(scenario: &mut Scenario, file_name: &str) {
    if scenario.name.is_empty() {
        scenario.name = file_name.to_string();
    }
    for class in &mut scenario.workload.classes {
        if class.lengths.is_none() && !matches!(class.arrivals, Arrivals::Trace(_)) {
            class.lengths = Some(Lengths { prompt: default_prompt(), answer: default_answer() });
        }
    }
    for class in scenario.workload.classes.iter_mut().filter(|class| class.difficulty.is_some()) {
        class.reasoning.get_or_insert(Reasoning::None);
    }
    let sites = scenario.fleet.sites.len();
    let mut site_names: Vec<String> = scenario.fleet.sites.iter().map(|site| site.name.clone()).collect();
    for (i, site) in scenario.fleet.sites.iter_mut().enumerate() {
        if site.name.is_empty() {
            let plain = if sites == 1 { "site".to_string() } else { format!("site-{}", i + 1) };
            site.name = unused(&plain, &site_names);
            site_names[i] = site.name.clone();
        }
        for device in site.power.tree.iter_mut().filter(|device| device.loss.is_none()) {
            if let Device::Ups(ups) = &mut device.device {
                ups.mode.get_or_insert(UpsMode::DoubleConversion);
            }
        }
        let mut pool_names: Vec<String> = site.pools.iter().map(|pool| pool.name.clone()).collect();
        for (k, pool) in site.pools.iter_mut().enumerate() {
            if pool.name.is_empty() {
                pool.name = unused(&pool.model, &pool_names);
                pool_names[k] = pool.name.clone();
            }
        }
    }
}

/// `plain`, or `plain-2`, `plain-3`, … if others have it.
fn unused(plain: &str, taken: &[String]) -> String {
    if !taken.iter().any(|name| name == plain) {
        return plain.to_string();
    }
    let numbered = |n: usize| format!("{plain}-{n}");
    // There are at most `taken.len()` clashes.
    (2..taken.len() + 3).map(numbered).find(|name| !taken.contains(name)).unwrap_or_else(|| numbered(0))
}
