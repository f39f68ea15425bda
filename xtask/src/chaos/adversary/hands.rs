//! The deeds that are about something else than the path: descriptors, space, records.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};

use super::super::scene::Scene;
use super::{Damage, holder};
use crate::world::fault::Fault;
use crate::world::paths::Paths;

/// No file system above this many bytes is filled.
const SMALL: u64 = 1 << 20;

/// What a fault moves away.
pub(super) fn path_of(paths: &Paths, fault: Fault) -> PathBuf {
    match fault {
        Fault::RenameLock => paths.lock.clone(),
        Fault::RenameParent => paths.home.clone(),
        Fault::RenameGrandparent => paths.grand.clone(),
        _ => paths.state.clone(),
    }
}

/// The home is a symlink to itself: whoever looks hears `ELOOP`, which proves nothing (P5).
pub(super) fn blind(scene: &Scene, long: Duration) -> Result<bool> {
    let paths = &scene.home.paths;
    let (home, aside) = (&paths.home, paths.aside());
    symlink(home, &aside).context("cannot lay a symlink ready")?;
    let exchange = || renameat_with(CWD, home, CWD, &aside, RenameFlags::EXCHANGE);
    exchange().context("cannot take the home away")?;
    sleep(long);
    exchange().context("cannot bring the home back")?;
    fs::remove_file(&aside).context("cannot remove the symlink")?;
    Ok(true)
}

/// As many descriptors as it has, and no more.
pub(super) fn starve(scene: &Scene, long: Duration) -> Result<bool> {
    let Some(process) = holder(scene) else { return Ok(false) };
    let pid = i32::try_from(process.pid()).ok().and_then(Pid::from_raw);
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", process.pid())) else { return Ok(false) };
    let Some(limits) = limits(process.pid()) else { return Ok(false) };
    let fewer = Rlimit { current: Some(open.count() as u64), ..limits };
    if prlimit(pid, Resource::Nofile, fewer).is_err() {
        return Ok(false);
    }
    sleep(long);
    if prlimit(pid, Resource::Nofile, limits).is_err() && !process.is_gone() {
        anyhow::bail!("process {} cannot have its descriptors back", process.pid());
    }
    Ok(true)
}

/// The two numbers of `Max open files` (`proc_pid_limits(5)`).
fn limits(pid: u32) -> Option<Rlimit> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>().ok());
    Some(Rlimit { current: numbers.next()?, maximum: numbers.next()? })
}

/// Not a byte is left on the file system of the state directory.
pub(super) fn fill(scene: &Scene, long: Duration) -> Result<bool> {
    let state = &scene.home.paths.state;
    // Another directory may stand there by now, on a file system that is everybody's.
    if !statvfs(state).is_ok_and(|found| found.f_blocks * found.f_frsize <= SMALL) {
        return Ok(false);
    }
    let ballast = state.join("ballast");
    let Ok(mut file) = fs::File::create(&ballast) else { return Ok(false) };
    for size in [4096, 1] {
        while file.write_all(&vec![b'.'; size]).is_ok() {}
    }
    sleep(long);
    drop(file);
    // The directory may have been removed with it.
    if fs::remove_file(&ballast).is_err() && ballast.exists() {
        anyhow::bail!("`{}` cannot be removed", ballast.display());
    }
    Ok(true)
}

pub(super) fn damage(scene: &Scene, damage: Damage) -> bool {
    let record = scene.record();
    let done = match damage {
        Damage::Empty => fs::write(&record, ""),
        Damage::Cut => fs::read(&record).and_then(|bytes| fs::write(&record, &bytes[..bytes.len() / 2])),
        Damage::Garbage => fs::write(&record, b"\x00\xff{\"pid\": -1, \"url\": 7"),
        Damage::Unlink => fs::remove_file(&record),
        Damage::Directory => fs::remove_file(&record).and_then(|()| fs::create_dir(&record)),
        Damage::PidFile => fs::write(record.with_file_name("daemon.pid"), "1\n"),
    };
    done.is_ok()
}

/// Every word of the record is true, but that it is an innocent process's.
pub(super) fn forge(scene: &Scene, stopped: Duration) -> Result<bool> {
    let Some(process) = holder(scene) else { return Ok(false) };
    let Ok(bytes) = fs::read(scene.record()) else { return Ok(false) };
    let Ok(mut record) = serde_json::from_slice::<Value>(&bytes) else { return Ok(false) };
    let decoy = scene.decoys().first().context("there is a decoy")?.pid();
    record["pid"] = json!(decoy);
    record["process"]["start_time"] = json!(start_time(decoy)?);
    if !stopped.is_zero() && process.signal(Signal::STOP).is_err() {
        return Ok(false);
    }
    let forged = fs::write(scene.record(), record.to_string())
        .and_then(|()| fs::write(scene.record().with_file_name("daemon.pid"), format!("{decoy}\n")));
    sleep(stopped);
    if !stopped.is_zero() && process.signal(Signal::CONT).is_err() && !process.is_gone() {
        anyhow::bail!("process {} cannot be continued", process.pid());
    }
    Ok(forged.is_ok())
}

/// Column 22 of `/proc/PID/stat` (`proc_pid_stat(5)`).
pub(super) fn start_time(pid: u32) -> Result<u64> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).context("the decoy is gone")?;
    let rest = line.rsplit_once(')').context("no command in a stat line")?.1;
    rest.split_whitespace().nth(19).and_then(|word| word.parse().ok()).context("no start time")
}
