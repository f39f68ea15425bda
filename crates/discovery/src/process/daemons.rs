//! The daemons of this user, as the process table shows them: found by the lock that each holds, and by no record.
//!
//! # Owner or orphan?
//!
//! A daemon compares its held lock with the path at which it *started*. Somebody else has to find out which path that was:
//! the link in the descriptor table shows where the file is *now*. A file without any link left is an orphan's, wherever it
//! was. Where a link remains (something was moved away) the start is told by the arguments or the variable that name the
//! directory, if they do so without a symlink that may since have come to point elsewhere. In any doubt it is no proof, and
//! nobody is ended for it ([`prove_orphan`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::proc_text::named_by_option;
use super::{HeldFlock, Holder, ProcessId, Refusal, is_self_or_ancestor, prove_program};
use crate::{Advertisement, FileId, Reading, StateDir, StateFile, Tool, sys};

/// A daemon process of this tool and user.
#[derive(Clone, Debug)]
pub struct DaemonProcess {
    /// The process.
    pub process: ProcessId,
    /// The lock it holds.
    pub lock: HeldFlock,
    /// What that makes it.
    pub standing: Standing,
    /// Whether it is stopped (`SIGSTOP`, a debugger).
    pub paused: bool,
    /// The directory that it was started for, as far as that is known.
    pub started_in: Option<PathBuf>,
    /// The directory in which the held file is now; `None` where it is in none any more.
    pub now_in: Option<PathBuf>,
    /// How long it has run. `None` where the platform does not tell.
    pub age: Option<Duration>,
    /// Whether its program's file was removed or replaced since it started.
    pub program_replaced: bool,
    /// The record that names this very process (pid, start time and boot), if there is one.
    pub record: Option<Box<Advertisement>>,
}

/// What the held lock makes of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The held file is the one at the path. Also where the contrary is not shown.
    Owner,
    /// It is not.
    Orphan(Loss),
    /// In another pid or mount namespace, or below another root: its paths mean something else here.
    Foreign,
}

/// How an orphan lost its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The held file has no link left: nobody can come to hold it by any path.
    Unlinked,
    /// Another file stands at the path.
    Replaced(FileId),
    /// Nothing stands at the path, and the held file is elsewhere. It may come back.
    Moved,
    /// One of the last two, if the path is the one it started with, which is likely and not certain.
    Presumed,
}

impl DaemonProcess {
    /// Whether it is an orphan.
    pub fn is_orphan(&self) -> bool {
        matches!(self.standing, Standing::Orphan(_))
    }

    /// Whether it was started for this directory, or its lock is in it.
    pub fn concerns(&self, state_dir: &StateDir) -> bool {
        let root = Some(state_dir.root());
        self.started_in.as_deref() == root || self.now_in.as_deref() == root || self.link_dir() == root
    }

    /// The directory of the held file as the link shows it, also where it is gone.
    pub fn link_dir(&self) -> Option<&Path> {
        self.lock.path.parent()
    }

    /// The file that stands at the path of its lock now. `None`: nothing, or it cannot be told.
    pub fn lock_at_path(&self, tool: &Tool) -> Option<FileId> {
        let directory = self.started_in.as_deref().or_else(|| self.link_dir())?;
        match self.standing {
            Standing::Foreign => None,
            _ => sys::path_identity(&directory.join(tool.file_name(StateFile::Lock))).ok(),
        }
    }
}

/// Every daemon of this tool that runs as this user (as root: root's only), in the order of their starts; also in other
/// namespaces that are visible from here, and also this process's own ancestors.
///
/// # Errors
///
/// When the process table cannot be read. What vanishes while it is read, or cannot be looked at, is left out.
///
/// # Platform notes
///
/// Only Linux shows another process's locks; elsewhere this is `Unsupported`.
pub fn daemons(tool: &Tool) -> std::io::Result<Vec<DaemonProcess>> {
    // A table that says nothing of this process would make an empty list look like an answer.
    sys::start_time(std::process::id())?.ok_or(std::io::ErrorKind::NotFound)?;
    let mut found: Vec<_> = sys::all_pids()?.into_iter().filter_map(|pid| look_at(tool, pid).ok()).collect();
    // A child between `fork` and `exec` has everything of its parent's, the lock included, and is no daemon.
    let holders: Vec<_> = found.iter().map(|daemon| (daemon.process.pid, daemon.lock.file)).collect();
    found.retain(|daemon| match sys::parent(daemon.process.pid) {
        Ok(Some(parent)) => !holders.contains(&(parent, daemon.lock.file)),
        _ => true,
    });
    found.sort_by_key(|daemon| (daemon.process.start_time, daemon.process.pid));
    Ok(found)
}

/// The daemons that once were this directory's and still live, by what they hold.
///
/// # Errors
///
/// As for [`daemons`].
pub fn orphans_of(state_dir: &StateDir) -> std::io::Result<Vec<Holder>> {
    let mut found = daemons(state_dir.tool())?;
    found.retain(|daemon| daemon.is_orphan() && daemon.concerns(state_dir));
    Ok(found.into_iter().map(|daemon| Holder { process: daemon.process, lock: daemon.lock }).collect())
}

/// P9 (b) for an orphan: proves that this process is a daemon of this tool, user and namespace that has lost its lock. Not
/// itself, not an ancestor. The caller has opened a pidfd first, and looks twice where the loss is [`Loss::Moved`].
///
/// # Errors
///
/// Why it is not proved.
pub fn prove_orphan(tool: &Tool, pid: u32) -> Result<DaemonProcess, Refusal> {
    let daemon = look_at(tool, pid)?;
    if is_self_or_ancestor(pid) {
        return Err(Refusal::SelfOrAncestor(pid));
    }
    match daemon.standing {
        Standing::Foreign => Err(Refusal::OtherNamespace),
        Standing::Owner => Err(Refusal::NotOrphan(pid)),
        Standing::Orphan(Loss::Presumed) => Err(Refusal::Uncertain(pid)),
        Standing::Orphan(_) => Ok(daemon),
    }
}

fn look_at(tool: &Tool, pid: u32) -> Result<DaemonProcess, Refusal> {
    let unknown = |source| Refusal::Unknown { pid, source };
    let start_time = prove_program(tool, pid)?;
    let held = sys::held_flocks(pid).map_err(unknown)?;
    let lock = the_lock(tool, held).ok_or(Refusal::NotHolding(pid))?;
    let is_foreign = is_foreign(pid).map_err(unknown)?;
    let start = if is_foreign { None } else { Start::of(tool, pid) };
    let now_in = directory_now(&lock, is_foreign);
    let standing =
        if is_foreign { Standing::Foreign } else { standing(tool, &lock, now_in.as_deref(), start.as_ref()) };
    let mut daemon = DaemonProcess {
        process: ProcessId { pid, start_time },
        standing,
        paused: sys::is_paused(pid).map_err(unknown)?,
        started_in: start.map(|start| start.directory),
        now_in,
        age: sys::age(start_time),
        program_replaced: sys::program(pid).is_ok_and(|program| is_replaced(&program)),
        record: None,
        lock,
    };
    // An orphan's record is where its lock is; what stands at its old path is somebody else's.
    let record_in = match daemon.standing {
        Standing::Owner => daemon.started_in.as_deref().or(daemon.now_in.as_deref()),
        Standing::Orphan(_) => daemon.now_in.as_deref(),
        Standing::Foreign => None,
    };
    daemon.record = record_in.and_then(|directory| record_of(tool, directory, daemon.process));
    // The pid may have become another's between the first file that was read and the last.
    match sys::start_time(pid).map_err(unknown)? {
        Some(still) if still == start_time => Ok(daemon),
        Some(_) => Err(Refusal::Reused(pid)),
        None => Err(Refusal::Gone(pid)),
    }
}

/// The lock among what a process holds: the file of that name, or, where the file itself was renamed, the only empty one.
fn the_lock(tool: &Tool, held: Vec<HeldFlock>) -> Option<HeldFlock> {
    let name = tool.file_name(StateFile::Lock);
    if let Some(lock) = held.iter().find(|held| held.is_named(&name)) {
        return Some(lock.clone());
    }
    let mut empty = held.into_iter().filter(|held| held.is_empty_file);
    empty.next().filter(|_| empty.next().is_none())
}

fn is_foreign(pid: u32) -> std::io::Result<bool> {
    let own = std::process::id();
    Ok(sys::namespaces(pid)?.pid != sys::namespaces(own)?.pid || sys::path_view(pid)? != sys::path_view(own)?)
}

/// Where the held file is, if it is anywhere: the link is believed only if that file does stand there.
fn directory_now(lock: &HeldFlock, is_foreign: bool) -> Option<PathBuf> {
    let stands = is_foreign || sys::path_identity(&lock.path).is_ok_and(|found| found == lock.file);
    (stands && lock.links > 0).then(|| lock.path.parent().map(Path::to_owned)).flatten()
}

fn standing(tool: &Tool, lock: &HeldFlock, now_in: Option<&Path>, start: Option<&Start>) -> Standing {
    if lock.links == 0 {
        return Standing::Orphan(Loss::Unlinked);
    }
    let name = tool.file_name(StateFile::Lock);
    let Some(start) = start else { return Standing::Owner };
    let loss = match sys::path_identity(&start.directory.join(&name)) {
        Ok(found) if found == lock.file => return Standing::Owner,
        Ok(found) => Loss::Replaced(found),
        Err(error) if sys::proves_absence(&error) => Loss::Moved,
        // P5: an error is no proof.
        Err(_) => return Standing::Owner,
    };
    let is_a_lock_somewhere = now_in.is_some_and(|now| lock.path == now.join(&name));
    match start.told {
        Told::Plainly => Standing::Orphan(loss),
        // An embedder with a rule of its own may well have its directory there.
        Told::Nothing if is_a_lock_somewhere => Standing::Owner,
        Told::Nothing | Told::ThroughSymlink => Standing::Orphan(Loss::Presumed),
    }
}

/// The directory that a process was started for.
struct Start {
    directory: PathBuf,
    told: Told,
}

/// How sure that directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The process's own arguments or variable name it.
    Plainly,
    /// They do, through a symlink that may have pointed elsewhere when it started.
    ThroughSymlink,
    /// They don't: it is the default below its home.
    Nothing,
}

impl Start {
    /// By the rules of [`StateDir::resolve`], applied to what that process was given.
    fn of(tool: &Tool, pid: u32) -> Option<Self> {
        let option = named_by_option(&sys::arguments(pid).unwrap_or_default());
        let environment = sys::environment(pid).unwrap_or_default();
        let variable = |name: &str| sys::variable_in(&environment, name).filter(|value| !value.is_empty());
        let named = option.or_else(|| variable(&tool.env_var("STATE_DIR"))).map(PathBuf::from);
        let is_named = named.is_some();
        let given = match named {
            Some(named) if named.is_absolute() => named,
            Some(named) => sys::working_directory(pid).ok()?.join(named),
            None => PathBuf::from(variable("HOME")?).join(tool.dir_name()),
        };
        let directory = StateDir::resolve(tool, Some(&given)).ok()?.root().to_owned();
        let told = match is_named {
            true if directory == given => Told::Plainly,
            true => Told::ThroughSymlink,
            false => Told::Nothing,
        };
        Some(Self { directory, told })
    }
}

fn record_of(tool: &Tool, directory: &Path, process: ProcessId) -> Option<Box<Advertisement>> {
    let state_dir = StateDir::resolve(tool, Some(directory)).ok()?;
    let Ok(Reading::Present(record)) = Advertisement::read(&state_dir) else { return None };
    let recorded = record.process.as_ref()?;
    let is_its = record.pid == process.pid
        && recorded.start_time == Some(process.start_time)
        && recorded.boot_id == sys::boot_id();
    is_its.then_some(record)
}

fn is_replaced(program: &Path) -> bool {
    program.to_string_lossy().ends_with(super::DELETED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_no_daemon() {
        let tool = Tool::new("aileron", "0.0.0");
        assert!(matches!(
            look_at(&tool, std::process::id()),
            Err(Refusal::NotOurs(_) | Refusal::Unknown { .. })
        ));
        assert!(prove_orphan(&tool, u32::MAX).is_err());
    }

    #[test]
    fn a_renamed_lock_is_the_only_empty_one() {
        let tool = Tool::new("aileron", "0.0.0");
        let held = |path: &str, ino, is_empty_file| HeldFlock {
            file: FileId { dev: 1, ino },
            path: path.into(),
            links: 1,
            is_empty_file,
        };
        let one = held("/x/aside", 1, true);
        assert_eq!(the_lock(&tool, vec![held("/x", 2, false), one.clone()]), Some(one.clone()));
        assert_eq!(the_lock(&tool, vec![held("/y", 2, true), one.clone()]), None, "which of the two?");
        let named = held("/x/daemon.lock (deleted)", 3, true);
        assert_eq!(the_lock(&tool, vec![one, named.clone()]), Some(named));
    }
}
