//! What POSIX and BSD locks give on every Unix.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Denial, DirFacts, FileAccess, HeldFacts, How};
use crate::survey::{Entry, FileSystem, Role};
use crate::{FileId, Shortage};

#[expect(
    clippy::useless_conversion,
    clippy::unnecessary_cast,
    reason = "st_dev and st_nlink differ in width between systems"
)]
fn id_of(stat: &Stat) -> FileId {
    FileId { dev: stat.st_dev as u64, ino: u64::from(stat.st_ino) }
}

/// A path made ready for `lstat(2)` once, so that asking allocates nothing.
#[derive(Debug)]
pub(crate) struct AskedPath(CString);

impl AskedPath {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        CString::new(path.as_os_str().as_bytes()).map(Self).map_err(io::Error::other)
    }

    /// The identity of what stands at the path; the last component is not followed.
    pub(crate) fn identity(&self) -> io::Result<FileId> {
        Ok(id_of(&rustix::fs::lstat(self.0.as_c_str())?))
    }
}

pub(crate) fn path_identity(path: &Path) -> io::Result<FileId> {
    Ok(id_of(&rustix::fs::lstat(path)?))
}

pub(crate) fn held_facts(file: &File) -> io::Result<HeldFacts> {
    let stat = rustix::fs::fstat(file)?;
    #[allow(clippy::useless_conversion, reason = "st_nlink differs in width between systems")]
    let links = u64::from(stat.st_nlink);
    Ok(HeldFacts {
        id: id_of(&stat),
        links,
        regular: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
    })
}

/// In which way an `open` was refused, if that is what the error says (`open(2)`).
pub(crate) fn denial(error: &io::Error) -> Option<Denial> {
    match Errno::from_io_error(error)? {
        Errno::ACCESS => Some(Denial::Access),
        Errno::PERM => Some(Denial::NotPermitted),
        Errno::ROFS => Some(Denial::ReadOnly),
        _ => None,
    }
}

/// Whom the file at a path is for; the last component is not followed.
pub(crate) fn file_access(path: &Path) -> io::Result<FileAccess> {
    let stat = rustix::fs::lstat(path)?;
    Ok(FileAccess {
        owner: stat.st_uid,
        user: rustix::process::geteuid().as_raw(),
        mode: Mode::from_raw_mode(stat.st_mode).as_raw_mode() & 0o7777,
    })
}

/// `ENOENT` and `ENOTDIR` are the only errors that say "nothing is there"; all others say "I could not look".
pub(crate) fn proves_absence(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR))
}

/// What there was none left of, if that is what an error says.
pub(crate) fn shortage(error: &io::Error) -> Option<Shortage> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(Shortage::Descriptors),
        Errno::NFILE => Some(Shortage::SystemDescriptors),
        Errno::FBIG => Some(Shortage::FileSize),
        Errno::NOSPC | Errno::DQUOT => Some(Shortage::Space),
        Errno::NOMEM => Some(Shortage::Memory),
        _ => None,
    }
}

/// Whether a failed `flock` says that this file system has none.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL))
}

pub(crate) fn try_lock_exclusive(file: &File) -> io::Result<bool> {
    taken(|| fs4::FileExt::try_lock(file))
}

pub(crate) fn try_lock_shared(file: &File) -> io::Result<bool> {
    taken(|| fs4::FileExt::try_lock_shared(file))
}

pub(crate) fn unlock(file: &File) -> io::Result<()> {
    fs4::FileExt::unlock(file)
}

/// fs4 does not retry `EINTR`.
fn taken(mut attempt: impl FnMut() -> Result<(), fs4::TryLockError>) -> io::Result<bool> {
    loop {
        match attempt() {
            Ok(()) => return Ok(true),
            Err(fs4::TryLockError::WouldBlock) => return Ok(false),
            Err(fs4::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(fs4::TryLockError::Error(error)) => return Err(error),
        }
    }
}

pub(crate) fn home_dir() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

pub(crate) fn make_files_private() {
    rustix::process::umask(Mode::from_raw_mode(0o077));
}

/// Creates `path` and missing ancestors, each 0700.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            builder.recursive(true).create(path.parent().unwrap_or(path))?;
            builder.recursive(false).create(path)
        }
        other => other,
    }
}

/// Whether files could be made in the directory at `path` (`access(2)`, which says `EROFS` of a file system too).
pub(crate) fn may_create_in(path: &Path) -> io::Result<()> {
    use rustix::fs::Access;
    if !path.is_dir() {
        return Err(Errno::NOTDIR.into());
    }
    Ok(rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// How a directory is opened.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory held open: what is done through it is done to *that* directory, whatever has become of its name.
#[derive(Debug)]
pub(crate) struct DirHandle(OwnedFd);

impl DirHandle {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    pub(crate) fn facts(&self) -> io::Result<DirFacts> {
        let stat = rustix::fs::fstat(&self.0)?;
        Ok(DirFacts {
            is_dir: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            owner: stat.st_uid,
            user: rustix::process::geteuid().as_raw(),
            mode: Mode::from_raw_mode(stat.st_mode).as_raw_mode() & 0o7777,
        })
    }

    /// How many names there are here and in the directories here; `None` above `most`.
    pub(crate) fn count_names(&self, most: usize) -> io::Result<Option<usize>> {
        let (mut count, mut below) = (0, Vec::new());
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                count += 1;
                if entry.file_type() == FileType::Directory {
                    below.push(entry.file_name().to_owned());
                }
            }
            if count > most {
                return Ok(None);
            }
        }
        for name in &below {
            // One that cannot be entered has nobody's names in it for us.
            let Ok(directory) = super::open_within(&self.0, name) else { continue };
            count += rustix::fs::Dir::new(directory)?.flatten().take(most + 1).count();
            if count > most {
                return Ok(None);
            }
        }
        Ok(Some(count))
    }

    pub(crate) fn make_private(&self) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.0, Mode::RWXU)?)
    }

    pub(crate) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
        let safe = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let flags = match how {
            How::Read => OFlags::RDONLY,
            How::Lock => OFlags::RDWR | OFlags::CREATE,
            How::CreateNew => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND,
            How::Append => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
            How::Overwrite => OFlags::WRONLY,
        };
        let fd = rustix::fs::openat(&self.0, name, flags | safe, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(fd))
    }

    /// The kind of what stands at `name`, in words, if it is something else than a regular file.
    pub(crate) fn odd_kind(&self, name: &str) -> Option<&'static str> {
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => None,
            FileType::Directory => Some("a directory"),
            FileType::Symlink => Some("a symlink"),
            FileType::Fifo => Some("a FIFO"),
            FileType::Socket => Some("a socket"),
            FileType::BlockDevice | FileType::CharacterDevice => Some("a device"),
            FileType::Unknown => Some("something unknown"),
        }
    }

    /// Whether this is the directory that stands at `path`.
    pub(crate) fn stands_at(&self, path: &Path) -> io::Result<bool> {
        Ok(id_of(&rustix::fs::fstat(&self.0)?) == path_identity(path)?)
    }

    /// The identity of what stands at `name`.
    pub(crate) fn identity(&self, name: &str) -> io::Result<FileId> {
        Ok(id_of(&rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    pub(crate) fn exists(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What stands at `name`.
    pub(crate) fn entry(&self, name: &str, role: Role) -> io::Result<Entry> {
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Entry {
            name: name.to_owned(),
            role,
            odd_kind: self.odd_kind(name),
            mode: Mode::from_raw_mode(stat.st_mode).as_raw_mode() & 0o7777,
            owner: stat.st_uid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
        })
    }

    /// Takes all access of others to a file; the mode it had.
    pub(crate) fn make_file_private(&self, name: &str) -> io::Result<u32> {
        let file = self.open_file(name, How::Read)?;
        let stat = rustix::fs::fstat(&file)?;
        let refused = |why| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return refused("it is no regular file");
        }
        // Whoever made a second name for it may have had a reason for its mode.
        if stat.st_nlink != 1 {
            return refused("it has another name elsewhere");
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return refused("it belongs to another user");
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        rustix::fs::fchmod(&file, mode & Mode::RWXU)?;
        Ok(mode.as_raw_mode() & 0o7777)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(crate) fn remove_empty_dir(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Tries to take the directory's own exclusive `flock`. `None`: this file system does not lock directories.
    pub(crate) fn try_lock(&self) -> io::Result<Option<bool>> {
        loop {
            match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(true)),
                Err(Errno::WOULDBLOCK) => return Ok(Some(false)),
                Err(Errno::INTR) => {}
                Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::BADF) => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Frees the directory's `flock`. Only the critical section that took it, on the only descriptor there is, calls this.
    pub(crate) fn unlock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.0, FlockOperation::Unlock)?)
    }
}

/// As a crash, or the system short of memory, would: nothing is run, nothing is flushed.
#[cfg(feature = "failpoints")]
pub(crate) fn kill_this_process() {
    signal_this_process(rustix::process::Signal::KILL);
}

/// Until somebody sends `SIGCONT`.
#[cfg(feature = "failpoints")]
pub(crate) fn stop_this_process() {
    signal_this_process(rustix::process::Signal::STOP);
}

#[cfg(feature = "failpoints")]
fn signal_this_process(signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::getpid(), signal).expect("a process may signal itself");
}

/// Whether names may be made in a directory: `EROFS` and `EACCES` alike say that they may not (`faccessat(2)`).
pub(crate) fn may_write_in(directory: &Path) -> bool {
    let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::accessat(CWD, directory, wanted, AtFlags::EACCESS).is_ok()
}

/// Whether a file that is there may be written.
pub(crate) fn may_write_file(path: &Path) -> bool {
    rustix::fs::accessat(CWD, path, rustix::fs::Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// `statvfs(3)`, with the kind where the platform has one.
pub(crate) fn file_system(path: &Path) -> io::Result<FileSystem> {
    let facts = rustix::fs::statvfs(path)?;
    Ok(FileSystem {
        magic: super::file_system_magic(path),
        free_bytes: facts.f_bavail.saturating_mul(facts.f_frsize),
        // btrfs and others make inodes as they go, and say that there are none in all.
        free_files: (facts.f_files > 0).then_some(facts.f_favail),
        read_only: facts.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

/// The name of this host, as `uname(2)` gives it.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Gives a file description that was inherited by number to an owner, and marks it close-on-exec first thing.
#[expect(unsafe_code, reason = "a descriptor that arrives by number has no owner in the type system yet")]
pub(crate) fn adopt_descriptor(number: i32) -> io::Result<File> {
    use std::os::fd::{BorrowedFd, FromRawFd as _};
    if number < 3 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a standard stream is no launch pipe"));
    }
    // SAFETY: borrowed for one call that fails with EBADF when the number is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)?;
    if FileType::from_raw_mode(rustix::fs::fstat(borrowed)?.st_mode) != FileType::Fifo {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is no pipe"));
    }
    // SAFETY: the number was given to this process by its launcher for this use alone, was just seen to be open, and
    // is adopted once, at the start of the process.
    Ok(unsafe { File::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot do it")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_shortage_is_found_behind_other_errors() {
        let exhausted = || io::Error::from(Errno::MFILE);
        assert_eq!(Shortage::behind(&exhausted()), Some(Shortage::Descriptors));
        assert_eq!(Shortage::behind(&Outer(exhausted())), Some(Shortage::Descriptors));
        assert_eq!(Shortage::behind(&Outer(Errno::DQUOT.into())), Some(Shortage::Space));
        assert_eq!(Shortage::behind(&Outer(Errno::ACCESS.into())), None);
    }
}
