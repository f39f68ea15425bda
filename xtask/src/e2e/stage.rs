//! One round's world: a home of its own, the processes that come and go in it, and the notes that are taken.
//!
//! Whatever a round starts ends with it: on success by `daemon stop`, and otherwise, when the stage is dropped, by
//! `SIGKILL` through a pidfd to each process below us.

mod close;
mod notes;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::outcome::Promise;
use super::timeline::{Deed, Mark};
use crate::world::client::{Answer, Client};
use crate::world::clock::{Epoch, millis};
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};
use crate::world::http;
use crate::world::log::Line;
use crate::world::paths::Paths;
use crate::world::process::{Departure, Ended};
use notes::By;
pub(super) use notes::Notes;

/// Who runs the clients and their daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Ourselves,
    /// `nobody`, who may read nothing but what all may.
    Unprivileged,
}

/// The uid and gid of `nobody`.
pub(super) const NOBODY: u32 = 65534;

/// A round under way.
pub(super) struct Stage {
    pub(super) home: Home,
    pub(super) notes: Notes,
    epoch: Epoch,
}

/// What a daemon left: its last words and its exit status.
#[derive(Debug)]
pub(super) struct Farewell {
    pub(super) lines: Vec<Line>,
    pub(super) ended: Ended,
}

impl Farewell {
    pub(super) fn line(&self, event: &str) -> Option<&Line> {
        self.lines.iter().rfind(|line| line.event == event)
    }

    pub(super) fn expect_exit_0(&self) -> Result<()> {
        ensure!(self.ended == Ended::Exited(0), "it ended with {}", self.ended);
        Ok(())
    }
}

impl Stage {
    /// Makes an empty home below the system's temporary directory.
    pub(super) fn set(binary: &Path, watch: Watch, user: User) -> Result<Self> {
        let mut home = Home::make(&std::env::temp_dir(), binary, watch)?;
        if user == User::Unprivileged {
            home.setting.binary = hand_over(&home.paths, binary)?;
            home.setting.uid = Some(NOBODY);
        }
        Ok(Self { home, notes: Notes::default(), epoch: Epoch::begin() })
    }

    /// Starts a client and doesn't wait for it.
    pub(super) fn launch(&self, arguments: &[&str]) -> Result<Client> {
        self.home.setting.client(arguments)
    }

    /// Runs a client to its end, whatever that is.
    pub(super) fn call(&mut self, arguments: &[&str]) -> Result<Answer> {
        let answer = self.launch(arguments)?.finish()?;
        self.note_call(&answer);
        Ok(answer)
    }

    /// Notes a client's run for the timeline.
    pub(super) fn note_call(&mut self, answer: &Answer) {
        self.notes.call(self.epoch, answer);
        let by = By::Client { begun_ms: self.epoch.ms_at(answer.begun) };
        self.notes.path(self.epoch, &self.home.paths.lock, by);
    }

    /// Has a client find or start a daemon, and looks who it is.
    pub(super) fn start(&mut self, name: &'static str) -> Result<Daemon> {
        let answer = self.call(&["url"])?;
        self.meet(name, &answer)
    }

    /// Looks which daemon a client found or started.
    pub(super) fn meet(&mut self, name: &'static str, answer: &Answer) -> Result<Daemon> {
        answer.expect_status(0)?;
        let daemon = Daemon::at_path(name, &self.home.paths, &self.home.setting.binary)?;
        let printed = answer.stdout.trim_end_matches('\n');
        ensure!(printed == daemon.url, "the client printed {printed:?}, the record says {}", daemon.url);
        daemon.expect_service()?;
        self.notes.lane(self.epoch, &daemon, &self.home.paths.lock)?;
        self.saw(format!(
            "{name}: process {} holds inode {}, port {}, client took {:.1} ms",
            daemon.pid(),
            daemon.held.ino,
            daemon.port,
            answer.took_ms()
        ));
        Ok(daemon)
    }

    /// The client finds that daemon and starts none.
    pub(super) fn expect_found(&mut self, daemon: &Daemon) -> Result<Answer> {
        let answer = self.call(&["url"])?;
        answer.expect_status(0)?;
        let printed = answer.stdout.trim_end_matches('\n');
        ensure!(printed == daemon.url, "the client printed {printed:?} instead of {}", daemon.url);
        daemon.expect_owner(&self.home.paths)?;
        daemon.expect_service()?;
        Ok(answer)
    }

    /// Does something to the daemons and notes when: the moment before it, so that a time from here is never too short.
    pub(super) fn strike(
        &mut self,
        deed: Deed,
        text: &str,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<Instant> {
        let since = Instant::now();
        act()?;
        self.notes.path(self.epoch, &self.home.paths.lock, By::Deed);
        self.notes.mark(Mark { at_ms: self.epoch.ms_at(since), deed, text: text.to_owned() });
        Ok(since)
    }

    /// Waits for that end, takes the figure, the exit status and the last words.
    pub(super) fn expect_gone(
        &mut self,
        daemon: &Daemon,
        departure: Departure,
        figure: &Expected,
    ) -> Result<Farewell> {
        let (name, pid) = (daemon.name, daemon.pid());
        let Some(moment) = departure.moment()? else {
            let waited = millis(figure.since.elapsed());
            bail!("{name} (process {pid}) is still there {waited:.0} ms after: {}", figure.what);
        };
        let took = millis(moment.saturating_duration_since(figure.since));
        self.notes.figure(figure.what, took, figure.promise);
        let farewell = self.part(daemon, moment)?;
        self.saw(format!("{name} gone after {took:.2} ms: {}", farewell.ended));
        let bound = figure.promise.bound_ms();
        ensure!(took <= bound, "{name} was gone after {took:.1} ms, the bound is {bound:.0} ms");
        ensure!(!http::is_open(daemon.port), "{name} is gone and its port {} is open", daemon.port);
        Ok(farewell)
    }

    /// How long the verdict took, by the daemon's own log.
    pub(super) fn verdict(&mut self, farewell: &Farewell, since: Instant, promise: Promise) -> Result<()> {
        let line = farewell.line("displaced").context("the log has no `displaced`")?;
        let took = self.epoch.ms_at_wall(line.time) - self.epoch.ms_at(since);
        self.figure("fault to verdict, by its log", took, promise)
    }

    /// Reaps a daemon that is gone and reads its log to the end.
    fn part(&mut self, daemon: &Daemon, moment: Instant) -> Result<Farewell> {
        let ended = daemon.process.reap()?;
        let lines = daemon.log.lines()?;
        self.notes.end_of_lane(self.epoch, daemon, moment, ended, &lines);
        Ok(Farewell { lines, ended })
    }

    pub(super) fn saw(&mut self, what: impl Into<String>) {
        self.notes.seen.push(what.into());
    }

    /// How long the client took that ran last.
    pub(super) fn last_call_ms(&self) -> f64 {
        self.notes.timeline.calls.last().map_or(0.0, |call| call.to_ms - call.from_ms)
    }

    pub(super) fn figure(&mut self, what: &'static str, ms: f64, promise: Promise) -> Result<()> {
        self.notes.figure(what, ms, promise);
        let bound = promise.bound_ms();
        ensure!(ms <= bound, "{what}: {ms:.1} ms, the bound is {bound:.0} ms");
        Ok(())
    }
}

/// A figure that an end is measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) what: &'static str,
    pub(super) since: Instant,
    pub(super) promise: Promise,
}

/// Gives the home to `nobody`, and a copy of the binary that `nobody` can reach.
fn hand_over(paths: &Paths, binary: &Path) -> Result<PathBuf> {
    let root_only = "another user's daemon takes root to start: run this scenario as root";
    ensure!(rustix::process::geteuid().is_root(), root_only);
    for directory in [&paths.grand, &paths.home, &paths.tmp] {
        chown(directory, Some(NOBODY), Some(NOBODY))
            .with_context(|| format!("cannot give `{}` to nobody", directory.display()))?;
    }
    let copy = paths.root.join("aileron");
    fs::copy(binary, &copy).with_context(|| format!("cannot copy `{}`", binary.display()))?;
    for path in [&paths.root, &copy] {
        fs::set_permissions(path, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot open `{}` to all", path.display()))?;
    }
    Ok(copy)
}
