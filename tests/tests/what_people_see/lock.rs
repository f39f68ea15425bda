//! Failures 1, 3, 14 and 18: what stands in the place of a lock, who holds it, and file systems on which it counts for nothing.

use std::fs;
use std::path::Path;

use aileron_tests::{PROMPT, bench, put_fifo};

use crate::scene::{Scene, holder_of, killed};

/// Puts something at a path.
type Put = fn(&Path);

#[test]
fn a_lock_that_is_no_file() {
    let kinds: [(&str, Put); 3] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a symlink", |path| std::os::unix::fs::symlink("/nowhere", path).unwrap()),
        ("a FIFO", put_fifo),
    ];
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    bench.make_state();
    for name in ["daemon.lock", "start.lock"] {
        for (kind, put) in kinds {
            scene.tell(&format!("{kind} stands in the place of {name}"));
            put(&bench.file(name));
            let said = scene.types("aileron url").is(1);
            scene.follows(&said, 0).is(0);
            scene.is_well();
            scene.types("aileron stop").is(0);
            let left = bench.file(&format!("{name}.old"));
            fs::remove_file(&left).or_else(|_| fs::remove_dir(&left)).unwrap();
            for made in ["daemon.lock", "start.lock"] {
                fs::remove_file(bench.file(made)).unwrap();
            }
        }
    }
    scene.keep("lock_that_is_no_file");
}

/// The error says who it is, so that whoever reads it can end the right process; no command here does.
#[test]
fn a_lock_that_somebody_else_holds() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    killed(&bench);
    let stranger = holder_of(&bench, &bench.file("daemon.lock"));
    scene.tell("another program holds daemon.lock");
    let said = scene.types("aileron --timeout 1s url").is(4);
    assert!(said.advice().contains(&format!("process {} (`helper-stranger`)", stranger.process.pid())));
    scene.types("aileron --timeout 1s --json url").is(4);
    scene.types("aileron --timeout 1s stop --force").is(4);
    scene.types("aileron --timeout 1s daemon restart").is(4);
    scene.types("aileron daemon run").is(7);
    scene.status("unresponsive");
    scene.doctor(&["lock"]);
    assert!(stranger.process.is_alive());
    let seen = scene.shell(&said.commands()[1]).succeed();
    assert!(seen.stdout.contains("helper-stranger"), "{seen:?}");
    scene.types(&format!("kill {}", stranger.process.pid())).is(0);
    stranger.process.wait(PROMPT);
    scene.is_well();
    scene.keep("lock_that_somebody_else_holds");
}

#[test]
fn a_lock_of_a_process_that_cannot_be_seen() {
    let bench = bench!();
    let user = bench.lone_user();
    let mut scene = Scene::of(&bench);
    bench.make_state();
    std::os::unix::fs::chown(bench.state(), Some(user), Some(user)).unwrap();
    fs::write(bench.file("daemon.lock"), "").unwrap();
    std::os::unix::fs::chown(bench.file("daemon.lock"), Some(user), Some(user)).unwrap();
    let stranger = holder_of(&bench, &bench.file("daemon.lock"));
    scene.tell("root holds the lock of a user's directory");
    let as_user = |line: &str| Scene::of(&bench).shell(line).user(user);
    for (line, status) in [("aileron --timeout 1s url", 4), ("aileron --timeout 1s stop --force", 4)] {
        scene.sees(line, as_user(line)).is(status);
    }
    stranger.process.kill();
    stranger.process.wait(PROMPT);
    let line = "aileron url";
    scene.sees(line, as_user(line)).is(0);
    scene.keep("lock_of_a_process_that_cannot_be_seen");
}

/// A client that was stopped (Ctrl-Z) while it had the start gate.
#[test]
fn a_gate_that_somebody_holds() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    bench.make_state();
    let client = holder_of(&bench, &bench.file("start.lock"));
    scene.tell("another process holds the start gate");
    scene.types("aileron --timeout 1s url").is(9);
    scene.types("aileron --timeout 1s --json url").is(9);
    scene.types("aileron --timeout 1s stop").is(1);
    scene.tell("and is stopped");
    client.process.freeze();
    let said = scene.types("aileron --timeout 1s url").is(9);
    scene.types("aileron --timeout 1s daemon restart").is(1);
    scene.follows(&said, 0).is(0);
    client.process.kill();
    client.process.wait(PROMPT);
    scene.is_well();
    scene.keep("gate_that_somebody_holds");
}

#[test]
fn a_file_system_without_locks() {
    let bench = bench!();
    let mut scene = Scene::of(&bench);
    for (title, fault) in [("has no locks", "flock=ENOLCK"), ("grants every lock to everybody", "flock=0")] {
        scene.tell(&format!("the file system {title}"));
        let faulty = |args: &[&str]| bench.faulty(&[fault], bench.programs().aileron).args(args);
        scene.sees("aileron url", faulty(&["url"])).is(1);
        scene.sees("aileron --json url", faulty(&["--json", "url"])).is(1);
        scene.sees("aileron daemon run", faulty(&["daemon", "run"])).is(1);
    }
    scene.tell("and on a local one");
    scene.types("aileron --state-dir ~/local url").is(0);
    scene.types("aileron --state-dir ~/local stop").is(0);
    scene.keep("file_system_without_locks");
}
