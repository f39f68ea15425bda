//! Failure 5: the versions differ after an upgrade, and two installations must not kill each other's daemon in turn.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::sync::Arc;

use aileron_tests::http::send;
use aileron_tests::{Bench, Daemon, End, PROMPT, Running, bench, until};

/// A client of this version, by this rule; what it said.
fn client(bench: &Bench, version: &str, rule: &str, more: &[&str]) -> (End, String) {
    let outcome = begin(bench, version, rule, more).finish(4 * PROMPT);
    (outcome.end, outcome.stdout.trim().to_owned())
}

fn begin(bench: &Bench, version: &str, rule: &str, more: &[&str]) -> Running {
    let call = bench.call(env!("CARGO_BIN_EXE_helper-version"));
    call.args(["ensure", version, rule]).arg(bench.state()).args(more).start()
}

fn has(bench: &Bench, version: &str, rule: &str, said: &str) -> Daemon {
    assert_eq!(client(bench, version, rule, &[]), (End::Status(0), said.to_owned()));
    bench.daemon()
}

fn is_refused(bench: &Bench, version: &str, rule: &str, said: &str) {
    assert_eq!(client(bench, version, rule, &[]), (End::Status(6), said.to_owned()));
}

#[test]
fn a_daemon_whose_version_will_do_is_used_as_it_is() {
    let bench = bench!();
    let old = has(&bench, "1.2.0", "compatible", "started 1.2.0 NotRunning");
    has(&bench, "1.9.0", "compatible", "found 1.2.0");
    has(&bench, "1.0.0", "compatible", "found 1.2.0");
    has(&bench, "3.0.0", "any", "found 1.2.0");
    has(&bench, "1.2.0", "exact", "found 1.2.0");
    bench.only(&old);
}

/// codex#32983: after an upgrade the old daemon answered the new client for days. It is idle, so it is drained and replaced.
#[test]
fn an_idle_older_daemon_is_replaced() {
    for (rule, newer) in [("compatible", "2.0.0"), ("exact", "1.2.1")] {
        let bench = bench!();
        let old = has(&bench, "1.2.0", "compatible", "started 1.2.0 NotRunning");
        let new = has(&bench, newer, rule, &format!("started {newer} Replaced(\"1.2.0\")"));
        assert_eq!(old.process.wait(PROMPT), End::Status(0));
        assert_eq!(old.log.wait_for("ended", PROMPT)["reason"], "stop_request");
        bench.only(&new);
    }
}

/// What somebody waits for is not cut off for an upgrade: the newer client is told, and the daemon is left alone.
#[test]
fn a_busy_older_daemon_is_left_alone() {
    let bench = bench!();
    let old = has(&bench, "1.2.0", "compatible", "started 1.2.0 NotRunning");
    let lasting = send(old.address, &old.request("GET", "/lasting")).unwrap();
    until("the request is in flight", PROMPT, || (old.view()["in_flight"] == 1).then_some(()));
    is_refused(&bench, "2.0.0", "compatible", "Busy 1.2.0");
    assert_eq!(old.view()["in_flight"], 1, "and is still answered");
    bench.only(&old);
    drop(lasting);
}

/// uxc#180, scrcpy#527: two installations, each with its own idea of the daemon. Twenty calls in turn make one replacement.
#[test]
fn two_versions_in_turn_make_one_replacement() {
    for rule in ["compatible", "exact"] {
        let bench = bench!();
        has(&bench, "1.0.0", rule, "started 1.0.0 NotRunning");
        let new = has(&bench, "2.0.0", rule, "started 2.0.0 Replaced(\"1.0.0\")");
        for _ in 0..10 {
            is_refused(&bench, "1.0.0", rule, "NotOlder 2.0.0");
            has(&bench, "2.0.0", rule, "found 2.0.0");
        }
        bench.only(&new);
    }
}

/// Thirty clients of the new version at once find the old daemon: one of them has it replaced, and all get the new one.
#[test]
fn p7_a_herd_replaces_once() {
    let bench = bench!();
    has(&bench, "1.0.0", "compatible", "started 1.0.0 NotRunning");
    let clients: Vec<Running> = (0..30).map(|_| begin(&bench, "2.0.0", "compatible", &[])).collect();
    let said: Vec<String> = clients
        .into_iter()
        .map(|running| {
            let outcome = running.finish(4 * PROMPT);
            assert_eq!(outcome.end, End::Status(0), "{outcome:?}");
            outcome.stdout.trim().to_owned()
        })
        .collect();
    let replaced = said.iter().filter(|said| said.starts_with("started")).count();
    assert_eq!(replaced, 1, "{said:?}");
    assert!(said.iter().all(|said| said.contains(" 2.0.0")), "{said:?}");
    bench.only(&bench.daemon());
}

/// Where nothing may be started nothing is ended either.
#[test]
fn without_automatic_starts_nothing_is_replaced() {
    let bench = bench!();
    let old = has(&bench, "1.0.0", "compatible", "started 1.0.0 NotRunning");
    let said = client(&bench, "2.0.0", "compatible", &["autostart-off"]);
    assert_eq!(said, (End::Status(6), "StartsOff 1.0.0".to_owned()));
    bench.only(&old);
}

/// The product's own commands: `url` says both versions and what to do, with status 6; the others work across versions.
#[test]
fn the_command_line_across_versions() {
    let bench = bench!();
    let newer = has(&bench, "99.0.0", "compatible", "started 99.0.0 NotRunning");
    let refused = bench.aileron(&["--json", "url"]).fail(6).error();
    assert_eq!(refused["kind"], "incompatible");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("99.0.0") && message.contains(env!("CARGO_PKG_VERSION")), "{refused}");
    assert!(refused["hint"].is_string(), "{refused}");
    let status = bench.aileron(&["--json", "daemon", "status"]).succeed().json();
    assert_eq!((&status["state"], &status["version"]), (&"running".into(), &"99.0.0".into()));
    assert!(bench.aileron(&["daemon", "logs"]).succeed().stdout.contains("ready"));
    let process = Arc::clone(&newer.process);
    bench.aileron(&["stop"]).succeed();
    assert_eq!(process.wait(PROMPT), End::Status(0));

    // The other way round: an old daemon makes way for this program.
    has(&bench, "0.0.1", "compatible", "started 0.0.1 NotRunning");
    let outcome = bench.aileron(&["url"]).succeed();
    assert!(outcome.stderr.contains("0.0.1"), "{outcome:?}");
    assert_eq!(bench.record()["version"], env!("CARGO_PKG_VERSION"));
}
