//! P8 and failure 4: "did not become ready", and nothing more.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aileron_tests::{
    Bench, Mount, Outcome, PROMPT, Process, bench, in_own_mounts, lock_file, set_mode, until,
};
use serde_json::{Value, json};

/// The promise is 1 s; the client's own deadline, at which a hang would end, is 30 s.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What the client meets when it comes to launch the program that it is itself.
enum Program<'a> {
    /// This script stands in its place.
    Script(&'a str),
    /// A file of this content and mode does.
    File(&'a [u8], u32),
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
    let file = match program {
        Program::Script(script) => Some((format!("#!/bin/sh\n{script}\n").into_bytes(), 0o755)),
        Program::File(content, mode) => Some((content.to_vec(), *mode)),
        Program::Gone => None,
    };
    if let Some((content, mode)) = file {
        let fresh = bench.beside("fresh");
        fs::write(&fresh, content).unwrap();
        set_mode(&fresh, mode);
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

/// An upgrade that went wrong: what stands there is named, and is not run. A shell would run the last three as scripts, and
/// the empty one with success.
#[test]
fn p8_a_program_that_is_none_is_named_and_not_run() {
    let cut = &fs::read(bench!().programs().aileron).unwrap()[..40];
    let not_run = b"touch ran; exit 0\n".as_slice();
    for (content, mode) in [(not_run, 0o644), (b"".as_slice(), 0o755), (cut, 0o755), (not_run, 0o755)] {
        let bench = bench!();
        let outcome = launching(&bench, &Program::File(content, mode), &["--json"]);
        assert_eq!(outcome.end, aileron_tests::End::Status(1), "{outcome:#?}");
        assert!(outcome.took < AT_ONCE, "{outcome:#?}");
        let error = outcome.error();
        let message = error["message"].as_str().unwrap();
        let why = if mode == 0o644 { "Permission denied" } else { "Exec format error" };
        assert!(message.contains("cannot execute") && message.contains(why), "{error}");
        assert_eq!(error["path"], bench.beside("aileron").to_str().unwrap(), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("executable"), "{error}");
        assert_eq!(error["launch"], Value::Null, "nothing was launched");
    }
}

/// What programs are told, of each kind of end: step, pid, time, status or signal, log, last lines.
#[test]
fn p8_the_error_document_has_every_fact_of_a_launch() {
    let say = "for fd; do :; done\nprintf '{\"kind\":\"failed\",\"step\":\"fetch water\",\"message\":\"the well is dry\",\"path\":null,\"hint\":null}\\n' > /proc/self/fd/$fd; echo drip; exit 3";
    let launch = "launch the daemon";
    let cases = [
        ("echo drip; exit 42", launch, json!(42), Value::Null, 0),
        ("echo drip; kill -9 $$", launch, Value::Null, json!(9), 0),
        // Slow, and then dead: the time is the daemon's own.
        ("sleep 3; echo drip; exit 4", launch, json!(4), Value::Null, 3000),
        (say, "fetch water", json!(3), Value::Null, 0),
    ];
    for (script, step, status, signal, least) in cases {
        let bench = bench!();
        let script = format!("echo $$ > {}\n{script}", bench.beside("pid").display());
        let outcome = launching(&bench, &Program::Script(&script), &["--json"]);
        assert_eq!(outcome.end, aileron_tests::End::Status(1), "{outcome:#?}");
        assert!(outcome.took < AT_ONCE + Duration::from_millis(least), "{outcome:#?}");
        let error = outcome.error();
        let launch = &error["launch"];
        assert_eq!((&launch["exit_status"], &launch["signal"]), (&status, &signal), "{error}");
        assert_eq!(launch["pid"].to_string(), fs::read_to_string(bench.beside("pid")).unwrap().trim());
        assert!(launch["elapsed_ms"].as_u64().unwrap() >= least, "{error}");
        assert_eq!(launch["log"], bench.file("daemon.log").to_str().unwrap(), "{error}");
        assert_eq!((&error["step"], &error["tail"]), (&json!(step), &json!("drip")), "{error}");
        assert!(error["hint"].is_string(), "{error}");
    }
}

/// A job runner that ignores SIGCHLD has each program below it ignore it: the system then tells nobody how a child ended, and
/// a client that waited for it to be told waited for its whole deadline, and busily.
#[test]
fn p8_a_launcher_that_ignores_its_children_hears_of_their_end() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bench = bench!();
    let deaf = |program| bench.call("/usr/bin/env").arg("--ignore-signal=CHLD").arg(program);
    let call = deaf(bench.programs().aileron).args(["--json", "url"]);
    let outcome = call.env("AILERON_BIND", taken.local_addr().unwrap().to_string()).fail(1);
    assert!(outcome.took < AT_ONCE, "{outcome:#?}");
    assert_eq!(outcome.error()["launch"]["exit_status"], 1, "the program itself does hear");
    // A library leaves its program's dispositions alone.
    for fault in ["exit", "fail"] {
        let outcome = deaf(bench.programs().slow).args(["ensure", "30000", "--fault", fault]).fail(1);
        assert!(outcome.took < AT_ONCE, "{outcome:#?}");
        assert!(outcome.stdout.contains("ChildEnd(None)"), "{outcome:#?}");
    }
    let outcome = deaf(bench.programs().slow).args(["ensure", "30000"]).succeed();
    assert!(outcome.stdout.starts_with("started"), "{outcome:#?}");
}

/// Each launched process finds the lock held, by somebody whom nobody else can see: three times, and no more.
#[test]
fn p8_a_lock_that_only_the_launched_one_finds_held_is_no_endless_start() {
    let bench = bench!();
    let count = bench.beside("count");
    let script = format!(
        "echo >> {}; for fd; do :; done\nprintf '{{\"kind\":\"held\"}}\\n' > /proc/self/fd/$fd; exit 7",
        count.display()
    );
    let outcome = launching(&bench, &Program::Script(&script), &["--json"]);
    assert_eq!(outcome.end, aileron_tests::End::Status(1), "{outcome:#?}");
    assert!(outcome.took < AT_ONCE, "{outcome:#?}");
    assert_eq!(outcome.error()["kind"], "none_stayed");
    assert_eq!(fs::read_to_string(count).unwrap().len(), 3);
}

/// `ulimit -n`: what ran out is said, and not that a file may be missing or a port in use.
#[test]
fn p8_a_shortage_of_descriptors_is_called_one() {
    // Each number of descriptors that a client or a daemon may be left with, up to the first that will do.
    let mut said = 0;
    for most in 4..64 {
        let bench = bench!();
        let script = format!("ulimit -n {most}; exec \"$1\" --json url");
        let call = bench.call("/bin/dash").args(["-c", &script, "sh"]).arg(bench.programs().aileron);
        let outcome = call.run();
        if outcome.end == aileron_tests::End::Status(0) {
            assert!(said > 0, "none was too few");
            return;
        }
        assert!(outcome.took < AT_ONCE, "{most}: {outcome:#?}");
        // With next to none the program itself does not come up, which is the dynamic linker's to say.
        if outcome.stderr.contains("shared libraries") {
            continue;
        }
        let error = outcome.error();
        let message = error["message"].as_str().unwrap();
        assert!(error["hint"].as_str().unwrap().contains("ulimit -n"), "{most}: {message}: {error}");
        said += 1;
    }
    panic!("64 descriptors are not enough");
}

/// Somebody has made it so that the temporary file cannot be replaced: it is the file that is named, and not the record.
#[test]
fn p8_a_temporary_file_that_cannot_be_replaced_is_named() {
    in_own_mounts(|| {
        let bench = bench!();
        bench.make_state();
        let stuck = bench.file(".daemon.json.new");
        fs::write(&stuck, "").unwrap();
        // What is mounted on cannot be removed: EBUSY (unlink(2)).
        let mount = Mount::bind(&stuck, &stuck);
        let outcome = bench.aileron(&["--json", "url"]).fail(1);
        let error = outcome.error();
        assert!(outcome.took < AT_ONCE && error["hint"].is_string(), "{outcome:#?}");
        assert_eq!(error["path"], stuck.to_str().unwrap(), "{error}");
        assert!(error["message"].as_str().unwrap().contains(".daemon.json.new"), "{error}");
        mount.detach();
        bench.aileron(&["url"]).succeed();
    });
}

/// P14: a starter that was stopped (Ctrl-Z, a debugger) is reported at the deadline, by its pid, and left alone.
#[test]
fn p8_a_stopped_starter_is_left_alone() {
    let bench = bench!();
    let script = format!("echo $$ > {}; kill -STOP $$; exit 46", bench.beside("pid").display());
    let outcome = launching(&bench, &Program::Script(&script), &["--timeout", "2s", "--json"]);
    assert_eq!(outcome.end, aileron_tests::End::Status(9), "{outcome:#?}");
    let error = outcome.error();
    assert_eq!(error["exit_status"], 9);
    let pid: u32 = fs::read_to_string(bench.beside("pid")).unwrap().trim().parse().unwrap();
    assert_eq!(error["launch"]["pid"], pid, "{error}");
    assert!(error["launch"]["elapsed_ms"].as_u64().unwrap() >= 2000, "{error}");
    assert_eq!(error["launch"]["log"], bench.file("daemon.log").to_str().unwrap(), "{error}");
    assert!(error["hint"].as_str().unwrap().contains(&pid.to_string()), "{error}");
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
