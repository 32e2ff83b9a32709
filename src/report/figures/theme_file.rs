//! A theme as a YAML file: what differs from one of the tool's own.

use std::path::{Path, PathBuf};

use ab_glyph::FontArc;
use serde::Deserialize;

use super::font::Fonts;
use super::theme::{self, Print, Size, THEMES, Theme};
use crate::scenario::{self, Kind, Problem, ScenarioError, suggestion};

const KIND: Kind = Kind { what: "theme", needs: "what differs from another, e.g. `base: slide`" };
/// Largest font file [bytes].
const MAX_FONT_BYTES: u64 = 32 << 20;
/// Most pixels of a PNG; while it is drawn, each takes 48 bytes.
const MAX_PIXELS: f64 = 9e6;
/// A page holds so many tick labels above and beside each other, or figures have no room.
const LEAST_PAGE: (f64, f64) = (24.0, 15.0);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ThemeFile {
    base: Option<String>,
    page: PageFields,
    text_pt: TextFields,
    lines: Option<f64>,
    title: Option<bool>,
    footer: Option<bool>,
    font: Option<FontFields>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageFields {
    width_cm: Option<f64>,
    height_cm: Option<f64>,
    width_px: Option<f64>,
    height_px: Option<f64>,
    dpi: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TextFields {
    title: Option<f64>,
    subtitle: Option<f64>,
    label: Option<f64>,
    tick: Option<f64>,
    footer: Option<f64>,
    smallest: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FontFields {
    family: Option<String>,
    regular: PathBuf,
    bold: Option<PathBuf>,
}

impl Theme {
    /// A theme that comes with the tool, by its name, or one from a YAML file; font files in it are relative to it.
    ///
    /// # Errors
    /// What is wrong with the file, with line and column.
    pub fn load(name_or_path: &str) -> Result<Self, ScenarioError> {
        if let Some(theme) = Self::named(name_or_path) {
            return Ok(theme);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let known = suggestion(name_or_path, THEMES);
            return Err(ScenarioError::File {
                shown: format!("--theme {name_or_path}"),
                message: format!("there is no such file, and no theme of that name{known}"),
            });
        }
        let (file, source) = scenario::read_other::<ThemeFile>(path, &KIND)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        resolved(&file, folder)
            .map_err(|problem| ScenarioError::Problems(vec![source.render_problems(&[problem])]))
    }
}

fn problem<T>(path: &str, message: String) -> Result<T, Problem> {
    Err(Problem { path: path.into(), message })
}

/// A number within limits, if it is given.
fn within(path: &str, value: Option<f64>, low: f64, high: f64) -> Result<Option<f64>, Problem> {
    match value {
        Some(v) if !(low..=high).contains(&v) => {
            problem(path, format!("is {v}; from {low} to {high} is possible"))
        }
        value => Ok(value),
    }
}

fn resolved(file: &ThemeFile, folder: &Path) -> Result<Theme, Problem> {
    let base = file.base.as_deref().unwrap_or("default");
    let Some(mut print) = theme::print(base) else {
        return problem("base", format!("unknown theme '{base}'{}", suggestion(base, THEMES)));
    };
    if file.page.dpi.is_none() && (file.page.width_cm.is_some() || file.page.height_cm.is_some()) {
        // A page on paper has print's resolution, whatever it was before.
        print.dpi = print.dpi.max(300.0);
    }
    read_page(&file.page, &mut print)?;
    let text = &file.text_pt;
    for (name, value, place) in [
        ("title", text.title, &mut print.title),
        ("subtitle", text.subtitle, &mut print.subtitle),
        ("label", text.label, &mut print.label),
        ("tick", text.tick, &mut print.tick),
        ("footer", text.footer, &mut print.footer),
        ("smallest", text.smallest, &mut print.smallest),
    ] {
        if let Some(points) = within(&format!("text_pt.{name}"), value, 3.0, 100.0)? {
            *place = points;
        }
    }
    // No text is smaller than the smallest; the ticks are what all distances go with.
    print.tick = print.tick.max(print.smallest);
    print.lines = within("lines", file.lines, 0.2, 5.0)?.unwrap_or(print.lines);
    print.shows_title = file.title.unwrap_or(print.shows_title);
    print.shows_footer = file.footer.unwrap_or(print.shows_footer);
    let fonts = file.font.as_ref().map(|font| fonts(font, folder)).transpose()?;
    let theme = Theme::of_print(&print, fonts);
    let ems = (theme.page.0 / theme::TICK_PX, theme.page.1 / theme::TICK_PX);
    if ems.0 < LEAST_PAGE.0 || ems.1 < LEAST_PAGE.1 {
        return problem(
            "text_pt.tick",
            format!(
                "is {} pt, of which the page holds {:.0} × {:.0}; figures need {} × {}: smaller text or a larger page",
                print.tick, ems.0, ems.1, LEAST_PAGE.0, LEAST_PAGE.1
            ),
        );
    }
    let pixels = theme.page.0 * theme.page.1 * theme.png_scale * theme.png_scale;
    if pixels > MAX_PIXELS {
        let message = format!(
            "makes a PNG of {:.0} million pixels; at most {} are drawn",
            pixels / 1e6,
            MAX_PIXELS / 1e6
        );
        return problem("page", message);
    }
    Ok(theme)
}

fn read_page(page: &PageFields, print: &mut Print) -> Result<(), Problem> {
    let cm = (
        within("page.width_cm", page.width_cm, 3.0, 120.0)?,
        within("page.height_cm", page.height_cm, 3.0, 120.0)?,
    );
    let px = (
        within("page.width_px", page.width_px, 200.0, 8000.0)?,
        within("page.height_px", page.height_px, 200.0, 8000.0)?,
    );
    if let Some(dpi) = within("page.dpi", page.dpi, 36.0, 1200.0)? {
        print.dpi = dpi;
    }
    print.size = match (cm, px) {
        ((None, None), (None, None)) => return Ok(()),
        ((Some(w), Some(h)), (None, None)) => Size::Cm(w, h),
        ((None, None), (Some(w), Some(h))) => Size::Px(w, h),
        (cm, px) => {
            // A page of the same kind keeps what is not said.
            match (print.size, cm, px) {
                (Size::Cm(w, h), (a, b), (None, None)) => Size::Cm(a.unwrap_or(w), b.unwrap_or(h)),
                (Size::Px(w, h), (None, None), (a, b)) => Size::Px(a.unwrap_or(w), b.unwrap_or(h)),
                _ => {
                    let message = "needs width_cm and height_cm, or width_px and height_px";
                    return problem("page", message.into());
                }
            }
        }
    };
    Ok(())
}

fn fonts(font: &FontFields, folder: &Path) -> Result<Fonts, Problem> {
    let face = |field: &str, path: &Path| {
        let path = folder.join(path);
        let fail = |message: String| problem(field, format!("'{}' {message}", path.display()));
        match std::fs::metadata(&path) {
            Err(e) => return fail(format!("cannot be read: {e}")),
            Ok(m) if !m.is_file() => return fail("is no file".into()),
            Ok(m) if m.len() > MAX_FONT_BYTES => return fail("is too large for a font".into()),
            Ok(_) => {}
        }
        match std::fs::read(&path) {
            Err(e) => fail(format!("cannot be read: {e}")),
            Ok(bytes) => FontArc::try_from_vec(bytes)
                .map_or_else(|_| fail("is no TrueType or OpenType font".into()), Ok),
        }
    };
    let regular = face("font.regular", &font.regular)?;
    let bold = match &font.bold {
        Some(path) => face("font.bold", path)?,
        None => regular.clone(),
    };
    let stem = font.regular.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Fonts { family: font.family.clone().unwrap_or(stem), regular, bold })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Theme, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("theme.yaml");
        std::fs::write(&path, text).unwrap();
        Theme::load(path.to_str().unwrap())
            .map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let own = load("base: one-column\ntext_pt: { tick: 7 }\nfooter: false\nlines: 2\n").unwrap();
        let base = Theme::named("one-column").unwrap();
        assert_eq!(own.size, base.size);
        // Ticks of 7 instead of 6 points on the same page: the page is fewer of them wide.
        assert!((own.page.0 * 7.0 - base.page.0 * 6.0).abs() < 1e-9);
        assert!(!own.shows_footer && own.shows_title && own.lines == 2.0);
        let wide = load("base: slide\npage: { width_px: 1280, height_px: 960 }\n").unwrap();
        assert_eq!(wide.size, Size::Px(1280.0, 960.0));
        assert!((wide.page.0 * wide.png_scale - 1280.0).abs() < 1e-9);
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, expected) in [
            ("base: slid\n", "theme.yaml:1:7: base: unknown theme 'slid'; did you mean 'slide'?"),
            ("lines: 9\n", "theme.yaml:1:8: lines: is 9; from 0.2 to 5 is possible"),
            (
                "page:\n  widht_cm: 8\n",
                "theme.yaml:2:3: unknown field 'widht_cm' in page; did you mean 'width_cm'?",
            ),
            ("page: { width_cm: 8 }\n", "theme.yaml:1:1: page: needs width_cm and height_cm"),
            ("text_pt: { tick: .nan }\n", "theme.yaml:1:18: tick is .nan; expected a finite number"),
            (
                "text_pt: { tick: 60 }\n",
                "theme.yaml:1:18: text_pt.tick: is 60 pt, of which the page holds 23 × 15; figures need",
            ),
            ("- 1\n", "theme.yaml:1:1: the theme is a list; a theme needs what differs"),
            ("font: { regular: none.ttf }\n", "theme.yaml:1:18: font.regular: '"),
            ("font: { regular: theme.yaml }\n", "is no TrueType or OpenType font"),
            ("page: { width_cm: 100, height_cm: 100, dpi: 1200 }\n", "theme.yaml:1:1: page: makes a PNG of"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = Theme::load("one-colum").unwrap_err().to_string();
        assert!(error.contains("did you mean 'one-column'"), "{error}");
    }

    #[test]
    fn an_own_font_is_used() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy("assets/fonts/Inter-SemiBold.otf", dir.path().join("Own.otf")).unwrap();
        let path = dir.path().join("theme.yaml");
        std::fs::write(&path, "font: { regular: Own.otf }\n").unwrap();
        let theme = Theme::load(path.to_str().unwrap()).unwrap();
        let (own, inter) = (theme.tick(), Theme::default());
        assert!(own.width("wide") > inter.tick().width("wide"), "semi-bold is wider");
    }
}
