//! Files by what makes them the same file: device and inode, and their bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Device and inode of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { dev: metadata.dev(), ino: metadata.ino() }
    }

    /// The file at a path, the last component not followed. Nothing, if there is none.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot look at `{}`", path.display())),
        }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dev, self.ino)
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A directory that can be looked into wherever it has been moved to, and whatever is mounted over it.
#[derive(Debug)]
pub(crate) struct Handle(File);

impl Handle {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let step = || format!("cannot open `{}`", directory.display());
        File::open(directory).map(Self).with_context(step)
    }

    /// A path for it that is good for as long as the handle is (`proc_pid_fd(5)`).
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.0.as_raw_fd()))
    }
}

/// What stands at a path, in words: an inode with its kind, or "nothing".
pub(crate) fn describe_path(path: &Path) -> String {
    let Ok(metadata) = fs::symlink_metadata(path) else { return "nothing".to_owned() };
    let kind = metadata.file_type();
    let word = match () {
        () if kind.is_file() => "",
        () if kind.is_dir() => "directory ",
        () if kind.is_symlink() => "symlink ",
        () if kind.is_fifo() => "fifo ",
        () => "special file ",
    };
    format!("{word}{}", metadata.ino())
}

/// A file as it was at one moment.
#[derive(Clone, PartialEq, Eq)]
struct Facts {
    id: FileId,
    mode: u32,
    bytes: Option<Vec<u8>>,
}

impl fmt::Debug for Facts {
    /// Without the bytes: a record has a token in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.bytes.as_ref().map_or(0, Vec::len);
        write!(f, "inode {} mode {:o} {length} bytes", self.id, self.mode)
    }
}

/// The files of one directory as they were at one moment: names, inodes, modes, bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Snapshot {
    files: BTreeMap<String, Facts>,
}

impl Snapshot {
    /// Looks at every file in the directory but those in `except`.
    pub(crate) fn take(directory: &Path, except: &[&str]) -> Result<Self> {
        let step = || format!("cannot list `{}`", directory.display());
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory).with_context(step)? {
            let entry = entry.with_context(step)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if except.contains(&name.as_str()) {
                continue;
            }
            let path = entry.path();
            let metadata =
                entry.metadata().with_context(|| format!("cannot look at `{}`", path.display()))?;
            let bytes = metadata.is_file().then(|| fs::read(&path)).transpose();
            let bytes = bytes.with_context(|| format!("cannot read `{}`", path.display()))?;
            files.insert(name, Facts { id: FileId::of(&metadata), mode: metadata.mode(), bytes });
        }
        Ok(Self { files })
    }

    /// Fails with the first difference.
    pub(crate) fn expect_same(&self, now: &Self) -> Result<()> {
        for name in self.files.keys().chain(now.files.keys()) {
            match (self.files.get(name), now.files.get(name)) {
                (Some(before), Some(after)) if before == after => {}
                (Some(before), Some(after)) => bail!("`{name}` was changed: {before:?} became {after:?}"),
                (Some(before), None) => bail!("`{name}` was removed ({before:?})"),
                (None, Some(after)) => bail!("`{name}` was made ({after:?})"),
                (None, None) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_bytes_inode_or_names_is_seen() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("a");
        fs::write(&file, "one").expect("written");
        let before = Snapshot::take(directory.path(), &["log"]).expect("readable");
        fs::write(directory.path().join("log"), "grows").expect("written");
        let same = Snapshot::take(directory.path(), &["log"]).expect("readable");
        assert!(before.expect_same(&same).is_ok());

        fs::write(&file, "two").expect("written");
        let bytes = Snapshot::take(directory.path(), &["log"]).expect("readable");
        assert!(before.expect_same(&bytes).is_err());

        fs::write(directory.path().join("b"), "one").expect("written");
        fs::rename(directory.path().join("b"), &file).expect("renamed");
        let inode = Snapshot::take(directory.path(), &["log"]).expect("readable");
        assert!(before.expect_same(&inode).is_err());

        fs::remove_file(&file).expect("removed");
        let removed = Snapshot::take(directory.path(), &["log"]).expect("readable");
        assert!(before.expect_same(&removed).is_err() && removed.expect_same(&before).is_err());
    }
}
