//! Could a daemon be had here? What a start needs of its directory, asked without being one: nothing is created, the lock is
//! not taken, and a daemon that runs notices nothing.

use std::path::Path;

use crate::{AcquireError, ProbeError, StateDir, StateDirError, StateFile, probe_lock, sys};

/// Checks the directory and its file system for a start.
///
/// A directory that exists has to be usable, writable, without anything odd in the lock's place, and on a file system that
/// grants a lock once. One that does not exist has to be possible to make.
///
/// The lock itself is not tried, for a momentary holder could cost somebody a start; the directory's own `flock` is, for some
/// microseconds, which is held for no longer by anybody else. Where directories cannot be locked (network file systems,
/// Windows) that file systems grant a lock once is left to the start, which tests it on the lock.
///
/// # Errors
///
/// What a start would fail with.
pub fn preflight(state_dir: &StateDir) -> Result<(), AcquireError> {
    let io =
        |path: &Path, source| AcquireError::Io { step: "create files in", path: path.to_owned(), source };
    match state_dir.check() {
        Ok(()) => {}
        Err(StateDirError::Missing { .. }) => {
            let above = state_dir.root().ancestors().skip(1).find(|above| above.exists());
            return above.map_or(Ok(()), |above| {
                sys::may_create_in(above).map_err(|source| {
                    let path = state_dir.root().to_owned();
                    StateDirError::Io { step: "create the state directory", path, source }.into()
                })
            });
        }
        Err(error) => return Err(error.into()),
    }
    sys::may_create_in(state_dir.root()).map_err(|source| io(state_dir.root(), source))?;
    probe_lock(state_dir).map_err(as_acquired)?;
    grants_a_lock_once(state_dir)
}

/// As the lock's own self-test, on the directory. Whoever else has it locked at this moment proves the same.
fn grants_a_lock_once(state_dir: &StateDir) -> Result<(), AcquireError> {
    let path = || state_dir.path(StateFile::Lock);
    let io = |source| AcquireError::Io { step: "test locks beside", path: path(), source };
    let (first, second) = (state_dir.open()?, state_dir.open()?);
    if first.try_lock().map_err(io)? != Some(true) {
        return Ok(());
    }
    let again = second.try_lock();
    first.unlock().map_err(io)?;
    match again.map_err(io)? {
        Some(true) => Err(AcquireError::NotEnforced { path: path() }),
        Some(false) | None => Ok(()),
    }
}

fn as_acquired(error: ProbeError) -> AcquireError {
    match error {
        ProbeError::StateDir(error) => error.into(),
        ProbeError::NotAFile { path, kind } => AcquireError::NotAFile { path, kind },
        ProbeError::NoLocks { path, source } => AcquireError::NoLocks { path, source },
        ProbeError::Io { step, path, source } => AcquireError::Io { step, path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OwnerLock, Tool};

    fn state() -> (tempfile::TempDir, StateDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir =
            StateDir::resolve(&Tool::new("aileron", "0.0.0"), Some(&temp.path().join("a/state"))).unwrap();
        (temp, dir)
    }

    #[test]
    fn a_good_place_is_good_with_a_daemon_and_without_and_stays_as_it_is() {
        let (temp, dir) = state();
        preflight(&dir).unwrap();
        assert!(std::fs::read_dir(temp.path()).unwrap().next().is_none(), "nothing was made");
        dir.create().unwrap();
        preflight(&dir).unwrap();
        assert!(std::fs::read_dir(dir.root()).unwrap().next().is_none(), "nothing was made");
        let _owner = OwnerLock::acquire(&dir).unwrap();
        preflight(&dir).unwrap();
        preflight(&dir).unwrap();
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let (_temp, dir) = state();
        dir.create().unwrap();
        std::fs::create_dir(dir.path(StateFile::Lock)).unwrap();
        assert!(matches!(preflight(&dir), Err(AcquireError::NotAFile { kind: "a directory", .. })));
        let (temp, dir) = state();
        std::fs::write(temp.path().join("a"), "").unwrap();
        assert!(preflight(&dir).is_err(), "a file where an ancestor should be");
    }
}
