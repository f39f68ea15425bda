//! The fencing token: what is written to can tell a stale writer from the present owner, also where no check could.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::Path;

use aileron_tests::http::{read_answer, send};
use aileron_tests::{Bench, Daemon, End, PROMPT, Receiver, Signal, bench, until};
use serde_json::Value;

/// Largest number that every reader of JSON keeps exactly.
const LARGEST: u64 = (1 << 53) - 1;

/// An owner that will not look by itself for 30 s.
const UNAWARE: [&str; 3] = ["--no-lock-events", "--poll", "30000"];

fn receiver(bench: &Bench) -> Receiver {
    Receiver::at(&bench.root().join("receiver"))
}

fn fenced(bench: &Bench, options: &[&str]) -> Daemon {
    let receiver = bench.root().join("receiver");
    let options = [&["--count", receiver.to_str().unwrap()], options].concat();
    let running = bench.embedder(bench.programs().fenced, &options).start();
    bench.ready(&running)
}

fn epoch_of(daemon: &Daemon) -> u64 {
    daemon.view()["epoch"].as_u64().unwrap()
}

fn recorded(bench: &Bench, file: &str) -> u64 {
    let document: Value = serde_json::from_slice(&fs::read(bench.file(file)).unwrap()).unwrap();
    document["epoch"].as_u64().unwrap()
}

fn end(daemon: &Daemon) {
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}

/// Whatever became of the directory in between: deleted, left tidily, left by `SIGKILL`, its lock replaced.
#[test]
fn each_owner_has_a_larger_epoch_than_the_last() {
    let bench = bench!();
    let mut last = 0;
    let ends: [fn(&Bench, &Daemon); 4] = [
        |bench, _| fs::remove_dir_all(bench.state()).unwrap(),
        |_, daemon| end(daemon),
        |_, daemon| daemon.process.kill(),
        |bench, _| fs::remove_file(bench.file("daemon.lock")).unwrap(),
    ];
    for over in ends.iter().cycle().take(12) {
        let daemon = bench.start(&[]);
        let epoch = epoch_of(&daemon);
        assert!(epoch > last, "{epoch} after {last}");
        assert_eq!(recorded(&bench, "daemon.json"), epoch, "the record tells of it");
        over(&bench, &daemon);
        daemon.process.wait(PROMPT);
        last = epoch;
    }
}

/// A clock that was set back by an hour, seen from the next start: what the last owner wrote down lies in the future.
#[test]
fn a_clock_that_was_set_back_is_outbid() {
    let bench = bench!();
    let first = bench.start(&[]);
    let future = epoch_of(&first) + 3_600_000_000;
    first.process.kill();
    first.process.wait(PROMPT);
    let mut record = first.record.clone();
    record["epoch"] = future.into();
    fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
    let second = bench.start(&[]);
    assert_eq!(epoch_of(&second), future + 1);
    // It leaves tidily: the record is withdrawn, and the exit record remembers.
    end(&second);
    assert!(!bench.file("daemon.json").exists());
    assert_eq!(recorded(&bench, "daemon.exit.json"), future + 1);
    assert_eq!(epoch_of(&bench.start(&[])), future + 2);
}

/// P11: a number that is none, or the last one there is, keeps nobody from starting.
#[test]
fn p11_no_epoch_in_a_file_keeps_a_daemon_from_starting() {
    for lie in [Value::from(LARGEST), Value::from(u64::MAX), Value::from(-1), "soon".into(), Value::Null] {
        let bench = bench!();
        let first = bench.start(&[]);
        first.process.kill();
        first.process.wait(PROMPT);
        let mut record = first.record.clone();
        record["epoch"] = lie.clone();
        fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
        let epoch = epoch_of(&bench.start(&[]));
        assert!((1..=LARGEST).contains(&epoch), "{lie}: {epoch}");
    }
}

/// A writer is stopped between its check and its write; it is displaced, and its successor has written. The receiver refuses
/// what comes late.
#[test]
fn p3_a_write_from_the_gap_is_refused() {
    let bench = bench!();
    let old = fenced(&bench, &UNAWARE);
    let mut late = send(old.address, &old.request("POST", "/write-after/1000/late")).unwrap();
    until("it is in the gap", PROMPT, || (old.view()["in_flight"] == 1).then_some(()));
    fs::remove_dir_all(bench.state()).unwrap();
    let new = fenced(&bench, &[]);
    assert_eq!(new.ask("POST", "/write/new").unwrap().body, "written");
    assert_eq!(read_answer(&mut late).unwrap().status, 409);
    let epoch = epoch_of(&new);
    assert_eq!(receiver(&bench).lines(), [(epoch, "new".to_owned())]);
}

/// The directory is moved away, served by a successor, and moved back between two looks of the first owner, which never
/// learns of it. It is the owner again and its epoch is too small: refused once, it takes a larger one. The successor, now
/// displaced, gets none, and what it still writes is refused.
#[test]
fn p3_moved_away_succeeded_and_moved_back_between_two_looks() {
    let bench = bench!();
    let (first_home, second_home) = (bench.beside("first"), bench.beside("second"));
    let first = fenced(&bench, &UNAWARE);
    assert_eq!(first.ask("POST", "/write/one").unwrap().body, "written");
    fs::rename(bench.state(), &first_home).unwrap();
    let second = fenced(&bench, &UNAWARE);
    assert_eq!(second.ask("POST", "/write/two").unwrap().body, "written");
    let mut late = send(second.address, &second.request("POST", "/write-after/1000/late")).unwrap();
    until("it is in the gap", PROMPT, || (second.view()["in_flight"] == 1).then_some(()));
    fs::rename(bench.state(), &second_home).unwrap();
    fs::rename(&first_home, bench.state()).unwrap();
    assert!(first.log.events("suspect").is_empty(), "it never knew");

    assert_eq!(first.ask("POST", "/write/three").unwrap().body, "written");
    assert_eq!(read_answer(&mut late).unwrap().status, 409, "stale by now");
    assert_eq!(second.ask("POST", "/write/four").unwrap().json()["code"], "identity_lost");
    let lines = receiver(&bench).lines();
    let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["one", "two", "three (again)"]);
    assert!(lines.is_sorted_by(|one, next| one.0 < next.0), "{lines:?}");
    let renewed = epoch_of(&first);
    until("the record tells of it", PROMPT, || (recorded(&bench, "daemon.json") == renewed).then_some(()));
}

/// With file events the first owner learns that it was away, however short, and begins a new term unasked: after a move of the
/// directory or of an ancestor, and after the lock's name was taken away from it and given back.
#[test]
fn an_owner_that_was_away_for_a_moment_takes_a_new_epoch() {
    let absences: [fn(&Bench); 3] = [
        |bench| there_and_back(&bench.state(), &bench.beside("aside")),
        |bench| there_and_back(bench.home(), &bench.home().with_file_name("aside")),
        |bench| {
            let (lock, link) = (bench.file("daemon.lock"), bench.file("link"));
            fs::hard_link(&lock, &link).unwrap();
            fs::remove_file(&lock).unwrap();
            // A second link and no rename, which would be a move of the file itself.
            fs::hard_link(&link, &lock).unwrap();
        },
    ];
    for (number, absence) in absences.into_iter().enumerate() {
        let bench = bench!();
        let daemon = fenced(&bench, &[]);
        let before = epoch_of(&daemon);
        daemon.process.freeze();
        absence(&bench);
        daemon.process.thaw();
        daemon.log.wait_for("epoch", PROMPT);
        let epoch = epoch_of(&daemon);
        assert!(epoch > before, "{number}: {epoch} after {before}");
        until("the record tells of it", PROMPT, || (recorded(&bench, "daemon.json") == epoch).then_some(()));
        assert!(daemon.log.events("suspect").is_empty() && daemon.log.events("displaced").is_empty());
        end(&daemon);
    }
}

fn there_and_back(path: &Path, aside: &Path) {
    fs::rename(path, aside).unwrap();
    fs::rename(aside, path).unwrap();
}

/// Without file events an owner that *saw* itself away, if only by a request that its fence refused, says "owner" again under a
/// new epoch and not before.
#[test]
fn p3_no_request_is_let_in_under_the_epoch_of_before() {
    let bench = bench!();
    let daemon = fenced(&bench, &["--no-lock-events", "--poll", "30000"]);
    assert_eq!(daemon.ask("POST", "/write/one").unwrap().body, "written");
    let aside = bench.beside("aside");
    // Back within the 100 ms that a decision takes, which a busy machine may not let us: once in ten is enough.
    let came_back = (0..10).any(|_| {
        fs::rename(bench.state(), &aside).unwrap();
        let refused = daemon.ask("POST", "/write/lost").is_ok_and(|answer| answer.status == 503);
        fs::rename(&aside, bench.state()).unwrap();
        refused && daemon.ask("POST", "/write/two").is_ok_and(|answer| answer.body == "written")
    });
    assert!(came_back, "ten times of ten it took a moment's absence for a loss");
    let lines = receiver(&bench).lines();
    assert_eq!((lines[0].1.as_str(), lines[1].1.as_str(), lines.len()), ("one", "two", 2));
    assert!(lines[1].0 > lines[0].0, "{lines:?}");
}

/// Doubt leaves an owner what it has and gives it nothing new: a daemon that cannot look must not outbid the one that took its
/// place.
#[test]
fn p5_doubt_grants_no_epoch() {
    let bench = bench!();
    let daemon = fenced(&bench, &UNAWARE);
    receiver(&bench).write(LARGEST - 1, "another's").unwrap();
    let users = bench.home().with_file_name("elsewhere");
    fs::rename(bench.home(), &users).unwrap();
    // A path that leads in circles: ELOOP, whoever looks.
    std::os::unix::fs::symlink("home", bench.home()).unwrap();
    let before = epoch_of(&daemon);
    let answer = daemon.ask("POST", "/write/mine").unwrap();
    assert_eq!(answer.json()["code"], "identity_lost", "{answer:?}");
    assert_eq!(epoch_of(&daemon), before);
    fs::remove_file(bench.home()).unwrap();
    fs::rename(&users, bench.home()).unwrap();
    assert_eq!(daemon.ask("POST", "/write/mine").unwrap().body, "written", "and nothing else has changed");
    end(&daemon);
}
