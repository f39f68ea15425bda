//! `completions` and `man`: about the command line itself.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::ExitStatus;

pub(crate) fn completions(shell: Shell) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "aileron", &mut script);
    print(&script)
}

pub(crate) fn man() -> ExitStatus {
    let mut page = Vec::new();
    // Writing to memory does not fail; what is missing would show.
    let rendered = clap_mangen::Man::new(Args::command()).render(&mut page);
    if rendered.is_err() { ExitStatus::Failed } else { print(&page) }
}

fn print(bytes: &[u8]) -> ExitStatus {
    let _reader_is_gone = std::io::stdout().lock().write_all(bytes);
    ExitStatus::Done
}
