//! The time series at the resolution of paper: each interval that is drawn, and nothing that is not.

use crate::ledger::outcome::SeriesRow;

/// More intervals than this cannot be told apart at the width of a column.
const MOST: usize = 500;

/// Time means over one or more rows of the series.
#[derive(Debug, Clone, Default)]
pub(super) struct Interval {
    pub(super) start_s: f64,
    pub(super) end_s: f64,
    /// Demand, compute, memory bandwidth, KV capacity, power [tok/s].
    pub(super) staves: [Option<f64>; 6],
    pub(super) output_tok_per_s: f64,
    /// GPU active, GPU idle, node overhead, losses and cooling [W].
    pub(super) parts_w: [f64; 6],
    pub(super) facility_w: f64,
    pub(super) cap_w: Option<f64>,
    /// Outdoor wet bulb and dry bulb, and the warmest zone's supply [°C].
    pub(super) wet_bulb_c: Option<f64>,
    pub(super) dry_bulb_c: Option<f64>,
    pub(super) supply_c: Option<f64>,
}

/// The series in at most 500 intervals; and how many rows each of them averages.
pub(super) fn of(series: &[SeriesRow]) -> (Vec<Interval>, usize) {
    let rows_each = series.len().div_ceil(MOST).max(1);
    (series.chunks(rows_each).map(mean).collect(), rows_each)
}

impl Interval {
    /// IT power [W].
    pub(super) fn it_w(&self) -> f64 {
        self.parts_w[..3].iter().sum()
    }

    /// GPU power [W].
    pub(super) fn gpu_w(&self) -> f64 {
        self.parts_w[..2].iter().sum()
    }
}

fn mean(rows: &[SeriesRow]) -> Interval {
    let total: f64 = rows.iter().map(|r| r.length_s).sum();
    let of = |value: &dyn Fn(&SeriesRow) -> f64| match rows {
        [row] => value(row),
        _ if total > 0.0 => rows.iter().map(|r| value(r) * r.length_s).sum::<f64>() / total,
        _ => 0.0,
    };
    // Over the rows that know it.
    let known = |value: &dyn Fn(&SeriesRow) -> Option<f64>| match rows {
        [row] => value(row),
        _ => {
            let (sum, length) = rows
                .iter()
                .filter_map(|r| Some((value(r)? * r.length_s, r.length_s)))
                .fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            (length > 0.0).then(|| sum / length)
        }
    };
    Interval {
        start_s: rows.first().map_or(0.0, |r| r.time_s),
        end_s: rows.last().map_or(0.0, |r| r.time_s + r.length_s),
        staves: [
            known(&|r| r.stave_demand_tok_per_s),
            known(&|r| r.stave_compute_tok_per_s),
            known(&|r| r.stave_memory_bandwidth_tok_per_s),
            known(&|r| r.stave_kv_capacity_tok_per_s),
            known(&|r| r.stave_power_tok_per_s),
            known(&|r| r.stave_cooling_tok_per_s),
        ],
        output_tok_per_s: of(&|r| r.output_tok_per_s),
        parts_w: [
            of(&|r| r.gpu_active_w),
            of(&|r| r.gpu_idle_w),
            of(&|r| r.node_overhead_w),
            of(&|r| r.pue_overhead_w),
            of(&|r| r.loss_w),
            of(&|r| r.cooling_w),
        ],
        facility_w: of(&|r| r.facility_w),
        cap_w: known(&|r| r.cap_facility_w),
        wet_bulb_c: known(&|r| r.wet_bulb_c),
        dry_bulb_c: known(&|r| r.dry_bulb_c),
        // The warmest instant is not averaged away.
        supply_c: rows.iter().filter_map(|r| r.supply_c).reduce(f64::max),
    }
}
