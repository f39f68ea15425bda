//! A state directory with so much else in it that its removal takes a while, with the daemon alive and watching.
//!
//! `rm -rf` removes names in the directory's own order, so record, log and lock go at quite different times. A daemon that
//! mends what is missing in between makes `rm` fail at the last, because the directory is not empty.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
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

/// So many that a removal takes longer than a daemon waits before it mends one file.
const FILES: u32 = 20_000;
/// For `rm`, beyond what the daemon is given.
const REMOVAL: Duration = Duration::from_secs(30);

pub(super) fn play(stage: &mut Stage) -> Result<()> {
    let paths = stage.home.paths.clone();
    let step = || format!("cannot fill `{}`", paths.state.display());
    DirBuilder::new().mode(0o700).create(&paths.state).with_context(step)?;
    for number in 0..FILES {
        File::create_new(paths.state.join(format!("extra-{number:05}"))).with_context(step)?;
    }
    let a = stage.start("A")?;
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
