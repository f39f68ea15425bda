//! A launched daemon that dies before it is ready: how soon its client says so.
//!
//! For the moment of the death to be known from outside, the daemon has to be held until its pidfd is open and waited for.
//! It is: whoever writes in the state directory does it under an exclusive `flock` of the directory, and here that is ours.
//! After half a second the daemon gives up by itself and says why; or it is killed, and says nothing.

use std::fs::{DirBuilder, File};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use super::document::DeathRow;
use super::target;
use crate::figures::Spread;
use crate::world::client::{Answer, Client};
use crate::world::clock::Deadline;
use crate::world::home::{Home, Watch};
use crate::world::observe::descendants;
use crate::world::process::{Departure, Process};

/// No death takes as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the daemon comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Killed,
    GivesUp,
}

/// Each in turn; the daemon that gives up takes half a second for it, so there are fewer rounds of those.
pub(super) fn measure(binary: &Path, rounds: usize) -> Result<Vec<DeathRow>> {
    let (mut killed, mut given_up, mut in_use) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        killed.push(held_and_dead(binary, Death::Killed)?);
        in_use.push(port_in_use(binary)?);
        if round % 4 == 0 {
            given_up.push(held_and_dead(binary, Death::GivesUp)?);
        }
    }
    let row = |death: &str, span: &str, times: &[f64]| -> Result<DeathRow> {
        let time = Spread::of(times).context("there was a round")?;
        Ok(DeathRow { death: death.to_owned(), span: span.to_owned(), check: target::death(&time), time })
    };
    Ok(vec![
        row("killed, without a word", "its end to the client's", &killed)?,
        row("says why, and ends", "its end to the client's", &given_up)?,
        row("its port is in use", "the whole client", &in_use)?,
    ])
}

/// Microseconds from the daemon's end to its client's.
fn held_and_dead(binary: &Path, death: Death) -> Result<f64> {
    let home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
    let state = &home.paths.state;
    DirBuilder::new().mode(0o700).create(state).context("cannot make the state directory")?;
    let held = File::open(state).context("cannot open the state directory")?;
    flock(&held, FlockOperation::NonBlockingLockExclusive).context("cannot lock the state directory")?;
    let client = home.setting.client(&["url"])?;
    let child = Arc::new(launched_by(&client)?);
    let departures = [child.watch(PATIENCE), Arc::new(Process::open(client.pid())?).watch(PATIENCE)];
    if death == Death::Killed {
        child.signal(Signal::KILL)?;
    }
    let [child_gone, client_gone] = departures.map(Departure::moment);
    let child_gone = child_gone?.context("the daemon does not end")?;
    let client_gone = client_gone?.context("the client does not end")?;
    let answer = client.finish()?;
    expect_cause(&answer, if death == Death::Killed { "signal 9" } else { "locked" })?;
    ensure!(answer.stderr.contains(&child.pid().to_string()), "no pid is named: {}", answer.stderr);
    Ok(client_gone.saturating_duration_since(child_gone).as_secs_f64() * 1e6)
}

/// The one process that the client has started.
fn launched_by(client: &Client) -> Result<Process> {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let found = descendants()?.into_iter().find(|entry| entry.pid != client.pid() && !entry.zombie);
        if let Some(entry) = found {
            return Process::open(entry.pid);
        }
        ensure!(!deadline.left().is_zero(), "the client launches nothing");
    }
}

/// Microseconds of the whole client: the daemon's own end is somewhere in it.
fn port_in_use(binary: &Path) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let address = listener.local_addr().context("a listener has an address")?;
    let mut home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
    home.setting.variables.push(("AILERON_BIND", address.to_string()));
    let answer = home.setting.client(&["url"])?.finish()?;
    expect_cause(&answer, "cannot listen")?;
    ensure!(answer.reaped_a_child, "the client launched nothing");
    Ok(answer.took_ms() * 1e3)
}

fn expect_cause(answer: &Answer, words: &str) -> Result<()> {
    answer.expect_status(1)?;
    ensure!(answer.stderr.contains(words), "no `{words}` in what the client says: {}", answer.stderr.trim());
    Ok(())
}
