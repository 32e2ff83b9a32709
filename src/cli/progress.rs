//! How far a run is: a bar on a terminal, now and then a line otherwise.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal;

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Steps of the bar.
const STEPS: u64 = 1000;

/// Shows progress on stderr.
pub struct Progress {
    display: Display,
    started: Instant,
    /// Length of the run [s]; unknown when a trace decides.
    duration_s: Option<f64>,
}

enum Display {
    Nothing,
    Bar(ProgressBar),
    /// When the last line was printed.
    Lines(Mutex<Instant>),
}

impl Progress {
    /// Progress of a run of `duration_s` simulated seconds; `silent` shows nothing.
    pub fn new(duration_s: Option<f64>, silent: bool) -> Self {
        let started = Instant::now();
        let display = if silent {
            Display::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
            let template =
                if duration_s.is_some() { "{bar:30} {percent:>3} % {msg}" } else { "{spinner} {msg}" };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            Display::Bar(bar)
        } else {
            Display::Lines(Mutex::new(started))
        };
        Self { display, started, duration_s }
    }

    /// The run has come to `simulated_s` and has seen `requests` arrive.
    pub fn show(&self, simulated_s: f64, requests: u64) {
        match &self.display {
            Display::Nothing => {}
            Display::Bar(bar) => {
                if let Some(duration_s) = self.duration_s {
                    let share = (simulated_s / duration_s).clamp(0.0, 1.0);
                    bar.set_position((share * STEPS as f64) as u64);
                } else {
                    bar.tick();
                }
                bar.set_message(self.text(simulated_s, requests));
            }
            Display::Lines(last) => {
                let Ok(mut last) = last.lock() else { return };
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    terminal::error_line(&self.text(simulated_s, requests));
                }
            }
        }
    }

    /// Remove the bar.
    pub fn clear(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }

    fn text(&self, simulated_s: f64, requests: u64) -> String {
        let of = self.duration_s.map_or(String::new(), |duration_s| format!(" of {}", span(duration_s)));
        let per_s = requests as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        format!("simulated {}{of}; {requests} requests, {per_s:.0}/s", span(simulated_s))
    }
}

/// A span of time as people say it.
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86400.0),
    }
}
