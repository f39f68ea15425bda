//! Checks of what the daemon advertises, and of the daemon that is found by it.

use aileron_discovery::process::{Elsewhere, Refusal, prove_recorded};
use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::{LockProbe, Reading, StateFile};
use aileron_spawn::{Finding, VersionRule};
use jiff::Timestamp;

use super::check::Verdict;
use super::directory::{missing, refused, shown};
use super::facts::{Facts, NOWHERE};

/// A hint, and whether it is a good one (failures 3 and 25).
pub(super) fn record(facts: &Facts) -> Verdict {
    let Ok(dir) = &facts.dir else { return Verdict::skipped(NOWHERE) };
    let path = shown(dir, StateFile::Record);
    let reading = match &facts.reading {
        Ok(Ok(reading)) => reading,
        Ok(Err(error)) => return refused(error),
        Err(why) => return missing(facts, why),
    };
    let held = facts.held() == Some(true);
    let next = "the next daemon replaces it; there is nothing to do";
    match reading {
        Reading::Absent if held => Verdict::warning(
            format!("`{path}` is not there, and the lock is held: it starts, ends, or puts it back"),
            "ask again in a few seconds",
        ),
        Reading::Absent => Verdict::ok("there is none, and no daemon"),
        Reading::Damaged { why } if held => Verdict::warning(
            format!("`{path}` is damaged: {why}"),
            "the running daemon restores it within seconds; ask again",
        ),
        Reading::Damaged { why } => Verdict::warning(format!("`{path}` is damaged: {why}"), next),
        Reading::Present(record) if !held && facts.held().is_some() => {
            Verdict::warning(format!("stale: it names pid {}, and nobody holds the lock", record.pid), next)
        }
        Reading::Present(record) => Verdict::ok(format!("it names pid {} at {}", record.pid, record.url)),
    }
}

/// The only proof of who answers (P12, failures 10 and 19).
pub(super) fn handshake(facts: &Facts) -> Verdict {
    let tool = facts.tool.name();
    let finding = match &facts.daemon {
        Ok(Ok((finding, _))) => finding,
        Ok(Err(aileron_spawn::FindError::StateDir(error))) => return refused(error),
        Ok(Err(error)) => return Verdict::skipped(in_one_line(error)),
        Err(why) => return missing(facts, why),
    };
    match finding {
        Finding::Found(found) if found.proved() => {
            Verdict::ok(format!("{} proved its instance", found.url()))
        }
        Finding::Found(found) => Verdict::warning(
            format!("{} answers and can prove nothing: a daemon of another implementation", found.url()),
            format!("`{tool} daemon restart` has one that can"),
        ),
        Finding::NotRunning { .. } => Verdict::skipped("no daemon runs"),
        Finding::Starting { pid } => Verdict::warning(
            format!("pid {pid} holds the lock and has not said where it listens"),
            format!("it starts, or is stuck: `{tool} daemon logs`"),
        ),
        Finding::Unresponsive { why, .. } => Verdict::failure(
            format!("the lock is held, and nobody was proved: {why}"),
            format!("`{tool} daemon logs`; `{tool} daemon stop --force` ends it if it can be proved"),
        ),
        Finding::Elsewhere { host, .. } => Verdict::failure(
            format!("the daemon runs on `{host}`, or in a container, and is not reachable from here"),
            "use it there, stop it there, or name another directory with --state-dir",
        ),
        _ => Verdict::skipped("nothing was looked at"),
    }
}

/// Whether a signal could reach it (P9).
pub(super) fn process(facts: &Facts) -> Verdict {
    let lock = match &facts.probe {
        Ok(Ok(LockProbe::Held(lock))) => *lock,
        Ok(Ok(_)) => return Verdict::skipped("no daemon runs"),
        Ok(Err(_)) => return Verdict::skipped("the lock cannot be looked at"),
        Err(why) => return missing(facts, why),
    };
    let refusal = match facts.record() {
        None => Refusal::Unidentified,
        Some(record) => match prove_recorded(record, lock) {
            Ok(id) => return Verdict::ok(format!("the recorded pid {} has the lock open", id.pid)),
            Err(Refusal::SelfOrAncestor(pid)) => {
                return Verdict::ok(format!("pid {pid}, which runs this very command"));
            }
            Err(refusal) => refusal,
        },
    };
    // A record that is missing or wrong does not make the holder unknown.
    if let Some(owner) = facts.owner() {
        return Verdict::ok(format!("pid {} has the lock open", owner.process.pid));
    }
    let evidence = format!("{refusal}, and no other process of this tool is seen to hold the lock");
    let remedy = "it can be asked to stop, and cannot be signalled from here";
    if facts.found().is_some() {
        Verdict::warning(evidence, remedy)
    } else {
        Verdict::failure(evidence, remedy)
    }
}

/// A record of another host, boot or namespace (failure 9).
pub(super) fn place(facts: &Facts) -> Verdict {
    let record = match &facts.reading {
        Ok(Ok(Reading::Present(record))) => record,
        Ok(Ok(_)) => return Verdict::skipped("there is no record"),
        Ok(Err(error)) => return refused(error),
        Err(why) => return missing(facts, why),
    };
    let from = match Elsewhere::of(record) {
        None => return Verdict::ok("the record is of this host, boot and namespace"),
        Some(Elsewhere::Host(host)) => format!("host `{host}`"),
        Some(Elsewhere::Boot) => "another boot".to_owned(),
        Some(Elsewhere::Namespace) => "another pid or network namespace (a container?)".to_owned(),
    };
    let evidence = format!("the record was written on {from}");
    match facts.held() {
        Some(false) => Verdict::ok(format!("{evidence}, and is stale: nobody holds the lock")),
        _ if facts.found().is_some() => Verdict::warning(
            format!("{evidence}, and its daemon is reachable from here"),
            "its pid means nothing here; give each place a directory of its own (--state-dir)",
        ),
        _ => Verdict::failure(
            format!("{evidence}, and the lock is held"),
            "use the daemon there, or name another directory with --state-dir",
        ),
    }
}

/// A wall clock that was set back. No decision depends on it; ages and logs do (failure 24).
pub(super) fn clock(facts: &Facts) -> Verdict {
    /// Clocks of one machine, read one after the other.
    const SLACK: i64 = 60;
    let now = Timestamp::now().as_second();
    let written = [
        ("the record", facts.record().map(|record| record.started_at.as_str())),
        (
            "the last exit",
            facts.last_exit.as_ref().ok().and_then(Option::as_ref).map(|exit| exit.at.as_str()),
        ),
    ];
    for (what, at) in written.iter().filter_map(|(what, at)| at.map(|at| (what, at))) {
        match at.parse::<Timestamp>() {
            Ok(time) if time.as_second() > now + SLACK => {
                return Verdict::warning(
                    format!("{what} is from the future: {at}"),
                    "was the clock set back? see `date`; no start or end depends on it",
                );
            }
            Ok(_) => {}
            Err(_) => {
                return Verdict::warning(format!("{what} has no time: `{at}`"), "it is replaced in time");
            }
        }
    }
    Verdict::ok("nothing here is from the future")
}

/// Which version runs, and whether it will do (failure 5).
pub(super) fn version(facts: &Facts) -> Verdict {
    let Some(found) = facts.found() else { return Verdict::skipped("no daemon was found") };
    let (ours, theirs) = (facts.tool.version(), found.record().version.as_str());
    let tool = facts.tool.name();
    let evidence = format!("the daemon {theirs}, this program {ours}");
    if VersionRule::Exact.accepts(ours, theirs) {
        Verdict::ok(evidence)
    } else if VersionRule::Compatible.accepts(ours, theirs) {
        Verdict::ok(format!("{evidence}: compatible"))
    } else {
        Verdict::warning(format!("{evidence}: not compatible"), format!("`{tool} daemon restart`"))
    }
}

/// A daemon that outlived its program: an upgrade does not reach it.
pub(super) fn program(facts: &Facts) -> Verdict {
    match facts.owner() {
        None => Verdict::skipped("no daemon's process is seen"),
        Some(owner) if owner.program_replaced => Verdict::warning(
            format!("the program of pid {} was replaced or deleted since it started", owner.process.pid),
            format!("`{} daemon restart` has the new one run", facts.tool.name()),
        ),
        Some(owner) => Verdict::ok(format!("the program of pid {} is there", owner.process.pid)),
    }
}

/// How soon it would notice that it lost its lock (P2, failure 28).
pub(super) fn watcher(facts: &Facts) -> Verdict {
    let Some(view) = facts.view() else { return Verdict::skipped("no daemon said how it watches") };
    let watcher = &view.watcher;
    if let Some(fault) = &view.record_fault {
        return Verdict::warning(
            format!("it cannot keep its record: {fault}"),
            "see what stands in its place",
        );
    }
    let every = crate::duration::show(std::time::Duration::from_millis(watcher.interval_ms));
    if watcher.missing.is_empty() && watcher.mode == "events" {
        return Verdict::ok(format!("file events, and a look every {every}"));
    }
    let why =
        if watcher.missing.is_empty() { "it was told to".to_owned() } else { watcher.missing.join("; ") };
    Verdict::warning(
        format!("a look every {every} and no file events: {why}"),
        "it notices a lost lock that much later; see `inotify`, or its options",
    )
}
