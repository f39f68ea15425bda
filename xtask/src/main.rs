//! `cargo xtask`: what the project does to itself, from outside.
//!
//! - `ci` runs what a change must pass, as `.ci/run` does.
//! - `tidy` checks the rules that no compiler knows: import direction, platform code, lengths, the lock's safety.
//! - `dist` makes the static release build.
//! - `model` searches the model of the protocol, which is a member of its own.
//! - `e2e` drives the release binary as separate processes and believes nothing that it says.
//! - `chaos` plays random rounds on it, and knows what must never happen.
//! - `bench` measures it in the same way, beside the limit that the kernel sets.
//!
//! It depends on none of the project's crates: a defect in them must not blind the judge.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

mod args;
#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod chaos;
mod ci;
mod dist;
#[cfg(target_os = "linux")]
mod e2e;
#[cfg(target_os = "linux")]
mod figures;
mod tidy;
mod workspace;
#[cfg(target_os = "linux")]
mod world;

fn main() -> std::process::ExitCode {
    args::dispatch()
}
