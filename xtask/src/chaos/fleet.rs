//! The lanes of a run: started side by side, listened to, and ended with the run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::Programs;
use super::plan::Kind;
use super::round::Told;
use crate::args::ChaosArgs;
use crate::world::clock::Deadline;

/// No round takes longer, whatever goes wrong in it: each wait in it has a deadline, and these add up.
const SILENCE: Duration = Duration::from_mins(4);

/// For the last processes of ended lanes to be gone.
const EMPTIED: Duration = Duration::from_secs(10);

/// What is to be played.
#[derive(Clone, Debug)]
pub(super) struct Order<'a> {
    pub(super) programs: &'a Programs,
    pub(super) seed: u64,
    pub(super) first: u32,
    pub(super) rounds: u32,
    pub(super) lanes: u32,
    pub(super) only: &'a [Kind],
    /// No round begins after so many seconds.
    pub(super) seconds: u64,
    pub(super) disk: Disk,
    pub(super) pages: &'a Path,
}

/// Which lanes have a directory on a disk, and not on a tmpfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// Every fourth.
    Some,
    All,
}

/// Lanes under way. Dropped, they are ended with all that lives in them, and then what they had on the disk is removed.
struct Fleet {
    lanes: Vec<Child>,
    disk: TempDir,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for lane in &mut self.lanes {
            // `unshare --kill-child` takes its child with it, and with process 1 goes the whole pid namespace.
            if lane.kill().and_then(|()| lane.wait()).is_err() {}
        }
        // A namespace's other processes go after its first, and may still make a file meanwhile.
        let (room, deadline) = (self.disk.path(), Deadline::after(EMPTIED));
        while fs::remove_dir_all(room).is_err() && room.exists() && !deadline.left().is_zero() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Plays the rounds and hands each to `hear` as it comes in; `false` from there ends the run.
///
/// # Errors
/// When a lane cannot be started, falls silent or ends before its time.
pub(super) fn play(order: &Order<'_>, mut hear: impl FnMut(Told) -> bool) -> Result<()> {
    let (tell, told) = channel();
    let disk = tempfile::Builder::new().prefix("aileron-xtask-").tempdir();
    let mut fleet = Fleet { lanes: Vec::new(), disk: disk.context("cannot make a temporary directory")? };
    for lane in 0..order.lanes.min(order.rounds) {
        let mut child = order.start(lane, fleet.disk.path())?;
        let lines = BufReader::new(child.stdout.take().context("standard output is a pipe")?).lines();
        let tell = tell.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody listens any more: the run is over.
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        fleet.lanes.push(child);
    }
    drop(tell);
    if listen(&told, &mut hear)? { fleet.expect_success() } else { Ok(()) }
}

/// `true`: all lanes have come to their end.
fn listen(told: &Receiver<String>, hear: &mut impl FnMut(Told) -> bool) -> Result<bool> {
    loop {
        match told.recv_timeout(SILENCE) {
            Ok(line) => {
                let told = serde_json::from_str(&line).with_context(|| format!("a lane says {line:?}"))?;
                if !hear(told) {
                    return Ok(false);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
            Err(RecvTimeoutError::Timeout) => bail!("no lane has said anything for {} s", SILENCE.as_secs()),
        }
    }
}

impl Fleet {
    fn expect_success(&mut self) -> Result<()> {
        for lane in &mut self.lanes {
            let status = lane.wait().context("cannot wait for a lane")?;
            anyhow::ensure!(status.success(), "a lane ended with {status}");
        }
        Ok(())
    }
}

impl<'a> Order<'a> {
    /// As it was asked for.
    pub(super) fn of(args: &'a ChaosArgs, seed: u64, programs: &'a Programs, pages: &'a Path) -> Self {
        Self {
            programs,
            seed,
            first: args.first,
            rounds: args.rounds(),
            lanes: args.lanes,
            only: &args.only,
            seconds: args.seconds.unwrap_or(u64::MAX),
            disk: if args.on_disk { Disk::All } else { Disk::Some },
            pages,
        }
    }

    fn start(&self, lane: u32, disk: &Path) -> Result<Child> {
        let ourselves = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
            .arg(ourselves)
            .arg("chaos-lane")
            .args(["--seed", &self.seed.to_string()])
            .args(["--first", &(self.first + lane).to_string()])
            .args(["--last", &(self.first + self.rounds - 1).to_string()])
            .args(["--lanes", &self.lanes.to_string()])
            .args(["--seconds", &self.seconds.to_string()]);
        for kind in self.only {
            command.args(["--only", &kind.name()]);
        }
        let Programs { aileron, journal, helper } = self.programs;
        for (name, path) in [
            ("--aileron", aileron),
            ("--journal", journal),
            ("--helper", helper),
            ("--pages", &self.pages.into()),
        ] {
            command.arg(name).arg(path);
        }
        if self.disk == Disk::All || lane % 4 == 3 {
            let room = disk.join(lane.to_string());
            fs::create_dir(&room).with_context(|| format!("cannot make `{}`", room.display()))?;
            command.arg("--room").arg(room);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().context("cannot start `unshare` (of util-linux)")
    }
}
