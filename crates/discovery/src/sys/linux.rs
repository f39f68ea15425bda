//! What `/proc` tells of processes (`proc(5)`).

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Mode, ResolveFlags};

use crate::FileId;
use crate::process::{HeldFlock, Namespaces};

/// Opens a directory in another one, of the same file system: what is mounted there belongs to a server that may be dead, and
/// who enters it may wait for ever (`openat2(2)`, since Linux 5.6).
pub(crate) fn open_within(parent: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let stay = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    Ok(rustix::fs::openat2(parent, name, super::DIRECTORY, Mode::empty(), stay)?)
}

/// The directory of a process. Our own goes by `self`: in a pid namespace whose `/proc` is still the one outside, our number is
/// somebody else's there, and a record would name them.
fn of(pid: u32) -> String {
    if pid == std::process::id() { "/proc/self".to_owned() } else { format!("/proc/{pid}") }
}

/// Field 22 of `/proc/PID/stat`: ticks after boot at which the process started. `None`: there is no such process.
pub(crate) fn start_time(pid: u32) -> io::Result<Option<u64>> {
    Ok(stat_fields(pid)?.and_then(|fields| fields.get(19).and_then(|field| field.parse().ok())))
}

/// Field 4: the parent.
pub(crate) fn parent(pid: u32) -> io::Result<Option<u32>> {
    Ok(stat_fields(pid)?.and_then(|fields| fields.get(1).and_then(|field| field.parse().ok())))
}

/// The fields of `/proc/PID/stat` from the third on: the second is the command in parentheses, which may itself
/// contain spaces and parentheses, so fields are counted from the *last* closing one. A zombie counts as gone.
fn stat_fields(pid: u32) -> io::Result<Option<Vec<String>>> {
    let stat = match fs::read(format!("{}/stat", of(pid))) {
        Ok(stat) => stat,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&stat);
    let Some((_, rest)) = text.rsplit_once(')') else { return Ok(None) };
    let fields: Vec<String> = rest.split_ascii_whitespace().map(String::from).collect();
    let dead = matches!(fields.first().map(String::as_str), Some("Z" | "X") | None);
    Ok((!dead).then_some(fields))
}

pub(crate) fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

pub(crate) fn namespaces(pid: u32) -> io::Result<Namespaces> {
    let inode = |kind| fs::metadata(format!("{}/ns/{kind}", of(pid))).map(|found| found.ino());
    Ok(Namespaces { pid: inode("pid")?, net: inode("net")? })
}

/// The exclusive flocks that the descriptor table of a process shows (`/proc/PID/fdinfo`, lines that begin `lock:`).
///
/// `/proc/locks` names the process that *acquired* a lock; a descriptor table names one that *has* it.
pub(crate) fn held_flocks(pid: u32) -> io::Result<Vec<HeldFlock>> {
    let mut found = Vec::new();
    let table = match fs::read_dir(format!("{}/fdinfo", of(pid))) {
        Ok(table) => table,
        Err(error) if is_gone(&error) => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in table {
        let Ok(entry) = entry else { continue };
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        for file in text.lines().filter_map(exclusive_flock) {
            let link = format!("{}/fd/{}", of(pid), entry.file_name().to_string_lossy());
            let Ok(path) = fs::read_link(&link) else { continue };
            // The device in `lock:` lines is the file system's own, which btrefs and overlays show otherwise to `stat`:
            // the identity that counts is what `stat` says through the link, as `fstat` says it to the holder.
            let Ok(stat) = fs::metadata(&link) else { continue };
            if stat.ino() == file {
                found.push(HeldFlock { file: FileId { dev: stat.dev(), ino: stat.ino() }, path });
            }
        }
    }
    Ok(found)
}

/// `lock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF` gives the inode number.
fn exclusive_flock(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.strip_prefix("lock:")?.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", _, file, ..] = words.as_slice() else { return None };
    file.rsplit(':').next()?.parse().ok()
}

pub(crate) fn owner_uid(pid: u32) -> io::Result<u32> {
    Ok(fs::metadata(of(pid))?.uid())
}

pub(crate) fn arguments(pid: u32) -> io::Result<Vec<String>> {
    let line = fs::read(format!("{}/cmdline", of(pid)))?;
    Ok(line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// The program's file, with ` (deleted)` where it was replaced since.
pub(crate) fn program(pid: u32) -> io::Result<std::path::PathBuf> {
    fs::read_link(format!("{}/exe", of(pid)))
}

pub(crate) fn all_pids() -> io::Result<Vec<u32>> {
    Ok(fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

/// `ESRCH` comes from files of a process that ends while they are read.
fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flock_line_gives_the_inode() {
        assert_eq!(exclusive_flock("lock:\t1: FLOCK  ADVISORY  WRITE 41 fe:00:1234 0 EOF"), Some(1234));
        assert_eq!(exclusive_flock("lock:\t1: FLOCK  ADVISORY  READ 41 fe:00:1234 0 EOF"), None);
        assert_eq!(exclusive_flock("lock:\t1: POSIX  ADVISORY  WRITE 41 fe:00:1234 0 EOF"), None);
        assert_eq!(exclusive_flock("pos:\t0"), None);
    }

    #[test]
    fn this_process_has_a_start_time_and_no_stranger_has() {
        assert!(start_time(std::process::id()).unwrap().is_some());
        assert_eq!(start_time(u32::MAX).unwrap(), None);
    }
}
