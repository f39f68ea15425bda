//! P7, P8 and failure 2: the stampede of N clients that start N daemons, and the slow start that is taken for a failed one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aileron_tests::{Bench, Outcome, PROMPT, Running, bench, until};

/// No client may take longer: their own deadline is 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

fn all(clients: Vec<Running>) -> Vec<Outcome> {
    clients.into_iter().map(|client| client.finish(PATIENCE)).collect()
}

/// codedb#592: an editor opens, and 64 of its processes want the daemon within 50 ms.
#[test]
fn p7_sixty_four_clients_get_one_daemon() {
    let bench = bench!();
    let clients = (0..64).map(|_| bench.aileron(&["--json", "url"]).start()).collect();
    let answers: Vec<_> = all(clients).iter().map(Outcome::json).collect();
    let distinct =
        |name: &str| answers.iter().map(|answer| answer[name].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!((answers.len(), distinct("url"), distinct("pid"), distinct("instance")), (64, 1, 1, 1));
    let started = answers.iter().filter(|answer| answer["outcome"] == "started").count();
    assert_eq!(started, 1, "one client started it, and the others found it");
    let daemon = bench.daemon();
    assert_eq!(daemon.log.events("ready").len(), 1);
    bench.only(&daemon);
}

/// A second launch that loses the race for the lock is harmless and still one too many: each launch is counted, before it
/// tries the lock.
fn launches(bench: &Bench, clients: usize, options: &[&str]) -> (usize, BTreeSet<String>) {
    let count = bench.beside("launches");
    let client = || {
        let call = bench.call(bench.programs().slow).args(["ensure", "30000", "--count"]).arg(&count);
        call.args(options).start()
    };
    let outcomes = all((0..clients).map(|_| client()).collect());
    let url = |outcome: &Outcome| outcome.stdout.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    let started = outcomes.iter().filter(|outcome| outcome.stdout.starts_with("started ")).count();
    assert_eq!(started, 1, "{outcomes:#?}");
    (fs::read(&count).unwrap().len(), outcomes.iter().map(url).collect())
}

#[test]
fn p7_sixty_four_clients_launch_once() {
    let bench = bench!();
    let (launches, urls) = launches(&bench, 64, &[]);
    assert_eq!((launches, urls.len()), (1, 1));
    assert_eq!(urls.first(), Some(&bench.daemon().url()));
}

/// gastown#3195, watchman#276: a start of seconds, during which the others launch theirs, or remove the lock of this one.
#[test]
fn p7_a_slow_start_is_waited_for() {
    let bench = bench!();
    let (launches, urls) = launches(&bench, 16, &["--init", "3000"]);
    assert_eq!((launches, urls.len()), (1, 1));
}

/// The same where the slowness comes before the lock, when nothing but the gate keeps the others from launching.
#[test]
fn p7_a_start_that_is_slow_to_lock_is_waited_for() {
    let bench = bench!();
    let (launches, urls) = launches(&bench, 16, &["--before-lock", "1000"]);
    assert_eq!((launches, urls.len()), (1, 1));
}

/// P8: slow is reported as slow, with the pid, and nothing is killed for it: the next client finds that very process.
#[test]
fn p8_a_start_slower_than_the_deadline_is_left_alone() {
    let bench = bench!();
    let count = bench.beside("launches");
    let ensure = |ms: &str| bench.call(bench.programs().slow).args(["ensure", ms, "--count"]).arg(&count);
    let early = ensure("300").args(["--init", "3000"]).fail(1);
    assert!(early.stdout.starts_with("StartInProgress"), "{early:?}");
    let pid = bench.daemons().first().map(aileron_tests::Process::pid);
    assert!(early.stdout.contains(&format!("pid: {pid:?}")), "{pid:?} in {early:?}");
    let late = ensure("30000").succeed();
    assert!(late.stdout.starts_with("found "), "{late:?}");
    assert_eq!(Some(bench.daemon().process.pid()), pid);
    assert_eq!(fs::read(&count).unwrap().len(), 1);
}

/// coder-desktop-windows#101: somebody's probe makes a one-shot try fail, and the daemon says "already running".
#[test]
fn p6_probes_by_the_thousand_cost_no_start() {
    let bench = bench!();
    bench.make_state();
    let (path, over) = (bench.file("daemon.lock"), AtomicBool::new(false));
    File::create(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let Ok(file) = File::open(&path) else { continue };
                let _held_or_not = file.try_lock_shared();
                // The probe itself lasts; between two of them is a moment, as with a thousand probes a second.
                drop(file);
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        for _ in 0..10 {
            let daemon = bench.run(&[]);
            daemon.process.kill();
            daemon.process.wait(PROMPT);
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// A directory deleted again and again while a start goes on: the client begins again, and is not told of it.
#[test]
fn p7_a_directory_deleted_during_the_start_is_made_again() {
    let bench = bench!();
    let count = bench.beside("launches");
    let call = bench
        .call(bench.programs().slow)
        .args(["ensure", "30000", "--before-lock", "300", "--count"])
        .arg(&count);
    let client = call.start();
    until("the first launch", PROMPT, || fs::read(&count).is_ok_and(|count| !count.is_empty()).then_some(()));
    fs::remove_dir_all(bench.state()).unwrap();
    let outcome = client.finish(PATIENCE);
    assert!(outcome.stdout.starts_with("started "), "{outcome:?}");
    bench.only(&bench.daemon());
}

/// A umask that takes from the owner would leave a directory and files that no later command can open.
#[test]
fn p11_a_umask_that_takes_from_the_owner_does_no_harm() {
    for umask in ["0777", "0700", "0277"] {
        let bench = bench!();
        let user = bench.lone_user();
        let script = format!("umask {umask}; exec \"$1\" url");
        bench.call("/bin/sh").args(["-c", &script, "sh"]).arg(bench.programs().aileron).user(user).succeed();
        bench.aileron(&["daemon", "status"]).user(user).succeed();
        bench.aileron(&["stop"]).user(user).succeed();
        bench.aileron(&["url"]).user(user).succeed();
    }
}

/// A result that is lost on a full disk is no success: a script would go on with an empty file.
#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let bench = bench!();
    for command in ["url", "daemon status", "man", "daemon unit systemd", "daemon doctor", "daemon logs"] {
        let script = format!("exec \"$1\" {command} > /dev/full");
        let lost = bench.call("/bin/sh").args(["-c", &script, "sh"]).arg(bench.programs().aileron).fail(1);
        assert!(lost.stderr.contains("cannot write the result"), "{command}: {lost:?}");
    }
    bench.aileron(&["stop"]).succeed();
}

/// What a daemon runs with is settled at its start. Whoever asks for something else of one that runs is told.
#[test]
fn options_that_come_too_late_are_named() {
    let bench = bench!();
    let start = |options: &[&str]| bench.aileron(&["--json", "daemon", "start"]).args(options).succeed();
    let first = start(&["--idle-timeout", "1h"]);
    assert_eq!((&first.json()["options_in_force"], first.stderr.as_str()), (&true.into(), ""));
    for same in [&["--idle-timeout", "60m"][..], &["--drain-timeout", "10s", "--bind", "127.0.0.1:0"]] {
        let outcome = start(same);
        assert_eq!((&outcome.json()["options_in_force"], outcome.stderr.as_str()), (&true.into(), ""));
    }
    let none = start(&[]);
    assert!(none.json()["options_in_force"].is_null() && none.stderr.is_empty(), "{none:?}");
    let other = start(&["--idle-timeout", "2h", "--drain-timeout", "10s", "--no-lock-events"]);
    assert_eq!(other.json()["options_in_force"], false);
    let restart = "aileron daemon restart --idle-timeout 7200000ms --no-lock-events`";
    assert!(other.stderr.contains(restart), "{other:?}");
    let variable = bench.aileron(&["daemon", "start"]).env("AILERON_LOG_MAX_SIZE", "8192").succeed();
    assert!(variable.stderr.contains("--log-max-size 8192"), "{variable:?}");
    let quiet = bench.aileron(&["--quiet", "daemon", "start", "--idle-timeout", "2h"]).succeed();
    assert_eq!(quiet.stderr, "");
}

/// A directory that is there, is this user's, and takes no file, is no gate that somebody holds.
#[test]
fn p8_a_directory_in_which_no_file_can_be_made_is_named() {
    let bench = bench!();
    for args in [&["--json", "url"][..], &["--json", "daemon", "run"], &["--json", "stop", "--hold"]] {
        let outcome = bench.aileron(args).env("AILERON_STATE_DIR", "/proc/self/fd").fail(1);
        let error = outcome.error();
        assert_eq!(error["kind"], "state_dir", "{args:?}: {error}");
        assert!(error["path"].as_str().unwrap().starts_with("/proc/"), "{args:?}: {error}");
        assert_eq!(error["step"], "make a file in the state directory", "{args:?}: {error}");
        assert!(outcome.took < PROMPT, "{outcome:?}");
    }
}

/// P6: the lock decides and not the hold. An owner whose record is gone is about to restore it.
#[test]
fn p6_a_hold_keeps_nobody_from_a_daemon_that_runs() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    fs::write(bench.file("hold"), "").unwrap();
    for damaged in [Some("{"), None] {
        match damaged {
            Some(text) => fs::write(bench.file("daemon.json"), text).unwrap(),
            None => fs::remove_file(bench.file("daemon.json")).unwrap(),
        }
        let outcome = bench.aileron(&["url"]).succeed();
        assert_eq!(outcome.stdout.trim(), daemon.url());
    }
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    bench.aileron(&["url"]).fail(8);
}
