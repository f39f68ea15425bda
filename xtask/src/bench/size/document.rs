//! What a run of `bench size` found, as one JSON document.

use serde::{Deserialize, Serialize};

use super::super::origin::Origin;
use super::super::target::Check;
use crate::figures::Spread;

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Document {
    #[serde(flatten)]
    pub(super) origin: Origin,
    pub(super) binaries: Vec<BinaryRow>,
    /// Packages in the binary, ours among them.
    pub(super) crates: usize,
    /// Where it was asked for.
    pub(super) clean_build_s: Option<f64>,
    pub(super) counted_by: String,
    pub(super) instructions: Vec<InstructionRow>,
    pub(super) processes: Vec<ProcessRow>,
    /// What gave no figure, and why.
    pub(super) unmeasured: Vec<String>,
}

/// The product, linked in one way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BinaryRow {
    pub(super) build: String,
    pub(super) bytes: u64,
    pub(super) check: Option<Check>,
}

/// A whole process, counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct InstructionRow {
    pub(super) program: String,
    pub(super) build: String,
    pub(super) instructions: f64,
    /// To an empty program of the same build.
    pub(super) ratio: f64,
}

/// A warm `url` beside the bare client, microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ProcessRow {
    pub(super) build: String,
    pub(super) url: Spread,
    pub(super) bare: Spread,
    /// Of the medians.
    pub(super) ratio: f64,
    pub(super) check: Option<Check>,
}

impl Document {
    pub(super) fn note(&mut self, what: &str, error: &anyhow::Error) {
        let text = format!("{what}: {error:#}");
        eprintln!("xtask: {text}");
        self.unmeasured.push(text);
    }

    /// Every check, in the order of the tables.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        let binaries = self.binaries.iter().filter_map(|row| row.check.as_ref());
        binaries.chain(self.processes.iter().filter_map(|row| row.check.as_ref()))
    }
}
