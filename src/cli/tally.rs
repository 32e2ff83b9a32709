//! How many of a known number of runs are done: a bar on a terminal, now and then a line otherwise.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal;

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counts on stderr; threads may share it.
pub struct Tally {
    of: AtomicUsize,
    done: AtomicUsize,
    bar: Option<ProgressBar>,
    /// When the last line was printed; none where nothing is.
    lines: Option<Mutex<Instant>>,
    what: &'static str,
}

impl Tally {
    /// A count up to `of`; `silent` shows nothing.
    pub fn new(of: usize, what: &'static str, silent: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (!silent && terminal).then(|| {
            let bar = ProgressBar::with_draw_target(Some(of as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} to go") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar
        });
        let lines = (!silent && !terminal).then(|| Mutex::new(Instant::now()));
        Self { of: AtomicUsize::new(of), done: AtomicUsize::new(0), bar, lines, what }
    }

    /// One more is done.
    pub fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
        if let Some(lines) = &self.lines
            && let Ok(mut last) = lines.lock()
            && last.elapsed() >= LINE_EVERY
        {
            *last = Instant::now();
            terminal::error_line(&format!("{done} of {} {}", self.of.load(Ordering::Relaxed), self.what));
        }
    }

    /// There will be so many in all.
    pub fn set_length(&self, of: usize) {
        self.of.store(of, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_length(of as u64);
        }
    }

    /// How many are done.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Remove the bar.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
