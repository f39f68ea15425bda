//! The lock, looked at from outside: is there a daemon?
//!
//! With read access only, and without creating anything: it must work in a sandbox, and for a client that finds nothing.

use std::io;
use std::path::PathBuf;

use crate::sys::{self, Denial, How};
use crate::{FileId, StateDir, StateDirError, StateFile};

/// What a look at the lock from outside found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockProbe {
    /// There is no directory, or no lock file in it: nobody is the daemon.
    Absent,
    /// The file is there and nobody holds it.
    Free(FileId),
    /// Somebody holds it.
    Held(FileId),
}

impl LockProbe {
    /// Whether somebody holds the lock at the path.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// The identity of the file at the path.
    pub fn file(&self) -> Option<FileId> {
        match *self {
            Self::Absent => None,
            Self::Free(id) | Self::Held(id) => Some(id),
        }
    }
}

/// Why the lock could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// What stands at the path is no file.
    #[error("the lock `{path}` is {kind}, not a regular file; move it away and try again")]
    NotAFile {
        /// The lock file.
        path: PathBuf,
        /// What it is instead.
        kind: &'static str,
    },
    /// The file system refuses `flock(2)` (`ENOLCK`, `EOPNOTSUPP`, …).
    #[error("the file system of `{path}` has no locks; choose a state directory on a local one")]
    NoLocks {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {step} `{path}`")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ProbeError {
    /// Whether it says that the lock's owner or mode keep this user from it: it may be held, and nobody can tell from here.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { step: OPEN, source, .. } if sys::denial(source) == Some(Denial::Access))
    }
}

const OPEN: &str = "open";

/// Looks whether somebody holds the lock, with read access and without creating anything.
///
/// It takes a shared lock that is closed and never unlocked; a starter is patient enough not to mistake it for a daemon.
///
/// # Errors
///
/// When the directory is refused, the lock is no regular file, or it cannot be opened.
pub fn probe_lock(state_dir: &StateDir) -> Result<LockProbe, ProbeError> {
    let dir = match state_dir.open() {
        Ok(dir) => dir,
        Err(StateDirError::Missing { .. }) => return Ok(LockProbe::Absent),
        Err(error) => return Err(error.into()),
    };
    let name = state_dir.tool().file_name(StateFile::Lock);
    let path = || state_dir.path(StateFile::Lock);
    let file = match dir.open_file(&name, How::Read) {
        Ok(file) => file,
        Err(source) if sys::proves_absence(&source) => return Ok(LockProbe::Absent),
        Err(source) => {
            return Err(match dir.odd_kind(&name) {
                Some(kind) => ProbeError::NotAFile { path: path(), kind },
                None => ProbeError::Io { step: OPEN, path: path(), source },
            });
        }
    };
    let facts =
        sys::held_facts(&file).map_err(|source| ProbeError::Io { step: "look at", path: path(), source })?;
    if !facts.regular {
        return Err(ProbeError::NotAFile { path: path(), kind: dir.odd_kind(&name).unwrap_or("no file") });
    }
    match sys::try_lock_shared(&file) {
        Ok(true) => Ok(LockProbe::Free(facts.id)),
        Ok(false) => Ok(LockProbe::Held(facts.id)),
        Err(source) if sys::has_no_locks(&source) => Err(ProbeError::NoLocks { path: path(), source }),
        Err(source) => Err(ProbeError::Io { step: "probe the lock", path: path(), source }),
    }
}
