//! `daemon doctor --fix`: it does what it listed, and changes nothing else (P4, P6, P12, failures 12 and 26).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use aileron_tests::report::{doctor, fix};
use aileron_tests::{Bench, PROMPT, Tree, bench, lock_file, set_mode};

/// A state directory as a daemon that was killed leaves it.
fn killed(bench: &Bench) {
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// P12: a restore by `cp -r`, or somebody's `chmod -R`. What was listed is done, and nothing else changes.
#[test]
fn p12_what_others_may_read_is_tightened() {
    let bench = bench!();
    killed(&bench);
    let loose = [("daemon.json", 0o644, 0o600), ("daemon.log", 0o440, 0o400), ("daemon.lock", 0o666, 0o600)];
    for (name, mode, _) in loose {
        set_mode(&bench.file(name), mode);
    }
    fs::write(bench.file("somebodys"), "own").unwrap();
    set_mode(&bench.file("somebodys"), 0o644);
    set_mode(&bench.state(), 0o770);
    let report = doctor(&bench);
    report.says("state_dir", "failure", "writable by others").says(
        "modes",
        "warning",
        "`daemon.json` has mode 0644",
    );
    assert!(report.fixes().iter().all(|(_, outcome)| outcome == "possible"));
    assert_eq!((report.fixes().len(), mode(&bench.state())), (4, 0o770), "nothing is done unasked");
    let inodes = || aileron_tests::Snapshot::of(&bench.state());
    let before = inodes();

    let report = fix(&bench);
    report.says("state_dir", "ok", "yours").says("modes", "ok", "0700");
    assert!(report.fixes().iter().all(|(_, outcome)| outcome == "done"), "{:?}", report.fixes());
    for (what, _) in report.fixes() {
        assert!(report.stderr.contains(&what), "it was listed first: {}", report.stderr);
    }
    assert_eq!(mode(&bench.state()), 0o700);
    for (name, _, tight) in loose {
        assert_eq!(mode(&bench.file(name)), tight, "{name}");
    }
    assert_eq!(mode(&bench.file("somebodys")), 0o644, "not ours to change");
    assert_eq!(inodes(), before, "the same files with the same bytes");
    assert_eq!(fix(&bench).fixes().len(), 0, "once");
}

/// maestral#460: a command that was run with sudo leaves files that are root's.
#[test]
fn a_file_of_another_user_is_a_failure_and_is_left_alone() {
    let bench = bench!();
    killed(&bench);
    chown(bench.file("daemon.json"), Some(65534), None).unwrap();
    set_mode(&bench.file("daemon.json"), 0o644);
    doctor(&bench).says("modes", "failure", "`daemon.json` belongs to uid");
    assert_eq!(fix(&bench).fixes().len(), 0);
    assert_eq!(mode(&bench.file("daemon.json")), 0o644);
}

/// Failure 12: killed between the temporary file and the rename.
#[test]
fn p11_what_a_crash_left_is_swept_by_whoever_has_the_lock() {
    let bench = bench!();
    killed(&bench);
    let temporary = [bench.file(".daemon.json.new"), bench.file(".daemon.pid.new")];
    let litter = || temporary.iter().for_each(|path| fs::write(path, "half a rec").unwrap());
    litter();
    doctor(&bench).says("temporary_files", "warning", ".daemon.json.new");
    let kept = aileron_tests::Snapshot::of(&bench.state());
    let report = fix(&bench);
    report.says("temporary_files", "ok", "none");
    assert_eq!(
        report.fixes(),
        [("remove `.daemon.json.new` and `.daemon.pid.new`".to_owned(), "done".to_owned())]
    );
    assert!(temporary.iter().all(|path| !path.exists()));
    assert_eq!(aileron_tests::Snapshot::of(&bench.state()), kept, "and nothing else");

    // A client is at work, somebody has the lock, or there is no lock: left alone, with the reason.
    litter();
    let before = Tree::of(&bench.state());
    let gate = lock_file(&bench.file("start.lock"));
    assert_eq!(fix(&bench).fixes()[0].1, "refused");
    drop(gate);
    let lock = lock_file(&bench.file("daemon.lock"));
    assert_eq!(fix(&bench).fixes().len(), 0, "the owner's to sweep");
    drop(lock);
    assert_eq!(Tree::of(&bench.state()), before);
    fs::remove_file(bench.file("start.lock")).unwrap();
    let report = fix(&bench);
    assert_eq!(report.fixes()[0].1, "refused");
    assert!(report.document["fixes"][0]["why"].as_str().unwrap().contains("no `start.lock`"));
    assert!(!bench.file("start.lock").exists() && temporary[0].exists(), "none is made to tidy up");
}

/// P4: while a daemon runs its temporary files are its own.
#[test]
fn p4_a_running_daemons_files_are_left_alone() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    fs::write(bench.file(".daemon.pid.new"), "").unwrap();
    doctor(&bench).says("temporary_files", "ok", "the running daemon");
    let before = Tree::of(&bench.state());
    assert_eq!(fix(&bench).fixes().len(), 0);
    assert_eq!(Tree::of(&bench.state()), before);
    // A mode is taken from under it, and it stays the owner.
    set_mode(&bench.file("daemon.lock"), 0o644);
    assert_eq!(fix(&bench).fixes().len(), 1);
    assert_eq!((mode(&bench.file("daemon.lock")), daemon.view()["state"].as_str()), (0o600, Some("ready")));
}

#[test]
fn what_was_moved_aside_is_said() {
    let bench = bench!();
    killed(&bench);
    fs::create_dir(bench.file("daemon.json.aside.1")).unwrap();
    doctor(&bench).says("temporary_files", "warning", "daemon.json.aside.1");
    assert_eq!(fix(&bench).fixes().len(), 0);
    assert!(bench.file("daemon.json.aside.1").exists());
}

/// Failure 34, and what `--fix` must not do: it would turn starts on again.
#[test]
fn a_hold_is_said_and_never_cleared() {
    let bench = bench!();
    bench.aileron(&["stop", "--hold"]).succeed();
    doctor(&bench).says("hold", "warning", "clients start no daemon");
    fix(&bench).says("hold", "warning", "set");
    assert!(bench.file("hold").exists());
}

/// `--state-dir /tmp`, or a project's directory, by mistake: its mode is changed neither by `--fix` nor by a start, and nothing is
/// put there.
#[test]
fn p12_what_is_no_state_directory_keeps_its_mode() {
    let bench = bench!();
    let names = |path: &Path| fs::read_dir(path).unwrap().count();
    for loose in [0o1777, 0o777, 0o755] {
        let shared = bench.beside(&format!("shared-{loose:o}"));
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("somebodys"), "own").unwrap();
        set_mode(&shared, loose);
        bench.aileron(&["daemon", "doctor", "--fix", "--state-dir"]).arg(&shared).run();
        let refused = bench.aileron(&["url", "--state-dir"]).arg(&shared).fail(1);
        assert!(refused.stderr.contains("name another"), "{refused:?}");
        assert_eq!((mode(&shared), names(&shared)), (loose, 1), "{refused:?}");
    }
    let empty = bench.beside("empty");
    fs::create_dir(&empty).unwrap();
    set_mode(&empty, 0o755);
    bench.aileron(&["url", "--state-dir"]).arg(&empty).succeed();
    assert_eq!(mode(&empty), 0o700, "an empty one is as good as a new one");
    bench.aileron(&["stop", "--state-dir"]).arg(&empty).succeed();
}
