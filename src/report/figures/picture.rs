//! A picture as a list of shapes in paper pixels: drawn once, written as SVG and as PNG.

use super::font::{self, Fonts};
use super::theme::Theme;
use crate::report::palette::Color;

/// Room at the sides of a page [px].
pub(super) const MARGIN: f64 = 28.0;

/// A figure of given size [px].
#[derive(Debug, Clone)]
pub(super) struct Picture<'a> {
    pub(super) theme: &'a Theme,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Accessible title and description.
    pub(super) title: String,
    pub(super) description: String,
    /// Later shapes lie over earlier ones; text lies over everything.
    pub(super) shapes: Vec<Shape>,
}

/// What a picture is made of. Coordinates in px, y downwards.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A filled rectangle.
    Rect { x0: f64, y0: f64, x1: f64, y1: f64, fill: Color },
    /// The area between two step functions; `edges` has one entry more than `top` and `bottom`.
    Band { edges: Vec<f64>, top: Vec<f64>, bottom: Vec<f64>, fill: Color },
    /// A polyline with square caps and mitred corners.
    Path { points: Vec<(f64, f64)>, width: f64, color: Color },
    /// A filled circle; a pointer over it shows `tip` where the format can.
    Dot { x: f64, y: f64, radius: f64, fill: Color, tip: String },
    /// Nothing to see: a pointer over it shows `tip` where the format can.
    Hover { x0: f64, y0: f64, x1: f64, y1: f64, tip: String },
    /// A line of text.
    Text { x: f64, baseline: f64, size: f64, bold: bool, align: Align, color: Color, text: String },
}

/// Which end of a text stands at its x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'a> {
    /// Em size [px].
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) color: Color,
    /// The theme's own, if it has some.
    pub(super) fonts: Option<&'a Fonts>,
}

impl Style<'_> {
    pub(super) fn width(self, text: &str) -> f64 {
        font::width(self.fonts, text, self.size, self.bold)
    }

    /// The first candidate that fits, else the last one cut with an ellipsis.
    pub(super) fn fit(self, candidates: &[String], room: f64) -> String {
        if let Some(text) = candidates.iter().find(|t| self.width(t) <= room) {
            return text.clone();
        }
        let mut text = candidates.last().cloned().unwrap_or_default();
        while !text.is_empty() && self.width(&text) + self.width("…") > room {
            text.pop();
        }
        text.push('…');
        text
    }
}

impl<'a> Picture<'a> {
    /// A white page.
    pub(super) fn new(theme: &'a Theme, title: String, description: String) -> Self {
        Self { theme, width: theme.page.0, height: theme.page.1, title, description, shapes: Vec::new() }
    }

    /// The finding and what is drawn, each the most detailed wording that has room.
    pub(super) fn head(&mut self, titles: &[String], subtitles: &[String]) {
        let (theme, room) = (self.theme, self.width - 2.0 * MARGIN);
        if theme.shows_title {
            let title = theme.title().fit(titles, room);
            self.text((MARGIN, theme.title_baseline()), Align::Left, theme.title(), &title);
        }
        let subtitle = theme.subtitle().fit(subtitles, room);
        self.text((MARGIN, theme.subtitle_baseline()), Align::Left, theme.subtitle(), &subtitle);
    }

    pub(super) fn rect(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), fill: Color) {
        if x1 > x0 && y1 > y0 {
            self.shapes.push(Shape::Rect { x0, y0, x1, y1, fill });
        }
    }

    pub(super) fn path(&mut self, points: Vec<(f64, f64)>, width: f64, color: Color) {
        if points.len() > 1 {
            self.shapes.push(Shape::Path { points, width: width * self.theme.lines, color });
        }
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), radius: f64, fill: Color, tip: String) {
        self.shapes.push(Shape::Dot { x, y, radius: radius * self.theme.lines, fill, tip });
    }

    pub(super) fn text(&mut self, (x, baseline): (f64, f64), align: Align, style: Style, text: &str) {
        // Control characters are not allowed in SVG, and have no glyph.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !text.is_empty() {
            let Style { size, bold, color, .. } = style;
            self.shapes.push(Shape::Text { x, baseline, size, bold, align, color, text });
        }
    }
}

/// Left end of a text that is aligned at `x`.
pub(super) fn left_end(x: f64, align: Align, width: f64) -> f64 {
    match align {
        Align::Left => x,
        Align::Middle => x - width / 2.0,
        Align::Right => x - width,
    }
}
