//! P13 and P7 where many want something at once: a stop among clients, among other stops, and against a start in flight.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::net::TcpStream;

use aileron_tests::http::{read_answer, send};
use aileron_tests::{End, PROMPT, Running, Signal, bench, lock_file, until};

/// What the drain is for: clients that come meanwhile wait, and one launch in the end serves them all. The gate is held
/// throughout, and no stop is counted twice.
#[test]
fn p13_clients_that_come_during_a_stop_wait_for_its_end() {
    let bench = bench!();
    let old = bench.service(&[]);
    let mut in_flight = send(old.address, &old.request("GET", "/hang/2000")).unwrap();
    until("the request is in flight", PROMPT, || (old.view()["in_flight"] == 1).then_some(()));
    let stopping = bench.aileron(&["--json", "stop"]).start();
    until("it drains", PROMPT, || TcpStream::connect(old.address).is_err().then_some(()));
    assert!(File::open(bench.file("start.lock")).unwrap().try_lock().is_err(), "the gate is held");
    let clients: Vec<Running> = (0..30).map(|_| bench.aileron(&["url"]).start()).collect();
    assert!(old.process.is_alive(), "they came while it drained");
    assert_eq!(read_answer(&mut in_flight).unwrap().body, "done");
    let outcome = stopping.finish(4 * PROMPT);
    let document = outcome.json();
    assert_eq!((&document["how"], &document["pid"]), (&"request".into(), &old.process.pid().into()));
    let urls: HashSet<String> =
        clients.into_iter().map(|client| client.finish(4 * PROMPT).stdout.trim().to_owned()).collect();
    let new = bench.daemon();
    assert_eq!(urls, HashSet::from([new.url()]), "each has the new one");
    assert_eq!(new.log.events("ready").len(), 2, "one launch");
    bench.only(&new);
}

/// A daemon that was told to end by somebody who needs no gate (`kill`, a service manager) drains; clients wait it out.
#[test]
fn p7_a_leaving_owner_is_waited_out_and_followed_by_one() {
    let bench = bench!();
    let old = bench.service(&[]);
    let _in_flight = send(old.address, &old.request("GET", "/hang/2000")).unwrap();
    until("the request is in flight", PROMPT, || (old.view()["in_flight"] == 1).then_some(()));
    old.process.signal(Signal::TERM);
    until("it drains", PROMPT, || TcpStream::connect(old.address).is_err().then_some(()));
    let clients: Vec<Running> = (0..30).map(|_| bench.aileron(&["url"]).start()).collect();
    assert!(old.process.is_alive(), "they came while it drained");
    let urls: HashSet<String> =
        clients.into_iter().map(|client| client.finish(4 * PROMPT).stdout.trim().to_owned()).collect();
    let new = bench.daemon();
    assert_eq!(urls, HashSet::from([new.url()]));
    assert_eq!(new.log.events("ready").len(), 2);
    bench.only(&new);
}

/// harness-anything#2328, the other way round: a client is having a slow daemon started when somebody wants none.
#[test]
fn p13_a_hold_does_not_slip_past_a_start_in_flight() {
    let bench = bench!();
    let count = bench.beside("launches");
    let slow = |ms: &str| {
        let call = bench.call(bench.programs().slow).args(["ensure", "30000", "--init", ms, "--count"]);
        call.arg(&count).start()
    };
    let client = slow("1500");
    until("the daemon has the lock", PROMPT, || {
        File::open(bench.file("daemon.lock")).is_ok_and(|lock| lock.try_lock_shared().is_err()).then_some(())
    });
    let stopping = bench.aileron(&["--json", "stop", "--hold"]).start();
    let late: Vec<Running> = (0..5).map(|_| slow("0")).collect();
    let document = stopping.finish(4 * PROMPT).json();
    assert_eq!((&document["outcome"], &document["hold"]), (&"stopped".into(), &true.into()));
    assert!(bench.file("hold").exists() && bench.daemons().is_empty(), "stopped, and it stays so");
    // Whoever came first was served, and what it was given is gone by now; the late ones were served or told.
    assert!(client.finish(4 * PROMPT).stdout.starts_with("started "));
    for outcome in late.into_iter().map(|client| client.finish(4 * PROMPT)) {
        let told = outcome.stdout.starts_with("found ") || outcome.stdout.contains("OnHold");
        assert!(told, "{outcome:?}");
    }
    bench.aileron(&["url"]).fail(8);
    assert_eq!(fs::read(&count).unwrap().len(), 1, "one launch, and none after the hold");
    bench.start(&[]);
    assert!(!bench.file("hold").exists());
}

/// Twenty at once: one of them stops it, and each returns when it is stopped.
#[test]
fn p13_twenty_stops_at_once() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let stops: Vec<Running> = (0..20).map(|_| bench.aileron(&["--json", "stop"]).start()).collect();
    let said: Vec<String> = stops
        .into_iter()
        .map(|stop| {
            let outcome = stop.finish(4 * PROMPT);
            assert_eq!(outcome.end, End::Status(0), "{outcome:?}");
            outcome.json()["outcome"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(said.iter().filter(|outcome| *outcome == "stopped").count(), 1, "{said:?}");
    assert!(!daemon.process.is_alive() && bench.daemons().is_empty());
}

/// A stop among clients that all want a daemon: each gets an answer, what was stopped is gone, and one is there in the end.
#[test]
fn p13_a_stop_while_a_herd_runs() {
    let bench = bench!();
    for _ in 0..3 {
        let daemon = bench.start(&[]);
        let clients: Vec<Running> = (0..20).map(|_| bench.aileron(&["url"]).start()).collect();
        let outcome = bench.aileron(&["--json", "stop"]).succeed();
        let document = outcome.json();
        assert_eq!(
            (&document["outcome"], &document["pid"]),
            (&"stopped".into(), &daemon.process.pid().into())
        );
        assert!(!daemon.process.is_alive());
        for client in clients {
            let outcome = client.finish(4 * PROMPT);
            assert_eq!(outcome.end, End::Status(0), "{outcome:?}");
        }
        let last = until("somebody is there", PROMPT, || {
            let url = bench.aileron(&["url"]).succeed().stdout;
            Some(bench.daemon()).filter(|daemon| daemon.url() == url.trim())
        });
        bench.only(&last);
        bench.aileron(&["stop"]).succeed();
    }
}

/// The other moment: a client has asked for the hold, there was none, and it waits at the gate when one is set.
#[test]
fn p13_a_hold_that_was_set_while_a_client_waited_counts() {
    let bench = bench!();
    bench.make_state();
    let gate = lock_file(&bench.file("start.lock"));
    let client = bench.aileron(&["url"]).start();
    // Nothing else has it sleep: there is no daemon to wait for.
    until("it waits at the gate", PROMPT, || {
        client.process.proc("wchan").contains("nanosleep").then_some(())
    });
    fs::write(bench.file("hold"), "").unwrap();
    drop(gate);
    assert_eq!(client.finish(PROMPT).end, End::Status(8));
    assert!(bench.daemons().is_empty());
}

/// The process is gone at the last moment of the deadline: its port is gone with it, and nobody says that it is open.
#[test]
fn p13_an_end_at_the_last_moment_leaves_no_port_open() {
    let bench = bench!();
    for _ in 0..30 {
        bench.start(&[]);
        let outcome = bench.aileron(&["--json", "--timeout", "3ms", "stop"]).run();
        assert!(!outcome.stderr.contains("port_open"), "{outcome:?}");
        bench.aileron(&["stop"]).succeed();
    }
}
