//! §6 with several causes at once: the daemon is stopped, all of them happen, and it goes on. It ends once, for one of them,
//! and where the lock was lost no file is touched, whichever it took up first.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aileron_tests::http::send;
use aileron_tests::{Bench, Daemon, End, PROMPT, Signal, Snapshot, bench, rounds, says_nothing, until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Term,
    Int,
    Stop,
    VitalTask,
    Loss,
}

const CAUSES: [Cause; 5] = [Cause::Term, Cause::Int, Cause::Stop, Cause::VitalTask, Cause::Loss];

impl Cause {
    fn reason(self) -> &'static str {
        match self {
            Self::Term => "sigterm",
            Self::Int => "sigint",
            Self::Stop => "stop_request",
            Self::VitalTask => "vital_task",
            Self::Loss => "displaced",
        }
    }

    fn status(self) -> i32 {
        i32::from(self == Self::VitalTask)
    }

    /// Happens to a daemon that is stopped; a connection is kept open for whoever wants to answer.
    fn happen(self, bench: &Bench, daemon: &Daemon) -> Option<TcpStream> {
        let ask = |path| Some(send(daemon.address, &daemon.request("POST", path)).unwrap());
        match self {
            Self::Term => daemon.process.signal(Signal::TERM),
            Self::Int => daemon.process.signal(Signal::INT),
            Self::Stop => return ask("/v1/daemon/stop"),
            Self::VitalTask => return ask("/vital-after/0"),
            Self::Loss => fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap(),
        }
        None
    }
}

/// Every order of every choice of `length` causes.
fn orders(length: usize) -> Vec<Vec<Cause>> {
    let Some(shorter) = length.checked_sub(1) else { return vec![Vec::new()] };
    let longer = |order: Vec<Cause>| {
        let others = CAUSES.into_iter().filter({
            let order = order.clone();
            move |cause| !order.contains(cause)
        });
        others.map(move |cause| [order.clone(), vec![cause]].concat()).collect::<Vec<_>>()
    };
    orders(shorter).into_iter().flat_map(longer).collect()
}

fn play(order: &[Cause], options: &[&str], is_in_flight: bool) {
    let what = format!("{order:?}, {options:?}, in flight: {is_in_flight}");
    let bench = bench!();
    let daemon = bench.service(&[options, &["--drain", "300"]].concat());
    fs::write(bench.file("fresh"), "").unwrap();
    let hanging = is_in_flight.then(|| hang(&daemon));
    daemon.process.freeze();
    let asked: Vec<_> = order.iter().map(|cause| cause.happen(&bench, &daemon)).collect();
    let before = Snapshot::of(&bench.state());
    daemon.process.thaw();
    let end = daemon.process.wait(PROMPT);

    let ended = daemon.log.events("ended");
    assert_eq!(ended.len(), 1, "{what}: {ended:?}");
    assert!(daemon.log.events("draining").len() <= 1, "{what}");
    let reason = ended[0]["reason"].as_str().unwrap();
    let cause = order.iter().find(|cause| cause.reason() == reason);
    let cause = cause.unwrap_or_else(|| panic!("{what}: it ended for {reason}"));
    assert_eq!(end, End::Status(cause.status()), "{what}: {reason}");
    if order.contains(&Cause::Loss) {
        assert_eq!(Snapshot::of(&bench.state()), before, "{what}: {reason}");
        assert!(says_nothing(&bench.file("daemon.exit.json")), "{what}: {reason}");
    } else {
        assert!(!bench.file("daemon.json").exists(), "{what}: {reason}: withdrawn");
        let exit = fs::read_to_string(bench.file("daemon.exit.json")).unwrap();
        assert!(exit.contains(&format!("\"{reason}\"")), "{what}: {exit}");
    }
    drop((asked, hanging));
}

fn hang(daemon: &Daemon) -> TcpStream {
    let stream = send(daemon.address, &daemon.request("GET", "/hang/600000")).unwrap();
    until("the request is in flight", PROMPT, || (daemon.view()["in_flight"] == 1).then_some(()));
    stream
}

fn play_all(options: &[&str]) {
    for round in 0..rounds(1) {
        for (index, order) in [orders(2), orders(3)].concat().into_iter().enumerate() {
            let is_in_flight = (index + round as usize).is_multiple_of(4);
            play(&order, options, is_in_flight);
        }
    }
}

#[test]
fn simultaneous_causes_make_one_end_with_events() {
    play_all(&[]);
}

/// The loss is seen only by those who ask: each cause has the keeper look first.
#[test]
fn simultaneous_causes_make_one_end_without_events() {
    play_all(&["--no-lock-events", "--poll", "3600000"]);
}

/// A displaced daemon drains for 2 s, and its user does not want to wait. The machine may be slow, so of five times once is
/// enough; a daemon that does not hear the second signal is never that fast.
#[test]
fn a_second_signal_ends_a_displaced_drain_at_once() {
    let at_once = (0..5).any(|_| {
        let bench = bench!();
        let daemon = bench.service(&["--drain", "60000"]);
        fs::write(bench.file("fresh"), "").unwrap();
        let hanging = hang(&daemon);
        fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap();
        let before = Snapshot::of(&bench.state());
        assert_eq!(daemon.log.wait_for("draining", PROMPT)["reason"], "displaced");
        let began = Instant::now();
        daemon.process.signal(Signal::TERM);
        daemon.process.signal(Signal::INT);
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
        let took = began.elapsed();
        assert_eq!(daemon.log.wait_for("ended", PROMPT)["reason"], "displaced");
        assert_eq!(Snapshot::of(&bench.state()), before);
        drop(hanging);
        took < Duration::from_millis(1500)
    });
    assert!(at_once, "the drain went on");
}
