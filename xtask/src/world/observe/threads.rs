//! The threads of a process: what each is called, whether it sleeps, and how often it has been switched away from.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::world::clock::Deadline;

/// A line of `/proc/PID/task/` (`proc_pid_status(5)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// In an interruptible wait.
    pub(crate) asleep: bool,
    /// It had nothing to do and gave the processor back: once for each time it was woken.
    pub(crate) voluntary: u64,
    /// The processor was taken from it.
    pub(crate) involuntary: u64,
}

/// Every thread of the process. One that ends while we look is passed over.
pub(crate) fn threads(pid: u32) -> Result<Vec<Thread>> {
    let directory = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read `{directory}`"))?;
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let mut threads = Vec::new();
    for text in texts {
        threads.push(parse(&text).with_context(|| format!("cannot understand a status in `{directory}`"))?);
    }
    threads.sort_by_key(|thread| thread.id);
    Ok(threads)
}

/// Waits until all threads of the process have been found asleep several times in a row: it has nothing left to do.
pub(crate) fn wait_asleep(pid: u32) -> Result<()> {
    const LOOKS: u32 = 3;
    let deadline = Deadline::after(Duration::from_secs(10));
    let mut in_a_row = 0;
    while in_a_row < LOOKS {
        ensure!(!deadline.left().is_zero(), "process {pid} does not come to rest");
        let threads = threads(pid)?;
        let asleep = !threads.is_empty() && threads.iter().all(|thread| thread.asleep);
        in_a_row = if asleep { in_a_row + 1 } else { 0 };
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

fn parse(status: &str) -> Option<Thread> {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim)
    };
    Some(Thread {
        id: field("Pid")?.parse().ok()?,
        name: field("Name")?.to_owned(),
        asleep: field("State")?.starts_with('S'),
        voluntary: field("voluntary_ctxt_switches")?.parse().ok()?,
        involuntary: field("nonvoluntary_ctxt_switches")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let status = "Name:\tkeeper\nState:\tS (sleeping)\nTgid:\t7\nPid:\t8\nvoluntary_ctxt_switches:\t3\n\
                      nonvoluntary_ctxt_switches:\t1\n";
        let thread = Thread { id: 8, name: "keeper".to_owned(), asleep: true, voluntary: 3, involuntary: 1 };
        assert_eq!(parse(status), Some(thread));
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    fn a_sleeper_comes_to_rest_and_a_thread_of_ours_is_listed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is there");
        wait_asleep(child.id()).expect("it sleeps");
        let before = threads(child.id()).expect("readable");
        assert_eq!(before.len(), 1);
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert!(
            threads(std::process::id()).expect("readable").len() > 1,
            "a test runs in a thread of its own"
        );
    }
}
