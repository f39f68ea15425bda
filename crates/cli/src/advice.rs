//! What to do next, in words: commands that work as they stand, wherever a command helps.

use std::io;
use std::path::{Path, PathBuf};

use aileron_discovery::StateDirError;
use aileron_spawn::ChildEnd;

/// The step at which a state directory is refused, and what to do about it.
pub(crate) fn on_directory(error: &StateDirError) -> (&'static str, String) {
    const OPEN: &str = "open the state directory";
    match error {
        StateDirError::NoHome { .. } => {
            ("choose the state directory", "set HOME, or name one with --state-dir".to_owned())
        }
        StateDirError::Io { step, source, .. } if source.kind() == io::ErrorKind::NotFound => {
            (*step, "nothing can be made there: name another with --state-dir".to_owned())
        }
        StateDirError::Io { step, source, .. } => (*step, barred(source.kind()).to_owned()),
        StateDirError::Symlink { path } => (
            OPEN,
            match path.canonicalize() {
                Ok(target) => format!("name where it leads: `--state-dir {}`", typed(&target)),
                Err(_) => "it leads nowhere: remove it, or name another with --state-dir".to_owned(),
            },
        ),
        StateDirError::NotADirectory { path } => {
            (OPEN, format!("`mv {} {}`, or name another with --state-dir", typed(path), typed(&old(path))))
        }
        StateDirError::NotOurs { .. } => {
            (OPEN, "name another with --state-dir; nothing was changed here".to_owned())
        }
        // `/tmp` and the like are not to be made anybody's.
        StateDirError::WritableByOthers { mode, .. } if mode & STICKY != 0 => {
            (OPEN, "it is meant for everybody: name another with --state-dir".to_owned())
        }
        StateDirError::WritableByOthers { path, .. } => {
            (OPEN, format!("`chmod 700 {}`, or name another with --state-dir", typed(path)))
        }
        StateDirError::ForeignOwner { .. } => (
            OPEN,
            "run it as its owner (`sudo` may have kept HOME), or name another with --state-dir".to_owned(),
        ),
        _ => (OPEN, "name another with --state-dir".to_owned()),
    }
}

/// Only the owner of a file may remove it there (`inode(7)`).
const STICKY: u32 = 0o1000;

/// What to do about a directory that the system refuses.
fn barred(why: io::ErrorKind) -> &'static str {
    match why {
        io::ErrorKind::InvalidFilename => "name one with a shorter path with --state-dir",
        io::ErrorKind::NotADirectory => "a file stands on the way to it: name another with --state-dir",
        io::ErrorKind::ReadOnlyFilesystem => {
            "that file system is read-only: name another with --state-dir, or remount it"
        }
        io::ErrorKind::PermissionDenied => {
            "check that it, or its parent, is yours to read and write (`ls -ld`), or name another with --state-dir"
        }
        _ => "check that its parent exists and is yours to write, or name another with --state-dir",
    }
}

/// What to do about something that stands where a file has to be, which nothing here removes.
pub(crate) fn moved_away(path: &Path) -> String {
    format!("move it away: `mv {} {}`", typed(path), typed(&old(path)))
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

/// A path as a shell takes it (`sh(1p)`, quoting).
pub(crate) fn typed(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |character: char| character.is_alphanumeric() || "/._-+@%:,=".contains(character);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What helps where a file system has no locks, or none that count.
pub(crate) const LOCAL: &str = "name a state directory on a local file system with --state-dir";

/// What to do about a daemon that ended in its start, without a word of its own.
pub(crate) fn ended(end: ChildEnd) -> &'static str {
    match end.signal() {
        Some(9) => "somebody killed it, or no memory was left (`dmesg` tells): try again",
        _ => "`aileron daemon run` shows what happens",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_wants_it() {
        assert_eq!(moved_away(Path::new("/a/b")), "move it away: `mv /a/b /a/b.old`");
        assert_eq!(typed(Path::new("/it's mine")), r"'/it'\''s mine'");
        assert_eq!(typed(Path::new("/a;b")), "'/a;b'");
    }
}
