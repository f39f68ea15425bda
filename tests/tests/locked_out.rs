//! P6, P8 and failure 21: the user is kept from a lock, by a slip with `chmod`, a restore by root, a read-only mount. A daemon that
//! proves itself is found all the same, for proof is all that is asked of it; where the lock is needed, the error says what to do.
//!
//! As root everything can be opened, so everything here is another user's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aileron_tests::http::send;
use aileron_tests::{Bench, Call, FileSystem, Mount, Outcome, PROMPT, bench, in_own_mounts, set_mode, until};

/// `nobody`, on most systems; any uid without privileges will do.
const NOBODY: u32 = 65534;

const LOCKS: [&str; 2] = ["daemon.lock", "start.lock"];

/// What somebody does to a lock.
type Deed = fn(&Path);

/// In which way the locks are out of reach, and what is said of it.
const WAYS: [(Deed, &str); 2] = [
    (|path| set_mode(path, 0o000), "chmod 600"),
    (
        |path| {
            chown(path, Some(0), Some(0)).unwrap();
            set_mode(path, 0o600);
        },
        "belongs to uid 0",
    ),
];

fn theirs(bench: &Bench) {
    chown(bench.home(), Some(NOBODY), Some(NOBODY))
        .expect("this test must be run as root: it needs a second, unprivileged user");
}

fn aileron(bench: &Bench, args: &[&str]) -> Call {
    bench.aileron(args).user(NOBODY)
}

#[test]
fn p6_a_daemon_that_proves_itself_needs_no_lock_to_be_found_and_stopped() {
    for (put_out_of_reach, _) in WAYS {
        for locks in [&LOCKS[..], &["daemon.lock"], &["start.lock"]] {
            let bench = bench!();
            theirs(&bench);
            aileron(&bench, &["daemon", "start"]).succeed();
            let daemon = bench.daemon();
            for lock in locks {
                put_out_of_reach(&bench.file(lock));
            }
            assert_eq!(aileron(&bench, &["url"]).succeed().stdout.trim(), daemon.url(), "{locks:?}");
            let status = aileron(&bench, &["--json", "daemon", "status"]).succeed().json();
            assert_eq!(status["state"], "running");
            assert_eq!(status["lock"]["held"].is_null(), locks.contains(&"daemon.lock"), "{status}");
            aileron(&bench, &["daemon", "status"]).succeed();
            let stopped = aileron(&bench, &["--json", "stop"]).succeed().json();
            assert_eq!((&stopped["outcome"], &stopped["how"]), (&"stopped".into(), &"request".into()));
            assert!(!daemon.process.is_alive(), "{locks:?}");
        }
    }
}

/// One that is busy for a moment is waited for, though nobody can say whether it has the lock.
#[test]
fn p6_a_slow_answer_is_waited_for_without_a_look_at_the_lock() {
    let bench = bench!();
    theirs(&bench);
    let running = bench.embedder(bench.programs().service, &[]).user(NOBODY).start();
    let daemon = bench.ready(&running);
    set_mode(&bench.file("daemon.lock"), 0o000);
    let _blocking = send(daemon.address, &daemon.request("GET", "/block/700")).unwrap();
    until("the runtime is blocked", PROMPT, || {
        let stream = send(daemon.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
        std::io::Read::read(&mut &stream, &mut [0; 16]).is_err().then_some(())
    });
    assert_eq!(aileron(&bench, &["url"]).succeed().stdout.trim(), daemon.url());
}

/// Nobody proves anything, so the lock is needed: the error names the file and the remedy, as text and as JSON.
#[test]
fn p8_the_error_names_the_file_and_the_remedy() {
    for (put_out_of_reach, remedy) in WAYS {
        for lock in LOCKS {
            let bench = bench!();
            theirs(&bench);
            aileron(&bench, &["daemon", "start"]).succeed();
            let daemon = bench.daemon();
            daemon.process.kill();
            daemon.process.wait(PROMPT);
            put_out_of_reach(&bench.file(lock));
            assert_says(&aileron(&bench, &["url"]).fail(1), &bench.file(lock), remedy);
            let error = aileron(&bench, &["--json", "url"]).fail(1).error();
            assert!(error["hint"].as_str().unwrap().contains(remedy), "{error}");
            if lock == "daemon.lock" {
                assert_says(&aileron(&bench, &["stop"]).fail(1), &bench.file(lock), remedy);
                assert_says(&aileron(&bench, &["daemon", "status"]).fail(1), &bench.file(lock), remedy);
            }
            assert!(bench.daemons().is_empty());
        }
    }
}

fn assert_says(outcome: &Outcome, file: &Path, remedy: &str) {
    let named = outcome.stderr.contains(file.to_str().unwrap());
    assert!(named && outcome.stderr.contains(remedy), "{remedy}: {outcome:#?}");
}

#[test]
fn p8_a_read_only_mount_is_called_one() {
    in_own_mounts(|| {
        let bench = bench!();
        let daemon = bench.start(&[]);
        daemon.process.kill();
        daemon.process.wait(PROMPT);
        let mount = Mount::bind(&bench.state(), &bench.state());
        mount.read_only().unwrap();
        assert_says(&bench.aileron(&["url"]).fail(1), &bench.file("start.lock"), "read-only mount");
        mount.detach();
    });
}

/// `chattr +i` keeps root out as well, and says no more than "not permitted".
#[test]
fn p8_an_immutable_file_is_called_one() {
    let bench = bench!(FileSystem::Disk);
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    for lock in LOCKS {
        let chattr = |how| {
            let done = Command::new("chattr").arg(how).arg(bench.file(lock)).status().unwrap();
            assert!(done.success(), "chattr {how}: this test must be run as root, with CAP_LINUX_IMMUTABLE");
        };
        chattr("+i");
        let outcome = bench.aileron(&["url"]).run();
        chattr("-i");
        assert_says(&outcome, &bench.file(lock), "chattr -i");
    }
}
