//! What a run of `bench idle` found, as one JSON document.

use serde::{Deserialize, Serialize};

use super::super::origin::Origin;
use super::super::target::Check;

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Document {
    #[serde(flatten)]
    pub(super) origin: Origin,
    pub(super) rows: Vec<Row>,
}

/// One daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) program: String,
    pub(super) build: String,
    pub(super) seconds: f64,
    /// Voluntary context switches of all threads.
    pub(super) wake_ups: u64,
    pub(super) involuntary: u64,
    /// Clock ticks and microseconds on a processor.
    pub(super) ticks: u64,
    pub(super) cpu_us: f64,
    /// Of 1,024 bytes, at the end of the time.
    pub(super) resident_kb: u64,
    pub(super) proportional_kb: u64,
    pub(super) anonymous_kb: u64,
    pub(super) threads: usize,
    pub(super) descriptors: usize,
    pub(super) resident_check: Option<Check>,
    pub(super) anonymous_check: Option<Check>,
    pub(super) wake_up_check: Option<Check>,
}

impl Row {
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        [&self.resident_check, &self.anonymous_check, &self.wake_up_check].into_iter().flatten()
    }
}

impl Document {
    /// Every check, in the order of the table.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        self.rows.iter().flat_map(Row::checks)
    }
}
