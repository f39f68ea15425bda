//! Checks of the lock and of who else thinks to have it.

use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::survey::Enforcement;
use aileron_discovery::{LockProbe, ProbeError, StateFile};

use super::check::Verdict;
use super::directory::{missing, refused};
use super::facts::Facts;
use crate::locker::named;

const LOCAL: &str = "choose a state directory on a local file system (--state-dir)";

/// The truth about whether there is a daemon (P6).
pub(super) fn lock(facts: &Facts) -> Verdict {
    match &facts.probe {
        Err(why) => missing(facts, why),
        Ok(Ok(LockProbe::Absent)) => Verdict::ok("there is none yet"),
        Ok(Ok(LockProbe::Free(file))) => Verdict::ok(format!("free, inode {file}: no daemon")),
        Ok(Ok(LockProbe::Held(file))) => match facts.owner() {
            Some(owner) if owner.paused => Verdict::failure(
                format!("held by pid {}, which is stopped by a signal or a debugger", owner.process.pid),
                format!("`kill -CONT {}`, or `{} daemon stop --force`", owner.process.pid, facts.tool.name()),
            ),
            Some(owner) => Verdict::ok(format!("held by pid {}, inode {file}", owner.process.pid)),
            None if facts.found().is_some() => Verdict::ok(format!("held, inode {file}")),
            None => Verdict::failure(
                format!("held, inode {file}, by no process that can be seen to be a daemon of this tool"),
                match &facts.locker {
                    Ok(Some(locker)) => {
                        let pid = locker.process.pid;
                        format!("{} has it: see what it is (`ps -fp {pid}`), and end it", named(locker))
                    }
                    _ => "look as root, or where else the directory is used: a container, another host"
                        .to_owned(),
                },
            ),
        },
        Ok(Err(ProbeError::StateDir(error))) => refused(error),
        Ok(Err(error @ ProbeError::NotAFile { .. })) => {
            Verdict::failure(in_one_line(error), "move what stands there away; nothing here removes it")
        }
        Ok(Err(error @ ProbeError::NoLocks { .. })) => Verdict::failure(in_one_line(error), LOCAL),
        Ok(Err(error)) => Verdict::failure(in_one_line(error), "see its mode and owner"),
    }
}

/// Without the gate nothing is started and nothing is stopped.
pub(super) fn gate(facts: &Facts) -> Verdict {
    let Ok(Ok(entries)) = &facts.entries else { return Verdict::skipped("the directory cannot be read") };
    let Ok(Ok(directory)) = &facts.directory else { return Verdict::skipped("the directory cannot be read") };
    let name = facts.tool.file_name(StateFile::Gate);
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        return Verdict::ok("there is none yet");
    };
    if let Some(kind) = entry.odd_kind {
        return Verdict::failure(
            format!("`{name}` is {kind}, no file"),
            "move it away (`mv`); nothing here removes it",
        );
    }
    if entry.owner != directory.user || entry.mode & 0o600 != 0o600 {
        return Verdict::failure(
            format!("`{name}` has owner {} and mode {:04o}", entry.owner, entry.mode),
            format!("make it yours and writable (`chown`, `chmod 600 {name}`)"),
        );
    }
    match &facts.gate_locker {
        Ok(Some(locker)) => Verdict::warning(
            format!("held by {}: a start or a stop is in progress, or hangs", named(locker)),
            format!("if it stays so, see what it does (`ps -fp {}`)", locker.process.pid),
        ),
        _ => Verdict::ok("nobody that can be seen holds it"),
    }
}

/// The self-test: a second open must be refused (P1, failure 18).
pub(super) fn enforcement(facts: &Facts) -> Verdict {
    match &facts.enforcement {
        Err(why) => missing(facts, why),
        Ok(Ok(Enforcement::Enforced)) => Verdict::ok("a second open was refused the lock"),
        Ok(Ok(Enforcement::NotEnforced)) => {
            Verdict::failure("the file system granted the same exclusive lock twice", LOCAL)
        }
        Ok(Ok(_)) => Verdict::skipped("it could not be tried without writing"),
        Ok(Err(ProbeError::StateDir(error))) => refused(error),
        Ok(Err(error @ ProbeError::NoLocks { .. })) => Verdict::failure(in_one_line(error), LOCAL),
        Ok(Err(error)) => Verdict::skipped(in_one_line(error)),
    }
}

/// Starts that were turned off, and forgotten (failure 34).
pub(super) fn hold(facts: &Facts) -> Verdict {
    match &facts.hold {
        Err(why) => missing(facts, why),
        Ok(Ok(false)) => Verdict::ok("not set"),
        Ok(Ok(true)) => Verdict::warning(
            "set: clients start no daemon",
            format!("`{} daemon start` clears it, if you want one", facts.tool.name()),
        ),
        Ok(Err(aileron_discovery::HoldError::StateDir(error))) => refused(error),
        Ok(Err(error)) => Verdict::failure(in_one_line(error), "see the mode of the directory"),
    }
}

/// Daemons that nobody finds any more, of this directory or of another (failure 1).
pub(super) fn orphans(facts: &Facts) -> Verdict {
    let found = match &facts.daemons {
        Err(why) => return Verdict::failure(format!("the process table: {why}"), "see `ps`"),
        Ok(Err(error)) => return Verdict::skipped(format!("the process table does not tell: {error}")),
        Ok(Ok(found)) => found,
    };
    let orphans: Vec<_> = found.iter().filter(|daemon| daemon.is_orphan()).collect();
    if orphans.is_empty() {
        return Verdict::ok("none");
    }
    let here = |daemon: &&&_| {
        facts.dir.as_ref().is_ok_and(|dir| aileron_discovery::process::DaemonProcess::concerns(daemon, dir))
    };
    let of_here = orphans.iter().filter(here).count();
    let pids: Vec<_> = orphans.iter().map(|orphan| orphan.process.pid.to_string()).collect();
    let evidence = format!("pid {} ({of_here} of this directory)", pids.join(", "));
    let tool = facts.tool.name();
    Verdict::warning(evidence, format!("`{tool} daemon ps` tells more, `{tool} daemon ps --reap` ends them"))
}
