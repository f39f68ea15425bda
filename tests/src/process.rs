//! Processes by their handle: a pid alone may come to mean another.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::until;

/// How long the parent of an orphan may take to be us.
const ADOPTION: Duration = Duration::from_secs(2);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody told us: its parent was another.
    Unknown,
}

/// A process that stays the one it was.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    handle: OwnedFd,
    end: OnceLock<End>,
}

impl Process {
    /// The process that has this pid now.
    pub fn open(pid: u32) -> Option<Self> {
        let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let handle = rustix::process::pidfd_open(number, PidfdFlags::empty()).ok()?;
        Some(Self { pid, handle, end: OnceLock::new() })
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Whether it ends within this time.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).expect("a short wait"),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut ended = [PollFd::new(&self.handle, PollFlags::IN)];
            match rustix::event::poll(&mut ended, Some(&timeout)) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("cannot poll a pidfd: {error}"),
            }
        }
    }

    /// Waits for its end and says how it ended; fails when it has not ended by then.
    pub fn wait(&self, patience: Duration) -> End {
        assert!(self.ends_within(patience), "process {} still runs after {patience:?}", self.pid);
        *self.end.get_or_init(|| self.reap())
    }

    fn reap(&self) -> End {
        let began = Instant::now();
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.handle.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    return match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => End::Status(code),
                        (None, Some(signal)) => End::Signal(signal),
                        (None, None) => End::Unknown,
                    };
                }
                // Not our child, or not yet: its parent is ending.
                _ if began.elapsed() > ADOPTION => return End::Unknown,
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Waits for its end and takes it from the process table, if it is ours to take.
    pub(crate) fn bury(&self, patience: Duration) {
        assert!(self.ends_within(patience), "process {} still runs after {patience:?}", self.pid);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if rustix::process::waitid(WaitId::PidFd(self.handle.as_fd()), options).is_err() {}
    }

    /// Sends a signal to it, or to nobody.
    pub fn signal(&self, signal: Signal) {
        match rustix::process::pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("cannot signal process {}: {error}", self.pid),
        }
    }

    /// Stops it (`SIGSTOP`) and waits until it has stopped.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        until("the process has stopped", crate::PROMPT, || (self.state()? == 'T').then_some(()));
    }

    /// Goes on with it.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it by `SIGKILL`.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// A field of `/proc/PID/stat`, numbered as in `proc_pid_stat(5)`, from the third on.
    pub fn stat(&self, field: usize) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        rest.split_ascii_whitespace().nth(field - 3).map(String::from)
    }

    /// `R`, `S`, `T`, `Z` and so on.
    pub fn state(&self) -> Option<char> {
        self.stat(3)?.chars().next()
    }

    /// A file of `/proc/PID`, as text.
    pub fn proc(&self, name: &str) -> String {
        let bytes = fs::read(format!("/proc/{}/{name}", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A line of `/proc/PID/status`, by its name.
    pub fn status_line(&self, name: &str) -> String {
        let found = self
            .proc("status")
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()));
        found.unwrap_or_default()
    }

    /// What its descriptors point to, by number.
    pub fn descriptors(&self) -> Vec<(i32, String)> {
        let Ok(table) = fs::read_dir(format!("/proc/{}/fd", self.pid)) else { return Vec::new() };
        let entry = |entry: fs::DirEntry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        };
        table.flatten().filter_map(entry).collect()
    }
}

/// What a process has that it may forget to give back.
#[derive(Debug, PartialEq, Eq)]
pub struct Belongings {
    /// What its descriptors point to. Less the number of a pipe or a socket, which tells nothing.
    pub descriptors: Vec<(i32, String)>,
    /// How many threads it has.
    pub threads: usize,
    /// Its children, zombies among them.
    pub children: Vec<u32>,
}

impl Belongings {
    /// What this process has now.
    pub fn of_this_process() -> Self {
        let this = Process::open(std::process::id()).expect("this process is there");
        let mut descriptors: Vec<_> =
            this.descriptors().into_iter().filter(|(_, path)| !is_of_the_look_itself(path)).collect();
        descriptors.sort();
        let tasks: Vec<_> = fs::read_dir("/proc/self/task").expect("procfs").flatten().collect();
        let of = |task: &fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let children = tasks.iter().map(of).collect::<String>();
        let children = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        Self { descriptors, threads: tasks.len(), children }
    }
}

/// The handle that looks, and the table that is looked into.
fn is_of_the_look_itself(path: &str) -> bool {
    path == "anon_inode:[pidfd]" || path.starts_with("/proc/")
}

/// The living processes whose command line mentions `path`, ourselves left out. Each was opened first and read after.
pub fn processes_mentioning(path: &Path) -> Vec<Process> {
    let needle = path.to_string_lossy().into_owned();
    let Ok(table) = fs::read_dir("/proc") else { return Vec::new() };
    table
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter_map(Process::open)
        .filter(|process| process.proc("cmdline").contains(&needle) && process.is_alive())
        .collect()
}
