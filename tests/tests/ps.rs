//! `daemon ps` and P9 (b), failures 1, 3, 9, 12 and 22: daemons that nobody finds any more, and what is taken for one.
//!
//! The list is of all daemons of a user, and other tests have theirs. A test that counts is a user of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::time::Duration;

use aileron_discovery::Tool;
use aileron_discovery::process::{Refusal, daemons, prove_orphan};
use aileron_tests::user::{BLIND, User, among};
use aileron_tests::{Bench, PROMPT, bench, until};
use serde_json::Value;

/// What `ps` says of a process.
fn listed(bench: &Bench, pid: u32) -> Option<Value> {
    among(&bench.aileron(&["--json", "daemon", "ps"]).succeed().json(), "daemons", pid)
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
    // Whoever would end it as an orphan is refused the proof.
    let refusal = prove_orphan(&Tool::new("helper-daemon", "1.0.0"), daemon.process.pid()).unwrap_err();
    assert!(matches!(refusal, Refusal::NotOrphan(_)), "{refusal}");
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
    let slow = bench.named(bench.programs().slow, "aileron");
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
        let refusal = prove_orphan(&Tool::new("helper-daemon", "0.1.0"), pid).unwrap_err();
        assert!(matches!(refusal, Refusal::OtherNamespace), "{refusal}");
        unshare.process.kill();
        aileron_tests::processes_mentioning(&bench.state()).iter().for_each(aileron_tests::Process::kill);
    }
}

/// An embedder lists its own daemons by the same call.
#[test]
fn p9_a_sibling_tool_lists_its_own_only() {
    let bench = bench!();
    let tally = bench.named(bench.programs().service, "tally");
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

/// An upgrade replaces the program under a running daemon, which is this tool's daemon all the same.
#[test]
fn p9_a_daemon_whose_program_was_deleted_is_listed() {
    let bench = bench!();
    let program = bench.named(bench.programs().aileron, "helper-daemon");
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
    let user = User::new(&bench);
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
    let user = User::new(&bench);
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
    let user = User::new(&bench);
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

/// `stop` is about the owner, and names what else once was this directory's, wherever that is by now.
#[test]
fn p13_an_orphan_of_a_renamed_directory_is_named() {
    let bench = bench!();
    let orphan = bench.start(&BLIND);
    fs::rename(bench.state(), bench.beside("moved")).unwrap();
    bench.start(&[]);
    let document = bench.aileron(&["--json", "stop"]).succeed().json();
    assert_eq!(document["orphans"][0]["pid"], orphan.process.pid(), "{document}");
    assert!(orphan.process.is_alive());
}
