//! A daemon as the observer knows it: the process below us that holds the lock at the path, and what it advertises,
//! each claim held against the kernel's tables.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::client::command_line;
use super::http::Request;
use super::log::LogTap;
use super::observe::{FileId, descendants, held_flocks, listening_ports, runs};
use super::paths::Paths;
use super::process::{Departure, Process};

/// A daemon that was seen to be one.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) name: &'static str,
    pub(crate) process: Arc<Process>,
    /// The file whose lock it holds.
    pub(crate) held: FileId,
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) instance: String,
    pub(crate) log: LogTap,
    token: String,
}

impl Daemon {
    /// Finds the one process below us that holds the lock at the path, and checks what its record says.
    ///
    /// # Errors
    /// When there is none or more than one, or the record tells of something else than the tables.
    pub(crate) fn at_path(name: &'static str, paths: &Paths, binary: &Path) -> Result<Self> {
        let held = FileId::at(&paths.lock)?.context("no lock at the path after a client's success")?;
        let process = Arc::new(Process::open(sole_holder(held)?)?);
        let pid = process.pid();
        ensure!(runs(pid, binary)?, "process {pid} holds the lock and does not run `{}`", binary.display());
        let record = Record::read(&paths.state.join("daemon.json"))?;
        ensure!(record.pid == pid, "the record names process {}, the lock is held by {pid}", record.pid);
        let pid_file = read(&paths.state.join("daemon.pid"))?;
        ensure!(pid_file == format!("{pid}\n"), "daemon.pid says {pid_file:?}, the lock is held by {pid}");
        let ports = listening_ports(pid)?;
        ensure!(ports.contains(&record.port), "process {pid} listens on {ports:?}, not on {}", record.port);
        let Record { url, port, token, instance, .. } = record;
        let log = LogTap::open(&paths.state.join("daemon.log"), pid)?;
        Ok(Self { name, process, held, url, port, instance, log, token })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The same process, alive, with the lock of the file that stands at the path.
    pub(crate) fn expect_owner(&self, paths: &Paths) -> Result<()> {
        let (name, pid) = (self.name, self.pid());
        ensure!(!self.process.is_gone(), "{name} (process {pid}) is gone");
        let at_path = FileId::at(&paths.lock)?;
        ensure!(at_path == Some(self.held), "the path leads to {at_path:?}, {name} holds {}", self.held);
        ensure!(self.holds_its_lock()?, "{name} (process {pid}) no longer holds the lock of {}", self.held);
        Ok(())
    }

    /// Begins to wait for its end.
    pub(crate) fn departure(&self, patience: Duration) -> Departure {
        self.process.watch(patience)
    }

    /// Whether the lock it was found with is still held by it, wherever the file is now.
    pub(crate) fn holds_its_lock(&self) -> Result<bool> {
        let held = held_flocks(self.pid())?;
        Ok(held.iter().any(|lock| lock.exclusive && lock.file == self.held))
    }

    /// It answers over TCP, and a handshake proves to be with this very instance.
    pub(crate) fn expect_service(&self) -> Result<()> {
        let health = Request::HEALTH.send(self.port)?;
        ensure!(health.status == 200 && health.body.trim() == "ok", "{} answered {health:?}", self.name);
        let proof = Request::HANDSHAKE.send(self.port)?;
        let instance = proof.field("instance");
        ensure!(proof.status == 200, "{} refused a handshake: {proof:?}", self.name);
        ensure!(
            instance.as_deref() == Some(&self.instance),
            "a handshake with {} met {instance:?}",
            self.name
        );
        Ok(())
    }

    /// Asks it to stop, with the token from its own record.
    pub(crate) fn request_stop(&self) -> Result<()> {
        let request = Request { method: "POST", path: "/v1/daemon/stop", token: Some(&self.token), body: "" };
        let answer = request.send(self.port)?;
        ensure!(answer.status == 202, "the stop request was answered by {answer:?}");
        Ok(())
    }
}

/// The process below us that holds the exclusive flock of a file.
fn sole_holder(file: FileId) -> Result<u32> {
    let mut holders = Vec::new();
    for entry in descendants()?.into_iter().filter(|entry| !entry.zombie) {
        // A process that ends while we look holds nothing.
        let held = held_flocks(entry.pid).unwrap_or_default();
        if held.iter().any(|lock| lock.exclusive && lock.file == file) {
            holders.push(entry.pid);
        }
    }
    match holders[..] {
        [pid] => Ok(pid),
        [] => bail!("nobody holds the lock of {file}"),
        _ => {
            let shown: Vec<String> =
                holders.iter().map(|pid| format!("{pid} ({})", command_line(*pid))).collect();
            bail!("the lock of {file} is held by {}", shown.join(", "))
        }
    }
}

/// These and no others live below us.
pub(crate) fn expect_only(daemons: &[&Daemon]) -> Result<()> {
    let known: Vec<u32> = daemons.iter().map(|daemon| daemon.pid()).collect();
    let living = descendants()?.into_iter().filter(|entry| !entry.zombie).map(|entry| entry.pid);
    let (expected, strangers): (Vec<u32>, Vec<u32>) = living.partition(|pid| known.contains(pid));
    if let Some(pid) = strangers.first() {
        bail!("process {pid} (`{}`) lives and should not", command_line(*pid));
    }
    ensure!(expected.len() == known.len(), "of {known:?} only {expected:?} live");
    Ok(())
}

/// What `daemon.json` claims.
struct Record {
    pid: u32,
    url: String,
    port: u16,
    token: String,
    instance: String,
}

impl Record {
    fn read(path: &Path) -> Result<Self> {
        let document: Value = serde_json::from_str(&read(path)?)
            .with_context(|| format!("`{}` is no JSON document", path.display()))?;
        let text = |name: &str| {
            let value = document.get(name).and_then(Value::as_str).map(str::to_owned);
            value.with_context(|| format!("`{}` has no `{name}`", path.display()))
        };
        let url = text("url")?;
        let port = url.strip_prefix("http://127.0.0.1:").and_then(|port| port.parse().ok());
        let pid = document.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
        Ok(Self {
            pid: pid.with_context(|| format!("`{}` has no `pid`", path.display()))?,
            port: port.with_context(|| format!("`{url}` is no literal address with a port"))?,
            url,
            token: text("token")?,
            instance: text("instance")?,
        })
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}
