//! What a run of `bench client` found, as one JSON document. Times are microseconds.

use serde::{Deserialize, Serialize};

use super::super::origin::Origin;
use super::super::target::Check;
use crate::figures::Spread;

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Document {
    #[serde(flatten)]
    pub(super) origin: Origin,
    pub(super) starts: Vec<StartRow>,
    pub(super) processes: Vec<ProcessRow>,
    pub(super) finds: Vec<FindRow>,
    pub(super) deaths: Vec<DeathRow>,
    pub(super) herds: Vec<HerdRow>,
    /// Rounds that gave no figure, and why.
    pub(super) unmeasured: Vec<String>,
}

/// A client that has to start the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StartRow {
    /// What it found.
    pub(super) found: String,
    pub(super) build: String,
    pub(super) time: Spread,
    /// Of the medians, to `/bin/true` in the same rounds.
    pub(super) ratio: f64,
    pub(super) check: Option<Check>,
}

/// A whole process, from just before it is spawned to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct ProcessRow {
    pub(in crate::bench) program: String,
    pub(in crate::bench) build: String,
    pub(in crate::bench) time: Spread,
    /// Of the medians, to `/bin/true`.
    pub(super) ratio: f64,
    pub(super) check: Option<Check>,
}

/// A find within a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FindRow {
    pub(super) what: String,
    pub(super) time: Spread,
    /// Of the medians, to the bare system calls.
    pub(super) ratio: f64,
    pub(super) check: Option<Check>,
}

/// A launched daemon that dies before it is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DeathRow {
    pub(super) death: String,
    /// From when to when.
    pub(super) span: String,
    pub(super) time: Spread,
    pub(super) check: Check,
}

/// Many clients at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct HerdRow {
    pub(super) clients: u32,
    pub(super) build: String,
    /// From just before the first was spawned to the end of the last.
    pub(in crate::bench) cold: Spread,
    pub(in crate::bench) warm: Spread,
    pub(super) bare: Spread,
    /// Cold to warm, of the medians.
    pub(super) ratio: f64,
    /// The most daemons that one herd had launched.
    pub(in crate::bench) launches: usize,
    /// In all rounds, cold and warm: clients that ended otherwise than with status 0 and the daemon's URL.
    pub(in crate::bench) failures: usize,
    pub(in crate::bench) launch_check: Check,
    pub(in crate::bench) failure_check: Check,
    pub(super) time_check: Option<Check>,
}

impl Document {
    /// Every check, in the order of the tables.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        let starts = self.starts.iter().filter_map(|row| row.check.as_ref());
        let processes = self.processes.iter().filter_map(|row| row.check.as_ref());
        let finds = self.finds.iter().filter_map(|row| row.check.as_ref());
        let deaths = self.deaths.iter().map(|row| &row.check);
        let herds = self.herds.iter().flat_map(|row| {
            [Some(&row.launch_check), Some(&row.failure_check), row.time_check.as_ref()].into_iter().flatten()
        });
        starts.chain(processes).chain(finds).chain(deaths).chain(herds)
    }
}
