//! Three generations: the failure as it was met in the field, where each `rm -rf` left one more daemon alive.
//!
//! The client comes at once after each deletion, while the old daemon is still finding out.

use anyhow::{Context, Result, ensure};

use super::super::outcome::FAULT_TO_GONE;
use super::super::stage::{Expected, Stage};
use super::super::timeline::Deed;
use super::loss::expect_displaced;
use super::{loss_promise, verdict_promise};
use crate::world::daemon::{Daemon, expect_only};
use crate::world::fault::Fault;
use crate::world::home::Watch;
use crate::world::observe::Snapshot;

/// The log grows; everything else stays as it was written.
const GROWS: [&str; 1] = ["daemon.log"];

pub(super) fn play(stage: &mut Stage, fault: Fault) -> Result<()> {
    let a = stage.start("A")?;
    let b = succeed(stage, fault, &a, "B")?;
    let c = succeed(stage, fault, &b, "C")?;
    let written = Snapshot::take(&stage.home.paths.state, &GROWS)?;
    expect_only(&[&c])?;
    stage.expect_found(&c)?;
    let now = Snapshot::take(&stage.home.paths.state, &GROWS)?;
    written.expect_same(&now).context("the files of C")?;
    stage.saw("only C lives, and its files have the inode and the bytes it wrote");
    stage.stop(&c)
}

/// Deletes the directory under `old`, has a client start the next one at once, and sees `old` off.
fn succeed(stage: &mut Stage, fault: Fault, old: &Daemon, name: &'static str) -> Result<Daemon> {
    let promise = loss_promise(fault, Watch::Events);
    let departure = old.departure(promise.patience());
    let paths = stage.home.paths.clone();
    let since = stage.strike(Deed::Fault, fault.about(), || fault.strike(&paths).map(drop))?;
    let new = stage.start(name)?;
    let written = Snapshot::take(&paths.state, &GROWS)?;
    let expected = Expected { what: FAULT_TO_GONE, since, promise };
    let farewell = stage.expect_gone(old, departure, &expected)?;
    expect_displaced(stage, old, &farewell, &[None, Some(new.held)])?;
    stage.verdict(&farewell, since, verdict_promise(fault, Watch::Events))?;
    let now = Snapshot::take(&paths.state, &GROWS)?;
    written.expect_same(&now).with_context(|| format!("the files of {name} at the end of {}", old.name))?;
    // Not the inodes: once the old daemon's descriptor is closed, a file system gives its number to the next file.
    ensure!(new.instance != old.instance, "{name} has the instance of {}", old.name);
    Ok(new)
}
