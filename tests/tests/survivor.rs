//! P4 and failure 7, at any moment and in any way: A is displaced, B publishes, A ends. Whatever ends A, and whenever, B's
//! files keep inode and bytes. The reference erased them 10 times of 10; gpg-agent 17 times of 30 by itself.
//!
//! `AILERON_TEST_ROUNDS=500` is the run that counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use aileron_tests::http::send;
use aileron_tests::{Bench, Daemon, End, PROMPT, Round, Signal, Snapshot, bench, each_round, until};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// What ends A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Signal(Signal),
    TwoSignals,
    Kill,
    StopRequest,
    Idle,
    VitalTask,
    VitalPanic,
    LoggerPanic,
    Watcher,
    Poll,
}

const WAYS: [Way; 12] = [
    Way::Signal(Signal::TERM),
    Way::Signal(Signal::INT),
    Way::Signal(Signal::HUP),
    Way::TwoSignals,
    Way::Kill,
    Way::StopRequest,
    Way::Idle,
    Way::VitalTask,
    Way::VitalPanic,
    Way::LoggerPanic,
    Way::Watcher,
    Way::Poll,
];

/// Whether A learns of its loss by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Senses {
    Events,
    ShortPoll,
    None,
}

impl Senses {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Events => &[],
            Self::ShortPoll => &["--no-lock-events", "--poll", "40"],
            Self::None => &["--no-lock-events", "--poll", "30000"],
        }
    }
}

/// When A comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While B starts and publishes.
    Meanwhile,
    /// Once B has published.
    Later,
}

/// What takes the lock from A.
type Loss = fn(&Bench);

const LOSSES: [(&str, Loss); 4] = [
    ("directory removed", |bench| fs::remove_dir_all(bench.state()).unwrap()),
    // A's handle on the directory is good still, and B's files are in it: the sharper cases.
    ("lock replaced", |bench| fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap()),
    ("lock removed", |bench| fs::remove_file(bench.file("daemon.lock")).unwrap()),
    ("directory exchanged", |bench| {
        renameat_with(CWD, bench.state(), CWD, bench.beside("other"), RenameFlags::EXCHANGE).unwrap();
    }),
];

fn prepare(bench: &Bench) {
    fs::create_dir(bench.beside("other")).unwrap();
    aileron_tests::set_mode(&bench.beside("other"), 0o700);
    fs::write(bench.file("fresh"), "").unwrap();
}

/// Everything that is left to chance.
#[derive(Debug)]
struct Chance {
    way: Way,
    senses: Senses,
    moment: Moment,
    pause: Duration,
    between_signals: Duration,
    in_flight: bool,
}

impl Chance {
    fn of(round: &mut Round) -> Self {
        // Each way comes once in twelve rounds; the rest is luck.
        let way = WAYS[round.number() % WAYS.len()];
        let senses = match way {
            Way::Watcher => Senses::Events,
            Way::Poll => Senses::ShortPoll,
            _ => round.pick(&[Senses::Events, Senses::ShortPoll, Senses::None, Senses::None]),
        };
        Self {
            way,
            senses,
            moment: round.pick(&[Moment::Meanwhile, Moment::Later]),
            pause: round.within(Duration::from_millis(60)),
            between_signals: round.within(Duration::from_millis(5)),
            // What is in use is not idle.
            in_flight: way != Way::Idle && round.coin(),
        }
    }

    fn options(&self) -> Vec<&'static str> {
        let mut options = self.senses.options().to_vec();
        options.extend(["--drain", "200"]);
        match self.way {
            Way::Idle => options.extend(["--idle", "1000"]),
            Way::LoggerPanic => options.extend(["--panic-on", "suspect,displaced"]),
            _ => {}
        }
        options
    }

    /// Brings A to its end, if it is not there already.
    fn bring_about(&self, a: &Daemon) {
        std::thread::sleep(self.pause);
        match self.way {
            Way::Signal(signal) => a.process.signal(signal),
            Way::TwoSignals => {
                a.process.signal(Signal::TERM);
                std::thread::sleep(self.between_signals);
                a.process.signal(Signal::INT);
            }
            Way::Kill => a.process.kill(),
            Way::StopRequest => {
                if let Ok(answer) = a.ask("POST", "/v1/daemon/stop") {
                    assert_eq!(answer.status, 202);
                }
            }
            // The fence closes at its next request, and says so to a logger that panics.
            Way::LoggerPanic => {
                if let Ok(answer) = a.handshake() {
                    assert_eq!(answer.status, 503);
                }
            }
            // On their way since before the loss, or a matter of A's alone.
            Way::Idle | Way::VitalTask | Way::VitalPanic | Way::Watcher | Way::Poll => {}
        }
    }

    fn may_be(&self, end: End) -> bool {
        match self.way {
            Way::Kill => matches!(end, End::Signal(9) | End::Status(0)),
            Way::VitalTask | Way::VitalPanic | Way::LoggerPanic => matches!(end, End::Status(0 | 1)),
            _ => end == End::Status(0),
        }
    }
}

/// Sends what has to be on its way before the loss.
fn send_ahead(chance: &Chance, a: &Daemon) -> Vec<TcpStream> {
    let mut paths = Vec::new();
    let after = chance.pause.as_millis() + 20;
    match chance.way {
        Way::VitalTask => paths.push(("POST", format!("/vital-after/{after}"))),
        Way::VitalPanic => paths.push(("POST", format!("/vital-panic/{after}"))),
        _ => {}
    }
    if chance.in_flight {
        paths.push(("GET", "/hang/600000".to_owned()));
    }
    let count = paths.len();
    let sent =
        paths.iter().map(|(method, path)| send(a.address, &a.request(method, path)).unwrap()).collect();
    if count > 0 {
        until("it is in flight", PROMPT, || (a.view()["in_flight"] == count).then_some(()));
    }
    sent
}

fn names(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.state()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn play(round: &mut Round) {
    let chance = Chance::of(round);
    let (what, lose) = LOSSES[usize::try_from(round.below(LOSSES.len() as u64)).unwrap()];
    round.tell(format!("{what}, {chance:?}"));
    let bench = bench!();
    let a = bench.service(&chance.options());
    prepare(&bench);
    let in_flight = send_ahead(&chance, &a);

    assert!(a.process.is_alive(), "A ended before it was displaced");
    lose(&bench);
    // B asks nobody, or A would learn of its loss by B's question.
    let b = std::thread::scope(|scope| {
        if chance.moment == Moment::Meanwhile {
            scope.spawn(|| chance.bring_about(&a));
        }
        bench.run(&[])
    });
    let (before, there) = (Snapshot::of(&bench.state()), names(&bench));
    if chance.moment == Moment::Later {
        chance.bring_about(&a);
    }

    let end = a.process.wait(PROMPT);
    assert!(chance.may_be(end), "{end:?}");
    assert_eq!(Snapshot::of(&bench.state()), before, "B's files are as they were");
    assert_eq!(names(&bench), there, "and nothing is beside them");
    assert!(b.log.events("restored").is_empty(), "nor had B to restore one");
    assert_eq!(b.handshake().unwrap().status, 200);
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), b.url());
    bench.only(&b);
    drop(in_flight);
}

#[test]
fn p4_whatever_ends_a_displaced_daemon_its_successors_files_stay() {
    each_round(24, play);
}
