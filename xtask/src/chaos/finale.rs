//! A loss that no client is there to see: whatever is at the path afterwards, only the daemon that lost it could have touched.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use super::scene::{Lost, Scene, holders_of};
use crate::e2e::timeline::Deed as Colour;
use crate::world::fault::Fault;
use crate::world::observe::Snapshot;
use crate::world::process::Process;

/// The displaced drain and the second after it, times ten: no test asserts speed.
const GONE: Duration = Duration::from_secs(30);

/// To its log a displaced daemon may append.
const LOGS: [&str; 2] = ["daemon.log", "daemon.log.1"];

/// Takes the path from the owner, if there is one, and looks whether it leaves everything as it is (P4).
pub(super) fn play(scene: &Scene, fault: Fault) -> Result<()> {
    let paths = &scene.home.paths;
    let Some(owner) = scene.owner() else { return Ok(()) };
    let Ok(process) = Process::open(owner.pid) else { return Ok(()) };
    if !holders_of(owner.held).contains(&owner.pid) {
        return Ok(());
    }
    scene.notes().displacing = true;
    fault.prepare(paths)?;
    scene.mark(Colour::Fault, format!("{fault:?}, and nobody is there to see"));
    // A directory on which something was mounted has its own answer to that.
    if fault.strike(paths).is_ok() {
        scene.notes().lost.push(Lost { pid: owner.pid, since: SystemTime::now(), until: None });
        *scene.notes().deeds_done.entry("a loss that no client sees".to_owned()).or_default() += 1;
        let (here, aside) = (left_at(&paths.state)?, left_at(&paths.aside())?);
        ensure!(
            process.wait_gone(GONE)?,
            "P2: process {} has lost its path and is there after {GONE:?}",
            owner.pid
        );
        for (path, before) in [(&paths.state, here), (&paths.aside(), aside)] {
            let step = || {
                format!("P4: process {} lost its path by {fault:?}; then in `{}`", owner.pid, path.display())
            };
            match (before, left_at(path)?) {
                (Some(before), Some(after)) => before.expect_same(&after).with_context(step)?,
                (None, Some(_)) => anyhow::bail!("{}: it was made", step()),
                (Some(_), None) => anyhow::bail!("{}: it was removed", step()),
                (None, None) => {}
            }
        }
    }
    if fs::symlink_metadata(paths.aside()).is_ok() {
        fs::rename(paths.aside(), paths.root.join("kept-last")).context("cannot clear the way")?;
    }
    Ok(())
}

/// Nothing where there is no directory.
fn left_at(path: &Path) -> Result<Option<Snapshot>> {
    path.is_dir().then(|| Snapshot::take(path, &LOGS)).transpose()
}
