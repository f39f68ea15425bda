//! The `aileron` binary.
#![no_main]

#[path = "sys/entry.rs"]
mod entry;
