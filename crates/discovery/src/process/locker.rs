//! Who has the flock of a file, for an error to name. Nothing is proved by it, and nobody is signalled for it.

use std::path::Path;

use super::{ProcessId, prove_holder, prove_recorded};
use crate::sys;
use crate::{Advertisement, Reading, StateDir, StateFile};

/// The process that keeps the directory locked, in which the owner writes under such a lock: for an error to name. One that
/// was stopped in the middle of its writing keeps it for as long as it is stopped.
///
/// # Platform notes
///
/// Only Linux tells.
pub fn find_writer(state_dir: &StateDir) -> Option<ProcessId> {
    find_flock(state_dir.root())
}

/// Whoever has the flock of a file, a daemon or not: for an error to name, never for a signal.
#[derive(Clone, Debug)]
pub struct Locker {
    /// The process.
    pub process: ProcessId,
    /// Whether it is a daemon of this tool and user ([`prove_holder`]), or is proved to be the recorded one.
    pub is_daemon: bool,
    /// Whether it is in another pid namespace: a container, most likely.
    pub is_elsewhere: bool,
    /// Whether it is stopped, by a signal or a debugger.
    pub is_paused: bool,
    /// The name of its program, if that may be known.
    pub program: Option<String>,
}

/// Who holds the lock or the gate of a directory, of those processes into whose descriptor table this user may look.
///
/// # Platform notes
///
/// Only Linux tells.
pub fn find_locker(state_dir: &StateDir, file: StateFile) -> Option<Locker> {
    let process = find_flock(&state_dir.path(file))?;
    let program = sys::program(process.pid).ok();
    Some(Locker {
        process,
        is_daemon: prove_holder(state_dir.tool(), process.pid).is_ok()
            || is_recorded(state_dir, process, file),
        is_elsewhere: is_elsewhere(process.pid),
        is_paused: sys::is_paused(process.pid).unwrap_or(false),
        program: program.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
    })
}

fn is_recorded(state_dir: &StateDir, process: ProcessId, file: StateFile) -> bool {
    let Ok(Reading::Present(record)) = Advertisement::read(state_dir) else { return false };
    let Ok(lock) = sys::path_identity(&state_dir.path(file)) else { return false };
    prove_recorded(&record, lock).is_ok_and(|proved| proved == process)
}

fn is_elsewhere(pid: u32) -> bool {
    let pid_namespace = |pid| sys::namespaces(pid).map(|found| found.pid);
    matches!((pid_namespace(pid), pid_namespace(std::process::id())), (Ok(there), Ok(here)) if there != here)
}

fn find_flock(path: &Path) -> Option<ProcessId> {
    let file = sys::path_identity(path).ok()?;
    sys::all_pids().ok()?.into_iter().find_map(|pid| {
        let holds = sys::held_flocks(pid).ok()?.iter().any(|held| held.file == file);
        let start_time = holds.then(|| sys::start_time(pid).ok().flatten()).flatten()?;
        Some(ProcessId { pid, start_time })
    })
}
