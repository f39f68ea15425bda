//! An orphan that has not noticed yet is told to end while its successor serves.
//!
//! This is where a daemon that withdraws its advertisement by name erases the survivor's: so the successor's files
//! must keep their inodes and bytes whatever makes the orphan go.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::super::outcome::Promise;
use super::super::stage::{Expected, Stage};
use super::super::timeline::Deed;
use super::{END_MS, VERDICT_MS};
use crate::world::daemon::{Daemon, expect_only};
use crate::world::fault::Fault;
use crate::world::http::Request;
use crate::world::observe::Snapshot;

/// What makes the orphan end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Term,
    Interrupt,
    StopRequest,
    /// A client's request, which the fence refuses: that it was refused tells the orphan what it is.
    AnyRequest,
}

impl Ending {
    pub(super) const ALL: [Self; 4] = [Self::Term, Self::Interrupt, Self::StopRequest, Self::AnyRequest];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Term => "sigterm-orphan",
            Self::Interrupt => "sigint-orphan",
            Self::StopRequest => "stop-request-orphan",
            Self::AnyRequest => "request-orphan",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM to an orphan while its successor serves",
            Self::Interrupt => "SIGINT to an orphan while its successor serves",
            Self::StopRequest => "a stop request to an orphan while its successor serves",
            Self::AnyRequest => "a handshake with an orphan while its successor serves: refused, and it goes",
        }
    }

    fn send(self, orphan: &Daemon) -> Result<()> {
        match self {
            Self::Term => orphan.process.signal(Signal::TERM),
            Self::Interrupt => orphan.process.signal(Signal::INT),
            Self::StopRequest => orphan.request_stop(),
            Self::AnyRequest => {
                let answer = Request::HANDSHAKE.send(orphan.port)?;
                let code = answer.field("code");
                let refused = answer.status == 503 && code.as_deref() == Some("identity_lost");
                ensure!(refused, "the orphan answered a handshake: {answer:?}");
                Ok(())
            }
        }
    }
}

pub(super) fn play(stage: &mut Stage, ending: Ending) -> Result<()> {
    let paths = stage.home.paths.clone();
    let a = stage.start("A")?;
    stage.strike(Deed::Fault, Fault::RemoveTree.about(), || Fault::RemoveTree.strike(&paths).map(drop))?;
    let b = stage.start("B")?;
    let survivors = Snapshot::take(&paths.state, &["daemon.log"])?;
    ensure!(a.holds_its_lock()?, "A has let go of its lock");
    expect_only(&[&a, &b]).context("before the orphan is told to end")?;
    let noticed = a.log.lines()?.into_iter().any(|line| line.event == "displaced");
    ensure!(!noticed, "A has noticed with a poll interval of 30 s and no events: this shows nothing");
    stage.saw(format!("A is an orphan that has not noticed, with the lock of inode {}", a.held.ino));

    let promise = Promise(VERDICT_MS + END_MS);
    let departure = a.departure(promise.patience());
    let since = stage.strike(Deed::Message, ending.about(), || ending.send(&a))?;
    let expected = Expected { what: "told to process gone", since, promise };
    let farewell = stage.expect_gone(&a, departure, &expected)?;
    farewell.expect_exit_0()?;
    let reason = farewell.line("ended").and_then(|line| line.field("reason"));
    stage.saw(format!("A ended with reason {}", reason.as_deref().unwrap_or("unsaid")));

    let now = Snapshot::take(&paths.state, &["daemon.log"])?;
    survivors.expect_same(&now).context("the survivor's files")?;
    expect_only(&[&b])?;
    stage.expect_found(&b)?;
    ensure!(!b.process.wait_gone(Duration::ZERO)?, "B is gone");
    stage.saw("B serves, and its files have the inode and the bytes it wrote");
    stage.stop(&b)
}
