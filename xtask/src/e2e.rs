//! `cargo xtask e2e`: the release binary, driven from outside as separate processes, and an observer that believes
//! nothing it says.
//!
//! ```text
//! scenario ── sets a ── stage ── runs ── clients ──> daemons          (the program under test)
//!     │                   │                             │
//!     └── fault, deed ────┼──────── observe <───────────┘   procfs, stat, pidfd, TCP
//!                         └── notes ──> outcome ──> table, JSON, report
//! ```
//!
//! - Who is the daemon is asked of `/proc/PID/fdinfo`: the process that holds the exclusive flock of the inode that is
//!   at the path. Its record is checked against that, never the other way round.
//! - That a process is gone is seen through its pidfd, by a thread that was waiting before the fault. Times count from
//!   the moment before the fault's system call, so they are never too short.
//! - This program is a child subreaper: what a client leaves becomes our child, so that no process escapes the count
//!   and every exit status is known.
//! - The log is read through a descriptor that was opened while the file still had a path. It is the one thing that the
//!   daemon says of itself here.
//!
//! Only processes that this program or its clients started are ever signalled, and only through pidfds.

pub(crate) mod outcome;
pub(crate) mod report;
mod scenario;
mod stage;
mod table;
pub(crate) mod timeline;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::args::E2eArgs;
use crate::workspace::Workspace;
use crate::world::clock::millis;
use crate::world::{machine, mounts, observe, process, program};
use outcome::{Outcome, Played, Round};
use scenario::Scenario;
use table::Voice;

/// Runs the scenarios that were asked for.
///
/// # Errors
/// When one falls short, or could not be run at all.
pub(crate) fn run(workspace: &Workspace, args: &E2eArgs) -> Result<()> {
    let scenarios = chosen(&args.scenario)?;
    if args.list {
        for Scenario { name, about, .. } in &scenarios {
            println!("{name:<44} {about}");
        }
        return Ok(());
    }
    let binary = program::find_or_build(args.binary.as_deref(), workspace)?;
    observe::become_subreaper()?;
    // Where it is refused, the scenarios that mount something say so.
    let namespace = mounts::enter_private_namespace();
    let voice = if args.json { Voice::Progress } else { Voice::Person };
    if let Err(error) = namespace {
        voice.say(&format!("note: {error:#}"));
    }
    let outcome = play_all(&scenarios, &binary, args.rounds, voice)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome).context("cannot write the outcome as JSON")?);
    } else {
        table::print(&outcome);
    }
    if let Some(path) = &args.report {
        fs::write(path, report::page(&outcome))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        voice.say(&format!("report: {}", path.display()));
    }
    ensure!(outcome.failures == 0, "e2e: {} rounds fell short", outcome.failures);
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Scenario>> {
    let mut all = scenario::all();
    for name in names {
        if !all.iter().any(|scenario| scenario.name.contains(name.as_str())) {
            let known: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
            bail!("no scenario has `{name}` in its name; there are: {}", known.join(", "));
        }
    }
    // A full name is meant alone, though it may be a part of others.
    let exact = |scenario: &Scenario| names.contains(&scenario.name);
    let part = |scenario: &Scenario| {
        let meant = |name: &&String| scenario.name.contains(name.as_str());
        names
            .iter()
            .filter(|name| !scenario::all().iter().any(|other| other.name == **name))
            .any(|name| meant(&name))
    };
    all.retain(|scenario| names.is_empty() || exact(scenario) || part(scenario));
    Ok(all)
}

fn play_all(scenarios: &[Scenario], binary: &Path, rounds: u32, voice: Voice) -> Result<Outcome> {
    let begun = Instant::now();
    let mut played: Vec<Played> = Vec::new();
    for scenario in scenarios {
        voice.say(&format!("\n{}: {}", scenario.name, scenario.about));
        let mut done: Vec<Round> = Vec::new();
        for number in 1..=rounds {
            let round = scenario.play(binary, number);
            voice.tell(&round, rounds);
            done.push(round);
        }
        played.push(Played {
            name: scenario.name.clone(),
            about: scenario.about.clone(),
            file_events: scenario.file_events(),
            rounds: done,
        });
    }
    process::kill_everything()?;
    Ok(Outcome {
        schema: 1,
        version: program::version(binary),
        machine: machine::machine(),
        rounds,
        took_ms: millis(begun.elapsed()),
        failures: played.iter().map(|scenario| scenario.failures().count()).sum(),
        summary: outcome::summarize(&played),
        longest: outcome::longest(&played),
        scenarios: played,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked: &[&str]) -> Vec<String> {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        chosen(&asked).expect("known names").into_iter().map(|scenario| scenario.name).collect()
    }

    #[test]
    fn a_name_or_a_part_of_it_chooses() {
        assert_eq!(names(&["lock-deleted"]), ["lock-deleted"]);
        assert_eq!(names(&["-orphan"]).len(), 4);
        assert_eq!(names(&[]).len(), scenario::all().len());
        assert!(chosen(&["no-such-thing".to_owned()]).is_err());
    }
}
