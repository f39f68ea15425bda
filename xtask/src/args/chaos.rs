//! What a person asks of `cargo xtask chaos`, and that of its lanes.

use std::path::PathBuf;

use clap::Args;

#[cfg(target_os = "linux")]
use crate::chaos::Kind;
/// There is no chaos elsewhere, and no kind of it.
#[cfg(not(target_os = "linux"))]
type Kind = String;

/// What a person asks of `cargo xtask chaos`.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "chaos runs on Linux only"))]
pub(crate) struct ChaosArgs {
    /// How many rounds [default: 200, with --check at most 500 for each defect]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// The number of the first round
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) first: u32,
    /// Decides, with a round's number, what is done in it [default: another one each time]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many rounds are played side by side
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) lanes: u32,
    /// Only rounds of this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    pub(crate) only: Vec<Kind>,
    /// Begin no round after so many seconds
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// How many seeds are played, one after the other, each for `--rounds`: that seed and the ones after it
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seeds: u32,
    /// Every lane has its state directories on a disk; without this, every fourth has
    #[arg(long)]
    pub(crate) on_disk: bool,
    /// Write what was played, and what came of it, as one JSON document
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Show that each of a list of deliberate defects is found, each within `--rounds`
    #[arg(long)]
    pub(crate) check: bool,
    /// With `--check`: only the defects whose name contains this; may be repeated
    #[arg(long, value_name = "NAME", requires = "check")]
    pub(crate) defect: Vec<String>,
}

/// A lane's share of a run.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "chaos runs on Linux only"))]
pub(crate) struct LaneArgs {
    #[arg(long)]
    pub(crate) seed: u64,
    #[arg(long)]
    pub(crate) first: u32,
    #[arg(long)]
    pub(crate) last: u32,
    #[arg(long)]
    pub(crate) lanes: u32,
    #[arg(long)]
    pub(crate) seconds: u64,
    #[arg(long)]
    pub(crate) only: Vec<Kind>,
    #[arg(long)]
    pub(crate) aileron: PathBuf,
    #[arg(long)]
    pub(crate) journal: PathBuf,
    #[arg(long)]
    pub(crate) helper: PathBuf,
    #[arg(long)]
    pub(crate) pages: PathBuf,
    /// A directory on a disk, in place of a tmpfs of its own
    #[arg(long)]
    pub(crate) room: Option<PathBuf>,
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "chaos runs on Linux only"))]
impl ChaosArgs {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.check { 500 } else { 200 })
    }

    /// What plays the same plans again.
    pub(crate) fn command_line(&self, seed: u64) -> String {
        let mut words = vec![format!("cargo xtask chaos --rounds {} --seed {seed}", self.rounds())];
        words.extend((self.seeds > 1).then(|| format!("--seeds {}", self.seeds)));
        words.extend((self.first > 1).then(|| format!("--first {}", self.first)));
        words.push(format!("--lanes {}", self.lanes));
        words.extend(self.only.iter().map(|kind| format!("--only {kind}")));
        words.extend(self.on_disk.then(|| "--on-disk".to_owned()));
        words.join(" ")
    }
}

impl Default for ChaosArgs {
    fn default() -> Self {
        Self {
            rounds: None,
            first: 1,
            seed: None,
            lanes: 6,
            only: Vec::new(),
            seconds: None,
            seeds: 1,
            on_disk: false,
            json: None,
            check: false,
            defect: Vec::new(),
        }
    }
}
