//! Clients and daemons to whom the kernel itself gives few file events: a user namespace has limits of its own for them.
//!
//! It is the kernel's own refusal, in the middle of arming or at its start, that the daemons meet here, and not that of a filter
//! in front of it. A limit counts for all processes of the namespace at once, so a successor may want what a daemon that is
//! about to leave still has. All clients of a round are in one namespace, for in another they could prove nobody.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::plan::Allowance;

/// The namespace, kept by a process in it.
#[derive(Debug)]
pub(super) struct Namespace(Child);

/// Lowers the limits from inside, says so, and stays. The process outside has the other end of its input.
const KEEP: &str = "echo $0 > /proc/sys/user/max_inotify_instances && \
                    echo $1 > /proc/sys/user/max_inotify_watches && echo done && exec cat";

impl Namespace {
    pub(super) fn make(allowance: Allowance) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", KEEP]);
        command.args([allowance.instances.to_string(), allowance.watches.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut namespace = Self(command.spawn().context("cannot start `unshare` (of util-linux)")?);
        let mut said = String::new();
        let output = namespace.0.stdout.as_mut().context("standard output is a pipe")?;
        BufReader::new(output).read_line(&mut said).context("cannot hear of the user namespace")?;
        ensure!(said == "done\n", "a user namespace cannot be had, or has no limits of its own");
        Ok(namespace)
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What a program is started by to be inside: `nsenter` with these.
    pub(super) fn enter(&self) -> [String; 2] {
        [format!("--user=/proc/{}/ns/user", self.pid()), "--preserve-credentials".to_owned()]
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // One that is gone already is as good.
        if self.0.kill().and_then(|()| self.0.wait()).is_err() {}
    }
}
