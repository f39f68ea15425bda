//! Starts that are not alone: after a `SIGKILL`, and twenty at once.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::super::outcome::Promise;
use super::super::stage::{Expected, Stage};
use super::super::timeline::Deed;
use super::END_MS;
use crate::world::client::{Answer, Client};
use crate::world::daemon::expect_only;
use crate::world::observe::descendants;
use crate::world::process::Ended;

const CLIENTS: usize = 20;
/// A cold start after a crash costs 100 ms extra at most.
const AFTER_CRASH: Promise = Promise(100.0);
/// A start, and the other clients' waiting for it.
const ALL_SERVED: Promise = Promise(1000.0);

pub(super) fn killed_then_client(stage: &mut Stage) -> Result<()> {
    let a = stage.start("A")?;
    let promise = Promise(END_MS);
    let departure = a.departure(promise.patience());
    let since = stage.strike(Deed::Fault, "SIGKILL", || a.process.signal(Signal::KILL))?;
    let expected = Expected { what: "SIGKILL to process gone", since, promise };
    let farewell = stage.expect_gone(&a, departure, &expected)?;
    ensure!(farewell.ended == Ended::Killed(9), "A ended with {}", farewell.ended);
    let b = stage.start("B")?;
    let took = stage.last_call_ms();
    stage.figure("next client", took, AFTER_CRASH)?;
    ensure!(b.held == a.held, "the lock was replaced: {} became {}", a.held, b.held);
    expect_only(&[&b])?;
    stage.expect_found(&b)?;
    stage.stop(&b)
}

/// Twenty clients on an empty directory get one daemon, and only one was ever launched.
///
/// Launches are counted from outside, when the last client has ended. A process that a client started either still lives
/// or is a zombie, and then it is our child by now; or its client has reaped it, and then that client's account of its
/// dead children is not empty. No look has to come at the right moment.
pub(super) fn many_clients(stage: &mut Stage) -> Result<()> {
    let clients: Result<Vec<Client>> = (0..CLIENTS).map(|_| stage.launch(&["url"])).collect();
    let answers: Result<Vec<Answer>> = clients?.into_iter().map(Client::finish).collect();
    let (answers, left) = (answers?, descendants()?);
    for answer in &answers {
        stage.note_call(answer);
        answer.expect_status(0)?;
    }
    let urls: BTreeSet<&str> = answers.iter().map(|answer| answer.stdout.as_str()).collect();
    ensure!(urls.len() == 1, "{CLIENTS} clients were given {urls:?}");
    let reaped = answers.iter().filter(|answer| answer.reaped_a_child).count();
    ensure!(reaped == 0, "{reaped} clients launched a daemon that did not stay");
    let launched: Vec<u32> = left.iter().map(|entry| entry.pid).collect();
    ensure!(launched.len() == 1, "{} daemons were launched: {launched:?}", launched.len());

    let a = stage.start("A")?;
    ensure!(launched.contains(&a.pid()), "process {} serves and {launched:?} was launched", a.pid());
    ensure!(urls.contains(format!("{}\n", a.url).as_str()), "the clients got {urls:?}, not {}", a.url);
    let slowest = answers.iter().map(Answer::took_ms).fold(0.0, f64::max);
    stage.saw(format!("{CLIENTS} clients, one URL, one launch: process {}", a.pid()));
    stage.figure("slowest of twenty", slowest, ALL_SERVED)?;
    expect_only(&[&a])?;
    stage.stop(&a)
}
