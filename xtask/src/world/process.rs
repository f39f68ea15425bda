//! A process by its pidfd: waited for and signalled through a handle, never by a number that may be somebody else's.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::observe::descendants;

/// After `SIGKILL` a process goes as soon as the kernel gets to it.
const KILL: Duration = Duration::from_secs(10);

/// A process that one of our clients or we ourselves started.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Killed(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

impl Process {
    /// # Errors
    /// When there is no such process.
    pub(crate) fn open(pid: u32) -> Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a pid is positive")?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())
            .with_context(|| format!("cannot open a pidfd for process {pid}"))?;
        Ok(Self { pid, pidfd })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.pidfd, signal)
            .with_context(|| format!("cannot send {signal:?} to process {}", self.pid))
    }

    /// Whether all its threads are gone; it may still wait to be reaped.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(wait_readable(self.pidfd.as_fd(), Duration::ZERO), Ok(true))
    }

    /// Waits for its end. `false`: still there after `limit`.
    pub(crate) fn wait_gone(&self, limit: Duration) -> Result<bool> {
        wait_readable(self.pidfd.as_fd(), limit)
            .with_context(|| format!("cannot wait for the end of process {}", self.pid))
    }

    /// Begins to wait for its end in a thread of its own, so that the moment is right whatever the caller is doing.
    pub(crate) fn watch(self: &Arc<Self>, limit: Duration) -> Departure {
        let process = Arc::clone(self);
        let thread = std::thread::spawn(move || process.wait_gone(limit).map(|gone| gone.then(Instant::now)));
        Departure { thread }
    }

    /// Takes the exit status of a process that is gone.
    ///
    /// It works for orphans as well: this program is the subreaper of whatever its clients leave.
    pub(crate) fn reap(&self) -> Result<Ended> {
        let step = || format!("cannot take the exit status of process {}", self.pid);
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                other => break other.with_context(step)?,
            }
        };
        let status = status.with_context(step)?;
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ok(Ended::Exited(code)),
            (None, Some(signal)) => Ok(Ended::Killed(signal)),
            (None, None) => bail!("process {} ended neither by exit nor by signal", self.pid),
        }
    }
}

/// A wait for a process's end that has already begun.
pub(crate) struct Departure {
    thread: JoinHandle<Result<Option<Instant>>>,
}

impl Departure {
    /// When the process was gone; nothing, if it wasn't within the limit.
    pub(crate) fn moment(self) -> Result<Option<Instant>> {
        self.thread.join().expect("waiting for a process does not panic")
    }
}

/// Ends and reaps every process below us, each through its pidfd, until there is none.
pub(crate) fn kill_everything() -> Result<()> {
    for _ in 0..100 {
        let entries = descendants()?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            // Gone since, or still another's child: the next look tells.
            let Ok(process) = Process::open(entry.pid) else { continue };
            if !entry.zombie {
                process.signal(Signal::KILL)?;
                ensure!(process.wait_gone(KILL)?, "process {} outlives SIGKILL", entry.pid);
            }
            if let Err(error) = process.reap() {
                eprintln!("xtask: {error:#}");
            }
        }
    }
    bail!("processes keep coming")
}

/// Waits until a descriptor has something to read, or an end. `false`: not within `limit`.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_end_is_seen_through_the_handle_and_its_status_taken() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep is there");
        let process = Arc::new(Process::open(child.id()).expect("the child lives"));
        assert!(!process.wait_gone(Duration::ZERO).expect("pollable"));
        let departure = process.watch(Duration::from_secs(10));
        let before = Instant::now();
        process.signal(Signal::TERM).expect("signalled");
        assert!(departure.moment().expect("pollable").expect("gone within the limit") >= before);
        assert_eq!(process.reap().expect("ours"), Ended::Killed(15));
        assert!(child.wait().is_err(), "a status is taken once");
    }
}
