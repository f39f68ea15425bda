//! The table of ends: reason, drain, exit status; and failures 17, 24 and 31: an end that never comes, comes too early, or
//! does not come where it should.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aileron_tests::http::{read_answer, send};
use aileron_tests::{Bench, Daemon, End, PROMPT, Signal, bench, until};

/// A drain that, if anything waits for it to pass, fails the test.
const LONG_DRAIN: [&str; 2] = ["--drain", "60000"];

fn hang(daemon: &Daemon, ms: u32) -> TcpStream {
    let stream = send(daemon.address, &daemon.request("GET", &format!("/hang/{ms}"))).unwrap();
    until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    stream
}

fn exit_reason(bench: &Bench) -> String {
    let text = fs::read_to_string(bench.file("daemon.exit.json")).unwrap();
    let exit: serde_json::Value = serde_json::from_str(&text).unwrap();
    exit["reason"].as_str().unwrap().to_owned()
}

/// How a daemon comes to its end.
type Ending = fn(&Daemon);

#[test]
fn each_reason_has_its_exit_status_and_record() {
    let ends: [(&str, i32, Ending); 5] = [
        ("sigterm", 0, |daemon| daemon.process.signal(Signal::TERM)),
        ("sigint", 0, |daemon| daemon.process.signal(Signal::INT)),
        ("sighup", 0, |daemon| daemon.process.signal(Signal::HUP)),
        ("stop_request", 0, |daemon| assert_eq!(daemon.ask("POST", "/v1/daemon/stop").unwrap().status, 202)),
        // Failure 31, sutando#2252: green health, dead task.
        ("vital_task", 1, |daemon| drop(daemon.ask("POST", "/vital-after/0"))),
    ];
    let bench = bench!();
    for (reason, status, end) in ends {
        let daemon = bench.service(&LONG_DRAIN);
        end(&daemon);
        assert_eq!(daemon.process.wait(PROMPT), End::Status(status), "{reason}");
        assert_eq!(exit_reason(&bench), reason);
        assert!(!bench.file("daemon.json").exists(), "{reason}: withdrawn");
        let last = bench.aileron(&["--json", "daemon", "status"]).fail(3).json();
        assert_eq!(last["last_exit"]["reason"], reason);
        fs::remove_file(bench.file("daemon.log")).unwrap();
    }
}

#[test]
fn a_second_daemon_in_the_foreground_says_that_there_is_one() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let outcome = bench.aileron(&["daemon", "run"]).fail(7);
    assert!(outcome.stderr.contains(&daemon.url()), "{outcome:?}");
    bench.only(&daemon);
}

/// hyper#2787, axum#2611, mold#1582: one idle keep-alive connection, half a request line, a connection that never spoke, an
/// open event stream, and the daemon was still there the next morning.
#[test]
fn p14_what_is_not_in_flight_delays_no_end() {
    let bench = bench!();
    let daemon = bench.service(&LONG_DRAIN);
    let _silent = TcpStream::connect(daemon.address).unwrap();
    let _half = send(daemon.address, b"GET /heal").unwrap();
    let _half_a_head = send(daemon.address, b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
    let alive = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
    let mut idle = send(daemon.address, alive.as_bytes()).unwrap();
    assert!(idle.read(&mut [0; 512]).unwrap() > 0);
    let mut events = send(daemon.address, &daemon.request("GET", "/v1/daemon/events")).unwrap();
    assert!(events.read(&mut [0; 512]).unwrap() > 0);
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}

/// A listener learns why it is left: a last event, and the end of the stream.
#[test]
fn an_event_stream_gets_a_last_event() {
    let bench = bench!();
    let daemon = bench.service(&LONG_DRAIN);
    let mut events = send(daemon.address, &daemon.request("GET", "/v1/daemon/events")).unwrap();
    until("the stream is open", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    daemon.process.signal(Signal::TERM);
    let body = read_answer(&mut events).unwrap().body;
    assert!(body.contains("event: state\n") && body.contains("event: draining\n"), "{body}");
    assert!(body.contains("\"reason\":\"sigterm\""), "{body}");
    daemon.process.wait(PROMPT);
}

#[test]
fn what_is_in_flight_is_answered_and_nothing_new_is_accepted() {
    let bench = bench!();
    let daemon = bench.service(&LONG_DRAIN);
    let mut stream = hang(&daemon, 1500);
    daemon.process.signal(Signal::TERM);
    daemon.log.wait_for("draining", PROMPT);
    until("the port is closed", PROMPT, || TcpStream::connect(daemon.address).is_err().then_some(()));
    assert_eq!(read_answer(&mut stream).unwrap().body, "done");
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}

/// A stuck reader of an endless body, and a request that outlasts the drain: cut off at drain + 1 s.
#[test]
fn p14_the_watchdog_ends_what_the_drain_does_not() {
    for path in ["/stream", "/hang/600000"] {
        let bench = bench!();
        let daemon = bench.service(&["--drain", "500"]);
        let _stuck = send(daemon.address, &daemon.request("GET", path)).unwrap();
        until("it is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
        daemon.process.signal(Signal::TERM);
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "{path}");
        assert_eq!(exit_reason(&bench), "sigterm");
    }
}

/// A handler that blocks the runtime's thread: a signal that the runtime itself had to handle waited 3.5 s behind one.
#[test]
fn p14_a_blocked_runtime_delays_neither_signal_nor_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let bench = bench!();
        let daemon = bench.service(&["--drain", "500"]);
        let _blocking = send(daemon.address, &daemon.request("GET", "/block/600000")).unwrap();
        blocked(&daemon);
        daemon.process.signal(signal);
        daemon.log.wait_for("draining", PROMPT);
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
        assert_eq!(daemon.log.wait_for("watchdog", PROMPT)["in_flight"], 1);
        assert!(!bench.file("daemon.json").exists(), "and it left tidily");
    }
}

/// Displacement is noticed by the keeper too, whatever the runtime does.
#[test]
fn p2_a_blocked_runtime_is_displaced_all_the_same() {
    let bench = bench!();
    let daemon = bench.service(&LONG_DRAIN);
    let _blocking = send(daemon.address, &daemon.request("GET", "/block/600000")).unwrap();
    blocked(&daemon);
    fs::remove_dir_all(bench.state()).unwrap();
    // The displaced drain is 2 s at most, whatever the drain time-out; the watchdog comes 1 s later.
    assert_eq!(daemon.process.wait(3 * PROMPT), End::Status(0));
    assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
}

fn blocked(daemon: &Daemon) {
    until("the runtime is blocked", PROMPT, || {
        let health = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
        let mut stream = send(daemon.address, health.as_bytes()).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        stream.read(&mut [0; 16]).is_err().then_some(())
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    let bench = bench!();
    let daemon = bench.service(&LONG_DRAIN);
    let _hanging = hang(&daemon, 600_000);
    daemon.process.signal(Signal::TERM);
    daemon.log.wait_for("draining", PROMPT);
    daemon.process.signal(Signal::INT);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(exit_reason(&bench), "sigterm", "the first cause names the reason");
    assert!(!bench.file("daemon.json").exists(), "withdrawn even so");
}

/// `nohup aileron daemon run &`, and the terminal is closed.
#[test]
fn an_ignored_hang_up_stays_ignored() {
    let bench = bench!();
    let running = bench.call("/usr/bin/nohup").arg(bench.programs().aileron).args(["daemon", "run"]).start();
    let daemon = bench.ready(&running);
    daemon.process.signal(Signal::HUP);
    assert_eq!(daemon.ask("GET", "/v1/daemon").unwrap().status, 200);
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(exit_reason(&bench), "sigterm", "and not sighup");
}

/// A mask of blocked signals is inherited, and a daemon in the foreground that was started under one heard neither `SIGTERM` nor
/// `SIGINT`.
#[test]
fn p14_signals_that_were_blocked_by_whoever_started_it_are_heard() {
    for signal in [Signal::TERM, Signal::INT] {
        let bench = bench!();
        let blocked = format!("--block-signal={}", if signal == Signal::TERM { "TERM" } else { "INT" });
        let running = bench
            .call("/usr/bin/env")
            .arg(blocked)
            .arg(bench.programs().aileron)
            .args(["daemon", "run"])
            .start();
        let daemon = bench.ready(&running);
        daemon.process.signal(signal);
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    }
}

/// A panic is one request's end and nobody else's.
#[test]
fn a_panicking_handler_is_a_500() {
    let bench = bench!();
    let daemon = bench.service(&[]);
    for _ in 0..3 {
        let answer = daemon.ask("GET", "/panic").unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (500, Some("internal")), "{answer:?}");
    }
    assert_eq!(daemon.ask("POST", "/echo").unwrap().status, 200);
    assert_eq!(daemon.view()["in_flight"], 0);
    assert_eq!(daemon.log.events("panic").len(), 3, "and the log says where");
}

/// Health polls and somebody's `watch status` kept daemons alive for ever: they are no use.
#[test]
fn idle_is_without_health_and_status_polls() {
    let bench = bench!();
    let daemon = bench.service(&["--idle", "1000"]);
    let _keep_alive = TcpStream::connect(daemon.address).unwrap();
    until("it has ended, while it was polled", PROMPT, || {
        let polls = [daemon.ask("GET", "/healthz"), daemon.ask("GET", "/v1/daemon")];
        polls.iter().all(Result::is_err).then_some(())
    });
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_eq!(exit_reason(&bench), "idle");
    bench.aileron(&["url"]).succeed();
}

/// Failure 24, the other side: who uses it keeps it, by handshakes, by a request that lasts, by an open stream.
#[test]
fn idle_is_not_while_somebody_uses_it() {
    let three_timeouts = Duration::from_millis(2400);
    let bench = bench!();
    let daemon = bench.service(&["--idle", "800"]);
    let began = Instant::now();
    while began.elapsed() < three_timeouts {
        assert_eq!(daemon.handshake().unwrap().status, 200);
    }
    let mut lasting = hang(&daemon, 2400);
    assert_eq!(read_answer(&mut lasting).unwrap().body, "done");
    let events = send(daemon.address, &daemon.request("GET", "/v1/daemon/events")).unwrap();
    until("the stream is open", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    let listening = Instant::now();
    while listening.elapsed() < three_timeouts {
        assert_eq!(daemon.view()["in_flight"], 1);
    }
    drop(events);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0), "and then it goes");
}

/// spectre#241: clients at the very edge of the time-out. Each takes about as long as the daemon waits, and none fails.
#[test]
fn idle_end_meets_an_arriving_client() {
    let bench = bench!();
    let url = || bench.aileron(&["url"]).env("AILERON_IDLE_TIMEOUT", "20ms");
    let began = Instant::now();
    let mut pause = Duration::from_millis(10);
    let mut starts = 0;
    let mut last = String::new();
    while began.elapsed() < Duration::from_secs(4) {
        let now = url().succeed().stdout;
        starts += usize::from(now != last);
        last = now;
        // Sweeps over the edge: not to let something happen, but to come at each moment once.
        pause = if pause > Duration::from_millis(30) {
            Duration::from_millis(10)
        } else {
            pause + Duration::from_micros(300)
        };
        std::thread::sleep(pause);
    }
    assert!(starts > 3, "the edge was met: {starts} daemons");
}

/// A paused terminal, or a collector that is stuck at the other end of a pipe: the daemon in the foreground logs to somebody who
/// does not read. The keeper was held up in that write, and neither heard `SIGTERM` nor noticed its displacement.
#[test]
fn p14_a_terminal_that_nobody_reads_holds_nothing_up() {
    for displaced in [false, true] {
        let bench = bench!();
        let (reader, writer) = std::io::pipe().unwrap();
        fill(&writer);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_helper-daemon"));
        command.args(["daemon", "run", "--state-dir"]).arg(bench.state()).stderr(writer);
        let mut daemon = command.spawn().unwrap();
        let ready = || bench.file("daemon.pid").exists().then_some(());
        until("it has published", PROMPT, ready);
        if displaced {
            fs::remove_dir_all(bench.state()).unwrap();
        } else {
            let pid = rustix::process::Pid::from_child(&daemon);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        let began = Instant::now();
        let ended = loop {
            match daemon.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if began.elapsed() > PROMPT => break None,
                None => std::thread::yield_now(),
            }
        };
        if ended.is_none() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
        drop(reader);
        assert_eq!(ended, Some(0), "displaced: {displaced}");
    }
}

/// Writes until the pipe takes no more.
fn fill(mut pipe: &std::io::PipeWriter) {
    rustix::io::ioctl_fionbio(pipe, true).unwrap();
    while std::io::Write::write(&mut pipe, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(pipe, false).unwrap();
}
