//! Figure `energy_flow`: where the energy of a run goes, from the utility meter to useful tokens.

use std::fmt::Write as _;

use super::frame;
use super::picture::{Align, MARGIN, Picture, Shape, Style};
use super::theme::Theme;
use super::{Figure, Table};
use crate::ledger::outcome::{Energy, Outcome};
use crate::report::numbers::{percent, significant};
use crate::report::palette::{AREA, Color, FLOW_TOKENS, INK, POWER_PARTS, SOFT_INK};

/// One end of the flow.
#[derive(Debug, Clone)]
struct Flow {
    name: &'static str,
    joules: f64,
    fill: Color,
    /// Where it leaves the trunk, from the meter on.
    stage: usize,
}

/// What the trunk is called after each stage.
const TRUNK: [&str; 4] = ["utility", "IT", "GPU", "GPU active"];
/// Where the flows of each stage leave the trunk [px of a page 1,400 wide].
const SPLITS: [f64; 4] = [190.0, 470.0, 740.0, 1050.0];
/// Length of a bend, and width of the bar at its end [px].
const BEND: f64 = 90.0;
const BAR: f64 = 14.0;
/// Name of the batteries among the parts of a building.
const BATTERIES: &str = "batteries";
/// Largest height of all energy [px].
const MOST_HEIGHT: f64 = 600.0;
/// Gap between trunk and what leaves it, and least height for a label [px].
const GAP: f64 = 46.0;
const LABEL_HEIGHT: f64 = 84.0;
/// Flows of a smaller share are left to the table: they would be a label without a band.
const LEAST_SHARE: f64 = 1e-3;

/// What batteries took in all [J]; below 0: they gave more than they took, and are a source.
fn charged_j(outcome: &Outcome) -> f64 {
    let parts = outcome.summary.energy_j.by.building.iter();
    parts.filter(|(name, _)| name == BATTERIES).map(|part| part.1).sum()
}

/// Where the energy comes from besides the utility.
fn other_sources(outcome: &Outcome) -> Vec<&'static str> {
    let generators = outcome.summary.per_site.iter().any(|site| {
        let feeds = |name: &String| site.devices.iter().any(|device| device.parent.as_ref() == Some(name));
        let mut roots = site.devices.iter().filter(|device| device.parent.is_none());
        // As built, all hang from the utility.
        roots.any(|root| !feeds(&root.name) && root.max_w > 0.0 && site.devices.len() > 1)
    });
    let batteries = charged_j(outcome) < 0.0;
    [("generators", generators), ("batteries", batteries)].into_iter().filter(|s| s.1).map(|s| s.0).collect()
}

/// The ends of the flow; they sum to the facility's energy, and what batteries gave more than they took.
fn flows(outcome: &Outcome) -> Vec<Flow> {
    let Energy { by, .. } = &outcome.summary.energy_j;
    let of = |wanted: &dyn Fn(&str) -> bool| {
        by.building.iter().filter(|(name, _)| wanted(name)).map(|part| part.1).sum::<f64>()
    };
    let losses = of(&|name| name.starts_with("loss_"));
    let cooling = of(&|name| !name.starts_with("loss_") && name != BATTERIES);
    let tokens = &outcome.summary.tokens;
    let useful = match tokens.output {
        0 => 0.0,
        output => (tokens.useful_output as f64 / output as f64).min(1.0),
    };
    let flow = |name, joules, fill, stage| Flow { name, joules, fill, stage };
    let all = vec![
        flow("losses, cooling", by.pue_overhead, POWER_PARTS[3], 0),
        flow("losses", losses, POWER_PARTS[4], 0),
        flow("cooling", cooling, POWER_PARTS[5], 0),
        // What they took and did not give back.
        flow("batteries", of(&|name| name == BATTERIES), POWER_PARTS[3], 0),
        flow("node overhead", by.node_overhead, POWER_PARTS[2], 1),
        flow("GPU idle", by.gpu_idle, POWER_PARTS[1], 2),
        flow("useful tokens", by.gpu_active * useful, POWER_PARTS[0], 3),
        flow("other tokens", by.gpu_active * (1.0 - useful), FLOW_TOKENS, 3),
    ];
    all.into_iter().filter(|f| f.joules > 0.0 && f.joules.is_finite()).collect()
}

/// Draws the figure; nothing without energy.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Option<Figure<'a>> {
    let summary = &outcome.summary;
    let flows = flows(outcome);
    let total: f64 = flows.iter().map(|f| f.joules).sum();
    if total <= 0.0 {
        return None;
    }
    let supplied = summary.energy_j.facility - charged_j(outcome).min(0.0);
    debug_assert!((total - supplied).abs() <= 1e-6 * supplied, "the flows sum to {total}, not {supplied}");
    let others = other_sources(outcome);
    let trunks = if others.is_empty() { TRUNK } else { ["sources", TRUNK[1], TRUNK[2], TRUNK[3]] };
    let (unit, factor) = match total / 3.6e6 {
        kwh if kwh >= 2000.0 => ("MWh", 3.6e9),
        kwh if kwh >= 1.0 => ("kWh", 3.6e6),
        _ => ("Wh", 3600.0),
    };
    let energy = |joules: f64| format!("{} {unit}", significant(joules / factor, 3));
    let useful = flows.iter().find(|f| f.name == "useful tokens").map_or(0.0, |f| f.joules);
    let useful = percent(useful / total);
    let titles = [
        format!("Of {} at the meter, {useful} works on useful tokens", energy(total)),
        format!("{useful} of {} works on useful tokens", energy(total)),
    ];
    let axis = format!("Energy of the whole run, from the utility meter to tokens [{unit}]");
    let mut picture =
        Picture::new(theme, titles[0].clone(), format!("{axis}; bands as wide as what they carry."));
    picture.head(&titles, &[axis]);

    let name_style = Style { size: theme.readable(30.0), ..theme.label() };
    let amount_style = Style { bold: false, size: theme.readable(26.0), ..theme.label() };
    let amount = |flow: &Flow| format!("{} · {}", energy(flow.joules), percent(flow.joules / total));
    // The last labels need their room; what is before them shares the rest.
    let last = flows.iter().filter(|f| f.stage + 1 == SPLITS.len());
    let widest =
        last.map(|f| name_style.width(f.name).max(amount_style.width(&amount(f)))).fold(0.0, f64::max);
    let end = theme.page.0 - MARGIN / 4.0 - widest - BEND - BAR - 10.0;
    let factor = (theme.page.0 / 1400.0).min(end / SPLITS[SPLITS.len() - 1]);
    let mut splits = SPLITS.map(|x| x * factor);
    for stage in (1..splits.len()).rev() {
        // What the trunk is called fits before the next bar, at the end before the last bend.
        let wide = [theme.label().width(trunks[stage]), amount_style.width(&energy(total))];
        let bend = if stage + 1 == splits.len() { BEND } else { 0.0 };
        let trunk = bend + BAR + 10.0 + wide[0].max(wide[1]) + 8.0;
        // What left before stands before what leaves here.
        let before = flows.iter().filter(|f| f.stage + 1 == stage && f.joules >= LEAST_SHARE * total);
        let before = before.map(|f| name_style.width(f.name).max(amount_style.width(&amount(f))) + 16.0);
        splits[stage - 1] = splits[stage - 1].min(splits[stage] - before.fold(trunk, f64::max));
    }
    let top = theme.subtitle_baseline() + 44.0;
    let bottom = theme.page.1 - theme.foot() + 1.0;
    let all = height_of_all(&flows, total, top, bottom);
    let height = |joules: f64| all * joules / total;
    let mut left = MARGIN;
    let mut trunk = total;
    for (stage, split) in splits.into_iter().enumerate() {
        picture.rect((left, top), (split, top + height(trunk)), AREA);
        picture.rect((left, top), (left + BAR, top + height(trunk)), SOFT_INK);
        let small = Style { bold: false, size: theme.readable(28.0), ..theme.label() };
        if height(trunk) > LABEL_HEIGHT {
            // Before the next bar, at the end before the last bend.
            let room = split + if stage + 1 == splits.len() { 0.0 } else { BEND } - left - BAR - 14.0;
            let lines = [(38.0, theme.label(), trunks[stage].to_string()), (72.0, small, energy(trunk))];
            for (down, style, text) in lines.into_iter().filter(|l| l.1.width(&l.2) <= room) {
                picture.text((left + BAR + 10.0, top + down), Align::Left, style, &text);
            }
        }
        let leaving: Vec<&Flow> = flows.iter().filter(|f| f.stage == stage).collect();
        let rest = trunk - leaving.iter().map(|f| f.joules).sum::<f64>();
        let leaving = leaving.into_iter().filter(|f| f.joules >= LEAST_SHARE * total);
        // What leaves hangs below what goes on; the last stage stands where the trunk was.
        let last = stage + 1 == splits.len();
        let mut from = if last { top } else { top + height(rest) };
        let mut to = if last { top } else { from + GAP };
        for flow in leaving {
            let thick = height(flow.joules);
            draw_bend(&mut picture, split, (from, to), thick, flow.fill);
            let x = split + BEND;
            picture.rect((x, to), (x + BAR, to + thick.max(2.0)), if thick < 2.0 { INK } else { flow.fill });
            let label = (x + BAR + 10.0, to + 30.0_f64.max((thick.min(LABEL_HEIGHT) / 2.0) - 2.0));
            picture.text(label, Align::Left, name_style, flow.name);
            let amount = amount(flow);
            picture.text((label.0, label.1 + 32.0), Align::Left, amount_style, &amount);
            from += thick;
            to += thick.max(LABEL_HEIGHT) + 6.0;
        }
        if !last {
            picture.rect((split, top), (split + BEND, top + height(rest)), AREA);
        }
        trunk = rest;
        left = split + BEND;
    }
    let mut remark = " · tokens: GPU active energy by count".to_string();
    if !others.is_empty() {
        remark += &format!(" · sources: utility, {}", others.join(", "));
    }
    frame::draw_footer_with(&mut picture, summary, &remark);
    let table = Table { name: "energy_flow", csv: csv(&flows, total) };
    Some(Figure { name: "energy_flow", picture, tables: vec![table] })
}

/// The height of all energy at which what leaves the trunk has room below it [px].
fn height_of_all(flows: &[Flow], total: f64, top: f64, bottom: f64) -> f64 {
    let lowest = |height: f64| {
        let mut trunk = total;
        let mut lowest = 0.0_f64;
        for stage in 0..SPLITS.len() - 1 {
            let leaving = flows.iter().filter(|f| f.stage == stage);
            trunk -= leaving.clone().map(|f| f.joules).sum::<f64>();
            let shown = leaving.filter(|f| f.joules >= LEAST_SHARE * total);
            let ends: f64 = shown.map(|f| (height * f.joules / total).max(LABEL_HEIGHT) + 6.0).sum();
            lowest = lowest.max(top + height * trunk / total + GAP + ends);
        }
        lowest
    };
    let mut height = MOST_HEIGHT;
    while height > 100.0 && lowest(height) > bottom {
        height -= 10.0;
    }
    height
}

/// A band of constant height that goes smoothly from one level to another.
fn draw_bend(picture: &mut Picture, left: f64, (from, to): (f64, f64), thick: f64, fill: Color) {
    let n = BEND as usize;
    let edges: Vec<f64> = (0..=n).map(|k| left + BEND * k as f64 / n as f64).collect();
    let top: Vec<f64> = (0..n)
        .map(|k| {
            let t = (k as f64 + 0.5) / n as f64;
            from + (to - from) * t * t * (3.0 - 2.0 * t)
        })
        .collect();
    let bottom = top.iter().map(|y| y + thick).collect();
    picture.shapes.push(Shape::Band { edges, top, bottom, fill });
}

fn csv(flows: &[Flow], total: f64) -> String {
    let mut out = String::from("leaves_after,to,energy_j,share\n");
    for flow in flows {
        // Writing to a String cannot fail.
        let name = super::csv_text(flow.name);
        let _ = writeln!(out, "{},{name},{},{}", TRUNK[flow.stage], flow.joules, flow.joules / total);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// Batteries that charge are an end of the flow; those that give are a source, and no cooling that is negative.
    #[test]
    fn batteries_are_neither_losses_nor_cooling() {
        for charged in [-3.6e8, 3.6e8] {
            let mut outcome = sample::hot_day();
            let energy = &mut outcome.summary.energy_j;
            energy.by.building.push((BATTERIES.to_string(), charged));
            energy.facility += charged;
            let facility = energy.facility;
            let of = |name: &str| flows(&outcome).iter().find(|f| f.name == name).map(|f| f.joules);
            assert_eq!(of("batteries"), (charged > 0.0).then_some(charged));
            let cooling: f64 = outcome.summary.energy_j.by.building[2..5].iter().map(|part| part.1).sum();
            assert!((of("cooling").unwrap() - cooling).abs() < 1e-6 * cooling);
            let sum: f64 = flows(&outcome).iter().map(|f| f.joules).sum();
            let supplied = facility + if charged < 0.0 { -charged } else { 0.0 };
            assert!((sum - supplied).abs() < 1e-9 * supplied, "{sum} {supplied}");
            let texts = draw(&outcome, &Theme::default()).unwrap().texts();
            assert_eq!(texts[0].1.contains("sources: utility, batteries"), charged < 0.0);
        }
    }
}
