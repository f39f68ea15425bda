//! The servers are built: one program, and once more with the fence cut out.
//!
//! The product has no switch for its fence and gets none. So the crate's source is copied, the one place that asks is
//! taken out of the copy, and that is built: all else is the same to the letter. If the place is not found as it stands
//! here, there is no such build, and that is said.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::contestant::Echo;
use crate::workspace::{Workspace, run_to_success};

pub(in crate::bench) const WHAT: [&str; 4] = ["--package", "aileron-server", "--example", "echo"];

const GUARD: &str = "crates/server/src/guard.rs";
const FENCE: &str =
    "    if matches!(area, Area::Handshake | Area::App) {\n        check_fence(shared)?;\n    }\n";
const CRATES: [&str; 2] = ["discovery", "server"];

/// Builds both with the release profile.
pub(in crate::bench) fn echo(workspace: &Workspace) -> Result<Echo> {
    run_to_success(workspace.cargo().args(["build", "--release"]).args(WHAT))?;
    let copy = workspace.target_dir().join("bench").join("no-fence");
    prepare(workspace.root(), &copy)?;
    // A target directory of its own: cargo tells a package by its path within the workspace, so that in a shared one
    // it takes the copy for the original.
    let target = copy.join("target");
    let mut command = workspace.cargo();
    command.current_dir(&copy).args(["build", "--release"]).args(WHAT).arg("--target-dir").arg(&target);
    run_to_success(&mut command)?;
    let within = |target: &Path| target.join("release").join("examples").join("echo");
    let echo = Echo { whole: within(workspace.target_dir()), fenceless: within(&target) };
    let bytes = |path: &Path| fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
    ensure!(bytes(&echo.whole)? != bytes(&echo.fenceless)?, "the program without the fence has it");
    Ok(echo)
}

fn prepare(root: &Path, copy: &Path) -> Result<()> {
    for name in CRATES {
        let (from, to) = (root.join("crates").join(name), copy.join("crates").join(name));
        for file in files_below(&from)?.into_iter().filter(|file| !file.ends_with(GUARD)) {
            let inside = file.strip_prefix(&from).context("a file below the directory")?;
            put(&to.join(inside), &read(&file)?)?;
        }
    }
    put(&copy.join("Cargo.toml"), &manifest(&read(&root.join("Cargo.toml"))?)?)?;
    put(&copy.join("Cargo.lock"), &read(&root.join("Cargo.lock"))?)?;
    let text = replace_once(&read(&root.join(GUARD))?, FENCE, "")?;
    // Nobody calls it now, which would be a warning in every run.
    let text = replace_once(&text, "fn check_fence", "#[allow(dead_code)]\nfn check_fence")?;
    put(&copy.join(GUARD), &text)
}

/// Of a workspace of these crates alone: the others, and what is said of them for development, are not copied.
fn manifest(text: &str) -> Result<String> {
    let members = text.lines().find(|line| line.starts_with("members = "));
    let members = members.context("the workspace's manifest has no line of members")?;
    let text = replace_once(text, members, "members = [\"crates/*\"]")?;
    Ok(text.split("\n[profile.dev.").next().unwrap_or(&text).to_owned())
}

fn replace_once(text: &str, what: &str, by: &str) -> Result<String> {
    ensure!(text.matches(what).count() == 1, "the source has changed: there is not one\n{what}");
    Ok(text.replacen(what, by, 1))
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let step = || format!("cannot list `{}`", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(step)? {
        let path = entry.with_context(step)?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs" || end == "toml" || end == "md") {
            files.push(path);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Writes only what is new: cargo builds again what was touched.
fn put(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let step = || format!("cannot write `{}`", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).with_context(step)?;
    fs::write(path, text).with_context(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_is_found_in_the_source_and_cut_out_of_the_copy_alone() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let temporary = tempfile::tempdir().expect("a directory");
        prepare(root, temporary.path()).expect("the source is as it is expected");
        let guard = |root: &Path| read(&root.join(GUARD)).expect("readable");
        assert!(guard(root).contains("check_fence(shared)?"));
        assert!(!guard(temporary.path()).contains("check_fence(shared)?"));
    }

    #[test]
    fn a_source_that_has_changed_is_not_passed_over() {
        assert!(replace_once("a b", "c", "").is_err());
        assert!(replace_once("a b a", "a", "").is_err());
        assert_eq!(replace_once("a b", "a", "").expect("one"), " b");
    }
}
