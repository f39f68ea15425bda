//! The program under test: the release binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{Workspace, run_to_success};

/// The binary that a person named, or else the one that is built now.
///
/// # Errors
/// When there is none at that path, or the build fails.
pub(crate) fn find_or_build(named: Option<&Path>, workspace: &Workspace) -> Result<PathBuf> {
    match named {
        Some(path) => path.canonicalize().with_context(|| format!("cannot find `{}`", path.display())),
        None => build(workspace),
    }
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    command.args(["build", "--release", "--package", "aileron-cli", "--bin", "aileron"]);
    // Standard output may be a JSON document: cargo writes to standard error.
    run_to_success(&mut command)?;
    let binary = workspace.target_dir().join("release").join("aileron");
    binary.canonicalize().with_context(|| format!("cannot find `{}`", binary.display()))
}

/// What it says of itself.
pub(crate) fn version(binary: &Path) -> String {
    let output = Command::new(binary).arg("--version").env_clear().output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
