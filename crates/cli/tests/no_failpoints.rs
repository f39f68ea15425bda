//! Failpoints, with which a process can be told to kill itself, are for test builds alone: the `aileron` that everybody else
//! builds has none.
//!
//! Fails, and is right to, where somebody builds the workspace with all features.

use std::process::Command;

#[test]
fn the_binary_that_is_shipped_has_no_failpoints() {
    let aileron = assert_cmd::cargo::cargo_bin!("aileron");
    let bytes = std::fs::read(aileron).expect("the binary is there");
    // The name of the variable stands in each build that asks for it.
    let asks = bytes.split(|byte| *byte == b'_').any(|word| word.starts_with(b"FAILPOINT"));
    assert!(!asks, "it asks for the variable");

    let home = tempfile::tempdir().expect("a temporary directory");
    let mut stop = Command::new(aileron);
    stop.arg("--state-dir").arg(home.path().join("state")).args(["daemon", "stop", "--hold"]);
    let done = stop.env("AILERON_FAILPOINT", "gate_opened=kill").output().expect("it can be run");
    assert_eq!(done.status.code(), Some(0), "and does nothing about it: {done:?}");
}
