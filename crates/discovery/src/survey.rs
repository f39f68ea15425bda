//! What a diagnosis needs to know of a state directory and of the machine. It reads; what tightens a mode says so.
//!
//! Unlike everything else here it looks at directories that would be refused, for why they are refused is the question. What is
//! asked may lie on a dead file server, so the caller asks with a deadline of its own.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::{self, DirHandle, How};
use crate::{ProbeError, StateDir, StateFile, Tool};

/// The directory itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryFacts {
    /// Its permission bits.
    pub mode: u32,
    /// The uid of its owner.
    pub owner: u32,
    /// The effective uid of this process.
    pub user: u32,
}

/// One of the names in the directory that are this tool's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// What it is, if it is no regular file.
    pub odd_kind: Option<&'static str>,
    /// Its permission bits.
    pub mode: u32,
    /// The uid of its owner.
    pub owner: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// What a name in the directory is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of the files of `docs/state-dir.md`.
    File,
    /// In the middle of being written, or left so by a crash.
    Temporary,
    /// Stood in a file's place, and was moved aside by an owner.
    Aside,
}

/// Whether a file system keeps two processes from having the same exclusive lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// A second open was refused.
    Enforced,
    /// A second open was granted it too.
    NotEnforced,
    /// It could not be tried without making or changing something.
    Untested,
}

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The number by which Linux knows its kind (`statfs(2)`, linux/magic.h).
    pub magic: Option<u32>,
    /// What this user may still write, in bytes.
    pub free_bytes: u64,
    /// How many files may still be made. `None` where the file system has no such number.
    pub free_files: Option<u64>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// What is used of a limited number, and the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// By the processes of this user that can be looked at.
    pub used: u64,
    /// At most.
    pub limit: u64,
}

/// The use of inotify by this user (`inotify(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InotifyUse {
    /// Instances.
    pub instances: Used,
    /// Watches, over all instances.
    pub watches: Used,
}

/// Looks at the directory, whatever its mode and owner.
///
/// # Errors
///
/// As the system says: `NotFound`, or that it is no directory.
pub fn directory(state_dir: &StateDir) -> io::Result<DirectoryFacts> {
    let facts = DirHandle::open(state_dir.root())?.facts()?;
    Ok(DirectoryFacts { mode: facts.mode, owner: facts.owner, user: facts.user })
}

/// The files of this tool that are there, temporary ones and ones moved aside included, by name.
///
/// # Errors
///
/// When the directory cannot be read.
pub fn entries(state_dir: &StateDir) -> io::Result<Vec<Entry>> {
    let dir = DirHandle::open(state_dir.root())?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(state_dir.root())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // What goes while it is looked at is not there.
        let entry = role_of(state_dir.tool(), &name).and_then(|role| dir.entry(&name, role).ok());
        found.extend(entry);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

const FILES: [StateFile; 8] = [
    StateFile::Lock,
    StateFile::Gate,
    StateFile::Record,
    StateFile::Pid,
    StateFile::Log,
    StateFile::OldLog,
    StateFile::Exit,
    StateFile::Hold,
];

/// `None`: not one of this tool's names.
pub(crate) fn role_of(tool: &Tool, name: &str) -> Option<Role> {
    if [StateFile::Record, StateFile::Pid].iter().any(|file| tool.temporary_name(*file) == name) {
        return Some(Role::Temporary);
    }
    FILES.iter().find_map(|file| match name.strip_prefix(&tool.file_name(*file))? {
        "" => Some(Role::File),
        rest => rest.starts_with(".aside.").then_some(Role::Aside),
    })
}

/// Whether locks keep others out here (P1). Nothing is written and no file made: the lock file is tried, or the directory's own
/// lock where there is none. A starter is patient enough for the moment that this takes.
///
/// # Errors
///
/// When the directory is refused, or the file system has no locks ([`ProbeError::NoLocks`]).
pub fn lock_enforcement(state_dir: &StateDir) -> Result<Enforcement, ProbeError> {
    let dir = state_dir.open()?;
    let name = state_dir.tool().file_name(StateFile::Lock);
    let path = || state_dir.path(StateFile::Lock);
    let failed = |source: io::Error| {
        if sys::has_no_locks(&source) {
            ProbeError::NoLocks { path: path(), source }
        } else {
            ProbeError::Io { step: "test the lock", path: path(), source }
        }
    };
    let (first, second) = match (dir.open_file(&name, How::Read), dir.open_file(&name, How::Read)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) if sys::proves_absence(&error) => {
            return directory_enforcement(state_dir, &dir);
        }
        (Err(error), _) | (_, Err(error)) => return Err(failed(error)),
    };
    let (one, other) = (sys::held_facts(&first).map_err(failed)?, sys::held_facts(&second).map_err(failed)?);
    if !one.regular || one.id != other.id {
        return Ok(Enforcement::Untested);
    }
    // Refused already: somebody has it, and that is what was to be shown.
    if !sys::try_lock_shared(&first).map_err(failed)? {
        return Ok(Enforcement::Enforced);
    }
    match sys::try_lock_exclusive(&second) {
        Ok(false) => Ok(Enforcement::Enforced),
        Ok(true) => Ok(Enforcement::NotEnforced),
        // Over NFS an exclusive lock takes a file that is open for writing (`flock(2)`).
        Err(error) if sys::has_no_locks(&error) => Err(failed(error)),
        Err(_) => Ok(Enforcement::Untested),
    }
}

fn directory_enforcement(state_dir: &StateDir, first: &DirHandle) -> Result<Enforcement, ProbeError> {
    let failed =
        |source| ProbeError::Io { step: "test the lock of", path: state_dir.root().to_owned(), source };
    let second = state_dir.open()?;
    Ok(match first.try_lock().map_err(failed)? {
        None => Enforcement::Untested,
        Some(false) => Enforcement::Enforced,
        Some(true) => match second.try_lock().map_err(failed)? {
            Some(true) => Enforcement::NotEnforced,
            Some(false) => Enforcement::Enforced,
            None => Enforcement::Untested,
        },
    })
}

/// The deepest directory on the way to the state directory that exists, itself included.
pub fn nearest_existing(state_dir: &StateDir) -> PathBuf {
    let exists = |path: &&Path| std::fs::symlink_metadata(path).is_ok();
    state_dir.root().ancestors().find(exists).unwrap_or(Path::new("/")).to_owned()
}

/// Whether this process may make files in a directory, as `faccessat(2)` has it.
pub fn may_write_in(directory: &Path) -> bool {
    sys::may_write_in(directory)
}

/// Whether this process may append to the log that is there. Without one the directory decides.
pub fn may_write_log(state_dir: &StateDir) -> bool {
    sys::may_write_file(&state_dir.path(StateFile::Log))
}

/// The file system at a path.
///
/// # Errors
///
/// As the system says.
///
/// # Platform notes
///
/// `Unsupported` on Windows.
pub fn file_system(path: &Path) -> io::Result<FileSystem> {
    sys::file_system(path)
}

/// What this user uses of inotify.
///
/// # Errors
///
/// When the process table or the limits cannot be read.
///
/// # Platform notes
///
/// Linux only.
pub fn inotify_use() -> io::Result<InotifyUse> {
    sys::inotify_use()
}

/// The control group of a process, as `/proc/PID/cgroup` has it (`cgroups(7)`): the unified hierarchy's, or systemd's own.
///
/// # Errors
///
/// When it cannot be read.
///
/// # Platform notes
///
/// Linux only.
pub fn control_group(pid: u32) -> io::Result<String> {
    sys::control_group(pid)
}

/// Whether the process table tells of processes at all.
pub fn has_process_table() -> bool {
    sys::start_time(std::process::id()).is_ok_and(|found| found.is_some())
}

/// Takes all access to the directory from others. Returns the mode it had.
///
/// # Errors
///
/// When it is not this user's, or the system does not let it.
pub fn make_directory_private(state_dir: &StateDir) -> io::Result<u32> {
    let dir = DirHandle::open(state_dir.root())?;
    let facts = dir.facts()?;
    if facts.owner != facts.user {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    dir.make_private()?;
    Ok(facts.mode)
}

/// Takes all access to a file of the directory from others, and leaves its owner's as it is. Returns the mode it had.
///
/// # Errors
///
/// When it is no regular file of this user's with one name, or the system does not let it.
pub fn make_file_private(state_dir: &StateDir, name: &str) -> io::Result<u32> {
    DirHandle::open(state_dir.root())?.make_file_private(name)
}
