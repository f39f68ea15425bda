//! The check of the checker: each of a list of deliberate defects must be found.
//!
//! The product has no switch for any of them. Its sources are copied to the target directory, the defects are written into
//! the copy, each behind a question for the name of the running program, and the copy is built once: `journal-no-fence` has
//! the one defect, `journal` has none. A defect whose place in the sources is not found, or found twice, fails the check, and
//! a test of this program says so before that.

mod defects;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::fleet::{self, Order};
use super::{Programs, fresh_seed, helper, pages};
use crate::args::ChaosArgs;
use crate::workspace::{Workspace, run_to_success};
use defects::{DEFECTS, Defect};

/// Builds the defective copy, and plays with each defect until it is found.
///
/// # Errors
/// When one is not found within the rounds that were asked for.
pub(super) fn run(workspace: &Workspace, args: &ChaosArgs) -> Result<()> {
    let chosen = chosen(&args.defect)?;
    let room = pages(workspace).join("defective");
    let built = build(workspace, &room)?;
    let seed = args.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}, at most {} rounds for each defect, in {} lanes", args.rounds(), args.lanes);
    let (mut missed, mut table) = (Vec::new(), Vec::new());
    for defect in chosen {
        let programs = Programs {
            aileron: named(&built.aileron, defect.name)?,
            journal: named(&built.journal, defect.name)?,
            helper: built.helper.clone(),
        };
        let found = find(workspace, args, seed, &programs, defect)?;
        if found.is_none() {
            missed.push(defect.name);
        }
        let line = found.map_or("not found | ".to_owned(), |Found { rounds, by }| format!("{rounds} | {by}"));
        table.push(format!("| `{}`: {} | {line} |", defect.name, defect.about));
    }
    println!("\n| defect | rounds | found by |\n|---|--:|---|\n{}", table.join("\n"));
    ensure!(missed.is_empty(), "chaos: not found: {}", missed.join(", "));
    Ok(())
}

/// A violation that a defect led to.
struct Found {
    /// How many were played until then.
    rounds: u32,
    /// The first line of it.
    by: String,
}

fn chosen(names: &[String]) -> Result<Vec<&'static Defect>> {
    let meant =
        |defect: &&Defect| names.is_empty() || names.iter().any(|name| defect.name.contains(name.as_str()));
    let chosen: Vec<&Defect> = DEFECTS.iter().filter(meant).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = DEFECTS.iter().map(|defect| defect.name).collect();
        bail!("no defect has that in its name; there are: {}", known.join(", "));
    }
    Ok(chosen)
}

/// Plays until a violation is seen. Nothing: in none of the rounds.
fn find(
    workspace: &Workspace,
    args: &ChaosArgs,
    seed: u64,
    programs: &Programs,
    defect: &Defect,
) -> Result<Option<Found>> {
    let pages = pages(workspace).join("defects").join(defect.name);
    let order = Order::of(args, seed, programs, &pages);
    let (begun, mut played, mut found) = (Instant::now(), 0, None);
    fleet::play(&order, |told| {
        played += 1;
        found = told.violations.first().map(|what| (told.round, what.clone()));
        found.is_none()
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let name = defect.name;
    let Some((round, what)) = found else {
        println!("{name:<22} NOT FOUND in {played} rounds, {seconds:.1} s: {}", defect.about);
        return Ok(None);
    };
    let by = what.lines().next().unwrap_or_default().to_owned();
    println!("{name:<22} found after {played:>3} rounds, {seconds:>5.1} s (round {round}): {by}");
    Ok(Some(Found { rounds: played, by }))
}

/// Copies the sources, writes every defect in, and builds.
fn build(workspace: &Workspace, room: &Path) -> Result<Programs> {
    let (sources, target) = (room.join("sources"), room.join("target"));
    if sources.exists() {
        fs::remove_dir_all(&sources).with_context(|| format!("cannot remove `{}`", sources.display()))?;
    }
    copy_tree(&workspace.root().join("crates"), &sources.join("crates"))?;
    copy(&workspace.root().join("Cargo.lock"), &sources.join("Cargo.lock"))?;
    let manifest = read(&workspace.root().join("Cargo.toml"))?;
    write(&sources.join("Cargo.toml"), &alone(&manifest).context("the workspace has no line of members")?)?;
    for defect in DEFECTS {
        defect.write_into(&sources)?;
    }
    for library in ["discovery", "server", "spawn"] {
        let path = sources.join("crates").join(library).join("src/lib.rs");
        write(&path, &format!("{}{}", read(&path)?, defects::ASK))?;
    }
    let mut command = workspace.cargo();
    command.current_dir(&sources).args(["build", "--package", "aileron-cli", "--bin", "aileron"]);
    command.args(["--example", "journal", "--target-dir"]).arg(&target);
    run_to_success(&mut command)?;
    let debug = target.join("debug");
    Ok(Programs {
        aileron: debug.join("aileron"),
        journal: debug.join("examples").join("journal"),
        helper: helper(workspace)?,
    })
}

/// The workspace's manifest with no members but the product's.
fn alone(manifest: &str) -> Option<String> {
    let members = manifest.lines().find(|line| line.starts_with("members = ["))?;
    replace_once(manifest, members, r#"members = ["crates/*"]"#)
}

/// The same program by the name that switches its defect on.
fn named(program: &Path, defect: &str) -> Result<PathBuf> {
    let name = program.file_name().context("a program has a name")?.to_string_lossy();
    let link = program.with_file_name(format!("{name}-{defect}"));
    copy(program, &link)?;
    Ok(link)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry.with_context(|| format!("cannot list `{}`", from.display()))?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy_tree(&path, &to)? } else { copy(&path, &to)? }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to);
    copied.map(drop).with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Nothing, unless it is there exactly once.
fn replace_once(text: &str, old: &str, new: &str) -> Option<String> {
    (text.matches(old).count() == 1).then(|| text.replacen(old, new, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_only_members_that_are_copied() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let alone = alone(&read(&root.join("Cargo.toml")).expect("a manifest")).expect("a line of members");
        let members: Vec<&str> = alone.lines().filter(|line| line.contains("members = ")).collect();
        assert_eq!(members, [r#"members = ["crates/*"]"#, r#"default-members = ["crates/*"]"#]);
    }
}
