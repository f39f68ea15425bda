//! `daemon ps --reap` and P9 (b): orphans are ended, and nobody else is.
//!
//! It means every orphan of a user on the machine, and other tests have orphans of their own. So each test here is a user of
//! its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use aileron_tests::user::{BLIND, User, among};
use aileron_tests::{Bench, Call, End, PROMPT, Tree, bench, until};
use serde_json::Value;

fn reap(user: &User<'_>) -> Call {
    user.aileron(&["--json", "daemon", "ps", "--reap"])
}

/// A shell under the product's name and with its daemon's words, that has the lock of the state directory and then runs
/// `script`: everything that P9 (b) asks for, and none of the manners.
fn shell_daemon(bench: &Bench, script: &str) -> Call {
    let shell = bench.named(Path::new("/bin/sh"), "aileron");
    let script = format!("exec 9<>\"$1/daemon.lock\"; flock 9; {script}");
    bench.call(shell).args(["-c", &script, "--state-dir"]).arg(bench.state()).args(["daemon", "run"])
}

/// Somebody else's process that has a `daemon.lock`: another tool's daemon with the very same words, and a stranger.
#[test]
fn p9_another_tools_process_is_neither_listed_nor_reaped() {
    let bench = bench!();
    let user = User::new(&bench);
    let other = bench.embedder(bench.programs().service, &["--no-lock-events", "--poll", "3600000"]);
    let other = other.user(user.uid).start();
    let other = bench.ready(&other);
    let lock = bench.beside("daemon.lock");
    let stranger = bench.call("/usr/bin/flock").arg("--no-fork").arg(&lock).args([
        "sh",
        "-c",
        "read line",
        "daemon",
        "run",
    ]);
    let stranger = stranger.user(user.uid).start_with_input();
    until("the stranger has the lock", PROMPT, || {
        stranger.process.descriptors().iter().any(|(_, path)| Path::new(path) == lock).then_some(())
    });
    // Both hold a lock by which nobody can find them.
    fs::remove_dir_all(bench.state()).unwrap();
    fs::remove_file(&lock).unwrap();
    let document = reap(&user).succeed().json();
    assert_eq!(document["daemons"].as_array().unwrap().len(), 0, "{document}");
    assert_eq!(document["reaped"].as_array().unwrap().len(), 0, "{document}");
    assert!(other.process.is_alive() && stranger.process.is_alive());
    assert_eq!(user.aileron(&["daemon", "ps"]).succeed().stdout.trim(), "no daemons");
}

/// All of them at once, with decoys: a record that names a stranger, and owners of two directories.
#[test]
fn p9_reap_ends_orphans_and_nobody_else() {
    let bench = bench!();
    let user = User::new(&bench);
    let deleted = user.start(&BLIND);
    fs::remove_dir_all(bench.state()).unwrap();
    let renamed = user.start(&BLIND);
    fs::rename(bench.state(), bench.beside("moved")).unwrap();
    let elsewhere = bench.beside("elsewhere");
    user.aileron(&["daemon", "start", "--state-dir"]).arg(&elsewhere).succeed();
    let owner = user.start(&BLIND);
    let decoy = bench.call("/bin/sleep").arg("600").user(user.uid).start();
    let stale = bench.beside("stale");
    fs::create_dir(&stale).unwrap();
    let mut record = bench.record();
    record["pid"] = decoy.process.pid().into();
    fs::write(stale.join("daemon.json"), record.to_string()).unwrap();
    let before = Tree::of(&bench.state());

    let document = reap(&user).succeed().json();
    let listed_as = |pid| among(&document, "daemons", pid).unwrap()["state"].clone();
    assert_eq!(document["daemons"].as_array().unwrap().len(), 4, "{document}");
    assert_eq!(listed_as(owner.process.pid()), "owner");
    let mut reaped: Vec<_> =
        document["reaped"].as_array().unwrap().iter().map(|one| one["pid"].clone()).collect();
    reaped.sort_by_key(Value::as_u64);
    let mut expected = [deleted.process.pid(), renamed.process.pid()];
    expected.sort_unstable();
    assert_eq!(reaped, expected);
    for orphan in [&deleted, &renamed] {
        // Asked whether it is an owner, one may notice by itself that it is none.
        let outcome = among(&document, "reaped", orphan.process.pid()).unwrap()["outcome"].clone();
        assert!(outcome == "ended" || outcome == "was_gone", "{outcome}");
        assert_eq!(orphan.process.wait(PROMPT), End::Status(0), "it was asked, and not killed");
    }
    assert!(owner.process.is_alive() && decoy.process.is_alive());
    user.aileron(&["daemon", "status", "--state-dir"]).arg(&elsewhere).succeed();
    assert_eq!(Tree::of(&bench.state()), before, "nothing was written");
    let document = reap(&user).succeed().json();
    assert_eq!(document["reaped"].as_array().unwrap().len(), 0, "{document}");
}

/// One that is stopped is let go on, to end as the others do.
#[test]
fn p9_reap_ends_a_stopped_orphan() {
    let bench = bench!();
    let user = User::new(&bench);
    let orphan = user.start(&BLIND);
    fs::remove_dir_all(bench.state()).unwrap();
    orphan.process.freeze();
    let document = reap(&user).succeed().json();
    let found = among(&document, "daemons", orphan.process.pid()).unwrap();
    assert_eq!((&found["state"], &found["paused"]), (&"orphan".into(), &true.into()));
    assert_eq!(orphan.process.wait(PROMPT), End::Status(0));
}

/// One that takes no notice of `SIGTERM` is killed at the deadline, and that is said.
#[test]
fn p9_reap_kills_what_does_not_end() {
    let bench = bench!();
    let user = User::new(&bench);
    bench.make_state();
    chown(bench.state(), Some(user.uid), Some(user.uid)).unwrap();
    let deaf =
        shell_daemon(&bench, "trap '' TERM; echo ready; while :; do sleep 0.1; done").user(user.uid).start();
    until("it has the lock", PROMPT, || {
        let list = user.aileron(&["--json", "daemon", "ps"]).succeed().json();
        among(&list, "daemons", deaf.process.pid()).map(drop)
    });
    fs::remove_dir_all(bench.state()).unwrap();
    // The shell catches signals before it says so; it is told only once it has.
    until("it ignores SIGTERM", PROMPT, || {
        let ignored = u64::from_str_radix(&deaf.process.status_line("SigIgn"), 16).ok()?;
        (ignored & (1 << 14) != 0).then_some(())
    });
    let outcome = user.aileron(&["daemon", "ps", "--reap", "--timeout", "500ms"]).succeed();
    assert!(outcome.stdout.contains("was killed"), "{outcome:?}");
    assert_eq!(deaf.process.wait(PROMPT), End::Signal(9));
}

/// A command that a daemon itself runs does not end that daemon.
#[test]
fn p9_reap_spares_its_own_ancestors() {
    let bench = bench!();
    let user = User::new(&bench);
    bench.make_state();
    chown(bench.state(), Some(user.uid), Some(user.uid)).unwrap();
    // The daemon's child runs the command, and has a program of another name to do it.
    let product = bench.named(bench.programs().aileron, "aileron-product");
    let done = bench.beside("done");
    let script = r#"rm -r "$1"; "$PRODUCT" --json daemon ps --reap 9>&-; : > "$DONE"; read line"#;
    let shell = shell_daemon(&bench, script).env("PRODUCT", &product).env("DONE", &done);
    let shell = shell.user(user.uid).start_with_input();
    let pid = shell.process.pid();
    until("the command has ended", PROMPT, || done.exists().then_some(()));
    assert!(shell.process.is_alive(), "the daemon lives");
    let outcome = shell.end_input().finish(PROMPT);
    let document = outcome.json();
    let spared = among(&document, "reaped", pid).unwrap();
    assert_eq!(spared["outcome"], "spared", "{document}");
    assert!(spared["why"].as_str().unwrap().contains("ancestor"), "{document}");
}

/// A guess is no proof: a directory that is the default below its home, or named through a symlink, may have been another.
#[test]
fn p9_reap_spares_whose_directory_is_not_certain() {
    let bench = bench!();
    let user = User::new(&bench);
    let (one, two, link) = (bench.beside("one"), bench.beside("two"), bench.beside("link"));
    for directory in [&one, &two] {
        fs::create_dir(directory).unwrap();
        chown(directory, Some(user.uid), Some(user.uid)).unwrap();
    }
    std::os::unix::fs::symlink(&one, &link).unwrap();
    let running = user.aileron(&["daemon", "run", "--state-dir"]).arg(link.join("state")).args(BLIND).start();
    until("it is ready", PROMPT, || one.join("state/daemon.pid").exists().then_some(()));
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&two, &link).unwrap();
    // It is the owner of its directory still, by the path to which the link led when it started.
    let outcome = reap(&user).fail(1);
    let spared = among(&outcome.json(), "reaped", running.process.pid()).unwrap();
    assert_eq!(spared["outcome"], "spared", "{outcome:?}");
    assert!(running.process.is_alive());
}

/// The symlink that it was started through is a directory by now: by its arguments it is an orphan of that one, by its own word
/// the owner of the one that the link led to.
#[test]
fn p9_reap_believes_a_daemon_that_proves_to_be_an_owner() {
    let bench = bench!();
    let user = User::new(&bench);
    let (there, link) = (bench.beside("there"), bench.beside("link"));
    fs::create_dir(&there).unwrap();
    chown(&there, Some(user.uid), Some(user.uid)).unwrap();
    std::os::unix::fs::symlink(&there, &link).unwrap();
    let running = user.aileron(&["daemon", "run", "--state-dir"]).arg(link.join("state")).start();
    until("it is ready", PROMPT, || there.join("state/daemon.pid").exists().then_some(()));
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    let outcome = reap(&user).fail(1);
    let spared = among(&outcome.json(), "reaped", running.process.pid()).unwrap();
    assert_eq!(spared["outcome"], "spared", "{outcome:?}");
    assert!(running.process.is_alive());
    let pid = running.process.pid();
    assert_eq!(
        user.aileron(&["--json", "daemon", "status", "--state-dir"])
            .arg(there.join("state"))
            .succeed()
            .json()["pid"],
        pid
    );
}
