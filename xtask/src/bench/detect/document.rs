//! What a run of `bench detect` found, as one JSON document. Times are microseconds unless a name says otherwise.

use serde::{Deserialize, Serialize};

use super::super::origin::Origin;
use super::super::target::Check;
use crate::figures::Spread;

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Document {
    #[serde(flatten)]
    pub(super) origin: Origin,
    pub(super) events: Vec<EventRow>,
    pub(super) polls: Vec<PollRow>,
    pub(super) fence: Vec<FenceRow>,
    pub(super) idle: Option<Idle>,
    /// Rounds that gave no figure, and why.
    pub(super) unmeasured: Vec<String>,
}

/// A loss on a file system, with file events, beside the bare reader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EventRow {
    pub(super) loss: String,
    pub(super) about: String,
    pub(super) file_system: String,
    /// The second look.
    pub(super) by_design_ms: f64,
    pub(super) verdict: Spread,
    pub(super) port_closed: Spread,
    pub(super) gone: Spread,
    pub(super) reader_verdict: Spread,
    pub(super) reader_gone: Spread,
    /// Medians, `by_design_ms` left out.
    pub(super) ratio: f64,
    pub(super) verdict_check: Check,
    pub(super) gone_check: Check,
}

/// A loss on a file system, without file events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PollRow {
    pub(super) loss: String,
    pub(super) file_system: String,
    pub(super) interval_ms: f64,
    pub(super) by_design_ms: f64,
    pub(super) verdict: Spread,
    pub(super) gone: Spread,
    pub(super) check: Check,
}

/// The fence at one depth.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FenceRow {
    pub(super) file_system: String,
    pub(super) path_depth: usize,
    pub(super) calls: u64,
    pub(super) verify_ns: Batches,
    pub(super) lstat_ns: Batches,
    pub(super) ratio: f64,
    pub(super) check: Check,
}

/// Batches of calls, in nanoseconds per call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Batches {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

/// A daemon that nobody wants anything of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Idle {
    pub(super) seconds: f64,
    pub(super) poll_interval_ms: f64,
    pub(super) threads: Vec<IdleThread>,
    pub(super) thread_check: Check,
    pub(super) wake_up_check: Check,
}

/// Context switches of one thread in that time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct IdleThread {
    pub(super) name: String,
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
}

impl Document {
    /// Every check, in the order of the tables.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        let events = self.events.iter().flat_map(|row| [&row.verdict_check, &row.gone_check]);
        let polls = self.polls.iter().map(|row| &row.check);
        let fence = self.fence.iter().map(|row| &row.check);
        let idle = self.idle.iter().flat_map(|idle| [&idle.thread_check, &idle.wake_up_check]);
        events.chain(polls).chain(fence).chain(idle)
    }
}
