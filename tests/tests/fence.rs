//! P3: no request sent after the displacing system call returned is acted upon, even before anybody has noticed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::io::Write as _;

use aileron_tests::http::{Answer, read_answer, send};
use aileron_tests::{Bench, Daemon, End, PROMPT, bench};

/// What takes the lock from its path.
type Fault = fn(&Bench);

/// The faults that a client could meet: nothing there, another file there, and the held inode still linked (`Suspect`).
const FAULTS: [(&str, Fault); 4] = [
    ("directory deleted", |bench| fs::remove_dir_all(bench.state()).unwrap()),
    ("lock deleted", |bench| fs::remove_file(bench.file("daemon.lock")).unwrap()),
    ("lock replaced", |bench| {
        fs::write(bench.file("fresh"), "").unwrap();
        fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap();
    }),
    ("directory renamed", |bench| fs::rename(bench.state(), bench.beside("moved")).unwrap()),
];

/// A daemon that will not notice by itself: no events, a look every 30 s. Its counter is a file that outlives it.
fn unaware(bench: &Bench) -> Daemon {
    let count = bench.beside("count");
    let daemon = bench.service(&["--no-lock-events", "--poll", "30000", "--count", count.to_str().unwrap()]);
    assert_eq!(daemon.ask("POST", "/count").unwrap().status, 200);
    daemon
}

fn counted(bench: &Bench) -> u64 {
    fs::metadata(bench.beside("count")).unwrap().len()
}

fn assert_lost(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (503, Some("identity_lost")),
        "{what}: {answer:?}"
    );
    assert!(answer.head.contains("application/problem+json"), "{what}: {answer:?}");
}

/// The orphan of the field went on answering, and wrote into its database for 22 hours.
#[test]
fn p3_an_unaware_orphan_acts_on_no_request() {
    for (what, fault) in FAULTS {
        let bench = bench!();
        let daemon = unaware(&bench);
        fault(&bench);
        assert_lost(&daemon.ask("POST", "/count").unwrap(), what);
        // The first refusal was also the news; from here on it may be gone at any moment.
        for _ in 0..20 {
            if let Ok(answer) = daemon.ask("POST", "/count") {
                assert_lost(&answer, what);
            }
        }
        assert_eq!(counted(&bench), 1, "{what}");
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "{what}: the fence told the keeper");
    }
}

/// A connection that was there before the loss is no way around the fence.
#[test]
fn p3_an_open_connection_is_fenced_too() {
    let bench = bench!();
    let daemon = unaware(&bench);
    let whole = daemon.request("POST", "/count");
    let (half, rest) = whole.split_at(whole.len() / 2);
    let mut stream = send(daemon.address, half).unwrap();
    fs::remove_dir_all(bench.state()).unwrap();
    stream.write_all(rest).unwrap();
    assert_lost(&read_answer(&mut stream).unwrap(), "a request of which half was sent before");
    assert_eq!(counted(&bench), 1);
}

/// Otherwise a client would be handed the orphan: its record may lie in a directory that was moved back, or be remembered.
#[test]
fn p3_the_handshake_is_fenced() {
    for (what, fault) in FAULTS {
        let bench = bench!();
        let daemon = unaware(&bench);
        assert_eq!(daemon.handshake().unwrap().status, 200, "{what}: before");
        fault(&bench);
        assert_lost(&daemon.handshake().unwrap(), what);
    }
}

/// The lock alone is deleted and the orphan's record still lies there, naming an orphan that has not noticed: the client
/// gets a successor, and not the orphan.
#[test]
fn p3_a_client_is_never_handed_an_orphan() {
    let bench = bench!();
    let orphan = unaware(&bench);
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    let url = bench.aileron(&["url"]).succeed().stdout;
    assert_ne!(url.trim(), orphan.url());
    let new = bench.daemon();
    assert_eq!(url.trim(), new.url());
    bench.only(&new);
}

/// What must be answered in that state too: who it is, and a stop.
#[test]
fn p3_health_status_and_stop_stay_open() {
    let bench = bench!();
    let daemon = unaware(&bench);
    fs::remove_dir_all(bench.state()).unwrap();
    assert_eq!(daemon.ask("GET", "/healthz").unwrap().body, "ok");
    let view = daemon.view();
    assert_eq!((&view["held"]["ino"], &view["at_path"]), (&daemon.lock.into(), &serde_json::Value::Null));
    assert_eq!(daemon.ask("POST", "/v1/daemon/stop").unwrap().status, 202);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}
