//! What a person sees when it goes wrong. Each failure is produced for real, by processes, files, limits and mounts; what the
//! command says is kept as a snapshot, and read as its user would read it: one sentence on what happened, one on what to do.
//! Where the advice is a command it is typed, and the trouble is gone.
//!
//! `$ ` is what was typed, `! ` what came on standard error, `= ` the exit status; the rest is standard output.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

mod scene;

mod directory;
mod elsewhere;
mod files;
mod healing;
mod launches;
mod limits;
mod lock;
mod orphans;
mod pages;
mod redaction;
mod requests;
mod silence;
mod stops;
mod versions;
