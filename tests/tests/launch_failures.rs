//! P8 and failure 4: "did not become ready", and nothing more.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aileron_tests::{Bench, Outcome, PROMPT, Process, bench, lock_file, set_mode, until};

/// The promise is 1 s; the client's own deadline, at which a hang would end, is 30 s.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What the client meets when it comes to launch the program that it is itself.
enum Program<'a> {
    /// This script stands in its place.
    Script(&'a str),
    /// It was uninstalled.
    Gone,
}

/// Runs `url` from a copy of the product that is exchanged while the client waits at the gate, which the test holds.
fn launching(bench: &Bench, program: &Program<'_>, options: &[&str]) -> Outcome {
    let copy = bench.beside("aileron");
    install(bench, &copy);
    bench.make_state();
    let gate = lock_file(&bench.file("start.lock"));
    let client = bench.call(&copy).args(options).arg("url").start();
    until("the client waits at the gate", PROMPT, || {
        let switches = client.process.status_line("voluntary_ctxt_switches").parse::<u32>().unwrap_or(0);
        (switches > 10).then_some(())
    });
    fs::remove_file(&copy).unwrap();
    if let Program::Script(script) = program {
        let fresh = bench.beside("fresh");
        fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).unwrap();
        set_mode(&fresh, 0o755);
        fs::rename(&fresh, &copy).unwrap();
    }
    drop(gate);
    client.finish(Duration::from_secs(40))
}

/// A name of its own for the product; the same file where the file system allows it, for the copy is large.
fn install(bench: &Bench, copy: &PathBuf) {
    let product = bench.programs().aileron;
    if fs::hard_link(product, copy).is_err() {
        fs::copy(product, copy).unwrap();
    }
}

fn assert_told_at_once(outcome: &Outcome, bench: &Bench, words: &[&str]) {
    assert_eq!(outcome.end, aileron_tests::End::Status(1), "{outcome:#?}");
    assert!(outcome.took < AT_ONCE, "{outcome:#?}");
    let log = bench.file("daemon.log").to_string_lossy().into_owned();
    for word in words.iter().copied().chain([log.as_str()]) {
        assert!(outcome.stderr.contains(word), "`{word}` in {outcome:#?}");
    }
}

/// prime-agent#608: the daemon died at once; the client waited for its whole deadline and then knew nothing.
#[test]
fn p8_a_daemon_that_dies_at_once_is_reported_with_its_last_words() {
    let bench = bench!();
    let outcome = launching(&bench, &Program::Script("echo 'the disk is on fire' >&2; exit 42"), &[]);
    assert_told_at_once(&outcome, &bench, &["status 42", "the disk is on fire"]);
}

#[test]
fn p8_a_daemon_that_exits_silently_with_zero_is_no_success() {
    let bench = bench!();
    let outcome = launching(&bench, &Program::Script("exit 0"), &[]);
    assert_told_at_once(&outcome, &bench, &["status 0"]);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn p8_a_daemon_that_was_killed_is_reported_with_the_signal() {
    let bench = bench!();
    let outcome = launching(&bench, &Program::Script("kill -9 $$"), &[]);
    assert_told_at_once(&outcome, &bench, &["signal 9"]);
}

/// The end of the launch pipe never comes: a grandchild holds it. The child's own end must be heard.
#[test]
fn p8_a_grandchild_that_holds_the_pipe_delays_nothing() {
    let bench = bench!();
    let script = format!("sleep 60 & echo $! > {}; exit 43", bench.beside("grandchild").display());
    let outcome = launching(&bench, &Program::Script(&script), &[]);
    let pid = fs::read_to_string(bench.beside("grandchild")).unwrap().trim().parse().unwrap();
    let grandchild = Arc::new(Process::open(pid).expect("it outlives its parent"));
    bench.keep(&grandchild);
    assert!(grandchild.is_alive());
    assert_told_at_once(&outcome, &bench, &["status 43"]);
}

/// No pipe for output: one that is not read would block the child, and one that is would fill the client.
#[test]
fn p8_ten_megabytes_of_output_are_cut_to_their_end() {
    let bench = bench!();
    let script = "i=0; while [ $i -lt 10 ]; do head -c 1048576 /dev/zero | tr '\\0' x; i=$((i+1)); done\necho; echo the end; exit 44";
    let outcome = launching(&bench, &Program::Script(script), &[]);
    assert_told_at_once(&outcome, &bench, &["status 44", "the end"]);
    assert!(outcome.stderr.len() < 64 * 1024, "{} bytes", outcome.stderr.len());
}

/// Garbage on the pipe is no message; the end of the child still is.
#[test]
fn p8_garbage_on_the_launch_pipe_is_no_message() {
    let bench = bench!();
    // The number of the descriptor is the last argument.
    let script =
        "for fd; do :; done\nprintf '{\"kind\":\"ready\"}\\ngarbage\\n' > /proc/self/fd/$fd; exit 45";
    let outcome = launching(&bench, &Program::Script(script), &[]);
    assert_told_at_once(&outcome, &bench, &["status 45"]);
}

/// The program was uninstalled while the client waited.
#[test]
fn p8_a_missing_program_is_named() {
    let bench = bench!();
    let outcome = launching(&bench, &Program::Gone, &[]);
    assert_eq!(outcome.end, aileron_tests::End::Status(1));
    let name = bench.beside("aileron").to_string_lossy().into_owned();
    assert!(outcome.took < AT_ONCE && outcome.stderr.contains(&name), "{outcome:#?}");
}

/// P14: a starter that was stopped (Ctrl-Z, a debugger) is reported at the deadline, by its pid, and left alone.
#[test]
fn p8_a_stopped_starter_is_left_alone() {
    let bench = bench!();
    let script = format!("echo $$ > {}; kill -STOP $$; exit 46", bench.beside("pid").display());
    let outcome = launching(&bench, &Program::Script(&script), &["--timeout", "2s", "--json"]);
    assert_eq!(outcome.end, aileron_tests::End::Status(9), "{outcome:#?}");
    assert_eq!(outcome.error()["exit_status"], 9);
    let pid = fs::read_to_string(bench.beside("pid")).unwrap().trim().parse().unwrap();
    let starter = Arc::new(Process::open(pid).expect("it is there"));
    bench.keep(&starter);
    assert_eq!(starter.state(), Some('T'), "stopped, not ended");
}

/// The daemon's own account arrives: what, which step, which path, what next; as text and as JSON.
#[test]
fn p8_a_port_in_use_is_the_cause_that_is_told() {
    let bench = bench!();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = bench.aileron(&["--json", "url"]).env("AILERON_BIND", &address).fail(1);
    assert!(outcome.took < AT_ONCE);
    let error = outcome.error();
    assert!(error["message"].as_str().unwrap().contains(&address), "{error}");
    assert_eq!(error["step"], "listen");
    assert!(error["hint"].is_string() && error["path"].is_string(), "{error}");
    assert!(!bench.file("daemon.json").exists());
    // And nothing of it remains in the way.
    bench.aileron(&["url"]).succeed();
}

/// An embedder's initialisation fails, panics, or ends the process without a word.
#[test]
fn p8_a_failed_initialisation_is_told() {
    for (fault, words) in [("fail", "the well is dry"), ("panic", "the well is poisoned"), ("exit", "Exited")]
    {
        let bench = bench!();
        let client = bench.call(bench.programs().slow).args(["ensure", "30000", "--fault", fault]);
        let outcome = client.fail(1);
        assert!(outcome.took < AT_ONCE, "{outcome:#?}");
        let log = fs::read_to_string(bench.file("daemon.log")).unwrap_or_default();
        assert!(outcome.stdout.contains(words) || log.contains(words), "{fault}: {outcome:#?}\n{log}");
        assert!(!bench.file("daemon.json").exists(), "{fault}");
        let free = File::open(bench.file("daemon.lock")).unwrap();
        until("the lock is free", PROMPT, || free.try_lock_shared().ok());
    }
}
