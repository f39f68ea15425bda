//! Publication against withdrawal: a successor publishes between a leaving owner's question "am I still the owner?" and its
//! `unlink`. Without a critical section the survivor's record is lost each time; with it, never.
//!
//! The leaving one is stopped at its very `unlink` of `daemon.json` (`helper-pause`), so that nothing here is luck;
//! `AILERON_TEST_ROUNDS` plays more rounds than five.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use aileron_tests::http::send;
use aileron_tests::{Bench, End, PROMPT, Process, Signal, Snapshot, bench, rounds, says_nothing, until};

/// How long the successor is seen to wait at the door: a good part of the 500 ms that it is prepared to.
const AT_THE_DOOR: Duration = Duration::from_millis(100);

/// A program that is stopped when it is about to unlink `daemon.json`.
struct Pausable {
    process: Arc<Process>,
    go: ChildStdin,
    says: Receiver<String>,
}

impl Pausable {
    #[expect(clippy::zombie_processes, reason = "waited for by its handle")]
    fn start(bench: &Bench, program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_helper-pause"))
            .env_clear()
            .env("HOME", bench.home())
            .args(["daemon.json", program])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Arc::new(Process::open(child.id()).unwrap());
        bench.keep(&process);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, says) = channel();
        // Ends with the supervisor.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, go: child.stdin.take().unwrap(), says }
    }

    /// Waits until it is stopped.
    fn paused(&self) {
        assert_eq!(self.says.recv_timeout(PROMPT).unwrap(), "paused daemon.json");
    }

    /// Lets it do what it was about to, and waits for its end.
    fn go_on(mut self) {
        // One that was never stopped may have ended by now; how it ended is asked next.
        let _gone_already = writeln!(self.go, "go");
        assert_eq!(self.process.wait(PROMPT), End::Status(0));
    }
}

/// A naive daemon that has published; its port.
fn naive(bench: &Bench) -> (Pausable, SocketAddr) {
    bench.make_state();
    let leaving =
        Pausable::start(bench, env!("CARGO_BIN_EXE_helper-naive"), &[bench.state().to_str().unwrap()]);
    until("it has published", PROMPT, || bench.file("daemon.json").exists().then_some(()));
    let url = bench.record()["url"].as_str().unwrap().to_owned();
    (leaving, url.strip_prefix("http://").unwrap().parse().unwrap())
}

/// The lock is replaced; the directory is the same, so the leaving one's handle, and its names, are good.
fn replace_lock(bench: &Bench) {
    fs::write(bench.file("fresh"), "").unwrap();
    fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap();
}

/// Checked, then unlinked by name: what was unlinked is the successor's.
#[test]
fn without_the_critical_section_the_survivors_record_is_lost() {
    for round in 0..rounds(5) {
        let bench = bench!();
        let (leaving, port) = naive(&bench);
        drop(TcpStream::connect(port).unwrap());
        leaving.paused();
        replace_lock(&bench);
        bench.start(&[]);
        let before = Snapshot::of(&bench.state());
        leaving.go_on();
        // Gone, or another file by now: the survivor's keeper may have been quick.
        assert_ne!(Snapshot::of(&bench.state()), before, "round {round}: nothing was lost");
    }
}

/// The naive one is not naive for want of asking: where the successor came first, it leaves everything alone.
#[test]
fn without_the_critical_section_an_earlier_publication_is_safe() {
    let bench = bench!();
    let (leaving, port) = naive(&bench);
    replace_lock(&bench);
    fs::remove_file(bench.file("daemon.json")).unwrap();
    bench.start(&[]);
    let before = Snapshot::of(&bench.state());
    drop(TcpStream::connect(port).unwrap());
    leaving.go_on();
    assert_eq!(Snapshot::of(&bench.state()), before);
}

/// Stopped at its `unlink` the leaving owner is in the critical section. The successor that a client starts has its lock,
/// and waits at the door; what the leaving one then removes is its own.
#[test]
fn p4_with_the_critical_section_the_survivors_record_is_never_lost() {
    for round in 0..rounds(5) {
        let bench = bench!();
        let leaving = Pausable::start(&bench, env!("CARGO_BIN_EXE_helper-daemon"), &["daemon", "run"]);
        until("it has published", PROMPT, || bench.file("daemon.pid").exists().then_some(()));
        let own = Snapshot::of(&bench.state());
        leaving.process.signal(Signal::TERM);
        leaving.paused();
        replace_lock(&bench);
        // A record that names the leaving one is no way to it: its port is closed.
        let client = bench.aileron(&["url"]).start();
        until("the successor has the lock", PROMPT, || is_locked(&bench).then_some(()));
        waits_at_the_door(&bench, &own, round);
        leaving.go_on();

        let outcome = client.finish(2 * PROMPT);
        assert_eq!(outcome.end, End::Status(0), "round {round}: {outcome:#?}");
        let new = bench.daemon();
        let before = Snapshot::of(&bench.state());
        assert_eq!(outcome.stdout.trim(), new.url(), "round {round}");
        assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), new.url(), "round {round}");
        assert!(new.log.events("restored").is_empty(), "round {round}: nothing was lost");
        bench.only(&new);
        assert_eq!(Snapshot::of(&bench.state()), before, "round {round}");
    }
}

fn is_locked(bench: &Bench) -> bool {
    File::open(bench.file("daemon.lock")).is_ok_and(|lock| lock.try_lock_shared().is_err())
}

/// Nothing is published while the leaving owner is in there, and the lock was replaced under it.
fn waits_at_the_door(bench: &Bench, own: &Snapshot, round: u32) {
    let text = |name| fs::read_to_string(bench.file(name)).unwrap();
    let (record, pid) = (text("daemon.json"), text("daemon.pid"));
    let began = Instant::now();
    while began.elapsed() < AT_THE_DOOR {
        assert_eq!((text("daemon.json"), text("daemon.pid")), (record.clone(), pid.clone()), "round {round}");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_ne!(&Snapshot::of(&bench.state()), own, "round {round}: the lock is another");
}

/// The successor publishes after the leaving one has decided to leave, and before it asks whether it may write.
#[test]
fn p4_a_publication_before_the_question_is_safe() {
    for round in 0..rounds(5) {
        let bench = bench!();
        let old = bench.service(&["--no-lock-events", "--poll", "3600000", "--drain", "60000"]);
        let mut held = send(old.address, &old.request("GET", "/hang/700")).unwrap();
        until("the request is in flight", PROMPT, || (old.view()["in_flight"] == 1).then_some(()));
        old.process.signal(Signal::TERM);
        old.log.wait_for("draining", PROMPT);
        replace_lock(&bench);
        let new = bench.run(&[]);
        let before = Snapshot::of(&bench.state());
        assert!(old.process.is_alive(), "round {round}: the successor was too slow for this test");
        assert_eq!(aileron_tests::http::read_answer(&mut held).unwrap().body, "done", "round {round}");
        assert_eq!(old.process.wait(PROMPT), End::Status(0), "round {round}");
        assert_eq!(old.log.wait_for("ended", PROMPT)["reason"], "sigterm", "round {round}");
        assert_eq!(Snapshot::of(&bench.state()), before, "round {round}");
        assert!(says_nothing(&bench.file("daemon.exit.json")), "round {round}");
        bench.only(&new);
    }
}
