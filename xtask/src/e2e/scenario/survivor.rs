//! A is displaced, B publishes, A ends in some way at some moment: B's files keep inode and bytes.
//!
//! Which way and when is drawn from the round's number, and said, so that a failure can be played again: `--rounds N`
//! plays the rounds 1 to N, and round N is always the same.

mod plan;

use std::fs;
use std::thread::sleep;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::super::outcome::Promise;
use super::super::stage::{Expected, Farewell, Stage};
use super::super::timeline::Deed;
use super::{END_MS, VERDICT_MS};
use crate::world::daemon::{Daemon, expect_only};
use crate::world::observe::Snapshot;
use crate::world::paths::Paths;
use crate::world::process::Ended;
use plan::{Ending, Meeting, Plan};

/// The log grows, by A's last words too where the directory is the same.
const GROWS: [&str; 1] = ["daemon.log"];

pub(super) fn play(stage: &mut Stage, number: u32) -> Result<()> {
    let plan = Plan::of(number);
    let paths = stage.home.paths.clone();
    stage.saw(format!("the plan: {plan}"));
    stage.home.setting.variables = plan.variables();
    let a = stage.start("A")?;
    let idle_since = Instant::now();
    stage.home.setting.variables = Vec::new();
    plan.fault.prepare(&paths)?;
    ensure!(!a.process.is_gone(), "A is gone before anything was done to it");
    let promise = Promise(VERDICT_MS + END_MS);
    let departure = a.departure(promise.patience() + plan.longest());
    let struck = stage.strike(Deed::Fault, plan.fault.about(), || displace(&plan, &paths))?;

    let (b, written, told) = match plan.meeting {
        Meeting::WhileStarting => {
            if let Ending::Idle(timeout) = plan.ending {
                sleep(timeout.saturating_sub(plan.delay).saturating_sub(idle_since.elapsed()));
            }
            let client = stage.launch(&["url"])?;
            let told = end(stage, &plan, &a)?;
            let answer = client.finish()?;
            stage.note_call(&answer);
            let b = stage.meet("B", &answer)?;
            (b, Snapshot::take(&paths.state, &GROWS)?, told)
        }
        Meeting::WhileServing => {
            let b = stage.start("B")?;
            let written = Snapshot::take(&paths.state, &GROWS)?;
            let told = end(stage, &plan, &a)?;
            (b, written, told)
        }
    };
    let since = match plan.ending {
        Ending::Idle(timeout) => idle_since + timeout,
        Ending::ByItself => struck,
        _ => told,
    };
    let expected = Expected { what: "told to process gone", since, promise };
    let farewell = stage.expect_gone(&a, departure, &expected)?;
    expect_good_end(&plan, &farewell)?;
    let after = Snapshot::take(&paths.state, &GROWS)?;
    written.expect_same(&after).context("B's files at the end of A")?;
    expect_survival(stage, &a, &b)?;
    let now = Snapshot::take(&paths.state, &GROWS)?;
    written.expect_same(&now).context("B's files after the end of A")?;
    stage.saw("B's files have the inode and the bytes it wrote");
    stage.stop(&b)
}

/// A has lost its lock when this returns, and perhaps its record; its directory is another or the same.
fn displace(plan: &Plan, paths: &Paths) -> Result<()> {
    plan.fault.strike(paths)?;
    let records: &[&str] = if plan.takes_record { &["daemon.json", "daemon.pid"] } else { &[] };
    for name in records {
        let path = paths.state.join(name);
        fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}

/// Waits for the moment and makes A end, unless it does so by itself. Returns when.
fn end(stage: &mut Stage, plan: &Plan, a: &Daemon) -> Result<Instant> {
    if matches!(plan.ending, Ending::Idle(_) | Ending::ByItself) {
        return Ok(Instant::now());
    }
    sleep(plan.delay);
    stage.strike(Deed::Message, plan.ending.about(), || match plan.ending {
        Ending::Signal(signal) => a.process.signal(signal),
        Ending::TwoSignals(between) => {
            a.process.signal(Signal::TERM)?;
            sleep(between);
            a.process.signal(Signal::TERM)
        }
        // It may have found out and be leaving, or be gone: whether it ends is seen below.
        Ending::StopRequest => a.request_stop().or_else(|error| if leaves(a)? { Ok(()) } else { Err(error) }),
        Ending::Idle(_) | Ending::ByItself => Ok(()),
    })
}

/// Whether A knows that it has been displaced.
fn leaves(a: &Daemon) -> Result<bool> {
    Ok(a.process.is_gone() || a.log.lines()?.iter().any(|line| line.event == "displaced"))
}

fn expect_good_end(plan: &Plan, farewell: &Farewell) -> Result<()> {
    if farewell.ended == Ended::Killed(9) && plan.ending == Ending::Signal(Signal::KILL) {
        return Ok(());
    }
    farewell.expect_exit_0().context("A, displaced and told to end")
}

/// B is the owner, serves, is found, and never had to mend anything.
fn expect_survival(stage: &mut Stage, a: &Daemon, b: &Daemon) -> Result<()> {
    ensure!(b.instance != a.instance, "B has the instance of A");
    expect_only(&[b])?;
    stage.expect_found(b)?;
    let lines = b.log.lines()?;
    let hurt =
        lines.iter().find(|line| matches!(line.event.as_str(), "restored" | "record_fault" | "suspect"));
    ensure!(hurt.is_none(), "B was hurt: {hurt:?}");
    Ok(())
}
