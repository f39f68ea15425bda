//! How many instructions a program executes, in user space, all its threads together.
//!
//! Counted by valgrind's callgrind and not by the processor: a virtual machine often has no counters for its guests, and this
//! count is the same on every one, to within some hundreds. It slows a program down by some fifty times, so that nothing is timed here.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::workspace::display;
use crate::world::process::Process;

/// Said in every document.
pub(super) const COUNTED_BY: &str = "valgrind --tool=callgrind, user space";

/// A counted program must end.
const LIMIT: Duration = Duration::from_mins(2);

/// Whether they can be counted at all.
pub(super) fn can_be_counted() -> Result<()> {
    let found = Command::new("valgrind").arg("--version").output();
    let found = found.context("valgrind(1) is not installed: no instructions are counted")?;
    ensure!(found.status.success(), "`valgrind --version` failed");
    Ok(())
}

/// The command as it is run to be counted, without its account of each function. Its environment has to name a `PATH`
/// in which valgrind is.
pub(super) fn counted(command: &Command) -> Command {
    let mut counted = Command::new("valgrind");
    counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    counted.arg(command.get_program()).args(command.get_args());
    counted.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // valgrind finds its own tools by itself, and has to be found.
    counted.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    counted
}

/// What valgrind said at the end.
pub(super) fn read(said: &str) -> Result<f64> {
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    let number = line.and_then(|(_, number)| number.trim().parse().ok());
    number.with_context(|| format!("valgrind told no count: {}", said.trim()))
}

/// Of a whole process, which has to end with status 0.
pub(super) fn of(command: &Command) -> Result<f64> {
    let mut run = counted(command);
    run.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = run.spawn().with_context(|| format!("cannot start `{}`", display(&run)))?;
    let process = Process::open(child.id())?;
    // What it says is less than a pipe holds.
    if !process.wait_gone(LIMIT)? {
        process.signal(Signal::KILL)?;
        child.wait_with_output().context("cannot reap a counted program")?;
        bail!("`{}` had not ended after {} s", display(command), LIMIT.as_secs());
    }
    let output = child.wait_with_output().context("cannot reap a counted program")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}` failed: {}", display(command), said.trim());
    read(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_and_none_is_made_up() {
        let said = "==7== Events    : Ir\n==7== Collected : 773451\n==7== \n==7== I   refs:      773,451\n";
        assert!((read(said).expect("a count") - 773_451.0).abs() < 0.5);
        assert!(read("==7== Events    : Ir\n").is_err());
    }
}
