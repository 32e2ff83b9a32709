//! A picture as a list of shapes in paper pixels: drawn once, written as SVG and as PNG.

use super::font;
use crate::report::palette::Color;

/// A figure of given size [px].
#[derive(Debug, Clone)]
pub(super) struct Picture {
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
pub(super) struct Style {
    /// Em size [px].
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) color: Color,
}

impl Style {
    pub(super) fn width(self, text: &str) -> f64 {
        font::width(text, self.size, self.bold)
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

impl Picture {
    pub(super) fn rect(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), fill: Color) {
        if x1 > x0 && y1 > y0 {
            self.shapes.push(Shape::Rect { x0, y0, x1, y1, fill });
        }
    }

    pub(super) fn path(&mut self, points: Vec<(f64, f64)>, width: f64, color: Color) {
        if points.len() > 1 {
            self.shapes.push(Shape::Path { points, width, color });
        }
    }

    pub(super) fn text(&mut self, (x, baseline): (f64, f64), align: Align, style: Style, text: &str) {
        // Control characters are not allowed in SVG, and have no glyph.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !text.is_empty() {
            let Style { size, bold, color } = style;
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
