//! The lock: whoever holds it, at this path, is the daemon.
//!
//! # What can go wrong, and why this is the answer
//!
//! *The file is replaced between `open` and `flock`.* Then the flock is granted on a file nobody else will ever open. So
//! after each acquire the held inode is compared with the one at the path, and a difference means: begin again, at opening
//! the *directory*, for the directory may be what was replaced.
//!
//! *Somebody looks.* A probe takes a shared flock for a microsecond, and a child between `fork` and `exec` holds a copy of
//! its parent's. A starter that tried once would call either "already running"; so it tries for [`PATIENCE`].
//!
//! *The file system lies.* Some grant every flock. A second open file description must be refused while the first holds
//! the lock; if it is not, there is no way to have one daemon here, and that is an error, not a silent second daemon.
//!
//! *The file is removed.* Never by us: the path is the only meeting point there is, and unlinking it on release is the race
//! that gives two processes a valid lock each. Nothing in this crate unlinks or renames it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::ownership::{Held, Look, Ownership};
use crate::sys::{self, DirHandle, How};
use crate::{Deadline, FileId, StateDir, StateDirError, StateFile};

/// How long a starter tries before it says that the lock is held.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often the path may turn out to have been replaced before a starter gives up: each is somebody's `rm -rf` within
/// microseconds of our `flock`.
const REPLACEMENTS: u32 = 50;

/// The held lock: the right to be the daemon, for as long as [`Ownership::verify`] agrees.
///
/// Not to be cloned; when it is dropped the lock is freed first and the descriptor closed after that.
#[derive(Debug)]
pub struct OwnerLock {
    ownership: Ownership,
    pub(crate) dir: DirHandle,
    pub(crate) state_dir: StateDir,
}

/// Why the lock was not acquired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Another process holds it: an expected outcome of a race.
    #[error("the lock `{path}` is held by another process")]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory went away, or its lock was replaced again and again, while it was being acquired.
    #[error("the lock `{path}` was removed or replaced while it was being acquired")]
    Lost {
        /// The lock file.
        path: PathBuf,
    },
    /// What stands at the path is no file, and nothing we ship removes it.
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
    /// The file system grants the same exclusive lock twice.
    #[error("the file system of `{path}` does not enforce locks; choose a state directory on a local one")]
    NotEnforced {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// Another system call failed.
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

impl AcquireError {
    /// Whether it says that the directory or the lock went away: the client then begins again.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::StateDir(StateDirError::Missing { .. }))
    }
}

impl OwnerLock {
    /// Acquires the lock of a directory that exists; creates the lock file, never the directory.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Held`] after 250 ms of trying; [`AcquireError::is_lost`] when the directory goes away; else why the
    /// lock cannot be had here.
    pub fn acquire(state_dir: &StateDir) -> Result<Self, AcquireError> {
        let deadline = Deadline::after(PATIENCE);
        let path = state_dir.path(StateFile::Lock);
        let mut replacements = 0;
        loop {
            let dir = state_dir.open()?;
            match try_acquire(state_dir, StateFile::Lock, &dir)? {
                Attempt::Acquired(ownership) => {
                    if second_open_is_refused(&dir, state_dir, &ownership)? {
                        return Ok(Self { ownership, dir, state_dir: state_dir.clone() });
                    }
                    return Err(AcquireError::NotEnforced { path });
                }
                Attempt::Busy if deadline.passed() => return Err(AcquireError::Held { path }),
                Attempt::Busy => deadline.pause(Duration::from_millis(5)),
                Attempt::Replaced if replacements == REPLACEMENTS => return Err(AcquireError::Lost { path }),
                Attempt::Replaced => replacements += 1,
            }
        }
    }

    /// The handle that asks whether this is still the daemon.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// The directory it was acquired in.
    pub fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    /// A duplicate of the held descriptor, for a watch on the very inode (`/proc/self/fd/N`). Never to be unlocked: the
    /// unlock of any duplicate frees the lock for all (`flock(2)`).
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub fn watchable(&self) -> io::Result<File> {
        self.ownership.held().file.try_clone()
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // A failure leaves the lock to the close of the descriptor, a moment later.
        if self.ownership.held().release().is_err() {}
    }
}

/// One try at a lock file.
pub(crate) enum Attempt {
    Acquired(Ownership),
    Busy,
    Replaced,
}

/// Opens, locks and compares once. Also the gate's way, which is held to the same rule.
pub(crate) fn try_acquire(
    state_dir: &StateDir,
    which: StateFile,
    dir: &DirHandle,
) -> Result<Attempt, AcquireError> {
    let path = state_dir.path(which);
    let Some(file) = open_to_lock(state_dir, which, dir)? else { return Ok(Attempt::Replaced) };
    match sys::try_lock_exclusive(&file) {
        Ok(true) => {}
        Ok(false) => return Ok(Attempt::Busy),
        Err(source) if sys::has_no_locks(&source) => return Err(AcquireError::NoLocks { path, source }),
        Err(source) => return Err(AcquireError::Io { step: "lock", path, source }),
    }
    let io = |source| AcquireError::Io { step: "look at", path: path.clone(), source };
    let facts = sys::held_facts(&file).map_err(io)?;
    let ownership = Ownership::new(Arc::new(Held::new(file, facts.id, path.clone()).map_err(io)?));
    match ownership.look() {
        Look::Same => Ok(Attempt::Acquired(ownership)),
        Look::Other(_) | Look::Nothing { .. } => Ok(Attempt::Replaced),
        Look::Unknown(source) => Err(io(source)),
    }
}

/// `None`: it went away, with its directory, between two steps.
fn open_to_lock(
    state_dir: &StateDir,
    which: StateFile,
    dir: &DirHandle,
) -> Result<Option<File>, AcquireError> {
    let name = state_dir.tool().file_name(which);
    let path = || state_dir.path(which);
    let file = match dir.open_file(&name, How::Lock) {
        Ok(file) => file,
        Err(source) => {
            return match dir.odd_kind(&name) {
                Some(kind) => Err(AcquireError::NotAFile { path: path(), kind }),
                // Creating in a directory that was removed under its handle is ENOENT (open(2)).
                None if sys::proves_absence(&source) => Ok(None),
                None => Err(AcquireError::Io { step: "open", path: path(), source }),
            };
        }
    };
    let facts = sys::held_facts(&file).map_err(|source| AcquireError::Io {
        step: "look at",
        path: path(),
        source,
    })?;
    if facts.regular {
        return Ok(Some(file));
    }
    Err(AcquireError::NotAFile { path: path(), kind: dir.odd_kind(&name).unwrap_or("no file") })
}

/// The self-test. A file that was replaced since proves nothing either way and is left to the watcher.
fn second_open_is_refused(
    dir: &DirHandle,
    state_dir: &StateDir,
    held: &Ownership,
) -> Result<bool, AcquireError> {
    let Some(second) = open_to_lock(state_dir, StateFile::Lock, dir)? else { return Ok(true) };
    let path = || state_dir.path(StateFile::Lock);
    let id = sys::held_facts(&second)
        .map_err(|source| AcquireError::Io { step: "look at", path: path(), source })?
        .id;
    if id != held.lock_id() {
        return Ok(true);
    }
    let granted = sys::try_lock_shared(&second).map_err(|source| AcquireError::Io {
        step: "test the lock",
        path: path(),
        source,
    })?;
    Ok(!granted)
}

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
                None => ProbeError::Io { step: "open", path: path(), source },
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
        Err(source) => Err(ProbeError::Io { step: "probe the lock", path: path(), source }),
    }
}
