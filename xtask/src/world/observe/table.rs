//! The process table below this program.
//!
//! This program is a child subreaper (`PR_SET_CHILD_SUBREAPER`, prctl(2)): whatever process a client leaves becomes our
//! child instead of init's. So every process that any client ever started is a descendant of ours while it lives, and
//! stays in the table as a zombie until we take its status. If its own parent took it, the parent's account of dead
//! children shows that. None can come and go unseen between two looks.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{getpid, set_child_subreaper};

use super::files::FileId;

/// A line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub(crate) pid: u32,
    /// Clock ticks from boot to its start.
    start: u64,
    pub(crate) zombie: bool,
    parent: u32,
}

/// Makes orphans below us our children.
pub(crate) fn become_subreaper() -> Result<()> {
    set_child_subreaper(Some(getpid())).context("cannot become a child subreaper")
}

/// Every process below this one, in the order of their starts.
pub(crate) fn descendants() -> Result<Vec<Entry>> {
    let entries = fs::read_dir("/proc").context("cannot read `/proc`")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: HashMap<u32, Entry> = pids
        .filter_map(|pid| Some((pid, parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect();
    let ours = std::process::id();
    let mut found: Vec<Entry> =
        all.values().copied().filter(|entry| entry.pid != ours && is_below(&all, *entry, ours)).collect();
    found.sort_by_key(|entry| (entry.start, entry.pid));
    Ok(found)
}

fn is_below(all: &HashMap<u32, Entry>, entry: Entry, ancestor: u32) -> bool {
    let mut parent = entry.parent;
    // The table was not read in one instant: a chain may have a loop in it, but none is longer than the table.
    for _ in 0..all.len() {
        match all.get(&parent) {
            _ if parent == ancestor => return true,
            Some(next) => parent = next.parent,
            None => return false,
        }
    }
    false
}

/// Reads a `/proc/PID/stat` line: `pid (comm) state ppid …`, start time in column 22 (`proc_pid_stat(5)`).
///
/// The command's name may have blanks and parentheses in it: the last `)` ends it.
fn parse(line: &str) -> Option<Entry> {
    let (pid, rest) = line.split_once(" (")?;
    let columns: Vec<&str> = rest.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Entry {
        pid: pid.parse().ok()?,
        zombie: matches!(*columns.first()?, "Z" | "X"),
        parent: columns.get(1)?.parse().ok()?,
        start: columns.get(19)?.parse().ok()?,
    })
}

/// Whether a process has ever waited for the end of a child: it then answers for the child's page faults, and no program
/// starts without any (`cminflt` and `cmajflt`, columns 11 and 13). To be asked of a zombie too, before it is reaped.
pub(crate) fn has_reaped(pid: u32) -> Result<bool> {
    let path = format!("/proc/{pid}/stat");
    let line = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let faults = childrens_faults(&line);
    Ok(faults.with_context(|| format!("cannot understand `{path}`"))? > 0)
}

fn childrens_faults(line: &str) -> Option<u64> {
    let columns: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let (minor, major): (u64, u64) = (columns.get(8)?.parse().ok()?, columns.get(10)?.parse().ok()?);
    Some(minor + major)
}

/// Whether the process executes that very file.
pub(crate) fn runs(pid: u32, program: &Path) -> Result<bool> {
    let link = format!("/proc/{pid}/exe");
    let executed = fs::metadata(&link).with_context(|| format!("cannot look at `{link}`"))?;
    let program = fs::metadata(program).with_context(|| format!("cannot look at `{}`", program.display()))?;
    Ok(FileId::of(&executed) == FileId::of(&program))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_stat_line_with_a_nasty_name_is_read() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876 1 1";
        let entry = parse(line).expect("well formed");
        assert_eq!((entry.pid, entry.parent, entry.start, entry.zombie), (42, 7, 9876, false));
    }

    #[test]
    fn a_parent_that_reaped_is_known_by_its_account() {
        for (script, reaped) in [("/bin/true; exec sleep 60", true), ("exec sleep 60", false)] {
            let mut child = Command::new("sh").args(["-c", script]).spawn().expect("sh is there");
            let comm = format!("/proc/{}/comm", child.id());
            let deadline = crate::world::clock::Deadline::after(std::time::Duration::from_secs(10));
            while fs::read_to_string(&comm).expect("alive").trim() != "sleep" {
                assert!(!deadline.left().is_zero(), "the script has not come to its sleep");
                std::thread::yield_now();
            }
            child.kill().expect("killed");
            let process = crate::world::process::Process::open(child.id()).expect("not yet reaped");
            assert!(process.wait_gone(std::time::Duration::from_secs(10)).expect("pollable"));
            assert_eq!(has_reaped(child.id()).expect("a zombie has a line"), reaped, "{script}");
            child.wait().expect("reaped");
        }
    }

    #[test]
    fn a_child_is_below_us_and_a_zombie_until_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep is there");
        let find = || descendants().expect("readable").into_iter().find(|entry| entry.pid == child.id());
        assert!(find().is_some_and(|entry| !entry.zombie));
        let process = crate::world::process::Process::open(child.id()).expect("alive");
        process.signal(rustix::process::Signal::KILL).expect("ours");
        assert!(process.wait_gone(std::time::Duration::from_secs(10)).expect("pollable"));
        assert!(find().is_some_and(|entry| entry.zombie));
        child.wait().expect("reaped");
    }
}
