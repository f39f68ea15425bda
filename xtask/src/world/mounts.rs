//! Mounts that no other process of the machine may see: a mount namespace of our own, and all mounts in it private.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::UnshareFlags;

/// Set once the namespace is ours.
static PRIVATE: OnceLock<()> = OnceLock::new();

/// Moves this process into a mount namespace of its own, with all mounts private (`mount_namespaces(7)`). To be called
/// before there is a second thread; each process started from then on is inside.
///
/// # Errors
/// Without `CAP_SYS_ADMIN`.
pub(crate) fn enter_private_namespace() -> Result<()> {
    if PRIVATE.get().is_some() {
        return Ok(());
    }
    #[expect(deprecated, reason = "unsafe is its twin for descriptor tables; mounts concern no descriptor")]
    rustix::thread::unshare(UnshareFlags::NEWNS).context("cannot have a mount namespace of our own")?;
    let all_private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", all_private).context("cannot make the mounts private")?;
    PRIVATE.get_or_init(|| ());
    Ok(())
}

/// Fails where a mount would be seen by others.
pub(crate) fn expect_private() -> Result<()> {
    PRIVATE.get().copied().context("a mount takes a namespace of our own: run this as root (CAP_SYS_ADMIN)")
}

/// Takes away every mount below a directory, the latest first.
pub(crate) fn unmount_below(directory: &Path) -> Result<()> {
    if PRIVATE.get().is_none() {
        return Ok(());
    }
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read `/proc/self/mountinfo`")?;
    for point in table.lines().rev().filter_map(mount_point).filter(|point| point.starts_with(directory)) {
        unmount(&point, UnmountFlags::DETACH)
            .with_context(|| format!("cannot unmount `{}`", point.display()))?;
    }
    Ok(())
}

/// The fifth column, in which blanks and the like are written in octal (`proc_pid_mountinfo(5)`).
fn mount_point(line: &str) -> Option<PathBuf> {
    let column = line.split(' ').nth(4)?;
    let mut parts = column.split('\\');
    let mut point = parts.next()?.to_owned();
    for part in parts {
        let (octal, rest) = part.split_at_checked(3)?;
        point.push(char::from(u8::from_str_radix(octal, 8).ok()?));
        point.push_str(rest);
    }
    Some(PathBuf::from(point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_with_a_blank_is_read() {
        let line = r"36 35 98:0 / /tmp/a\040b\134c rw,noatime shared:1 - tmpfs x rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/tmp/a b\c")));
        assert_eq!(mount_point("36 35"), None);
    }
}
