//! Writing to the terminal: never panics on a closed pipe, colours only where they are wanted.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;

/// Print `text` to stdout, ending in exactly one line break.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut write = || {
        out.write_all(text.trim_end_matches('\n').as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    };
    write().context("cannot write to standard output")
}

/// Print a line to stderr; if even that is closed there is nobody left to tell.
pub fn error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Columns to fill: what the shell says (`COLUMNS`), within what reads well.
pub fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.unwrap_or(100usize).clamp(60, 120)
}

/// Whether stdout shows colours and the user has not asked for none (`NO_COLOR`, `TERM=dumb`).
pub fn color() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal()
        && !set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
