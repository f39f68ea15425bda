//! What the fence costs a request, timed by an example program of the crate that has it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::document::{Batches, FenceRow};
use super::target;
use crate::workspace::{Workspace, display, run_to_success};

/// Directories between the temporary directory and the state directory.
const DEPTHS: [usize; 2] = [1, 12];

/// What the example prints.
#[derive(Deserialize)]
struct Printed {
    calls: u64,
    path_depth: usize,
    verify_ns: Batches,
    lstat_ns: Batches,
    ratio: f64,
}

/// Builds the example as the product is built.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    run_to_success(command.args([
        "build",
        "--release",
        "--package",
        "aileron-discovery",
        "--example",
        "fence_cost",
    ]))?;
    Ok(workspace.target_dir().join("release").join("examples").join("fence_cost"))
}

/// Runs it near the root of a temporary directory, and far from it.
pub(super) fn measure(program: &Path, below: &Path, file_system: &str) -> Result<Vec<FenceRow>> {
    let root = tempfile::Builder::new().prefix("aileron-xtask-").tempdir_in(below);
    let root = root.context("cannot make a temporary directory")?;
    DEPTHS.iter().map(|depth| measure_at(program, root.path(), *depth, file_system)).collect()
}

fn measure_at(program: &Path, root: &Path, depth: usize, file_system: &str) -> Result<FenceRow> {
    let directory = (0..depth).fold(root.to_path_buf(), |path, at| path.join(format!("d{at}")));
    let made = DirBuilder::new().mode(0o700).recursive(true).create(&directory);
    made.with_context(|| format!("cannot make `{}`", directory.display()))?;
    let mut command = Command::new(program);
    command.arg(&directory).env_clear();
    let output = command.output().with_context(|| format!("cannot run `{}`", display(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}` failed: {}", display(&command), said.trim());
    let printed: Printed = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{}` printed no such document", display(&command)))?;
    let Printed { calls, path_depth, verify_ns, lstat_ns, ratio } = printed;
    let (file_system, check) = (file_system.to_owned(), target::fence(verify_ns.median));
    Ok(FenceRow { file_system, path_depth, calls, verify_ns, lstat_ns, ratio, check })
}
