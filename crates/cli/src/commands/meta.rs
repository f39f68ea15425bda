//! `completions`: about the command line itself.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use crate::args::Args;
use crate::exit::ExitStatus;
use crate::output::Output;

pub(crate) fn completions(shell: Shell, output: Output) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "aileron", &mut script);
    let script = String::from_utf8_lossy(&script);
    let document = json!({ "schema": 1, "shell": shell.to_string(), "text": script });
    output.result(&document, script.trim_end());
    ExitStatus::Done
}
