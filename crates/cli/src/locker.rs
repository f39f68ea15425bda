//! Who is in the way: the process that keeps a lock, named in the advice of an error. What helps depends on who it is: a daemon
//! that is stopped by a signal goes on when it is told to, one that hangs has to be ended, and a stranger is nobody whom
//! any command here ends.

use std::time::Duration;

use aileron_discovery::process::{Locker, find_locker};
use aileron_discovery::{Deadline, StateDir, StateFile};

use crate::failure::Failure;
use crate::pending::Pending;

/// The process table is on no file server, but it may be long.
const TABLE: Duration = Duration::from_secs(1);

impl Failure {
    /// With advice about whoever keeps the lock or the gate of `dir`, where that is what the failure is about.
    pub(crate) fn in_view_of(self, dir: &StateDir) -> Self {
        if let Some(pid) = self.paused() {
            return self.hint(&format!("{}; then try again", goes_on(pid)));
        }
        let (file, advise): (_, fn(Self, Option<&Locker>) -> Self) = match self.kind() {
            "unresponsive" => (StateFile::Lock, silent),
            "already_running" => (StateFile::Lock, held),
            "unproved" => (StateFile::Lock, unproved),
            "still_running" => (StateFile::Lock, still_running),
            "gate_busy" => (StateFile::Gate, busy),
            "start_in_progress" if !self.has_launch() => (StateFile::Gate, busy),
            _ => return self,
        };
        let asked = dir.clone();
        let found = Pending::ask(move || find_locker(&asked, file)).by(&Deadline::after(TABLE));
        let failure = if self.has_path() { self } else { self.at(&dir.path(file)) };
        advise(failure, found.ok().flatten().as_ref())
    }
}

/// A lock that is held, and no answer.
fn silent(failure: Failure, locker: Option<&Locker>) -> Failure {
    let force = "`aileron daemon stop --force` ends it";
    match locker {
        Some(locker) if locker.is_daemon && locker.is_paused => {
            failure.hint(&format!("{}; {force}", goes_on(locker.process.pid)))
        }
        Some(locker) if locker.is_daemon => failure.hint(&format!(
            "pid {} holds the lock and does not answer: `aileron daemon logs` may say why, {force}",
            locker.process.pid
        )),
        other => failure.hint(&stranger(other)),
    }
}

/// A lock that somebody else has, who may well be about to answer.
fn held(failure: Failure, locker: Option<&Locker>) -> Failure {
    match locker {
        Some(locker) if locker.is_daemon && locker.is_paused => failure.hint(&goes_on(locker.process.pid)),
        Some(locker) if locker.is_daemon => failure.hint(&format!(
            "pid {} is starting, leaving, or does not answer: `aileron daemon status` says which",
            locker.process.pid
        )),
        other => failure.hint(&stranger(other)),
    }
}

/// A lock that is held, and nobody who may be signalled.
fn unproved(failure: Failure, locker: Option<&Locker>) -> Failure {
    match locker {
        // Proved by now: it was just starting, or has changed its record.
        Some(locker) if locker.is_daemon => failure.hint("a daemon has been seen since: try again"),
        other => failure.hint(&stranger(other)),
    }
}

/// One that was told to end, and has not.
fn still_running(failure: Failure, locker: Option<&Locker>) -> Failure {
    match locker {
        Some(locker) if locker.is_daemon && locker.is_paused => {
            // Of the command that failed: it says itself how it would be forced.
            let forced =
                failure.advice().and_then(|advice| advice.split('`').find(|word| word.contains("--force")));
            let forced = forced.map(|command| format!("; `{command}` kills it")).unwrap_or_default();
            failure.hint(&format!("{} and end{forced}", goes_on(locker.process.pid)))
        }
        _ => failure,
    }
}

/// A gate that another client holds.
fn busy(failure: Failure, locker: Option<&Locker>) -> Failure {
    match locker {
        Some(locker) if locker.is_paused => failure.hint(&format!("{}; then try again", goes_on(locker.process.pid))),
        Some(locker) => failure.hint(&format!(
            "{} holds `start.lock`: try again when it has started or stopped its daemon, perhaps with a longer --timeout",
            named(locker)
        )),
        None => failure,
    }
}

fn goes_on(pid: u32) -> String {
    format!("pid {pid} is stopped by a signal or a debugger: `kill -CONT {pid}` lets it go on")
}

fn stranger(locker: Option<&Locker>) -> String {
    match locker {
        Some(locker) if locker.is_elsewhere => format!(
            "{} holds the lock in another namespace (a container?): see to it from there, or use another directory with --state-dir",
            named(locker)
        ),
        Some(locker) => format!(
            "{} holds the lock and is no daemon of this tool: see what it is (`ps -fp {}`) and end it, or use another directory with --state-dir",
            named(locker),
            locker.process.pid
        ),
        None => "no process that can be seen from here holds the lock: look as root, or where else the directory is used (a container, another host), or use another directory with --state-dir".to_owned(),
    }
}

/// A process by its pid and, where it is known, its program.
pub(crate) fn named(locker: &Locker) -> String {
    let program = locker.program.as_ref().map(|program| format!(" (`{program}`)")).unwrap_or_default();
    format!("process {}{program}", locker.process.pid)
}
