//! What the columns of each CSV format are called, and what they mean.

use crate::input::{InputError, Table};
use crate::scenario::types::TraceFormat;

/// Columns of wattmill's own format.
pub(crate) const OWN: [&str; 3] = ["arrival_s", "prompt_tok", "output_tok"];
/// The class of the workload that replays a row.
pub(crate) const CLASS: &str = "class";
/// How hard the row's problem is.
pub(crate) const DIFFICULTY: &str = "difficulty";
/// Of the output, the recorded thought [tokens].
pub(crate) const THINKING: &str = "thinking_tok";

/// How a format tells time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Seconds from the start.
    Seconds,
    /// Milliseconds from the start.
    Milliseconds,
    /// Calendar stamps, relative to the first row.
    Stamps,
}

/// A format of CSV.
#[derive(Debug)]
pub(super) struct Layout {
    /// What it is called.
    pub name: &'static str,
    format: TraceFormat,
    /// Names that the time column may have.
    times: &'static [&'static str],
    prompt: &'static str,
    output: &'static str,
    pub clock: Clock,
    /// Whether `class`, `difficulty` and `thinking_tok` are read.
    pub extras: bool,
    /// The column with the model that was asked.
    pub model: Option<&'static str>,
    /// Whether a row without prompt or output tokens is a failed request, to be left out.
    pub has_failed: bool,
    /// Whether time 0 is a midnight.
    pub from_midnight: bool,
}

const PLAIN: Layout = Layout {
    name: "",
    format: TraceFormat::Auto,
    times: &[],
    prompt: "",
    output: "",
    clock: Clock::Seconds,
    extras: false,
    model: None,
    has_failed: false,
    from_midnight: false,
};

/// In the order in which `auto` tries them.
static LAYOUTS: [Layout; 5] = [
    Layout {
        name: "azure",
        format: TraceFormat::Azure,
        times: &["TIMESTAMP"],
        prompt: "ContextTokens",
        output: "GeneratedTokens",
        clock: Clock::Stamps,
        ..PLAIN
    },
    Layout {
        name: "served",
        format: TraceFormat::Served,
        times: &["arrival_s"],
        prompt: "input_tokens",
        output: "output_tokens",
        extras: true,
        ..PLAIN
    },
    Layout {
        name: "wattmill",
        format: TraceFormat::Wattmill,
        times: &[OWN[0]],
        prompt: OWN[1],
        output: OWN[2],
        extras: true,
        ..PLAIN
    },
    Layout {
        name: "mooncake",
        format: TraceFormat::Mooncake,
        times: &["timestamp", "timestamp_ms"],
        prompt: "input_length",
        output: "output_length",
        clock: Clock::Milliseconds,
        ..PLAIN
    },
    Layout {
        name: "burstgpt",
        format: TraceFormat::Burstgpt,
        times: &["Timestamp"],
        prompt: "Request tokens",
        output: "Response tokens",
        model: Some("Model"),
        has_failed: true,
        from_midnight: true,
        ..PLAIN
    },
];

impl Layout {
    /// The layout of `format`, or the one whose columns the header has.
    pub(super) fn of(table: &Table, format: TraceFormat) -> Result<&'static Self, InputError> {
        let known = |layout: &&Self| match format {
            TraceFormat::Auto => layout.fits(table),
            named => layout.format == named,
        };
        LAYOUTS.iter().find(known).ok_or_else(|| {
            table.bad_header(format!(
                "the header `{}` is of no known trace; known are {}, and mooncake's JSON Lines",
                table.shown_header(),
                LAYOUTS.iter().map(Self::shown).collect::<Vec<_>>().join(", ")
            ))
        })
    }

    /// Whether a header is of this format: by its time column where only one format has it.
    fn fits(&self, table: &Table) -> bool {
        let has = |name: &str| table.column(name).is_some();
        let time = self.times.iter().any(|name| has(name));
        match self.format {
            TraceFormat::Azure | TraceFormat::Wattmill => time,
            _ => time && has(self.prompt) && has(self.output),
        }
    }

    /// Numbers of the columns of time, prompt and output.
    pub(super) fn columns(&self, table: &Table) -> Result<[usize; 3], InputError> {
        let time = match self.times.iter().find_map(|name| table.column(name)) {
            Some(time) => time,
            None => table.require(self.times[0])?,
        };
        Ok([time, table.require(self.prompt)?, table.require(self.output)?])
    }

    fn shown(&self) -> String {
        let extras = if self.extras && self.format == TraceFormat::Wattmill {
            format!("[,{CLASS},{DIFFICULTY},{THINKING}]")
        } else {
            String::new()
        };
        format!("`{},{},{}{extras}` ({})", self.times[0], self.prompt, self.output, self.name)
    }
}
