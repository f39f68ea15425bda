//! P5 and failure 16: the daemon that ended itself for nothing, because a `stat` failed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::os::unix::fs::chown;

use aileron_tests::{Bench, Daemon, bench, set_mode};

/// `nobody`, on most systems; any uid without privileges will do.
const NOBODY: u32 = 65534;

/// docker-postgresql#95: the parent loses its permissions for a while, and every look at the lock fails with `EACCES`. That
/// proves nothing: the daemon stays, and so does its fence. As root every `stat` succeeds, so it runs as another user.
#[test]
fn p5_a_look_that_fails_proves_nothing() {
    let bench = bench!();
    let daemon = of_nobody(&bench);
    set_mode(bench.home(), 0o000);
    let doubt = daemon.log.wait_for("doubt", aileron_tests::PROMPT);
    assert!(doubt["error"].as_str().is_some_and(|error| error.contains("ermission")), "{doubt}");
    daemon.three_looks();
    assert_eq!(daemon.handshake().unwrap().status, 200, "the last answer stays in force for the fence too");
    assert_eq!(daemon.ask("POST", "/echo").unwrap().status, 200);
    assert_eq!(daemon.log.events("doubt").len(), 1, "it is said once");
    set_mode(bench.home(), 0o755);
    let found = bench.aileron(&["url"]).user(NOBODY).succeed();
    assert_eq!(found.stdout.trim(), daemon.url());
    assert!(daemon.log.events("suspect").is_empty() && daemon.log.events("displaced").is_empty());
}

/// A loss during the doubt is seen as soon as it can be.
#[test]
fn p5_a_loss_behind_a_closed_door_is_found_when_it_opens() {
    let bench = bench!();
    let daemon = of_nobody(&bench);
    set_mode(bench.home(), 0o000);
    daemon.log.wait_for("doubt", aileron_tests::PROMPT);
    // As root, to whom the door is open.
    std::fs::remove_file(bench.file("daemon.lock")).unwrap();
    daemon.three_looks();
    assert!(daemon.process.is_alive());
    set_mode(bench.home(), 0o755);
    assert_eq!(daemon.process.wait(aileron_tests::PROMPT), aileron_tests::End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", aileron_tests::PROMPT)["reason"], "displaced");
}

fn of_nobody(bench: &Bench) -> Daemon {
    chown(bench.home(), Some(NOBODY), Some(NOBODY)).expect(
        "this test must be run as root: it needs a second, unprivileged user, and passes for nothing without",
    );
    let options = ["--no-lock-events", "--poll", "100"];
    let running = bench.embedder(bench.programs().service, &options).user(NOBODY).start();
    let daemon = bench.ready(&running);
    assert!(daemon.process.status_line("Uid").starts_with("65534"), "it runs unprivileged");
    daemon
}
