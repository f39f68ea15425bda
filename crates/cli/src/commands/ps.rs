//! `daemon ps`: every daemon of this user, wherever its directory is or was, by the lock that it holds. It connects to
//! nobody and reads no record but the one that names the very process, so it answers for wedged daemons too.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use aileron_discovery::process::{DaemonProcess, Loss, Standing, daemons};
use aileron_discovery::{Deadline, Tool};
use aileron_spawn::{ReapOutcome, Reaped, reap};
use serde_json::{Value, json};

use crate::args::{Global, Ps};
use crate::duration;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::Output;
use crate::pending::Pending;
use crate::settings;

/// How long the process table may take: a directory of some daemon may be on a file server that is dead.
const TABLE: Duration = Duration::from_secs(10);

pub(crate) fn ps(tool: &Tool, global: &Global, args: &Ps, output: Output) -> Result<ExitStatus, Failure> {
    // No state directory is resolved: orphans are found without one, and without HOME.
    let timeout = settings::timeout(tool, global)?;
    let found = table(tool, &Deadline::after(timeout.unwrap_or(TABLE)))?;
    let reaped = args.reap.then(|| reap(tool, &found, &Deadline::after(timeout.unwrap_or(settings::STOP))));
    output.result(&document(tool, &found, reaped.as_deref()), &text(tool, &found, reaped.as_deref()));
    let all_gone = reaped.iter().flatten().all(|reaped| reaped.outcome.is_gone());
    Ok(if all_gone { ExitStatus::Done } else { ExitStatus::Failed })
}

fn table(tool: &Tool, deadline: &Deadline) -> Result<Vec<DaemonProcess>, Failure> {
    let asked = tool.clone();
    let failed = |why: String| {
        Failure::new("process_table", ExitStatus::Failed, format!("cannot list the daemons: {why}"))
            .step("read the process table")
            .hint("`aileron daemon status` tells of one directory without it")
    };
    let answer = Pending::ask(move || daemons(&asked)).by(deadline).map_err(failed)?;
    answer.map_err(|error| {
        failed(match error.kind() {
            std::io::ErrorKind::NotFound => "`/proc` does not tell of processes".to_owned(),
            _ => error.to_string(),
        })
    })
}

/// The state by its name in `--json` and in the table.
fn state(daemon: &DaemonProcess) -> &'static str {
    match daemon.standing {
        Standing::Foreign => "foreign",
        Standing::Orphan(_) => "orphan",
        Standing::Owner if daemon.paused => "stopped",
        Standing::Owner if daemon.record.is_none() => "starting",
        Standing::Owner => "owner",
    }
}

fn document(tool: &Tool, found: &[DaemonProcess], reaped: Option<&[Reaped]>) -> Value {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let daemons: Vec<_> = found
        .iter()
        .map(|daemon| {
            json!({
                "pid": daemon.process.pid,
                "state": state(daemon),
                "why": why(daemon),
                "paused": daemon.paused,
                "directory": {
                    "at_start": daemon.started_in.as_deref().map(text),
                    "now": daemon.now_in.as_deref().map(text),
                },
                "lock": {
                    "held": daemon.lock.file,
                    "at_path": daemon.lock_at_path(tool),
                    "link": daemon.lock.path.to_string_lossy(),
                },
                "age_ms": daemon.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
                "version": daemon.record.as_ref().map(|record| &record.version),
                "url": daemon.record.as_ref().map(|record| &record.url),
                "program_replaced": daemon.program_replaced,
            })
        })
        .collect();
    let reaped = reaped.map(|all| {
        let one = |one: &Reaped| json!({ "pid": one.pid, "outcome": outcome_name(&one.outcome), "why": outcome_why(&one.outcome) });
        all.iter().map(one).collect::<Vec<_>>()
    });
    json!({ "schema": 1, "daemons": daemons, "reaped": reaped })
}

/// What makes it what it is, where that is more than the usual.
fn why(daemon: &DaemonProcess) -> Option<String> {
    Some(match daemon.standing {
        Standing::Orphan(Loss::Unlinked) => "the lock that it holds was deleted".to_owned(),
        Standing::Orphan(Loss::Replaced(there)) => {
            format!("it holds inode {}, and {there} stands at the path", daemon.lock.file)
        }
        Standing::Orphan(Loss::Moved) => "its lock was moved away, and nothing stands at the path".to_owned(),
        Standing::Orphan(Loss::Presumed) => {
            "its lock seems to have been moved away; it is not proved, so it is not ended".to_owned()
        }
        Standing::Foreign => "in another pid or mount namespace; see to it from there".to_owned(),
        Standing::Owner if daemon.paused => "stopped by a signal or a debugger; `kill -CONT` it".to_owned(),
        Standing::Owner if daemon.record.is_none() => "it has no record yet".to_owned(),
        Standing::Owner => return None,
    })
}

fn text(tool: &Tool, found: &[DaemonProcess], reaped: Option<&[Reaped]>) -> String {
    let mut text = first_line(tool, found, reaped);
    if !found.is_empty() {
        text.push_str("\n    PID  STATE     AGE         VERSION   DIRECTORY");
    }
    for daemon in found {
        let age = daemon.age.map_or("-".to_owned(), show_age);
        let version = daemon.record.as_ref().map_or("-", |record| &record.version);
        let _a_string_takes_everything = write!(
            text,
            "\n{:>7}  {:<8}  {age:<10}  {version:<8}  {}",
            daemon.process.pid,
            state(daemon),
            directory(daemon)
        );
        for line in details(daemon) {
            text.push_str("\n         ");
            text.push_str(&line);
        }
    }
    for one in reaped.into_iter().flatten() {
        let _a_string_takes_everything = write!(text, "\npid {}: {}", one.pid, in_words(&one.outcome));
    }
    text
}

fn first_line(tool: &Tool, found: &[DaemonProcess], reaped: Option<&[Reaped]>) -> String {
    let count = |number: usize, what: &str| match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let orphans = found.iter().filter(|daemon| daemon.is_orphan()).count();
    let daemons = count(found.len(), "daemon");
    match reaped {
        Some(reaped) if orphans > 0 => {
            let gone = reaped.iter().filter(|one| one.outcome.is_gone()).count();
            format!("{daemons}, of which {}; gone: {gone}", count(orphans, "orphan"))
        }
        None if orphans > 0 => {
            let them = if orphans == 1 { "it" } else { "them" };
            let command = format!("`{} daemon ps --reap`", tool.name());
            format!("{daemons}, of which {}; {command} ends {them}", count(orphans, "orphan"))
        }
        _ if found.is_empty() => daemons,
        _ => format!("{daemons}, no orphans"),
    }
}

fn directory(daemon: &DaemonProcess) -> String {
    let told = daemon.started_in.as_deref().or(daemon.now_in.as_deref()).or_else(|| daemon.link_dir());
    told.map_or("-".to_owned(), |path| path.display().to_string())
}

fn details(daemon: &DaemonProcess) -> Vec<String> {
    let mut lines: Vec<_> = why(daemon).into_iter().collect();
    if let Some(now) = daemon.now_in.as_ref().filter(|now| daemon.started_in.as_ref() != Some(now)) {
        lines.push(format!("now {}", now.display()));
    }
    if daemon.paused && daemon.standing != Standing::Owner {
        lines.push("stopped by a signal or a debugger".to_owned());
    }
    if daemon.program_replaced {
        lines.push("its program was replaced since it started".to_owned());
    }
    lines
}

/// Two units at most: nobody wants the seconds of a day.
fn show_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => duration::show(Duration::from_secs(seconds)),
        (0, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

fn outcome_name(outcome: &ReapOutcome) -> &'static str {
    match outcome {
        ReapOutcome::Ended => "ended",
        ReapOutcome::Killed => "killed",
        ReapOutcome::WasGone => "was_gone",
        ReapOutcome::Spared(_) => "spared",
        ReapOutcome::Failed(_) => "failed",
        _ => "still_there",
    }
}

fn outcome_why(outcome: &ReapOutcome) -> Option<String> {
    match outcome {
        ReapOutcome::Spared(refusal) => Some(refusal.to_string()),
        ReapOutcome::Failed(error) => Some(error.to_string()),
        _ => None,
    }
}

fn in_words(outcome: &ReapOutcome) -> String {
    match outcome {
        ReapOutcome::Ended => "ended on SIGTERM".to_owned(),
        ReapOutcome::Killed => "did not end on SIGTERM, and was killed".to_owned(),
        ReapOutcome::WasGone => "had ended before anything was sent".to_owned(),
        ReapOutcome::Spared(refusal) => format!("left alone: {refusal}"),
        ReapOutcome::Failed(error) => format!("cannot be signalled: {error}"),
        _ => "was killed, and is not gone yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_two_units_at_most() {
        let of = |seconds| show_age(Duration::from_secs(seconds));
        assert_eq!((of(0), of(59), of(61)), ("0s".into(), "59s".into(), "1m 1s".into()));
        assert_eq!((of(3600 * 22 + 125), of(86_400 * 3 + 3601)), ("22h 2m".into(), "3d 1h".into()));
    }
}
