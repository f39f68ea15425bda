//! P4, P11: a writer that mends its files while they are being removed defeats `rm -rf`, or resurrects the directory (the
//! reference 42 of 300 and 300 of 300 times). An owner that mends must be able to tell an accident from a removal.
//!
//! `AILERON_TEST_ROUNDS=100` is the run that counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use aileron_tests::{Bench, Daemon, End, PROMPT, Round, bench, each_round};

const MODES: [(&str, &[&str]); 3] = [
    ("events", &[]),
    ("poll", &["--no-lock-events", "--lock-poll-interval", "50ms"]),
    ("a slow poll", &["--no-lock-events", "--lock-poll-interval", "300ms"]),
];

/// Names of one file: to `rm` each is as much work, and to make them is a tenth of it.
fn litter(directory: &Path, count: u32) {
    fs::create_dir_all(directory).unwrap();
    let name = |number| directory.join(format!("{number:05}.extra"));
    if count > 0 {
        fs::write(name(0), "").unwrap();
    }
    for number in 1..count {
        fs::hard_link(name(0), name(number)).unwrap();
    }
}

/// `rm -rf` succeeds, the daemon goes, and nothing has been made again.
fn assert_removed(bench: &Bench, daemon: &Daemon) {
    let removed = bench.call("/bin/rm").arg("-rf").arg(bench.state()).run();
    assert_eq!(removed.end, End::Status(0), "{removed:#?}");
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    assert_nothing_left(bench);
}

fn assert_nothing_left(bench: &Bench) {
    let left: Vec<_> = fs::read_dir(bench.home()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "made again: {left:?}: {:?}", fs::read_dir(bench.state()).map(Iterator::count));
}

/// What stands where in the order in which `rm` goes: by inode where there are many files, else as `readdir(3)` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The daemon's files before the litter.
    DaemonFirst,
    /// The litter before the daemon's files.
    LitterFirst,
    /// The record, the litter, the lock: the record takes an inode that was used before.
    LockLast,
}

const ORDERS: [Order; 3] = [Order::LockLast, Order::LitterFirst, Order::DaemonFirst];

fn littered_daemon(bench: &Bench, order: Order, options: &[&str], place: &Path, count: u32) -> Daemon {
    let spare: Vec<_> = (0..8).map(|number| bench.file(&format!("spare.{number}"))).collect();
    if order != Order::DaemonFirst {
        bench.make_state();
        if order == Order::LockLast {
            for path in &spare {
                fs::write(path, "").unwrap();
            }
        }
        litter(place, count);
    }
    if order == Order::LockLast {
        fs::write(bench.file("daemon.lock"), "").unwrap();
        for path in &spare {
            fs::remove_file(path).unwrap();
        }
    }
    let daemon = bench.start(options);
    if order == Order::DaemonFirst {
        litter(place, count);
    }
    daemon
}

fn remove(round: &mut Round, count: u32, below: &str) {
    let (number, modes) = (round.number(), MODES.len());
    let (order, (mode, options)) = (ORDERS[number % ORDERS.len()], MODES[(number + number / modes) % modes]);
    round.tell(format!("{count} files, {mode}, {order:?}"));
    let bench = bench!();
    let place = bench.state().join(below);
    let daemon = littered_daemon(&bench, order, options, &place, count);
    assert_removed(&bench, &daemon);
}

#[test]
fn p11_rm_of_a_directory_with_20_000_files_succeeds() {
    each_round(6, |round| remove(round, 20_000, ""));
}

#[test]
fn p11_rm_of_a_small_directory_succeeds() {
    for count in [0, 1, 10, 1000] {
        each_round(6, |round| remove(round, count, ""));
    }
}

/// What an embedder keeps in a directory of its own below ours is no change *in* our directory.
#[test]
fn p11_rm_of_a_directory_with_a_large_subdirectory_succeeds() {
    each_round(6, |round| remove(round, 20_000, "cache"));
}

/// Which of the daemon's files go first.
const FIRST: [&[&str]; 8] = [
    &["daemon.json"],
    &["daemon.pid"],
    &["daemon.log"],
    &["daemon.json", "daemon.pid"],
    &["daemon.pid", "daemon.json"],
    &["daemon.json", "daemon.log"],
    &["daemon.log", "daemon.json", "daemon.pid"],
    &["daemon.pid", "daemon.log", "daemon.json"],
];

/// The pace of a removal: slow enough to last, and never so slow that the owner may take it for over.
const PACE: Duration = Duration::from_millis(1);

/// A machine that holds the test up for longer than this has spoiled the round: the owner saw an accident.
const HELD_UP: Duration = Duration::from_millis(120);

/// Deletes `files` of a directory one by one, looking each time whether something is back. `None`: the round is spoiled.
fn delete_steadily(bench: &Bench, place: &Path, files: u32, gone: &[&str]) -> Option<()> {
    let mut last = Instant::now();
    for number in 0..files {
        fs::remove_file(place.join(format!("{number:05}.extra"))).unwrap();
        let back: Vec<_> =
            gone.iter().filter(|name| fs::symlink_metadata(bench.file(name)).is_ok()).collect();
        let held_up = last.elapsed() > HELD_UP;
        last = Instant::now();
        if held_up {
            return None;
        }
        assert!(back.is_empty(), "{back:?} came back after {number} more files were deleted");
        std::thread::sleep(PACE);
    }
    Some(())
}

/// Some of the owner's files go first, then others at a steady pace for 1.5 s, then the lock and the rest. Nothing comes back
/// in between, or it would be there when `rm` wants to remove the directory.
fn remove_slowly(round: &mut Round, below: &str) -> Option<()> {
    let (number, orders) = (round.number(), FIRST.len());
    let (first, (mode, options)) = (FIRST[number % orders], MODES[(number + number / orders) % MODES.len()]);
    round.tell(format!("{first:?} first, {mode}"));
    let bench = bench!();
    let daemon = bench.start(options);
    let place = bench.state().join(below);
    litter(&place, 1400);
    for name in first {
        fs::remove_file(bench.file(name)).unwrap();
    }
    delete_steadily(&bench, &place, 1400, first)?;
    fs::remove_file(bench.file("daemon.lock")).unwrap();
    assert_removed(&bench, &daemon);
    Some(())
}

fn nothing_comes_back(below: &str) {
    let mut played = 0;
    each_round(8, |round| played += u32::from(remove_slowly(round, below).is_some()));
    assert!(played > 0, "this machine held up every round");
}

#[test]
fn p11_nothing_comes_back_while_others_go() {
    nothing_comes_back("");
}

#[test]
fn p11_nothing_comes_back_while_a_subdirectory_goes() {
    nothing_comes_back("cache");
}

/// A removal that was given up: what it had removed is mended once the directory is quiet.
#[test]
fn p11_an_unfinished_removal_is_mended() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    litter(&bench.state(), 300);
    for name in ["daemon.json", "daemon.pid"] {
        fs::remove_file(bench.file(name)).unwrap();
    }
    if delete_steadily(&bench, &bench.state(), 300, &["daemon.json", "daemon.pid"]).is_none() {
        return assert!(daemon.process.is_alive());
    }
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
    aileron_tests::until("the record is back", 3 * PROMPT, || {
        bench.file("daemon.pid").exists().then_some(())
    });
}
