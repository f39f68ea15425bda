//! Bad input: a message with path, step and next command, the right exit status, no hang, no panic, nothing written.
//!
//! What is said is a snapshot, one for each family of cases, with the paths of the run taken out.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

mod place;

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use place::{NOBODY, Place, run};

/// Runs a command that must fail with `status` and change nothing; what it says, for the snapshot.
fn refused(place: &Place, title: &str, status: i32, command: Command) -> String {
    let before = place.tree();
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{title}: {said}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "",
        "{title}: results go to standard output, errors do not"
    );
    assert!(!said.contains("panicked"), "{title}: {said}");
    assert_eq!(place.tree(), before, "{title}: nothing is written");
    format!("## {title}: status {status}\n{}\n", filtered(place, &said))
}

/// A text with the paths of this run taken out.
fn filtered(place: &Place, text: &str) -> String {
    text.replace(&*place.home().to_string_lossy(), "[HOME]").replace(&"x".repeat(200), "[LONG]")
}

/// An error of ours, not of the argument parser: path, step and what to do next.
fn is_complete(said: &str) {
    assert!(said.contains("step: ") && said.contains("next: "), "{said}");
    assert!(said.contains("[HOME]") || said.contains("HOME is not set"), "{said}");
}

/// The commands that need the directory; none may treat it more lightly than the others.
const COMMANDS: [&[&str]; 4] = [&["url"], &["daemon", "start"], &["daemon", "run"], &["daemon", "status"]];

fn refused_by_all(title: &str, prepare: fn(&Place)) -> String {
    let mut all = String::new();
    for command in COMMANDS {
        let place = Place::new();
        prepare(&place);
        let said = refused(&place, &format!("{title}, {}", command.join(" ")), 1, place.aileron(command));
        is_complete(&said);
        all.push_str(&said);
    }
    all
}

#[test]
fn a_state_directory_that_cannot_be_one() {
    let mut said = refused_by_all("a file", |place| fs::write(place.state(), "keep").unwrap());
    said += &refused_by_all("a symlink", |place| {
        fs::create_dir(place.home().join("real")).unwrap();
        symlink("real", place.state()).unwrap();
    });
    said += &refused_by_all("a dangling symlink", |place| symlink("nowhere", place.state()).unwrap());
    said += &refused_by_all("group-writable", |place| drop(place.make_state(0o770)));
    said += &refused_by_all("world-writable", |place| drop(place.make_state(0o1777)));
    said += &refused_by_all("somebody else's", |place| {
        let state = place.make_state(0o700);
        chown(state, Some(NOBODY), Some(NOBODY))
            .expect("this test must be run as root: it passes for nothing without");
    });
    insta::assert_snapshot!("state_directory", said);
}

/// As an unprivileged user, for root may write everywhere.
fn as_nobody(place: &Place, args: &[&str]) -> Command {
    let mut command = place.aileron(args);
    command.uid(NOBODY).gid(NOBODY);
    command
}

#[test]
fn a_state_directory_that_cannot_be_made_or_written() {
    let place = Place::new();
    let mut said = String::new();
    for args in [&["url"][..], &["daemon", "run"]] {
        said += &refused(&place, &format!("not creatable, {}", args.join(" ")), 1, as_nobody(&place, args));
    }
    let read_only = Place::new();
    let state = read_only.make_state(0o500);
    chown(&state, Some(NOBODY), Some(NOBODY))
        .expect("this test must be run as root: it passes for nothing without");
    for args in [&["url"][..], &["daemon", "run"]] {
        said +=
            &refused(&read_only, &format!("read-only, {}", args.join(" ")), 1, as_nobody(&read_only, args));
    }
    said.split("## ").skip(1).for_each(is_complete);
    // Looking needs no more than reading.
    assert_eq!(run(as_nobody(&read_only, &["daemon", "status"])).status.code(), Some(3));
    insta::assert_snapshot!("not_writable", said);
}

#[test]
fn a_path_that_is_none() {
    let place = Place::new();
    let long_name = place.home().join("x".repeat(300));
    let long_path = place.home().join(format!("{}/s", "x".repeat(200)).repeat(30));
    let mut said = String::new();
    for (title, path) in [("too long a name", long_name.as_path()), ("too long a path", &long_path)] {
        let args = [Path::new("--state-dir"), path, Path::new("url")];
        said += &refused(&place, title, 1, place.aileron(args));
    }
    for path in ["/", "/tmp/.."] {
        said += &refused(&place, path, 1, place.aileron(["--state-dir", path, "url"]));
    }
    said += &refused(&place, "below a file", 1, {
        fs::write(place.home().join("file"), "keep").unwrap();
        place.aileron([Path::new("--state-dir"), &place.home().join("file/state"), Path::new("url")])
    });
    insta::assert_snapshot!("paths", said);
}

#[test]
fn a_home_that_is_unset_or_empty() {
    let place = Place::new();
    let mut said = String::new();
    for args in COMMANDS.into_iter().chain([&["stop"][..], &["daemon", "logs"]]) {
        let mut unset = place.aileron(args);
        unset.env_remove("HOME");
        let mut empty = place.aileron(args);
        empty.env("HOME", "").env("AILERON_STATE_DIR", "");
        let text = refused(&place, &args.join(" "), 1, unset);
        assert_eq!(refused(&place, &args.join(" "), 1, empty), text, "an empty variable counts as unset");
        is_complete(&text);
        said += &text;
    }
    insta::assert_snapshot!("no_home", said);
}

/// Puts something at a path.
type Put = fn(&Path);

#[test]
fn a_lock_or_gate_that_is_no_file() {
    let kinds: [(&str, Put); 3] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a symlink", |path| symlink("/nowhere", path).unwrap()),
        ("a FIFO", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ];
    let mut said = String::new();
    for (kind, put) in kinds {
        for (name, args) in [
            ("daemon.lock", &["url"][..]),
            ("daemon.lock", &["daemon", "run"]),
            ("daemon.lock", &["daemon", "status"]),
            ("start.lock", &["url"]),
            ("start.lock", &["stop"]),
        ] {
            let place = Place::new();
            let path = place.make_state(0o700).join(name);
            put(&path);
            // A client that comes to the gate first makes it; nothing else may change.
            if name == "daemon.lock" {
                fs::write(place.state().join("start.lock"), "").unwrap();
            } else {
                fs::write(place.state().join("daemon.lock"), "").unwrap();
            }
            let text =
                refused(&place, &format!("{name} is {kind}, {}", args.join(" ")), 1, place.aileron(args));
            assert!(text.contains(name) && text.contains(kind), "{text}");
            is_complete(&text);
            said += &text;
        }
    }
    insta::assert_snapshot!("lock_and_gate", said);
}

#[test]
fn a_port_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    let mut command = place.aileron(["daemon", "run", "--bind", &address]);
    command.stdin(Stdio::null());
    let output = run(command);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&address) && said.contains("step: listen") && said.contains("next: "), "{said}");
    assert!(!place.state().join("daemon.json").exists());
}

#[test]
fn arguments_and_variables_that_mean_nothing() {
    let place = Place::new();
    let mut said = String::new();
    // These print the help, whose text is no matter here.
    for args in [&[][..], &["daemon"]] as [&[&str]; 2] {
        refused(&place, "no command", 2, place.aileron::<&str>(args.iter().copied()));
    }
    let arguments: [&[&str]; 14] = [
        &["frobnicate"],
        &["daemon", "frobnicate"],
        &["url", "--frobnicate"],
        &["url", "extra"],
        &["--timeout", "5", "url"],
        &["--timeout", "-5s", "url"],
        &["--timeout", "soon", "url"],
        &["--timeout", "0s", "url"],
        &["daemon", "run", "--bind", "0.0.0.0:0"],
        &["daemon", "start", "--bind", "localhost:80"],
        &["daemon", "run", "--lock-poll-interval", "1ms"],
        &["daemon", "run", "--lock-poll-interval", "25h"],
        &["daemon", "run", "--drain-timeout", "9000h"],
        &["daemon", "run", "--idle-timeout", "9000h"],
    ];
    for args in arguments {
        said += &refused(&place, &args.join(" "), 2, place.aileron(args));
    }
    for (name, value) in [
        ("AILERON_TIMEOUT", "5"),
        ("AILERON_BIND", "8.8.8.8:80"),
        ("AILERON_IDLE_TIMEOUT", "a while"),
        ("AILERON_NO_LOCK_EVENTS", "perhaps"),
        ("AILERON_LOG_MAX_SIZE", "10MB"),
        ("AILERON_NO_AUTOSTART", "maybe"),
        ("AILERON_LOCK_POLL_INTERVAL", "0s"),
        ("AILERON_TIMEOUT", "0s"),
        ("AILERON_DRAIN_TIMEOUT", "9000h"),
        ("AILERON_IDLE_TIMEOUT", "9000h"),
        ("AILERON_LOG", "loud"),
        ("AILERON_LOG_LEVEL", "loud"),
        ("AILERON_API_URL", "somewhere"),
    ] {
        let mut command = place.aileron(["url"]);
        command.env(name, value);
        let text = refused(&place, &format!("{name}={value}"), 2, command);
        let message = text.lines().find_map(|line| line.strip_prefix("aileron: "));
        assert!(message.is_some_and(|message| message.contains(name)), "{text}");
        said += &text;
    }
    insta::assert_snapshot!("usage", said);
}

/// The hidden entry is not to be typed; a descriptor that is no launch pipe is no reason to be a daemon.
#[test]
fn a_launch_descriptor_that_is_none() {
    let place = Place::new();
    for number in ["0", "2", "77", "-1", "many"] {
        let argument = format!("--launch-fd={number}");
        refused(&place, number, 2, place.aileron(["daemon", "serve", &argument]));
    }
}

/// What the parser would advise a person is advised to a program as well.
#[test]
fn a_tip_is_a_hint_with_json() {
    let place = Place::new();
    let hint = |args: &[&str]| {
        let output = run(place.aileron([&["--json"], args].concat()));
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let document: Value = serde_json::from_slice(&output.stderr).unwrap();
        document["error"]["hint"].as_str().unwrap().to_owned()
    };
    assert!(hint(&["daemon", "strat"]).contains("'start'"), "{}", hint(&["daemon", "strat"]));
    assert!(hint(&["daemon", "start", "--idle-time", "5s"]).contains("--idle-timeout"));
    assert_eq!(hint(&["daemon", "stop", "now"]), "`aileron --help` lists what can be said");
    // An option that is given as nothing is no option that was not given.
    assert!(hint(&["--state-dir", "", "url"]).contains("--help"));
    assert!(!place.home().join(".aileron").exists());
}

#[test]
fn a_log_that_would_hold_nothing_is_refused() {
    let place = Place::new();
    for size in ["0", "1", "4095"] {
        let said = refused(&place, size, 2, place.aileron(["daemon", "start", "--log-max-size", size]));
        assert!(said.contains("--log-max-size: a log needs 4096 bytes at the least"), "{said}");
        let mut command = place.aileron(["url"]);
        command.env("AILERON_LOG_MAX_SIZE", size);
        let said = refused(&place, size, 2, command);
        assert!(said.contains("AILERON_LOG_MAX_SIZE: a log needs 4096 bytes"), "{said}");
    }
}

#[test]
fn help_is_had_either_way() {
    let place = Place::new();
    for words in [&[][..], &["daemon"], &["daemon", "restart"]] {
        let asked = run(place.aileron([&["help"], words].concat()));
        let usual = run(place.aileron([words, &["--help"]].concat()));
        assert_eq!((asked.status.code(), asked.stdout), (Some(0), usual.stdout), "{words:?}");
    }
    refused(&place, "help of nothing", 2, place.aileron(["help", "nothing"]));
}

/// What a program needs of an error, whichever command it used.
#[test]
fn errors_are_documents_with_json() {
    let place = Place::new();
    fs::write(place.state(), "keep").unwrap();
    for args in COMMANDS.into_iter().chain([&["stop"][..], &["daemon", "logs"]]) {
        let output = run(place.aileron(["--json"].iter().chain(args)));
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stdout.is_empty());
        let document: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(document["schema"], 1);
        let error = document["error"].as_object().unwrap();
        for name in ["kind", "message", "path", "step", "hint"] {
            assert!(error[name].is_string(), "{args:?}: `{name}` in {document}");
        }
        assert_eq!(
            (&error["exit_status"], &error["path"]),
            (&1.into(), &place.state().to_string_lossy().into())
        );
    }
}

/// Usage errors are documents too: a program that asked for JSON is told in JSON.
#[test]
fn usage_errors_are_documents_with_json() {
    let place = Place::new();
    let mut command = place.aileron(["--json", "url"]);
    command.env("AILERON_TIMEOUT", "soon");
    let output = run(command);
    assert_eq!(output.status.code(), Some(2));
    let document: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&document["error"]["kind"], &document["error"]["exit_status"]), (&"usage".into(), &2.into()));
}

/// The parser of arguments has its own way of printing what it did not understand; a script that asked for documents parses
/// those alone.
#[test]
fn arguments_that_are_not_understood_are_documents_with_json() {
    for arguments in [vec!["url", "--no-such-option", "--json"], vec!["--json", "daemon", "frobnicate"]] {
        let output = run(Place::new().aileron(arguments));
        assert_eq!(output.status.code(), Some(2));
        let document: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(document["error"]["kind"], "usage");
    }
}

/// A mistyped level was taken for a target's name, and switched all logging off for the daemon's whole life.
#[test]
fn a_log_level_that_is_none_is_named() {
    let place = Place::new();
    let mut command = place.aileron(["url"]);
    command.env("AILERON_LOG", "warning");
    let output = run(command);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("AILERON_LOG=warning"), "{output:?}");
}

/// Longer ago than the calendar reaches is as good as for ever.
#[test]
fn the_longest_time_ago_is_no_panic() {
    let output = run(Place::new().aileron(["daemon", "logs", "--since", "200000000h"]));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}
