//! The one door to the platform: equal signatures, one module each.
//!
//! `unix` launches, `linux` has what only Linux gives (pidfds, memfds), `unsupported` says so, `windows` is its own
//! counterpart of `unix`.

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

/// A launched process and what it says.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) child: std::process::Child,
    /// Opened at once: a caller that ignores `SIGCHLD` keeps no zombie whose pid cannot become another's.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "processes cannot be held on to there"))]
    pub(crate) handle: Option<ProcessHandle>,
    /// Read end of the launch pipe.
    pub(crate) pipe: std::fs::File,
    /// What it writes to standard output and error.
    pub(crate) output: std::fs::File,
}

/// A signal that is ever sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Term,
    Continue,
    Kill,
}
