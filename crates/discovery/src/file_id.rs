//! What "the same file" means.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys;

/// The identity of a file: device and inode number (`st_dev`, `st_ino` of `stat(2)`).
///
/// It identifies a file only while somebody holds it open. An inode number is given out again as soon as the last link
/// and the last descriptor are gone (ext4 did so 199 times of 199), so a number read from a record proves nothing; the
/// number of a *held* descriptor against the one at a path does.
///
/// # Platform notes
///
/// On Windows: volume serial number and file index (`GetFileInformationByHandle`); not run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dev, self.ino)
    }
}

/// Why the identity at a path could not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Nothing is there: `ENOENT`, or `ENOTDIR` for an ancestor. This is proof that the file is gone from the path.
    #[error("nothing stands at `{path}`")]
    Gone {
        /// Where nothing is.
        path: PathBuf,
    },
    /// Anything else (`EACCES`, `EIO`, `ELOOP`, `ESTALE`, `EMFILE`, …): no proof of anything; look again later.
    #[error("cannot look at `{path}`")]
    Unknown {
        /// Where it was looked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The identity of what stands at `path`; a symlink in the last component is not followed (`lstat(2)`).
///
/// Asked about [`StateDir::path`](crate::StateDir::path) of the lock, this is the probe by which a daemon tells "my lock
/// file is gone" from "I could not look".
///
/// # Errors
///
/// [`IdentityError::Gone`] on proof of absence only, [`IdentityError::Unknown`] on every other failure.
pub fn file_identity(path: &Path) -> Result<FileId, IdentityError> {
    sys::path_identity(path).map_err(|source| {
        let path = path.to_owned();
        if sys::proves_absence(&source) {
            IdentityError::Gone { path }
        } else {
            IdentityError::Unknown { path, source }
        }
    })
}

/// The identity of an open file (`fstat(2)`).
///
/// # Errors
///
/// What the system said; hardly ever anything.
pub fn held_identity(file: &std::fs::File) -> io::Result<FileId> {
    Ok(sys::held_facts(file)?.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_told_from_doubt() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        assert!(matches!(file_identity(&file), Err(IdentityError::Gone { .. })));
        std::fs::write(&file, "").unwrap();
        assert!(file_identity(&file).is_ok());
        assert!(
            matches!(file_identity(&file.join("below")), Err(IdentityError::Gone { .. })),
            "ENOTDIR is proof"
        );
        let long = dir.path().join("x".repeat(300));
        assert!(matches!(file_identity(&long), Err(IdentityError::Unknown { .. })), "ENAMETOOLONG is not");
    }
}
