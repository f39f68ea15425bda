//! The one door to the platform: equal signatures, one module each.
//!
//! `unix` holds the bell, signals and descriptors, `linux` file events (`inotify(7)`), `unsupported` their honest absence,
//! `windows` its own counterpart of `unix`.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported::*;

use crate::ShutdownReason;

/// What ended a wait.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    /// Signals that arrived, in order.
    pub(crate) signals: Vec<ShutdownReason>,
    /// A file event: look now.
    pub(crate) events: FileNews,
}

/// What the file events say, which is never more than "look".
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a kind of news, and any of them may come together"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileNews {
    /// Something happened.
    pub(crate) any: bool,
    /// The lock, its directory or an ancestor was moved, or may have been: the lock was away from its path for a moment.
    pub(crate) moved: bool,
    /// Something that invalidates a watch: arm anew.
    pub(crate) rearm: bool,
    /// More happened than the kernel keeps: some events are lost.
    pub(crate) overflowed: bool,
}

/// What a watcher is put on.
#[derive(Debug)]
pub(crate) struct Targets<'a> {
    pub(crate) lock: &'a std::fs::File,
    pub(crate) name: &'a str,
    pub(crate) directory: &'a std::path::Path,
    pub(crate) records: [std::path::PathBuf; 2],
}
