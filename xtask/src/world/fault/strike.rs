//! The deeds: what is laid ready, the call that does it, and what puts it right.

use std::ffi::{CStr, CString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use rustix::mount::{MountFlags, mount, mount_bind};

use super::Fault;
use crate::world::clock::Moment;
use crate::world::mounts;
use crate::world::paths::Paths;

/// Like a home that nobody else may enter.
const PRIVATE: &CStr = c"mode=0700";

impl Fault {
    /// Lays ready what the deed needs.
    pub(crate) fn prepare(self, paths: &Paths) -> Result<()> {
        let aside = paths.aside();
        let step = || format!("cannot prepare `{}`", aside.display());
        match self {
            Self::ReplaceByEmptyFile => empty_file(&aside).with_context(step),
            Self::ReplaceByDirectory | Self::BindOverDirectory => private_dir(&aside).with_context(step),
            Self::ReplaceBySymlink => {
                fs::write(paths.bystander(), "not yours\n").with_context(step)?;
                symlink(paths.bystander(), &aside).with_context(step)
            }
            Self::ReplaceByFifo => {
                let fifo = mknodat(CWD, &aside, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
                fifo.with_context(step)
            }
            // The null device: whoever opens it does no harm (`Documentation/admin-guide/devices.txt`).
            Self::ReplaceByDevice => {
                let (kind, mode) = (FileType::CharacterDevice, Mode::RUSR | Mode::WUSR);
                mknodat(CWD, &aside, kind, mode, makedev(1, 3))
                    .context("a device node takes root (CAP_MKNOD) to make")
            }
            Self::ExchangeDirectory => {
                private_dir(&aside).with_context(step)?;
                empty_file(&aside.join("daemon.lock")).with_context(step)
            }
            _ => Ok(()),
        }
    }

    /// Does it, and says when: the moment before the system call that makes the loss.
    pub(crate) fn strike(self, paths: &Paths) -> Result<Moment> {
        let aside = paths.aside();
        if self == Self::RemoveTree {
            return remove(paths);
        }
        if self.is_mount() {
            mounts::expect_private()?;
        }
        let moment = Moment::now();
        let struck = match self {
            Self::DeleteLock => fs::remove_file(&paths.lock),
            Self::RenameLock => fs::rename(&paths.lock, aside),
            Self::ReplaceByEmptyFile
            | Self::ReplaceBySymlink
            | Self::ReplaceByFifo
            | Self::ReplaceByDevice => fs::rename(aside, &paths.lock),
            Self::ReplaceByDirectory => exchange(&aside, &paths.lock),
            Self::ExchangeDirectory => exchange(&aside, &paths.state),
            Self::RenameDirectory => fs::rename(&paths.state, aside),
            Self::RenameParent => fs::rename(&paths.home, aside),
            Self::RenameGrandparent => fs::rename(&paths.grand, aside),
            Self::MountOverDirectory => mount_tmpfs(&paths.state),
            Self::BindOverDirectory => mount_bind(&aside, &paths.state).map_err(Into::into),
            Self::MountOverParent => mount_tmpfs(&paths.home),
            Self::MountOverGrandparent => mount_tmpfs(&paths.grand),
            Self::RemoveTreeByRm => return rm(&paths.state).map(|()| moment),
            Self::RemoveTree => unreachable!("done above"),
        };
        struck.with_context(|| format!("cannot make `{}` happen", self.name()))?;
        Ok(moment)
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
            Self::ReplaceByFifo | Self::ReplaceByDevice => fs::remove_file(&paths.lock).with_context(step),
            Self::RenameParent | Self::RenameGrandparent | Self::MountOverGrandparent => {
                fs::create_dir_all(&paths.home).with_context(step)
            }
            _ => Ok(()),
        }
    }
}

fn empty_file(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

fn private_dir(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn exchange(one: &Path, other: &Path) -> std::io::Result<()> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Into::into)
}

fn mount_tmpfs(over: &Path) -> std::io::Result<()> {
    let options: CString = PRIVATE.to_owned();
    mount("aileron-xtask", over, "tmpfs", MountFlags::empty(), Some(options.as_c_str())).map_err(Into::into)
}

/// Every file of the directory in the directory's own order, then the directory, as `rm -rf` does. The loss is the
/// removal of the lock.
fn remove(paths: &Paths) -> Result<Moment> {
    let step = || format!("cannot remove `{}`", paths.state.display());
    let mut moment = None;
    for entry in fs::read_dir(&paths.state).with_context(step)? {
        let path = entry.with_context(step)?.path();
        if path == paths.lock {
            moment = Some(Moment::now());
        }
        fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    fs::remove_dir(&paths.state).with_context(step)?;
    moment.with_context(|| format!("`{}` was not there", paths.lock.display()))
}

fn rm(directory: &Path) -> Result<()> {
    let mut command = Command::new("/bin/rm");
    command.arg("-rf").arg(directory).stdin(Stdio::null());
    let output = command.output().context("cannot run `/bin/rm`")?;
    ensure!(output.status.success(), "rm -rf failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::observe::FileId;

    /// The mounts are left to `e2e`: they take a namespace, and a test has threads beside it.
    #[test]
    fn each_fault_takes_the_held_file_from_its_path() {
        let others = [Fault::RemoveTree, Fault::RemoveTreeByRm];
        for fault in Fault::LOSSES.into_iter().chain(others).filter(|fault| !fault.is_mount()) {
            let root = tempfile::tempdir().expect("a temporary directory");
            let paths = Paths::below(root.path());
            fs::create_dir_all(&paths.state).expect("made");
            let held = OpenOptions::new().write(true).create_new(true).open(&paths.lock).expect("made");
            let id = FileId::of(&held.metadata().expect("open"));
            fault.prepare(&paths).expect("root, and room for a file");
            assert_eq!(FileId::at(&paths.lock).expect("searchable"), Some(id), "{fault:?}");
            let before = std::time::Instant::now();
            let moment = fault.strike(&paths).expect("done");
            assert!(moment.instant >= before, "{fault:?}");
            assert_ne!(FileId::at(&paths.lock).expect("searchable"), Some(id), "{fault:?}");
            let blocked = fs::symlink_metadata(&paths.lock).is_ok_and(|found| !found.is_file());
            assert_eq!(blocked, fault.blocks_the_path(), "{fault:?}");
            let links = std::os::unix::fs::MetadataExt::nlink(&held.metadata().expect("open"));
            let nothing = fs::symlink_metadata(&paths.lock).is_err();
            assert_eq!(nothing && links > 0, fault.leaves_doubt(), "{fault:?}");
            fault.repair(&paths).expect("put right");
        }
    }

    #[test]
    fn a_mount_is_refused_outside_a_namespace_of_our_own() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let paths = Paths::below(root.path());
        fs::create_dir_all(&paths.state).expect("made");
        for fault in Fault::LOSSES.into_iter().filter(|fault| fault.is_mount()) {
            assert!(fault.strike(&paths).is_err(), "{fault:?}");
        }
    }
}
