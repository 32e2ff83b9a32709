//! Arguments of studies that run a scenario many times, and what they have in common: threads, a count, an answer.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use rayon::{ThreadPool, ThreadPoolBuilder};
use wattmill::report::ReportError;

use super::exit::Failure;
use super::out_dir::{self, Place};
use super::tally::Tally;
use super::terminal;

#[derive(Args)]
pub struct StudyArguments {
    /// Runs at once; default: one per core. The answer is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Also write the answer into this folder
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Print the answer as JSON on stdout and nothing else
    #[arg(long)]
    json: bool,
    /// Replace the folder whatever it holds
    #[arg(long, requires = "output")]
    force: bool,
}

impl StudyArguments {
    /// The folder for an answer, if one is wanted; `study`: identity of what is asked, `of`: what it is called.
    pub fn folder(
        &self,
        study: &str,
        of: &'static str,
        inputs: impl Iterator<Item = PathBuf>,
    ) -> Result<Option<PathBuf>, Failure> {
        let Some(dir) = &self.output else { return Ok(None) };
        let inputs = inputs.map(|path| ("the input".into(), path)).collect();
        let place = Place { hash: study, of, default: dir.clone(), inputs };
        out_dir::choose_for(&place, Some(dir), self.force).map(Some)
    }

    /// As many threads as there may be runs at once.
    pub fn threads(&self) -> Result<ThreadPool, Failure> {
        let threads = ThreadPoolBuilder::new().num_threads(self.jobs.map_or(0, usize::from)).build();
        Ok(threads.context("cannot start threads")?)
    }

    /// A count of what is done.
    pub fn tally(&self, what: &'static str) -> Tally {
        Tally::new(0, what, self.quiet || self.json)
    }

    /// Write the answer where it is wanted, and print it.
    pub fn tell(
        &self,
        dir: Option<PathBuf>,
        write: impl FnOnce(&Path) -> Result<Vec<PathBuf>, ReportError>,
        json: impl FnOnce() -> String,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let files = match &dir {
            Some(dir) => write(dir)
                .with_context(|| format!("{}: the result could not be written", dir.display()))?
                .len(),
            None => 0,
        };
        if self.json {
            terminal::print(&json())?;
        } else if !self.quiet {
            terminal::print(&text())?;
            if let Some(dir) = dir {
                terminal::print(&format!("wrote {} ({files} files)", dir.display()))?;
            }
        }
        Ok(())
    }
}
