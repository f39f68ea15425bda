//! The binary begins where the C library begins, without std: what std would have done before, and matters, is done.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::process::Command;

use aileron_tests::{PROMPT, bench, until};

/// Without its streams a program is given their numbers for what it opens next: its lock, its log, a client's connection. Then
/// whatever it says goes there.
#[test]
fn p10_no_file_takes_the_place_of_a_standard_stream() {
    let bench = bench!();
    let script = "exec \"$1\" daemon run <&- >&- 2>&-";
    let running = bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.programs().aileron).start();
    until("it is ready", PROMPT, || std::fs::read(bench.file("daemon.pid")).ok());
    let mut descriptors = running.process.descriptors();
    descriptors.sort();
    let null = "/dev/null".to_owned();
    assert_eq!(descriptors[..3], [(0, null.clone()), (1, null.clone()), (2, null)]);
    bench.aileron(&["stop"]).succeed();
}

/// `aileron man | head -1`: who wants no more has had what they wanted.
#[test]
fn a_reader_that_goes_away_ends_nobody_by_a_signal() {
    let bench = bench!();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Command::new(bench.programs().aileron).arg("man").env_clear().stdout(writer).status();
    assert_eq!(ended.unwrap().code(), Some(0));
}
