//! Writes a picture as PNG: shapes drawn four times too large by plotters and averaged, text anti-aliased.

use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::RGBColor;

use super::font::{self, Fonts};
use super::picture::{Picture, Shape, left_end};
use crate::report::palette::Color;

/// Drawn pixels per paper pixel and axis.
const OVERSIZE: usize = 4;

/// Draws the picture and writes it to `path`, which must end in `.png`.
///
/// # Errors
/// The text of what failed.
pub(super) fn write(picture: &Picture, path: &Path) -> Result<(), String> {
    let scale = picture.theme.png_scale;
    // A page of 1,920 px is that wide, however its layout was rounded.
    let pixels_of = |length: f64| (length * scale - 1e-6).ceil().max(1.0) as usize;
    let (w, h) = (pixels_of(picture.width), pixels_of(picture.height));
    let fonts = picture.theme.tick().fonts;
    let scale = Scale(scale);
    let mut large = vec![0xFF; w * OVERSIZE * h * OVERSIZE * 3];
    {
        let mut backend =
            BitMapBackend::with_buffer(&mut large, ((w * OVERSIZE) as u32, (h * OVERSIZE) as u32));
        for shape in &picture.shapes {
            draw(&mut backend, shape, scale)?;
        }
        backend.present().map_err(|e| e.to_string())?;
    }
    let mut pixels = average(&large, w, h);
    drop(large);
    for shape in &picture.shapes {
        draw_text(&mut pixels, (w, h), shape, scale, fonts);
    }
    let mut file = BitMapBackend::new(path, (w as u32, h as u32));
    file.blit_bitmap((0, 0), (w as u32, h as u32), &pixels).map_err(|e| e.to_string())?;
    file.present().map_err(|e| e.to_string())
}

/// Pixels of the file per px of the figure.
#[derive(Debug, Clone, Copy)]
struct Scale(f64);

impl Scale {
    /// Drawn pixels, before they are averaged.
    fn drawn(self, value: f64) -> i32 {
        (value * self.0 * OVERSIZE as f64).round() as i32
    }
}

fn fill(
    backend: &mut BitMapBackend,
    scale: Scale,
    (x0, y0): (f64, f64),
    (x1, y1): (f64, f64),
    (r, g, b): Color,
) -> Result<(), String> {
    let (x0, y0, x1, y1) = (scale.drawn(x0), scale.drawn(y0), scale.drawn(x1), scale.drawn(y1));
    if x1 <= x0 || y1 <= y0 {
        return Ok(());
    }
    backend.draw_rect((x0, y0), (x1, y1), &RGBColor(r, g, b), true).map_err(|e| e.to_string())
}

fn draw(backend: &mut BitMapBackend, shape: &Shape, scale: Scale) -> Result<(), String> {
    match shape {
        Shape::Rect { x0, y0, x1, y1, fill: color } => fill(backend, scale, (*x0, *y0), (*x1, *y1), *color),
        Shape::Band { edges, top, bottom, fill: color } => {
            // Equal rounding of shared edges: neighbours meet without a seam.
            edges.windows(2).zip(top.iter().zip(bottom)).try_for_each(|(e, (top, bottom))| {
                fill(backend, scale, (e[0], *top), (e[1], *bottom), *color)
            })
        }
        Shape::Path { points, width, color } => {
            let half = width / 2.0;
            points.windows(2).try_for_each(|p| {
                let ((xa, ya), (xb, yb)) = (p[0], p[1]);
                if xa == xb || ya == yb {
                    let low = (xa.min(xb) - half, ya.min(yb) - half);
                    let high = (xa.max(xb) + half, ya.max(yb) + half);
                    return fill(backend, scale, low, high, *color);
                }
                let length = (xb - xa).hypot(yb - ya);
                let (nx, ny) = ((yb - ya) / length * half, (xa - xb) / length * half);
                let corners =
                    [(xa + nx, ya + ny), (xb + nx, yb + ny), (xb - nx, yb - ny), (xa - nx, ya - ny)];
                let corners = corners.map(|(x, y)| (scale.drawn(x), scale.drawn(y)));
                let (r, g, b) = *color;
                backend.fill_polygon(corners, &RGBColor(r, g, b)).map_err(|e| e.to_string())
            })
        }
        Shape::Dot { x, y, radius, fill: (r, g, b), .. } => backend
            .draw_circle(
                (scale.drawn(*x), scale.drawn(*y)),
                scale.drawn(*radius).max(1) as u32,
                &RGBColor(*r, *g, *b),
                true,
            )
            .map_err(|e| e.to_string()),
        Shape::Text { .. } | Shape::Hover { .. } => Ok(()),
    }
}

fn average(large: &[u8], w: usize, h: usize) -> Vec<u8> {
    let row_bytes = w * OVERSIZE * 3;
    let mut out = Vec::with_capacity(w * h * 3);
    let mut sums = vec![0u32; w * 3];
    for rows in large.chunks_exact(row_bytes * OVERSIZE).take(h) {
        sums.fill(0);
        for row in rows.chunks_exact(row_bytes) {
            for (sum, block) in sums.chunks_exact_mut(3).zip(row.chunks_exact(OVERSIZE * 3)) {
                for pixel in block.chunks_exact(3) {
                    sum[0] += u32::from(pixel[0]);
                    sum[1] += u32::from(pixel[1]);
                    sum[2] += u32::from(pixel[2]);
                }
            }
        }
        let n = (OVERSIZE * OVERSIZE) as u32;
        out.extend(sums.iter().map(|s| ((s + n / 2) / n) as u8));
    }
    out
}

fn draw_text(
    pixels: &mut [u8],
    (w, h): (usize, usize),
    shape: &Shape,
    Scale(scale): Scale,
    fonts: Option<&Fonts>,
) {
    let Shape::Text { x, baseline, size, bold, align, color, text } = shape else { return };
    let size = size * scale;
    let left = left_end(x * scale, *align, font::width(fonts, text, size, *bold));
    let (r, g, b) = *color;
    font::rasterise(fonts, text, size, *bold, (left, baseline * scale), |px, py, coverage| {
        let (Ok(px), Ok(py)) = (usize::try_from(px), usize::try_from(py)) else { return };
        if px >= w || py >= h {
            return;
        }
        let coverage = coverage.clamp(0.0, 1.0);
        let at = (py * w + px) * 3;
        for (old, new) in pixels[at..at + 3].iter_mut().zip([r, g, b]) {
            *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * coverage).round() as u8;
        }
    });
}
