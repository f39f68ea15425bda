//! §6, failure 31: a panic anywhere. A handler's is a 500; a vital task's and the keeper's end the process with status 1, with
//! the record withdrawn if this is still the owner, and with hands off if it is not.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;

use aileron_tests::http::{read_answer, send};
use aileron_tests::{Bench, Daemon, End, PROMPT, Signal, Snapshot, bench, says_nothing, until};

fn lose(bench: &Bench) {
    fs::write(bench.file("fresh"), "").unwrap();
    fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap();
}

fn exit_reason(bench: &Bench) -> String {
    let text = fs::read_to_string(bench.file("daemon.exit.json")).unwrap();
    let exit: serde_json::Value = serde_json::from_str(&text).unwrap();
    exit["reason"].as_str().unwrap().to_owned()
}

/// Ended with status 1, tidily, and the next client has a daemon.
fn assert_withdrawn(bench: &Bench, daemon: &Daemon) {
    assert_eq!(daemon.process.wait(PROMPT), End::Status(1));
    assert!(!bench.file("daemon.json").exists() && !bench.file("daemon.pid").exists(), "withdrawn");
    assert_eq!(exit_reason(bench), "vital_task");
    bench.start(&[]);
}

#[test]
fn a_panic_in_a_vital_task_ends_the_daemon() {
    let bench = bench!();
    let daemon = bench.service(&["--drain", "60000"]);
    drop(daemon.ask("POST", "/vital-panic/0"));
    assert_withdrawn(&bench, &daemon);
}

/// Its logger panics on what the keeper says, while it is the owner: the restoration of a record. A daemon without a keeper
/// would serve on, never notice a loss and never hear a signal.
#[test]
fn p2_a_panic_in_the_keeper_of_an_owner_ends_the_daemon() {
    let bench = bench!();
    let daemon = bench.service(&["--panic-on", "restored"]);
    fs::remove_file(bench.file("daemon.pid")).unwrap();
    assert_withdrawn(&bench, &daemon);
}

/// A logger that panics again in the keeper's last words.
#[test]
fn p2_a_keeper_that_panics_twice_ends_the_daemon() {
    let bench = bench!();
    let daemon = bench.service(&["--panic-on", "restored,ended"]);
    fs::remove_file(bench.file("daemon.pid")).unwrap();
    assert_withdrawn(&bench, &daemon);
}

/// In the panic hook, where Rust allows no second panic: the process is aborted, the lock is free, and the next client heals.
#[test]
fn p11_a_logger_that_panics_in_the_panic_hook_leaves_no_daemon() {
    let bench = bench!();
    let daemon = bench.service(&["--panic-on", "restored,panic"]);
    fs::remove_file(bench.file("daemon.pid")).unwrap();
    assert_ne!(daemon.process.wait(PROMPT), End::Status(0));
    let new = bench.start(&[]);
    bench.only(&new);
}

/// A glitch of the lock, in which the keeper panics: whether it is the owner is not known, so everything stays as it is.
#[test]
fn p4_a_panic_in_the_keeper_of_a_suspect_leaves_everything() {
    let bench = bench!();
    let daemon = bench.service(&["--panic-on", "suspect"]);
    let before = fs::read(bench.file("daemon.json")).unwrap();
    fs::rename(bench.file("daemon.lock"), bench.file("aside")).unwrap();
    assert_eq!(daemon.process.wait(PROMPT), End::Status(1));
    assert_eq!(fs::read(bench.file("daemon.json")).unwrap(), before);
    assert!(says_nothing(&bench.file("daemon.exit.json")));
    bench.start(&[]);
}

#[test]
fn p4_a_panic_in_the_keeper_of_a_displaced_daemon_leaves_the_successors_files() {
    for events in ["displaced", "draining", "displaced,ended", "ended"] {
        let bench = bench!();
        let daemon = bench.service(&["--no-lock-events", "--poll", "3600000", "--panic-on", events]);
        lose(&bench);
        let new = bench.run(&[]);
        let before = Snapshot::of(&bench.state());
        // Its keeper hears of it, and may be quicker than the answer.
        if let Ok(answer) = daemon.handshake() {
            assert_eq!(answer.status, 503, "{events}");
        }
        assert_eq!(daemon.process.wait(PROMPT), End::Status(1), "{events}");
        assert_eq!(Snapshot::of(&bench.state()), before, "{events}");
        assert!(says_nothing(&bench.file("daemon.exit.json")), "{events}");
        bench.only(&new);
    }
}

/// At every word that the keeper says on its way out of a stop.
#[test]
fn a_panic_in_the_keeper_during_a_stop_ends_the_daemon_all_the_same() {
    for events in ["draining", "ended", "draining,ended"] {
        let bench = bench!();
        let daemon = bench.service(&["--panic-on", events]);
        daemon.process.signal(Signal::TERM);
        assert_eq!(daemon.process.wait(PROMPT), End::Status(1), "{events}");
        assert!(!bench.file("daemon.json").exists(), "{events}: withdrawn");
        bench.start(&[]);
    }
}

/// On the runtime's own thread, just after the record was published: it is no lie for long.
#[test]
fn a_panic_between_publication_and_service_withdraws_the_record() {
    let bench = bench!();
    let outcome = bench.embedder(bench.programs().service, &["--panic-on", "ready"]).run();
    assert_ne!(outcome.end, End::Status(0), "{outcome:?}");
    assert!(!bench.file("daemon.json").exists(), "withdrawn");
    bench.start(&[]);
}

/// What was accepted before the end may still panic: that is an answer, and the drain is over.
#[test]
fn a_panic_in_a_handler_during_a_drain_is_a_500() {
    for displaced in [false, true] {
        let bench = bench!();
        let daemon = bench.service(&["--drain", "60000"]);
        let mut stream = send(daemon.address, &daemon.request("GET", "/panic/700")).unwrap();
        until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
        let reason = if displaced {
            lose(&bench);
            "displaced"
        } else {
            daemon.process.signal(Signal::TERM);
            "sigterm"
        };
        assert_eq!(daemon.log.wait_for("draining", PROMPT)["reason"], reason);
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (500, Some("internal")), "{reason}");
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "{reason}");
        assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], reason);
        assert!(daemon.log.events("watchdog").is_empty(), "{reason}: it drained");
    }
}

/// A vital task that panics while its daemon drains for another reason changes nothing about that.
#[test]
fn a_panic_in_a_vital_task_during_a_displaced_drain_keeps_hands_off() {
    let bench = bench!();
    let daemon = bench.service(&["--drain", "60000"]);
    let dying = send(daemon.address, &daemon.request("POST", "/vital-panic/700")).unwrap();
    until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    lose(&bench);
    let before = Snapshot::of(&bench.state());
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
    assert_eq!(Snapshot::of(&bench.state()), before);
    assert!(says_nothing(&bench.file("daemon.exit.json")));
    drop(dying);
}

/// In the embedder's initialisation: nothing was published, nothing stays, the lock is free; displaced or not.
#[test]
fn a_panic_in_the_initialisation_leaves_nothing() {
    for displaced in [false, true] {
        let bench = bench!();
        let options = ["--init", "700", "--fault", "panic"];
        let running = bench.embedder(bench.programs().slow, &options).start();
        until("it has the lock", PROMPT, || bench.file("daemon.log").exists().then_some(()));
        if displaced {
            lose(&bench);
        }
        let end = running.process.wait(PROMPT);
        assert!(matches!(end, End::Status(0 | 100)), "displaced: {displaced}: {end:?}");
        for name in ["daemon.json", "daemon.pid"] {
            assert!(!bench.file(name).exists(), "{name}, displaced: {displaced}");
        }
        bench.start(&[]);
    }
}
