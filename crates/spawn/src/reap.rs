//! Ending orphans: daemons that hold a lock by which nobody can find them.
//!
//! Asked for by name, so it ends what does not end when it is told to: `SIGTERM`, and `SIGKILL` at the deadline. An orphan
//! writes nothing in its directory, whatever ends it, so a kill costs what it had in flight and no file. Each signal is
//! under P9 (b): through a pidfd that was opened first, to a process proved after that, and proved again before the kill.

use std::io;
use std::time::Duration;

use aileron_discovery::process::{DaemonProcess, Loss, Refusal, Standing, prove_orphan};
use aileron_discovery::{Deadline, SECOND_LOOK, StateDir, Tool};

use crate::look;
use crate::sys::{ProcessHandle, Signal};

/// How long a daemon may take to say that it is an owner after all. One that is stuck says nothing.
const ITS_WORD: Duration = Duration::from_millis(500);

/// What became of one orphan.
#[derive(Debug)]
pub struct Reaped {
    /// Its pid.
    pub pid: u32,
    /// What was done, and what came of it.
    pub outcome: ReapOutcome,
}

/// What became of an orphan.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReapOutcome {
    /// It ended on `SIGTERM`.
    Ended,
    /// It was killed at the deadline.
    Killed,
    /// It had ended before anything was sent.
    WasGone,
    /// It was not proved to be an orphan when it came to it, so it was sent nothing, or nothing more.
    Spared(Refusal),
    /// The system did not let it be signalled.
    Failed(io::Error),
    /// It has been killed and is not gone yet: the kernel may have to finish something for it.
    StillThere,
}

impl ReapOutcome {
    /// Whether it is gone.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Ended | Self::Killed | Self::WasGone)
    }
}

/// Ends the orphans among `daemons`, all at once, and says what came of each. Owners, and what is in another namespace, are
/// not touched; nor are this process and its ancestors. They may take until `deadline` to end, and are killed then.
///
/// # Platform notes
///
/// Without pidfds nobody is signalled, and each is reported as failed.
pub fn reap(tool: &Tool, daemons: &[DaemonProcess], deadline: &Deadline) -> Vec<Reaped> {
    let orphans = daemons.iter().filter(|daemon| daemon.is_orphan());
    let told: Vec<_> = orphans.map(|orphan| (orphan, tell(tool, orphan))).collect();
    told.into_iter()
        .map(|(orphan, told)| {
            let outcome = told.map_or_else(|outcome| outcome, |handle| wait(tool, orphan, &handle, deadline));
            Reaped { pid: orphan.process.pid, outcome }
        })
        .collect()
}

/// Opens, proves, and sends `SIGTERM`.
fn tell(tool: &Tool, orphan: &DaemonProcess) -> Result<ProcessHandle, ReapOutcome> {
    let handle = match ProcessHandle::open(orphan.process.pid) {
        Ok(Some(handle)) => handle,
        Ok(None) => return Err(ReapOutcome::WasGone),
        Err(error) => return Err(ReapOutcome::Failed(error)),
    };
    let found = prove(tool, orphan)?;
    if is_owner_by_its_own_word(tool, &found) {
        return Err(ReapOutcome::Spared(Refusal::NotOrphan(orphan.process.pid)));
    }
    // What was only moved away may come back within the time that a daemon gives itself for it.
    if found.standing == Standing::Orphan(Loss::Moved) {
        // Asked whether it is an owner, it may have noticed by itself that it is none.
        if handle.wait(&Deadline::after(SECOND_LOOK)) {
            return Err(ReapOutcome::WasGone);
        }
        prove(tool, orphan).map_err(|outcome| match outcome {
            // One that is just leaving has let go of its lock, and is no orphan any more in the last moment of its life.
            ReapOutcome::Spared(_) if handle.wait(&Deadline::after(ITS_WORD)) => ReapOutcome::WasGone,
            outcome => outcome,
        })?;
    }
    handle.signal(Signal::Term).map_err(ReapOutcome::Failed)?;
    if found.paused {
        // A stopped process takes no signal but this one and `SIGKILL` (`signal(7)`); it is to have its chance.
        handle.signal(Signal::Continue).map_err(ReapOutcome::Failed)?;
    }
    Ok(handle)
}

/// Where a link remains the loss is told by the path that the process was given, and that may have led elsewhere when it
/// started, through a symlink that is a directory by now. A daemon that answers knows better: its handshake is fenced, so only
/// an owner gives one.
fn is_owner_by_its_own_word(tool: &Tool, found: &DaemonProcess) -> bool {
    let (Some(record), Some(directory)) = (&found.record, &found.now_in) else { return false };
    let Ok(state_dir) = StateDir::resolve(tool, Some(directory)) else { return false };
    matches!(look::prove(&state_dir, record, &Deadline::after(ITS_WORD)), Ok(Some(_)))
}

fn prove(tool: &Tool, orphan: &DaemonProcess) -> Result<DaemonProcess, ReapOutcome> {
    match prove_orphan(tool, orphan.process.pid) {
        Ok(found) if found.process == orphan.process => Ok(found),
        Ok(found) => Err(ReapOutcome::Spared(Refusal::Reused(found.process.pid))),
        Err(_) if !orphan.process.is_alive() => Err(ReapOutcome::WasGone),
        Err(refusal) => Err(ReapOutcome::Spared(refusal)),
    }
}

fn wait(tool: &Tool, orphan: &DaemonProcess, handle: &ProcessHandle, deadline: &Deadline) -> ReapOutcome {
    if handle.wait(deadline) {
        return ReapOutcome::Ended;
    }
    match prove(tool, orphan) {
        Ok(_) => {}
        Err(ReapOutcome::WasGone) => return ReapOutcome::Ended,
        Err(spared) => return spared,
    }
    if let Err(error) = handle.signal(Signal::Kill) {
        return ReapOutcome::Failed(error);
    }
    if handle.wait(&Deadline::after(crate::owner::AFTER_KILL)) {
        ReapOutcome::Killed
    } else {
        ReapOutcome::StillThere
    }
}
