//! Whose process is this? What has to be proved before anybody is sent a signal (P9).
//!
//! A pid is reused, belongs to one pid namespace, and outlives nothing. A process is *this daemon* when its start time,
//! boot and pid namespace are those of the record **and** its own descriptor table shows the exclusive flock on the inode
//! at the path; or, where there is no record, when it is a process of the same user and namespace that holds the flock of a
//! lock file of this name and runs this tool's daemon command. The caller opens a pidfd first, so that what is proved is
//! what is signalled.

mod daemons;
mod locker;
pub(crate) mod proc_text;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys;
use crate::{Advertisement, FileId, StateFile, Tool};

pub use daemons::{DaemonProcess, Loss, Standing, daemons, orphans_of, prove_orphan};
pub use locker::{Locker, find_locker, find_writer};

/// What the kernel appends to a path that leads to its file no more (`proc_pid_fd(5)`).
const DELETED: &str = " (deleted)";

/// The inode numbers of a process's namespaces (`namespaces(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// The pid namespace.
    pub pid: u64,
    /// The network namespace.
    pub net: u64,
}

/// What the record says of the process. A field is absent where the platform does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Start time in clock ticks after boot (`proc_pid_stat(5)`, field 22).
    #[serde(default)]
    pub start_time: Option<u64>,
    /// `/proc/sys/kernel/random/boot_id`.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// Inode number of the pid namespace.
    #[serde(default)]
    pub pid_ns: Option<u64>,
    /// Inode number of the network namespace.
    #[serde(default)]
    pub net_ns: Option<u64>,
}

impl ProcessRecord {
    /// What this process would write.
    pub fn of_this_process() -> Self {
        let pid = std::process::id();
        let namespaces = sys::namespaces(pid).ok();
        Self {
            start_time: sys::start_time(pid).ok().flatten(),
            boot_id: sys::boot_id(),
            pid_ns: namespaces.map(|found| found.pid),
            net_ns: namespaces.map(|found| found.net),
        }
    }
}

/// The host name of this machine, as records carry it.
pub fn host_name() -> String {
    sys::host_name()
}

/// A pid with the time at which its process started, so that it cannot come to mean another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId {
    /// The pid, in this pid namespace.
    pub pid: u32,
    /// Start time in clock ticks after boot.
    pub start_time: u64,
}

impl ProcessId {
    /// Whether that very process still exists (a zombie does not).
    pub fn is_alive(&self) -> bool {
        sys::start_time(self.pid).is_ok_and(|found| found == Some(self.start_time))
    }

    /// How long ago it started, to a second, suspend included. `None` where the platform does not tell.
    pub fn age(&self) -> Option<Duration> {
        sys::since_start(self.start_time)
    }
}

/// An exclusive flock that a process's descriptor table shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFlock {
    /// The locked file.
    pub file: FileId,
    /// Its path as the kernel shows it, with ` (deleted)` where it has none any more.
    pub path: PathBuf,
    /// How many links it has.
    pub links: u64,
    /// Whether it is a regular file with nothing in it, as a lock is.
    pub is_empty_file: bool,
}

impl HeldFlock {
    /// Whether the file's name is or was this one.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let shown = self.path.file_name().map(|shown| shown.to_string_lossy()).unwrap_or_default();
        shown.strip_suffix(DELETED).unwrap_or(&shown) == name
    }
}

/// Why a process is not proved to be the daemon; no signal is then sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The record does not say enough to identify a process (a reference daemon's, or another platform's).
    #[error("the record does not identify a process")]
    Unidentified,
    /// Another boot of this machine, or another machine.
    #[error("the record is of another boot")]
    OtherBoot,
    /// Another pid namespace: the pid means somebody else here.
    #[error("the record is of another pid namespace")]
    OtherNamespace,
    /// There is no such process.
    #[error("process {0} is gone")]
    Gone(u32),
    /// The pid was reused.
    #[error("process {0} is another one: it started at another time")]
    Reused(u32),
    /// It does not hold the lock.
    #[error("process {0} does not hold the lock")]
    NotHolding(u32),
    /// It is this process or one that this process descends from.
    #[error("process {0} is this command or one of its ancestors")]
    SelfOrAncestor(u32),
    /// It holds the lock of its directory, or the contrary is not shown.
    #[error("process {0} is not shown to have lost its lock")]
    NotOrphan(u32),
    /// It has lost its lock if its directory was the one that it seems to have been.
    #[error("process {0} does not say for certain which directory it was started for")]
    Uncertain(u32),
    /// It is not this tool's daemon of this user.
    #[error("process {0} is not a daemon of this tool and user")]
    NotOurs(u32),
    /// It could not be told.
    #[error("cannot look at process {pid}")]
    Unknown {
        /// The pid.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
}

/// P9 (a): proves that the process a record names is the daemon that holds `lock`, the file now at the path.
///
/// # Errors
///
/// Why it is not proved.
///
/// # Platform notes
///
/// Only Linux shows another process's locks; elsewhere this always refuses.
pub fn prove_recorded(record: &Advertisement, lock: FileId) -> Result<ProcessId, Refusal> {
    let pid = record.pid;
    let unknown = |source| Refusal::Unknown { pid, source };
    let process = record.process.as_ref().ok_or(Refusal::Unidentified)?;
    let (Some(start_time), Some(boot_id), Some(pid_ns)) =
        (process.start_time, &process.boot_id, process.pid_ns)
    else {
        return Err(Refusal::Unidentified);
    };
    match sys::boot_id() {
        None => return Err(unknown(io::Error::other("`/proc` does not tell of processes"))),
        Some(own) if own != *boot_id => return Err(Refusal::OtherBoot),
        Some(_) => {}
    }
    if sys::namespaces(std::process::id()).map_err(unknown)?.pid != pid_ns {
        return Err(Refusal::OtherNamespace);
    }
    if is_self_or_ancestor(pid) {
        return Err(Refusal::SelfOrAncestor(pid));
    }
    match sys::start_time(pid).map_err(unknown)? {
        None => return Err(Refusal::Gone(pid)),
        Some(found) if found != start_time => return Err(Refusal::Reused(pid)),
        Some(_) => {}
    }
    if sys::namespaces(pid).map_err(unknown)?.pid != pid_ns {
        return Err(Refusal::OtherNamespace);
    }
    let holds = sys::held_flocks(pid).map_err(unknown)?.iter().any(|held| held.file == lock);
    if holds { Ok(ProcessId { pid, start_time }) } else { Err(Refusal::NotHolding(pid)) }
}

/// A daemon process of this tool and user, found by the lock in its descriptor table and by no record.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The process.
    pub process: ProcessId,
    /// The lock it holds.
    pub lock: HeldFlock,
}

/// P9 (b): every process of this user, in this pid namespace, that holds the flock of a lock file of this tool's name and
/// runs this tool's daemon command. Itself and its ancestors left out.
///
/// # Errors
///
/// When the process table cannot be read.
pub fn find_holders(tool: &Tool) -> io::Result<Vec<Holder>> {
    let mut found = Vec::new();
    for pid in sys::all_pids()? {
        if let Ok(holder) = prove_holder(tool, pid) {
            found.push(holder);
        }
    }
    // A child between `fork` and `exec` has everything of its parent's, the lock included, and is no daemon.
    let holders: Vec<_> = found.iter().map(|holder| (holder.process.pid, holder.lock.file)).collect();
    found.retain(|holder| match sys::parent(holder.process.pid) {
        Ok(Some(parent)) => !holders.contains(&(parent, holder.lock.file)),
        _ => true,
    });
    Ok(found)
}

/// P9 (b) of one process.
///
/// # Errors
///
/// Why it is not proved.
pub fn prove_holder(tool: &Tool, pid: u32) -> Result<Holder, Refusal> {
    let unknown = |source| Refusal::Unknown { pid, source };
    let own = std::process::id();
    let start_time = prove_program(tool, pid)?;
    let namespace = |pid| sys::namespaces(pid).map(|found| found.pid).map_err(unknown);
    if namespace(pid)? != namespace(own)? {
        return Err(Refusal::OtherNamespace);
    }
    if is_self_or_ancestor(pid) {
        return Err(Refusal::SelfOrAncestor(pid));
    }
    let name = tool.file_name(StateFile::Lock);
    let held = sys::held_flocks(pid).map_err(unknown)?;
    let lock = held.into_iter().find(|held| held.is_named(&name)).ok_or(Refusal::NotHolding(pid))?;
    Ok(Holder { process: ProcessId { pid, start_time }, lock })
}

/// The part of P9 (b) that is about the program: a process of this user that runs this tool's daemon. Its start time.
fn prove_program(tool: &Tool, pid: u32) -> Result<u64, Refusal> {
    let unknown = |source| Refusal::Unknown { pid, source };
    let start_time = sys::start_time(pid).map_err(unknown)?.ok_or(Refusal::Gone(pid))?;
    if sys::owner_uid(pid).map_err(unknown)? != sys::owner_uid(std::process::id()).map_err(unknown)? {
        return Err(Refusal::NotOurs(pid));
    }
    let words = |arguments: Vec<std::ffi::OsString>| -> Vec<String> {
        arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
    };
    let commanded = sys::arguments(pid).is_ok_and(|given| tool.is_daemon_command(&words(given)));
    if commanded && runs_program_of(tool, pid) { Ok(start_time) } else { Err(Refusal::NotOurs(pid)) }
}

/// Whether the process runs the program that this process runs, by its file's name, or one named like the tool: arguments
/// alone are anybody's to give.
fn runs_program_of(tool: &Tool, pid: u32) -> bool {
    let name = |pid| {
        let program = sys::program(pid).ok()?;
        let name = program.file_name()?.to_string_lossy().into_owned();
        Some(name.strip_suffix(DELETED).map_or(name.clone(), str::to_owned))
    };
    name(pid).is_some_and(|program| program == tool.name() || Some(program) == name(std::process::id()))
}

/// Whether a process is stopped, by a signal or a debugger. For an error to say; nothing is proved by it.
///
/// # Platform notes
///
/// Only Linux tells.
pub fn is_paused(pid: u32) -> bool {
    sys::is_paused(pid).unwrap_or(false)
}

/// Whether a record was written where its pid and address cannot be judged from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Another host.
    Host(String),
    /// Another boot of a host of this name.
    Boot,
    /// Another pid or network namespace (a container).
    Namespace,
}

impl Elsewhere {
    /// Where the record was written, if not here. A record that does not say is taken to be from here.
    pub fn of(record: &Advertisement) -> Option<Self> {
        let process = record.process.as_ref()?;
        let other_host = !record.host.is_empty() && record.host != sys::host_name();
        match (&process.boot_id, sys::boot_id()) {
            // One boot is one machine, whatever it is called by now.
            (Some(recorded), Some(own)) if *recorded == own => {}
            (Some(_), Some(_)) if !other_host => return Some(Self::Boot),
            _ if other_host => return Some(Self::Host(record.host.clone())),
            _ => {}
        }
        let own = sys::namespaces(std::process::id()).ok()?;
        let differs = |recorded: Option<u64>, here| recorded.is_some_and(|recorded| recorded != here);
        (differs(process.pid_ns, own.pid) || differs(process.net_ns, own.net)).then_some(Self::Namespace)
    }
}

fn is_self_or_ancestor(pid: u32) -> bool {
    let mut at = std::process::id();
    // A process tree is not deeper than this; a table that changes underneath cannot keep us here.
    for _ in 0..512 {
        if at == pid {
            return true;
        }
        match sys::parent(at) {
            Ok(Some(parent)) if parent != 0 && parent != at => at = parent,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn self_and_ancestors_are_known() {
        assert!(is_self_or_ancestor(std::process::id()));
        assert!(is_self_or_ancestor(1) || sys::parent(std::process::id()).is_err());
        assert!(!is_self_or_ancestor(u32::MAX));
    }

    #[test]
    fn a_record_without_identity_proves_nobody() {
        let text = format!(
            r#"{{"url":"http://127.0.0.1:1","pid":{},"version":"1","started_at":"","token":"t"}}"#,
            std::process::id()
        );
        let crate::Reading::Present(record) = Advertisement::parse(text.as_bytes()) else {
            panic!("a record")
        };
        assert!(matches!(prove_recorded(&record, FileId { dev: 0, ino: 0 }), Err(Refusal::Unidentified)));
        assert_eq!(Elsewhere::of(&record), None);
    }
}
