//! Where a result goes, and whether it may: decided before anything is simulated.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use wattmill::scenario::{self, Resolved};

use super::check::short;
use super::exit::Failure;
use super::scenario_args::ScenarioArguments;

/// Largest `summary.json` that is looked into [bytes].
const MAX_SUMMARY_BYTES: u64 = 64 << 20;

/// What is to be put somewhere.
pub struct Place<'a> {
    /// Identity of what it is the result of.
    pub hash: &'a str,
    /// In words, what that is: `scenario`.
    pub of: &'static str,
    /// Where it goes unless the user says otherwise.
    pub default: PathBuf,
    /// What it was made from, in words and by path: must survive.
    pub inputs: Vec<(String, PathBuf)>,
}

/// The result folder of a run. It need not exist, but can be made and may be replaced.
pub fn choose(
    resolved: &Resolved,
    arguments: &ScenarioArguments,
    asked: Option<&Path>,
    force: bool,
) -> Result<PathBuf, Failure> {
    let default = default_dir(resolved);
    let scenario = arguments.path.as_path();
    // The resolved scenario of a result is written again with the same content.
    let own_copy = asked.unwrap_or(&default).canonicalize().is_ok_and(|dir| {
        result_hash(&dir).as_ref() == Some(&resolved.hash)
            && scenario.canonicalize().is_ok_and(|path| path == dir.join("scenario.resolved.yaml"))
    });
    let files = scenario::input_files(resolved).into_iter().chain(arguments.catalog.clone());
    let mut inputs: Vec<(String, PathBuf)> = files.map(|path| ("the input".into(), path)).collect();
    if !own_copy {
        inputs.insert(0, ("the scenario".into(), scenario.to_path_buf()));
    }
    choose_for(&Place { hash: &resolved.hash, of: "scenario", default, inputs }, asked, force)
}

/// The folder of any result. It need not exist, but can be made and may be replaced.
pub fn choose_for(place: &Place, asked: Option<&Path>, force: bool) -> Result<PathBuf, Failure> {
    let dir = asked.unwrap_or(&place.default).to_path_buf();
    let shown = dir.display();
    if dir.as_os_str().is_empty() || dir.file_name().is_none() {
        return Err(Failure::input(format!("-o {shown}: name a folder for the result, e.g. output/my-run")));
    }
    match found(&dir) {
        Found::Nothing | Found::Empty => {}
        Found::NoFolder => return Err(Failure::input(format!("{shown}: is a file; a result is a folder"))),
        Found::Unreadable(error) => return Err(Failure::input(format!("{shown}: cannot be read: {error}"))),
        Found::Result(hash) if hash == place.hash => {}
        Found::Result(hash) if asked.is_some() && !force => {
            return Err(Failure::input(format!(
                "{shown}: holds the result of another {} (hash {}, this is {}); choose another folder, or \
                 use --force to replace it",
                place.of,
                short(&hash),
                short(place.hash)
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
    if let Some(kept) = must_keep(&dir, &place.inputs) {
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

/// What a result folder is the result of: the hash of the study if it is one of several runs, else of the scenario.
fn result_hash(dir: &Path) -> Option<String> {
    let path = dir.join("summary.json");
    if fs::metadata(&path).ok()?.len() > MAX_SUMMARY_BYTES {
        return None;
    }
    let summary: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    summary.get("schema_version")?.as_u64()?;
    let hash = summary.pointer("/study/hash").or_else(|| summary.pointer("/scenario/hash"))?;
    Some(hash.as_str()?.to_string())
}

/// What in `dir` must survive even `--force`: where the user stands, and what the result is made from.
fn must_keep(dir: &Path, inputs: &[(String, PathBuf)]) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let inside = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&dir));
    if inside(Path::new(".")) {
        return Some("the current directory".into());
    }
    if std::env::home_dir().is_some_and(|home| inside(&home)) {
        return Some("your home directory".into());
    }
    inputs.iter().find(|(_, path)| inside(path)).map(|(what, path)| format!("{what} {}", path.display()))
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
