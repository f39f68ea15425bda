//! Which flocks a process holds, from its descriptor table.
//!
//! `/proc/locks` names who acquired a lock, which may be a process long gone; `/proc/PID/fdinfo/N` has a `lock:` line
//! for each lock that hangs on that open file description (`proc_pid_fdinfo(5)`), and so says who holds it now. The file
//! itself is `stat`ed through `/proc/PID/fd/N`, which works when no path leads to it any more.

use std::fs;

use anyhow::{Context, Result};

use super::files::FileId;

/// A flock on one of a process's descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldFlock {
    pub(crate) file: FileId,
    pub(crate) exclusive: bool,
}

/// Every flock that the process's descriptors hold. A descriptor that closes while we look is passed over.
///
/// # Errors
/// When the descriptor table cannot be read: the process is gone, or somebody else's.
pub(crate) fn held_flocks(pid: u32) -> Result<Vec<HeldFlock>> {
    let table = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&table).with_context(|| format!("cannot read `{table}`"))?;
    let mut held = Vec::new();
    for entry in entries.flatten() {
        let number = entry.file_name().to_string_lossy().into_owned();
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let Ok(metadata) = fs::metadata(format!("/proc/{pid}/fd/{number}")) else { continue };
        let file = FileId::of(&metadata);
        let locks = text.lines().filter_map(parse_lock).filter(|lock| lock.inode == file.ino);
        held.extend(locks.map(|lock| HeldFlock { file, exclusive: lock.exclusive }));
    }
    Ok(held)
}

/// What a `lock:` line says of a flock.
#[derive(Debug, PartialEq, Eq)]
struct LockLine {
    exclusive: bool,
    inode: u64,
}

/// Reads `lock:\t1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`: the device is hexadecimal, the inode decimal.
fn parse_lock(line: &str) -> Option<LockLine> {
    let mut words = line.strip_prefix("lock:")?.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let access = words.nth(1)?;
    let place = words.nth(1)?;
    Some(LockLine { exclusive: access == "WRITE", inode: place.rsplit(':').next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn a_lock_line_is_read() {
        let exclusive = parse_lock("lock:\t1: FLOCK  ADVISORY  WRITE 1234 08:1f:5678 0 EOF");
        assert_eq!(exclusive, Some(LockLine { exclusive: true, inode: 5678 }));
        let shared = parse_lock("lock:\t2: FLOCK  ADVISORY  READ 1234 fe:00:9 0 EOF");
        assert_eq!(shared, Some(LockLine { exclusive: false, inode: 9 }));
        assert_eq!(parse_lock("lock:\t1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF"), None);
        assert_eq!(parse_lock("flags:\t0100002"), None);
    }

    #[test]
    fn a_lock_is_seen_after_its_file_is_removed_too() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("lock");
        let file = File::create(&path).expect("created");
        let id = FileId::of(&file.metadata().expect("metadata"));
        let ours = || {
            let held = held_flocks(std::process::id()).expect("our own table");
            held.iter().any(|lock| lock.file == id && lock.exclusive)
        };
        assert!(!ours());
        flock(&file, FlockOperation::LockExclusive).expect("locked");
        assert!(ours());
        fs::remove_file(&path).expect("removed");
        assert!(ours());
        drop(file);
        assert!(!ours());
    }
}
