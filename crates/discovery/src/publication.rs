//! What the owner writes: publish, restore, withdraw, and why it left.
//!
//! Each is done through the directory handle that came with the lock, so that a directory which was removed and made again
//! is never touched by accident, and under an exclusive `flock` on that handle with ownership asked again inside. Without
//! that critical section a successor can publish between a leaving owner's last look and its `unlink`, and lose its record
//! (5 of 5 times when the two were made to meet). With it, whoever publishes second has its record on disk last:
//!
//! * we look, still owner, unlink our record, free the directory; the successor publishes after that; or
//! * the successor published before; then it holds a lock file at the path that is not ours, we see so, and touch nothing.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::record::read_capped;
use crate::sys::{self, How};
use crate::{Advertisement, Deadline, ExitRecord, NotOwner, OwnerLock, StateFile, failpoint};

/// How long somebody else may hold the directory's lock before the record is left alone.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same for what can be tried again: the owner's keeper has a lock to watch meanwhile.
const BRIEF: Duration = Duration::from_millis(10);

/// Why nothing was written or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// This process is not, or not for certain, the owner any more (P4).
    #[error("not the owner of `{path}` any more")]
    NotOwner {
        /// The lock file.
        path: PathBuf,
    },
    /// Another process keeps the directory locked.
    #[error("the directory `{path}` is kept locked by another process")]
    DirectoryBusy {
        /// The state directory.
        path: PathBuf,
    },
    /// The directory cannot be locked here (network file systems, Windows), so nothing is withdrawn by name.
    #[error("the directory `{path}` cannot be locked on this file system")]
    NoDirectoryLock {
        /// The state directory.
        path: PathBuf,
    },
    /// Something stands in the record's place that is not ours to remove.
    #[error("`{path}` is {kind} and stands in the record's place; move it away")]
    Obstructed {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// What was read back is not what was written.
    #[error("`{path}` does not read back as it was written")]
    NotKept {
        /// The file.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("cannot write `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PublishError {
    /// What it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::NotOwner { path }
            | Self::DirectoryBusy { path }
            | Self::NoDirectoryLock { path }
            | Self::Obstructed { path, .. }
            | Self::NotKept { path }
            | Self::Io { path, .. } => path,
        }
    }
}

/// More names than this are not counted: the owner's keeper has a lock to watch meanwhile.
const MAX_NAMES: usize = 1 << 16;

impl OwnerLock {
    /// Publishes the record and, after it, the pid file.
    ///
    /// Each goes to a temporary file that is renamed over the name. No `fsync(2)`: the record dies with the boot anyway,
    /// and two of them cost up to 22 ms. An empty directory in the way is removed, a full one moved aside.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotOwner`] when this is not the owner; else what was in the way. Half a publication is not taken back: a
    /// stale record is every client's daily bread, and may be the only one to tell of the last epoch.
    pub fn publish(&self, record: &Advertisement) -> Result<(), PublishError> {
        self.publish_within(PATIENCE, record)?;
        if self.make_room_for_the_exit_record().is_err() { /* then there will be none */ }
        Ok(())
    }

    /// A leaving owner writes into a file that is there and makes no name: one that came in the middle of somebody's `rm -rf`
    /// would make it fail.
    fn make_room_for_the_exit_record(&self) -> Result<(), PublishError> {
        let name = self.state_dir.tool().file_name(StateFile::Exit);
        self.in_critical_section(PATIENCE, |_| {
            if self.dir.exists(&name).unwrap_or(true) && self.is_ours_alone(&name) {
                return Ok(());
            }
            let made = self.clear(&name).and_then(|()| self.dir.open_file(&name, How::CreateNew));
            failpoint!("exit_made");
            made.map(drop).map_err(|source| self.io(StateFile::Exit, source))
        })
    }

    /// Publishes again what was damaged; gives up at once while somebody else has the directory locked.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn restore(&self, record: &Advertisement) -> Result<(), PublishError> {
        self.publish_within(BRIEF, record)
    }

    fn publish_within(&self, patience: Duration, record: &Advertisement) -> Result<(), PublishError> {
        let bytes = record.to_bytes();
        self.in_critical_section(patience, |_| {
            self.replace(StateFile::Record, &bytes)?;
            failpoint!("record_renamed");
            self.replace(StateFile::Pid, &pid_line(record))?;
            failpoint!("pid_renamed");
            // A network file system may keep what it likes; what clients would read is what counts.
            match self.contents(StateFile::Record) {
                Ok(Some(found)) if found == bytes => Ok(()),
                _ => Err(PublishError::NotKept { path: self.state_dir.path(StateFile::Record) }),
            }
        })
    }

    /// How many of record and pid file are not there as they were written.
    pub fn damaged_files(&self, record: &Advertisement) -> usize {
        let is_not = |file, bytes: &[u8]| !matches!(self.contents(file), Ok(Some(found)) if found == bytes);
        let record_gone = is_not(StateFile::Record, &record.to_bytes());
        let pid_gone = is_not(StateFile::Pid, &pid_line(record));
        usize::from(record_gone) + usize::from(pid_gone)
    }

    /// How many names there are in the directory and, on Linux, in the directories in it: for telling a removal, in which
    /// the number falls and falls, from other changes. `None` where it cannot be told, as above 65,536.
    ///
    /// # Platform notes
    ///
    /// Only Linux can look into a directory with the promise not to enter another file system there (`openat2(2)`,
    /// `RESOLVE_NO_XDEV`), whose server may be dead. Elsewhere, and before Linux 5.6, only the directory itself counts.
    pub fn count_names(&self) -> Option<usize> {
        self.dir.count_names(MAX_NAMES).ok().flatten()
    }

    /// Removes what a crash left of a publication. An owner that publishes does so anyway; this is for who only tidies up.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn sweep(&self) -> Result<(), PublishError> {
        self.in_critical_section(PATIENCE, |_| {
            for file in [StateFile::Record, StateFile::Pid] {
                let temporary = self.state_dir.tool().temporary_name(file);
                self.clear(&temporary).map_err(|source| self.io(file, source))?;
            }
            Ok(())
        })
    }

    /// Writes why this owner leaves, and removes the record and the pid file: one critical section for both. No name is made:
    /// where the file for the reason is gone, nothing is written.
    ///
    /// # Errors
    ///
    /// When this is not the owner, or the critical section cannot be had: everything is then left alone. Where the exit record
    /// cannot be written the record stays too, stale and with the epoch in it.
    pub fn withdraw(&self, exit: &ExitRecord) -> Result<(), PublishError> {
        self.in_critical_section(PATIENCE, |locked| {
            // First, so that a process killed in between leaves its epoch behind in one of the two.
            self.write_over(StateFile::Exit, &exit.to_bytes())?;
            failpoint!("exit_recorded");
            if !locked {
                return Err(PublishError::NoDirectoryLock { path: self.state_dir.root().to_owned() });
            }
            // The record first: a pid file without a record misleads nobody.
            self.remove(StateFile::Record)?;
            failpoint!("record_withdrawn");
            self.remove(StateFile::Pid)?;
            failpoint!("pid_withdrawn");
            Ok(())
        })
    }

    /// Renames the log to its one predecessor, if this is still the owner, and opens a fresh one. What stands in the
    /// predecessor's place and is no file makes way.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn rotate_log(&self) -> Result<std::fs::File, PublishError> {
        self.in_critical_section(BRIEF, |_| {
            let name = |file| self.state_dir.tool().file_name(file);
            let io = |source| self.io(StateFile::Log, source);
            if self.dir.odd_kind(&name(StateFile::OldLog)).is_some() {
                self.clear(&name(StateFile::OldLog)).map_err(|source| self.io(StateFile::OldLog, source))?;
            }
            self.dir.rename(&name(StateFile::Log), &name(StateFile::OldLog)).map_err(io)?;
            self.dir.open_file(&name(StateFile::Log), How::CreateNew).map_err(io)
        })
    }

    /// Opens the log to append to, creating it; what stands there and cannot be appended to is replaced. A file that has another
    /// name elsewhere becomes the predecessor, with its lines and without ours.
    ///
    /// # Errors
    ///
    /// When this is not the owner, or nothing can be opened at the path.
    pub fn open_log(&self) -> Result<std::fs::File, PublishError> {
        self.open_log_within(PATIENCE)
    }

    /// The same under a running owner; gives up at once while somebody else has the directory locked.
    ///
    /// # Errors
    ///
    /// As for [`open_log`](Self::open_log).
    pub fn reopen_log(&self) -> Result<std::fs::File, PublishError> {
        self.open_log_within(BRIEF)
    }

    fn open_log_within(&self, patience: Duration) -> Result<std::fs::File, PublishError> {
        let name = self.state_dir.tool().file_name(StateFile::Log);
        self.in_critical_section(patience, |_| {
            if self.dir.odd_kind(&name).is_none()
                && let Ok(file) = self.dir.open_file(&name, How::Append)
            {
                if has_one_name(&file) {
                    return Ok(file);
                }
                let old = self.state_dir.tool().file_name(StateFile::OldLog);
                if self.dir.rename(&name, &old).is_err() { /* its name is cleared instead */ }
            }
            let fresh = self.clear(&name).and_then(|()| self.dir.open_file(&name, How::CreateNew));
            fresh.map_err(|source| self.io(StateFile::Log, source))
        })
    }

    /// Runs `body` with the directory locked (`true`) or, where directories have no locks, without (`false`).
    fn in_critical_section<T>(
        &self,
        patience: Duration,
        body: impl FnOnce(bool) -> Result<T, PublishError>,
    ) -> Result<T, PublishError> {
        let root = || self.state_dir.root().to_owned();
        let deadline = Deadline::after(patience);
        let locked = loop {
            match self.dir.try_lock().map_err(|source| PublishError::Io { path: root(), source })? {
                Some(true) => break true,
                None => break false,
                Some(false) if deadline.passed() => return Err(PublishError::DirectoryBusy { path: root() }),
                Some(false) => deadline.pause(Duration::from_millis(1)),
            }
        };
        // On proof, and not in doubt: where we cannot look a successor may have published in this very directory.
        let done = match self.ownership().prove() {
            Ok(()) => body(locked),
            Err(NotOwner { path, .. }) => Err(PublishError::NotOwner { path }),
        };
        if locked && let Err(source) = self.dir.unlock() {
            return Err(PublishError::Io { path: root(), source });
        }
        done
    }

    fn replace(&self, file: StateFile, bytes: &[u8]) -> Result<(), PublishError> {
        let name = self.state_dir.tool().file_name(file);
        let fresh = self.state_dir.tool().temporary_name(file);
        let temporary = |source| PublishError::Io { path: self.state_dir.root().join(&fresh), source };
        // One name for the temporary file: what a crash left there is swept by whoever writes next.
        self.clear(&fresh).map_err(temporary)?;
        let written = self.dir.open_file(&fresh, How::CreateNew).and_then(|mut file| file.write_all(bytes));
        if let Err(source) = written {
            if self.clear(&fresh).is_err() { /* the next writer sweeps it */ }
            return Err(temporary(source));
        }
        failpoint!(if file == StateFile::Record { "record_written" } else { "pid_written" });
        let renamed = match self.dir.rename(&fresh, &name) {
            Err(_) if self.dir.odd_kind(&name) == Some("a directory") => {
                self.make_way(&name).and_then(|()| self.dir.rename(&fresh, &name))
            }
            other => other,
        };
        renamed.map_err(|source| {
            if self.clear(&fresh).is_err() { /* the next writer sweeps it */ }
            match self.dir.odd_kind(&name) {
                Some(kind) => PublishError::Obstructed { path: self.state_dir.path(file), kind },
                None => self.io(file, source),
            }
        })
    }

    /// Not atomic: who reads at this moment finds a damaged file, which is no error.
    fn write_over(&self, file: StateFile, bytes: &[u8]) -> Result<(), PublishError> {
        let name = self.state_dir.tool().file_name(file);
        let write = |mut there: std::fs::File| {
            if sys::held_facts(&there)?.regular && has_one_name(&there) {
                there.write_all(bytes)?;
                there.set_len(bytes.len() as u64)?;
            }
            Ok(())
        };
        match self.dir.open_file(&name, How::Overwrite) {
            Err(_) if self.dir.odd_kind(&name).is_some() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened.and_then(write).map_err(|source| self.io(file, source)),
        }
    }

    /// Whether what stands there is a regular file without another name elsewhere, as far as can be told.
    fn is_ours_alone(&self, name: &str) -> bool {
        let opened = || self.dir.open_file(name, How::Overwrite);
        self.dir.odd_kind(name).is_none() && opened().map_or(true, |file| has_one_name(&file))
    }

    fn remove(&self, file: StateFile) -> Result<(), PublishError> {
        let name = self.state_dir.tool().file_name(file);
        if self.dir.odd_kind(&name) == Some("a directory") {
            return Ok(());
        }
        self.clear(&name).map_err(|source| self.io(file, source))
    }

    /// Removes an empty directory that stands in a file's place; moves a full one aside, whose content is somebody's.
    fn make_way(&self, name: &str) -> io::Result<()> {
        if self.dir.remove_empty_dir(name).is_ok() {
            return Ok(());
        }
        let taken = |aside: &String| self.dir.exists(aside).unwrap_or(true);
        let aside = (1..1000).map(|count| format!("{name}.aside.{count}")).find(|aside| !taken(aside));
        self.dir.rename(name, &aside.ok_or(io::ErrorKind::AlreadyExists)?)
    }

    fn clear(&self, name: &str) -> io::Result<()> {
        let removed = match self.dir.odd_kind(name) {
            Some("a directory") => self.make_way(name),
            _ => self.dir.remove_file(name),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn contents(&self, file: StateFile) -> io::Result<Option<Vec<u8>>> {
        read_capped(&self.dir, &self.state_dir.tool().file_name(file), 64 * 1024)
    }

    fn io(&self, file: StateFile, source: io::Error) -> PublishError {
        PublishError::Io { path: self.state_dir.path(file), source }
    }
}

/// Whether a file has no second name (`link(2)`). Through one that does, somebody else's file would be written to: a copy by
/// `cp -al`, or whatever was linked to the name of ours. In doubt it is taken for ours.
fn has_one_name(file: &std::fs::File) -> bool {
    sys::held_facts(file).map_or(true, |facts| facts.links <= 1)
}

fn pid_line(record: &Advertisement) -> Vec<u8> {
    format!("{}\n", record.pid).into_bytes()
}
