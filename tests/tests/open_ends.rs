//! P2, P14 and failure 17: whatever is still open, the process is gone at drain + 1 s. Each thing that a client may leave open,
//! alone and all at once, at a signal and at a displacement.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aileron_tests::http::send;
use aileron_tests::{Bench, Daemon, End, PROMPT, Signal, Snapshot, bench, says_nothing, until};

/// What a client leaves open, and whether it is in flight.
type OpenEnd = (&'static str, bool, fn(&Daemon) -> TcpStream);

const OPEN_ENDS: [OpenEnd; 9] = [
    ("a connection that never spoke", false, |daemon| TcpStream::connect(daemon.address).unwrap()),
    ("half a request line", false, |daemon| send(daemon.address, b"GET /heal").unwrap()),
    ("half a header", false, |daemon| {
        send(daemon.address, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthor").unwrap()
    }),
    ("an idle keep-alive", false, |daemon| {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
        answered(send(daemon.address, request.as_bytes()).unwrap())
    }),
    ("an event stream", false, |daemon| {
        answered(send(daemon.address, &daemon.request("GET", "/v1/daemon/events")).unwrap())
    }),
    ("a request that lasts", true, |daemon| in_flight(daemon, &daemon.request("GET", "/hang/600000"))),
    ("a reader that stopped reading", true, |daemon| in_flight(daemon, &daemon.request("GET", "/stream"))),
    ("a body that is kept back", true, |daemon| {
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: {}\r\n{}\r\nContent-Length: 1000\r\n\r\nthe first of many",
            daemon.address,
            daemon.authorization()
        );
        in_flight(daemon, head.as_bytes())
    }),
    ("a thread of the runtime's that blocks", true, |daemon| {
        in_flight(daemon, &daemon.request("GET", "/spawn-blocking/600000"))
    }),
];

/// Reads a part of the answer, so that it has begun.
fn answered(mut stream: TcpStream) -> TcpStream {
    assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    stream
}

/// Sends a request, and waits until one more is in flight.
fn in_flight(daemon: &Daemon, request: &[u8]) -> TcpStream {
    let count = || daemon.view()["in_flight"].as_u64().unwrap();
    let before = count();
    let stream = send(daemon.address, request).unwrap();
    until("the request is in flight", PROMPT, || (count() > before).then_some(()));
    stream
}

/// Blocks the runtime's one thread; nothing is answered from here on.
fn block(daemon: &Daemon) -> TcpStream {
    let stream = send(daemon.address, &daemon.request("GET", "/block/600000")).unwrap();
    until("the runtime is blocked", PROMPT, || {
        let health = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
        let mut stream = send(daemon.address, health.as_bytes()).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        stream.read(&mut [0; 16]).is_err().then_some(())
    });
    stream
}

/// What brings the daemon to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Signal,
    Loss,
}

/// Ends the daemon, and looks at what it leaves.
fn assert_ends(bench: &Bench, daemon: &Daemon, cause: Cause, what: &str) {
    match cause {
        Cause::Signal => {
            daemon.process.signal(Signal::TERM);
            assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "{what}");
            assert!(!bench.file("daemon.json").exists(), "{what}: withdrawn");
            let exit = fs::read_to_string(bench.file("daemon.exit.json")).unwrap();
            assert!(exit.contains("\"sigterm\""), "{what}: {exit}");
        }
        Cause::Loss => {
            fs::write(bench.file("fresh"), "").unwrap();
            fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap();
            let before = Snapshot::of(&bench.state());
            assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "{what}");
            assert_eq!(Snapshot::of(&bench.state()), before, "{what}: left alone");
            assert!(says_nothing(&bench.file("daemon.exit.json")), "{what}: nothing was left by it");
            assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced", "{what}");
        }
    }
    assert_eq!(daemon.log.events("ended").len(), 1, "{what}: it ends once");
}

/// With a drain of a minute: what is not in flight is waited for neither by the drain nor by the watchdog, and what is, at a
/// displacement, for 2 s at most.
#[test]
fn p14_each_open_end_alone() {
    for (what, is_in_flight, open) in OPEN_ENDS {
        for cause in [Cause::Signal, Cause::Loss] {
            let drain = if is_in_flight && cause == Cause::Signal { "300" } else { "60000" };
            let bench = bench!();
            let daemon = bench.service(&["--drain", drain]);
            let open = open(&daemon);
            assert_ends(&bench, &daemon, cause, &format!("{what}, {cause:?}"));
            let watchdog = daemon.log.events("watchdog").len();
            assert!(is_in_flight || watchdog == 0, "{what}, {cause:?}: it took the watchdog");
            drop(open);
        }
    }
}

#[test]
fn p14_all_open_ends_at_once() {
    for blocked in [false, true] {
        for cause in [Cause::Signal, Cause::Loss] {
            let bench = bench!();
            let daemon = bench.service(&["--drain", "500"]);
            let mut open: Vec<_> = OPEN_ENDS.iter().map(|(_, _, open)| open(&daemon)).collect();
            open.extend(blocked.then(|| block(&daemon)));
            assert_ends(&bench, &daemon, cause, &format!("all at once, blocked: {blocked}, {cause:?}"));
            drop(open);
        }
    }
}

/// A runtime waits at its end for the threads it keeps for blocking work: here for ten minutes. The watchdog does not.
#[test]
fn p14_work_on_a_blocking_thread_keeps_nobody() {
    for cause in [Cause::Signal, Cause::Loss] {
        let bench = bench!();
        let daemon = bench.service(&["--drain", "100"]);
        let blocking = in_flight(&daemon, &daemon.request("GET", "/spawn-blocking/600000"));
        // The client has gone, and its request with it; the thread has not.
        drop(blocking);
        until("nothing is in flight", PROMPT, || (daemon.view()["in_flight"] == 0).then_some(()));
        assert_ends(&bench, &daemon, cause, &format!("{cause:?}"));
        assert_eq!(daemon.log.wait_for("watchdog", PROMPT)["in_flight"], 0, "{cause:?}");
    }
}

/// Whoever sends no whole request for 30 s is let go, however little of one was sent and however the time was passed. What is
/// in flight meanwhile is not.
#[test]
fn p14_who_never_asks_is_let_go_and_who_is_answered_is_not() {
    /// What is said in the code, and how much later it may be.
    const PATIENCE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(1));
    let bench = bench!();
    let daemon = bench.service(&[]);
    let begun = Instant::now();
    let silent: Vec<_> = OPEN_ENDS[..4].iter().map(|(what, _, open)| (what, open(&daemon))).collect();
    let lasts = in_flight(&daemon, &daemon.request("GET", "/hang/600000"));
    for (what, mut stream) in silent {
        let left = (PATIENCE.0 + PATIENCE.1).saturating_sub(begun.elapsed());
        stream.set_read_timeout(Some(left)).unwrap();
        let end = stream.read_to_end(&mut Vec::new());
        assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset), "{what}");
        assert!(begun.elapsed() + Duration::from_secs(1) >= PATIENCE.0, "{what}: {:?}", begun.elapsed());
    }
    assert_eq!(daemon.view()["in_flight"], 1);
    drop(lasts);
    bench.aileron(&["stop"]).succeed();
}

/// The time for the next request runs from the end of a response, and that is where its reader has it all.
#[test]
fn p14_a_slow_reader_is_no_late_client() {
    /// Longer than the next request may take to come.
    const SLOW: Duration = Duration::from_secs(33);
    let bench = bench!();
    let running = bench.embedder(env!("CARGO_BIN_EXE_helper-plain").as_ref(), &[]).start();
    let daemon = bench.ready(&running);
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(PROMPT)).unwrap();
    let lasting = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n\r\n", daemon.address, daemon.authorization())
    };
    stream.write_all(lasting("/large").as_bytes()).unwrap();
    let mut begin = [0; 1024];
    stream.read_exact(&mut begin).unwrap();
    let head = begin.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    std::thread::sleep(SLOW);
    let left = (64 << 20) - (begin.len() - head) as u64;
    assert_eq!(std::io::copy(&mut (&stream).take(left), &mut std::io::sink()).unwrap(), left);
    stream.write_all(lasting("/nowhere").as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
}
