//! What a person asks of `cargo xtask bench`.

use std::path::PathBuf;

use clap::Args;

/// What a person asks of `cargo xtask bench detect`.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
pub(crate) struct DetectArgs {
    /// A tenth of the rounds, and a short look at an idle daemon
    #[arg(long)]
    pub(crate) quick: bool,
    /// Rounds of each loss with file events [default: 200, quick: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Only the losses whose name contains this; may be repeated
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) loss: Vec<String>,
    #[command(flatten)]
    pub(crate) output: BenchOutput,
    /// Measure this binary and build none
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
}

/// Where a run goes besides the terminal.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
pub(crate) struct BenchOutput {
    /// Write the whole run as one JSON document
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Keep the run in `docs/bench`, and write its page anew
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What a person asks of `cargo xtask bench client`.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
pub(crate) struct ClientArgs {
    /// A tenth of the rounds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only the parts whose name contains this (processes, find, starts, deaths, herds); may be repeated
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) part: Vec<String>,
    #[command(flatten)]
    pub(crate) output: BenchOutput,
}

/// What a person asks of a benchmark without parts of its own.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
pub(crate) struct RunArgs {
    /// Fewer rounds and shorter times: whether it works, and roughly how it stands
    #[arg(long)]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) output: BenchOutput,
}

/// What a person asks of `cargo xtask bench size`.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
pub(crate) struct SizeArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Time a clean build as well: minutes
    #[arg(long)]
    pub(crate) build_time: bool,
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
impl RunArgs {
    /// What reproduces the run of that benchmark.
    pub(crate) fn command_line(&self, name: &str) -> String {
        format!("cargo xtask bench {name}{}", if self.quick { " --quick" } else { "" })
    }
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
impl SizeArgs {
    /// What reproduces the run.
    pub(crate) fn command_line(&self) -> String {
        let more = if self.build_time { " --build-time" } else { "" };
        self.run.command_line("size") + more
    }
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
impl ClientArgs {
    /// What reproduces the run.
    pub(crate) fn command_line(&self) -> String {
        let mut words = vec!["cargo xtask bench client".to_owned()];
        words.extend(self.quick.then(|| "--quick".to_owned()));
        words.extend(self.part.iter().map(|name| format!("--part {name}")));
        words.join(" ")
    }
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "bench runs on Linux only"))]
impl DetectArgs {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 20 } else { 200 })
    }

    /// What reproduces the run, paths left out: they are this machine's.
    pub(crate) fn command_line(&self) -> String {
        let mut words = vec!["cargo xtask bench detect".to_owned()];
        words.extend(self.quick.then(|| "--quick".to_owned()));
        words.extend(self.rounds.map(|rounds| format!("--rounds {rounds}")));
        words.extend(self.loss.iter().map(|name| format!("--loss {name}")));
        words.join(" ")
    }
}
