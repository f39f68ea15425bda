//! The command line of `cargo xtask`, and which module each command goes to.

mod bench;
mod chaos;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

pub(crate) use self::bench::{BenchOutput, ClientArgs, DetectArgs, RunArgs, SizeArgs};
pub(crate) use self::chaos::{ChaosArgs, LaneArgs};
use crate::workspace::{Workspace, run_to_success};
use crate::{ci, dist, tidy};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What the project does to itself, from outside")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that a change must pass, each step with its time
    Ci,
    /// Check the rules that no compiler knows
    Tidy,
    /// Make the static release build in `target/dist/`
    Dist,
    /// Search the model of the protocol: `explore SPACE…`, `switch RULE…`, `list` or `page`
    Model {
        /// What the model's own command line is given [default: explore small]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Drive the release binary from outside, as separate processes (Linux)
    E2e(E2eArgs),
    /// Play random rounds on the release binary, and see whether a promise is broken (Linux)
    Chaos(ChaosArgs),
    /// One lane of `chaos`; not to be typed
    #[command(name = "chaos-lane", hide = true)]
    ChaosLane(LaneArgs),
    /// Measure the release binary from outside, beside the limit that the kernel sets (Linux)
    #[command(subcommand)]
    Bench(Bench),
}

/// What is measured.
#[derive(Subcommand)]
enum Bench {
    /// From each kind of loss to the verdict, the closed port and the end of the process
    Detect(DetectArgs),
    /// From a client's first instruction to its answer: cold, warm, after a crash, and a thousand at once
    Client(ClientArgs),
    /// What a request costs, layer by layer, and how many are answered, beside hyper alone
    Server(RunArgs),
    /// What a daemon takes that nobody wants anything of, beside one that does nothing
    Idle(RunArgs),
    /// How large the product is, and how much it executes to say little
    Size(SizeArgs),
    /// What becomes of costs as there are more clients, connections, and lines in the log
    Growth(RunArgs),
    /// All of them, one after the other; `--json` has one document with a field for each
    All(RunArgs),
    /// Write the page in `docs/bench` anew from the kept runs
    Page,
    /// The process that `detect` compares with; not to be typed
    #[command(name = "bare-reader", hide = true)]
    BareReader { lock: PathBuf },
}

/// What a person asks of `cargo xtask e2e`.
#[derive(Args, Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "e2e runs on Linux only"))]
pub(crate) struct E2eArgs {
    /// How often each scenario is run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only the scenarios whose name contains this; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    /// Print the names of the scenarios and what each is about
    #[arg(long)]
    pub(crate) list: bool,
    /// One JSON document on standard output; progress goes to standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Write one self-contained HTML page with a timeline for each round
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Drive this binary and build none
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
}

impl Default for E2eArgs {
    fn default() -> Self {
        Self { rounds: 1, scenario: Vec::new(), list: false, json: false, report: None, binary: None }
    }
}

/// Runs the command that the process was started with.
pub(crate) fn dispatch() -> ExitCode {
    match run(Xtask::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Ci => ci::run(&Workspace::find()?),
        Command::Tidy => tidy::run(&Workspace::find()?),
        Command::Dist => dist::run(&Workspace::find()?),
        Command::Model { words } => run_model(&Workspace::find()?, &words),
        Command::E2e(args) => run_e2e(&Workspace::find()?, &args),
        Command::Chaos(args) => run_chaos(&Workspace::find()?, &args),
        Command::ChaosLane(args) => run_lane(&args),
        Command::Bench(bench) => run_bench(&bench),
    }
}

/// The model is a member of its own, and not a part of the judge.
fn run_model(workspace: &Workspace, words: &[String]) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--release", "--package", "aileron-model", "--"]);
    if words.is_empty() {
        command.args(["explore", "small"]);
    }
    run_to_success(command.args(words))
}

fn run_bench(bench: &Bench) -> Result<()> {
    #[cfg(target_os = "linux")]
    return match bench {
        Bench::Detect(args) => crate::bench::detect::run(&Workspace::find()?, args),
        Bench::Client(args) => crate::bench::client::run(&Workspace::find()?, args),
        Bench::Server(args) => crate::bench::server::run(&Workspace::find()?, args),
        Bench::Idle(args) => crate::bench::idle::run(&Workspace::find()?, args),
        Bench::Size(args) => crate::bench::size::run(&Workspace::find()?, args),
        Bench::Growth(args) => crate::bench::growth::run(&Workspace::find()?, args),
        Bench::All(args) => crate::bench::all::run(args),
        Bench::Page => crate::bench::write_page(&Workspace::find()?),
        Bench::BareReader { lock } => crate::bench::detect::reader::run(lock),
    };
    #[cfg(not(target_os = "linux"))]
    {
        let _ = bench;
        anyhow::bail!("bench reads procfs and pidfds: it runs on Linux only")
    }
}

/// `e2e`, or on other systems than Linux the reason why there is none.
pub(crate) fn run_e2e(workspace: &Workspace, args: &E2eArgs) -> Result<()> {
    #[cfg(target_os = "linux")]
    return crate::e2e::run(workspace, args);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (workspace, args);
        anyhow::bail!("e2e reads procfs and pidfds: it runs on Linux only")
    }
}

/// `chaos`, or on other systems than Linux the reason why there is none.
pub(crate) fn run_chaos(workspace: &Workspace, args: &ChaosArgs) -> Result<()> {
    #[cfg(target_os = "linux")]
    return crate::chaos::run(workspace, args);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (workspace, args);
        anyhow::bail!("chaos takes procfs, pidfds and namespaces: it runs on Linux only")
    }
}

fn run_lane(args: &LaneArgs) -> Result<()> {
    #[cfg(target_os = "linux")]
    return crate::chaos::lane::run(args);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = args;
        anyhow::bail!("chaos takes procfs, pidfds and namespaces: it runs on Linux only")
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Bench, Command, Xtask};

    #[test]
    fn the_command_line_is_well_formed() {
        Xtask::command().debug_assert();
    }

    #[test]
    fn a_run_tells_the_command_that_reproduces_it() {
        let line = "cargo xtask bench detect --quick --rounds 7 --loss lock fifo --keep";
        let words = std::iter::once("xtask").chain(line.split(' ').skip(2));
        let Command::Bench(Bench::Detect(args)) = Xtask::parse_from(words).command else {
            panic!("another command")
        };
        assert_eq!(
            args.command_line(),
            "cargo xtask bench detect --quick --rounds 7 --loss lock --loss fifo"
        );
        assert_eq!(args.rounds(), 7);
        let line = "cargo xtask bench client --quick --part herds find --json x";
        let words = std::iter::once("xtask").chain(line.split(' ').skip(2));
        let Command::Bench(Bench::Client(args)) = Xtask::parse_from(words).command else {
            panic!("another command")
        };
        assert_eq!(args.command_line(), "cargo xtask bench client --quick --part herds --part find");
    }

    #[test]
    fn every_benchmark_is_called_as_the_page_says() {
        let line = "cargo xtask bench size --quick --build-time --keep";
        let words = std::iter::once("xtask").chain(line.split(' ').skip(2));
        let Command::Bench(Bench::Size(args)) = Xtask::parse_from(words).command else {
            panic!("another command")
        };
        assert_eq!(args.command_line(), "cargo xtask bench size --quick --build-time");
        for name in ["server", "idle", "growth", "all"] {
            let parsed = Xtask::try_parse_from(["xtask", "bench", name, "--quick", "--json", "x", "--keep"]);
            assert!(parsed.is_ok(), "{name}");
        }
    }
}
