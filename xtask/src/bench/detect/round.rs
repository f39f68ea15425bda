//! One round: a daemon loses its path, or a bare reader loses that of a twin of the daemon's files.

use std::fs::{self, DirBuilder};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::port::Closing;
use super::reader::Reader;
use crate::world::clock::Moment;
use crate::world::daemon::Daemon;
use crate::world::fault::Fault;
use crate::world::home::{Home, Watch};
use crate::world::http::KeptAlive;
use crate::world::observe::wait_asleep;
use crate::world::paths::Paths;
use crate::world::process::{Ended, Process};

/// Idle connections that a daemon has open when it loses its path.
pub(super) const CONNECTIONS: usize = 10;
/// How long both kinds of process have been asleep when it happens.
pub(super) const REST: Duration = Duration::from_millis(3);
/// Nothing that is measured takes as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a daemon's round gave, in microseconds from the moment before the system call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Displaced {
    pub(super) verdict: f64,
    pub(super) port_closed: f64,
    pub(super) gone: f64,
}

/// What a reader's round gave, likewise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) verdict: f64,
    pub(super) gone: f64,
}

/// Where rounds are played, and with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    pub(super) directory: &'a Path,
    pub(super) binary: &'a Path,
    /// The program that the bare reader is.
    pub(super) reader: &'a Path,
}

impl Ground<'_> {
    /// A daemon is started by a client, has idle connections, comes to rest, and loses its path `phase` later.
    pub(super) fn displace(self, fault: Fault, watch: Watch, phase: Duration) -> Result<Displaced> {
        let home = Home::make(self.directory, self.binary, watch)?;
        let paths = home.paths.clone();
        home.setting.client(&["url"])?.finish()?.expect_status(0)?;
        let daemon = Daemon::at_path("the daemon", &paths, self.binary)?;
        expect_watching(&daemon, watch)?;
        let connections: Result<Vec<KeptAlive>> =
            (0..CONNECTIONS).map(|_| KeptAlive::open(daemon.port)).collect();
        let connections = connections?;
        fault.prepare(&paths)?;
        wait_asleep(daemon.pid())?;
        let (departure, closing) = (daemon.departure(PATIENCE), Closing::of(daemon.port, PATIENCE));
        std::thread::sleep(REST + phase);
        let struck = fault.strike(&paths)?;
        let gone = departure.moment()?.context("the daemon does not go")?;
        let closed = closing.moment()?.context("the daemon's port stays open")?;
        drop(connections);
        expect_exit_0(&daemon.process)?;
        let line = daemon.log.first("displaced")?.context("the log has no `displaced`")?;
        let verdict = line.time.duration_since(struck.wall);
        Ok(Displaced {
            // The log's clock ticks in microseconds: a verdict may seem to come up to one too early.
            verdict: micros(verdict.unwrap_or_default()),
            port_closed: micros(closed.saturating_duration_since(struck.instant)),
            gone: micros(gone.saturating_duration_since(struck.instant)),
        })
    }

    /// The same beside a bare reader. The same threads wait for the same things, as they take time from both.
    pub(super) fn read(self, fault: Fault) -> Result<Read> {
        let home = Home::make(self.directory, self.binary, Watch::Events)?;
        let paths = home.paths.clone();
        make_twin(&paths)?;
        fault.prepare(&paths)?;
        let mut reader = Reader::start(self.reader, &paths.lock)?;
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let port = listener.local_addr().context("a listener has an address")?.port();
        let (departure, closing) = (reader.departure(PATIENCE), Closing::of(port, PATIENCE));
        std::thread::sleep(REST);
        let struck = fault.strike(&paths)?;
        let gone = departure.moment()?.context("the bare reader does not go")?;
        drop(listener);
        closing.moment()?.context("our own port stays open")?;
        let seen = reader.seen()?;
        expect_exit_0(reader.process())?;
        Ok(Read {
            verdict: since(struck, seen),
            gone: micros(gone.saturating_duration_since(struck.instant)),
        })
    }
}

/// A benchmark of a daemon that polls where it should have events would be one of something else.
fn expect_watching(daemon: &Daemon, watch: Watch) -> Result<()> {
    let line = daemon.log.first("watching")?.context("the log has no `watching`")?;
    let expected = if watch == Watch::Events { "events" } else { "poll" };
    ensure!(line.field("mode").as_deref() == Some(expected), "the daemon watches otherwise: {line}");
    Ok(())
}

/// The files that a daemon has, for a reader that is none.
fn make_twin(paths: &Paths) -> Result<()> {
    let step = || format!("cannot make `{}`", paths.state.display());
    DirBuilder::new().mode(0o700).create(&paths.state).with_context(step)?;
    for name in ["daemon.lock", "start.lock", "daemon.log", "daemon.json", "daemon.pid"] {
        fs::write(paths.state.join(name), "").with_context(step)?;
    }
    Ok(())
}

fn expect_exit_0(process: &Process) -> Result<()> {
    let ended = process.reap()?;
    ensure!(ended == Ended::Exited(0), "process {} ended with {ended}", process.pid());
    Ok(())
}

fn since(moment: Moment, monotonic: Duration) -> f64 {
    micros(monotonic.saturating_sub(moment.monotonic))
}

fn micros(duration: Duration) -> f64 {
    // To the nanosecond that the clock tells, and no digits that are the arithmetic's.
    (duration.as_secs_f64() * 1e9).round() / 1e3
}

/// How long something took.
pub(super) fn seconds_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}
