//! P11: what a live owner has published is damaged, and is readable again within 1 s (several files: 3 s; without events one
//! poll more), while clients wait and succeed.
//!
//! With events the poll is set to an hour, so that an event must have been enough.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use aileron_tests::{Bench, Daemon, End, bench, put_fifo, until};

/// Ten times the second that is promised.
const ONE: Duration = Duration::from_secs(10);

/// Ten times the three seconds that are promised for several files.
const SEVERAL: Duration = Duration::from_secs(30);

const BY_EVENTS: &[&str] = &["--lock-poll-interval", "1h"];

const BY_POLL: &[&str] = &["--no-lock-events", "--lock-poll-interval", "100ms"];

type Damage = (&'static str, fn(&Path));

/// What may happen to a file in use.
const DAMAGES: [Damage; 12] = [
    ("deleted", |path| fs::remove_file(path).unwrap()),
    ("moved away", |path| fs::rename(path, path.with_extension("old")).unwrap()),
    ("cut", |path| set_length(path, fs::metadata(path).unwrap().len() / 2)),
    ("emptied", |path| set_length(path, 0)),
    ("overwritten in place", overwrite),
    ("lengthened", |path| {
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"\n").unwrap();
    }),
    ("replaced by another file", |path| {
        let other = path.with_extension("other");
        fs::write(&other, "{}").unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("replaced by an empty directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
    ("replaced by a FIFO", |path| {
        fs::remove_file(path).unwrap();
        put_fifo(path);
    }),
    ("replaced by a symlink to nothing", |path| {
        fs::remove_file(path).unwrap();
        symlink("nowhere", path).unwrap();
    }),
    ("replaced by a symlink to itself elsewhere", |path| {
        let elsewhere = path.parent().unwrap().with_file_name("elsewhere");
        fs::rename(path, &elsewhere).unwrap();
        symlink(elsewhere, path).unwrap();
    }),
    // The copy is no damage, and the watch that was on the first file sees nothing of what is done to it.
    ("replaced by a copy of itself that is changed in place", |path| {
        let copy = path.with_extension("copy");
        fs::copy(path, &copy).unwrap();
        fs::rename(copy, path).unwrap();
        overwrite(path);
    }),
];

fn set_length(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// Other bytes of the same length, in the same file.
fn overwrite(path: &Path) {
    let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&vec![b'7'; length]).unwrap();
}

/// The bytes of what the owner has published.
fn published(bench: &Bench) -> [Vec<u8>; 2] {
    ["daemon.json", "daemon.pid"].map(|name| fs::read(bench.file(name)).unwrap())
}

/// Whether both are regular files with these bytes.
fn are_whole(bench: &Bench, wrote: &[Vec<u8>; 2]) -> bool {
    ["daemon.json", "daemon.pid"].iter().zip(wrote).all(|(name, bytes)| {
        let regular = fs::symlink_metadata(bench.file(name)).is_ok_and(|found| found.is_file());
        regular && fs::read(bench.file(name)).is_ok_and(|found| found == *bytes)
    })
}

/// A client that asks in between waits, and is given this owner; then both files are as they were.
fn assert_mended(bench: &Bench, daemon: &Daemon, wrote: &[Vec<u8>; 2], patience: Duration, what: &str) {
    let outcome = bench.aileron(&["url"]).run();
    assert_eq!(
        (outcome.end, outcome.stdout.trim()),
        (End::Status(0), &*daemon.url()),
        "{what}: {outcome:#?}"
    );
    until(&format!("mended after: {what}"), patience, || are_whole(bench, wrote).then_some(()));
    assert!(daemon.process.is_alive() && bench.daemons().len() == 1, "{what}");
}

/// One daemon bears all of it, one after the other.
fn each_damage_is_mended(options: &[&str]) {
    let bench = bench!();
    let daemon = bench.start(options);
    let wrote = published(&bench);
    for (what, damage) in DAMAGES {
        for name in ["daemon.json", "daemon.pid"] {
            damage(&bench.file(name));
            assert_mended(&bench, &daemon, &wrote, ONE, &format!("{name} was {what}"));
        }
    }
}

#[test]
fn p11_each_damage_is_mended_by_events() {
    each_damage_is_mended(BY_EVENTS);
}

#[test]
fn p11_each_damage_is_mended_by_the_poll() {
    each_damage_is_mended(BY_POLL);
}

/// The change in place comes when the owner has long seen, and accepted, the copy.
#[test]
fn p11_a_copy_that_was_seen_and_is_changed_later_is_mended() {
    let bench = bench!();
    let daemon = bench.start(BY_EVENTS);
    let wrote = published(&bench);
    for name in ["daemon.json", "daemon.pid"] {
        let (path, copy) = (bench.file(name), bench.file("copy"));
        fs::copy(&path, &copy).unwrap();
        let since_look = || daemon.view()["watcher"]["last_look_ms"].as_u64().unwrap();
        until("it is quiet", ONE, || (since_look() > 200).then_some(()));
        fs::rename(copy, &path).unwrap();
        until("the keeper has looked at the copy", ONE, || (since_look() < 200).then_some(()));
        overwrite(&path);
        assert_mended(&bench, &daemon, &wrote, ONE, &format!("a copy of {name} was changed"));
    }
}

type Damages = (&'static str, fn(&Bench));

const SEVERAL_DAMAGES: [Damages; 5] = [
    ("record and pid file deleted", |bench| delete(bench, &["daemon.json", "daemon.pid"])),
    ("pid file and record deleted", |bench| delete(bench, &["daemon.pid", "daemon.json"])),
    ("record and log deleted", |bench| delete(bench, &["daemon.json", "daemon.log"])),
    ("all three deleted", |bench| delete(bench, &["daemon.log", "daemon.pid", "daemon.json"])),
    ("record a directory, pid file overwritten", |bench| {
        delete(bench, &["daemon.json"]);
        fs::create_dir(bench.file("daemon.json")).unwrap();
        overwrite(&bench.file("daemon.pid"));
    }),
];

fn delete(bench: &Bench, names: &[&str]) {
    for name in names {
        fs::remove_file(bench.file(name)).unwrap();
    }
}

#[test]
fn p11_several_damaged_files_are_mended() {
    for options in [BY_EVENTS, BY_POLL] {
        let bench = bench!();
        let daemon = bench.start(options);
        let wrote = published(&bench);
        for (what, damage) in SEVERAL_DAMAGES {
            damage(&bench);
            assert_mended(&bench, &daemon, &wrote, SEVERAL, what);
            until("there is a log again", SEVERAL, || bench.file("daemon.log").exists().then_some(()));
        }
    }
}

/// The log alone is no record: nobody waits for it, and it is begun anew all the same.
#[test]
fn p11_a_deleted_log_is_begun_anew() {
    for options in [BY_EVENTS, BY_POLL] {
        let bench = bench!();
        let daemon = bench.start(options);
        fs::remove_file(bench.file("daemon.log")).unwrap();
        until("there is a log again", ONE, || bench.file("daemon.log").exists().then_some(()));
        // It is the one that is written to.
        fs::remove_file(bench.file("daemon.pid")).unwrap();
        until("the new log tells of a restoration", ONE, || {
            fs::read_to_string(bench.file("daemon.log")).ok()?.contains("restored").then_some(())
        });
        assert!(daemon.log.events("restored").is_empty(), "and not the old one");
    }
}

/// Clients that come while the record is damaged again and again: none fails, none starts another.
#[test]
fn p11_clients_in_between_wait_and_succeed() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let wrote = published(&bench);
    for (what, damage) in DAMAGES {
        damage(&bench.file("daemon.json"));
        let asking: Vec<_> = (0..4).map(|_| bench.aileron(&["--json", "url"]).start()).collect();
        for client in asking {
            let outcome = client.finish(2 * ONE);
            assert_eq!(outcome.end, End::Status(0), "{what}: {outcome:#?}");
            assert_eq!(outcome.json()["url"], daemon.url(), "{what}");
            assert_eq!(outcome.json()["outcome"], "found", "{what}");
        }
        until(&format!("mended after: {what}"), ONE, || are_whole(&bench, &wrote).then_some(()));
    }
}
