//! Fixed names and colours of constraints and power components, for figures and terminal alike.
//!
//! The constraint colours are from the set of Okabe and Ito, which readers with any common colour vision tell
//! apart; each has a darker twin for text on white (contrast at least 4.5 to 1).

use crate::ledger::outcome::Constraint;

/// Red, green, blue.
pub(crate) type Color = (u8, u8, u8);

pub(crate) const INK: Color = (0x1A, 0x1C, 0x20);
pub(crate) const SOFT_INK: Color = (0x4A, 0x4F, 0x57);
pub(crate) const GRID: Color = (0xCB, 0xCF, 0xD5);
pub(crate) const WARM_UP: Color = (0xF4, 0xF1, 0xE8);
pub(crate) const AREA: Color = (0xE3, 0xE7, 0xEC);
pub(crate) const WHITE: Color = (0xFF, 0xFF, 0xFF);

/// GPU active, GPU idle, node overhead, losses and cooling: from dark to light in the order of stacking.
pub(crate) const POWER_PARTS: [Color; 6] = [
    (0x2F, 0x4B, 0x7C),
    (0x8F, 0xA8, 0xCF),
    (0xC9, 0xB4, 0x8A),
    (0xE2, 0xE0, 0xDB),
    (0xD9, 0xD4, 0xC7),
    (0xA9, 0xD3, 0xEC),
];

/// Facility, IT, GPU: of lines, and of the dots behind them.
pub(crate) const BOUNDARIES: [(Color, Color); 3] = [
    ((0x1A, 0x1C, 0x20), (0xA9, 0xAE, 0xB5)),
    ((0x8A, 0x6A, 0x1F), (0xDD, 0xC7, 0x92)),
    ((0x2F, 0x4B, 0x7C), (0x9F, 0xB7, 0xDB)),
];

/// Kinds of things side by side, from the set of Okabe and Ito: of dots, and of text on white.
pub(crate) const KINDS: [(Color, Color); 7] = [
    ((0x00, 0x72, 0xB2), (0x00, 0x5F, 0x96)),
    ((0xD5, 0x5E, 0x00), (0xB0, 0x4A, 0x00)),
    ((0x00, 0x9E, 0x73), (0x00, 0x76, 0x56)),
    ((0xCC, 0x79, 0xA7), (0x9C, 0x45, 0x75)),
    ((0xE6, 0x9F, 0x00), (0x8F, 0x62, 0x00)),
    ((0x56, 0xB4, 0xE9), (0x1D, 0x6E, 0x9E)),
    ((0x6B, 0x6B, 0x6B), (0x55, 0x55, 0x55)),
];
/// The band of a parity plot.
pub(crate) const BAND: Color = (0xEC, 0xEF, 0xF3);

/// A colour mixed with white.
pub(crate) fn pale((r, g, b): Color) -> Color {
    let mix = |c: u8| (f64::from(c) * 0.4 + 255.0 * 0.6).round() as u8;
    (mix(r), mix(g), mix(b))
}

pub(crate) const FLOW_TOKENS: Color = (0x6B, 0x5B, 0x95);

/// Shading of the throttle ladder: warn, hold, critical, trip.
pub(crate) const LADDER: [Color; 4] =
    [(0xFD, 0xF3, 0xDC), (0xFA, 0xDF, 0xC2), (0xF4, 0xC6, 0xB4), (0xE3, 0xA5, 0xA5)];
pub(crate) const WET_BULB: Color = (0x1D, 0x6E, 0x9E);
pub(crate) const DRY_BULB: Color = (0x8F, 0x62, 0x00);

/// From cold to hot: dark blue, purple, red, orange; ever lighter, so that it also reads without colour.
const HEAT: [Color; 4] = [(0x1B, 0x1F, 0x8A), (0x8A, 0x1F, 0xA3), (0xCC, 0x47, 0x78), (0xF8, 0x95, 0x40)];

/// Colour of a share of the way from cold to hot.
pub(crate) fn heat(share: f64) -> Color {
    between(&HEAT, share)
}

fn between(colors: &[Color; 4], share: f64) -> Color {
    let at = share.clamp(0.0, 1.0) * (colors.len() - 1) as f64;
    let low = (at.floor() as usize).min(colors.len() - 2);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * (at - low as f64)).round() as u8;
    let (a, b) = (colors[low], colors[low + 1]);
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// From little to much: pale to dark blue, so that coloured borders and names stand out on it.
const DEPTH: [Color; 4] = [(0xF3, 0xF5, 0xF8), (0xC3, 0xD2, 0xE6), (0x7E, 0x9A, 0xC4), (0x2F, 0x4B, 0x7C)];

/// Colour of a share of the way from little to much.
pub(crate) fn depth(share: f64) -> Color {
    between(&DEPTH, share)
}

/// The colour, darkened until it is readable as text on white.
pub(crate) fn ink_of(color: Color) -> Color {
    let (mut out, mut left) = (color, 40);
    while contrast_with_white(out) < 4.5 && left > 0 {
        let darker = |c: u8| (f64::from(c) * 0.95) as u8;
        out = (darker(out.0), darker(out.1), darker(out.2));
        left -= 1;
    }
    out
}

/// Contrast on white as WCAG has it, 1 to 21.
fn contrast_with_white((r, g, b): Color) -> f64 {
    let linear = |c: u8| {
        let c = f64::from(c) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    1.05 / (0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05)
}

/// Colour of areas and lines.
pub(crate) fn fill(constraint: Constraint) -> Color {
    match constraint {
        Constraint::Demand => (0x00, 0x72, 0xB2),
        Constraint::Compute => (0x00, 0x9E, 0x73),
        Constraint::MemoryBandwidth => (0xE6, 0x9F, 0x00),
        Constraint::KvCapacity => (0xCC, 0x79, 0xA7),
        Constraint::Power => (0xD5, 0x5E, 0x00),
        Constraint::Cooling => (0x56, 0xB4, 0xE9),
        Constraint::Operations => (0x6B, 0x6B, 0x6B),
    }
}

/// Colour of text on white.
pub(crate) fn text(constraint: Constraint) -> Color {
    match constraint {
        Constraint::Demand => (0x00, 0x5F, 0x96),
        Constraint::Compute => (0x00, 0x76, 0x56),
        Constraint::MemoryBandwidth => (0x8F, 0x62, 0x00),
        Constraint::KvCapacity => (0x9C, 0x45, 0x75),
        Constraint::Power => (0xB0, 0x4A, 0x00),
        Constraint::Cooling => (0x1D, 0x6E, 0x9E),
        Constraint::Operations => (0x55, 0x55, 0x55),
    }
}

/// Colour of text on the constraint's fill.
pub(crate) fn on_fill(constraint: Constraint) -> Color {
    match constraint {
        Constraint::MemoryBandwidth | Constraint::KvCapacity | Constraint::Cooling => INK,
        _ => WHITE,
    }
}

/// The nearest colour of the 256-colour terminal palette.
pub(crate) fn terminal(constraint: Constraint) -> u8 {
    match constraint {
        Constraint::Demand => 32,
        Constraint::Compute => 36,
        Constraint::MemoryBandwidth => 214,
        Constraint::KvCapacity => 175,
        Constraint::Power => 202,
        Constraint::Cooling => 117,
        Constraint::Operations => 245,
    }
}

/// Block character that tells constraints apart without colour.
pub(crate) fn block(constraint: Constraint) -> char {
    match constraint {
        Constraint::Demand => '░',
        Constraint::Compute => '▓',
        Constraint::MemoryBandwidth => '▒',
        Constraint::KvCapacity => '▚',
        Constraint::Power => '█',
        Constraint::Cooling => '≈',
        Constraint::Operations => '×',
    }
}

/// As it stands in running text.
pub(crate) fn name(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::Demand => "demand",
        Constraint::Compute => "compute",
        Constraint::MemoryBandwidth => "HBM bandwidth",
        Constraint::KvCapacity => "KV capacity",
        Constraint::Power => "power",
        Constraint::Cooling => "cooling",
        Constraint::Operations => "operations",
    }
}

/// Name where the whole one has no room.
pub(crate) fn short_name(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::MemoryBandwidth => "HBM",
        Constraint::KvCapacity => "KV",
        _ => name(constraint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance((r, g, b): Color) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: Color, b: Color) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_is_readable() {
        for share in 0..=10 {
            let ink = ink_of(heat(f64::from(share) / 10.0));
            assert!(contrast(ink, WHITE) >= 4.5, "{share}");
        }
        for c in Constraint::ALL {
            assert!(contrast(text(c), WHITE) >= 4.5, "{c:?} on white");
            // Ribbon labels are large and semi-bold.
            assert!(contrast(on_fill(c), fill(c)) >= 3.0, "{c:?} on its fill");
        }
    }
}
