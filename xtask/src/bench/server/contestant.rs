//! The servers that are compared: one handler at five distances from the network, each a process of its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::super::instructions;
use crate::world::clock::Deadline;
use crate::world::process::{Process, wait_readable};

/// Under valgrind a start takes a second or two.
const START: Duration = Duration::from_mins(1);
const END: Duration = Duration::from_secs(20);

/// What stands between the network and the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Rung {
    Bare,
    /// Every layer of ours, and no router: what an embedder gives as a plain service.
    Plain,
    Router,
    /// A build of the product whose fence has been cut out of the source: see [`super::build`].
    Fenceless,
    Product,
}

impl Rung {
    pub(super) const ALL: [Self; 5] = [Self::Bare, Self::Plain, Self::Router, Self::Fenceless, Self::Product];

    pub(in crate::bench) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare hyper",
            Self::Plain => "+ our layers and fence, no router",
            Self::Router => "+ axum's router",
            Self::Fenceless => "+ our layers, no fence",
            Self::Product => "+ fence: the product",
        }
    }

    /// Which have a part of what this one has, the nearest first.
    pub(super) fn below(self) -> &'static [Self] {
        match self {
            Self::Bare => &[],
            Self::Plain | Self::Router => &[Self::Bare],
            Self::Fenceless => &[Self::Router],
            Self::Product => &[Self::Fenceless, Self::Router, Self::Bare],
        }
    }

    /// Whether it has every layer on.
    pub(super) fn is_promised(self) -> bool {
        matches!(self, Self::Plain | Self::Product)
    }

    fn is_ours(self) -> bool {
        matches!(self, Self::Plain | Self::Fenceless | Self::Product)
    }
}

/// The two builds of `crates/server/examples/echo.rs`.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Echo {
    pub(super) whole: PathBuf,
    pub(super) fenceless: PathBuf,
}

impl Echo {
    pub(super) fn program(&self, rung: Rung) -> &Path {
        if rung == Rung::Fenceless { &self.fenceless } else { &self.whole }
    }
}

/// A server that runs. It ends when this is dropped.
pub(in crate::bench) struct Contestant {
    pub(in crate::bench) port: u16,
    /// 64 letters, for a server that asks for none as well: requests are the same bytes everywhere.
    pub(in crate::bench) token: String,
    process: Process,
    child: Child,
    /// Its home, and what it said.
    directory: TempDir,
}

/// Whether it is timed or counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Under {
    Nothing,
    Valgrind,
}

impl Contestant {
    /// Starts one and waits until it can be asked. `document` is what [`Rung::Bare`] answers at `/v1/daemon`.
    pub(in crate::bench) fn start(rung: Rung, program: &Path, document: &[u8], under: Under) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("aileron-xtask-").tempdir();
        let directory = directory.context("cannot make a temporary directory")?;
        let (state, ready_made) = (directory.path().join("state"), directory.path().join("document"));
        fs::write(&ready_made, document).context("cannot write a document")?;
        let mut command = Command::new(program);
        match rung {
            Rung::Bare => command.arg("bare").arg(&ready_made),
            Rung::Plain => command.arg("plain").arg(&state),
            Rung::Router => command.arg("router"),
            Rung::Fenceless | Rung::Product => command.arg("daemon").arg(&state),
        };
        command.env("HOME", directory.path());
        let mut command = match under {
            Under::Nothing => command,
            Under::Valgrind => instructions::counted(&command),
        };
        if under == Under::Nothing {
            command.env_clear().env("HOME", directory.path());
        }
        let said = File::create(directory.path().join("said")).context("cannot make a file")?;
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::from(said));
        let child = command.spawn().with_context(|| format!("cannot start {}", rung.name()))?;
        let process = Process::open(child.id())?;
        let mut started = Self { port: 0, token: "0".repeat(64), process, child, directory };
        if rung.is_ours() {
            (started.port, started.token) = started.advertised(&state)?;
        } else {
            started.port = started.printed()?;
        }
        Ok(started)
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it in order, and tells what it said to standard error.
    pub(in crate::bench) fn end(mut self) -> Result<String> {
        self.process.signal(Signal::TERM)?;
        ensure!(self.process.wait_gone(END)?, "a server outlives its end by {} s", END.as_secs());
        self.child.wait().context("cannot reap a server")?;
        fs::read_to_string(self.directory.path().join("said")).context("cannot read what a server said")
    }

    fn advertised(&self, state: &Path) -> Result<(u16, String)> {
        let deadline = Deadline::after(START);
        let path = state.join("daemon.json");
        while !path.exists() {
            ensure!(!self.process.is_gone(), "a daemon ended before it was ready");
            ensure!(!deadline.left().is_zero(), "a daemon is not ready after {} s", START.as_secs());
            std::thread::sleep(Duration::from_millis(2));
        }
        let text = fs::read_to_string(&path).context("cannot read a record")?;
        let record: Value = serde_json::from_str(&text).context("a record that is no JSON document")?;
        let field = |name: &str| record.get(name).and_then(Value::as_str);
        let port = field("url").and_then(|url| url.rsplit(':').next()?.parse().ok());
        Ok((
            port.context("a record without a port")?,
            field("token").context("a record without a token")?.to_owned(),
        ))
    }

    fn printed(&mut self) -> Result<u16> {
        let pipe = self.child.stdout.take().context("standard output is a pipe")?;
        if !wait_readable(pipe.as_fd(), START).context("cannot wait for a server")? {
            bail!("a server has not printed its port after {} s", START.as_secs());
        }
        let mut line = String::new();
        BufReader::new(pipe).read_line(&mut line).context("cannot read a port")?;
        line.trim().parse().with_context(|| format!("a server printed {line:?} and no port"))
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        if !self.process.is_gone() {
            let _gone_meanwhile = self.process.signal(Signal::KILL);
        }
        // A second wait has the status of the first.
        if let Err(error) = self.child.wait() {
            eprintln!("xtask: cannot reap a server: {error}");
        }
    }
}
