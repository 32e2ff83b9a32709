//! `wattmill sweep run`: the chunks that are not done yet.

use std::sync::atomic::Ordering;

use clap::Args;
use wattmill::study::sweep::{self, End, Options, Shard, Status, Sweep};

use super::{Folder, Output, cores};
use crate::cli::exit::Failure;
use crate::cli::interrupt;
use crate::cli::tally::Tally;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    folder: Folder,
    /// Rows run at once; default: one per core. The results are the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Only the chunks whose number leaves I when divided by N; I from 0
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    #[command(flatten)]
    output: Output,
}

const AFTER_HELP: &str = "\
It may be killed at any moment and run again: finished chunks are kept, and no row is counted twice. Machines that share
the folder take a shard each, under any N. Ctrl-C finishes the chunks whose rows are all begun; a second one stops at
once and loses nothing that was finished.";

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((index, of)) if index < of => Ok(Shard { index, of }),
        Some((_, 0)) => Err("there are no shards out of 0".into()),
        Some((_, of)) => Err(format!("shards are numbered from 0: of {of}, the last is {}/{of}", of - 1)),
        None => Err("write it like 0/4: the first of four shards".into()),
    }
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    let interrupted = interrupt::watch()?;
    let sweep = Sweep::open(&arguments.folder.dir)?;
    if let Some(path) = sweep.spec_has_changed() {
        output.note(&format!(
            "{}: was changed after this sweep was planned; the sweep goes on as planned",
            path.display()
        ));
    }
    let survey = sweep::survey(&sweep, arguments.shard.unwrap_or(Shard::WHOLE))?;
    for (name, why) in &survey.damaged {
        output.note(&format!("{name}: {why}; its rows are run again"));
    }
    let go_on = || !interrupted.load(Ordering::SeqCst);
    let tally = Tally::resumed(survey.rows, survey.rows_done, "points", output.silent());
    let rows_done = |rows: u64| tally.more(rows);
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let options = Options { jobs, go_on: &go_on, rows_done: &rows_done };
    let end = sweep::run(&sweep, &survey, &options);
    tally.clear();
    let (status, _) = match end? {
        End::Finished => sweep::status(&sweep)?,
        End::Interrupted => {
            let (status, _) = sweep::status(&sweep)?;
            return Err(Failure::Interrupted(format!(
                "interrupted; {} of {} chunks are done and kept; go on with: wattmill sweep run {}{}",
                status.chunks.done,
                status.chunks.total,
                arguments.folder.dir.display(),
                arguments
                    .shard
                    .map_or(String::new(), |shard| format!(" --shard {}/{}", shard.index, shard.of))
            )));
        }
    };
    output.print(&status, &text(&status, &arguments.folder))
}

fn text(status: &Status, folder: &Folder) -> String {
    super::status::lines(status, &folder.dir)
}
