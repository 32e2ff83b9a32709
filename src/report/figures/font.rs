//! Fonts: the embedded one, Inter, regular and semi-bold, reduced to Latin, Greek and Cyrillic (assets/fonts), or a
//! theme's own.

use std::sync::LazyLock;

use ab_glyph::{Font, FontArc, Glyph, PxScale, ScaleFont, point};

/// Family list for SVG: viewers without Inter take a face of similar width.
const FAMILY: &str = "Inter, 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans Condensed', sans-serif";

static REGULAR: LazyLock<Option<FontArc>> =
    LazyLock::new(|| FontArc::try_from_slice(include_bytes!("../../../assets/fonts/Inter-Regular.otf")).ok());
static SEMI_BOLD: LazyLock<Option<FontArc>> = LazyLock::new(|| {
    FontArc::try_from_slice(include_bytes!("../../../assets/fonts/Inter-SemiBold.otf")).ok()
});

/// Two faces of a theme's own.
#[derive(Debug, Clone)]
pub(super) struct Fonts {
    /// As SVG names it; the embedded font's list follows.
    pub(super) family: String,
    pub(super) regular: FontArc,
    pub(super) bold: FontArc,
}

/// Family list of a picture's text.
pub(super) fn family(fonts: Option<&Fonts>) -> String {
    match fonts {
        Some(fonts) => format!("'{}', {FAMILY}", fonts.family.replace('\'', "")),
        None => FAMILY.to_string(),
    }
}

fn face(fonts: Option<&Fonts>, bold: bool) -> Option<(&FontArc, f32)> {
    let font = match fonts {
        Some(fonts) => Some(if bold { &fonts.bold } else { &fonts.regular }),
        None => if bold { &*SEMI_BOLD } else { &*REGULAR }.as_ref(),
    }?;
    let em_units = font.units_per_em()?;
    // The scale of ab_glyph is ascent to descent; figures give sizes in em, as SVG and print do.
    Some((font, font.height_unscaled() / em_units))
}

/// Width of a line of text [px] at an em size of `size` px.
pub(super) fn width(fonts: Option<&Fonts>, text: &str, size: f64, bold: bool) -> f64 {
    let Some((font, height_per_em)) = face(fonts, bold) else {
        return text.chars().count() as f64 * size * 0.56;
    };
    let scaled = font.as_scaled(PxScale::from(size as f32 * height_per_em));
    text.chars().map(|c| f64::from(scaled.h_advance(scaled.glyph_id(c)))).sum()
}

/// Calls `paint(x, y, coverage)` for each pixel that the text touches, with its left end at `x` and its
/// baseline at `y` [px].
pub(super) fn rasterise(
    fonts: Option<&Fonts>,
    text: &str,
    size: f64,
    bold: bool,
    (x, y): (f64, f64),
    mut paint: impl FnMut(i32, i32, f32),
) {
    let Some((font, height_per_em)) = face(fonts, bold) else { return };
    let scale = PxScale::from(size as f32 * height_per_em);
    let scaled = font.as_scaled(scale);
    let mut pen = x as f32;
    for c in text.chars() {
        let id = scaled.glyph_id(c);
        let glyph = Glyph { id, scale, position: point(pen, y as f32) };
        pen += scaled.h_advance(id);
        if let Some(outline) = font.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            outline.draw(|dx, dy, coverage| {
                paint(corner.x as i32 + dx as i32, corner.y as i32 + dy as i32, coverage);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_faces_are_embedded_and_have_the_characters_figures_use() {
        for bold in [false, true] {
            let (font, _) = face(None, bold).expect("the embedded font is readable");
            for c in "azAZ09.,:;–·↑→<>%[]()/µφΦ×≥≤é°…−$".chars() {
                assert_ne!(font.glyph_id(c).0, 0, "{c}");
            }
        }
        assert!(width(None, "wider", 30.0, true) > width(None, "wide", 30.0, true));
    }
}
