//! An embedder's own service in a router's place: behind the same guard, counted, and kept from harming the daemon.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;

use aileron_tests::http::{raw, send};
use aileron_tests::{Bench, Daemon, End, PROMPT, bench, until};

fn plain(bench: &Bench) -> Daemon {
    let options = ["--no-lock-events", "--poll", "30000"];
    let running = bench.embedder(env!("CARGO_BIN_EXE_helper-plain").as_ref(), &options).start();
    bench.ready(&running)
}

fn echo(daemon: &Daemon, host: &str, authorization: &str) -> (u16, String) {
    let head = format!("POST /echo HTTP/1.1\r\nHost: {host}\r\n{authorization}Content-Length: 2\r\n");
    let answer = raw(daemon.address, format!("{head}Connection: close\r\n\r\nhi").as_bytes()).unwrap();
    (answer.status, answer.body)
}

#[test]
fn p12_a_plain_service_is_behind_the_guard() {
    let bench = bench!();
    let daemon = plain(&bench);
    let (own, token) = (daemon.address.to_string(), format!("{}\r\n", daemon.authorization()));
    assert_eq!(echo(&daemon, &own, &token), (200, "hi".to_owned()));
    assert_eq!(echo(&daemon, &own, "").0, 401);
    assert_eq!(echo(&daemon, "evil.example", &token).0, 403);
    assert_eq!(daemon.ask("GET", "/nowhere").unwrap().status, 404);
    assert_eq!(daemon.view()["name"], "aileron", "the control routes are not its own");
}

#[test]
fn p3_a_plain_service_is_fenced() {
    let bench = bench!();
    let daemon = plain(&bench);
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    let answer = daemon.ask("POST", "/echo").unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("identity_lost")));
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "the fence told the keeper");
}

#[test]
fn a_panic_in_a_plain_service_is_a_500() {
    let bench = bench!();
    let daemon = plain(&bench);
    for path in ["/panic-at-once", "/panic"] {
        let answer = daemon.ask("GET", path).unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (500, Some("internal")), "{path}");
        assert_eq!(daemon.view()["in_flight"], 0, "{path}");
    }
}

#[test]
fn what_a_plain_service_answers_is_in_flight_until_its_client_has_gone() {
    let bench = bench!();
    let daemon = plain(&bench);
    let lasting = send(daemon.address, &daemon.request("GET", "/lasting")).unwrap();
    until("it is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    drop(lasting);
    until("it is not any more", PROMPT, || (daemon.view()["in_flight"] == 0).then_some(()));
}
