//! A daemon loses its lock's path: it goes by itself, leaves its files alone, says what became of its inode, and the
//! next client gets exactly one daemon.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

use super::super::outcome::FAULT_TO_GONE;
use super::super::stage::{Expected, Farewell, Stage};
use super::super::timeline::Deed;
use super::{loss_promise, verdict_promise};
use crate::world::daemon::{Daemon, expect_only};
use crate::world::fault::Fault;
use crate::world::home::Watch;
use crate::world::observe::{FileId, Handle, Snapshot};
use crate::world::process::wait_readable;

/// What may differ in the old daemon's directory: the lock by the fault itself, the log by its last words.
const MAY_DIFFER: [&str; 2] = ["daemon.lock", "daemon.log"];
/// How long a directory that is gone is watched for being made again.
const AFTERWARDS: Duration = Duration::from_millis(1500);

pub(super) fn play(stage: &mut Stage, fault: Fault, watch: Watch) -> Result<()> {
    let promise = loss_promise(fault, watch);
    let a = stage.start("A")?;
    let before = Snapshot::take(&stage.home.paths.state, &MAY_DIFFER)?;
    let handle = Handle::open(&stage.home.paths.state)?;
    fault.prepare(&stage.home.paths)?;
    let departure = a.departure(promise.patience());
    let paths = stage.home.paths.clone();
    let since = stage.strike(Deed::Fault, fault.about(), || fault.strike(&paths).map(drop))?;
    let at_path = FileId::at(&paths.lock)?;
    let expected = Expected { what: FAULT_TO_GONE, since, promise };
    let farewell = stage.expect_gone(&a, departure, &expected)?;
    expect_displaced(stage, &a, &farewell, &[at_path])?;
    stage.verdict(&farewell, since, verdict_promise(fault, watch))?;
    if fault.keeps_the_directory() {
        let after = Snapshot::take(&handle.path(), &MAY_DIFFER)?;
        before.expect_same(&after).context("the displaced daemon did not keep its hands off")?;
    }
    if fault.blocks_the_path() {
        expect_refusal(stage)?;
    }
    if let Some(text) = fault.remedy() {
        stage.strike(Deed::Repair, text, || fault.repair(&paths))?;
    }
    let b = stage.start("B")?;
    ensure!(b.instance != a.instance, "B has the instance of A");
    expect_only(&[&b])?;
    stage.expect_found(&b)?;
    stage.stop(&b)
}

/// It ended of itself and well, and its log says which inode became which: one of those that may have been there when
/// it looked.
pub(super) fn expect_displaced(
    stage: &mut Stage,
    daemon: &Daemon,
    farewell: &Farewell,
    at_path: &[Option<FileId>],
) -> Result<()> {
    let name = daemon.name;
    farewell.expect_exit_0().with_context(|| format!("{name} was displaced"))?;
    let line = farewell.line("displaced").with_context(|| format!("{name}'s log has no `displaced`"))?;
    let (held, found) = (line.field("held"), line.field("at_path").unwrap_or_default());
    ensure!(held == Some(daemon.held.to_string()), "{name} held {}, its log says {held:?}", daemon.held);
    let possible: Vec<String> =
        at_path.iter().map(|id| id.map_or_else(|| "nothing".to_owned(), |id| id.to_string())).collect();
    ensure!(possible.contains(&found), "at the path was {possible:?}, {name}'s log says {found:?}");
    let reason = farewell.line("ended").and_then(|line| line.field("reason"));
    ensure!(reason.as_deref() == Some("displaced"), "{name}'s log gives {reason:?} as its reason");
    stage.saw(format!("{name} said: {}", line.message));
    Ok(())
}

/// A lock that is no regular file is refused with its path, and nothing is started.
fn expect_refusal(stage: &mut Stage) -> Result<()> {
    let answer = stage.call(&["url"])?;
    answer.expect_status(1)?;
    let path = stage.home.paths.lock.display().to_string();
    ensure!(answer.stderr.contains(&path), "the error does not name `{path}`: {}", answer.stderr.trim());
    stage.saw(format!("client refused: {}", answer.stderr.lines().next().unwrap_or_default()));
    expect_only(&[])
}

/// The directory is deleted and no client comes: nobody may make it again, not even for a moment.
pub(super) fn not_remade(stage: &mut Stage, watch: Watch) -> Result<()> {
    let fault = Fault::RemoveTree;
    let promise = loss_promise(fault, watch);
    let a = stage.start("A")?;
    let departure = a.departure(promise.patience());
    let creations = Creations::watch(&stage.home.paths.home)?;
    let paths = stage.home.paths.clone();
    let since = stage.strike(Deed::Fault, fault.about(), || fault.strike(&paths).map(drop))?;
    let expected = Expected { what: FAULT_TO_GONE, since, promise };
    let farewell = stage.expect_gone(&a, departure, &expected)?;
    expect_displaced(stage, &a, &farewell, &[None])?;
    stage.verdict(&farewell, since, verdict_promise(fault, watch))?;
    creations.expect_none(AFTERWARDS)?;
    ensure!(!paths.state.exists(), "`{}` is there again", paths.state.display());
    stage.saw(format!("nothing was made in the home for {} ms", AFTERWARDS.as_millis()));
    expect_only(&[])
}

/// File events of a directory: what is made in it or moved into it, however shortly it stays.
pub(super) struct Creations {
    inotify: OwnedFd,
}

impl Creations {
    pub(super) fn watch(directory: &Path) -> Result<Self> {
        let step = || format!("cannot watch `{}`", directory.display());
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).with_context(step)?;
        add_watch(&inotify, directory, WatchFlags::CREATE | WatchFlags::MOVED_TO).with_context(step)?;
        Ok(Self { inotify })
    }

    pub(super) fn expect_none(&self, window: Duration) -> Result<()> {
        if !wait_readable(self.inotify.as_fd(), window).context("cannot wait for file events")? {
            return Ok(());
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let event = reader.next().context("cannot read a file event")?;
        let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        bail!("`{name}` was made in the home after the deletion")
    }
}
