//! Figure `headroom`: what each power device put out in shares of its limit, and the part of it that nothing can use.

use std::fmt::Write as _;

use super::frame::{self, Frame};
use super::picture::{Align, MARGIN, Picture, Shape, Style};
use super::theme::{AXIS_ROOM, Theme};
use super::{Figure, Table, csv_number, csv_text};
use crate::ledger::outcome::{Constraint, DeviceSummary, Outcome, SiteSummary, Stranded};
use crate::report::numbers::{quantity, significant};
use crate::report::palette::{self, AREA, Color, GRID, INK, POWER_PARTS, SOFT_INK};

/// Height of a row in em of its name, and of its bar.
const PITCH: f64 = 1.55;
const BAR: f64 = 0.62;
/// Indentation of a device below another [em].
const INDENT: f64 = 0.7;
/// A page may become so many times as high as usual.
const LOWEST: f64 = 0.5;
const HIGHEST: f64 = 2.5;
/// Names take at most this share of the page.
const NAMES: f64 = 0.3;
/// Shares beyond this are cut off at the right.
const MOST: f64 = 2.0;
/// Distance of the hatching [px].
const HATCH: f64 = 9.0;

/// A line of the figure.
struct Row<'a> {
    /// Of a site, where there are several, or without its site.
    name: &'a str,
    depth: usize,
    device: Option<&'a DeviceSummary>,
}

/// Draws the figure; nothing without a power tree.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Option<Figure<'a>> {
    let sites: Vec<&SiteSummary> =
        outcome.summary.per_site.iter().filter(|site| !site.devices.is_empty()).collect();
    let all = rows(&sites);
    let tightest = all.iter().filter_map(|row| row.device).reduce(|tightest, device| {
        if device.p99_share_of_limit > tightest.p99_share_of_limit { device } else { tightest }
    })?;

    let axis = "Output of power devices in % of their limits";
    let key = "mean (dark), 99th percentile (pale), maximum (line), stranded (hatched)";
    let (titles, subtitle) = (titles(tightest), format!("{axis}: {key}"));
    let mut picture = Picture::new(theme, titles[0].clone(), format!("{subtitle}, in the measured window."));
    let short = "mean (dark), p99 (pale), maximum (line), stranded (hatched)";
    picture.head(&titles, &[subtitle, format!("Output [% of limit]: {short}"), short.to_string()]);

    let name = Style { bold: false, ..theme.label() };
    let pitch = PITCH * name.size;
    let top = theme.strip_baseline() + 14.0;
    let below = theme.foot() + AXIS_ROOM + 12.0;
    let wanted = top + all.len() as f64 * pitch + below;
    picture.height = wanted.clamp(theme.higher(LOWEST), theme.higher(HIGHEST));
    let fit = ((picture.height - below - top) / pitch) as usize;
    let left_out = all.iter().filter(|row| row.device.is_some()).count();
    let shown = tightest_rows(all, fit);
    let left_out = left_out - shown.iter().filter(|row| row.device.is_some()).count();

    let indent = |row: &Row| row.depth as f64 * INDENT * name.size;
    let widest = shown.iter().map(|row| indent(row) + name.width(row.name)).fold(0.0, f64::max);
    let columns: Vec<[String; 2]> =
        shown.iter().map(|row| row.device.map(beside).unwrap_or_default()).collect();
    let heads = ["limit", "sold"];
    let wide = |k: usize| {
        let texts = columns.iter().map(|texts| name.width(&texts[k]));
        texts.fold(theme.tick().width(heads[k]), f64::max)
    };
    let (right, gap) = (theme.page.0 - MARGIN, 0.6 * name.size);
    let ends = [right - wide(1) - gap, right];
    let most = shown.iter().filter_map(|row| row.device).map(|d| share(d, d.max_w)).fold(1.0, f64::max);
    let frame = Frame {
        left: MARGIN + widest.min(NAMES * theme.page.0) + gap,
        right: ends[0] - wide(0) - gap,
        top,
        bottom: top + shown.len() as f64 * pitch,
        start_s: 0.0,
        end_s: (most * 1.02).min(MOST),
        floor: 0.0,
        limit: 1.0,
    };
    for (k, head) in heads.into_iter().enumerate() {
        picture.text((ends[k], theme.strip_baseline()), Align::Right, theme.tick(), head);
    }
    for (number, (row, texts)) in shown.iter().zip(&columns).enumerate() {
        let middle = top + (number as f64 + 0.5) * pitch;
        let baseline = middle + 0.36 * name.size;
        // The widest name fits to the last bit.
        let room = frame.left - gap - MARGIN - indent(row) + 0.5;
        let style = if row.device.is_some() { name } else { theme.label() };
        let text = style.fit(&[row.name.to_string()], room);
        picture.text((MARGIN + indent(row), baseline), Align::Left, style, &text);
        let Some(device) = row.device else { continue };
        draw_bar(&mut picture, &frame, device, (middle, 0.5 * BAR * pitch));
        for (end, text) in ends.into_iter().zip(texts) {
            picture.text((end, baseline), Align::Right, name, text);
        }
    }
    let limit = frame.x(1.0);
    picture.path(vec![(limit, top), (limit, frame.bottom)], 3.0, palette::fill(Constraint::Power));
    frame::draw_load_axis(&mut picture, &frame, 0.01, "Share of the limit [%]");
    let remark = match left_out {
        0 => String::new(),
        n => format!(" · {n} devices with more headroom left out"),
    };
    let remark = format!(" · sold: nameplates below over rating{remark}");
    frame::draw_footer_with(&mut picture, &outcome.summary, &remark);
    Some(Figure { name: "headroom", picture, tables: vec![Table { name: "headroom", csv: csv(&sites) }] })
}

/// Sites, where there are several, and their devices as a tree: each below what feeds it, else as the scenario has them.
fn rows<'a>(sites: &[&'a SiteSummary]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for site in sites {
        let base = usize::from(sites.len() > 1);
        if base > 0 {
            rows.push(Row { name: &site.name, depth: 0, device: None });
        }
        let mut stack: Vec<(&DeviceSummary, usize)> =
            site.devices.iter().rev().filter(|d| d.parent.is_none()).map(|d| (d, base)).collect();
        // A file that was written by hand may have a circle: nothing in it is reached.
        while let Some((device, depth)) = stack.pop() {
            let prefix = format!("{}.", site.name);
            let name = device.name.strip_prefix(&prefix).unwrap_or(&device.name);
            rows.push(Row { name, depth, device: Some(device) });
            let below = site.devices.iter().rev().filter(|d| d.parent.as_deref() == Some(&device.name));
            stack.extend(below.map(|d| (d, depth + 1)));
        }
    }
    rows
}

/// So many rows as fit: those of the devices with the least headroom, in their order, and of the sites they are of.
fn tightest_rows(rows: Vec<Row>, fit: usize) -> Vec<Row> {
    if rows.len() <= fit {
        return rows;
    }
    let mut order: Vec<usize> = (0..rows.len()).filter(|&k| rows[k].device.is_some()).collect();
    let load = |k: usize| rows[k].device.map_or(0.0, |device| device.p99_share_of_limit);
    order.sort_by(|&a, &b| load(b).total_cmp(&load(a)));
    let mut keep = vec![false; rows.len()];
    let mut kept = 0;
    for k in order {
        let site = rows[..k].iter().rposition(|row| row.device.is_none());
        let needed = 1 + usize::from(site.is_some_and(|site| !keep[site]));
        if kept + needed > fit {
            break;
        }
        kept += needed;
        keep[k] = true;
        if let Some(site) = site {
            keep[site] = true;
        }
    }
    rows.into_iter().zip(keep).filter_map(|(row, keep)| keep.then_some(row)).collect()
}

/// A power as a share of a device's limit; nothing is no share even where nothing is allowed.
fn share(device: &DeviceSummary, watts: f64) -> f64 {
    if watts <= 0.0 { 0.0 } else { (watts / device.limit_w.max(1e-9)).min(1e3) }
}

/// What stands beside a bar: the limit, and how often it is sold.
fn beside(device: &DeviceSummary) -> [String; 2] {
    let sold = device.oversubscription.map_or("–".to_string(), |share| format!("{share:.2}×"));
    [quantity(device.limit_w, "W"), sold]
}

fn draw_bar(picture: &mut Picture, frame: &Frame, device: &DeviceSummary, (middle, half): (f64, f64)) {
    let (top, bottom) = (middle - half, middle + half);
    let x = |share: f64| frame.x(share);
    picture.rect((x(0.0), top), (x(1.0), bottom), AREA);
    let usable = 1.0 - share(device, device.stranded_w);
    if x(1.0) - x(usable) >= 1.0 {
        picture.rect((x(usable), top), (x(1.0), bottom), palette::WHITE);
        hatch(picture, (x(usable), x(1.0)), (top, bottom), GRID);
    }
    let (mean, p99) = (share(device, device.mean_w), device.p99_share_of_limit);
    let inset = 0.18 * (bottom - top);
    picture.rect((x(0.0), top + inset), (x(p99), bottom - inset), POWER_PARTS[1]);
    picture.rect((x(0.0), top + inset), (x(mean), bottom - inset), POWER_PARTS[0]);
    let most = x(share(device, device.max_w));
    picture.path(vec![(most, top), (most, bottom)], 4.0, INK);
    let percent = |share: f64| format!("{} %", significant(100.0 * share, 3));
    let stranded = match device.stranded_by {
        None => "nothing stranded".to_string(),
        Some(by) => {
            let by = if by == Stranded::Above { "above" } else { "below" };
            format!("{} stranded from {by}", quantity(device.stranded_w, "W"))
        }
    };
    let tip = format!(
        "{}: mean {}, 99th percentile {}, maximum {} of {}; {stranded}; above the limit for {} s",
        device.name,
        percent(mean),
        percent(p99),
        percent(share(device, device.max_w)),
        quantity(device.limit_w, "W"),
        significant(device.overshoot_s, 3)
    );
    picture.shapes.push(Shape::Hover { x0: frame.left, y0: top, x1: frame.right, y1: bottom, tip });
}

/// Slanted lines in a rectangle, and its outline.
fn hatch(picture: &mut Picture, (x0, x1): (f64, f64), (y0, y1): (f64, f64), color: Color) {
    let height = y1 - y0;
    let lines = ((x1 - x0 + height) / HATCH) as usize;
    for k in 1..=lines {
        // From the lower edge at `foot` up to the right, cut off at the sides.
        let foot = x0 - height + k as f64 * HATCH;
        let (from, to) = (foot.max(x0), (foot + height).min(x1));
        if to > from {
            picture.path(vec![(from, y1 - (from - foot)), (to, y1 - (to - foot))], 2.0, SOFT_INK);
        }
    }
    picture.path(vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], 1.5, color);
}

/// The finding, from the most to the least detailed wording.
fn titles(device: &DeviceSummary) -> Vec<String> {
    let left = 100.0 * (1.0 - device.p99_share_of_limit);
    let name = &device.name;
    if left < 0.0 {
        let over = significant(-left, 2);
        return vec![
            format!(
                "{name} is {over} % above its limit of {} for 1 % of the time",
                quantity(device.limit_w, "W")
            ),
            format!("{name} is above its limit"),
        ];
    }
    let left = significant(left, 2);
    vec![
        format!("{name} is the tightest: {left} % of its limit left for 99 % of the time"),
        format!("{name} is the tightest: {left} % of its limit left"),
        format!("{name} has the least headroom: {left} %"),
    ]
}

fn csv(sites: &[&SiteSummary]) -> String {
    let mut out = String::from(
        "device,parent,rated_w,limit_w,mean_w,p99_w,max_w,p99_share_of_limit,headroom_p99_w,overshoot_s,overshoot_j,\
         stranded_w,stranded_by,nameplate_below_w,oversubscription\n",
    );
    for d in rows(sites).into_iter().filter_map(|row| row.device) {
        let by = match d.stranded_by {
            None => "",
            Some(Stranded::Above) => "above",
            Some(Stranded::Below) => "below",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{},{by},{},{}",
            csv_text(&d.name),
            csv_text(d.parent.as_deref().unwrap_or_default()),
            d.rated_w,
            d.limit_w,
            d.mean_w,
            d.p99_w,
            d.max_w,
            d.p99_share_of_limit,
            d.headroom_p99_w,
            d.overshoot_s,
            d.overshoot_j,
            d.stranded_w,
            d.nameplate_below_w,
            csv_number(d.oversubscription)
        );
    }
    out
}
