//! Windows: the counterpart of `unix`. Compiled and tested in the repository's workflow only.
//!
//! Differences that matter: a locked byte range is mandatory, so the lock is one byte far past the end of an empty file; a
//! directory handle would keep the directory from being removed, so none is kept and names are used; a directory has no
//! lock, so nothing is withdrawn by name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, ERROR_LOCK_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE, GetFileInformationByHandle, LOCKFILE_EXCLUSIVE_LOCK,
    LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::{Denial, DirFacts, FileAccess, HeldFacts, How};
use crate::FileId;

const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

#[derive(Debug)]
pub(crate) struct AskedPath(PathBuf);

impl AskedPath {
    #[expect(clippy::unnecessary_wraps, reason = "the signature is the same on every platform")]
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn identity(&self) -> io::Result<FileId> {
        path_identity(&self.0)
    }
}

pub(crate) fn path_identity(path: &Path) -> io::Result<FileId> {
    let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    let file = OpenOptions::new().access_mode(0).share_mode(SHARE_ALL).custom_flags(flags).open(path)?;
    Ok(held_facts(&file)?.id)
}

#[expect(unsafe_code, reason = "GetFileInformationByHandle has no safe wrapper in std")]
pub(crate) fn held_facts(file: &File) -> io::Result<HeldFacts> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open for the duration of the call and the structure is writable.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let ino = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
    Ok(HeldFacts {
        id: FileId { dev: u64::from(found.dwVolumeSerialNumber), ino },
        links: u64::from(found.nNumberOfLinks),
        regular: file.metadata()?.is_file(),
    })
}

pub(crate) fn proves_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// An access list says no in one way only.
pub(crate) fn denial(_error: &io::Error) -> Option<Denial> {
    None
}

pub(crate) fn file_access(_path: &Path) -> io::Result<FileAccess> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// One byte at 2^62: past the end of any file, so that the lock hides no data.
fn far_byte() -> OVERLAPPED {
    let mut at = OVERLAPPED::default();
    at.Anonymous.Anonymous.OffsetHigh = 1 << 30;
    at
}

#[expect(unsafe_code, reason = "std locks the whole file, which on Windows keeps others from reading it")]
fn lock(file: &File, flags: u32) -> io::Result<bool> {
    let mut at = far_byte();
    // SAFETY: the handle is open and synchronous, so the call has ended with `at` when it returns.
    if unsafe { LockFileEx(file.as_raw_handle(), flags | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &raw mut at) }
        != 0
    {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error().and_then(|code| u32::try_from(code).ok()) {
        Some(ERROR_LOCK_VIOLATION | ERROR_IO_PENDING) => Ok(false),
        _ => Err(error),
    }
}

pub(crate) fn try_lock_exclusive(file: &File) -> io::Result<bool> {
    lock(file, LOCKFILE_EXCLUSIVE_LOCK)
}

pub(crate) fn try_lock_shared(file: &File) -> io::Result<bool> {
    lock(file, 0)
}

#[expect(unsafe_code, reason = "the counterpart of `lock`")]
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    let mut at = far_byte();
    // SAFETY: as in `lock`.
    if unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut at) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

pub(crate) fn home_dir() -> Option<PathBuf> {
    ["HOME", "USERPROFILE"]
        .iter()
        .find_map(|name| std::env::var_os(name).filter(|home| !home.is_empty()))
        .map(PathBuf::from)
}

/// Access lists are not evaluated here: only the attempt tells.
pub(crate) fn may_create_in(path: &Path) -> io::Result<()> {
    if path.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

pub(crate) fn make_files_private() {}

/// A directory below the user's profile inherits an access list of that user alone.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

#[derive(Debug)]
pub(crate) struct DirHandle(PathBuf);

impl DirHandle {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        if found.is_dir() { Ok(Self(path.to_owned())) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Ownership and mode are the access list's business here.
    pub(crate) fn facts(&self) -> io::Result<DirFacts> {
        let found = std::fs::symlink_metadata(&self.0)?;
        Ok(DirFacts { is_dir: found.is_dir(), owner: 0, user: 0, mode: 0o700 })
    }

    /// How many names there are here; `None` above `most`.
    pub(crate) fn count_names(&self, most: usize) -> io::Result<Option<usize>> {
        let count = std::fs::read_dir(&self.0)?.take(most + 1).count();
        Ok((count <= most).then_some(count))
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the signature is the same on every platform"
    )]
    pub(crate) fn make_private(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.share_mode(SHARE_ALL).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
        match how {
            How::Read => options.read(true),
            How::Lock => options.read(true).write(true).create(true).truncate(false),
            How::CreateNew => options.append(true).create_new(true),
            How::Append => options.append(true).create(true),
            How::Overwrite => options.write(true),
        };
        options.open(self.0.join(name))
    }

    pub(crate) fn odd_kind(&self, name: &str) -> Option<&'static str> {
        let found = std::fs::symlink_metadata(self.0.join(name)).ok()?;
        if found.is_symlink() {
            Some("a symlink")
        } else if found.is_dir() {
            Some("a directory")
        } else {
            None
        }
    }

    /// Always: it is known by its path.
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the signature is the same on every platform"
    )]
    pub(crate) fn stands_at(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }

    /// The identity of what stands at `name`.
    pub(crate) fn identity(&self, name: &str) -> io::Result<FileId> {
        path_identity(&self.0.join(name))
    }

    pub(crate) fn exists(&self, name: &str) -> io::Result<bool> {
        match std::fs::symlink_metadata(self.0.join(name)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What stands at `name`; mode and owner are the access list's business.
    pub(crate) fn entry(&self, name: &str, role: crate::survey::Role) -> io::Result<crate::survey::Entry> {
        let found = std::fs::symlink_metadata(self.0.join(name))?;
        Ok(crate::survey::Entry {
            name: name.to_owned(),
            role,
            odd_kind: self.odd_kind(name),
            mode: 0o600,
            owner: 0,
            size: found.len(),
        })
    }

    #[expect(clippy::unused_self, reason = "the signature is the same on every platform")]
    pub(crate) fn make_file_private(&self, _name: &str) -> io::Result<u32> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.0.join(from), self.0.join(to))
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }

    pub(crate) fn remove_empty_dir(&self, name: &str) -> io::Result<()> {
        std::fs::remove_dir(self.0.join(name))
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the signature is the same on every platform"
    )]
    pub(crate) fn try_lock(&self) -> io::Result<Option<bool>> {
        Ok(None)
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the signature is the same on every platform"
    )]
    pub(crate) fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn may_write_in(directory: &Path) -> bool {
    std::fs::metadata(directory).is_ok_and(|found| found.is_dir() && !found.permissions().readonly())
}

pub(crate) fn may_write_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.permissions().readonly())
}

pub(crate) fn file_system(_path: &Path) -> io::Result<crate::survey::FileSystem> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

pub(crate) fn adopt_descriptor(_number: i32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The nearest there is.
#[cfg(feature = "failpoints")]
pub(crate) fn kill_this_process() {
    std::process::abort()
}

#[cfg(feature = "failpoints")]
pub(crate) fn stop_this_process() {
    panic!("Windows stops no process")
}

/// What there was none left of (`ERROR_TOO_MANY_OPEN_FILES`, `ERROR_DISK_FULL`, `ERROR_NOT_ENOUGH_MEMORY`).
pub(crate) fn shortage(error: &io::Error) -> Option<crate::Shortage> {
    match error.raw_os_error()? {
        4 => Some(crate::Shortage::Descriptors),
        112 => Some(crate::Shortage::Space),
        8 => Some(crate::Shortage::Memory),
        _ => None,
    }
}
