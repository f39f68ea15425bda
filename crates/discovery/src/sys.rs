//! The one door to the platform: equal signatures, one module each.
//!
//! [`unix`] holds what POSIX gives everywhere, [`linux`] what only `/proc` can tell, `unsupported` the honest absence of
//! an answer, `windows` its own counterpart of `unix`.

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

/// How a file of the state directory is opened. None of these follows a symlink, blocks on a FIFO, or is inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// An existing file, to read.
    Read,
    /// An existing or new file, to lock (read-write: NFS maps `flock` to byte-range locks, which need it).
    Lock,
    /// A file that must not exist yet, to write.
    CreateNew,
    /// An existing or new file, to append to.
    Append,
    /// An existing file, to write over.
    Overwrite,
}

/// What matters about a directory before it is trusted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirFacts {
    pub(crate) is_dir: bool,
    pub(crate) owner: u32,
    pub(crate) user: u32,
    pub(crate) mode: u32,
}

/// In which way the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(windows, expect(dead_code, reason = "Windows tells of no way"))]
pub(crate) enum Denial {
    /// The owner or the permission bits are in the way.
    Access,
    /// Nobody may, as things are.
    NotPermitted,
    /// The file system is mounted read-only.
    ReadOnly,
}

/// Whom a file is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileAccess {
    pub(crate) owner: u32,
    pub(crate) user: u32,
    pub(crate) mode: u32,
}

/// What a held descriptor says of its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldFacts {
    pub(crate) id: crate::FileId,
    pub(crate) links: u64,
    pub(crate) regular: bool,
}
