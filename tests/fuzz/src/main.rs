//! `cargo run --release -p aileron-fuzz [TARGET…]`: ten million executions of each parser, or as many as are asked for.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for the terminal")]

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aileron_fuzz::{Corpus, Limits, TARGETS, Target, run};
use clap::Parser;

/// Damages what the parsers read, and sees whether they bear it.
#[derive(Debug, Parser)]
struct Args {
    /// Which parsers; all of them if none is named
    targets: Vec<String>,
    /// How often each is executed
    #[arg(long, default_value_t = 10_000_000)]
    executions: u64,
    /// What is left to chance follows from it
    #[arg(long)]
    seed: Option<u64>,
    /// Milliseconds after which an execution is said to hang
    #[arg(long, default_value_t = 10_000)]
    hang_ms: u64,
    /// Name each execution on standard error before it is begun: the last one is what the process died of
    #[arg(long)]
    aloud: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(unknown) =
        args.targets.iter().find(|name| !TARGETS.iter().any(|target| target.name == **name))
    {
        let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("there is no parser `{unknown}`; there are {}", known.join(", "));
        return ExitCode::from(2);
    }
    let seed = args.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
    });
    let limits = Limits {
        executions: args.executions,
        seed,
        hang: Duration::from_millis(args.hang_ms),
        aloud: args.aloud,
    };
    println!("seed {seed}");
    println!(
        "{:<16}{:>12}{:>12}{:>10}{:>10}{:>10}  read by",
        "parser", "executions", "accepted", "outcomes", "seconds", "KiB more"
    );
    let mut failed = false;
    let chosen =
        |target: &&Target| args.targets.is_empty() || args.targets.iter().any(|name| name == target.name);
    for target in TARGETS.iter().filter(chosen) {
        failed |= !one(target, limits);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether it bore it.
fn one(target: &Target, limits: Limits) -> bool {
    let corpus = match Corpus::of(target.name) {
        Ok(corpus) => corpus,
        Err(error) => {
            eprintln!("{error}");
            return false;
        }
    };
    match run(target, corpus, limits) {
        Ok(report) => {
            println!(
                "{:<16}{:>12}{:>12}{:>10}{:>10.1}{:>10}  {}",
                target.name,
                report.executions,
                report.accepted,
                report.outcomes,
                report.took.as_secs_f64(),
                report.growth.map_or_else(|| "?".to_owned(), |growth| growth.to_string()),
                target.about
            );
            true
        }
        Err(failure) => {
            eprintln!(
                "{}: execution {} of seed {}: {}\ninput: {}",
                target.name,
                failure.execution,
                limits.seed,
                failure.why,
                failure.input.escape_ascii()
            );
            false
        }
    }
}
