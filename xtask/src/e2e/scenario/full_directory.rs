//! A state directory with so much else in it that its removal takes a while, with the daemon alive and watching.
//!
//! Record, log and lock go at quite different times then. A daemon that mends what is missing in between makes `rm` fail at
//! the last, because the directory is not empty.
//!
//! `rm` of more than 10,000 names on a disk goes by inode numbers (gnulib's `fts.c`), and a new file takes the lowest free
//! one. So which files go first can be arranged: in each round so many of the log, the record and the pid file go before
//! the others, and the lock last; in every fifth the lock goes first.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, DirEntryExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::super::outcome::Promise;
use super::super::stage::{Expected, Stage};
use super::super::timeline::Deed;
use super::loss::{Creations, expect_displaced};
use super::{END_MS, VERDICT_MS};
use crate::world::clock::millis;
use crate::world::daemon::expect_only;
use crate::world::fault::Fault;
use crate::world::paths::Paths;

/// What a daemon makes, in that order.
const EARLY: [&str; 3] = ["daemon.log", "daemon.json", "daemon.pid"];
/// So many that a removal takes longer than a daemon waits before it mends one file.
const FILES: u32 = 20_000;
/// For `rm`, beyond what the daemon is given.
const REMOVAL: Duration = Duration::from_secs(30);

pub(super) fn play(stage: &mut Stage, number: u32) -> Result<()> {
    let paths = stage.home.paths.clone();
    // 3, 2, 1, 0, and then the lock.
    let early = usize::try_from((number - 1) % 5).ok().and_then(|turn| EARLY.len().checked_sub(turn));
    fill(&paths, early)?;
    let a = stage.start("A")?;
    stage.saw(format!("by inode numbers: {}", order(&paths)?));
    let watching = a.log.first("watching")?.and_then(|line| line.field("mode"));
    ensure!(watching.as_deref() == Some("events"), "A watches by {watching:?}: this shows nothing");

    let promise = Promise(VERDICT_MS + END_MS);
    let departure = a.departure(promise.patience() + REMOVAL);
    let creations = Creations::watch(&paths.home)?;
    let fault = Fault::RemoveTreeByRm;
    let begun = stage.strike(Deed::Fault, fault.about(), || fault.strike(&paths).map(drop))?;
    let since = Instant::now();
    stage.saw(format!("rm -rf of {FILES} files more returned 0 after {:.0} ms", millis(since - begun)));
    let expected = Expected { what: "rm's return to process gone", since, promise };
    let farewell = stage.expect_gone(&a, departure, &expected)?;
    expect_displaced(stage, &a, &farewell, &[None])?;
    let mended =
        farewell.lines.iter().find(|line| matches!(line.event.as_str(), "restored" | "record_fault"));
    ensure!(mended.is_none(), "A mended while it was being removed: {mended:?}");
    // Nobody is left who could make anything.
    expect_only(&[])?;
    creations.expect_none(Duration::ZERO)?;
    ensure!(fs::symlink_metadata(&paths.state).is_err(), "`{}` is there again", paths.state.display());
    Ok(())
}

/// Fills the state directory so that as many of [`EARLY`] will have lower inode numbers than all else, and the lock the
/// highest; `None`: the lock the lowest. Both locks may be there before any daemon.
fn fill(paths: &Paths, early: Option<usize>) -> Result<()> {
    let step = || format!("cannot fill `{}`", paths.state.display());
    let create = |name: &str| {
        let mut private = File::options();
        private.write(true).create_new(true).mode(0o600).open(paths.state.join(name)).map(drop)
    };
    DirBuilder::new().mode(0o700).create(&paths.state).with_context(step)?;
    create("start.lock").with_context(step)?;
    if early.is_none() {
        create("daemon.lock").with_context(step)?;
    }
    let places = &EARLY[..early.unwrap_or_default()];
    let place = |name: &&str| format!("place-of-{name}");
    places.iter().try_for_each(|name| create(&place(name))).with_context(step)?;
    (0..FILES).try_for_each(|number| create(&format!("extra-{number:05}"))).with_context(step)?;
    if early.is_some() {
        create("daemon.lock").with_context(step)?;
    }
    places.iter().try_for_each(|name| fs::remove_file(paths.state.join(place(name)))).with_context(step)
}

/// The daemon's files and their ranks among all.
fn order(paths: &Paths) -> Result<String> {
    let step = || format!("cannot list `{}`", paths.state.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&paths.state).with_context(step)? {
        let entry = entry.with_context(step)?;
        files.push((entry.ino(), entry.file_name().to_string_lossy().into_owned()));
    }
    files.sort_unstable();
    let ranks = files.iter().enumerate().filter(|(_, (_, name))| name.starts_with("daemon."));
    Ok(ranks.map(|(rank, (_, name))| format!("{name} {rank}")).collect::<Vec<_>>().join(", "))
}
