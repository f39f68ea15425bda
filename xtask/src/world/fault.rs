//! The ways in which a daemon loses its lock's path, each as one system call where there is one.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Where a round's files are.
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
    fn aside(&self) -> PathBuf {
        self.root.join("aside")
    }

    /// A file that a symlink in the lock's place points to.
    fn bystander(&self) -> PathBuf {
        self.root.join("bystander")
    }
}

/// One way to lose the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    DeleteLock,
    RenameLock,
    ReplaceByEmptyFile,
    ReplaceByDirectory,
    ReplaceBySymlink,
    RenameDirectory,
    RenameGrandparent,
    RemoveTree,
    RemoveTreeByRm,
}

impl Fault {
    /// Those that each watch setting is tried with.
    pub(crate) const LOSSES: [Self; 7] = [
        Self::DeleteLock,
        Self::RenameLock,
        Self::ReplaceByEmptyFile,
        Self::ReplaceByDirectory,
        Self::ReplaceBySymlink,
        Self::RenameDirectory,
        Self::RenameGrandparent,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DeleteLock => "lock-deleted",
            Self::RenameLock => "lock-renamed",
            Self::ReplaceByEmptyFile => "lock-replaced-by-empty-file",
            Self::ReplaceByDirectory => "lock-replaced-by-directory",
            Self::ReplaceBySymlink => "lock-replaced-by-symlink",
            Self::RenameDirectory => "directory-renamed",
            Self::RenameGrandparent => "grandparent-renamed",
            Self::RemoveTree => "directory-deleted",
            Self::RemoveTreeByRm => "directory-deleted-by-rm",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::DeleteLock => "the lock is deleted",
            Self::RenameLock => "the lock is renamed away",
            Self::ReplaceByEmptyFile => "an empty file is renamed over the lock",
            Self::ReplaceByDirectory => "the lock is exchanged for a directory",
            Self::ReplaceBySymlink => "a symlink is renamed over the lock",
            Self::RenameDirectory => "the state directory is renamed",
            Self::RenameGrandparent => "the home's parent is renamed",
            Self::RemoveTree => "the state directory is removed with all in it",
            Self::RemoveTreeByRm => "rm -rf of the state directory",
        }
    }

    /// Whether the held inode keeps a name somewhere, and nothing else stands in its place: then the daemon looks twice.
    pub(crate) fn leaves_doubt(self) -> bool {
        matches!(self, Self::RenameLock | Self::RenameDirectory | Self::RenameGrandparent)
    }

    /// Whether a lock of the wrong kind stands in the way of the next client.
    pub(crate) fn blocks_the_path(self) -> bool {
        matches!(self, Self::ReplaceByDirectory | Self::ReplaceBySymlink)
    }

    /// Where the old daemon's directory is afterwards.
    pub(crate) fn old_state_dir(self, paths: &Paths) -> Option<PathBuf> {
        match self {
            Self::RemoveTree | Self::RemoveTreeByRm => None,
            Self::RenameDirectory => Some(paths.aside()),
            Self::RenameGrandparent => Some(paths.aside().join("home").join(".aileron")),
            _ => Some(paths.state.clone()),
        }
    }

    /// Lays ready what the deed needs.
    pub(crate) fn prepare(self, paths: &Paths) -> Result<()> {
        let aside = paths.aside();
        let step = || format!("cannot prepare `{}`", aside.display());
        match self {
            Self::ReplaceByEmptyFile => {
                let mut private = OpenOptions::new();
                private.write(true).create_new(true).mode(0o600);
                private.open(&aside).map(drop).with_context(step)
            }
            Self::ReplaceByDirectory => fs::create_dir(&aside).with_context(step),
            Self::ReplaceBySymlink => {
                fs::write(paths.bystander(), "not yours\n").with_context(step)?;
                symlink(paths.bystander(), &aside).with_context(step)
            }
            _ => Ok(()),
        }
    }

    /// Does it.
    pub(crate) fn strike(self, paths: &Paths) -> Result<()> {
        let aside = paths.aside();
        let step = || format!("cannot make `{}` happen", self.name());
        match self {
            Self::DeleteLock => fs::remove_file(&paths.lock).with_context(step),
            Self::RenameLock => fs::rename(&paths.lock, aside).with_context(step),
            Self::ReplaceByEmptyFile | Self::ReplaceBySymlink => {
                fs::rename(aside, &paths.lock).with_context(step)
            }
            Self::ReplaceByDirectory => {
                renameat_with(CWD, &aside, CWD, &paths.lock, RenameFlags::EXCHANGE).with_context(step)
            }
            Self::RenameDirectory => fs::rename(&paths.state, aside).with_context(step),
            Self::RenameGrandparent => fs::rename(&paths.grand, aside).with_context(step),
            Self::RemoveTree => fs::remove_dir_all(&paths.state).with_context(step),
            Self::RemoveTreeByRm => rm(&paths.state),
        }
    }

    /// What it takes before the next client can succeed.
    pub(crate) fn remedy(self) -> Option<&'static str> {
        match self {
            Self::ReplaceByDirectory => Some("the directory in the lock's place is removed"),
            Self::ReplaceBySymlink => Some("the symlink in the lock's place is removed"),
            Self::RenameGrandparent => Some("the home is made again"),
            _ => None,
        }
    }

    /// Clears the way for the next client, as a person would who read its message.
    pub(crate) fn repair(self, paths: &Paths) -> Result<()> {
        let step = || format!("cannot put `{}` right", self.name());
        match self {
            Self::ReplaceByDirectory => fs::remove_dir(&paths.lock).with_context(step),
            Self::ReplaceBySymlink => {
                let bytes = fs::read_to_string(paths.bystander()).with_context(step)?;
                ensure!(bytes == "not yours\n", "the file behind the symlink was written to");
                fs::remove_file(&paths.lock).with_context(step)
            }
            Self::RenameGrandparent => fs::create_dir_all(&paths.home).with_context(step),
            _ => Ok(()),
        }
    }
}

fn rm(directory: &Path) -> Result<()> {
    let mut command = Command::new("/bin/rm");
    command.arg("-rf").arg(directory).stdin(Stdio::null());
    let output = command.output().context("cannot run `/bin/rm`")?;
    ensure!(output.status.success(), "rm -rf failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
