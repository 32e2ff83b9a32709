//! How many of a known number of runs are done: a bar on a terminal, now and then a line otherwise.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::progress::span;
use super::terminal;

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counts on stderr; threads may share it.
pub struct Tally {
    of: AtomicU64,
    /// Done before this process began.
    before: u64,
    done: AtomicU64,
    started: Instant,
    bar: Option<ProgressBar>,
    /// When the last line was printed; none where nothing is.
    lines: Option<Mutex<Instant>>,
    what: &'static str,
}

impl Tally {
    /// A count up to `of`; `silent` shows nothing.
    pub fn new(of: usize, what: &'static str, silent: bool) -> Self {
        Self::resumed(of as u64, 0, what, silent)
    }

    /// A count up to `of`, of which `before` were done by others: rate and time to go are of the rest.
    pub fn resumed(of: u64, before: u64, what: &'static str, silent: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let started = Instant::now();
        let bar = (!silent && terminal).then(|| {
            let bar = ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::stderr());
            let rest = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&rate_and_rest(state.pos(), before, of, started.elapsed()));
            };
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}{rest}") {
                bar.set_style(style.with_key("rest", rest));
            }
            bar.set_message(what);
            bar.set_position(before);
            bar
        });
        let lines = (!silent && !terminal).then(|| Mutex::new(started));
        Self { of: AtomicU64::new(of), before, done: AtomicU64::new(before), started, bar, lines, what }
    }

    /// One more is done.
    pub fn one_more(&self) {
        self.more(1);
    }

    /// So many more are done.
    pub fn more(&self, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
        if let Some(lines) = &self.lines
            && let Ok(mut last) = lines.try_lock()
            && last.elapsed() >= LINE_EVERY
        {
            *last = Instant::now();
            let of = self.of.load(Ordering::Relaxed);
            let rest = rate_and_rest(done, self.before, of, self.started.elapsed());
            terminal::error_line(&format!("{done} of {of} {}{rest}", self.what));
        }
    }

    /// There will be so many in all.
    pub fn set_length(&self, of: usize) {
        self.of.store(of as u64, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_length(of as u64);
        }
    }

    /// How many are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Remove the bar.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `, 12.5/s, 3.2 min to go`; nothing while nothing is known.
fn rate_and_rest(done: u64, before: u64, of: u64, elapsed: Duration) -> String {
    let (new, elapsed_s) = (done.saturating_sub(before), elapsed.as_secs_f64());
    if new == 0 || elapsed_s <= 0.0 {
        return String::new();
    }
    let per_s = new as f64 / elapsed_s;
    let to_go = span(of.saturating_sub(done) as f64 / per_s);
    match per_s {
        r if r >= 100.0 => format!(", {r:.0}/s, {to_go} to go"),
        r if r >= 1.0 => format!(", {r:.1}/s, {to_go} to go"),
        r => format!(", one in {}, {to_go} to go", span(1.0 / r)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_what_was_done_since_the_start() {
        let after = |s: u64, done: u64| rate_and_rest(done, 100, 400, Duration::from_secs(s));
        assert_eq!(after(10, 100), "");
        assert_eq!(after(10, 200), ", 10.0/s, 20 s to go");
        assert_eq!(after(600, 110), ", one in 60 s, 4.8 h to go");
        assert_eq!(after(1, 400), ", 300/s, 0 s to go");
    }
}
