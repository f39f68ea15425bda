//! Windows: the bell is a channel, and the console's interrupt rings it. Compiled and tested in the repository's workflow
//! only.

use std::fs::File;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{FileNews, Watcher, Woken};
use crate::ShutdownReason;
use crate::limits::Limits;

/// A queue that is full refuses at once there, and nobody waits: its length stays as it is.
#[expect(clippy::unnecessary_wraps, reason = "the signature is the same on every platform")]
pub(crate) fn widen_backlog<T>(_listener: &T, _length: i32) -> io::Result<()> {
    Ok(())
}

#[derive(Debug)]
pub(crate) struct Bell {
    sender: Sender<Option<ShutdownReason>>,
    receiver: Mutex<Receiver<Option<ShutdownReason>>>,
}

impl Bell {
    #[expect(clippy::unnecessary_wraps, reason = "the signature is the same on every platform")]
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        Ok(Self { sender, receiver: Mutex::new(receiver) })
    }

    pub(crate) fn ring(&self) {
        if self.sender.send(None).is_err() {}
    }

    pub(crate) fn wait(&self, _watcher: Option<&mut Watcher>, timeout: Duration) -> Woken {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let first = receiver.recv_timeout(timeout).ok();
        let signals = first.into_iter().chain(receiver.try_iter()).flatten().collect();
        Woken { signals, events: FileNews::default() }
    }
}

#[derive(Debug)]
pub(crate) struct Signals(Vec<signal_hook::SigId>);

impl Signals {
    /// Ctrl-C arrives as the C runtime's `SIGINT`, in a thread of its own.
    #[expect(unsafe_code, reason = "a signal handler is installed")]
    pub(crate) fn install(bell: &Bell) -> io::Result<Self> {
        let mut signals = Self(Vec::new());
        for (signal, reason) in [(2, ShutdownReason::Sigint), (15, ShutdownReason::Sigterm)] {
            let sender = bell.sender.clone();
            let handler = move || if sender.send(Some(reason)).is_err() {};
            // SAFETY: the console calls handlers in an ordinary thread, where a channel may be used.
            signals.0.push(unsafe { signal_hook::low_level::register(signal, handler) }?);
        }
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.0.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

/// There is no such limit.
#[expect(clippy::unnecessary_wraps, reason = "the signature is the same on every platform")]
pub(crate) fn outlive_full_files() -> io::Result<()> {
    Ok(())
}

/// A job object's limits end the process as the job's owner wants; nothing here lives by them.
pub(crate) fn limits() -> Limits {
    Limits::default()
}

/// Standard handles are left as the launcher set them.
#[expect(clippy::unnecessary_wraps, reason = "the signature is the same on every platform")]
pub(crate) fn redirect_output(_file: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn exit_now(status: u8) -> ! {
    std::process::exit(status.into())
}

pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// Handles are not limited so that it mattered.
pub(crate) fn descriptor_limit() -> Option<usize> {
    None
}

pub(crate) fn is_same_file(_file: &File, _path: &std::path::Path) -> Option<bool> {
    None
}
