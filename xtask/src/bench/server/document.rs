//! What a run of `bench server` found, as one JSON document.

use serde::{Deserialize, Serialize};

use super::super::origin::Origin;
use super::super::target::Check;
use crate::figures::Spread;

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench) struct Document {
    #[serde(flatten)]
    pub(super) origin: Origin,
    pub(super) counted_by: String,
    pub(super) loads: Vec<LoadRow>,
    pub(super) layers: Vec<LayerRow>,
    /// What gave no figure, and why.
    pub(super) unmeasured: Vec<String>,
}

/// One server under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LoadRow {
    pub(super) route: String,
    pub(super) connections: usize,
    pub(super) server: String,
    /// Answers per second, of each round.
    pub(super) rate: Spread,
    /// Of the medians, to bare hyper.
    pub(super) ratio: f64,
    /// Microseconds, of each answer.
    pub(super) latency: Spread,
    /// The server's own time on a processor, microseconds per request.
    pub(super) cpu_us: f64,
    pub(super) check: Option<Check>,
}

/// One server, counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LayerRow {
    pub(super) route: String,
    pub(super) server: String,
    /// Per request.
    pub(super) instructions: f64,
    /// To bare hyper's.
    pub(super) ratio: f64,
    /// More than the server with one layer less; without a router, than bare hyper.
    pub(super) added: f64,
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
        let loads = self.loads.iter().filter_map(|row| row.check.as_ref());
        self.layers.iter().filter_map(|row| row.check.as_ref()).chain(loads)
    }
}
