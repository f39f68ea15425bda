//! No file events: the poll alone. Said in `status`, never pretended. And no service manager that would listen.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use super::{FileNews, Targets};

/// There is none.
#[derive(Debug)]
pub(crate) struct Watcher(Infallible);

impl Watcher {
    pub(crate) fn arm(_present: Option<Self>, _targets: &Targets<'_>) -> (Option<Self>, Vec<String>) {
        (None, vec!["file events are not implemented on this platform".to_owned()])
    }

    pub(crate) fn watch_records(&self, _records: &[PathBuf]) {
        match self.0 {}
    }

    pub(crate) fn let_go(self) {
        match self.0 {}
    }

    pub(crate) fn add_to<T>(&self, _sources: &mut Vec<T>) {
        match self.0 {}
    }

    pub(crate) fn take_news<T>(&mut self, _rung: &[T]) -> FileNews {
        match self.0 {}
    }
}

/// Sleeps are as exact as they are.
pub(crate) fn wake_punctually() {}

/// There is none: launchd and Windows services are not told by datagram.
#[derive(Debug)]
pub(crate) struct NotifySocket(Infallible);

impl NotifySocket {
    pub(crate) fn open(_name: &OsStr) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn send(&self, _text: &str) -> io::Result<()> {
        match self.0 {}
    }
}

/// Nobody sets them here.
pub(crate) fn take_variables<const N: usize>(names: [&str; N]) -> [Option<OsString>; N] {
    names.map(|_| None)
}
