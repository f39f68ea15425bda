//! The command line: arguments, text, exit statuses. The only crate that knows both `server` and `spawn`.
//!
//! `args` is what was typed, `settings` what it means once variables and defaults are resolved; each module of
//! `commands` does one command with it. An error becomes text, JSON and an exit status in `failure` alone, with what to do
//! from `advice` and, where somebody is in the way, from `locker`.

mod advice;
mod args;
mod commands;
mod duration;
mod exit;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod locker;
mod output;
mod pending;
mod settings;
mod sys;

use std::ffi::OsString;
use std::process::ExitCode;

use aileron_discovery::Tool;

pub use exit::ExitStatus;

/// The tool that the `aileron` binary is.
pub fn tool() -> Tool {
    Tool::new("aileron", env!("CARGO_PKG_VERSION"))
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    run(&std::env::args_os().collect::<Vec<_>>()).into()
}

/// Runs the command that these words are; the first is the program's name.
pub fn run(words: &[OsString]) -> ExitStatus {
    // A umask that takes from the owner as well would leave files that nobody can open any more.
    aileron_discovery::make_files_private();
    let args = match args::Args::of(words) {
        Ok(args) => args,
        Err(error) => return not_understood(&error, words),
    };
    let output = output::Output::new(&args.global);
    let failure = match commands::run(&tool(), args, output) {
        Ok(status) => match output::lost() {
            None => return status,
            Some(failure) => failure,
        },
        Err(failure) => failure,
    };
    output.failure(&failure);
    failure.status
}

/// Help and version are what was asked for; what was not understood is a document for those who asked for documents.
fn not_understood(error: &clap::Error, words: &[OsString]) -> ExitStatus {
    let wants_json = words.iter().any(|word| word == "--json");
    if error.use_stderr() && wants_json {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let tips: Vec<&str> =
            text.lines().filter_map(|line| line.trim_start().strip_prefix("tip: ")).collect();
        let failure = failure::Failure::usage(message);
        let failure = if tips.is_empty() { failure } else { failure.hint(&tips.join("; ")) };
        output::Output::document_failure(&failure);
        return ExitStatus::Usage;
    }
    let status = if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done };
    let _reader_is_gone = error.print();
    status
}
