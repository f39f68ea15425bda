//! Innocent processes, to which every signal shows.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// How often a pid is asked for again, while other processes of the lane are started between our asking and our getting.
const TRIES: u32 = 20;

/// A process that has nothing to do with any of this, and blocks every signal that can be blocked: one that it is sent stays
/// pending and can be seen. The two that cannot be blocked end it or stop it, which can be seen as well.
#[derive(Debug)]
pub(super) struct Decoy(Child);

impl Decoy {
    /// Whatever pid it gets.
    pub(super) fn start() -> Result<Self> {
        Self::start_with(Stdio::null())
    }

    fn start_with(input: Stdio) -> Result<Self> {
        let mut command = Command::new("env");
        command.args(["--block-signal", "sleep", "600"]);
        command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("cannot start `env` and `sleep` (of coreutils)")?))
    }

    /// Gets that very pid, of which the last process must be gone and reaped. `None`: somebody else has it.
    ///
    /// `held` is a descriptor that it is to have as well: the lock on an open file description goes with it.
    pub(super) fn start_as(pid: u32, held: Option<&File>) -> Result<Option<Self>> {
        for _ in 0..TRIES {
            if fs::exists(format!("/proc/{pid}")).context("cannot look into `/proc`")? {
                return Ok(None);
            }
            // The next process of this pid namespace gets the next number (`proc_sys_kernel(5)`).
            fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
                .context("cannot say what the next pid is to be")?;
            let input = held.map(File::try_clone).transpose().context("cannot share the lock")?;
            let mut decoy = Self::start_with(input.map_or_else(Stdio::null, Stdio::from))?;
            if decoy.pid() == pid {
                return Ok(Some(decoy));
            }
            decoy.end()?;
        }
        Ok(None)
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// P9: nobody has signalled it.
    pub(super) fn expect_unharmed(&self) -> Result<()> {
        let pid = self.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let Some(state) = field("State:") else { bail!("P9: the innocent process {pid} was ended") };
        ensure!(
            !state.starts_with(['T', 'Z', 'X']),
            "P9: the innocent process {pid} was signalled: it is {state}"
        );
        for pending in ["SigPnd:", "ShdPnd:"] {
            let set = field(pending).context("a status has its pending signals")?;
            let set = u64::from_str_radix(set, 16).with_context(|| format!("cannot understand {set:?}"))?;
            ensure!(set == 0, "P9: the innocent process {pid} was signalled: {pending} {set:x}");
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<()> {
        self.0.kill().and_then(|()| self.0.wait()).map(drop).context("cannot end a decoy")
    }
}

impl Drop for Decoy {
    fn drop(&mut self) {
        // One that is gone already was told of.
        if self.end().is_err() {}
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::*;
    use crate::world::clock::Deadline;
    use crate::world::process::Process;

    /// It blocks signals only once `env` has said so.
    fn ready(decoy: &Decoy) {
        let deadline = Deadline::after(std::time::Duration::from_secs(10));
        let comm = format!("/proc/{}/comm", decoy.pid());
        while fs::read_to_string(&comm).expect("alive").trim() != "sleep" {
            assert!(!deadline.left().is_zero(), "`env` has not come to its program");
            std::thread::yield_now();
        }
    }

    #[test]
    fn every_signal_shows() {
        for signal in [Signal::TERM, Signal::INT, Signal::WINCH, Signal::CONT, Signal::STOP, Signal::KILL] {
            let decoy = Decoy::start().expect("coreutils");
            ready(&decoy);
            decoy.expect_unharmed().expect("nobody has signalled it");
            let process = Process::open(decoy.pid()).expect("alive");
            process.signal(signal).expect("ours");
            let deadline = Deadline::after(std::time::Duration::from_secs(10));
            while decoy.expect_unharmed().is_ok() {
                assert!(!deadline.left().is_zero(), "{signal:?} does not show");
                std::thread::yield_now();
            }
        }
    }
}
