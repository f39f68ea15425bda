//! P12 and what else keeps others out: a page of attacks, each refused with the right status, with nothing lost and the daemon
//! still serving.
//!
//! `web` is what browsers send on behalf of a hostile page, `wire` what a program sends that breaks the rules of HTTP,
//! `neighbour` another user of the machine, `planted` what may stand where a file of ours ought to, `pretender` records and
//! locks that lie, `surroundings` the environment a command is run in. Run with `--nocapture` they print their tables.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

mod neighbour;
mod planted;
mod pretender;
mod surroundings;
mod web;
mod wire;
