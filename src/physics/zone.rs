//! A cooling zone: supply temperature, throttle ladder, cooling energy and water, exact between events.
//!
//! ```text
//! below T_set                       nothing is rejected:         C·dT/dt = Q
//! at T_set, Q ≤ Q_max(T_set)        regulated:                   what comes in goes out
//! otherwise                         saturated, all at full speed: C·dT/dt = Q − Q_rej(T, Q)
//! ```
//!
//! Heat and weather are constant between calls, so each stretch is a straight line or a first-order lag, and
//! the instant at which a threshold is met is a formula. There the temperature *is* the threshold: it is set
//! to it, and the state changes because of the event, not because of a comparison that rounding may decide
//! otherwise. Between two calls the temperature moves one way only; so a zone has few events per call.
//!
//! The ladder: `warn` tells; `hold` caps the zone's heat at Q_max(T_hold), so that the temperature tends to
//! T_hold and not beyond, until the heat without that cap fits Q_max(T_hold − hysteresis); `critical` keeps
//! the cap and asks for load to be shed; `trip` allows no heat. Each is left a hysteresis below its threshold,
//! `hold` by heat alone.
//!
//! A zone wakes only when its heat has moved by more than 0.5 % of the plant's capacity from the value it
//! uses, or when the energy thus owed would move its temperature by 0.01 K. What is owed is settled at the
//! next wake: a regulated plant has rejected it as far as it could, the rest moves the temperature. Heat in
//! is summed in integers, so it does not depend on how often it was reported.

use super::energy::Energy;
use super::lag::FirstOrderLag;
use super::parameter::{BadParameter, positive, require};
use super::plant::{Operation, Plant, PlantNow};
use super::weather::Air;
use super::{real, s_from_fs};

/// A zone wakes when its heat moved by more than this share of the capacity. Model choice: it trades events
/// for detail, and changes no total.
const WAKE_SHARE: f64 = 0.005;
/// A zone wakes when the energy it owes would move its temperature by more than this [K]. Model choice: a
/// fiftieth of the steps in which GPUs see their inlet temperature.
const WAKE_K: f64 = 0.01;
/// Most heat a zone takes note of [nW]: 100 GW, so that integer sums over years do not overflow.
const HEAT_CEILING_NW: i128 = 100_000_000_000_000_000_000;
/// Crossings further away than this are not events: weather or heat will have changed [s].
const HORIZON_S: f64 = 1e9;
/// Finer inlet steps would make more events than they tell [K].
const MIN_INLET_STEP_K: f64 = 0.01;
/// Nanowatts times femtoseconds in a joule.
const NW_FS_PER_J: f64 = 1e24;
/// Energy owed is compared without its lowest bits, 10^-6 J of them, so that it fits 64 bits.
const OWED_SHIFT: u32 = 60;
const OWED_UNIT: f64 = (1_u64 << OWED_SHIFT) as f64;

/// How a zone answers to more heat than its plant can reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// No thermal mass to lean on: heat is capped at Q_max(T_set) at all times, and the temperature stays.
    Instantaneous,
    /// The thermal mass takes the difference; the ladder caps heat when it has warmed up.
    Buffered,
}

/// Thresholds of the throttle ladder, T_set < warn < hold < critical < trip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ladder {
    /// A warning [°C].
    pub warn_c: f64,
    /// Heat is capped so that it gets no warmer than this [°C].
    pub hold_c: f64,
    /// Load is shed [°C].
    pub critical_c: f64,
    /// Everything is switched off [°C].
    pub trip_c: f64,
    /// A stage is left this far below its threshold [K]; above 0, at most warn − T_set.
    pub hysteresis_k: f64,
}

/// Stage of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Below all thresholds.
    Normal,
    /// Warm.
    Warn,
    /// Heat is capped: the cooling-bound state.
    Hold,
    /// Load is to be shed.
    Critical,
    /// Nothing may run.
    Trip,
}

/// What a zone is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZoneParams {
    /// Its plant, which knows T_set.
    pub plant: Plant,
    /// Thermal mass C [J/K]; not used when instantaneous.
    pub thermal_mass_j_per_k: f64,
    /// How it answers to too much heat.
    pub mode: Mode,
    /// Its ladder; not used when instantaneous.
    pub ladder: Ladder,
    /// Supply temperature at the start [°C]; T_set when instantaneous.
    pub initial_c: f64,
    /// Step in which the zone reports its inlet temperature, up to `trip_c`; 0 for no such events [K].
    pub inlet_step_k: f64,
}

/// What a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZoneChange {
    /// The zone recomputed itself: its next event may be another.
    pub woke: bool,
    /// The ladder is at another stage.
    pub stage: bool,
    /// The heat cap is another.
    pub heat_cap: bool,
    /// The plant draws another power.
    pub power: bool,
    /// The inlet temperature is in another step.
    pub inlet: bool,
}

/// Sums since the start.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ZoneTotals {
    /// Heat that came in [J].
    pub heat_in_j: f64,
    /// Heat that was rejected [J].
    pub heat_out_j: f64,
    /// Heat stored in the thermal mass, less that of the start [J].
    pub stored_j: f64,
    /// Heat above what the plant could reject, instantaneous zones only (part of `heat_out_j`) [J].
    pub excess_j: f64,
    /// Fan energy [J].
    pub fan_j: f64,
    /// Pump energy [J].
    pub pump_j: f64,
    /// Chiller energy [J].
    pub compressor_j: f64,
    /// Make-up water [kg].
    pub water_kg: f64,
}

/// What the plant does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Regime {
    /// Below T_set.
    Warming,
    /// At T_set.
    Regulated,
    /// Everything at full speed.
    Saturated,
}

/// The next threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Crossing {
    at_fs: i128,
    level_c: f64,
    what: Threshold,
    rising: bool,
}

/// Kinds of threshold, in the order in which equal ones are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    Set,
    Stage,
    Sink,
    Inlet,
}

/// A zone at an instant.
#[derive(Debug, Clone, Copy)]
pub struct Zone {
    params: ZoneParams,
    /// What of the plant is available, in the present weather.
    plant: PlantNow,
    available: Plant,
    air: Air,
    /// Start of the stretch in which nothing changes.
    since_fs: i128,
    /// Supply temperature at `since_fs`.
    supply_c: f64,
    regime: Regime,
    stage: Stage,
    /// Inlet temperature is within the step that ends at this multiple of the step.
    inlet_step: i64,
    operation: Operation,
    next: Option<Crossing>,
    /// Heat reported, heat used, and heat there would be without the zone's cap [nW].
    heat_nw: i128,
    held_nw: i128,
    uncapped_nw: i128,
    /// Instant up to which heat is accounted for, and the sums of it.
    heat_until_fs: i128,
    heat_in: Energy,
    /// (heat reported − heat used) over time, not settled yet.
    owed_nw_fs: i128,
    totals: ZoneTotals,
}

impl Zone {
    /// A zone without heat, at instant `now_fs` in `air`.
    pub fn new(params: ZoneParams, now_fs: i128, air: Air) -> Result<Self, BadParameter> {
        let mut params = params;
        let step_k = params.inlet_step_k;
        require(step_k == 0.0 || step_k >= MIN_INLET_STEP_K, "inlet_step_k", "0, or 0.01 at least", step_k)?;
        match params.mode {
            Mode::Instantaneous => params.initial_c = params.plant.set_c(),
            Mode::Buffered => check(&params)?,
        }
        let mut zone = Self {
            params,
            plant: params.plant.under(air),
            available: params.plant,
            air,
            since_fs: now_fs,
            supply_c: params.initial_c,
            regime: Regime::Regulated,
            stage: Stage::Normal,
            inlet_step: 0,
            operation: Operation::default(),
            next: None,
            heat_nw: 0,
            held_nw: 0,
            uncapped_nw: 0,
            heat_until_fs: now_fs,
            heat_in: Energy::default(),
            owed_nw_fs: 0,
            totals: ZoneTotals::default(),
        };
        zone.reconsider(None);
        Ok(zone)
    }

    /// Instant of the next event of its own [fs]; it may change with every call that wakes the zone.
    pub fn next_event_fs(&self) -> Option<i128> {
        self.next.map(|next| next.at_fs)
    }

    /// An event of its own is due: thresholds up to `now_fs` are passed.
    pub fn on_event(&mut self, now_fs: i128) -> ZoneChange {
        let before = *self;
        self.catch_up(now_fs);
        self.change_since(&before)
    }

    /// Heat into the zone is `heat_nw` from `now_fs` on [nW]: IT, and losses of devices in the zone.
    #[inline]
    pub fn set_heat_nw(&mut self, now_fs: i128, heat_nw: i128) -> ZoneChange {
        let heat_nw = heat_nw.clamp(0, HEAT_CEILING_NW);
        if self.next.is_some_and(|next| next.at_fs <= now_fs) {
            return self.set_heat_after_events(now_fs, heat_nw);
        }
        if heat_nw != self.heat_nw {
            self.account(now_fs);
            self.heat_nw = heat_nw;
            if self.must_wake() {
                return self.wake_changed(now_fs);
            }
        }
        ZoneChange::default()
    }

    #[cold]
    fn wake_changed(&mut self, now_fs: i128) -> ZoneChange {
        let before = *self;
        self.wake(now_fs);
        self.change_since(&before)
    }

    #[cold]
    fn set_heat_after_events(&mut self, now_fs: i128, heat_nw: i128) -> ZoneChange {
        let before = *self;
        self.catch_up(now_fs);
        if heat_nw != self.heat_nw {
            self.account(now_fs);
            self.heat_nw = heat_nw;
            if self.must_wake() {
                self.wake(now_fs);
            }
        }
        self.change_since(&before)
    }

    /// Whether the heat reported has moved too far, or too much energy is owed, for the heat used to stand.
    #[inline]
    fn must_wake(&self) -> bool {
        let moved_w = watts(self.heat_nw - self.held_nw).abs();
        let owed_j = real(self.owed_nw_fs >> OWED_SHIFT) * (OWED_UNIT / NW_FS_PER_J);
        moved_w > WAKE_SHARE * self.params.plant.capacity_w()
            || (self.params.mode == Mode::Buffered
                && owed_j.abs() > WAKE_K * self.params.thermal_mass_j_per_k)
    }

    /// Without the zone's heat cap, heat would be `uncapped_nw` [nW]. Needed while the zone holds: it leaves
    /// that stage on this figure, which at the start of a hold is the heat that led to it.
    pub fn set_uncapped_nw(&mut self, now_fs: i128, uncapped_nw: i128) -> ZoneChange {
        let before = *self;
        self.catch_up(now_fs);
        self.uncapped_nw = uncapped_nw.clamp(0, HEAT_CEILING_NW);
        if self.stage == Stage::Hold && self.may_release(self.heat_nw) {
            self.wake(now_fs);
        }
        self.change_since(&before)
    }

    /// The air is another from `now_fs` on.
    pub fn set_weather(&mut self, now_fs: i128, air: Air) -> ZoneChange {
        self.set_plant(now_fs, self.available, air)
    }

    /// From `now_fs` on, `plant_share` of the plant is available: towers, pumps, heat exchangers, chillers, and the
    /// power they draw. Of the chillers in that, `chiller_share`. Both count from the plant as built, so 1 and 1
    /// give it back to the bit; what is no share counts as the nearest one, NaN as 0.
    ///
    /// What the zone takes note of (0.5 % of the capacity, steps of its inlet) stays that of the plant as built.
    pub fn set_available(&mut self, now_fs: i128, plant_share: f64, chiller_share: f64) -> ZoneChange {
        let share = |value: f64| if value > 0.0 { value.min(1.0) } else { 0.0 };
        let available = self.params.plant.reduced(share(plant_share), share(chiller_share));
        self.set_plant(now_fs, available, self.air)
    }

    fn set_plant(&mut self, now_fs: i128, available: Plant, air: Air) -> ZoneChange {
        let before = *self;
        self.catch_up(now_fs);
        // What was owed was owed to the old plant in the old weather.
        self.settle_all(now_fs);
        self.available = available;
        self.air = air;
        self.plant = available.under(air);
        self.reconsider(None);
        self.change_since(&before)
    }

    /// Stage of the ladder.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Most heat the zone allows now [W], losses in the zone included; `None`: no limit.
    pub fn heat_cap_w(&self) -> Option<f64> {
        match (self.params.mode, self.stage) {
            (Mode::Instantaneous, _) => Some(self.plant.max_at_set_w()),
            (Mode::Buffered, Stage::Normal | Stage::Warn) => None,
            (Mode::Buffered, Stage::Hold | Stage::Critical) => Some(self.hold_max_w()),
            (Mode::Buffered, Stage::Trip) => Some(0.0),
        }
    }

    /// Heat the zone can bear for good in this weather [W]: what the plant rejects at the temperature at
    /// which the zone begins to hold (T_set when instantaneous).
    pub fn sustainable_w(&self) -> f64 {
        match self.params.mode {
            Mode::Instantaneous => self.plant.max_at_set_w(),
            Mode::Buffered => self.hold_max_w(),
        }
    }

    /// What fans, pumps and chiller draw [W].
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// All that the plant draws [W].
    pub fn cooling_power_w(&self) -> f64 {
        self.operation.power_w()
    }

    /// What of the plant is available, in the present weather.
    pub fn plant(&self) -> &PlantNow {
        &self.plant
    }

    /// Heat being rejected at `now_fs` [W].
    pub fn rejected_w(&self, now_fs: i128) -> f64 {
        let zone = self.at(now_fs);
        match zone.regime {
            Regime::Warming => 0.0,
            Regime::Regulated => watts(zone.held_nw),
            Regime::Saturated => zone.plant.rejected_w(zone.supply_c, watts(zone.held_nw)),
        }
    }

    /// Make-up water at `now_fs` [kg/s].
    pub fn water_kg_per_s(&self, now_fs: i128) -> f64 {
        let rejected_w = self.rejected_w(now_fs);
        let evaporated_w = match self.params.mode {
            Mode::Instantaneous => rejected_w.min(self.plant.max_at_set_w()),
            Mode::Buffered => rejected_w,
        };
        self.plant.water_kg_per_s(evaporated_w, &self.at(now_fs).operation)
    }

    /// Supply temperature at `now_fs` [°C].
    pub fn temperature_c(&self, now_fs: i128) -> f64 {
        self.at(now_fs).supply_c
    }

    /// Temperature that stands for the present step: its upper edge [°C]. Without steps, the temperature at
    /// the last wake.
    pub fn inlet_c(&self) -> f64 {
        if self.params.inlet_step_k > 0.0 {
            self.inlet_step as f64 * self.params.inlet_step_k
        } else {
            self.supply_c
        }
    }

    /// Sums from the start to `now_fs`. Reading them changes nothing.
    pub fn totals(&self, now_fs: i128) -> ZoneTotals {
        let mut zone = self.at(now_fs);
        zone.account(now_fs.max(zone.heat_until_fs));
        let stored_j = match zone.params.mode {
            Mode::Instantaneous => 0.0,
            Mode::Buffered => {
                zone.params.thermal_mass_j_per_k * (zone.supply_c - zone.params.initial_c)
                    + zone.owed_nw_fs as f64 / NW_FS_PER_J
            }
        };
        ZoneTotals { heat_in_j: zone.heat_in.as_j(), stored_j, ..zone.totals }
    }

    /// A copy of the zone at `now_fs`.
    fn at(&self, now_fs: i128) -> Self {
        let mut zone = *self;
        zone.catch_up(now_fs);
        zone.account(now_fs);
        zone.settle(now_fs);
        zone
    }

    /// Pass every threshold up to `now_fs`.
    fn catch_up(&mut self, now_fs: i128) {
        while let Some(next) = self.next
            && next.at_fs <= now_fs
        {
            self.account(next.at_fs);
            self.settle(next.at_fs);
            // What is owed stays owed, and the heat used stays the same: the temperature is on its threshold.
            self.supply_c = next.level_c;
            self.reconsider(Some(next));
        }
    }

    /// Settle everything at `now_fs` and go on with the heat reported.
    fn wake(&mut self, now_fs: i128) {
        self.settle_all(now_fs);
        self.reconsider(None);
    }

    /// Bring temperature and sums to `now_fs`, owed energy included.
    fn settle_all(&mut self, now_fs: i128) {
        self.account(now_fs);
        self.settle(now_fs);
        if self.params.mode == Mode::Buffered && self.owed_nw_fs != 0 {
            self.supply_c += self.owed_nw_fs as f64 / NW_FS_PER_J / self.params.thermal_mass_j_per_k;
            self.owed_nw_fs = 0;
        }
        self.held_nw = self.heat_nw;
    }

    /// Sum the heat reported up to `to_fs`.
    #[inline]
    fn account(&mut self, to_fs: i128) {
        let dt_fs = to_fs - self.heat_until_fs;
        if dt_fs > 0 {
            self.heat_in.add(self.heat_nw, dt_fs);
            let moved_nw = self.heat_nw - self.held_nw;
            let moved = match (i64::try_from(moved_nw), i64::try_from(dt_fs)) {
                (Ok(short_nw), Ok(short_fs)) => i128::from(short_nw) * i128::from(short_fs),
                _ => moved_nw.saturating_mul(dt_fs),
            };
            self.owed_nw_fs = self.owed_nw_fs.saturating_add(moved);
            self.heat_until_fs = to_fs;
        }
    }

    /// Bring temperature and sums to `to_fs`, up to which nothing changes.
    fn settle(&mut self, to_fs: i128) {
        let dt_fs = to_fs - self.since_fs;
        if dt_fs <= 0 {
            return;
        }
        self.since_fs = to_fs;
        let dt_s = s_from_fs(dt_fs);
        let held_j = watts(self.held_nw) * dt_s;
        // Heat that no plant rejected evaporates no water.
        let mut excess_j = 0.0;
        let rejected_j = match self.regime {
            Regime::Warming => {
                self.supply_c = self.lag().advance(self.supply_c, dt_s);
                0.0
            }
            Regime::Regulated => {
                let most_j = self.plant.max_at_set_w() * dt_s;
                let owed_j = self.owed_nw_fs as f64 / NW_FS_PER_J;
                if self.params.mode == Mode::Instantaneous {
                    // What no plant can reject has nowhere to go: it is told, and leaves.
                    self.owed_nw_fs = 0;
                    excess_j = (held_j + owed_j - most_j).max(0.0);
                    held_j + owed_j
                } else if held_j + owed_j <= most_j && held_j + owed_j >= 0.0 {
                    self.owed_nw_fs = 0;
                    held_j + owed_j
                } else {
                    let rejected_j = if owed_j > 0.0 { most_j } else { 0.0 };
                    let settled = ((rejected_j - held_j) * NW_FS_PER_J) as i128;
                    self.owed_nw_fs = self.owed_nw_fs.saturating_sub(settled);
                    rejected_j
                }
            }
            Regime::Saturated => {
                let lag = self.lag();
                let free_j = if lag.decay > 0.0 {
                    let above_ks = lag.integral(self.supply_c, dt_s) - self.reach_c() * dt_s;
                    self.plant.conductance_w_per_k() * above_ks
                } else {
                    0.0
                };
                self.supply_c = lag.advance(self.supply_c, dt_s);
                free_j + self.plant.chiller_w * dt_s
            }
        };
        self.totals.heat_out_j += rejected_j;
        self.totals.excess_j += excess_j;
        self.totals.fan_j += self.operation.fan_w * dt_s;
        self.totals.pump_j += self.operation.pump_w * dt_s;
        self.totals.compressor_j += self.operation.compressor_w * dt_s;
        // Water is linear in heat, compressor power and what pads evaporate: joules in place of watts give kilograms.
        let joules = Operation {
            compressor_w: self.operation.compressor_w * dt_s,
            wetted_w: self.operation.wetted_w * dt_s,
            ..Operation::default()
        };
        self.totals.water_kg += self.plant.water_kg_per_s(rejected_j - excess_j, &joules);
    }

    /// Supply temperature up to which the outdoors take nothing of the heat used [°C].
    fn reach_c(&self) -> f64 {
        self.plant.reach_c(watts(self.held_nw))
    }

    /// The law of the temperature in the present stretch.
    fn lag(&self) -> FirstOrderLag {
        let (mass, held_w) = (self.params.thermal_mass_j_per_k, watts(self.held_nw));
        match self.regime {
            Regime::Warming => FirstOrderLag::straight(held_w / mass),
            Regime::Regulated => FirstOrderLag::straight(0.0),
            Regime::Saturated => {
                let reach_c = self.reach_c();
                let drive = (held_w - self.plant.chiller_w) / mass;
                // At the kink itself the drive says on which side the stretch lies.
                if self.supply_c > reach_c || (self.supply_c == reach_c && drive > 0.0) {
                    let decay = self.plant.conductance_w_per_k() / mass;
                    FirstOrderLag { reference: reach_c, drive, decay }
                } else {
                    FirstOrderLag::straight(drive)
                }
            }
        }
    }

    /// Choose regime, stage, power and next event for the stretch that begins; `event` began it, if any.
    fn reconsider(&mut self, event: Option<Crossing>) {
        let set_c = self.params.plant.set_c();
        let held_w = watts(self.held_nw);
        self.regime = match (self.params.mode, event) {
            (Mode::Instantaneous, _) => Regime::Regulated,
            (_, Some(Crossing { what: Threshold::Set, rising: false, .. })) => Regime::Regulated,
            _ if self.supply_c < set_c => Regime::Warming,
            _ if self.supply_c == set_c && held_w <= self.plant.max_at_set_w() => Regime::Regulated,
            _ => Regime::Saturated,
        };
        self.operation = match self.regime {
            Regime::Warming => self.plant.regulated(0.0),
            Regime::Regulated => self.plant.regulated(held_w),
            Regime::Saturated => self.plant.full_speed(),
        };
        let mut climbs = event.is_some_and(|e| e.what == Threshold::Stage && e.rising);
        if self.params.mode == Mode::Buffered {
            while let Some(stage) = self.next_stage(climbs) {
                if (self.stage, stage) == (Stage::Warn, Stage::Hold) {
                    self.uncapped_nw = self.heat_nw;
                }
                self.stage = stage;
                climbs = false;
            }
        }
        self.next = None;
        let lag = self.lag();
        let slope = lag.slope(self.supply_c);
        let step_k = self.params.inlet_step_k;
        if step_k > 0.0 {
            // Nothing runs above the trip threshold: the steps end there, however hot it gets.
            let supply_c = self.supply_c.min(self.params.ladder.trip_c);
            self.inlet_step = inlet_step(supply_c, step_k, slope > 0.0);
        }
        if slope != 0.0 {
            self.look_ahead(&lag, slope > 0.0);
        }
    }

    /// The stage to go to from the present one, if any. `climbs`: the temperature just met the threshold of
    /// the stage above from below.
    fn next_stage(&self, climbs: bool) -> Option<Stage> {
        let Ladder { warn_c, hold_c, critical_c, trip_c, hysteresis_k } = self.params.ladder;
        let supply_c = self.supply_c;
        match self.stage {
            Stage::Normal if supply_c >= warn_c => Some(Stage::Warn),
            // After a hold the zone may still be that warm, and cool down by itself.
            Stage::Warn if supply_c >= hold_c && (climbs || watts(self.held_nw) > self.hold_max_w()) => {
                Some(Stage::Hold)
            }
            Stage::Warn if supply_c <= warn_c - hysteresis_k => Some(Stage::Normal),
            Stage::Hold if supply_c >= critical_c => Some(Stage::Critical),
            Stage::Hold if self.may_release(self.held_nw) => Some(Stage::Warn),
            Stage::Critical if supply_c >= trip_c => Some(Stage::Trip),
            Stage::Critical if supply_c <= critical_c - hysteresis_k => Some(Stage::Hold),
            Stage::Trip if supply_c <= trip_c - hysteresis_k => Some(Stage::Critical),
            _ => None,
        }
    }

    /// Whether a hold may end: neither the heat there is nor the heat without the cap would bring it back.
    fn may_release(&self, heat_nw: i128) -> bool {
        let release_c = self.params.ladder.hold_c - self.params.ladder.hysteresis_k;
        watts(heat_nw.max(self.uncapped_nw)) <= self.plant.max_w(release_c)
    }

    /// Q_max(T_hold) in the present weather [W].
    fn hold_max_w(&self) -> f64 {
        self.plant.max_w(self.params.ladder.hold_c)
    }

    /// Find the next threshold on the way.
    fn look_ahead(&mut self, lag: &FirstOrderLag, rising: bool) {
        let Ladder { warn_c, hold_c, critical_c, trip_c, hysteresis_k } = self.params.ladder;
        let stage_c = match (self.stage, rising) {
            (Stage::Normal, true) => Some(warn_c),
            (Stage::Warn, true) => Some(hold_c),
            (Stage::Hold, true) => Some(critical_c),
            (Stage::Critical, true) => Some(trip_c),
            (Stage::Warn, false) => Some(warn_c - hysteresis_k),
            (Stage::Critical, false) => Some(critical_c - hysteresis_k),
            (Stage::Trip, false) => Some(trip_c - hysteresis_k),
            (Stage::Trip, true) | (Stage::Normal | Stage::Hold, false) => None,
        };
        let step_k = self.params.inlet_step_k;
        let stepped = step_k > 0.0 && !(rising && self.supply_c >= trip_c);
        let inlet_c = stepped.then(|| (self.inlet_step - i64::from(!rising)) as f64 * step_k);
        let candidates = [
            (Threshold::Set, Some(self.params.plant.set_c())),
            (Threshold::Stage, stage_c),
            (Threshold::Sink, (self.regime == Regime::Saturated).then_some(self.reach_c())),
            (Threshold::Inlet, inlet_c),
        ];
        let mut soonest = HORIZON_S;
        for (what, level_c) in candidates {
            let Some(level_c) = level_c else { continue };
            // A level it is on already is not ahead.
            let seconds = lag.crossing(self.supply_c, level_c).filter(|_| level_c != self.supply_c);
            if let Some(seconds) = seconds
                && seconds < soonest
            {
                soonest = seconds;
                let at_fs = self.since_fs + fs_up(seconds);
                self.next = Some(Crossing { at_fs, level_c, what, rising });
            }
        }
    }

    fn change_since(&self, before: &Self) -> ZoneChange {
        ZoneChange {
            woke: self.since_fs != before.since_fs
                || self.next != before.next
                || self.held_nw != before.held_nw,
            stage: self.stage != before.stage,
            heat_cap: self.heat_cap_w() != before.heat_cap_w(),
            power: self.operation != before.operation,
            inlet: self.inlet_step != before.inlet_step,
        }
    }
}

/// What a buffered zone needs to be sound.
fn check(params: &ZoneParams) -> Result<(), BadParameter> {
    let Ladder { warn_c, hold_c, critical_c, trip_c, hysteresis_k } = params.ladder;
    let room_k = warn_c - params.plant.set_c();
    positive("thermal_mass_j_per_k", params.thermal_mass_j_per_k)?;
    let supply = (-50.0..=100.0).contains(&params.initial_c);
    require(supply, "initial_c", "a supply temperature, -50 to 100", params.initial_c)?;
    require(room_k > 0.0, "warn_c", "above set_c", warn_c)?;
    require(hold_c > warn_c, "hold_c", "above warn_c", hold_c)?;
    require(critical_c > hold_c, "critical_c", "above hold_c", critical_c)?;
    require(trip_c > critical_c && trip_c <= 200.0, "trip_c", "above critical_c, at most 200", trip_c)?;
    // Without hysteresis a stage would be entered and left at one instant; with more, never left.
    let fits = hysteresis_k > 0.0 && warn_c - hysteresis_k >= params.plant.set_c();
    require(fits, "hysteresis_k", "above 0, at most warn_c - set_c", hysteresis_k)
}

/// Nanowatts to watts.
fn watts(nw: i128) -> f64 {
    real(nw) * 1e-9
}

/// Seconds to femtoseconds, rounded up, at least 1: an event lies ahead.
fn fs_up(seconds: f64) -> i128 {
    ((seconds * 1e15).ceil() as i128).max(1)
}

/// The step an inlet temperature is in, named by its upper edge in multiples of `step_k`. On an edge it is
/// in the step it came from, unless it rises.
fn inlet_step(supply_c: f64, step_k: f64, rising: bool) -> i64 {
    let mut step = (supply_c / step_k).ceil() as i64;
    // The division may round across an edge the temperature was set to.
    if rising && step as f64 * step_k <= supply_c {
        step = step.saturating_add(1);
    } else if !rising && step.saturating_sub(1) as f64 * step_k >= supply_c {
        step = step.saturating_sub(1);
    }
    step
}

#[cfg(test)]
mod outages;
#[cfg(test)]
mod tests;
