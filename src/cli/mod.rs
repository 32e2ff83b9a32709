//! Commands, one file each; arguments here, exit codes in `exit`.

mod backend;
mod calibrate;
mod catalog;
mod check;
mod compare;
mod exit;
mod explain;
mod facility;
mod interrupt;
mod levers;
mod out_dir;
mod progress;
mod report;
mod run;
mod scenario_args;
mod schema;
mod size;
mod study_args;
mod sweep;
mod tally;
mod terminal;
mod trace;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watts in, tokens out: simulates LLM-inference fleets inside their power limits.
#[derive(Parser)]
#[command(name = "wattmill", version, propagate_version = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failure; 2 bad input; 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Run a scenario and write its result folder
    Run(run::Arguments),
    /// Check a scenario and its input files without running it
    Check(check::Arguments),
    /// Price every limit: what a little more of it would buy in useful tokens
    Explain(explain::Arguments),
    /// Measure levers at equal quality and service: what each adds to tokens per MW and takes from joules
    Levers(levers::Arguments),
    /// Find the smallest fleet, the lowest cap or the largest load that meets conditions
    Size(size::Arguments),
    /// Hold scenarios or results side by side: differences with intervals, changed fields, what binds
    Compare(compare::Arguments),
    /// Ask a site's building alone: PUE, losses, cooling and water at IT powers in given air
    Facility(facility::Arguments),
    /// Print the JSON Schema of scenario files, for editors
    Schema,
    /// Run a scenario at many points: plan, run, status, merge
    Sweep(sweep::Arguments),
    /// Look at, convert, fit and generate request traces
    Trace(trace::Arguments),
    /// Look up GPUs, models, nodes, engines, quality tiers and fitted coefficients
    Catalog(catalog::Arguments),
    /// Fit the catalog's coefficients to measured rows, with cross-validation
    Calibrate(calibrate::Arguments),
    /// Draw figures of a run again, or figures of a sweep
    Report(report::Arguments),
    /// Hold the simulator against measured rows: error table and parity plot
    Validate(validate::Arguments),
}

/// Parse the arguments, do the command, and turn its end into an exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout and are no error; a closed pipe is not worth a word.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::BAD_INPUT } else { 0 });
        }
    };
    exit::code(match arguments.command {
        Command::Run(arguments) => run::main(&arguments),
        Command::Check(arguments) => check::main(&arguments),
        Command::Explain(arguments) => explain::main(&arguments),
        Command::Levers(arguments) => levers::main(&arguments),
        Command::Size(arguments) => size::main(&arguments),
        Command::Compare(arguments) => compare::main(&arguments),
        Command::Facility(arguments) => facility::main(&arguments),
        Command::Schema => schema::main(),
        Command::Sweep(arguments) => sweep::main(&arguments),
        Command::Trace(arguments) => trace::main(&arguments),
        Command::Catalog(arguments) => catalog::main(&arguments),
        Command::Calibrate(arguments) => calibrate::main(&arguments),
        Command::Report(arguments) => report::main(&arguments),
        Command::Validate(arguments) => validate::main(&arguments),
    })
}
