//! `daemon ps` and P9 (b), failures 1, 3, 9, 12 and 22: daemons that nobody finds any more, and what is taken for one.
//!
//! `--reap` means every orphan of a user on the machine, and other tests have orphans of their own. So each test that reaps
//! is a user of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aileron_discovery::Tool;
use aileron_discovery::process::daemons;
use aileron_tests::{Bench, Call, Daemon, End, PROMPT, Tree, bench, until};
use serde_json::Value;

/// An owner with these notices nothing for a day, so it stays the orphan that it is made.
const BLIND: [&str; 3] = ["--no-lock-events", "--lock-poll-interval", "24h"];

/// A user that nobody else on this machine is.
struct User<'a> {
    bench: &'a Bench,
    uid: u32,
}

impl<'a> User<'a> {
    fn new(bench: &'a Bench, number: u32) -> Self {
        let uid = 200_000 + std::process::id() % 100_000 * 16 + number;
        chown(bench.home(), Some(uid), Some(uid)).unwrap();
        Self { bench, uid }
    }

    fn aileron(&self, args: &[&str]) -> Call {
        self.bench.aileron(args).user(self.uid)
    }

    fn start(&self, options: &[&str]) -> Daemon {
        self.aileron(&["daemon", "start"]).args(options).succeed();
        self.bench.daemon()
    }

    fn reap(&self) -> Call {
        self.aileron(&["--json", "daemon", "ps", "--reap"])
    }
}

/// What `ps` says of a process.
fn listed(bench: &Bench, pid: u32) -> Option<Value> {
    among(&bench.aileron(&["--json", "daemon", "ps"]).succeed().json(), "daemons", pid)
}

fn among(document: &Value, list: &str, pid: u32) -> Option<Value> {
    document[list].as_array().unwrap().iter().find(|one| one["pid"] == pid).cloned()
}

/// A program under another name: a tool's daemon is known by its program as well.
fn named(bench: &Bench, program: &Path, name: &str) -> PathBuf {
    let there = bench.beside("bin").join(name);
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    // By another process: a program that is open for writing, if only in a fork of ours, cannot be executed.
    bench.call("/bin/cp").arg(program).arg(&there).succeed();
    there
}

/// A shell under the product's name and with its daemon's words, that has the lock of the state directory and then runs
/// `script`: everything that P9 (b) asks for, and none of the manners.
fn shell_daemon(bench: &Bench, script: &str) -> Call {
    let shell = named(bench, Path::new("/bin/sh"), "aileron");
    let script = format!("exec 9<>\"$1/daemon.lock\"; flock 9; {script}");
    bench.call(shell).args(["-c", &script, "--state-dir"]).arg(bench.state()).args(["daemon", "run"])
}

#[test]
fn p9_an_owner_is_listed_with_all_that_is_known_of_it() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let found = listed(&bench, daemon.process.pid()).unwrap();
    assert_eq!(
        (&found["state"], &found["why"], &found["paused"]),
        (&"owner".into(), &Value::Null, &false.into())
    );
    let state = bench.state();
    assert_eq!(found["directory"]["at_start"], state.to_str().unwrap());
    assert_eq!(found["directory"]["now"], state.to_str().unwrap());
    assert_eq!(
        (&found["lock"]["held"]["ino"], &found["lock"]["at_path"]),
        (&daemon.lock.into(), &found["lock"]["held"])
    );
    assert_eq!(
        (found["version"].as_str(), found["url"].as_str()),
        (daemon.record["version"].as_str(), Some(&*daemon.url()))
    );
    assert!(found["age_ms"].as_u64().unwrap() < 600_000, "{found}");
    assert_eq!(found["program_replaced"], false);
    assert!(!found.to_string().contains(&daemon.token), "no token");
}

/// Failure 1: the orphan of a deleted directory is there, and so is the owner of the one that was made after it.
#[test]
fn p9_an_orphan_of_a_deleted_directory_is_listed() {
    let bench = bench!();
    let orphan = bench.start(&BLIND);
    fs::remove_dir_all(bench.state()).unwrap();
    let owner = bench.start(&[]);
    let found = listed(&bench, orphan.process.pid()).unwrap();
    assert_eq!((&found["state"], &found["directory"]["now"]), (&"orphan".into(), &Value::Null));
    assert_eq!(
        (&found["lock"]["held"]["ino"], &found["lock"]["at_path"]["ino"]),
        (&orphan.lock.into(), &owner.lock.into())
    );
    assert!(found["lock"]["link"].as_str().unwrap().ends_with("daemon.lock (deleted)"), "{found}");
    assert_eq!(listed(&bench, owner.process.pid()).unwrap()["state"], "owner");
}

/// What was moved away has a link left: the directory, an ancestor of it, or the lock alone, under a name of its own.
#[test]
fn p9_an_orphan_of_a_renamed_directory_is_listed_as_it_was_and_is() {
    let bench = bench!();
    let moved = bench.beside("moved");
    for (from, to, now) in [
        (bench.state(), moved.clone(), moved.clone()),
        (
            bench.home().to_owned(),
            bench.home().with_file_name("gone"),
            bench.home().with_file_name("gone/.aileron"),
        ),
        (bench.file("daemon.lock"), bench.file("aside"), bench.state()),
    ] {
        let orphan = bench.start(&BLIND);
        fs::rename(&from, &to).unwrap();
        let found = listed(&bench, orphan.process.pid()).unwrap();
        assert_eq!((&found["state"], &found["lock"]["at_path"]), (&"orphan".into(), &Value::Null), "{found}");
        assert_eq!(found["directory"]["at_start"], bench.state().to_str().unwrap());
        assert_eq!(found["directory"]["now"], now.to_str().unwrap());
        // Its record went with it, and names it.
        assert_eq!(found["version"].as_str(), orphan.record["version"].as_str());
        orphan.process.kill();
        orphan.process.wait(PROMPT);
        fs::rename(&to, &from).unwrap();
    }
}

#[test]
fn p9_a_daemon_without_a_record_is_starting() {
    let bench = bench!();
    let slow = named(&bench, bench.programs().slow, "aileron");
    let running = bench.embedder(&slow, &["--init", "60000"]).start();
    let found = until("it is listed", PROMPT, || listed(&bench, running.process.pid()));
    assert_eq!(
        (&found["state"], &found["version"], &found["url"]),
        (&"starting".into(), &Value::Null, &Value::Null)
    );
}

/// Failure 10: what is stopped answers nobody, and is listed all the same.
#[test]
fn p9_a_stopped_daemon_is_listed_as_stopped() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.freeze();
    let found = listed(&bench, daemon.process.pid()).unwrap();
    assert_eq!((&found["state"], &found["paused"]), (&"stopped".into(), &true.into()));
    daemon.process.thaw();
    until("it is the owner again", PROMPT, || {
        (listed(&bench, daemon.process.pid())?["state"] == "owner").then_some(())
    });
}

/// Failure 9: paths and pids of another namespace mean something else here. It is shown, and never taken for an orphan.
#[test]
fn p9_a_daemon_of_another_namespace_is_foreign_and_not_reaped() {
    let bench = bench!();
    // As the only user that can make namespaces everywhere; nothing here is an orphan of it.
    for kind in [&["--pid", "--fork", "--kill-child"][..], &["--mount"]] {
        let call = bench.call("/usr/bin/unshare").args(kind).arg(bench.programs().aileron).arg("--state-dir");
        let unshare = call.arg(bench.state()).args(["daemon", "run"]).args(BLIND).start();
        let in_this_directory = |document: &Value| {
            let list = document["daemons"].as_array().unwrap();
            list.iter()
                .find(|one| one["lock"]["link"] == bench.file("daemon.lock").to_str().unwrap())
                .cloned()
        };
        let list = || bench.aileron(&["--json", "daemon", "ps"]).succeed().json();
        let found = until("it is listed", PROMPT, || in_this_directory(&list()));
        // One that loses its directory before it is ready ends.
        until("it is ready", PROMPT, || bench.file("daemon.pid").exists().then_some(()));
        assert_eq!(found["state"], "foreign", "{kind:?}: {found}");
        let pid = u32::try_from(found["pid"].as_u64().unwrap()).unwrap();
        fs::remove_dir_all(bench.state()).unwrap();
        assert_eq!(listed(&bench, pid).unwrap()["state"], "foreign", "its lock may be no loss where it is");
        let refusal =
            aileron_discovery::process::prove_orphan(&Tool::new("helper-daemon", "0.1.0"), pid).unwrap_err();
        assert!(matches!(refusal, aileron_discovery::process::Refusal::OtherNamespace), "{refusal}");
        unshare.process.kill();
        aileron_tests::processes_mentioning(&bench.state()).iter().for_each(aileron_tests::Process::kill);
    }
}

/// Somebody else's process that has a `daemon.lock`: another tool's daemon with the very same words, and a stranger.
#[test]
fn p9_another_tools_process_is_neither_listed_nor_reaped() {
    let bench = bench!();
    let user = User::new(&bench, 1);
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
    let document = user.reap().succeed().json();
    assert_eq!(document["daemons"].as_array().unwrap().len(), 0, "{document}");
    assert_eq!(document["reaped"].as_array().unwrap().len(), 0, "{document}");
    assert!(other.process.is_alive() && stranger.process.is_alive());
    assert_eq!(user.aileron(&["daemon", "ps"]).succeed().stdout.trim(), "no daemons");
}

/// An embedder lists its own daemons by the same call.
#[test]
fn p9_a_sibling_tool_lists_its_own_only() {
    let bench = bench!();
    let tally = named(&bench, bench.programs().service, "tally");
    let tallies = bench.ready(&bench.embedder(&tally, &[]).start());
    let other = bench!();
    let ours = other.start(&[]);
    let pids = |name: &str| -> Vec<u32> {
        let found = daemons(&Tool::new(name, "1.0.0")).unwrap();
        found.iter().filter(|daemon| daemon.started_in.is_some()).map(|daemon| daemon.process.pid).collect()
    };
    assert!(pids("tally").contains(&tallies.process.pid()) && !pids("tally").contains(&ours.process.pid()));
    assert!(pids("helper-daemon").contains(&ours.process.pid()));
    assert!(!pids("helper-daemon").contains(&tallies.process.pid()));
    assert_eq!(listed(&bench, tallies.process.pid()), None);
}

/// All of them at once, with decoys: a record that names a stranger, and owners of two directories.
#[test]
fn p9_reap_ends_orphans_and_nobody_else() {
    let bench = bench!();
    let user = User::new(&bench, 2);
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

    let document = user.reap().succeed().json();
    let state = |pid| among(&document, "daemons", pid).unwrap()["state"].clone();
    assert_eq!(document["daemons"].as_array().unwrap().len(), 4, "{document}");
    assert_eq!(state(owner.process.pid()), "owner");
    let mut reaped: Vec<_> =
        document["reaped"].as_array().unwrap().iter().map(|one| one["pid"].clone()).collect();
    reaped.sort_by_key(Value::as_u64);
    let mut expected = [deleted.process.pid(), renamed.process.pid()];
    expected.sort_unstable();
    assert_eq!(reaped, expected);
    for orphan in [&deleted, &renamed] {
        assert_eq!(among(&document, "reaped", orphan.process.pid()).unwrap()["outcome"], "ended");
        assert_eq!(orphan.process.wait(PROMPT), End::Status(0), "it was asked, and not killed");
    }
    assert!(owner.process.is_alive() && decoy.process.is_alive());
    user.aileron(&["daemon", "status", "--state-dir"]).arg(&elsewhere).succeed();
    assert_eq!(Tree::of(&bench.state()), before, "nothing was written");
    let document = user.reap().succeed().json();
    assert_eq!(document["reaped"].as_array().unwrap().len(), 0, "{document}");
}

/// One that is stopped is let go on, to end as the others do.
#[test]
fn p9_reap_ends_a_stopped_orphan() {
    let bench = bench!();
    let user = User::new(&bench, 3);
    let orphan = user.start(&BLIND);
    fs::remove_dir_all(bench.state()).unwrap();
    orphan.process.freeze();
    let document = user.reap().succeed().json();
    let found = among(&document, "daemons", orphan.process.pid()).unwrap();
    assert_eq!((&found["state"], &found["paused"]), (&"orphan".into(), &true.into()));
    assert_eq!(orphan.process.wait(PROMPT), End::Status(0));
}

/// One that takes no notice of `SIGTERM` is killed at the deadline, and that is said.
#[test]
fn p9_reap_kills_what_does_not_end() {
    let bench = bench!();
    let user = User::new(&bench, 4);
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
    let user = User::new(&bench, 5);
    bench.make_state();
    chown(bench.state(), Some(user.uid), Some(user.uid)).unwrap();
    // The daemon's child runs the command, and has a program of another name to do it.
    let product = named(&bench, bench.programs().aileron, "aileron-product");
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
    let user = User::new(&bench, 6);
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
    let outcome = user.reap().fail(1);
    let spared = among(&outcome.json(), "reaped", running.process.pid()).unwrap();
    assert_eq!(spared["outcome"], "spared", "{outcome:?}");
    assert!(running.process.is_alive());
}

/// An upgrade replaces the program under a running daemon, which is this tool's daemon all the same.
#[test]
fn p9_a_daemon_whose_program_was_deleted_is_listed() {
    let bench = bench!();
    let program = named(&bench, bench.programs().aileron, "helper-daemon");
    bench.call(&program).args(["daemon", "start"]).args(BLIND).succeed();
    let daemon = bench.daemon();
    fs::remove_file(&program).unwrap();
    let found = listed(&bench, daemon.process.pid()).unwrap();
    assert_eq!((&found["state"], &found["program_replaced"]), (&"owner".into(), &true.into()));
}

/// Two directories of one user; and another user's daemons are nobody's business.
#[test]
fn p9_daemons_of_this_user_and_of_no_other() {
    let (bench, other) = (bench!(), bench!());
    let user = User::new(&bench, 7);
    let daemon = user.start(&[]);
    let roots = other.start(&[]);
    let second = bench.beside("second");
    user.aileron(&["daemon", "start", "--state-dir"]).arg(&second).succeed();
    let document = user.aileron(&["--json", "daemon", "ps"]).succeed().json();
    let listed = document["daemons"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "{document}");
    assert_eq!(
        (&listed[0]["pid"], &listed[1]["directory"]["at_start"]),
        (&daemon.process.pid().into(), &second.to_str().unwrap().into())
    );
    assert!(among(&document, "daemons", roots.process.pid()).is_none());
    assert_eq!(
        among(&other.aileron(&["--json", "daemon", "ps"]).succeed().json(), "daemons", daemon.process.pid()),
        None
    );
}

/// What a person sees: the count first, 80 columns, and the command that helps.
#[test]
fn the_table_is_for_a_person() {
    let bench = bench!();
    let user = User::new(&bench, 8);
    let orphan = user.start(&BLIND);
    fs::remove_dir_all(bench.state()).unwrap();
    let owner = user.start(&BLIND);
    let text = user.aileron(&["daemon", "ps"]).succeed().stdout;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("2 daemons, of which 1 orphan; `aileron daemon ps --reap` ends it"));
    assert_eq!(lines.next(), Some("    PID  STATE     AGE         VERSION   DIRECTORY"));
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.ends_with(".aileron")), "{text}");
    for (daemon, state) in [(&orphan, "orphan"), (&owner, "owner")] {
        let row = text
            .lines()
            .find(|line| line.trim_start().starts_with(&daemon.process.pid().to_string()))
            .unwrap();
        assert!(row.contains(state) && row.ends_with(bench.state().to_str().unwrap()), "{row}");
    }
    let text = user.aileron(&["daemon", "ps", "--reap"]).succeed().stdout;
    assert!(text.contains(&format!("pid {}: ended on SIGTERM", orphan.process.pid())), "{text}");
    assert!(user.aileron(&["daemon", "ps"]).succeed().stdout.starts_with("1 daemon, no orphans\n"));
}

/// Without a home and a state directory: an orphan needs neither to be found.
#[test]
fn the_list_needs_no_home() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let outcome = bench.aileron(&["--json", "daemon", "ps"]).env_remove("HOME").succeed();
    assert!(among(&outcome.json(), "daemons", daemon.process.pid()).is_some());
}

/// While daemons come and go, no list fails, and no daemon is in it twice.
#[test]
fn a_list_while_processes_come_and_go() {
    let bench = bench!();
    let user = User::new(&bench, 9);
    let began = std::time::Instant::now();
    let daemon = user.start(&[]);
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            while began.elapsed() < Duration::from_millis(1500) {
                bench.call("/bin/true").user(user.uid).succeed();
            }
        });
        while !churn.is_finished() {
            let document = user.aileron(&["--json", "daemon", "ps"]).succeed().json();
            let list = document["daemons"].as_array().unwrap();
            assert_eq!(list.len(), 1, "{document}");
            assert_eq!(list[0]["pid"], daemon.process.pid());
        }
    });
}
