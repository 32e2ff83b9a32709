//! Doing the chunks of a shard that are not done: points in parallel, chunks published in order as they fill.
//!
//! Workers take rows one by one from one queue, so the last chunk keeps all of them busy as the first does. At most one
//! chunk per worker and one more is open; a killed process loses those and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SweepError;
use super::chunk::{self, State};
use super::manifest::Sweep;
use super::point::{Line, Runner, Stop};

/// Which chunks are ours: those whose number leaves `index` when divided by `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// At least 1.
    pub of: u64,
}

impl Shard {
    /// All chunks.
    pub const WHOLE: Self = Self { index: 0, of: 1 };
}

/// What a shard has to do.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Chunks to do, in order, and whether a damaged one stands in the way.
    todo: Vec<(u64, bool)>,
    /// Rows of the shard, and of them those in finished chunks.
    pub rows: u64,
    /// Rows in finished chunks.
    pub rows_done: u64,
    /// Damaged chunk files, which are made again: name and what is wrong.
    pub damaged: Vec<(String, String)>,
}

/// How a sweep is run; nothing of it changes the results.
pub struct Options<'a> {
    /// Rows run at once.
    pub jobs: usize,
    /// Asked now and then; false interrupts.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
    /// Called with the number of rows that are done: 1, or all of a chunk that another process finished.
    pub rows_done: &'a (dyn Fn(u64) + Sync),
}

/// How a run of a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of the shard is done.
    Finished,
    /// It was interrupted; finished chunks are kept.
    Interrupted,
}

/// Look at the chunks of a shard. What is no part of the sweep is refused, not replaced.
///
/// # Errors
/// The sweep is not what was planned, a foreign chunk, or a folder that cannot be written.
pub fn survey(sweep: &Sweep, shard: Shard) -> Result<Survey, SweepError> {
    sweep.check_unchanged()?;
    refuse_strangers(sweep)?;
    let dir = sweep.chunks_dir();
    chunk::prepare(&dir).map_err(|error| {
        let text = format!("{}: cannot be written: {error}", dir.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SweepError::Failed(text),
            _ => SweepError::Input(text),
        }
    })?;
    let mut survey = Survey { todo: Vec::new(), rows: 0, rows_done: 0, damaged: Vec::new() };
    for number in (0..sweep.manifest.chunks).filter(|number| number % shard.of == shard.index) {
        let range = sweep.range(number);
        let rows = range.end - range.start;
        survey.rows += rows;
        let path = sweep.chunk_path(number);
        let (state, _) = chunk::read(sweep, number)
            .map_err(|error| SweepError::Failed(format!("{}: cannot be read: {error}", path.display())))?;
        match state {
            State::Done { .. } => survey.rows_done += rows,
            State::Missing => survey.todo.push((number, false)),
            State::Damaged(why) => {
                survey.damaged.push((path.display().to_string(), why));
                survey.todo.push((number, true));
            }
            State::Foreign(what) => return Err(foreign(&path, &what)),
        }
    }
    Ok(survey)
}

/// A file that must not be taken for a chunk.
pub(super) fn foreign(path: &std::path::Path, what: &str) -> SweepError {
    SweepError::Input(format!(
        "{}: {what}; move it out of this folder, then run the sweep again",
        path.display()
    ))
}

/// Files that are named like chunks and are none.
pub(super) fn refuse_strangers(sweep: &Sweep) -> Result<(), SweepError> {
    let dir = sweep.chunks_dir();
    let strangers = chunk::strangers(sweep)
        .map_err(|error| SweepError::Failed(format!("{}: cannot be read: {error}", dir.display())))?;
    match strangers.first() {
        Some(name) => Err(foreign(&dir.join(name), "is not the name of a chunk of this sweep")),
        None => Ok(()),
    }
}

/// Do what a survey found to do.
///
/// # Errors
/// A chunk cannot be written, or the sweep's files have changed meanwhile; finished chunks are kept.
pub fn run(sweep: &Sweep, survey: &Survey, options: &Options) -> Result<End, SweepError> {
    let runner = Runner::new(sweep)?;
    let work = Work {
        sweep,
        runner: &runner,
        options,
        queue: Mutex::new(Queue { todo: &survey.todo, at: 0, next: None }),
        open: Mutex::new(BTreeMap::new()),
        stopped: AtomicBool::new(false),
        error: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        // This thread is the first worker.
        for _ in 1..options.jobs.max(1) {
            scope.spawn(|| work.work());
        }
        work.work();
    });
    if let Some(error) = work.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    Ok(if work.stopped.into_inner() { End::Interrupted } else { End::Finished })
}

/// What workers share.
struct Work<'a> {
    sweep: &'a Sweep,
    runner: &'a Runner<'a>,
    options: &'a Options<'a>,
    queue: Mutex<Queue<'a>>,
    open: Mutex<BTreeMap<u64, Open>>,
    stopped: AtomicBool,
    /// The first.
    error: Mutex<Option<SweepError>>,
}

/// Rows not yet begun.
struct Queue<'a> {
    todo: &'a [(u64, bool)],
    /// Place in `todo` of the chunk that rows are taken from.
    at: usize,
    /// The chunk's next row, and whether all are taken; none: the chunk is not begun.
    next: Option<(u64, Arc<AtomicBool>)>,
}

/// A chunk that is being filled.
struct Open {
    rows: Vec<Vec<u8>>,
    missing: u64,
    errors: u64,
}

/// A row to run.
struct Task {
    chunk: u64,
    row: u64,
    /// Whether all rows of the chunk have begun, so that it can still be finished after an interrupt.
    all_begun: Arc<AtomicBool>,
}

impl Work<'_> {
    fn work(&self) {
        while let Some(task) = self.take() {
            let go_on = || {
                if !(self.options.go_on)() {
                    self.stopped.store(true, Ordering::SeqCst);
                }
                !self.stopped.load(Ordering::SeqCst) || task.all_begun.load(Ordering::SeqCst)
            };
            match self.runner.run(task.row, &go_on) {
                Ok(line) => {
                    (self.options.rows_done)(1);
                    if let Err(error) = self.add(&task, line) {
                        self.fail(error);
                    }
                }
                Err(Stop::Interrupted) => {}
                Err(Stop::Failed(error)) => self.fail(error),
            }
        }
    }

    /// The next row; none when there is none, or after an interrupt.
    fn take(&self) -> Option<Task> {
        let mut queue = locked(&self.queue);
        loop {
            let (chunk, is_damaged) = *queue.todo.get(queue.at)?;
            if !(self.options.go_on)() {
                self.stopped.store(true, Ordering::SeqCst);
            }
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
            let range = self.sweep.range(chunk);
            let (row, all_begun) = match queue.next.take() {
                Some(next) => next,
                // Another process may have come first. A glance does not see all damage.
                None if !is_damaged && matches!(chunk::glance(self.sweep, chunk), Ok(State::Done { .. })) => {
                    (self.options.rows_done)(range.end - range.start);
                    queue.at += 1;
                    continue;
                }
                None => {
                    let missing = range.end - range.start;
                    let open = Open { rows: vec![Vec::new(); missing as usize], missing, errors: 0 };
                    locked(&self.open).insert(chunk, open);
                    (range.start, Arc::new(AtomicBool::new(false)))
                }
            };
            if row + 1 < range.end {
                queue.next = Some((row + 1, all_begun.clone()));
            } else {
                all_begun.store(true, Ordering::SeqCst);
                queue.at += 1;
            }
            return Some(Task { chunk, row, all_begun });
        }
    }

    /// Put a line in its chunk, and publish the chunk if that was the last.
    fn add(&self, task: &Task, line: Line) -> Result<(), SweepError> {
        let full = {
            let mut open = locked(&self.open);
            let Some(chunk) = open.get_mut(&task.chunk) else { return Ok(()) };
            let place = (task.row - self.sweep.range(task.chunk).start) as usize;
            if let Some(row) = chunk.rows.get_mut(place) {
                *row = line.csv;
            }
            chunk.missing -= 1;
            chunk.errors += u64::from(line.is_error);
            if chunk.missing > 0 {
                return Ok(());
            }
            open.remove(&task.chunk)
        };
        let Some(full) = full else { return Ok(()) };
        let path = self.sweep.chunk_path(task.chunk);
        let bytes = chunk::bytes(self.sweep, task.chunk, &full.rows, full.errors);
        chunk::publish(&path, &bytes).map_err(|error| {
            SweepError::Failed(format!(
                "{}: cannot be written: {error}; chunks written before are kept: make room, then run the sweep again",
                path.display()
            ))
        })
    }

    fn fail(&self, error: SweepError) {
        self.stopped.store(true, Ordering::SeqCst);
        locked(&self.error).get_or_insert(error);
    }
}

/// A panic in another thread is its own affair: what it left is whole between statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
