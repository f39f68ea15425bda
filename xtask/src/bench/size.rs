//! `bench size`: how large the product is, how much it executes to say little, and how both have come to be.

mod document;
mod page;
mod target;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::document::{BinaryRow, InstructionRow, ProcessRow};
use super::client::build::{self, Build, Programs};
use super::client::process;
use super::origin::Origin;
use super::{finish, instructions};
use crate::args::SizeArgs;
use crate::workspace::{Workspace, display, run_to_success};
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};
use crate::world::{machine, observe};

pub(super) use self::document::Document;
pub(super) use self::page::report;

/// What its kept runs are called.
pub(super) const NAME: &str = "size";

const PROCESSES: usize = 500;
const PROCESSES_QUICK: usize = 50;

/// Runs `bench size`.
///
/// # Errors
/// When something cannot be built or set up, or a part gives no figure.
pub(crate) fn run(workspace: &Workspace, args: &SizeArgs) -> Result<()> {
    let programs = build::programs(workspace)?;
    observe::become_subreaper()?;
    let begun = Instant::now();
    let best = programs.last().context("there is a build")?;
    let file_system = machine::file_system(&std::env::temp_dir())?;
    let mut document = Document {
        origin: Origin::of(args.command_line(), &best.aileron, vec![file_system], begun),
        binaries: programs.iter().map(binary).collect::<Result<_>>()?,
        crates: crates(workspace)?,
        clean_build_s: args.build_time.then(|| clean_build(workspace)).transpose()?,
        counted_by: instructions::COUNTED_BY.to_owned(),
        instructions: Vec::new(),
        processes: Vec::new(),
        unmeasured: Vec::new(),
    };
    let rounds = if args.run.quick { PROCESSES_QUICK } else { PROCESSES };
    match processes(&programs, rounds) {
        Ok(rows) => document.processes = rows,
        Err(error) => document.note("processes", &error),
    }
    match counted(&programs) {
        Ok(rows) => document.instructions = rows,
        Err(error) => document.note("instructions", &error),
    }
    document.origin.took_s = begun.elapsed().as_secs_f64().round();
    finish(&report(&document, &[]), &document, NAME, &args.run.output, workspace)
}

fn binary(program: &Programs) -> Result<BinaryRow> {
    let path = &program.aileron;
    let found = std::fs::metadata(path).with_context(|| format!("cannot look at `{}`", path.display()))?;
    let bytes = found.len();
    let check = (program.build == Build::Static).then(|| target::bytes(bytes));
    Ok(BinaryRow { build: program.build.name().to_owned(), bytes, check })
}

/// How many packages are in the binary, ours among them: what cargo says it is made of on this system.
fn crates(workspace: &Workspace) -> Result<usize> {
    let mut command = workspace.cargo();
    command.args(["tree", "--package", "aileron-cli", "--edges", "normal", "--prefix", "none"]);
    let output = command.output().with_context(|| format!("cannot run `{}`", display(&command)))?;
    ensure!(output.status.success(), "`{}` failed", display(&command));
    let text = String::from_utf8_lossy(&output.stdout);
    // "name vX.Y.Z (where it is) (*)": one that comes again has a star.
    let names: BTreeSet<&str> = text.lines().map(|line| line.split(" (").next().unwrap_or(line)).collect();
    Ok(names.into_iter().filter(|name| !name.is_empty()).count())
}

/// Seconds from an empty target directory to the dynamic binary; what is downloaded is there already.
fn clean_build(workspace: &Workspace) -> Result<f64> {
    let directory = tempfile::Builder::new().prefix("aileron-xtask-").tempdir();
    let directory = directory.context("cannot make a temporary directory")?;
    let mut command = workspace.cargo();
    command.args(["build", "--release", "--offline", "--package", "aileron-cli", "--bin", "aileron"]);
    command.arg("--target-dir").arg(directory.path());
    let begun = Instant::now();
    run_to_success(&mut command)?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Timed as by `bench client`: in turns, each round beginning with another.
fn processes(programs: &[Programs], rounds: usize) -> Result<Vec<ProcessRow>> {
    let timed = process::measure(programs, rounds)?;
    let of = |build: &str, program: &str| {
        timed.iter().find(|row| row.build == build && row.program == program).map(|row| row.time)
    };
    let mut rows = Vec::new();
    for build in programs.iter().map(|program| program.build) {
        let bare = of(build.name(), process::BARE).context("the bare client was timed")?;
        let url = of(build.name(), process::URL).context("`url` was timed")?;
        let ratio = url.median / bare.median;
        let check = (build == Build::Static).then(|| target::url(ratio));
        rows.push(ProcessRow { build: build.name().to_owned(), url, bare, ratio, check });
    }
    Ok(rows)
}

/// Three small commands beside a program that does nothing, a daemon running.
fn counted(programs: &[Programs]) -> Result<Vec<InstructionRow>> {
    instructions::can_be_counted()?;
    let first = programs.first().context("there is a build")?;
    let home = Home::make(&std::env::temp_dir(), &first.aileron, Watch::Events)?;
    home.setting.client(&["url"])?.finish()?.expect_status(0)?;
    let daemon = Daemon::at_path("the daemon", &home.paths, &first.aileron)?;
    let record = home.paths.state.join("daemon.json").to_string_lossy().into_owned();
    let mut rows: Vec<InstructionRow> = Vec::new();
    for program in programs {
        let bare: [(&str, &[&str]); 2] =
            [("an empty Rust program", &[]), ("bare, reads and connects", &[&record])];
        let ours: [(&str, &[&str]); 3] = [
            ("aileron --version", &["--version"]),
            ("aileron url", &["url"]),
            ("aileron daemon status", &["daemon", "status"]),
        ];
        let of_bare = bare.map(|(name, words)| (&program.bare, name, words));
        let all = of_bare.into_iter().chain(ours.map(|(name, words)| (&program.aileron, name, words)));
        let begin = rows.len();
        for (path, name, words) in all {
            let count = count(path, &home, words).with_context(|| name)?;
            let empty = rows.get(begin).map_or(count, |row| row.instructions);
            rows.push(InstructionRow {
                program: name.to_owned(),
                build: program.build.name().to_owned(),
                instructions: count,
                ratio: count / empty,
            });
        }
    }
    daemon.expect_owner(&home.paths)?;
    Ok(rows)
}

fn count(program: &Path, home: &Home, words: &[&str]) -> Result<f64> {
    let mut command = Command::new(program);
    command.args(words).env("HOME", &home.paths.home).env("TMPDIR", &home.paths.tmp);
    instructions::of(&command)
}
