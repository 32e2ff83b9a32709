//! How figures look: page, sizes of text, weight of lines, fonts; four themes that come with the tool.

use super::font::Fonts;
use super::picture::Style;
use crate::report::palette::{INK, SOFT_INK};

/// Size of tick labels [px of a figure]: what all distances in a figure go with.
pub(super) const TICK_PX: f64 = 32.0;
/// Points in a centimetre.
const PT_PER_CM: f64 = 72.0 / 2.54;

/// How a figure is printed or shown, with everything that is written in it sized for that.
///
/// A figure is laid out in px of its own, of which a tick label is 32 high. What leaves the tool is that page at the
/// size that the theme asks for.
#[derive(Debug, Clone)]
pub struct Theme {
    /// Width and height [px of the figure].
    pub(super) page: (f64, f64),
    pub(super) size: Size,
    /// Pixels of a PNG per px of the figure.
    pub(super) png_scale: f64,
    sizes: Sizes,
    /// Factor on widths of lines and dots.
    pub(super) lines: f64,
    pub(super) shows_title: bool,
    pub(super) shows_footer: bool,
    fonts: Option<Fonts>,
}

/// Em sizes of text [px of the figure].
#[derive(Debug, Clone, Copy)]
struct Sizes {
    title: f64,
    subtitle: f64,
    label: f64,
    footer: f64,
    smallest: f64,
}

/// Width and height of a page as it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    /// As the figure is laid out.
    Own,
    /// On a screen [px]: figures keep to this height.
    Px(f64, f64),
    /// On paper [cm]: a figure of several panels may be higher.
    Cm(f64, f64),
}

/// A theme in the units of print, as people write it.
#[derive(Debug, Clone)]
pub(super) struct Print {
    pub(super) size: Size,
    /// Pixels per inch of a PNG; on a screen also px per 72 points.
    pub(super) dpi: f64,
    /// [pt]
    pub(super) title: f64,
    pub(super) subtitle: f64,
    pub(super) label: f64,
    pub(super) tick: f64,
    pub(super) footer: f64,
    pub(super) smallest: f64,
    pub(super) lines: f64,
    pub(super) shows_title: bool,
    pub(super) shows_footer: bool,
}

/// Names of the themes that come with the tool.
pub const THEMES: [&str; 4] = ["default", "one-column", "two-column", "slide"];

impl Default for Theme {
    /// 1,400 px wide, and high enough to read when an SVG or PNG is opened as it is.
    fn default() -> Self {
        Self {
            page: (1400.0, 900.0),
            size: Size::Own,
            png_scale: 1.0,
            sizes: Sizes { title: 44.0, subtitle: 32.0, label: 33.0, footer: 24.0, smallest: 0.0 },
            lines: 1.0,
            shows_title: true,
            shows_footer: true,
            fonts: None,
        }
    }
}

impl Theme {
    /// A theme that comes with the tool: see [`THEMES`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::default()),
            name => Some(Self::of_print(&print(name)?, None)),
        }
    }

    /// A theme from the units of print.
    pub(super) fn of_print(print: &Print, fonts: Option<Fonts>) -> Self {
        // Figure px per point.
        let unit = TICK_PX / print.tick;
        let pt = match print.size {
            Size::Cm(w, h) => (w * PT_PER_CM, h * PT_PER_CM),
            Size::Px(w, h) => (w * 72.0 / print.dpi, h * 72.0 / print.dpi),
            Size::Own => (1400.0, 900.0),
        };
        let px = |points: f64| points.max(print.smallest) * unit;
        Self {
            page: (pt.0 * unit, pt.1 * unit),
            size: print.size,
            png_scale: print.dpi / 72.0 / unit,
            sizes: Sizes {
                title: px(print.title),
                subtitle: px(print.subtitle),
                label: px(print.label),
                footer: px(print.footer),
                smallest: print.smallest * unit,
            },
            lines: print.lines,
            shows_title: print.shows_title,
            shows_footer: print.shows_footer,
            fonts,
        }
    }

    /// The finding above a figure.
    pub(super) fn title(&self) -> Style<'_> {
        Style { size: self.sizes.title, bold: true, color: INK, fonts: self.fonts.as_ref() }
    }

    /// What is drawn, and its unit.
    pub(super) fn subtitle(&self) -> Style<'_> {
        Style { size: self.sizes.subtitle, bold: false, color: SOFT_INK, fonts: self.fonts.as_ref() }
    }

    /// Numbers at an axis, and its title.
    pub(super) fn tick(&self) -> Style<'_> {
        Style { size: TICK_PX, bold: false, color: SOFT_INK, fonts: self.fonts.as_ref() }
    }

    /// Names beside what they name.
    pub(super) fn label(&self) -> Style<'_> {
        Style { size: self.sizes.label, bold: true, color: INK, fonts: self.fonts.as_ref() }
    }

    /// Where the figure comes from.
    pub(super) fn footer(&self) -> Style<'_> {
        Style { size: self.sizes.footer, bold: false, color: SOFT_INK, fonts: self.fonts.as_ref() }
    }

    /// A size that a figure chooses itself, unless that is too small to read at the size of the page.
    pub(super) fn readable(&self, size: f64) -> f64 {
        size.max(self.sizes.smallest)
    }

    /// Baseline of the title, if it is shown.
    pub(super) fn title_baseline(&self) -> f64 {
        14.0 + self.sizes.title
    }

    /// Baseline of the subtitle: everything above the plot ends here.
    pub(super) fn subtitle_baseline(&self) -> f64 {
        let above = if self.shows_title { self.title_baseline() + 16.0 } else { 10.0 };
        above + self.sizes.subtitle
    }

    /// Baseline of a second line below the subtitle.
    pub(super) fn strip_baseline(&self) -> f64 {
        self.subtitle_baseline() + 12.0 + self.sizes.subtitle
    }

    /// Room for the footer, up to the baseline of what stands above it.
    pub(super) fn foot(&self) -> f64 {
        // On a narrow page remarks take a second line.
        let lines = if self.page.0 < 50.0 * self.sizes.footer { 2.2 } else { 1.0 };
        if self.shows_footer { 42.0 + lines * self.sizes.footer } else { 16.0 }
    }

    /// Lower end of a plot with marks, labels and a title below it.
    pub(super) fn plot_bottom(&self) -> f64 {
        self.page.1 - self.foot() - AXIS_ROOM - 12.0
    }

    /// Height of a page `factor` times as high as usual, where the theme allows it.
    pub(super) fn higher(&self, factor: f64) -> f64 {
        match self.size {
            Size::Px(..) => self.page.1,
            Size::Own | Size::Cm(..) => self.page.1 * factor,
        }
    }
}

/// Marks, labels and title of a horizontal axis [px].
pub(super) const AXIS_ROOM: f64 = 18.0 + 2.0 * TICK_PX;

/// Themes for print and for talks.
pub(super) fn print(name: &str) -> Option<Print> {
    let paper = Print {
        size: Size::Cm(8.5, 6.2),
        dpi: 400.0,
        title: 7.5,
        subtitle: 6.0,
        label: 6.2,
        tick: 6.0,
        footer: 6.0,
        smallest: 6.0,
        lines: 1.0,
        shows_title: true,
        shows_footer: true,
    };
    match name {
        "default" => Some(Print {
            size: Size::Own,
            dpi: 72.0,
            title: 44.0,
            subtitle: 32.0,
            label: 33.0,
            tick: TICK_PX,
            footer: 24.0,
            smallest: 0.0,
            ..paper
        }),
        "one-column" => Some(paper),
        "two-column" => Some(Print {
            size: Size::Cm(17.5, 10.5),
            dpi: 300.0,
            title: 10.5,
            subtitle: 8.0,
            label: 8.2,
            tick: 8.0,
            footer: 6.5,
            smallest: 6.5,
            ..paper
        }),
        "slide" => Some(Print {
            size: Size::Px(1920.0, 1080.0),
            dpi: 144.0,
            title: 26.0,
            subtitle: 18.0,
            label: 18.0,
            tick: 17.0,
            footer: 12.0,
            smallest: 12.0,
            lines: 1.2,
            ..paper
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn themes_print_at_least_six_points() {
        for name in THEMES {
            let theme = Theme::named(name).unwrap();
            let width_pt = match theme.size {
                Size::Cm(w, _) => w * PT_PER_CM,
                Size::Px(w, _) => w / 2.0,
                Size::Own => continue,
            };
            let pt = width_pt / theme.page.0;
            for style in [theme.title(), theme.subtitle(), theme.tick(), theme.label(), theme.footer()] {
                assert!(style.size * pt >= 6.0 - 1e-9, "{name}: {} pt", style.size * pt);
            }
            assert!(theme.readable(10.0) * pt >= 6.0 - 1e-9, "{name}");
        }
        let slide = Theme::named("slide").unwrap();
        assert!((slide.page.0 / slide.page.1 - 16.0 / 9.0).abs() < 1e-12);
        assert!((slide.page.0 * slide.png_scale - 1920.0).abs() < 1e-9);
        assert!(Theme::named("poster").is_none());
    }

    #[test]
    fn the_default_in_units_of_print_is_the_default() {
        let (a, b) = (Theme::default(), Theme::of_print(&print("default").unwrap(), None));
        assert_eq!(a.page, b.page);
        assert_eq!(a.png_scale, b.png_scale);
        for (a, b) in [(a.title(), b.title()), (a.label(), b.label()), (a.footer(), b.footer())] {
            assert_eq!(a.size, b.size);
        }
        assert_eq!((a.subtitle_baseline(), a.strip_baseline(), a.plot_bottom()), (106.0, 150.0, 740.0));
    }
}
