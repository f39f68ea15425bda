//! The product itself, from where it begins, so that `cargo test -p aileron-tests` always drives a current build of it.
#![no_main]

#[path = "../../../crates/cli/src/sys/entry.rs"]
mod entry;
