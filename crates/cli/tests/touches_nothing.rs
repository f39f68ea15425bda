//! What only tells, touches nothing: no directory is made, no daemon is started, and no home is needed.
#![cfg(target_os = "linux")]

mod place;

use predicates::prelude::*;

use aileron_cli::ExitStatus;
use place::{NOBODY, Place, run};

#[test]
fn help_version_completions_and_man_need_no_home() {
    let place = Place::new();
    let before = place.tree();
    let cases: [(&[&str], &str); 9] = [
        (&["--help"], "Usage: aileron"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["daemon", "--help"], "status"),
        (&["daemon", "run", "--help"], "--lock-poll-interval"),
        (&["url", "--help"], "curl"),
        (&["completions", "bash"], "_aileron"),
        (&["completions", "zsh"], "#compdef aileron"),
        (&["completions", "fish"], "complete -c aileron"),
        (&["man"], ".TH"),
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

/// A reader that goes away (`aileron man | head -1`) is no error worth a message.
#[test]
fn a_closed_pipe_is_quiet() {
    use std::process::Stdio;
    let place = Place::new();
    for args in [&["man"][..], &["completions", "bash"], &["daemon", "status"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.aileron(args);
        let output =
            command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert!(output.status.code().is_some_and(|code| code != 101), "{args:?}: {output:?}");
    }
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
