//! `cargo xtask chaos`: random rounds on the release binary, and an observer that knows what must never happen.
//!
//! ```text
//! seed, number ── plan ── lane ── clients ──> daemons ──> journal       what was acted upon, by whom, when
//!                          │                     ^           │
//!                          └── adversary ────────┘           │          what was taken from whom, when
//!                          └── sampler                       │          what stood at the path
//!                                 └──────── judge <──────────┘
//! ```
//!
//! - A round is decided by its seed and its number: clients that call, start, stop, restart and are killed; daemons that are
//!   killed, stopped, continued, starved, and lose their path in every way there is.
//! - The daemons' service writes each increment that it accepts to a journal outside the state directory, with instance and
//!   epoch (`crates/cli/examples/journal.rs`). So what a daemon did is known whatever became of it.
//! - Each lane has pid and mount namespaces of its own and leaves nothing, whoever ends it: see `lane`.
//! - What must hold is in `journal` (what was done), `asker` (what was answered), `sampler` (whose files were touched) and
//!   `rest` (what is left).
//!
//! Wall-clock time is not stepped: a time namespace has no clock of its own for it (`time_namespaces(7)`). Clients and
//! daemons in time namespaces whose clocks since boot are a day ahead are played.

mod adversary;
mod allowance;
mod asker;
mod check;
mod decoy;
mod finale;
mod fleet;
mod journal;
pub(crate) mod lane;
mod page;
mod plan;
mod random;
mod rest;
mod round;
mod sampler;
mod scene;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

pub(crate) use plan::Kind;

use crate::args::ChaosArgs;
use crate::workspace::{Workspace, run_to_success};
use crate::world::program;
use fleet::Order;
use round::Told;

/// The outside programs of a run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) aileron: PathBuf,
    /// The same command line with a service that writes down what it does.
    pub(crate) journal: PathBuf,
    /// Executes a program for which some system calls fail or lie.
    pub(crate) helper: PathBuf,
}

/// Plays as many rounds as asked for, or shows that deliberate defects are found.
///
/// # Errors
/// When a promise was broken, or a round could not be played.
pub(crate) fn run(workspace: &Workspace, args: &ChaosArgs) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "chaos takes namespaces and mounts of its own: run it as root"
    );
    if args.check {
        return check::run(workspace, args);
    }
    let programs = Programs::build(workspace)?;
    let seed = args.seed.unwrap_or_else(fresh_seed);
    let pages = pages(workspace);
    println!("seed {seed}, {} rounds in {} lanes", args.rounds, args.lanes);
    let order = Order {
        programs: &programs,
        seed,
        first: args.first,
        rounds: args.rounds,
        lanes: args.lanes,
        only: &args.only,
        seconds: args.seconds.unwrap_or(u64::MAX),
        pages: &pages,
    };
    let (begun, mut all) = (Instant::now(), Vec::new());
    fleet::play(&order, |told| {
        tell(&told, seed);
        all.push(told);
        if all.len() % 100 == 0 {
            println!("{} rounds, {:.0} s", all.len(), begun.elapsed().as_secs_f64());
        }
        true
    })?;
    summarize(&all, begun.elapsed().as_secs_f64(), seed);
    let wrong = all.iter().filter(|told| !told.violations.is_empty()).count();
    ensure!(wrong == 0, "chaos: {wrong} of {} rounds broke a promise", all.len());
    Ok(())
}

fn pages(workspace: &Workspace) -> PathBuf {
    workspace.target_dir().join("chaos")
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs()
}

/// A round with a violation: what was planned, what went wrong, and how to play it again.
fn tell(told: &Told, seed: u64) {
    let (Some(plan), Some(page)) = (&told.plan, &told.page) else { return };
    println!("\nBROKEN in round {} of seed {seed}:", told.round);
    told.violations.iter().for_each(|what| println!("  {what}"));
    println!("{plan}");
    println!("  page: {page}");
    println!("  again: cargo xtask chaos --seed {seed} --first {} --rounds 1\n", told.round);
}

fn summarize(all: &[Told], seconds: f64, seed: u64) {
    let mut kinds: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for told in all {
        kinds.entry(&told.kind).or_default().push(told);
    }
    println!(
        "\n{:<12} {:>6} {:>8} {:>8} {:>7} {:>10} {:>6} {:>12} {:>8} {:>7}",
        "kind",
        "rounds",
        "clients",
        "refused",
        "killed",
        "increments",
        "deeds",
        "passed over",
        "mean ms",
        "broken"
    );
    let line = |name: &str, rounds: &[&Told]| {
        let sum = |of: fn(&Told) -> usize| rounds.iter().map(|told| of(told)).sum::<usize>();
        let deeds: u32 = rounds.iter().flat_map(|told| told.deeds.values()).sum();
        let passed: u32 = rounds.iter().map(|told| told.passed_over).sum();
        let count = u32::try_from(rounds.len().max(1)).map_or(f64::MAX, f64::from);
        let mean = rounds.iter().map(|told| told.took_ms).sum::<f64>() / count;
        println!(
            "{name:<12} {:>6} {:>8} {:>8} {:>7} {:>10} {deeds:>6} {passed:>12} {mean:>8.0} {:>7}",
            rounds.len(),
            sum(|told| told.clients),
            sum(|told| told.failed_clients),
            sum(|told| told.killed_clients),
            sum(|told| told.increments),
            sum(|told| usize::from(!told.violations.is_empty())),
        );
    };
    for (name, rounds) in &kinds {
        line(name, rounds);
    }
    line("all", &all.iter().collect::<Vec<_>>());
    println!("\nseed {seed}, {} rounds in {seconds:.0} s", all.len());
}

impl Programs {
    fn build(workspace: &Workspace) -> Result<Self> {
        let aileron = program::find_or_build(None, workspace)?;
        let mut command = workspace.cargo();
        command.args(["build", "--release", "--package", "aileron-cli", "--example", "journal"]);
        run_to_success(&mut command)?;
        let helper = helper(workspace)?;
        let journal = workspace.target_dir().join("release").join("examples").join("journal");
        let journal =
            journal.canonicalize().with_context(|| format!("cannot find `{}`", journal.display()))?;
        Ok(Self { aileron, journal, helper })
    }
}

/// An outside program, whose own speed is nobody's business.
fn helper(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    command.args(["build", "--package", "aileron-tests", "--bin", "helper-faults"]);
    run_to_success(&mut command)?;
    let helper = workspace.target_dir().join("debug").join("helper-faults");
    helper.canonicalize().with_context(|| format!("cannot find `{}`", helper.display()))
}
