//! The start gate: one client launches, the others wait.

use crate::lock::{AcquireError, Attempt, try_acquire};
use crate::ownership::{Ownership, Verdict};
use crate::sys::DirHandle;
use crate::{StateDir, StateDirError, StateFile, failpoint};

/// The held `start.lock`: the right to launch a daemon, to stop one, and to set or clear the hold.
///
/// Held from before a launch until the daemon is proved ready; never by a daemon.
#[derive(Debug)]
pub struct StartGate {
    ownership: Ownership,
    pub(crate) dir: DirHandle,
    state_dir: StateDir,
}

/// Why the gate could not be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The directory does not exist (any more): make it and begin again, if you may.
    #[error("the state directory went away")]
    Missing,
    /// It cannot be had here at all.
    #[error(transparent)]
    Refused(AcquireError),
}

impl StartGate {
    /// Tries once; `None` while another client has it.
    ///
    /// A waiter calls this again and again, and each call opens directory and file anew: a gate that was replaced while one
    /// waited would otherwise be waited for for ever. Nothing is left behind that could acquire it later.
    ///
    /// # Errors
    ///
    /// [`GateError::Missing`] when there is no directory; else why the gate cannot be used.
    pub fn try_acquire(state_dir: &StateDir) -> Result<Option<Self>, GateError> {
        let dir = match state_dir.open() {
            Ok(dir) => dir,
            Err(StateDirError::Missing { .. }) => return Err(GateError::Missing),
            Err(error) => return Err(GateError::Refused(error.into())),
        };
        match try_acquire(state_dir, StateFile::Gate, &dir).map_err(GateError::Refused)? {
            Attempt::Acquired(ownership) => Ok(Some(Self { ownership, dir, state_dir: state_dir.clone() })),
            Attempt::Busy => Ok(None),
            Attempt::Replaced => match state_dir.check() {
                Err(StateDirError::Missing { .. }) => Err(GateError::Missing),
                _ => Ok(None),
            },
        }
    }

    /// Whether the held gate still stands at its path: after a wait under it, before a launch.
    pub fn still_stands(&self) -> bool {
        matches!(self.ownership.verify(), Verdict::Owner)
    }

    /// The directory it is the gate of.
    pub fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }
}

impl Drop for StartGate {
    fn drop(&mut self) {
        failpoint!("before_gate_release");
        // As for the lock: freed before it is closed, so that a child being spawned elsewhere does not keep it.
        if self.ownership.held().release().is_err() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tool;

    fn state() -> (tempfile::TempDir, StateDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir =
            StateDir::resolve(&Tool::new("aileron", "0.0.0"), Some(&temp.path().join("state"))).unwrap();
        (temp, dir)
    }

    #[test]
    fn one_at_a_time_and_free_when_dropped() {
        let (_temp, dir) = state();
        assert!(matches!(StartGate::try_acquire(&dir), Err(GateError::Missing)));
        dir.create().unwrap();
        let first = StartGate::try_acquire(&dir).unwrap().unwrap();
        assert!(StartGate::try_acquire(&dir).unwrap().is_none());
        drop(first);
        assert!(StartGate::try_acquire(&dir).unwrap().is_some());
    }

    #[test]
    fn a_gate_whose_file_was_replaced_no_longer_stands() {
        let (_temp, dir) = state();
        dir.create().unwrap();
        let gate = StartGate::try_acquire(&dir).unwrap().unwrap();
        assert!(gate.still_stands());
        std::fs::remove_file(dir.path(StateFile::Gate)).unwrap();
        assert!(!gate.still_stands());
    }
}
