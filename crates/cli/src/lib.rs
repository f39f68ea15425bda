//! The command line: arguments, text, exit statuses. The only crate that knows both `server` and `spawn`.
//!
//! [`args`] is what was typed, `settings` what it means once variables and defaults are resolved; each module of
//! `commands` does one command with it. An error becomes text, JSON and an exit status in `failure` alone.

mod args;
mod commands;
mod duration;
mod exit;
mod failure;
mod output;
mod settings;

use std::process::ExitCode;

use aileron_discovery::Tool;
use clap::Parser as _;

pub use exit::ExitStatus;

/// The tool that the `aileron` binary is.
pub fn tool() -> Tool {
    Tool::new("aileron", env!("CARGO_PKG_VERSION"))
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let args = args::Args::parse();
    let output = output::Output::new(&args.global);
    match commands::run(&tool(), args, output) {
        Ok(status) => status.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.status.into()
        }
    }
}
