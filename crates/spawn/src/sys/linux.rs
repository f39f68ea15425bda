//! What only Linux gives: pidfds, memfds, `close_range(2)`.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use aileron_discovery::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

use super::{Launched, Signal};

/// A file without a name, to which a launched daemon writes until it has its log (`memfd_create(2)`).
pub(crate) fn nameless_file() -> io::Result<File> {
    let file = rustix::fs::memfd_create("launch-output", rustix::fs::MemfdFlags::CLOEXEC)?;
    // Reader and writers share one offset: with O_APPEND, reading moves nobody's writing.
    rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::APPEND)?;
    Ok(File::from(file))
}

/// Marks every descriptor from `first` up (`close_range(2)` with `CLOSE_RANGE_CLOEXEC`, Linux 5.11).
#[expect(unsafe_code, reason = "close_range is not in rustix's stable interface")]
pub(crate) fn mark_all_close_on_exec(first: u32) -> io::Result<()> {
    let mark: libc::c_uint = 1 << 2;
    // SAFETY: it takes numbers, and marking closes nothing that this process still uses.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, mark) };
    if done == 0 { Ok(()) } else { super::mark_one_by_one(first) }
}

/// Takes back what a launcher has made of its own chances when memory runs out (`proc_pid_oom_score_adj(5)`), which a child
/// inherits: a sandbox or an editor that is to be killed first, a service that never is. A daemon is neither.
///
/// Refused (`EACCES`) below the value that a privileged process has set, a container's runtime for instance: then it stays.
pub(crate) fn reset_oom_score() {
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let score = rustix::fs::open(c"/proc/self/oom_score_adj", flags, rustix::fs::Mode::empty());
    let _as_it_was = score.and_then(|score| rustix::io::write(&score, b"0"));
}

/// A process that stays the one it was when this was opened (`pidfd_open(2)`).
#[derive(Debug)]
pub(crate) struct ProcessHandle(OwnedFd);

impl ProcessHandle {
    /// `None`: there is no such process.
    pub(crate) fn open(pid: u32) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Some(Self(handle))),
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a signal to the process, or to nobody.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Continue => rustix::process::Signal::CONT,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        match rustix::process::pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has ended; `false` at the deadline.
    pub(crate) fn wait(&self, deadline: &Deadline) -> bool {
        loop {
            let timeout = deadline.remaining().unwrap_or_default();
            let mut ended = [PollFd::new(&self.0, PollFlags::IN)];
            match rustix::event::poll(&mut ended, Some(&timespec(timeout))) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(_) if deadline.passed() => return false,
                Err(_) => {}
            }
        }
    }
}

/// Reads what has come on the pipe, or waits for more, for the child's end, or for the deadline.
pub(crate) fn hear(launched: &mut Launched, deadline: &Deadline, buffer: &mut Vec<u8>) -> Heard {
    let Launched { child, handle, pipe, .. } = launched;
    let mut open = true;
    loop {
        let Some(left) = deadline.remaining() else { return Heard::Deadline };
        let mut sources = Vec::with_capacity(2);
        if open {
            sources.push(PollFd::new(&*pipe, PollFlags::IN));
        }
        if let Some(ProcessHandle(handle)) = &*handle {
            sources.push(PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN));
        }
        // Without a pidfd (no descriptor left): ask at short intervals.
        let wait = if handle.is_some() { left } else { left.min(Duration::from_millis(10)) };
        if rustix::event::poll(&mut sources, Some(&timespec(wait))).is_err() {
            continue;
        }
        let said = open && sources.first().is_some_and(|source| !source.revents().is_empty());
        drop(sources);
        if said {
            let mut block = [0; 4096];
            match pipe.read(&mut block) {
                // A grandchild may hold the pipe open after the child is gone, and the child may close it and live on.
                Ok(0) | Err(_) => open = false,
                Ok(count) => {
                    buffer.extend_from_slice(&block[..count]);
                    return Heard::Bytes;
                }
            }
            continue;
        }
        let status = match child.try_wait() {
            Ok(None) => continue,
            Ok(Some(status)) => Some(status),
            // ECHILD: it has ended, and not for us to hear. Where the caller ignores SIGCHLD nobody does (wait(2)).
            Err(_) => None,
        };
        // Between poll's look at the pipe and its look at the process the child may have spoken and gone.
        return if has_more(pipe, buffer) { Heard::Bytes } else { Heard::Gone(status) };
    }
}

/// Reads what is in the pipe already, without waiting; whether that was anything.
fn has_more(pipe: &mut File, buffer: &mut Vec<u8>) -> bool {
    let mut source = [PollFd::new(&*pipe, PollFlags::IN)];
    let now = timespec(Duration::ZERO);
    let readable = rustix::event::poll(&mut source, Some(&now)).is_ok_and(|ready| ready > 0);
    let mut block = [0; 4096];
    let count = if readable { pipe.read(&mut block).unwrap_or(0) } else { 0 };
    buffer.extend_from_slice(&block[..count]);
    count > 0
}

/// What came first.
#[derive(Debug)]
pub(crate) enum Heard {
    /// More of a message.
    Bytes,
    /// The child has ended, and everything it had said was heard. `None`: how, was for others to hear.
    Gone(Option<std::process::ExitStatus>),
    /// Neither, in time.
    Deadline,
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
