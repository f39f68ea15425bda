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
use crate::process::{HeldFlock, Namespaces, proc_text};
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
    Ok(stat_fields(pid)?.and_then(|fields| proc_text::start_time(&fields)))
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
    Ok(stat_fields(pid)?.and_then(|fields| proc_text::parent(&fields)))
}

/// The fields of `/proc/PID/stat` from the third on. A zombie counts as gone.
fn stat_fields(pid: u32) -> io::Result<Option<Vec<String>>> {
    if pid != std::process::id() {
        is_our_table()?;
    }
    match fs::read(format!("{}/stat", of(pid))) {
        Ok(stat) => Ok(proc_text::stat_fields(&stat)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
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
        for file in text.lines().filter_map(proc_text::exclusive_flock) {
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
    environment
        .iter()
        .find_map(|word| Some(OsStr::from_bytes(proc_text::value_of(word.as_bytes(), name)?).to_owned()))
}

fn words(pid: u32, file: &str) -> io::Result<Vec<OsString>> {
    let text = fs::read(format!("{}/{file}", of(pid)))?;
    Ok(proc_text::words(&text).map(|word| OsStr::from_bytes(word).to_owned()).collect())
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
    Ok(stat_fields(pid)?.is_some_and(|fields| proc_text::is_paused(&fields)))
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

pub(crate) fn control_group(pid: u32) -> io::Result<String> {
    Ok(proc_text::control_group(&fs::read_to_string(format!("/proc/{pid}/cgroup"))?))
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
