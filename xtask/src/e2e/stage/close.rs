//! The end of a round: its daemon is stopped, and nothing is left. If the round failed, everything below us is ended.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::super::outcome::{Promise, Round, STOP_TO_GONE};
use super::{Expected, Stage};
use crate::world::client::command_line;
use crate::world::daemon::{Daemon, expect_only};
use crate::world::observe::{descendants, describe_path, held_flocks};

/// `stop` with nothing in flight: a few milliseconds.
const STOP: Promise = Promise(50.0);

impl Stage {
    /// Stops the last daemon as a person would: when the command returns, the process must be gone.
    pub(in crate::e2e) fn stop(&mut self, daemon: &Daemon) -> Result<()> {
        let departure = daemon.departure(STOP.patience());
        let since = Instant::now();
        self.call(&["daemon", "stop"])?.expect_status(0)?;
        ensure!(daemon.process.is_gone(), "`daemon stop` has returned and {} is there", daemon.name);
        let expected = Expected { what: STOP_TO_GONE, since, promise: STOP };
        self.expect_gone(daemon, departure, &expected)?.expect_exit_0()
    }

    /// Ends the round: no process of it lives, its temporary directory is empty, and all is removed.
    pub(in crate::e2e) fn close(self) -> Result<()> {
        expect_only(&[])?;
        let step = || format!("cannot list `{}`", self.home.paths.tmp.display());
        let left = fs::read_dir(&self.home.paths.tmp).with_context(step)?.next();
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
        let mut lines = vec![format!(
            "  at `{}`: {}",
            self.home.paths.lock.display(),
            describe_path(&self.home.paths.lock)
        )];
        for entry in descendants().unwrap_or_default() {
            let state = if entry.zombie { "zombie" } else { "alive" };
            let held = held_flocks(entry.pid).unwrap_or_default();
            let held: BTreeSet<String> = held.iter().map(|lock| lock.file.to_string()).collect();
            let (command, held) = (command_line(entry.pid), held.into_iter().collect::<Vec<_>>().join(", "));
            lines.push(format!("  process {} {state}, `{command}`, holds locks of [{held}]", entry.pid));
        }
        let log = fs::read_to_string(self.home.paths.state.join("daemon.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(12).collect();
        lines.extend(tail.into_iter().rev().map(|line| format!("  log: {line}")));
        lines.join("\n")
    }
}
