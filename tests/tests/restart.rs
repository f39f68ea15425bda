//! Failure 33, multica#5165, claude-code#73670: `restart` kills the good one before the new one can start. And P13: between the
//! old one and the new one nobody else starts any.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use aileron_tests::http::{read_answer, send};
use aileron_tests::{Bench, Daemon, End, PROMPT, Running, bench, lock_file, set_mode, until};
use serde_json::Value;

/// The user nobody.
const NOBODY: u32 = 65534;

fn restart(bench: &Bench, options: &[&str]) -> Value {
    bench.aileron(&["--json", "daemon", "restart"]).args(options).succeed().json()
}

/// The embedder's own restart: with this check, of a daemon with these arguments.
fn embedders_restart(bench: &Bench, patience: &str, check: &str, args: &[&str]) -> aileron_tests::Outcome {
    bench.call(bench.programs().slow).args(["restart", patience, check]).args(args).run()
}

fn assert_untouched(bench: &Bench, old: &Daemon) {
    let view = old.view();
    assert_eq!((&view["pid"], &view["state"]), (&old.process.pid().into(), &"ready".into()));
    assert_eq!(view["instance"], old.instance.as_str());
    bench.only(old);
}

/// A request that the old daemon has to finish before it may go.
fn keep_busy(old: &Daemon, ms: u32) -> TcpStream {
    let stream = send(old.address, &old.request("GET", &format!("/hang/{ms}"))).unwrap();
    until("the request is in flight", PROMPT, || (old.view()["in_flight"] == 1).then_some(()));
    stream
}

fn is_draining(old: &Daemon) {
    until("the old daemon drains", PROMPT, || TcpStream::connect(old.address).is_err().then_some(()));
}

#[test]
fn p13_the_new_one_runs_as_the_old_one_did_but_for_what_is_given() {
    let bench = bench!();
    let options = ["--idle-timeout", "1h", "--drain-timeout", "3s", "--lock-poll-interval", "2s"];
    let old = bench.start(&[&options[..], &["--no-lock-events", "--log-max-size", "100000"]].concat());
    let had = old.view()["options"].clone();

    let document = restart(&bench, &[]);
    let new = bench.daemon();
    assert_eq!(old.process.wait(PROMPT), End::Status(0));
    assert_eq!((&document["outcome"], &document["url"]), (&"restarted".into(), &new.url().into()));
    assert_eq!((&document["pid"], &document["instance"]), (&new.record["pid"], &new.record["instance"]));
    let said = &document["old"];
    assert_eq!((&said["pid"], &said["how"]), (&old.process.pid().into(), &"request".into()));
    assert_eq!((&said["instance"], &said["options_known"]), (&old.instance.as_str().into(), &true.into()));
    assert_eq!(new.view()["options"], had);

    let given = ["daemon", "restart", "--idle-timeout", "0s"];
    let outcome = bench.aileron(&given).env("AILERON_DRAIN_TIMEOUT", "7s").succeed();
    let newer = bench.daemon();
    assert_eq!(outcome.stdout.trim(), newer.url());
    let mut expected = had;
    (expected["idle_timeout_ms"], expected["drain_timeout_ms"]) = (Value::Null, 7000.into());
    assert_eq!(newer.view()["options"], expected);
    bench.only(&newer);
}

/// The daemon that could be had is kept until there is a better one. Somebody else has the port that the new one is to have,
/// and the old one goes on answering while that is found out.
#[test]
fn a_new_one_that_cannot_start_leaves_the_old_one_serving() {
    let bench = bench!();
    let old = bench.start(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut answered = 0;
            while !done.load(Ordering::Acquire) {
                assert_eq!(old.handshake().unwrap().status, 200);
                answered += 1;
            }
            answered
        });
        for _ in 0..3 {
            let outcome = bench.aileron(&["--json", "daemon", "restart", "--bind", &port]).fail(1);
            let error = outcome.error();
            assert_eq!(error["kind"], "check");
            let (message, tail) = (error["message"].as_str().unwrap(), error["tail"].as_str().unwrap());
            assert!(message.contains(&old.process.pid().to_string()), "{error}");
            assert!(tail.contains(&format!("cannot listen on {port}")), "{error}");
        }
        done.store(true, Ordering::Release);
        assert!(asker.join().unwrap() > 3);
    });
    assert_untouched(&bench, &old);
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), old.url());
}

/// An upgrade that was installed halfway: the embedder's check fails, hangs, or its program is not there.
#[test]
fn an_embedders_check_decides() {
    let bench = bench!();
    let old = bench.start(&[]);
    let outcome = embedders_restart(&bench, "30000", "fail", &[]);
    assert!(outcome.stdout.starts_with("check failed: the well is dry"), "{outcome:?}");
    assert_untouched(&bench, &old);
    let outcome = embedders_restart(&bench, "500", "hang", &[]);
    assert!(outcome.stdout.contains("was killed") && outcome.took < PROMPT, "{outcome:?}");
    assert_untouched(&bench, &old);
    let outcome = embedders_restart(&bench, "30000", "ok", &[]);
    assert!(outcome.stdout.starts_with("restarted "), "{outcome:?}");
    assert_eq!(old.process.wait(PROMPT), End::Status(0));
    bench.only(&bench.daemon());
}

/// What no check could foresee: then the error says how things stand.
#[test]
fn a_launch_that_fails_after_the_stop_says_that_the_old_one_is_gone() {
    let bench = bench!();
    let old = bench.start(&[]);
    let outcome = embedders_restart(&bench, "30000", "ok", &["--fault", "fail"]);
    let gone = format!("the old daemon (pid {}) has ended", old.process.pid());
    assert!(outcome.stdout.contains(&gone) && outcome.stdout.contains("the well is dry"), "{outcome:?}");
    assert_eq!(outcome.end, End::Status(1));
    assert_eq!(old.process.wait(PROMPT), End::Status(0));
    assert!(bench.daemons().is_empty());
    bench.aileron(&["url"]).succeed();
}

#[test]
fn where_there_is_none_a_restart_is_a_start() {
    let bench = bench!();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let outcome = bench.aileron(&["daemon", "restart", "--bind", &port]).fail(1);
    assert!(outcome.stderr.contains("none is running"), "{outcome:?}");
    assert!(bench.daemons().is_empty());
    bench.aileron(&["stop", "--hold"]).succeed();
    let off = bench.aileron(&["--json", "daemon", "restart"]).env("AILERON_NO_AUTOSTART", "1");
    let document = off.succeed().json();
    assert_eq!((&document["outcome"], &document["old"]), (&"started".into(), &Value::Null));
    assert!(!bench.file("hold").exists(), "asked for by name");
    bench.only(&bench.daemon());
}

#[test]
fn an_explicit_address_is_not_restarted() {
    let bench = bench!();
    let old = bench.start(&[]);
    let outcome = bench.aileron(&["daemon", "restart"]).env("AILERON_API_URL", old.url()).fail(2);
    assert!(outcome.stderr.contains("unset AILERON_API_URL"), "{outcome:?}");
    let outcome = bench.aileron(&["daemon", "restart", "--bind", "0.0.0.0:0"]).fail(2);
    assert!(outcome.stderr.contains("loopback"), "{outcome:?}");
    assert_untouched(&bench, &old);
}

/// The old one has the port until it ends, and that is no reason against the new one.
#[test]
fn a_fixed_port_goes_from_the_old_one_to_the_new_one() {
    let bench = bench!();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let first = bench.start(&["--bind", &port]);
    let document = restart(&bench, &[]);
    assert_eq!(document["url"], first.url());
    let second = bench.daemon();
    let document = restart(&bench, &["--bind", &port]);
    assert_eq!(document["url"], first.url());
    let pids = [&first, &second, &bench.daemon()].map(|daemon| daemon.process.pid());
    assert!(pids[0] != pids[1] && pids[1] != pids[2], "{pids:?}");
    restart(&bench, &["--bind", "127.0.0.1:0"]);
    assert_ne!(bench.daemon().url(), first.url());
}

/// Fifty clients come while the old one drains: they wait, and one launch serves them all. The gate is held all the while.
#[test]
fn p7_clients_that_come_during_a_restart_get_the_new_one() {
    let bench = bench!();
    let old = bench.service(&[]);
    let mut waiting = keep_busy(&old, 1500);
    let restarting = bench.aileron(&["--json", "daemon", "restart"]).start();
    is_draining(&old);
    assert!(File::open(bench.file("start.lock")).unwrap().try_lock().is_err(), "the gate is held");
    let clients: Vec<Running> = (0..50).map(|_| bench.aileron(&["url"]).start()).collect();
    assert!(old.process.is_alive(), "they came while the old one drained");
    assert_eq!(read_answer(&mut waiting).unwrap().body, "done", "and what was accepted is answered");
    let outcome = restarting.finish(4 * PROMPT);
    assert_eq!(outcome.json()["outcome"], "restarted", "{outcome:?}");
    let new = bench.daemon();
    for client in clients {
        let outcome = client.finish(4 * PROMPT);
        assert_eq!(outcome.stdout.trim(), new.url(), "{outcome:?}");
    }
    assert_eq!(new.log.events("ready").len(), 2, "the old one and one more");
    bench.only(&new);
}

#[test]
fn p7_ten_restarts_at_once_go_one_after_the_other() {
    let bench = bench!();
    bench.start(&["--idle-timeout", "1h"]);
    let calls: Vec<Running> = (0..10).map(|_| bench.aileron(&["daemon", "restart"]).start()).collect();
    for call in calls {
        assert_eq!(call.finish(4 * PROMPT).end, End::Status(0));
    }
    let last = bench.daemon();
    assert_eq!(last.view()["options"]["idle_timeout_ms"], 3_600_000);
    assert_eq!(last.log.events("ready").len(), 11);
    bench.only(&last);
}

/// A daemon that does not end is not replaced, and the error says so; with force it is. What it ran with it cannot say.
#[test]
fn p14_a_frozen_daemon_is_replaced_by_force_alone() {
    let bench = bench!();
    let old = bench.start(&["--idle-timeout", "1h"]);
    old.process.freeze();
    let outcome = bench.aileron(&["--timeout", "2s", "daemon", "restart"]).fail(1);
    assert!(outcome.stderr.contains("restart --force") && outcome.took < 2 * PROMPT, "{outcome:?}");
    bench.only(&old);
    let outcome = bench.aileron(&["--json", "--timeout", "8s", "daemon", "restart", "--force"]).succeed();
    let document = outcome.json();
    assert_eq!((&document["old"]["how"], &document["outcome"]), (&"sigkill".into(), &"restarted".into()));
    assert_eq!(document["old"]["options_known"], false);
    assert!(outcome.stderr.contains("default"), "{outcome:?}");
    let new = bench.daemon();
    assert_eq!(new.view()["options"]["idle_timeout_ms"], Value::Null);
    assert_eq!(old.process.wait(PROMPT), End::Signal(9));
    bench.only(&new);
}

/// Failure 5: whatever the old one speaks, it can be looked at, stopped and replaced.
#[test]
fn an_unknown_protocol_is_restarted_by_signal() {
    let bench = bench!();
    let foreign = || {
        let running = bench.call(env!("CARGO_BIN_EXE_helper-foreign")).arg(bench.state()).start();
        let ready = || fs::read(bench.file("daemon.pid")).ok().filter(|pid| !pid.is_empty());
        until("it is advertised", PROMPT, || {
            let pid = String::from_utf8(ready()?).unwrap();
            (pid.trim() == running.process.pid().to_string()).then_some(())
        });
        running
    };
    let first = foreign();
    let status = bench.aileron(&["--json", "daemon", "status"]).fail(4).json();
    assert_eq!((&status["state"], &status["pid"]), (&"unresponsive".into(), &first.process.pid().into()));
    bench.aileron(&["daemon", "logs"]).run();
    assert_eq!(bench.aileron(&["--json", "stop"]).succeed().json()["how"], "sigterm");
    assert_eq!(first.process.wait(PROMPT), End::Signal(15));

    let second = foreign();
    let outcome = bench.aileron(&["--json", "daemon", "restart"]).succeed();
    let old = &outcome.json()["old"];
    assert_eq!((&old["how"], &old["version"]), (&"sigterm".into(), &"99.0.0".into()));
    assert!(outcome.stderr.contains("default"), "{outcome:?}");
    assert_eq!(second.process.wait(PROMPT), End::Signal(15));
    bench.only(&bench.daemon());
}

/// A newer daemon is replaced when somebody says so by name, as it is not when somebody merely wants one.
#[test]
fn another_version_is_restarted_into_this_one() {
    let bench = bench!();
    let helper = bench.call(env!("CARGO_BIN_EXE_helper-version"));
    helper.args(["ensure", "99.0.0", "any"]).arg(bench.state()).succeed();
    bench.aileron(&["url"]).fail(6);
    let document = restart(&bench, &[]);
    assert_eq!((&document["old"]["version"], &document["old"]["how"]), (&"99.0.0".into(), &"request".into()));
    assert_eq!(bench.record()["version"], env!("CARGO_PKG_VERSION"));
    bench.aileron(&["url"]).succeed();
}

/// The directory is deleted while the old one drains: there is nobody left to keep out, and a new one is had all the same.
#[test]
fn p11_a_directory_that_is_deleted_during_a_restart_does_not_fail_it() {
    let bench = bench!();
    let old = bench.service(&[]);
    let _waiting = keep_busy(&old, 1000);
    let restarting = bench.aileron(&["daemon", "restart"]).start();
    is_draining(&old);
    fs::remove_dir_all(bench.state()).unwrap();
    let outcome = restarting.finish(4 * PROMPT);
    assert_eq!(outcome.end, End::Status(0), "{outcome:?}");
    let new = bench.daemon();
    assert_eq!(outcome.stdout.trim(), new.url());
    drop(lock_file(&bench.file("start.lock")));
    assert!(old.process.ends_within(PROMPT));
    bench.only(&new);
}

/// What the check asks beside configuration and port: the right to create files, and locks that count.
#[test]
fn the_check_finds_what_a_start_would() {
    let bench = bench!();
    let check = |faults: &[&str]| {
        let call = bench.faulty(faults, bench.programs().aileron);
        call.args(["daemon", "run", "--check"])
    };
    bench.make_state();
    check(&[]).succeed();
    fs::write(bench.file("daemon.lock"), "").unwrap();
    let outcome = check(&["flock=ENOLCK"]).fail(1);
    assert!(outcome.stderr.contains("has no locks"), "{outcome:?}");
    let outcome = check(&["flock=0"]).fail(1);
    assert!(outcome.stderr.contains("does not enforce locks"), "{outcome:?}");
    assert_eq!(fs::read_dir(bench.state()).unwrap().count(), 1, "and nothing was made");
    // Rights are another user's matter: as root everything may be written.
    std::os::unix::fs::chown(bench.state(), Some(NOBODY), Some(NOBODY)).unwrap();
    let as_nobody = || bench.aileron(&["daemon", "run", "--check"]).user(NOBODY);
    as_nobody().succeed();
    set_mode(&bench.state(), 0o500);
    let outcome = as_nobody().fail(1);
    assert!(outcome.stderr.contains("create files in"), "{outcome:?}");
    let outcome = as_nobody().args(["--state-dir"]).arg(bench.beside("new/state")).fail(1);
    assert!(outcome.stderr.contains("create the state directory"), "{outcome:?}");
}

/// A hold counts by existing, and one that cannot be cleared keeps the new daemon from starting: the old one serves on.
#[test]
fn a_hold_that_cannot_be_cleared_leaves_the_old_one_serving() {
    let bench = bench!();
    let old = bench.start(&[]);
    fs::create_dir_all(bench.file("hold").join("something")).unwrap();
    let refused = bench.aileron(&["daemon", "restart"]).fail(1);
    assert!(refused.stderr.contains("hold"), "{refused:?}");
    bench.only(&old);
    assert_eq!(old.view()["state"], "ready");
}

/// The gate of a restart is deleted, and another client makes a new one: it keeps nobody out any more, and whoever has the new
/// one is waited for like anybody's.
#[test]
fn p7_a_second_gate_during_a_restart_is_waited_for() {
    let bench = bench!();
    let old = bench.service(&[]);
    let _waiting = keep_busy(&old, 1500);
    let restarting = bench.aileron(&["--json", "daemon", "restart"]).start();
    is_draining(&old);
    fs::remove_file(bench.file("start.lock")).unwrap();
    let second = lock_file(&bench.file("start.lock"));
    assert_eq!(old.process.wait(PROMPT), End::Status(0));
    let switches = || -> u32 { restarting.process.status_line("voluntary_ctxt_switches").parse().unwrap() };
    let before = switches();
    until("it waits for the second gate", PROMPT, || (switches() > before + 20).then_some(()));
    assert!(restarting.process.is_alive() && bench.daemons().is_empty(), "nothing is launched");
    drop(second);
    let outcome = restarting.finish(4 * PROMPT);
    let new = bench.daemon();
    assert_eq!(
        (&outcome.json()["outcome"], &outcome.json()["url"]),
        (&"restarted".into(), &new.url().into())
    );
    assert_eq!(new.log.events("ready").len(), 2, "one launch");
    bench.only(&new);
}
