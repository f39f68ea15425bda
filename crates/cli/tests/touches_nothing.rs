//! What only tells, touches nothing: no directory is made, no daemon is started, and no home is needed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

mod place;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use predicates::prelude::*;

use aileron_cli::ExitStatus;
use place::{NOBODY, Place, run};

#[test]
fn help_version_completions_and_man_need_no_home() {
    let place = Place::new();
    let before = place.tree();
    let cases: [(&[&str], &str); 15] = [
        (&["--help"], "Usage: aileron"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["daemon", "--help"], "status"),
        (&["daemon", "run", "--help"], "--lock-poll-interval"),
        (&["url", "--help"], "curl"),
        (&["completions", "bash"], "_aileron"),
        (&["completions", "zsh"], "#compdef aileron"),
        (&["completions", "fish"], "complete -c aileron"),
        (&["completions", "powershell"], "Register-ArgumentCompleter"),
        (&["completions", "elvish"], "edit:completion"),
        (&["--json", "completions", "bash"], r#""shell":"bash""#),
        (&["man"], "EXIT STATUS"),
        (&["man", "daemon"], "aileron\\-daemon"),
        (&["man", "daemon", "logs"], "follow"),
        (&["--json", "man", "daemon", "logs"], r#""name":"aileron-daemon-logs""#),
    ];
    for (args, expected) in cases {
        for home in [true, false] {
            let mut command = place.aileron(args);
            if !home {
                command.env_remove("HOME");
            }
            assert_cmd::Command::from_std(command)
                .assert()
                .success()
                .stdout(predicate::str::contains(expected))
                .stderr(predicate::str::is_empty());
        }
    }
    assert_eq!(place.tree(), before);
}

#[test]
fn the_hidden_entry_is_not_shown() {
    let place = Place::new();
    for args in [&["daemon", "--help"][..], &["man"], &["--help"]] {
        let output = run(place.aileron(args));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("launch-fd"), "{args:?}");
    }
}

#[test]
fn looking_makes_no_directory() {
    let place = Place::new();
    let before = place.tree();
    for (args, status) in [
        (&["daemon", "status"][..], ExitStatus::NotRunning),
        (&["daemon", "status", "--json"], ExitStatus::NotRunning),
        (&["daemon", "logs"], ExitStatus::NotRunning),
        (&["stop"], ExitStatus::Done),
        (&["daemon", "run", "--check"], ExitStatus::Done),
    ] {
        assert_eq!(run(place.aileron(args)).status.code(), Some(status.code().into()), "{args:?}");
        assert_eq!(place.tree(), before, "{args:?}");
    }
}

/// Another user's look at a private directory is refused, and says why.
#[test]
fn a_foreign_directory_is_not_looked_into() {
    use std::os::unix::process::CommandExt as _;
    let place = Place::new();
    place.make_state(0o700);
    let mut command = place.aileron(["daemon", "status"]);
    command.uid(NOBODY).gid(NOBODY);
    let output = run(command);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&*place.state().to_string_lossy()));
}

#[test]
fn a_page_for_no_command_is_wrong_usage() {
    let place = Place::new();
    for words in [&["frobnicate"][..], &["daemon", "serve"], &["daemon", "logs", "more"]] {
        let output = run(place.aileron(["man"].iter().chain(words)));
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}

/// Every command, down to the last; the hidden one is nobody's business.
fn commands(place: &Place, above: &[String], found: &mut Vec<Vec<String>>) {
    let output = run(place.aileron(above.iter().map(String::as_str).chain(["--help"])));
    let help = String::from_utf8(output.stdout).unwrap();
    found.push(above.to_vec());
    let Some((_, list)) = help.split_once("Commands:\n") else { return };
    for line in list.lines().take_while(|line| !line.is_empty()) {
        // The description of a long name may go on in a second line, further in.
        let name = line.strip_prefix("  ").filter(|name| !name.starts_with(' '));
        let Some(name) = name.and_then(|name| name.split_whitespace().next()) else { continue };
        let mut words = above.to_vec();
        words.push(name.to_owned());
        commands(place, &words, found);
    }
}

/// Also where nobody says how wide the terminal is, or says that it is wider.
#[test]
fn every_help_has_an_example_and_80_columns() {
    let place = Place::new();
    let mut all = Vec::new();
    commands(&place, &[], &mut all);
    assert!(all.len() >= 12 && all.iter().any(|words| words.join(" ") == "daemon logs"), "{all:?}");
    for words in &all {
        for (flag, columns) in [("--help", None), ("--help", Some("200")), ("-h", None)] {
            let mut command = place.aileron(words.iter().map(String::as_str).chain([flag]));
            command.envs(columns.map(|columns| ("COLUMNS", columns)));
            let help = String::from_utf8(run(command).stdout).unwrap();
            for line in help.lines() {
                assert!(
                    line.chars().count() <= 80,
                    "{words:?} {flag}: {} columns: {line}",
                    line.chars().count()
                );
            }
            let is_leaf = !help.contains("Commands:\n");
            assert!(!is_leaf || help.contains("Example"), "{words:?}: {help}");
        }
    }
}

/// Colour where it is asked for, and nowhere else that is no terminal.
#[test]
fn colour_follows_what_was_asked_for() {
    let place = Place::new();
    fs::write(
        place.make_state(0o700).join("daemon.log"),
        r#"{"timestamp":"2026-01-02T03:04:05Z","level":"WARN","fields":{"message":"hot"}}"#.to_owned() + "\n",
    )
    .unwrap();
    for (args, variable, is_coloured) in [
        (&["daemon", "logs"][..], None, false),
        (&["--color", "always", "daemon", "logs"], None, true),
        (&["--color", "never", "daemon", "logs"], Some(("CLICOLOR_FORCE", "1")), false),
        (&["daemon", "logs"], Some(("CLICOLOR_FORCE", "1")), true),
        (&["daemon", "logs"], Some(("NO_COLOR", "1")), false),
    ] {
        let mut command = place.aileron(args);
        command.envs(variable);
        let output = run(command);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("WARN") && text.contains("hot"), "{text}");
        assert_eq!(text.contains('\u{1b}'), is_coloured, "{args:?} {variable:?}: {text:?}");
    }
}

/// A reader that goes away (`aileron man | head -1`) is no error worth a message.
#[test]
fn a_closed_pipe_is_quiet() {
    let place = Place::new();
    for args in [
        &["man"][..],
        &["man", "daemon"],
        &["completions", "bash"],
        &["daemon", "status"],
        &["--json", "daemon", "status"],
        &["--help"],
        &["--version"],
        &["daemon", "run", "--check"],
        &["--quiet", "daemon", "unit", "systemd"],
        &["--quiet", "daemon", "unit", "launchd"],
        &["--json", "stop"],
    ] {
        is_quiet(&place, args);
    }
    let log = place.make_state(0o700).join("daemon.log");
    fs::write(log, "a line\n".repeat(10_000)).unwrap();
    is_quiet(&place, &["daemon", "logs", "-n", "10000"]);
    is_quiet(&place, &["daemon", "logs", "-f"]);
    is_quiet(&place, &["daemon", "logs", "-f", "-n", "0"]);
}

fn is_quiet(place: &Place, args: &[&str]) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.aileron(args);
    let mut child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("{args:?} goes on without a reader");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    assert!(output.status.code().is_some_and(|code| code != 101), "{args:?}: {output:?}");
}

/// The statuses are a contract: numbers without a gap, each with a meaning of its own.
#[test]
fn exit_statuses_are_ten_numbers() {
    let codes: Vec<u8> = ExitStatus::ALL.into_iter().map(ExitStatus::code).collect();
    assert_eq!(codes, (0..10).collect::<Vec<u8>>());
    let mut meanings: Vec<_> = ExitStatus::ALL.into_iter().map(ExitStatus::meaning).collect();
    meanings.sort_unstable();
    meanings.dedup();
    assert_eq!(meanings.len(), 10);
}
