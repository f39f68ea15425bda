//! Mounts of a test's own: nobody else sees them, and they go with it.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::sys;

/// Runs a test in a mount namespace of its own; what it starts is in it too.
///
/// In a thread of its own, for the namespace is the thread's, and the harness may use its threads again.
pub fn in_own_mounts(test: impl FnOnce() + Send) {
    let inside = || {
        sys::unshare_mounts().unwrap_or_else(|error| {
            panic!("unshare(CLONE_NEWNS): {error}: this test must be run as root, and in a container with CAP_SYS_ADMIN")
        });
        // What is mounted here must not show outside.
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .expect("the mounts of our own namespace are ours to make private");
        test();
    };
    let failed = std::thread::scope(|scope| scope.spawn(inside).join());
    if let Err(panic) = failed {
        std::panic::resume_unwind(panic);
    }
}

/// Something mounted, until this is dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// An empty file system in memory, private as a state directory is; `options` beside the mode.
    pub fn tmpfs(target: &Path, options: &str) -> Self {
        let data = std::ffi::CString::new(format!("mode=0700{options}")).expect("options are text");
        rustix::mount::mount("tmpfs", target, "tmpfs", MountFlags::empty(), Some(data.as_c_str()))
            .unwrap_or_else(|error| panic!("a tmpfs on {}: {error}", target.display()));
        Self(target.to_owned())
    }

    /// `source`, at another place or at its own.
    pub fn bind(source: &Path, target: &Path) -> Self {
        rustix::mount::mount_bind(source, target)
            .unwrap_or_else(|error| panic!("{} on {}: {error}", source.display(), target.display()));
        Self(target.to_owned())
    }

    /// What somebody else has mounted there.
    pub fn of(target: &Path) -> Self {
        Self(target.to_owned())
    }

    /// Makes this mount read-only.
    ///
    /// # Errors
    ///
    /// `EBUSY` while something on it is open for writing (`mount(2)`).
    pub fn read_only(&self) -> rustix::io::Result<()> {
        rustix::mount::mount_remount(&self.0, MountFlags::BIND | MountFlags::RDONLY, c"")
    }

    /// `umount -l`: it is gone from the path at once, and lives on for those who have something of it open.
    pub fn detach(self) {
        drop(self);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let gone = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
        if !std::thread::panicking() {
            gone.unwrap_or_else(|error| panic!("umount {}: {error}", self.0.display()));
        }
    }
}
