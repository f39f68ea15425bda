//! What `daemon status` tells a person, and that it only looks.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::Path;

use aileron_tests::{Bench, PROMPT, Tree, bench, lock_file};

/// The text, with this exit status; every line fits, unless one word (a path) is longer.
fn text(bench: &Bench, exit_status: i32) -> String {
    let outcome = bench.aileron(&["--timeout", "1s", "daemon", "status"]).fail(exit_status);
    assert_eq!(outcome.stderr, "");
    for line in outcome.stdout.lines() {
        let rest = line.get(13..).unwrap_or_default();
        assert!(line.chars().count() <= 80 || !rest.contains(' '), "too wide: {line}");
    }
    outcome.stdout
}

/// The value of a row, with what goes on in the next lines.
fn row(text: &str, name: &str) -> String {
    let mut lines = text.lines().skip(1).skip_while(|line| !line.starts_with(&format!("  {name} ")));
    let first = lines.next().unwrap_or_else(|| panic!("no `{name}` in:\n{text}"));
    assert!(first.len() > 13 && !first[13..].starts_with(' '), "not aligned: {first}");
    let more = lines.take_while(|line| line.starts_with(&" ".repeat(13))).map(|line| &line[13..]);
    std::iter::once(&first[13..]).chain(more).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_line_says_what_a_person_wants_and_the_rows_the_rest() {
    let bench = bench!();
    let daemon = bench.start(&["--idle-timeout", "1h"]);
    let shown = text(&bench, 0);
    let first = format!("running  {}  pid {}", daemon.url(), daemon.process.pid());
    assert_eq!(shown.lines().next(), Some(first.as_str()));
    assert!(row(&shown, "up").contains(", since 20"), "{shown}");
    assert_eq!(row(&shown, "version"), format!("{}, protocol 1", daemon.record["version"].as_str().unwrap()));
    assert_eq!(row(&shown, "instance"), daemon.instance);
    assert_eq!(row(&shown, "in flight"), "0");
    assert!(row(&shown, "idle exit").starts_with("in 59m") || row(&shown, "idle exit") == "in 1h", "{shown}");
    assert_eq!(row(&shown, "watcher"), "file events, and a look every 5s");
    assert_eq!(row(&shown, "directory"), format!("{} (by HOME)", bench.state().display()));
    assert!(row(&shown, "lock").starts_with("held by the daemon and at the path, inode "), "{shown}");
    assert!(row(&shown, "lock").ends_with(&daemon.lock.to_string()), "{shown}");
    assert_eq!(row(&shown, "log"), bench.file("daemon.log").display().to_string());

    bench.aileron(&["stop", "--hold"]).succeed();
    let shown = text(&bench, 3);
    assert_eq!(shown.lines().next(), Some("not running"));
    assert!(row(&shown, "last exit").starts_with("stop_request at 20"), "{shown}");
    assert!(row(&shown, "hold").starts_with("set: "), "{shown}");
    assert!(row(&shown, "lock").starts_with("free, inode "), "{shown}");

    // Why the last one ended is of interest also where the next one runs.
    bench.start(&["--no-lock-events"]);
    let shown = text(&bench, 0);
    assert!(row(&shown, "last exit").starts_with("stop_request at 20"), "{shown}");
    assert_eq!(row(&shown, "idle exit"), "never");
    assert_eq!(row(&shown, "watcher"), "poll: a look every 1s, because file events are switched off");
}

/// In a state that is none of the good ones, the reason is in a row of its own.
#[test]
fn a_state_that_needs_a_reason_has_one() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.freeze();
    let shown = text(&bench, 4);
    assert_eq!(shown.lines().next(), Some(format!("unresponsive  pid {}", daemon.process.pid()).as_str()));
    assert!(!row(&shown, "why").is_empty());
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    let shown = text(&bench, 3);
    assert_eq!(shown.lines().next(), Some("not running"));
    assert!(row(&shown, "why").starts_with("the record is stale: "), "{shown}");
}

/// It starts nothing and writes nothing, in whatever state the directory is.
#[test]
fn looking_changes_nothing() {
    let states: [fn(&Bench); 6] = [
        |_| {},
        Bench::make_state,
        |bench| drop(bench.start(&[])),
        |bench| bench.start(&[]).process.freeze(),
        |bench| {
            let daemon = bench.start(&[]);
            daemon.process.kill();
            daemon.process.wait(PROMPT);
        },
        |bench| {
            bench.make_state();
            fs::write(bench.file("daemon.json"), "{").unwrap();
            fs::write(bench.file("hold"), "").unwrap();
        },
    ];
    for (number, prepare) in states.into_iter().enumerate() {
        let bench = bench!();
        prepare(&bench);
        let (before, daemons) = (Tree::of(bench.home()), bench.daemons().len());
        for args in [&["daemon", "status"][..], &["--json", "daemon", "status"]] {
            bench.aileron(&["--timeout", "500ms"]).args(args).run();
            assert_eq!(Tree::of(bench.home()), before, "state {number}");
            assert_eq!(bench.daemons().len(), daemons, "state {number}");
        }
    }
}

/// A path that is too long for a line is not broken: it is there to be copied.
#[test]
fn a_long_path_stays_whole() {
    let bench = bench!();
    let long = bench.beside(&"x".repeat(120));
    let outcome = bench.aileron(&["daemon", "status", "--state-dir"]).arg(&long).fail(3);
    let path = Path::new(&long).join("daemon.log");
    assert!(outcome.stdout.lines().any(|line| line.ends_with(path.to_str().unwrap())), "{}", outcome.stdout);
}

/// A pid is a hint (P6): one that the record names and nobody has proved may be anybody's by now, and is shown as what the record
/// says, never as the daemon's.
#[test]
fn a_pid_that_only_the_record_names_is_not_the_daemons() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    let _stranger = lock_file(&bench.file("daemon.lock"));
    let mut record = daemon.record.clone();
    let mut claims = |change: fn(&mut serde_json::Value), state: &str, exit_status| {
        change(&mut record);
        fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
        let outcome =
            bench.aileron(&["--timeout", "1s", "--json", "daemon", "status"]).fail(exit_status).json();
        assert_eq!(
            (&outcome["state"], &outcome["pid"]),
            (&state.into(), &serde_json::Value::Null),
            "{outcome}"
        );
        let why = outcome["why"].as_str().unwrap();
        assert!(why.contains(&format!("its record names pid {}", std::process::id())), "{why}");
        let first = text(&bench, exit_status).lines().next().unwrap().to_owned();
        assert_eq!(first, state, "no pid in the first line");
    };
    claims(|record| record["pid"] = std::process::id().into(), "unresponsive", 4);
    claims(|record| record["process"]["boot_id"] = "another".into(), "elsewhere", 5);
}
