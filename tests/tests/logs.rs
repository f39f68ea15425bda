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
    let logs = fs::read_dir(bench.state()).unwrap().flatten();
    let logs = logs.filter(|entry| entry.file_name().to_string_lossy().starts_with("daemon.log")).count();
    assert_eq!(logs, 2, "one predecessor");
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
