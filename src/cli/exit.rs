//! How a command ends: the one place that knows exit codes.

use std::process::ExitCode;

use wattmill::SimError;
use wattmill::scenario::{Resolved, ScenarioError};
use wattmill::study::batch::StudyError;
use wattmill::study::sweep::SweepError;

/// Exit code of bad input.
pub const BAD_INPUT: u8 = 2;
const FAILED: u8 = 1;
const INTERRUPTED: u8 = 130;

/// Why a command did not finish. Each text is complete: it is printed as it is.
#[derive(Debug)]
pub enum Failure {
    /// The user can mend it: scenario, trace, arguments, result folder.
    Input(anyhow::Error),
    /// Disk, internal error, violated invariant.
    Failed(anyhow::Error),
    /// Ctrl-C, with what became of the work.
    Interrupted(String),
}

impl Failure {
    /// Bad input, said in `text`.
    pub fn input(text: impl Into<String>) -> Self {
        Self::Input(anyhow::Error::msg(text.into()))
    }

    /// What the error of a study of many runs means, `done` of which were done.
    pub fn of_study(error: StudyError, done: u64) -> Self {
        match error {
            StudyError::Run(SimError::Interrupted) => {
                Self::Interrupted(format!("interrupted after {done} runs; nothing was written"))
            }
            StudyError::Run(error @ SimError::Invariant(_)) => Self::Failed(error.into()),
            other => Self::input(other.to_string()),
        }
    }

    /// What a run's error means, problems with their place in the scenario file.
    pub fn of_run(error: SimError, resolved: &Resolved) -> Self {
        match error {
            SimError::Scenario(problems) => Self::input(resolved.render_problems(&problems)),
            SimError::Input(text) => Self::input(text),
            SimError::Interrupted => Self::Interrupted("interrupted; nothing was written".into()),
            SimError::Invariant(_) => Self::Failed(error.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        Self::Input(error.into())
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Input(_) => Self::Input(error.into()),
            SweepError::Failed(_) => Self::Failed(error.into()),
        }
    }
}

/// Say what went wrong on stderr, and give the process its exit code.
pub fn code(end: Result<(), Failure>) -> ExitCode {
    let (code, text) = match end {
        Ok(()) => return ExitCode::SUCCESS,
        // The reader of our output has gone (`wattmill … | head`): that is its business, not an error.
        Err(Failure::Failed(error) | Failure::Input(error)) if is_broken_pipe(&error) => {
            return ExitCode::SUCCESS;
        }
        Err(Failure::Input(error)) => (BAD_INPUT, format!("{error:#}")),
        Err(Failure::Failed(error)) => (FAILED, format!("{error:#}")),
        Err(Failure::Interrupted(text)) => (INTERRUPTED, text),
    };
    super::terminal::error_line(&text);
    ExitCode::from(code)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
