//! Heat in a run: GPUs that lower their clocks when the air gets warm, and the stages of a zone's ladder.

use std::fmt::Write as _;
use std::fs;

use wattmill::engine::EngineKind;
use wattmill::fleet::Fleet;
use wattmill::ledger::outcome::{Constraint, Outcome, RequestOutcome, SeriesRow};
use wattmill::scenario::Resolved;
use wattmill::{SimOptions, simulate};

use crate::engines::equal;
use crate::support::{catalog, close, load, load_file};

/// Of an H100 in a node cooled by air (catalog): throttle temperature [°C], chip over air [K/W].
const THROTTLE_C: f64 = 87.0;
const R_TH: f64 = 0.06;
const GPUS: f64 = 8.0;
/// The node: watts without GPUs, and wall watts per GPU watt (catalog).
const OVERHEAD_W: f64 = 1550.0;
const FACTOR: f64 = 1.153;
/// A replica of a whole node by a law of one's own: wall watts idle and at work.
const IDLE_W: f64 = 2400.0;
const WORK_W: f64 = 6400.0;

/// Nodes of a law of one's own that always have work, in a hall with a dry cooler designed for 10 K.
struct Hall {
    nodes: u32,
    step_us: f64,
    duration_s: f64,
    interval_s: f64,
    set_c: f64,
    /// Outdoor air.
    dry_bulb: String,
    /// Heat the cooler carries at the set point in air 10 K cooler [W].
    capacity_w: f64,
    /// `None`: instantaneous. Else thermal mass [MJ/K], and hold, critical and trip above the set point [K].
    buffer: Option<(f64, [f64; 3])>,
    /// Whether the UPS stands in the hall.
    ups_inside: bool,
}

impl Hall {
    fn text(&self) -> String {
        let mut text = format!(
            "\
duration_s: {}
workload:
  classes:
    - name: work
      arrivals: {{ closed_loop: {{ in_flight: {} }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 20 }} }}, answer: {{ constant: {{ tok: 50 }} }} }}
report: {{ interval_s: {} }}
fleet:
  sites:
    - name: here
      pools:
        - name: nodes
          model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: {}
          parallel: {{ tensor: 8 }}
          batching: {{ max_seqs: 8 }}
          step_law:
            affine:
              base_us: {}
              energy: {{ per_state: {{ idle_w: {IDLE_W}, base_w: {WORK_W}, per_seq_w: 0 }} }}
          feed: row
          zone: hall
      power:
        policy: {{ uniform_clock: {{ clock_step: 0 }} }}
        tree:
          - {{ name: meter, device: {{ utility: {{ rated_mw: 0.1 }} }} }}
          - {{ name: ups, parent: meter, {}device: {{ ups: {{ rated_mw: 0.05 }} }} }}
          - {{ name: row, parent: ups, device: {{ pdu: {{ rated_mw: 0.05 }} }} }}
          - {{ name: bus, parent: meter, device: {{ mechanical_bus: {{ rated_mw: 0.05 }} }} }}
      weather: {{ wet_bulb_c: {{ constant: 10 }}, dry_bulb_c: {} }}
      cooling:
        zones:
          - name: hall
            feed: bus
            set_c: {}
            plant:
              dry_cooler:
                {{ capacity_mw: {}, design_dry_bulb_c: {}, fan_share: 0.02, pump_share: 0.01 }}
",
            self.duration_s,
            24 * self.nodes,
            self.interval_s,
            self.nodes,
            self.step_us,
            if self.ups_inside { "zone: hall, " } else { "" },
            self.dry_bulb,
            self.set_c,
            self.capacity_w * 1e-6,
            self.set_c - 10.0,
        );
        match self.buffer {
            None => text.push_str("            mode: instantaneous\n"),
            Some((mass, above)) => {
                let [hold_c, critical_c, trip_c] = above.map(|k| self.set_c + k);
                // Writing to a String cannot fail.
                let _ = write!(
                    text,
                    "            thermal_mass_mj_per_k: {mass}\n            \
                     ladder: {{ warn_c: {}, hold_c: {hold_c}, critical_c: {critical_c}, trip_c: {trip_c}, hysteresis_k: 0.5 }}\n",
                    self.set_c + 1.0
                );
            }
        }
        text
    }
}

fn ran(resolved: &Resolved) -> Outcome {
    simulate(resolved, &SimOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn gpu_w(row: &SeriesRow) -> f64 {
    row.gpu_active_w / GPUS
}

/// Watts of a GPU that warm it to where it throttles, in air of `inlet_c`.
fn within_w(inlet_c: f64) -> f64 {
    (THROTTLE_C - inlet_c) / R_TH
}

/// Air of 60 °C leaves a GPU 450 W. The clock follows from the law of its watts, and is blamed on the heat.
#[test]
fn warm_air_lowers_the_clock_to_what_keeps_the_gpu_cool() {
    let at = |set_c: f64, buffer: Option<(f64, [f64; 3])>| Hall {
        nodes: 1,
        step_us: 20_000.0,
        duration_s: 120.0,
        interval_s: 10.0,
        set_c,
        dry_bulb: "{ constant: 20 }".into(),
        capacity_w: 50_000.0,
        buffer,
        ups_inside: false,
    };
    let cool = ran(&load(&at(30.0, None).text(), &[]));
    let natural_w = (WORK_W - OVERHEAD_W) / FACTOR / GPUS;
    let idle_w = (IDLE_W - OVERHEAD_W) / FACTOR / GPUS;
    for row in &cool.series {
        close("watts in cool air", gpu_w(row), natural_w, 1e-9);
    }
    assert_eq!(cool.summary.binding.share.cooling, 0.0);
    for buffer in [None, Some((1.0, [2.0, 4.0, 6.0]))] {
        let resolved = load(&at(60.0, buffer).text(), &[]);
        let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
        let thermal = fleet.pools[0].thermal.expect("chip temperatures");
        assert_eq!((thermal.throttle_c, thermal.r_th_k_per_w), (THROTTLE_C, R_TH));
        let (warm, _) = equal("warm air", &resolved);
        let wanted_w = within_w(60.0);
        let exponent = fleet.pools[0].power.clock.exponent;
        let clock = ((wanted_w - idle_w) / (natural_w - idle_w)).powf(1.0 / exponent);
        for row in &warm.series {
            close("watts in warm air", gpu_w(row), wanted_w, 1e-9);
            close("clock", row.clock.expect("it works"), clock, 1e-9);
        }
        // Kept in 20 bits.
        close("mean clock", warm.summary.per_pool[0].mean_clock.expect("it works"), clock, 2e-6);
        // A law of one's own is all compute: its pace is the clock.
        let pace = |outcome: &Outcome| outcome.series.last().expect("rows").output_tok_per_s;
        close("pace", pace(&warm) / pace(&cool), clock, 5e-3);
        let binding = &warm.summary.binding;
        assert!(binding.share.cooling > 0.99 && binding.share.power == 0.0, "{binding:?}");
        let place: Vec<&str> = binding.timeline.iter().map(|stretch| stretch.place.as_str()).collect();
        assert_eq!(place, ["here.nodes.gpu_temperature"]);
    }
}

/// Air that gets warmer: clocks come down every half kelvin, and from the hold on the zone's heat is the limit.
#[test]
fn clocks_follow_air_that_gets_warmer() {
    let hall = Hall {
        nodes: 1,
        step_us: 20_000.0,
        duration_s: 420.0,
        interval_s: 1.0,
        set_c: 60.0,
        dry_bulb: "{ constant: 50 }".into(),
        capacity_w: 3_000.0,
        buffer: Some((0.1, [4.0, 6.0, 8.0])),
        ups_inside: false,
    };
    let (outcome, _) = equal("warmer", &load(&hall.text(), &[]));
    let supply = |row: &SeriesRow| row.supply_c.expect("a zone");
    let held_from = outcome.series.iter().position(|row| supply(row) >= 63.999).expect("it holds");
    let mut levels = 0;
    for pair in outcome.series[1..held_from].windows(2) {
        // Supply is read at the end of an interval; the upper edge of its step counts.
        let (from_c, to_c, watts) = (supply(&pair[0]), supply(&pair[1]), gpu_w(&pair[1]));
        assert!(to_c >= from_c, "{from_c} {to_c}");
        let (most, least) =
            (within_w((from_c * 2.0).ceil() / 2.0), within_w((to_c * 2.0).floor() / 2.0 + 0.5));
        // An iteration that began in the step before ends at its clock.
        let lag_w = (gpu_w(&pair[0]) - watts).max(0.0) * 0.05;
        assert!(
            watts <= most * (1.0 + 1e-9) && watts >= least * (1.0 - 1e-9) - lag_w,
            "{watts} W, not {least} to {most} in air of {from_c} to {to_c} °C"
        );
        levels += u32::from(watts < gpu_w(&pair[0]) - 1.0);
    }
    assert!(levels >= 8, "{levels} changes in 4 K");
    let places: Vec<&str> = outcome.summary.binding.timeline.iter().map(|s| s.place.as_str()).collect();
    assert_eq!(places, ["here.nodes.gpu_temperature", "here.hall"]);
    // What the cooler carries for good at 64 °C: 300 W/K.
    let last = outcome.series.last().expect("rows");
    close("heat held", last.it_w, 300.0 * (64.0 - 50.0), 5e-3);
    close("air", supply(last), 64.0, 1e-3);
}

/// An hour each of weather in which the hall is cool, holds, becomes critical, trips, and recovers.
#[test]
fn a_hall_climbs_its_ladder_and_comes_down() {
    const HOUR: usize = 60;
    const COOLER_W_PER_K: f64 = 1_500.0;
    let air_c = [25.0, 32.0, 34.5, 36.0, 25.0];
    let hall = Hall {
        nodes: 2,
        step_us: 200_000.0,
        duration_s: 5.0 * 3600.0,
        interval_s: 60.0,
        set_c: 35.0,
        dry_bulb: "{ csv: { path: air.csv, column: dry } }".into(),
        capacity_w: 10.0 * COOLER_W_PER_K,
        buffer: Some((0.2, [2.0, 3.0, 4.0])),
        ups_inside: true,
    };
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut csv = String::from("dry\n");
    for c in air_c {
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "{c}");
    }
    fs::write(dir.path().join("air.csv"), csv).expect("weather");
    let path = dir.path().join("hall.yaml");
    fs::write(&path, hall.text()).expect("scenario");
    let (outcome, stepwise) = equal("ladder", &load_file(&path, &[], catalog()));
    assert_eq!(stepwise.summary.engine.kind, format!("{:?}", EngineKind::Stepwise).to_lowercase());
    let last_of = |hour: usize| &outcome.series[(hour + 1) * HOUR - 1];
    let supply = |hour: usize| last_of(hour).supply_c.expect("a zone");
    let losses = ups_loss_w;
    for hour in 0..5 {
        let row = last_of(hour);
        println!(
            "hour {hour}: {:.3} °C, {:.0} W IT, {:.0} W losses, {:.1} tok/s, {:?}, {} wait",
            supply(hour),
            row.it_w,
            row.loss_w,
            row.output_tok_per_s,
            row.binding,
            row.waiting_for_power
        );
    }
    println!("{:?}", outcome.summary.binding);

    // Cool: everything at full clock.
    close("full", last_of(0).it_w, 2.0 * WORK_W, 1e-9);
    close("set point", supply(0), 35.0, 1e-9);
    // Hold: the heat that 37 °C carries off, at a lower clock.
    close("held heat", last_of(1).it_w + losses(last_of(1)), COOLER_W_PER_K * (37.0 - air_c[1]), 1e-2);
    assert!(last_of(1).output_tok_per_s > 0.0 && last_of(1).clock.is_some_and(|clock| clock < 0.9));
    close("held at", supply(1), 37.0, 1e-3);
    // Critical, then tripped: idle nodes alone are too hot, nothing runs, and the air goes where their heat takes it.
    for (hour, above_c) in [(2, 38.0), (3, 39.0)] {
        let row = last_of(hour);
        close("idle", row.it_w, 2.0 * IDLE_W, 1e-9);
        assert_eq!((row.output_tok_per_s, row.waiting_for_power, row.clock), (0.0, 2, None));
        close("settled", supply(hour), air_c[hour] + (row.it_w + losses(row)) / COOLER_W_PER_K, 1e-3);
        assert!(supply(hour) > above_c && supply(hour) < above_c + 1.0, "{}", supply(hour));
    }
    // As at the start.
    close("recovered", last_of(4).it_w, 2.0 * WORK_W, 1e-9);
    close("set point again", supply(4), 35.0, 1e-9);
    close("pace again", last_of(4).output_tok_per_s, last_of(0).output_tok_per_s, 5e-3);

    // Who waits for a slot is shed when the hall becomes critical. On the way down the others go on, finish, and what
    // follows them is shed, as the hall is still critical. Afterwards the loop has its size again.
    let requests = &outcome.summary.requests;
    let (loop_size, slots) = (48, 16);
    assert_eq!((requests.shed, requests.shed_by.overheated), (loop_size, loop_size));
    for (hour, size) in [(0, loop_size), (1, loop_size), (2, slots), (3, slots), (4, loop_size)] {
        assert_eq!(last_of(hour).queue + last_of(hour).running, size, "hour {hour}");
    }
    assert_eq!(
        (requests.in_flight, requests.arrived),
        (loop_size, requests.completed + requests.shed + loop_size)
    );

    let timeline = &outcome.summary.binding.timeline;
    let cooling: Vec<_> = timeline.iter().filter(|s| s.constraint == Constraint::Cooling).collect();
    assert_eq!(cooling.len(), 1, "{timeline:?}");
    assert_eq!(cooling[0].place, "here.hall");
    let drained: Vec<_> = timeline.iter().filter(|s| s.constraint == Constraint::Operations).collect();
    assert_eq!(drained.len(), 1, "{timeline:?}");
    assert_eq!((drained[0].place.as_str(), drained[0].start_s), ("here.hall", cooling[0].end_s));
    // The stretches end where the zone's supply passes the thresholds, to a row.
    let crosses = |level_c: f64, from: usize, rising: bool| {
        let row = (from..5 * HOUR).find(|&i| {
            outcome.series[i].supply_c.is_some_and(|c| if rising { c >= level_c } else { c <= level_c })
        });
        row.map_or(f64::NAN, |i| outcome.series[i].time_s)
    };
    assert!((drained[0].start_s - crosses(38.0, 2 * HOUR, true)).abs() <= 60.0, "{timeline:?}");
    assert!((drained[0].end_s - crosses(37.5, 4 * HOUR, false)).abs() <= 60.0, "{timeline:?}");
    let all_s = cooling[0].end_s - cooling[0].start_s + drained[0].end_s - drained[0].start_s;
    assert!((3.0 * 3600.0 - 120.0..=3.0 * 3600.0 + 120.0).contains(&all_s), "{timeline:?}");
    assert_eq!(outcome.summary.binding.share.power, 0.0);
}

/// A light hall without enough cold passes critical within an iteration: what waits is shed, what comes is shed at once,
/// what runs goes on; and when the air is cool again, the loop is whole again.
#[test]
fn a_critical_hall_sheds_and_drains() {
    let hall = Hall {
        nodes: 2,
        step_us: 50_000.0,
        duration_s: 1800.0,
        interval_s: 10.0,
        set_c: 35.0,
        dry_bulb: "{ constant: 25 }".into(),
        // Of 12.8 kW at work and 4.8 kW idle.
        capacity_w: 5_000.0,
        buffer: Some((0.001, [1.5, 1.6, 6.0])),
        ups_inside: false,
    };
    let guests = "    - name: guests
      arrivals: { poisson: { rate_per_s: 0.5 } }
      lengths: { prompt: { constant: { tok: 20 } }, answer: { constant: { tok: 50 } } }
report:";
    let text = hall.text().replacen("report:", guests, 1);
    let (outcome, _) = equal("drain", &load(&text, &[]));
    let requests = &outcome.summary.requests;
    let rows = outcome.requests.as_ref().expect("rows");
    let shed: Vec<_> = rows.iter().filter(|row| row.outcome == RequestOutcome::ShedOverheated).collect();
    let of = |class: u16| shed.iter().filter(|row| row.class == class).count();
    println!("{requests:?}, of the loop {}, guests {}, {:?}", of(0), of(1), outcome.summary.binding.share);
    assert_eq!(requests.shed_by.overheated, shed.len() as u64);
    assert_eq!(requests.shed, requests.shed_by.overheated);
    assert!(of(0) > 0 && of(1) > 0);
    assert!(shed.iter().all(|row| row.first_token_fs.is_none()));
    let share = &outcome.summary.binding.share;
    assert!(share.operations > 0.05 && share.operations < 0.95, "{share:?}");
    // The hall opens and drains again and again: half an hour later the loop is still as large as at the start.
    let largest = |rows: &[SeriesRow]| rows.iter().map(|row| row.queue + row.running).max();
    let half = outcome.series.len() / 2;
    assert!(largest(&outcome.series[half..]) >= Some(48), "{:?}", largest(&outcome.series[half..]));
    assert!(requests.completed > 400, "{requests:?}");
}

/// The cooling fails while requests are drained, and the hall trips: they wait until it is cool again, not only until the
/// plant is back; and where it never is, the run ends, with weather after a day of it.
#[test]
fn what_drains_waits_for_a_hot_hall() {
    let hall = |dry_bulb: &str| Hall {
        nodes: 2,
        step_us: 50_000.0,
        duration_s: 60.0,
        interval_s: 600.0,
        set_c: 35.0,
        dry_bulb: dry_bulb.into(),
        capacity_w: 30_000.0,
        // From the first seconds without cooling to trip; an hour of idle heat comes out again in some minutes.
        buffer: Some((1.0, [1.5, 1.6, 6.0])),
        ups_inside: false,
    };
    let run = |dry_bulb: &str, outage: &str| {
        let text = hall(dry_bulb)
            .text()
            .replace("duration_s: 60\n", "duration_s: 60\nat_end: drain\n")
            .replace("closed_loop: { in_flight: 48 }", "poisson: { rate_per_s: 0.2 }")
            .replace("answer: { constant: { tok: 50 } }", "answer: { constant: { tok: 40000 } }");
        let fails = format!(
            "failures:\n  - {{ of: {{ cooling: {{ zone: hall }} }}, when: {{ at: [{{ {outage} }}] }} }}\n"
        );
        equal("drain a hot hall", &load(&format!("{fails}{text}"), &[])).0
    };
    let constant = "{ constant: 25 }";
    let outcome = run(constant, "at_h: 0.02, for_h: 0.5");
    let (free, held) = (40_000.0 * 0.05, outcome.summary.scenario.end_s);
    assert_eq!(outcome.summary.requests.in_flight, 0, "{:?}", outcome.summary.requests);
    assert!(outcome.summary.requests.completed > 0 && held > 0.52 * 3600.0 + free - 400.0, "{held}");
    assert!(
        !outcome.summary.notes.iter().any(|note| note.contains("finished")),
        "{:?}",
        outcome.summary.notes
    );
    for (dry_bulb, says, end_h) in [
        (constant, "can never be finished: power cap or cooling", 0.02..2.0),
        (
            "{ daily: { min: 20, max: 25, max_at_h: 15 } }",
            "power cap or cooling has let no replica of theirs run",
            24.0..26.1,
        ),
    ] {
        let outcome = run(dry_bulb, "at_h: 0.02");
        let summary = &outcome.summary;
        assert!(summary.notes.iter().any(|note| note.contains(says)), "{:?}", summary.notes);
        assert!(summary.requests.in_flight > 0 && end_h.contains(&(summary.scenario.end_s / 3600.0)));
    }
}

/// Losses of the UPS, the only device in the hall: 50 kW · (0.010 + 0.020·x + 0.015·x²), behind the row's own
/// 50 kW · (0.001 + 0.008·x²).
fn ups_loss_w(row: &SeriesRow) -> f64 {
    let rated_w = 50_000.0;
    let row_w = row.it_w + rated_w * (0.001 + 0.008 * (row.it_w / rated_w).powi(2));
    let x = row_w / rated_w;
    rated_w * (0.010 + 0.020 * x + 0.015 * x * x)
}
