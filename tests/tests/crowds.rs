//! P14 and failure 30: whoever can connect can keep a connection, and a thousand of them must neither lock the clients out, nor
//! have a healthy daemon called unresponsive, nor keep it busy with accepting.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use aileron_tests::herd::take_all_descriptors;
use aileron_tests::http::{read_answer, send};
use aileron_tests::{Bench, Daemon, PROMPT, bench, until};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// What somebody who wants nothing may have sent: no word, half a head, or a request without token.
const NOTHINGS: [&str; 3] =
    ["", "POST /v1/handshake HTTP/1.1\r\nHost: ", "GET /healthz HTTP/1.1\r\nHost: ADDRESS\r\n\r\n"];

/// Half a body, which is waited for for 5 s only: were there many of these, their places would be free by then in any case.
const HALF_A_BODY: &str =
    "POST /v1/handshake HTTP/1.1\r\nHost: ADDRESS\r\nContent-Length: 100\r\n\r\n{\"nonce\":\"";

/// Connections that are kept, and do nothing; the test process has descriptors for them.
fn crowd(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    take_all_descriptors();
    let member = |number: usize| {
        let said = if number.is_multiple_of(50) { HALF_A_BODY } else { NOTHINGS[number % NOTHINGS.len()] };
        let said = said.replace("ADDRESS", &address.to_string());
        let mut stream = TcpStream::connect_timeout(&address, PROMPT).unwrap();
        // One that has been told to go meanwhile is none the less in the crowd.
        let _gone_already = stream.write_all(said.as_bytes());
        stream
    };
    (0..count).map(member).collect()
}

/// Clock ticks of processor time that a daemon has used.
fn ticks(daemon: &Daemon) -> u64 {
    [14, 15].map(|field| daemon.process.stat(field).unwrap().parse::<u64>().unwrap()).iter().sum()
}

/// Every command works, and none takes the daemon for another's or for nobody.
fn assert_found(bench: &Bench, daemon: &Daemon) {
    let outcome = bench.aileron(&["--json", "url"]).succeed();
    assert_eq!(outcome.json()["url"], daemon.url());
    assert!(outcome.took < PROMPT, "{outcome:?}");
    let status = bench.aileron(&["--json", "daemon", "status"]).succeed();
    assert_eq!(status.json()["state"], "running", "{status:?}");
    assert!(status.json()["uptime_ms"].is_number(), "it gave an answer with the token, too: {status:?}");
}

/// A port scanner, a pool that leaks, or somebody who means ill: 1,500 connections that send nothing, half a head, half a body,
/// or one request without token. Before, they kept every client out for 30 s, and `url` advised to kill the daemon.
#[test]
fn p14_a_crowd_that_wants_nothing_keeps_nobody_out() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    // These were here first, and have the token.
    let mut in_flight = send(daemon.address, &daemon.request("GET", "/hang/3000")).unwrap();
    let mut events = send(daemon.address, &daemon.request("GET", "/v1/daemon/events")).unwrap();
    let mut first = [0; 64];
    assert!(events.read(&mut first).unwrap() > 0);
    until("both are in flight", PROMPT, || (daemon.view()["in_flight"] == 2).then_some(()));
    let mut held = crowd(daemon.address, 1500);
    assert_found(&bench, &daemon);
    held.extend(crowd(daemon.address, 300));
    assert_found(&bench, &daemon);
    let open = daemon.process.descriptors().iter().filter(|(_, to)| to.starts_with("socket:")).count();
    assert!(open < 1100, "there is a bound: {open}");
    assert_eq!(read_answer(&mut in_flight).unwrap().body, "done", "what was in flight is answered");
    bench.aileron(&["stop"]).succeed();
    let mut rest = String::new();
    events.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("draining"), "the stream lived until the drain: {rest:?}");
    assert!(!daemon.process.is_alive());
    drop(held);
}

/// Connections that did show the token and are idle are the next to go, as a pool's spare ones are.
#[test]
fn p14_idle_connections_of_our_own_keep_nobody_out_either() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    let text = format!(
        "POST /echo HTTP/1.1\r\nHost: {}\r\n{}\r\nContent-Length: 2\r\n\r\nhi",
        daemon.address,
        daemon.authorization()
    );
    let idle = |_| {
        let mut stream = send(daemon.address, text.as_bytes()).unwrap();
        let mut block = [0; 512];
        assert!(stream.read(&mut block).unwrap() > 0);
        stream
    };
    let _pool: Vec<TcpStream> = (0..1200).map(idle).collect();
    assert_found(&bench, &daemon);
    bench.aileron(&["stop"]).succeed();
}

/// spiped#463: an accept that fails for want of a descriptor is tried again at once, for ever. With 64 descriptors and 500
/// connections the daemon neither spins nor ends, and has descriptors for its own files.
#[test]
fn p14_few_descriptors_are_enough() {
    let bench = bench!();
    let script = "ulimit -n 64; exec \"$@\"";
    let call = bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.programs().aileron);
    let daemon = bench.ready(&call.args(["daemon", "run"]).start());
    let held = crowd(daemon.address, 500);
    assert_calm(&bench, &daemon);
    fs::remove_file(bench.file("daemon.json")).unwrap();
    until("the record is restored", PROMPT, || bench.file("daemon.json").exists().then_some(()));
    assert!(daemon.process.descriptors().len() < 60);
    drop(held);
    assert_calm(&bench, &daemon);
    bench.aileron(&["stop"]).succeed();
}

/// The same where there is really none left, because the embedder has them or the limit was lowered.
#[test]
fn p14_no_descriptor_left_is_no_reason_to_spin() {
    let bench = bench!();
    let daemon = bench.run(&[]);
    let pid = i32::try_from(daemon.process.pid()).ok().and_then(Pid::from_raw);
    let limit = getrlimit(Resource::Nofile);
    let few = daemon.process.descriptors().iter().map(|(number, _)| *number).max().unwrap() + 6;
    let lowered = Rlimit { current: u64::try_from(few).ok(), ..limit };
    prlimit(pid, Resource::Nofile, lowered).unwrap();
    let held = crowd(daemon.address, 200);
    assert_calm(&bench, &daemon);
    drop(held);
    assert_calm(&bench, &daemon);
    bench.aileron(&["stop"]).succeed();
}

/// For a second it is found again and again, and uses little of a processor: a loop that spins uses all that it gets.
fn assert_calm(bench: &Bench, daemon: &Daemon) {
    let (began, before) = (Instant::now(), ticks(daemon));
    until("a second has passed", PROMPT * 2, || {
        assert_found(bench, daemon);
        (began.elapsed() > Duration::from_secs(1)).then_some(())
    });
    let used =
        Duration::from_millis((ticks(daemon) - before) * 1000 / rustix::param::clock_ticks_per_second());
    assert!(used < began.elapsed() / 3, "{used:?} of {:?}", began.elapsed());
}
