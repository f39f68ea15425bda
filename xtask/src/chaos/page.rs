//! The page of a round that went wrong: the drawing that `e2e` makes, with the plan beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::round::Told;
use crate::e2e::outcome::{Outcome, Played, Round};
use crate::e2e::report;
use crate::e2e::timeline::Timeline;
use crate::world::machine;

/// Writes it, and says where.
pub(super) fn write(
    directory: &Path,
    seed: u64,
    told: &Told,
    plan: &str,
    timeline: Timeline,
) -> Result<PathBuf> {
    let name = format!("chaos, seed {seed}, {}", told.kind);
    let round = Round {
        number: told.round,
        took_ms: told.took_ms,
        seen: plan.lines().map(str::to_owned).collect(),
        figures: Vec::new(),
        failure: Some(told.violations.join("\n")),
        timeline,
    };
    let about = "random calls and deeds, and what came of them".to_owned();
    let outcome = Outcome {
        schema: 1,
        version: "aileron".to_owned(),
        machine: machine::machine(),
        rounds: 1,
        took_ms: told.took_ms,
        failures: 1,
        summary: Vec::new(),
        longest: Vec::new(),
        scenarios: vec![Played { name, about, file_events: true, rounds: vec![round] }],
    };
    fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    let path = directory.join(format!("seed-{seed}-round-{}.html", told.round));
    fs::write(&path, report::page(&outcome)).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}
