//! A client: one run of the binary, with a cleared environment and a deadline.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::clock::{Deadline, millis};
use super::observe::has_reaped;
use super::process::{Process, wait_readable};

/// The longest a client may take: above its own start deadline of 30 s, so that its own error is what we see.
const LIMIT: Duration = Duration::from_secs(45);
/// After the client's end its pipes must end too, or the daemon has kept them.
const END_OF_FILE: Duration = Duration::from_secs(2);

/// Everything a client gets from outside.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) binary: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) tmp: PathBuf,
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Another user's id to run as.
    pub(crate) uid: Option<u32>,
}

/// A client that runs.
#[derive(Debug)]
pub(crate) struct Client {
    shown: String,
    child: Child,
    process: Process,
    begun: Instant,
}

/// What a client said and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) shown: String,
    pub(crate) status: Option<i32>,
    /// It started a process and waited for its end.
    pub(crate) reaped_a_child: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
}

impl Setting {
    /// Starts the binary with these arguments.
    pub(crate) fn client(&self, arguments: &[&str]) -> Result<Client> {
        let program = self.binary.file_name().unwrap_or(self.binary.as_os_str()).to_string_lossy();
        let shown = format!("{program} {}", arguments.join(" "));
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start `{}`", self.binary.display()))?;
        let process = Process::open(child.id())?;
        Ok(Client { shown, child, process, begun })
    }

    /// The same, not yet started: where its output goes is for the caller to say.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("TMPDIR", &self.tmp)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null());
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }
}

impl Client {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it by `SIGKILL`; one that has ended already is left as it is.
    pub(crate) fn kill(&self) -> Result<()> {
        if self.process.is_gone() { Ok(()) } else { self.process.signal(Signal::KILL) }
    }

    /// Waits for its end, and for the end of its output.
    pub(crate) fn finish(mut self) -> Result<Answer> {
        if !self.process.wait_gone(LIMIT)? {
            self.process.signal(Signal::KILL)?;
            self.child.wait().with_context(|| format!("cannot reap `{}`", self.shown))?;
            bail!("`{}` had not ended after {} s", self.shown, LIMIT.as_secs());
        }
        let ended = Instant::now();
        let reaped_a_child = has_reaped(self.process.pid())?;
        let status = self.child.wait().with_context(|| format!("cannot reap `{}`", self.shown))?;
        let stdout = self.child.stdout.take().context("standard output is a pipe")?;
        let stderr = self.child.stderr.take().context("standard error is a pipe")?;
        Ok(Answer {
            status: status.code(),
            reaped_a_child,
            stdout: read_to_end(stdout, &self.shown)?,
            stderr: read_to_end(stderr, &self.shown)?,
            begun: self.begun,
            ended,
            shown: self.shown,
        })
    }
}

impl Answer {
    pub(crate) fn took_ms(&self) -> f64 {
        millis(self.ended - self.begun)
    }

    /// Fails, with what the client said, unless it ended with that status.
    pub(crate) fn expect_status(&self, status: i32) -> Result<()> {
        let (shown, stderr) = (&self.shown, self.stderr.trim());
        ensure!(
            self.status == Some(status),
            "`{shown}` ended with {:?} instead of {status}: {stderr}",
            self.status
        );
        Ok(())
    }
}

fn read_to_end(mut pipe: impl Read + AsFd, shown: &str) -> Result<String> {
    let deadline = Deadline::after(END_OF_FILE);
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let ready = wait_readable(pipe.as_fd(), deadline.left())
            .with_context(|| format!("cannot wait for the output of `{shown}`"))?;
        ensure!(ready, "`{shown}` has ended, and somebody still holds its output open");
        match pipe.read(&mut chunk).with_context(|| format!("cannot read the output of `{shown}`"))? {
            0 => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// What a process was started with, for messages.
pub(crate) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.collect::<Vec<_>>().join(" ").trim().to_owned()
}
