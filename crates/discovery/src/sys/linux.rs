//! What `/proc` tells of processes (`proc(5)`).

use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{Mode, ResolveFlags};

use crate::FileId;
use crate::process::{HeldFlock, Namespaces};
use crate::survey::{InotifyUse, Used};

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

/// Whether the numbers in `/proc` are those by which `pidfd_open(2)` and `kill(2)` know processes from here. In a pid namespace
/// whose `/proc` is still the one outside they are not: what is proved of a number there would be done to somebody else here.
fn is_our_table() -> io::Result<()> {
    let own = fs::read_link("/proc/self")?;
    if own.to_str().and_then(|own| own.parse().ok()) == Some(std::process::id()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::Unsupported, "`/proc` is of another pid namespace; mount this one's"))
}

/// Field 22 of `/proc/PID/stat`: ticks after boot at which the process started. `None`: there is no such process.
pub(crate) fn start_time(pid: u32) -> io::Result<Option<u64>> {
    Ok(stat_fields(pid)?.and_then(|fields| fields.get(19).and_then(|field| field.parse().ok())))
}

/// How long ago that was, in time that runs through suspend as the start time does (`proc_pid_stat(5)`).
pub(crate) fn since_start(start_time: u64) -> Option<std::time::Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = std::time::Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let whole = std::time::Duration::from_secs(start_time.checked_div(ticks_per_second)?);
    Some(now.saturating_sub(whole))
}

/// Field 4: the parent.
pub(crate) fn parent(pid: u32) -> io::Result<Option<u32>> {
    Ok(stat_fields(pid)?.and_then(|fields| fields.get(1).and_then(|field| field.parse().ok())))
}

/// The fields of `/proc/PID/stat` from the third on: the second is the command in parentheses, which may itself
/// contain spaces and parentheses, so fields are counted from the *last* closing one. A zombie counts as gone.
fn stat_fields(pid: u32) -> io::Result<Option<Vec<String>>> {
    if pid != std::process::id() {
        is_our_table()?;
    }
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
                found.push(HeldFlock {
                    file: FileId { dev: stat.dev(), ino: stat.ino() },
                    path,
                    links: stat.nlink(),
                    is_empty_file: stat.is_file() && stat.len() == 0,
                });
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

/// The arguments, the program's name first.
pub(crate) fn arguments(pid: u32) -> io::Result<Vec<OsString>> {
    words(pid, "cmdline")
}

/// The environment that it was started with: `NAME=VALUE` each.
pub(crate) fn environment(pid: u32) -> io::Result<Vec<OsString>> {
    words(pid, "environ")
}

/// The value of a variable in an environment.
pub(crate) fn variable_in(environment: &[OsString], name: &str) -> Option<OsString> {
    environment.iter().find_map(|word| {
        let value = word.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(OsStr::from_bytes(value).to_owned())
    })
}

fn words(pid: u32, file: &str) -> io::Result<Vec<OsString>> {
    let text = fs::read(format!("{}/{file}", of(pid)))?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    Ok(text.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect())
}

pub(crate) fn working_directory(pid: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("{}/cwd", of(pid)))
}

/// What decides which file a path means for a process: its mount namespace and its root.
pub(crate) fn path_view(pid: u32) -> io::Result<(u64, FileId)> {
    let root = fs::metadata(format!("{}/root", of(pid)))?;
    let mounts = fs::metadata(format!("{}/ns/mnt", of(pid)))?.ino();
    Ok((mounts, FileId { dev: root.dev(), ino: root.ino() }))
}

/// Whether it is stopped, by a signal or by a tracer.
pub(crate) fn is_paused(pid: u32) -> io::Result<bool> {
    let fields = stat_fields(pid)?;
    Ok(fields.is_some_and(|fields| matches!(fields.first().map(String::as_str), Some("T" | "t"))))
}

/// How long ago that start time was. Both count from boot, suspend included (`proc_uptime(5)`).
pub(crate) fn age(start_time: u64) -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let up = text.split_ascii_whitespace().next()?.parse::<f64>().ok()?;
    let started = Duration::from_millis(start_time * 1000 / rustix::param::clock_ticks_per_second());
    Some(Duration::try_from_secs_f64(up).ok()?.saturating_sub(started))
}

/// The program's file, with ` (deleted)` where it was replaced since.
pub(crate) fn program(pid: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("{}/exe", of(pid)))
}

pub(crate) fn all_pids() -> io::Result<Vec<u32>> {
    is_our_table()?;
    Ok(fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

pub(crate) fn file_system_magic(path: &std::path::Path) -> Option<u32> {
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "magic numbers have 32 bits")]
    rustix::fs::statfs(path).ok().map(|facts| facts.f_type as u32)
}

/// Counted over the descriptor tables of this user's processes: an instance is a link to `anon_inode:inotify`, and its
/// `fdinfo` has a line for each watch (`proc_pid_fdinfo(5)`).
pub(crate) fn inotify_use() -> io::Result<InotifyUse> {
    let (mut instances, mut watches) = (0, 0);
    let user = owner_uid(std::process::id())?;
    for pid in all_pids()? {
        if !owner_uid(pid).is_ok_and(|owner| owner == user) {
            continue;
        }
        let Ok(table) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in table.flatten() {
            if fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == "anon_inode:inotify") {
                instances += 1;
                let number = entry.file_name();
                let facts = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy()));
                let lines = facts.unwrap_or_default();
                watches += lines.lines().filter(|line| line.starts_with("inotify wd:")).count() as u64;
            }
        }
    }
    Ok(InotifyUse {
        instances: Used { used: instances, limit: inotify_limit("instances")? },
        watches: Used { used: watches, limit: inotify_limit("watches")? },
    })
}

/// The smaller of what the system allows a user and what this user namespace does (`namespaces(7)`).
fn inotify_limit(what: &str) -> io::Result<u64> {
    let read = |path: String| -> io::Result<u64> {
        fs::read_to_string(path)?.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
    };
    let system = read(format!("/proc/sys/fs/inotify/max_user_{what}"))?;
    Ok(read(format!("/proc/sys/user/max_inotify_{what}")).map_or(system, |user| user.min(system)))
}

/// The line of the unified hierarchy, `0::PATH`, or systemd's own where that says nothing.
pub(crate) fn control_group(pid: u32) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path_of = |prefix: &str, line: &str| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        (controllers == prefix && (number == "0") == prefix.is_empty()).then(|| path.to_owned())
    };
    let unified = text.lines().find_map(|line| path_of("", line)).filter(|path| path != "/");
    let found = unified.or_else(|| text.lines().find_map(|line| path_of("name=systemd", line)));
    Ok(found.unwrap_or_else(|| "/".to_owned()))
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

    #[test]
    fn a_process_that_just_started_is_young_and_the_first_one_is_not() {
        let age = |pid| since_start(start_time(pid).unwrap().unwrap()).unwrap();
        assert!(age(std::process::id()) < std::time::Duration::from_mins(1));
        assert!(age(1) > age(std::process::id()));
    }
}
