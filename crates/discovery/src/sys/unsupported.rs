//! Where the platform has no answer about other processes, the answer is that there is none: P9 then sends no signal.

use std::ffi::OsString;
use std::io;

use crate::FileId;
use crate::process::{HeldFlock, Namespaces};
use crate::survey::InotifyUse;

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this platform does not tell"))
}

pub(crate) fn start_time(_pid: u32) -> io::Result<Option<u64>> {
    unsupported()
}

pub(crate) fn since_start(_start_time: u64) -> Option<std::time::Duration> {
    None
}

pub(crate) fn parent(_pid: u32) -> io::Result<Option<u32>> {
    unsupported()
}

/// No directory is entered without the promise that it is on the same file system.
#[cfg(unix)]
pub(crate) fn open_within(
    _parent: &std::os::fd::OwnedFd,
    _name: &std::ffi::CStr,
) -> io::Result<std::os::fd::OwnedFd> {
    unsupported()
}

pub(crate) fn boot_id() -> Option<String> {
    None
}

pub(crate) fn namespaces(_pid: u32) -> io::Result<Namespaces> {
    unsupported()
}

pub(crate) fn held_flocks(_pid: u32) -> io::Result<Vec<HeldFlock>> {
    unsupported()
}

pub(crate) fn owner_uid(_pid: u32) -> io::Result<u32> {
    unsupported()
}

pub(crate) fn arguments(_pid: u32) -> io::Result<Vec<OsString>> {
    unsupported()
}

pub(crate) fn environment(_pid: u32) -> io::Result<Vec<OsString>> {
    unsupported()
}

pub(crate) fn variable_in(_environment: &[OsString], _name: &str) -> Option<OsString> {
    None
}

pub(crate) fn working_directory(_pid: u32) -> io::Result<std::path::PathBuf> {
    unsupported()
}

pub(crate) fn path_view(_pid: u32) -> io::Result<(u64, FileId)> {
    unsupported()
}

pub(crate) fn is_paused(_pid: u32) -> io::Result<bool> {
    unsupported()
}

pub(crate) fn age(_start_time: u64) -> Option<std::time::Duration> {
    None
}

pub(crate) fn program(_pid: u32) -> io::Result<std::path::PathBuf> {
    unsupported()
}

pub(crate) fn all_pids() -> io::Result<Vec<u32>> {
    unsupported()
}

/// Other systems name their file systems, and otherwise each.
#[cfg(unix)]
pub(crate) fn file_system_magic(_path: &std::path::Path) -> Option<u32> {
    None
}

pub(crate) fn inotify_use() -> io::Result<InotifyUse> {
    unsupported()
}

pub(crate) fn control_group(_pid: u32) -> io::Result<String> {
    unsupported()
}
