//! `cargo xtask ci`: what a change must pass, in one list, each step with its name and its time.
//!
//! `.ci/run` and the repository's workflow run this and nothing else, so a green run here means a green run there. All
//! steps are run whatever the earlier ones said: a person wants the whole list of what is wrong.

mod remains;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::args::{ChaosArgs, E2eArgs, run_chaos, run_e2e};
use crate::tidy;
use crate::workspace::{Workspace, run_to_success};
use remains::Remains;

/// How one step went.
struct Step {
    name: &'static str,
    took: Duration,
    failure: Option<anyhow::Error>,
}

/// Runs all steps and prints the list.
///
/// # Errors
/// When a step failed.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let before = Remains::look(workspace);
    before.announce();
    let mut steps = vec![
        step("cargo fmt --check", || cargo(workspace, &["fmt", "--all", "--check"], &[])),
        step("cargo test --workspace", || cargo(workspace, &["test", "--workspace", "--no-fail-fast"], &[])),
        // A build of its own, for in all others the product is what is shipped, without failpoints.
        step("cargo test, failpoints", || {
            let test =
                ["test", "--package", "aileron-tests", "--features", "failpoints", "--test", "failpoints"];
            cargo(workspace, &test, &[])
        }),
        step("cargo clippy --workspace", || {
            let failpoints = ["--features", "aileron-tests/failpoints"];
            let lint =
                [&["clippy", "--workspace", "--all-targets"], &failpoints[..], &["--", "-D", "warnings"]];
            let lint = lint.concat();
            cargo(workspace, &lint, &[])
        }),
        step("cargo doc --workspace", || {
            let warnings_are_errors = [("RUSTDOCFLAGS", "-D warnings")];
            cargo(workspace, &["doc", "--workspace", "--no-deps"], &warnings_are_errors)
        }),
        step("cargo xtask tidy", || tidy::run(workspace)),
    ];
    if cfg!(target_os = "linux") {
        steps.push(step("cargo xtask e2e", || run_e2e(workspace, &E2eArgs::default())));
        // A smoke: the same plans each time, as many of them as a busy machine gets to. The long runs are for people.
        let smoke = ChaosArgs { seed: Some(1), rounds: Some(150), seconds: Some(45), ..ChaosArgs::default() };
        steps.push(step("cargo xtask chaos", || run_chaos(workspace, &smoke)));
    }
    steps.push(step("nothing left behind", || before.compare(&Remains::look(workspace))));
    summarize(&steps)
}

fn cargo(workspace: &Workspace, arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(arguments).envs(variables.iter().copied());
    run_to_success(&mut command)
}

fn step(name: &'static str, work: impl FnOnce() -> Result<()>) -> Step {
    println!("\n── {name}");
    let begun = Instant::now();
    let failure = work().err();
    let took = begun.elapsed();
    match &failure {
        None => println!("── {name}: passed in {:.1} s", took.as_secs_f64()),
        Some(error) => println!("── {name}: FAILED in {:.1} s: {error:#}", took.as_secs_f64()),
    }
    Step { name, took, failure }
}

fn summarize(steps: &[Step]) -> Result<()> {
    println!("\n{:<28}{:>9}  result", "step", "seconds");
    for step in steps {
        let result = if step.failure.is_none() { "passed" } else { "FAILED" };
        println!("{:<28}{:>9.1}  {result}", step.name, step.took.as_secs_f64());
    }
    let total: Duration = steps.iter().map(|step| step.took).sum();
    println!("{:<28}{:>9.1}", "all", total.as_secs_f64());
    let failed: Vec<&str> =
        steps.iter().filter(|step| step.failure.is_some()).map(|step| step.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of {} steps failed: {}", failed.len(), steps.len(), failed.join(", "))
}
