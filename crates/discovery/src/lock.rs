//! The lock: whoever holds it, at this path, is the daemon.
//!
//! # What can go wrong, and why this is the answer
//!
//! *The file is replaced between `open` and `flock`.* Then the flock is granted on a file nobody else will ever open. So
//! after each acquire the held inode is compared with the one at the path, and a difference means: begin again, at opening
//! the *directory*, for the directory may be what was replaced.
//!
//! *Somebody looks.* A probe takes a shared flock for a microsecond, and a child between `fork` and `exec` holds a copy of
//! its parent's. A starter that tried once would call either "already running"; so it tries for [`PATIENCE`], or until the
//! holder is proved to be a daemon that has just come up.
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
use crate::process::prove_recorded;
use crate::sys::{self, Denial, DirHandle, How};
use crate::{
    Advertisement, Barrier, Deadline, Epoch, ExitRecord, NotOwner, Reading, StateDir, StateDirError,
    StateFile, failpoint, record,
};

/// How long somebody's look takes at the most, nearly always: who holds the lock for longer is worth a look himself.
const MOMENT: Duration = Duration::from_millis(20);

/// Who has been there for less than this has come up beside this starter, and is not about to leave. An age is known to a
/// second, rounded up.
const JUST: Duration = Duration::from_secs(2);

/// How long a starter tries before it says that the lock is held.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often the path may turn out to have been replaced before a starter gives up: each is somebody's `rm -rf` within
/// microseconds of our `flock`.
const REPLACEMENTS: u32 = 50;

const OPEN: &str = "open";

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
    /// What keeps this user from the file, where that is the matter and can be told.
    pub fn barrier(&self) -> Option<Barrier> {
        match self {
            Self::Io { path, source, .. } => Barrier::of(path, source),
            _ => None,
        }
    }

    /// What to do, where that does not depend on who asks.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NoLocks { .. } | Self::NotEnforced { .. } => {
                Some("name a state directory on a local file system with --state-dir")
            }
            Self::Lost { .. } => Some("something keeps removing it: try again"),
            _ => None,
        }
    }

    /// Whether it says that the file's owner or mode keep this user from it, and so every other client of this user as well.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { step: OPEN, source, .. } if sys::denial(source) == Some(Denial::Access))
    }

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
        Self::acquire_unless(|_| false, state_dir)
    }

    /// The same for a daemon that a client has launched, which looks again when it hears that the lock is held: not waited for
    /// is a daemon that has itself just come up.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Self::acquire).
    pub fn acquire_launched(state_dir: &StateDir) -> Result<Self, AcquireError> {
        Self::acquire_unless(has_just_come_up, state_dir)
    }

    fn acquire_unless(
        is_in_vain: impl Fn(&StateDir) -> bool,
        state_dir: &StateDir,
    ) -> Result<Self, AcquireError> {
        let deadline = Deadline::after(PATIENCE);
        let path = state_dir.path(StateFile::Lock);
        let mut replacements = 0;
        loop {
            let dir = state_dir.open()?;
            match try_acquire(state_dir, StateFile::Lock, &dir)? {
                Attempt::Acquired(ownership) => {
                    if !second_open_is_refused(&dir, state_dir, &ownership)? {
                        return Err(AcquireError::NotEnforced { path });
                    }
                    let drawn = Epoch::draw(last_epoch(&dir, state_dir));
                    // Drawn first, asked after: see `epoch`. Lost meanwhile is lost, and the next owner draws its own.
                    if ownership.prove().is_ok() {
                        ownership.advance_epoch(drawn);
                        failpoint!("lock_acquired");
                        return Ok(Self { ownership, dir, state_dir: state_dir.clone() });
                    }
                    replacements += 1;
                }
                Attempt::Busy if deadline.passed() => return Err(AcquireError::Held { path }),
                Attempt::Busy if deadline.elapsed() >= MOMENT && is_in_vain(state_dir) => {
                    return Err(AcquireError::Held { path });
                }
                Attempt::Busy => deadline.pause(Duration::from_millis(5)),
                Attempt::Replaced => replacements += 1,
            }
            if replacements > REPLACEMENTS {
                return Err(AcquireError::Lost { path });
            }
        }
    }

    /// The handle that asks whether this is still the daemon.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Takes the directory that stands at the path now for the one to write in, if the held lock is in it too: somebody put
    /// a copy of the directory in its place whose lock is a hard link of ours (`cp -al`). This is still the owner, and what
    /// it writes has to be where clients look. Returns whether the directory was another one.
    ///
    /// # Errors
    ///
    /// When the directory cannot be looked at or is refused; the present one is kept then.
    pub fn follow_directory(&mut self) -> Result<bool, StateDirError> {
        let io =
            |source| StateDirError::Io { step: "look at", path: self.state_dir.root().to_owned(), source };
        if self.dir.stands_at(self.state_dir.root()).map_err(io)? {
            return Ok(false);
        }
        let there = self.state_dir.open()?;
        let name = self.state_dir.tool().file_name(StateFile::Lock);
        let is_ours = there.identity(&name).map_err(io)? == self.ownership.lock_id();
        if is_ours {
            self.dir = there;
        }
        Ok(is_ours)
    }

    /// The directory it was acquired in.
    pub fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    /// Takes a new epoch, larger than the present one and than `above`: for an owner that was away from its path for a
    /// moment, or whose receiver has seen a larger one. Drawn first, asked after: see [`Epoch`].
    ///
    /// # Errors
    ///
    /// [`NotOwner`], also where it could not be told: the present epoch stays.
    pub fn renew_epoch(&self, above: Option<Epoch>) -> Result<Epoch, NotOwner> {
        let drawn = Epoch::draw(above.max(Some(self.ownership.epoch())));
        self.ownership.prove()?;
        self.ownership.advance_epoch(drawn);
        // Another thread may have come to a larger one meanwhile.
        Ok(self.ownership.epoch())
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
        failpoint!("before_unlock");
        if self.ownership.held().release().is_err() { /* the close of the descriptor does it, a moment later */
        }
        failpoint!("unlocked");
    }
}

/// Whether the lock is held by a daemon that has just advertised itself, so that there is nothing to be patient for: two were
/// launched, the first of them by a client that was killed over it. One that is older may be leaving.
fn has_just_come_up(state_dir: &StateDir) -> bool {
    let Ok(Reading::Present(record)) = Advertisement::read(state_dir) else { return false };
    let Ok(lock) = sys::path_identity(&state_dir.path(StateFile::Lock)) else { return false };
    prove_recorded(&record, lock).is_ok_and(|owner| owner.age().is_some_and(|age| age < JUST))
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
    failpoint!(if which == StateFile::Gate { "gate_opened" } else { "lock_opened" });
    match sys::try_lock_exclusive(&file) {
        Ok(true) => {}
        Ok(false) => return Ok(Attempt::Busy),
        Err(source) if sys::has_no_locks(&source) => return Err(AcquireError::NoLocks { path, source }),
        Err(source) => return Err(AcquireError::Io { step: "lock", path, source }),
    }
    failpoint!(if which == StateFile::Gate { "gate_locked" } else { "lock_locked" });
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
    // Once more where the directory still stands: something may have taken the file away at the very moment.
    let opened = dir.open_file(&name, How::Lock).or_else(|error| {
        if takes_no_file(state_dir, dir, &error) { dir.open_file(&name, How::Lock) } else { Err(error) }
    });
    let file = match opened {
        Ok(file) => file,
        Err(source) => {
            return match dir.odd_kind(&name) {
                Some(kind) => Err(AcquireError::NotAFile { path: path(), kind }),
                None if takes_no_file(state_dir, dir, &source) => {
                    let path = state_dir.root().to_owned();
                    Err(StateDirError::Io { step: "make a file in the state directory", path, source }.into())
                }
                // Creating in a directory that was removed under its handle is ENOENT (open(2)).
                None if sys::proves_absence(&source) => Ok(None),
                None => Err(AcquireError::Io { step: OPEN, path: path(), source }),
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

/// Whether nothing can be made in the directory though it is the one at the path: `/proc/self/fd`, for one.
fn takes_no_file(state_dir: &StateDir, dir: &DirHandle, error: &io::Error) -> bool {
    sys::proves_absence(error) && dir.stands_at(state_dir.root()).unwrap_or(false)
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

/// The last epoch that anybody wrote down here. What cannot be read tells of none.
fn last_epoch(dir: &DirHandle, state_dir: &StateDir) -> Option<Epoch> {
    let name = |file| state_dir.tool().file_name(file);
    record::epoch_in(dir, &name(StateFile::Record)).max(ExitRecord::epoch_in(dir, &name(StateFile::Exit)))
}
