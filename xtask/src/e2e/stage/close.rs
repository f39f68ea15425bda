//! The end of a round: its daemon is stopped, and nothing is left. If the round failed, everything below us is ended.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::super::client::command_line;
use super::super::daemon::{Daemon, expect_only};
use super::super::observe::{descendants, describe_path, held_flocks};
use super::super::outcome::{Promise, Round, STOP_TO_GONE};
use super::super::process::Process;
use super::{Expected, Stage};

/// `stop` with nothing in flight: a few milliseconds.
const STOP: Promise = Promise(50.0);
/// After `SIGKILL` a process goes as soon as the kernel gets to it.
const KILL: Duration = Duration::from_secs(10);

impl Stage {
    /// Stops the last daemon as a person would: when the command returns, the process must be gone.
    pub(in crate::e2e) fn stop(&mut self, daemon: &Daemon) -> Result<()> {
        let departure = daemon.departure(STOP);
        let since = Instant::now();
        self.call(&["daemon", "stop"])?.expect_status(0)?;
        ensure!(daemon.process.is_gone(), "`daemon stop` has returned and {} is there", daemon.name);
        let expected = Expected { what: STOP_TO_GONE, since, promise: STOP };
        self.expect_gone(daemon, departure, &expected)?.expect_exit_0()
    }

    /// Ends the round: no process of it lives, its temporary directory is empty, and all is removed.
    pub(in crate::e2e) fn close(self) -> Result<()> {
        expect_only(&[])?;
        let step = || format!("cannot list `{}`", self.paths.tmp.display());
        let left = fs::read_dir(&self.paths.tmp).with_context(step)?.next();
        if let Some(entry) = left.transpose().with_context(step)? {
            bail!("`{}` was left behind", entry.path().display());
        }
        Ok(())
    }

    /// The round's notes, with what can be seen of its end if it failed.
    pub(in crate::e2e) fn into_round(self, number: u32, played: Result<()>) -> Round {
        let took_ms = self.epoch.now_ms();
        let failure = played.err().map(|error| format!("{error:#}\n{}", self.evidence()));
        let mut stage = self;
        let mut notes = std::mem::take(&mut stage.notes);
        notes.timeline.end_ms = took_ms;
        let closed = if failure.is_none() { stage.close() } else { Ok(()) };
        let failure = failure.or(closed.err().map(|error| format!("{error:#}")));
        Round { number, took_ms, seen: notes.seen, figures: notes.figures, failure, timeline: notes.timeline }
    }

    /// The process table and the log's end, for whoever reads of a failure.
    fn evidence(&self) -> String {
        let mut lines =
            vec![format!("  at `{}`: {}", self.paths.lock.display(), describe_path(&self.paths.lock))];
        for entry in descendants().unwrap_or_default() {
            let state = if entry.zombie { "zombie" } else { "alive" };
            let held = held_flocks(entry.pid).unwrap_or_default();
            let held: BTreeSet<String> = held.iter().map(|lock| lock.file.to_string()).collect();
            let (command, held) = (command_line(entry.pid), held.into_iter().collect::<Vec<_>>().join(", "));
            lines.push(format!("  process {} {state}, `{command}`, holds locks of [{held}]", entry.pid));
        }
        let log = fs::read_to_string(self.paths.state.join("daemon.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(12).collect();
        lines.extend(tail.into_iter().rev().map(|line| format!("  log: {line}")));
        lines.join("\n")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = kill_everything() {
            eprintln!("e2e: {error:#}");
        }
        if let Err(error) = fs::remove_dir_all(self.root.path()) {
            eprintln!("e2e: cannot remove `{}`: {error}", self.root.path().display());
        }
    }
}

/// Ends and reaps every process below us, each through its pidfd, until there is none.
pub(in crate::e2e) fn kill_everything() -> Result<()> {
    for _ in 0..100 {
        let entries = descendants()?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            // Gone since, or still another's child: the next look tells.
            let Ok(process) = Process::open(entry.pid) else { continue };
            if !entry.zombie {
                process.signal(Signal::KILL)?;
                ensure!(process.wait_gone(KILL)?, "process {} outlives SIGKILL", entry.pid);
            }
            if let Err(error) = process.reap() {
                eprintln!("e2e: {error:#}");
            }
        }
    }
    bail!("processes keep coming")
}
