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
//! Wall-clock time is not stepped: a time namespace has no clock of its own for it (`time_namespaces(7)`), and the machine's
//! is everybody's. Clients and daemons in time namespaces whose clocks since boot are ahead by seconds, hours, a day or a
//! year are played.

mod account;
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

use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

pub(crate) use plan::Kind;

use crate::args::ChaosArgs;
use crate::workspace::{Workspace, run_to_success};
use crate::world::program;
use account::Account;
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
    let first = args.seed.unwrap_or_else(fresh_seed);
    let pages = pages(workspace);
    let mut account = Account::of(args.command_line(first));
    println!("{}", args.command_line(first));
    for seed in (0..u64::from(args.seeds)).map(|further| first.wrapping_add(further)) {
        let order = Order::of(args, seed, &programs, &pages);
        let begun = Instant::now();
        account.begin(seed);
        let played = fleet::play(&order, |told| {
            tell(&told, seed);
            account.add(&told);
            if account.rounds().is_multiple_of(100) {
                println!("{} rounds, {} broken", account.rounds(), account.broken());
            }
            true
        });
        account.end(begun.elapsed().as_secs_f64());
        played.with_context(|| format!("seed {seed} was not played to its end"))?;
    }
    account.print();
    args.json.as_deref().map_or(Ok(()), |path| account.write(path))?;
    let (wrong, rounds) = (account.broken(), account.rounds());
    ensure!(wrong == 0, "chaos: {wrong} of {rounds} rounds broke a promise");
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
    let disk = if told.on_disk { " --on-disk" } else { "" };
    println!("  again: cargo xtask chaos --seed {seed} --first {} --rounds 1{disk}\n", told.round);
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
