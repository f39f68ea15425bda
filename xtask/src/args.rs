//! The command line of `cargo xtask`, and which module each command goes to.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::workspace::Workspace;
use crate::{ci, dist, tidy};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What the project does to itself, from outside")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that a change must pass, each step with its time
    Ci,
    /// Check the rules that no compiler knows
    Tidy,
    /// Make the static release build in `target/dist/`
    Dist,
    /// Drive the release binary from outside, as separate processes (Linux)
    E2e(E2eArgs),
}

/// What a person asks of `cargo xtask e2e`.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "e2e runs on Linux only"))]
pub(crate) struct E2eArgs {
    /// How often each scenario is run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only the scenarios whose name contains this; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    /// Print the names of the scenarios and what each is about
    #[arg(long)]
    pub(crate) list: bool,
    /// One JSON document on standard output; progress goes to standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Write one self-contained HTML page with a timeline for each round
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Drive this binary and build none
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
}

impl Default for E2eArgs {
    fn default() -> Self {
        Self { rounds: 1, scenario: Vec::new(), list: false, json: false, report: None, binary: None }
    }
}

/// Runs the command that the process was started with.
pub(crate) fn dispatch() -> ExitCode {
    let command = Xtask::parse().command;
    let done = Workspace::find().and_then(|workspace| match command {
        Command::Ci => ci::run(&workspace),
        Command::Tidy => tidy::run(&workspace),
        Command::Dist => dist::run(&workspace),
        Command::E2e(args) => run_e2e(&workspace, &args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `e2e`, or on other systems than Linux the reason why there is none.
pub(crate) fn run_e2e(workspace: &Workspace, args: &E2eArgs) -> Result<()> {
    #[cfg(target_os = "linux")]
    return crate::e2e::run(workspace, args);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (workspace, args);
        anyhow::bail!("e2e reads procfs and pidfds: it runs on Linux only")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Xtask;

    #[test]
    fn the_command_line_is_well_formed() {
        Xtask::command().debug_assert();
    }
}
