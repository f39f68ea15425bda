//! Where a round's files are.

use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// Holds all the others.
    pub(crate) root: PathBuf,
    /// The home's parent: a grandparent of the lock's directory.
    pub(crate) grand: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) lock: PathBuf,
    pub(crate) tmp: PathBuf,
}

impl Paths {
    pub(crate) fn below(root: &Path) -> Self {
        let grand = root.join("grand");
        let home = grand.join("home");
        let state = home.join(".aileron");
        let (lock, tmp) = (state.join("daemon.lock"), root.join("tmp"));
        Self { root: root.to_path_buf(), grand, home, state, lock, tmp }
    }

    /// Where something is prepared, or kept after it was moved away.
    pub(crate) fn aside(&self) -> PathBuf {
        self.root.join("aside")
    }

    /// A file that a symlink in the lock's place points to.
    pub(crate) fn bystander(&self) -> PathBuf {
        self.root.join("bystander")
    }
}
