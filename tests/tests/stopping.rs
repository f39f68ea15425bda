//! P13, P14 and failures 10, 13 and 34: `stop` isn't, a wedged daemon hangs everybody, and an opt-out is ignored.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use aileron_tests::http::{read_answer, send};
use aileron_tests::{Daemon, End, PROMPT, Process, Tree, bench, lock_file, set_mode, until};

/// At the very moment at which `stop` has returned.
fn assert_stopped(bench: &aileron_tests::Bench, daemon: &Daemon) {
    assert!(!daemon.process.is_alive(), "the process is gone");
    assert!(TcpStream::connect(daemon.address).is_err(), "its port is closed");
    drop(lock_file(&bench.file("daemon.lock")));
    assert!(bench.daemons().is_empty(), "and nothing was started to do it");
}

/// gortex#68, bazel#6376: `stop && rm -rf` raced with a daemon that was still there.
#[test]
fn p13_stop_means_stopped() {
    let bench = bench!();
    for _ in 0..5 {
        let daemon = bench.start(&[]);
        let outcome = bench.aileron(&["--json", "daemon", "stop"]).succeed();
        assert_stopped(&bench, &daemon);
        let document = outcome.json();
        assert_eq!(
            (&document["outcome"], &document["pid"]),
            (&"stopped".into(), &daemon.process.pid().into())
        );
        assert_eq!(document["how"], "request");
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
        assert!(!bench.file("daemon.json").exists() && !bench.file("daemon.pid").exists());
    }
}

/// What was accepted is answered first.
#[test]
fn p13_stop_waits_for_the_drain() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    let mut stream = send(daemon.address, &daemon.request("GET", "/hang/1500")).unwrap();
    until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    bench.aileron(&["stop"]).succeed();
    assert_stopped(&bench, &daemon);
    assert_eq!(read_answer(&mut stream).unwrap().body, "done");
}

/// A handler that keeps the runtime's thread takes no request to stop; the signal does it.
#[test]
fn p13_stop_ends_a_daemon_whose_runtime_is_blocked() {
    let bench = bench!();
    let daemon = bench.service(&["--drain", "500"]);
    let _blocking = send(daemon.address, &daemon.request("GET", "/block/60000")).unwrap();
    // Only a daemon that no longer answers is blocked.
    until("the runtime is blocked", PROMPT, || {
        let stream = send(daemon.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        std::io::Read::read(&mut &stream, &mut [0; 16]).is_err().then_some(())
    });
    let outcome = bench.aileron(&["--json", "stop"]).succeed();
    assert_eq!(outcome.json()["how"], "sigterm");
    assert_stopped(&bench, &daemon);
}

#[test]
fn p13_stop_with_none_makes_nothing() {
    let bench = bench!();
    for args in [&["stop"][..], &["daemon", "stop", "--force"], &["daemon", "status"], &["daemon", "logs"]] {
        let outcome = bench.aileron(args).run();
        let expected = if args.contains(&"status") || args.contains(&"logs") { 3 } else { 0 };
        assert_eq!(outcome.end, End::Status(expected), "{args:?}: {outcome:?}");
        assert!(!bench.state().exists(), "{args:?} made the directory");
    }
    assert_eq!(bench.aileron(&["stop", "--json"]).succeed().json()["outcome"], "not_running");
}

/// harness-anything#2328: the next prompt of the shell started it again.
#[test]
fn p13_a_hold_sticks_until_start() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    bench.aileron(&["stop", "--hold"]).succeed();
    assert_stopped(&bench, &daemon);
    for _ in 0..3 {
        let outcome = bench.aileron(&["url"]).fail(8);
        assert!(outcome.stderr.contains(bench.file("hold").to_str().unwrap()), "{outcome:?}");
    }
    let status = bench.aileron(&["daemon", "status", "--json"]).fail(3).json();
    assert_eq!(status["hold"], true);
    assert!(bench.daemons().is_empty());
    bench.start(&[]);
    assert!(!bench.file("hold").exists());
    bench.aileron(&["stop"]).succeed();
    bench.aileron(&["url"]).succeed();
}

/// Failure 34, nx#21963: one variable turns automatic starts off, and what runs is still found.
#[test]
fn p13_no_autostart_starts_nothing() {
    let bench = bench!();
    let url = || bench.aileron(&["url"]).env("AILERON_NO_AUTOSTART", "1");
    let outcome = url().fail(8);
    assert!(outcome.stderr.contains("AILERON_NO_AUTOSTART"), "{outcome:?}");
    assert!(!bench.state().exists(), "not even the directory");
    bench.aileron(&["daemon", "start"]).env("AILERON_NO_AUTOSTART", "1").succeed();
    assert_eq!(url().succeed().stdout.trim(), bench.daemon().url());
    bench.aileron(&["stop"]).env("AILERON_NO_AUTOSTART", "1").succeed();
    assert!(bench.daemons().is_empty(), "the opt-out is about starts alone");
}

/// An explicit address is printed, not asked; and nobody manages a daemon that is somebody else's.
#[test]
fn p13_an_explicit_address_is_somebody_elses_daemon() {
    let bench = bench!();
    let explicit = |args: &[&str]| bench.aileron(args).env("AILERON_API_URL", "http://127.0.0.1:1");
    assert_eq!(explicit(&["url"]).succeed().stdout.trim(), "http://127.0.0.1:1");
    for args in [&["daemon", "start"][..], &["daemon", "stop"], &["stop", "--force"], &["daemon", "restart"]]
    {
        assert!(explicit(args).fail(2).stderr.contains("unset AILERON_API_URL"), "{args:?}");
    }
    assert!(!bench.state().exists());
}

/// An orphan that has not noticed is named, and left alone: what was stopped is the owner.
#[test]
fn p13_orphans_are_named() {
    let bench = bench!();
    let orphan = bench.start(&["--no-lock-events", "--lock-poll-interval", "30s"]);
    fs::remove_dir_all(bench.state()).unwrap();
    let owner = bench.start(&[]);
    let outcome = bench.aileron(&["--json", "stop"]).succeed();
    assert_eq!(outcome.json()["orphans"][0]["pid"], orphan.process.pid());
    assert!(outcome.stderr.contains(&orphan.process.pid().to_string()), "{outcome:?}");
    assert!(!owner.process.is_alive() && orphan.process.is_alive());
    let document = bench.aileron(&["--json", "stop"]).succeed().json();
    assert_eq!(document["outcome"], "not_running", "an orphan is not what was stopped");
    assert_eq!(document["orphans"][0]["pid"], orphan.process.pid());
    let restarted = bench.aileron(&["--json", "daemon", "restart"]).succeed().json();
    assert_eq!(restarted["orphans"][0]["pid"], orphan.process.pid());
    assert!(orphan.process.is_alive());
}

/// atuin#4114: stopped by `SIGSTOP`, or wedged. Every command ends at its deadline and says so; nothing is ended unasked.
#[test]
fn p14_a_frozen_daemon_hangs_nobody() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.freeze();
    let before = Tree::of(&bench.state());
    for (args, status) in
        [(&["url"][..], 4), (&["daemon", "start"], 4), (&["daemon", "status"], 4), (&["daemon", "logs"], 0)]
    {
        let outcome = bench.aileron(&["--timeout", "1s"]).args(args).fail(status);
        assert!(outcome.took < Duration::from_secs(10), "{args:?}: {outcome:?}");
        assert!(
            status == 0 || outcome.stdout.contains("unresponsive") || outcome.stderr.contains("stop --force"),
            "{outcome:?}"
        );
    }
    let document = bench.aileron(&["--timeout", "1s", "--json", "url"]).fail(4).error();
    assert_eq!((&document["kind"], &document["exit_status"]), (&"unresponsive".into(), &4.into()));
    assert_eq!(Tree::of(&bench.state()), before, "nothing was written");
    daemon.process.thaw();
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url(), "and nothing was ended");
}

/// Without `--timeout`: the default of 5 s for a lock that is held in silence.
#[test]
fn p14_a_frozen_daemon_is_called_unresponsive_by_default() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.freeze();
    let outcome = bench.aileron(&["url"]).fail(4);
    assert!(outcome.took < Duration::from_secs(20), "{outcome:?}");
}

/// `stop` without force waits and says so; with force it recovers, and the next client has a daemon.
#[test]
fn p14_force_recovers() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.freeze();
    let outcome = bench.aileron(&["--timeout", "3s", "stop"]).fail(1);
    assert!(outcome.stderr.contains("--force") && outcome.took < Duration::from_secs(15), "{outcome:?}");
    assert!(daemon.process.is_alive());
    let outcome = bench.aileron(&["--timeout", "3s", "--json", "stop", "--force"]).succeed();
    assert_eq!(outcome.json()["how"], "sigkill");
    assert_stopped(&bench, &daemon);
    assert_eq!(daemon.process.wait(PROMPT), End::Signal(9));
    assert_eq!(bench.aileron(&["--json", "url"]).succeed().json()["outcome"], "started");
}

/// A gate that somebody holds for ever: a deadline that names the step, for starts and stops alike.
#[test]
fn p14_a_held_gate_is_a_named_step() {
    let bench = bench!();
    bench.make_state();
    let _gate = lock_file(&bench.file("start.lock"));
    let outcome = bench.aileron(&["--timeout", "500ms", "url"]).fail(9);
    assert!(outcome.stderr.contains("start gate"), "{outcome:?}");
    let outcome = bench.aileron(&["--timeout", "500ms", "stop", "--hold"]).run();
    assert_ne!(outcome.end, End::Status(0));
    assert!(outcome.took < Duration::from_secs(10) && outcome.stderr.contains("gate"), "{outcome:?}");
    assert!(File::open(bench.file("hold")).is_err());
}

/// Arguments are anybody's to give: a stranger that holds the lock and is called with the daemon's words is still a stranger.
#[test]
fn p9_a_stranger_with_the_daemons_words_is_not_signalled() {
    let bench = bench!();
    bench.make_state();
    let mut stranger = Command::new("flock");
    stranger.arg("--no-fork").arg(bench.file("daemon.lock")).args(["sh", "-c", "read line", "daemon", "run"]);
    let mut stranger = stranger.stdin(Stdio::piped()).spawn().unwrap();
    let status = || bench.aileron(&["daemon", "status"]).run().end;
    until("the stranger holds the lock", PROMPT, || matches!(status(), End::Status(4)).then_some(()));
    bench.aileron(&["stop", "--force", "--timeout", "1s"]).fail(4);
    assert!(stranger.try_wait().unwrap().is_none(), "it lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// A predecessor that was stopped in the middle of its writing keeps the directory locked, and a successor must not write beside
/// it: it would lose its record when that one goes on. So there is none, and the error names who is in the way.
#[test]
fn p14_who_keeps_the_directory_locked_is_named() {
    let bench = bench!();
    bench.make_state();
    let mut writer = Command::new("flock");
    writer.arg("--no-fork").arg(bench.state()).args(["sh", "-c", "echo locked; read line"]);
    let mut writer = writer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(writer.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let error = bench.aileron(&["--json", "url"]).fail(1).error();
    assert!(error["message"].as_str().unwrap().contains("kept locked"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains(&format!("kill -CONT {}", writer.id())), "{error}");
    assert_eq!(error["path"], bench.state().to_str().unwrap());
    assert!(!bench.file("daemon.json").exists() && !bench.file("daemon.log").exists());
    drop(writer.stdin.take());
    writer.wait().unwrap();
    bench.aileron(&["url"]).succeed();
}

/// The directory is refused while a stop waits, for its mode or its owner: that says nothing of the lock, so nobody says that
/// all is free. Where it is put right in time, it is.
#[test]
fn p13_a_directory_that_is_refused_meanwhile_is_not_taken_for_an_end() {
    let others = |path: &std::path::Path| set_mode(path, 0o777);
    let given_away = |path: &std::path::Path| std::os::unix::fs::chown(path, Some(65534), None).unwrap();
    let put_right = |path: &std::path::Path| {
        set_mode(path, 0o700);
        std::os::unix::fs::chown(path, Some(0), None).expect("this test must be run as root");
    };
    for (spoil, what) in [(&others as &dyn Fn(&std::path::Path), "chmod 700"), (&given_away, "uid 65534")] {
        for in_time in [false, true] {
            let bench = bench!();
            let daemon = bench.service(&[]);
            let _in_flight = send(daemon.address, &daemon.request("GET", "/hang/1000")).unwrap();
            until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
            let timeout = if in_time { "20s" } else { "2s" };
            let stop = bench.aileron(&["--json", "--timeout", timeout, "stop"]).start();
            until("it drains", PROMPT, || TcpStream::connect(daemon.address).is_err().then_some(()));
            spoil(&bench.state());
            daemon.process.wait(PROMPT);
            if in_time {
                assert!(stop.process.is_alive(), "{what}: it cannot know yet");
                put_right(&bench.state());
                assert_eq!(stop.finish(PROMPT).end, End::Status(0), "{what}");
                assert_stopped(&bench, &daemon);
            } else {
                let outcome = stop.finish(PROMPT);
                put_right(&bench.state());
                assert_eq!(outcome.end, End::Status(1), "{what}: {outcome:?}");
                assert_eq!(outcome.error()["kind"], "state_dir", "{outcome:?}");
                assert!(outcome.stderr.contains(what), "{outcome:?}");
            }
        }
    }
}

/// A child of the daemon between `fork` and `exec` has its program, its arguments and its lock, and is no daemon of its own: it is
/// not listed, and not signalled.
#[test]
fn p9_a_child_between_fork_and_exec_is_not_the_daemon() {
    let bench = bench!();
    let program = bench.named(bench.programs().service, "aileron");
    let running = bench.embedder(&program, &[]).start();
    let daemon = bench.ready(&running);
    let child: u32 = daemon.ask("GET", "/fork").unwrap().body.parse().unwrap();
    let child = Process::open(child).unwrap();
    let listed = bench.aileron(&["--json", "daemon", "ps"]).succeed().json();
    let listed: Vec<u64> =
        listed["daemons"].as_array().unwrap().iter().filter_map(|one| one["pid"].as_u64()).collect();
    assert!(listed.contains(&daemon.process.pid().into()), "{listed:?}");
    assert!(!listed.contains(&child.pid().into()), "{listed:?}");
    let holders = aileron_discovery::process::find_holders(&aileron_cli::tool()).unwrap();
    let holds = |pid| holders.iter().any(|holder| holder.process.pid == pid);
    assert!(holds(daemon.process.pid()) && !holds(child.pid()), "{holders:?}");
    // Nobody answers, and no record tells: only the lock does.
    daemon.process.freeze();
    fs::write(bench.file("daemon.json"), "{").unwrap();
    let outcome = bench.aileron(&["--timeout", "2s", "stop", "--force"]).fail(1);
    assert_eq!(daemon.process.wait(PROMPT), End::Signal(9), "{outcome:?}");
    assert!(child.is_alive(), "it was sent nothing, and has the lock still: {outcome:?}");
    child.kill();
    child.wait(PROMPT);
    bench.aileron(&["stop"]).succeed();
    drop(lock_file(&bench.file("daemon.lock")));
}
