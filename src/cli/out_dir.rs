//! Where a result goes, and whether it may: decided before anything is simulated.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use wattmill::scenario::{self, Resolved};

use super::check::short;
use super::exit::Failure;
use super::scenario_args::ScenarioArguments;

/// Largest `summary.json` that is looked into [bytes].
const MAX_SUMMARY_BYTES: u64 = 64 << 20;

/// The result folder of a run. It need not exist, but can be made and may be replaced.
pub fn choose(
    resolved: &Resolved,
    arguments: &ScenarioArguments,
    asked: Option<&Path>,
    force: bool,
) -> Result<PathBuf, Failure> {
    let dir = match asked {
        Some(dir) => dir.to_path_buf(),
        None => default_dir(resolved),
    };
    let shown = dir.display();
    if dir.as_os_str().is_empty() || dir.file_name().is_none() {
        return Err(Failure::input(format!("-o {shown}: name a folder for the result, e.g. output/my-run")));
    }
    match found(&dir) {
        Found::Nothing | Found::Empty => {}
        Found::NoFolder => return Err(Failure::input(format!("{shown}: is a file; a result is a folder"))),
        Found::Unreadable(error) => return Err(Failure::input(format!("{shown}: cannot be read: {error}"))),
        Found::Result(hash) if hash == resolved.hash => {}
        Found::Result(hash) if asked.is_some() && !force => {
            return Err(Failure::input(format!(
                "{shown}: holds the result of another scenario (hash {}, this is {}); choose another folder, or \
                 use --force to replace it",
                short(&hash),
                short(&resolved.hash)
            )));
        }
        Found::Foreign if !force => {
            return Err(Failure::input(format!(
                "{shown}: is a folder that wattmill did not write; choose another with -o, or use --force to \
                 replace it with everything in it"
            )));
        }
        Found::Result(_) | Found::Foreign => {}
    }
    if let Some(kept) = must_keep(&dir, resolved, arguments) {
        return Err(Failure::input(format!(
            "{shown}: would be replaced, but holds {kept}; choose another folder with -o"
        )));
    }
    writable(&dir)?;
    Ok(dir)
}

fn default_dir(resolved: &Resolved) -> PathBuf {
    let name = &resolved.scenario.name;
    Path::new("output").join(if resolved.source.is_changed() {
        format!("{name}-{}", short(&resolved.hash))
    } else {
        name.clone()
    })
}

/// What stands where a result should go.
enum Found {
    Nothing,
    Empty,
    NoFolder,
    /// A result of the scenario with this hash.
    Result(String),
    Foreign,
    Unreadable(std::io::Error),
}

fn found(dir: &Path) -> Found {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Found::Nothing,
        Err(error) => return Found::Unreadable(error),
        Ok(_) if !dir.is_dir() => return Found::NoFolder,
        Ok(_) => {}
    }
    match fs::read_dir(dir) {
        Err(error) => Found::Unreadable(error),
        Ok(mut entries) => match entries.next() {
            None => Found::Empty,
            Some(_) => result_hash(dir).map_or(Found::Foreign, Found::Result),
        },
    }
}

/// The scenario hash of a result folder.
fn result_hash(dir: &Path) -> Option<String> {
    let path = dir.join("summary.json");
    if fs::metadata(&path).ok()?.len() > MAX_SUMMARY_BYTES {
        return None;
    }
    let summary: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    summary.get("schema_version")?.as_u64()?;
    Some(summary.pointer("/scenario/hash")?.as_str()?.to_string())
}

/// What in `dir` must survive even `--force`: where the user stands, and what the run reads.
fn must_keep(dir: &Path, resolved: &Resolved, arguments: &ScenarioArguments) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let inside = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&dir));
    if inside(Path::new(".")) {
        return Some("the current directory".into());
    }
    if std::env::home_dir().is_some_and(|home| inside(&home)) {
        return Some("your home directory".into());
    }
    let scenario_path = arguments.path.as_path();
    // The resolved scenario of a result is written again with the same content.
    let own_copy = result_hash(&dir).as_ref() == Some(&resolved.hash)
        && scenario_path.canonicalize().is_ok_and(|path| path == dir.join("scenario.resolved.yaml"));
    if inside(scenario_path) && !own_copy {
        return Some(format!("the scenario {}", scenario_path.display()));
    }
    scenario::input_files(resolved)
        .into_iter()
        .chain(arguments.catalog.clone())
        .find(|path| inside(path))
        .map(|path| format!("the input {}", path.display()))
}

/// Try to write where the folder will be made; leaves nothing behind.
fn writable(dir: &Path) -> Result<(), Failure> {
    let refuse = |error: std::io::Error, at: &Path| {
        Failure::input(format!("{}: cannot write in '{}': {error}", dir.display(), at.display()))
    };
    // A link to a folder stays; what it points to is replaced.
    let absolute = dir.canonicalize().or_else(|_| std::path::absolute(dir)).map_err(|e| refuse(e, dir))?;
    // The result is made beside its place and moved there, so the folder around it counts.
    let mut around = absolute.parent().unwrap_or(&absolute);
    while let Some(parent) = around.parent()
        && fs::symlink_metadata(around).is_err()
    {
        around = parent;
    }
    if !around.is_dir() {
        return Err(Failure::input(format!("{}: '{}' is not a folder", dir.display(), around.display())));
    }
    let probe = around.join(format!(".wattmill-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe).map_err(|error| refuse(error, around))?;
    fs::remove_file(&probe).map_err(|error| refuse(error, around))
}
