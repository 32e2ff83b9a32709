//! Writes a picture as SVG with text as text, so that it can be searched, restyled and read aloud.

use std::fmt::Write as _;

use super::font::{self, Fonts};
use super::picture::{Align, Picture, Shape};
use super::theme::Size;
use crate::report::palette::Color;

/// The picture as a complete SVG document.
pub(super) fn render(picture: &Picture) -> String {
    let (w, h) = (number(picture.width), number(picture.height));
    let (shown_w, shown_h) = match picture.theme.size {
        Size::Own => {
            let scale = picture.theme.png_scale;
            (number(picture.width * scale), number(picture.height * scale))
        }
        Size::Px(w, _) => (number(w), number(w * picture.height / picture.width)),
        Size::Cm(w, _) => {
            (format!("{}cm", number(w)), format!("{}cm", number(w * picture.height / picture.width)))
        }
    };
    let fonts = picture.theme.tick().fonts;
    let family = font::family(fonts);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{shown_w}\" height=\"{shown_h}\" viewBox=\"0 0 {w} {h}\" \
         role=\"img\" font-family=\"{}\">",
        escape(&family)
    );
    let _ = writeln!(out, "<title>{}</title>", escape(&picture.title));
    let _ = writeln!(out, "<desc>{}</desc>", escape(&picture.description));
    let _ = writeln!(out, "<rect width=\"{w}\" height=\"{h}\" fill=\"#FFFFFF\"/>");
    let (text, areas): (Vec<&Shape>, Vec<&Shape>) =
        picture.shapes.iter().partition(|s| matches!(s, Shape::Text { .. }));
    let (hover, areas): (Vec<&Shape>, Vec<&Shape>) =
        areas.into_iter().partition(|s| matches!(s, Shape::Hover { .. }));
    for shape in areas.into_iter().chain(text).chain(hover) {
        write_shape(&mut out, shape, fonts);
    }
    out.push_str("</svg>\n");
    out
}

fn write_shape(out: &mut String, shape: &Shape, fonts: Option<&Fonts>) {
    let _ = match shape {
        Shape::Rect { x0, y0, x1, y1, fill } => writeln!(
            out,
            // Without crisp edges, neighbours of one colour would show a seam.
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\" shape-rendering=\"crispEdges\"/>",
            number(*x0),
            number(*y0),
            number(x1 - x0),
            number(y1 - y0),
            hex(*fill)
        ),
        Shape::Band { edges, top, bottom, fill } => {
            let mut d = String::new();
            let upper = edges.windows(2).zip(top).flat_map(|(e, y)| [(e[0], *y), (e[1], *y)]);
            let lower = edges.windows(2).zip(bottom).rev().flat_map(|(e, y)| [(e[1], *y), (e[0], *y)]);
            write_points(&mut d, upper.chain(lower));
            writeln!(out, "<polygon points=\"{d}\" fill=\"{}\"/>", hex(*fill))
        }
        Shape::Path { points, width, color } => {
            let mut d = String::new();
            write_points(&mut d, points.iter().copied());
            writeln!(
                out,
                "<polyline points=\"{d}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" \
                 stroke-linecap=\"square\" stroke-linejoin=\"miter\"/>",
                hex(*color),
                number(*width)
            )
        }
        Shape::Dot { x, y, radius, fill, tip } => writeln!(
            out,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"><title>{}</title></circle>",
            number(*x),
            number(*y),
            number(*radius),
            hex(*fill),
            escape(tip)
        ),
        Shape::Hover { x0, y0, x1, y1, tip } => writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"tip\" fill=\"#FFFFFF\" \
             fill-opacity=\"0\"><title>{}</title></rect>",
            number(*x0),
            number(*y0),
            number(x1 - x0),
            number(y1 - y0),
            escape(tip)
        ),
        Shape::Text { x, baseline, size, bold, align, color, text } => {
            let anchor = match align {
                Align::Left => "start",
                Align::Middle => "middle",
                Align::Right => "end",
            };
            writeln!(
                out,
                // The length keeps a substituted font from running into its neighbours.
                "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\"{} fill=\"{}\" \
                 textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>",
                number(*x),
                number(*baseline),
                number(*size),
                if *bold { " font-weight=\"600\"" } else { "" },
                hex(*color),
                number(font::width(fonts, text, *size, *bold)),
                escape(text)
            )
        }
    };
}

fn write_points(out: &mut String, points: impl Iterator<Item = (f64, f64)>) {
    let mut last = None;
    for point in points {
        if last == Some(point) {
            continue;
        }
        if last.is_some() {
            out.push(' ');
        }
        let _ = write!(out, "{},{}", number(point.0), number(point.1));
        last = Some(point);
    }
}

/// Two decimals are a fiftieth of a printed hair line; trailing zeros go.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

fn hex((r, g, b): Color) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// Text as it stands in XML and HTML.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}
