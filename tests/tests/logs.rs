//! Failure 27: logs without bound, or not found.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::{Path, PathBuf};

use aileron_tests::{Bench, Daemon, PROMPT, Running, bench, until};

const CAP: u64 = 20_000;

fn service(bench: &Bench) -> Daemon {
    bench.service(&["--log-max", &CAP.to_string()])
}

fn size(bench: &Bench, name: &str) -> u64 {
    fs::metadata(bench.file(name)).map_or(0, |found| found.len())
}

/// hindsight#3164: a log that filled the disk. Here: ten times the cap, as fast as it can be written.
#[test]
fn the_log_is_capped() {
    let bench = bench!();
    let daemon = service(&bench);
    for batch in 0..10 {
        assert_eq!(daemon.ask("GET", &format!("/say/{}/100", batch * 100)).unwrap().status, 200);
        for name in ["daemon.log", "daemon.log.1"] {
            assert!(size(&bench, name) <= 2 * CAP + 1024, "{name} has {} bytes", size(&bench, name));
        }
    }
    until("it was rotated", PROMPT, || bench.file("daemon.log.1").exists().then_some(()));
    // Between the two steps of a rotation there is one file.
    until("there is one predecessor", PROMPT, || {
        let logs = fs::read_dir(bench.state()).unwrap().flatten();
        let count =
            logs.filter(|entry| entry.file_name().to_string_lossy().starts_with("daemon.log")).count();
        assert!(count <= 2, "{count} logs");
        (count == 2).then_some(())
    });
}

/// Something stands where the predecessor belongs, and each rotation failed: at twice the cap the log went mute, for good.
#[test]
fn the_log_is_rotated_whatever_stands_in_its_predecessors_place() {
    let obstacles: [fn(&Path); 3] = [
        |path| fs::create_dir(path).unwrap(),
        |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("somebody's"), "keep").unwrap();
        },
        aileron_tests::put_fifo,
    ];
    for (number, obstacle) in obstacles.into_iter().enumerate() {
        let bench = bench!();
        let daemon = service(&bench);
        obstacle(&bench.file("daemon.log.1"));
        for batch in 0..5 {
            assert_eq!(daemon.ask("GET", &format!("/say/{}/100", batch * 100)).unwrap().status, 200);
        }
        until("it was rotated", PROMPT, || bench.file("daemon.log.1").is_file().then_some(()));
        assert_eq!(
            bench.file("daemon.log.1.aside.1/somebody's").exists(),
            number == 1,
            "what is somebody's is kept"
        );
    }
}

/// `logs -f`, its output in a file so that it can be read while it goes on.
fn follow(bench: &Bench) -> (Running, PathBuf) {
    let shown = bench.beside("shown");
    let script = "exec \"$1\" --json daemon logs -n 1000 -f > \"$2\"";
    let call = bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.programs().aileron).arg(&shown);
    (call.start(), shown)
}

/// The numbers of the lines that `/say` wrote, as far as they were shown.
fn said(shown: &PathBuf) -> Vec<u64> {
    let text = fs::read_to_string(shown).unwrap_or_default();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["fields"]["line"].as_u64();
    text.lines().filter_map(line).collect()
}

/// multica#5170: whoever followed saw nothing more after the rotation. Over five of them, no line is missed or shown twice.
#[test]
fn following_goes_on_over_rotation() {
    let bench = bench!();
    let daemon = service(&bench);
    let (_follower, shown) = follow(&bench);
    for from in (0..600).step_by(20) {
        assert_eq!(daemon.ask("GET", &format!("/say/{from}/20")).unwrap().status, 200);
        until(&format!("line {} is shown", from + 19), PROMPT, || {
            (said(&shown).last() == Some(&(from + 19))).then_some(())
        });
    }
    assert_eq!(said(&shown), (0..600).collect::<Vec<_>>());
    assert!(daemon.log.text().len() < 100 * 1024, "it was rotated");
}

/// And over the end of one daemon and the start of the next, in a directory that was deleted in between.
#[test]
fn following_goes_on_over_restart_and_deletion() {
    let bench = bench!();
    let first = bench.start(&[]);
    let (_follower, shown) = follow(&bench);
    let is_seen = |daemon: &Daemon| {
        until("the start is shown", PROMPT, || {
            fs::read_to_string(&shown).ok()?.contains(&daemon.instance).then_some(())
        });
    };
    is_seen(&first);
    bench.aileron(&["stop"]).succeed();
    let second = bench.start(&[]);
    is_seen(&second);
    fs::remove_dir_all(bench.state()).unwrap();
    is_seen(&bench.start(&[]));
}

/// A log that was deleted or moved away under a live daemon is begun again.
#[test]
fn a_deleted_log_is_begun_again() {
    let bench = bench!();
    let daemon = bench.service(&["--poll", "100"]);
    fs::remove_file(bench.file("daemon.log")).unwrap();
    until("there is a log again", PROMPT, || bench.file("daemon.log").exists().then_some(()));
    assert_eq!(daemon.ask("GET", "/say/7/1").unwrap().status, 200);
    until("and it is written to", PROMPT, || {
        fs::read_to_string(bench.file("daemon.log")).unwrap().contains("\"line\":7").then_some(())
    });
    bench.only(&daemon);
}

/// Two rotations between two looks: what stands in the predecessor's place was never the log that was read.
#[test]
fn following_misses_nothing_over_two_rotations_at_once() {
    let bench = bench!();
    bench.make_state();
    let line = |number: u32| format!("{{\"fields\":{{\"line\":{number}}}}}\n");
    fs::write(bench.file("daemon.log.1"), line(0)).unwrap();
    fs::write(bench.file("daemon.log"), line(1)).unwrap();
    let (follower, shown) = follow(&bench);
    until("the end is shown", PROMPT, || (said(&shown) == [0, 1]).then_some(()));
    // While it cannot look.
    follower.process.freeze();
    for number in [2, 3] {
        fs::rename(bench.file("daemon.log"), bench.file("daemon.log.1")).unwrap();
        fs::write(bench.file("daemon.log"), line(number)).unwrap();
    }
    follower.process.thaw();
    until("the last line is shown", PROMPT, || said(&shown).contains(&3).then_some(()));
    assert_eq!(said(&shown), [0, 1, 2, 3]);
    // A log that was deleted, with a predecessor that was shown long ago.
    follower.process.freeze();
    fs::remove_file(bench.file("daemon.log")).unwrap();
    fs::write(bench.file("daemon.log"), line(4)).unwrap();
    follower.process.thaw();
    until("the last line is shown", PROMPT, || said(&shown).contains(&4).then_some(()));
    assert_eq!(said(&shown), [0, 1, 2, 3, 4]);
    // And one that was cut off.
    fs::write(bench.file("daemon.log"), "").unwrap();
    until("it is read from the start", PROMPT, || {
        let at_start = |number| follower.process.proc(&format!("fdinfo/{number}")).starts_with("pos:\t0\n");
        let is_log = |target: &str| target.ends_with("/daemon.log");
        let open = follower.process.descriptors();
        open.iter().any(|(number, target)| is_log(target) && at_start(number)).then_some(())
    });
    fs::write(bench.file("daemon.log"), line(5)).unwrap();
    until("the last line is shown", PROMPT, || said(&shown).contains(&5).then_some(()));
}

/// The lines of `daemon logs ARGS`.
fn logs(bench: &Bench, args: &[&str]) -> Vec<String> {
    let outcome = bench.aileron(&["daemon", "logs"]).args(args).succeed();
    assert_eq!(outcome.stderr, "");
    outcome.stdout.lines().map(String::from).collect()
}

/// A log made by hand, its entries this many hours old, each with a line that has no time.
fn write_log(bench: &Bench, name: &str, hours: &[u64]) {
    let line = |hours: &u64| {
        let date =
            bench.call("/bin/date").args(["-u", "-d", &format!("{hours} hours ago"), "+%FT%TZ"]).succeed();
        let (at, fields) = (date.stdout.trim().to_owned(), format!(r#"{{"message":"{hours}h old"}}"#));
        format!(r#"{{"timestamp":"{at}","level":"INFO","fields":{fields}}}"#) + "\nno JSON\n"
    };
    fs::write(bench.file(name), hours.iter().map(line).collect::<String>()).unwrap();
}

#[test]
fn as_many_lines_as_were_asked_for_are_shown() {
    let bench = bench!();
    bench.make_state();
    write_log(&bench, "daemon.log.1", &[9, 8]);
    write_log(&bench, "daemon.log", &[7, 1]);
    let all = logs(&bench, &[]);
    assert_eq!(all.len(), 8, "with the predecessor's: {all:?}");
    assert!(all[0].ends_with("  INFO 9h old") && all[1] == "no JSON", "{all:?}");
    assert_eq!(logs(&bench, &["-n", "0"]), Vec::<String>::new());
    assert_eq!(logs(&bench, &["-n", "3"]), all[5..]);
    assert_eq!(logs(&bench, &["-n", "1000000"]), all);
    let raw = fs::read_to_string(bench.file("daemon.log")).unwrap();
    assert_eq!(logs(&bench, &["--json", "-n", "4"]), raw.lines().collect::<Vec<_>>(), "as they are");
}

/// A line without a time goes with the one before it; and all of that time is shown, however many lines it has.
#[test]
fn since_shows_what_is_younger() {
    let bench = bench!();
    bench.make_state();
    write_log(&bench, "daemon.log.1", &[9, 3]);
    write_log(&bench, "daemon.log", &[1]);
    let all = logs(&bench, &[]);
    assert_eq!(logs(&bench, &["--since", "4h"]), all[2..]);
    assert_eq!(logs(&bench, &["--since", "1m"]), Vec::<String>::new());
    let more = "no JSON\n".repeat(200);
    let path = bench.file("daemon.log");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &more).unwrap();
    assert_eq!(logs(&bench, &["--since", "4h"]).len(), 204);
    assert_eq!(logs(&bench, &["--since", "4h", "-n", "5"]).len(), 5);
}

#[test]
fn without_a_log_it_matters_whether_there_is_a_daemon() {
    let bench = bench!();
    assert_eq!(bench.aileron(&["--json", "daemon", "logs"]).fail(3).error()["kind"], "not_running");
    bench.make_state();
    assert_eq!(bench.aileron(&["--json", "daemon", "logs"]).fail(3).error()["kind"], "not_running");
    let lock = aileron_tests::lock_file(&bench.file("daemon.lock"));
    assert_eq!(bench.aileron(&["--json", "daemon", "logs"]).fail(1).error()["kind"], "no_log");
    drop(lock);
}

/// `logs -f | head -1`: a shell waits for both, and the log may not say anything for hours.
#[test]
fn following_ends_quietly_with_its_reader() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let script = "\"$1\" daemon logs -f | head -1";
    let outcome = bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.programs().aileron).succeed();
    assert_eq!((outcome.stdout.lines().count(), outcome.stderr.as_str()), (1, ""));
    assert!(daemon.process.is_alive());
}

#[test]
fn following_ends_quietly_when_interrupted() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let running = bench.aileron(&["daemon", "logs", "-f"]).start();
    // It is there once it has the log open.
    until("it follows", PROMPT, || {
        running.process.descriptors().iter().any(|(_, target)| target.ends_with("/daemon.log")).then_some(())
    });
    running.process.signal(aileron_tests::Signal::INT);
    let outcome = running.finish(PROMPT);
    assert_eq!((outcome.end, outcome.stderr.as_str()), (aileron_tests::End::Signal(2), ""));
    assert!(daemon.process.is_alive());
}

/// Waiting for a daemon that is about to be started, in a directory that is not there yet.
#[test]
fn following_can_begin_before_there_is_a_daemon() {
    let bench = bench!();
    let (_follower, shown) = follow(&bench);
    let daemon = bench.start(&[]);
    until("the start is shown", PROMPT, || {
        fs::read_to_string(&shown).ok()?.contains(&daemon.instance).then_some(())
    });
}
