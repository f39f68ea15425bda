//! What keeps a user from a file of their own directory, and what to do about it.
//!
//! "Permission denied" is said of a file of somebody else's, of one without permission bits (a restore, a slip with `chmod`),
//! and of one that is marked immutable; each has another remedy, and nothing here applies any: the files are the user's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::{self, Denial};

/// What keeps a user from a file. Its text says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Barrier {
    /// Somebody else owns the file.
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who asks (effective uid).
        user: u32,
    },
    /// Its permission bits leave its owner without access.
    Mode {
        /// The file.
        path: PathBuf,
        /// The bits.
        mode: u32,
    },
    /// The file system is mounted read-only (`EROFS`).
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Not permitted (`EPERM`) whatever the owner and the bits are: on Linux, the immutable attribute (`chattr(1)`).
    Immutable {
        /// The file.
        path: PathBuf,
    },
}

impl Barrier {
    /// What lies behind `error`, which came of opening `path`, as far as it can be told.
    ///
    /// # Platform notes
    ///
    /// Windows has access lists, which are not read here: there it is told of nothing.
    pub fn of(path: &Path, error: &io::Error) -> Option<Self> {
        let path = path.to_owned();
        match sys::denial(error)? {
            Denial::ReadOnly => Some(Self::ReadOnly { path }),
            Denial::NotPermitted => Some(Self::Immutable { path }),
            Denial::Access => match sys::file_access(&path).ok()? {
                facts if facts.owner != facts.user => {
                    Some(Self::Owner { path, owner: facts.owner, user: facts.user })
                }
                facts if facts.mode & wanted(&path) != wanted(&path) => {
                    Some(Self::Mode { path, mode: facts.mode })
                }
                _ => None,
            },
        }
    }
}

/// A directory without its search bit is as shut as a file without its read bit.
fn wanted(path: &Path) -> u32 {
    if path.is_dir() { 0o700 } else { 0o600 }
}

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { path, owner, user } => {
                let path = path.display();
                write!(
                    f,
                    "`{path}` belongs to uid {owner}, not to uid {user}: have it given back (`chown {user}`)"
                )
            }
            Self::Mode { path, mode } => {
                write!(f, "its mode is {mode:04o}: run `chmod {:o} {}`", wanted(path), path.display())
            }
            Self::ReadOnly { path } => {
                let path = path.display();
                write!(
                    f,
                    "`{path}` is on a read-only mount: remount it, or name another directory with --state-dir"
                )
            }
            Self::Immutable { path } => {
                let path = path.display();
                write!(
                    f,
                    "`{path}` or its directory is immutable: `lsattr` shows it, and `chattr -i` ends it"
                )
            }
        }
    }
}
