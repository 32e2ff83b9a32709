//! Which coefficients of the fit a scenario's laws depend on.

use crate::catalog::Catalog;
use crate::engine::SimError;
use crate::fleet::{Fleet, Pool};
use crate::physics::draw::PowerSource;
use crate::physics::power::GpuPower;
use crate::scenario::Resolved;

/// Places in the fit of the coefficients that some law of the fleet depends on and that the fit is not certain of.
///
/// # Errors
/// The fleet cannot be built.
pub(super) fn followed(resolved: &Resolved) -> Result<Vec<usize>, SimError> {
    let build = |catalog: &Catalog| Fleet::build(&resolved.scenario, catalog, &resolved.base_dir);
    let fleet = build(&resolved.catalog).map_err(SimError::Scenario)?;
    let fit = resolved.catalog.fit();
    let depends = |place: usize| {
        // What cannot even be built depends on it.
        build(&resolved.catalog.with_lowered(place)).map_or(true, |other| !alike(&fleet, &other))
    };
    Ok((0..fit.coefficients.len())
        .filter(|place| fit.coefficients[*place].sd_ln > 0.0 && depends(*place))
        .collect())
}

/// Whether two fleets of one scenario behave alike.
fn alike(one: &Fleet, other: &Fleet) -> bool {
    one.pools.iter().zip(&other.pools).all(|(a, b)| {
        let site = &one.sites[a.site];
        let clocks_move = !site.cap.is_empty() || site.facility.is_some() || a.power.gpu_cap_w.is_some();
        laws_alike(a, b) && (!clocks_move || (a.power.clock == b.power.clock && a.clocks == b.clocks))
    })
}

/// But for the answer to clocks, which matters only where clocks move.
fn laws_alike(a: &Pool, b: &Pool) -> bool {
    let (p, q) = (&a.power, &b.power);
    let source = match (p.source, q.source) {
        (PowerSource::Activity { gpu, .. }, PowerSource::Activity { gpu: other, hbm_byte_s }) => {
            p.source == PowerSource::Activity { gpu: GpuPower { alpha: gpu.alpha, ..other }, hbm_byte_s }
        }
        (one, other) => one == other,
    };
    source
        && a.step == b.step
        && (p.node_overhead_w, p.node_factor) == (q.node_overhead_w, q.node_factor)
        && (a.kv_blocks, a.thermal) == (b.kv_blocks, b.thermal)
}
