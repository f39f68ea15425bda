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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    /// Nobody is to type the entry by which a client launches the daemon.
    #[test]
    fn no_shell_is_offered_the_hidden_entry() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "aileron", &mut script);
            let script = String::from_utf8_lossy(&script);
            assert!(script.contains("restart"), "{shell}: it is a script");
            assert!(!script.contains("serve") && !script.contains("launch-fd"), "{shell}");
        }
    }
}
