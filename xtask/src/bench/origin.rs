//! Where, when and with what a run was made: figures mean little without it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::world::{machine, program};

/// The head of every run's document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) schema: u32,
    /// What reproduces it.
    pub(super) command: String,
    /// `YYYY-MM-DD`, UTC.
    pub(super) date: String,
    pub(super) version: String,
    pub(super) machine: String,
    pub(super) processor: Option<String>,
    pub(super) file_systems: Vec<String>,
    pub(super) took_s: f64,
}

impl Origin {
    /// Of a run that began then and ends now.
    pub(super) fn of(
        command: String,
        binary: &std::path::Path,
        file_systems: Vec<String>,
        begun: Instant,
    ) -> Self {
        Self {
            schema: 1,
            command,
            date: today(),
            version: program::version(binary),
            machine: machine::machine(),
            processor: machine::processor(),
            file_systems,
            took_s: begun.elapsed().as_secs_f64().round(),
        }
    }

    /// For tests of pages.
    #[cfg(test)]
    pub(super) fn sample(name: &str) -> Self {
        Self {
            schema: 1,
            command: format!("cargo xtask bench {name}"),
            date: "2026-01-02".to_owned(),
            version: "aileron 0.1.0".to_owned(),
            machine: "Linux 6, 2 processors".to_owned(),
            processor: None,
            file_systems: vec!["ext4".to_owned()],
            took_s: 1.0,
        }
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        let Self { version, machine, processor, file_systems, took_s, .. } = self;
        let processor = processor.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{version}, {machine}{processor}, {}; {took_s:.0} s in all.", file_systems.join(" and "))
    }
}

/// UTC, as a log has it.
fn today() -> String {
    jiff::Timestamp::now().to_string().chars().take("YYYY-MM-DD".len()).collect()
}
