//! Pids that come round: a daemon is killed, and what has its number next is nobody's business.

use std::fs::{self, File};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use super::super::decoy::Decoy;
use super::super::plan::Grip;
use super::super::scene::Scene;
use super::hands::start_time;
use super::holder;
use crate::world::process::Process;

/// A killed process is gone when the kernel gets to it, and its number is free when somebody has taken its status.
const FREE: Duration = Duration::from_secs(10);

/// The daemon's record is as it left it, but the process of that pid is a stranger.
pub(super) fn recycle(scene: &Scene, grip: Grip, long: Duration) -> Result<bool> {
    let Some(process) = holder(scene) else { return Ok(false) };
    let record = fs::read(scene.record());
    let Ok(started) = start_time(process.pid()) else { return Ok(false) };
    if process.signal(Signal::KILL).is_err() || !free(&process)? {
        return Ok(false);
    }
    let lock = match grip {
        Grip::Pid => None,
        // The next client may have been quicker, and then has launched the next daemon.
        Grip::PidAndLock => match take_lock(scene) {
            Some(lock) => Some(lock),
            None => return Ok(false),
        },
    };
    let Some(mut decoy) = Decoy::start_as(process.pid(), lock.as_ref())? else { return Ok(false) };
    drop(lock);
    // Ticks of the clock are 10 ms: a daemon that lived for less could not be told from it by anybody.
    let told_apart = start_time(decoy.pid())? != started;
    // Whoever came meanwhile wrote its own record; where nobody could, it is the dead daemon's that is read.
    if grip == Grip::PidAndLock
        && told_apart
        && let Ok(bytes) = record
    {
        fs::write(scene.record(), bytes).context("cannot write the dead daemon's record")?;
    }
    if told_apart {
        sleep(long);
    }
    if let Err(harmed) = decoy.expect_unharmed() {
        scene.violation(format!("{harmed:#}"));
    }
    match grip {
        // It is there until the end of the round.
        Grip::Pid => scene.decoys().push(decoy),
        Grip::PidAndLock => decoy.end()?,
    }
    Ok(told_apart)
}

/// Waits until the pid is nobody's.
fn free(process: &Process) -> Result<bool> {
    if !process.wait_gone(FREE)? {
        return Ok(false);
    }
    // Its parent may be the client that launched it, which then takes the status itself.
    if process.reap().is_err() {
        let deadline = crate::world::clock::Deadline::after(FREE);
        while fs::exists(format!("/proc/{}", process.pid())).context("cannot look into `/proc`")? {
            if deadline.left().is_zero() {
                return Ok(false);
            }
            sleep(Duration::from_millis(1));
            if process.reap().is_ok() {
                break;
            }
        }
    }
    Ok(true)
}

/// The lock at the path, if nobody has it.
fn take_lock(scene: &Scene) -> Option<File> {
    let file = File::options().read(true).write(true).open(&scene.home.paths.lock).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}
