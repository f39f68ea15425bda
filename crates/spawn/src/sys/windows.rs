//! Windows: a detached process without a console window. Compiled in the repository's workflow only.
//!
//! A descriptor cannot be inherited by number there, so a daemon reports nothing and is found by its record.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::Launched;

pub(crate) fn launch(
    _program: &Path,
    _args: &[OsString],
    _env: &[(OsString, OsString)],
) -> io::Result<Launched> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "launching a daemon is not implemented on Windows; use `daemon run`",
    ))
}

pub(crate) fn launch_to_end(
    program: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
) -> io::Result<Launched> {
    launch(program, args, env)
}

pub(crate) fn mark_one_by_one(_first: u32) -> io::Result<()> {
    Ok(())
}

/// There are no signals.
pub(crate) fn signal_of(_status: std::process::ExitStatus) -> Option<i32> {
    None
}

pub(crate) fn without_deleted_mark(_path: &Path) -> Option<PathBuf> {
    None
}

/// A process handle always tells.
pub(crate) fn hear_children() {}
