//! P10: a program that starts and stops daemons for as long as it lives has nothing more afterwards than it had before.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::time::Duration;

use aileron_tests::{End, bench, rounds};

/// No zombie, no descriptor, no thread: of starts, stops, and starts that fail. `AILERON_TEST_ROUNDS=1000` closes the matter.
#[test]
fn p10_a_client_that_starts_and_stops_again_and_again_keeps_nothing() {
    let bench = bench!();
    let (count, rounds) = (bench.beside("count"), rounds(50));
    let client =
        bench.call(bench.programs().slow).args(["again", &rounds.to_string(), "--count"]).arg(&count);
    // Ten times what a round takes, on top of what the last look may wait.
    let outcome = client.start().finish(Duration::from_secs(30) + Duration::from_secs(1) * rounds);
    assert_eq!(outcome.end, End::Status(0), "{outcome:#?}");
    assert!(outcome.stdout.contains("children: []") && outcome.stdout.contains("threads: 1"), "{outcome:#?}");
    assert_eq!(fs::metadata(&count).unwrap().len(), u64::from(rounds), "each round launched one");
    assert!(bench.daemons().is_empty(), "and none is left");
}
