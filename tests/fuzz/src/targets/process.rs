//! What is read of other processes, and of names that others gave to files.

use std::ffi::OsString;

use aileron_discovery::fuzzing::{self, Stat};
use aileron_discovery::process::HeldFlock;
use aileron_discovery::survey::Role;
use aileron_discovery::{FileId, Tool};

use super::{Outcome, accepted, refused_as};

/// What readers of the process table trip over.
pub(super) const TOKENS: &[&[u8]] = &[
    b")",
    b") ",
    b"(",
    b" (",
    b"\n",
    b"\0",
    b"\xff",
    b" ",
    b"\t",
    b":",
    b"::",
    b"/",
    b"..",
    b"0",
    b"-1",
    b"18446744073709551616",
    b"4294967296",
    b") S 1 ",
    b") Z 1 ",
    b") T 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 ",
    b"lock:\t1: FLOCK  ADVISORY  WRITE 41 fe:00:1234 0 EOF",
    b"\nlock:\t",
    b"FLOCK",
    b"POSIX",
    b"READ",
    b"WRITE",
    b"->",
    b"0::/",
    b"1:name=systemd:/",
    b"name=systemd",
    b"daemon\0serve\0",
    b"daemon",
    b"run",
    b"--state-dir=",
    b"--state-dir\0",
    b"AILERON_STATE_DIR=",
    b"AILERON_STATE_DIR",
    b"daemon.lock",
    b".aside.",
    b" (deleted)",
    b".new",
    b".daemon.json",
    b"hold",
];

/// The name of a process is whatever it says it is.
pub(super) fn process_stat(bytes: &[u8]) -> Outcome {
    const REST: &str = " 7 41 41 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 1234567 1 2 3\n";
    let name = &bytes[..bytes.len().min(64)];
    for (state, is_paused) in
        [("S", Some(false)), ("T", Some(true)), ("t", Some(true)), ("Z", None), ("X", None)]
    {
        let line = [b"41 (", name, b") ", state.as_bytes(), REST.as_bytes()].concat();
        let expected =
            is_paused.map(|is_paused| Stat { parent: Some(7), start_time: Some(1_234_567), is_paused });
        assert_eq!(fuzzing::stat(&line), expected, "a name makes a process another one");
    }
    match fuzzing::stat(bytes) {
        None => refused_as((bytes.contains(&b')'), bytes.is_empty())),
        Some(Stat { parent, start_time, is_paused }) => {
            accepted((parent.is_some(), start_time.is_some(), is_paused))
        }
    }
}

pub(super) fn lock_lines(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let mut found = 0;
    for (line, file) in text.lines().filter_map(|line| Some((line, fuzzing::exclusive_flock(line)?))) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        assert!(line.starts_with("lock:"), "`{line}` is no lock");
        assert!(words.contains(&"FLOCK") && words.contains(&"WRITE"), "`{line}` is no exclusive flock");
        assert!(line.contains(&file.to_string()), "{file} is not in `{line}`");
        found += 1;
    }
    let locks = text.lines().filter(|line| line.starts_with("lock:")).count();
    Outcome { what: format!("{} of {}", found.min(3), locks.min(3)), accepted: found > 0 }
}

/// Arguments or an environment.
pub(super) fn process_words(bytes: &[u8]) -> Outcome {
    const NAME: &str = "AILERON_STATE_DIR";
    let words = fuzzing::words(bytes);
    assert_eq!(words.join(&0), bytes.strip_suffix(b"\0").unwrap_or(bytes), "no byte is lost between words");
    let value = words.iter().find_map(|word| fuzzing::value_of(word, NAME));
    if let Some(value) = value {
        let whole = [NAME.as_bytes(), b"=", value].concat();
        assert!(words.contains(&whole.as_slice()), "a value is that of this variable, and of no longer name");
    }
    let texts: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let arguments: Vec<OsString> = texts.iter().map(OsString::from).collect();
    let named = fuzzing::named_by_option(&arguments);
    if let Some(directory) = &named {
        let directory = directory.to_str().expect("made of text");
        let joined = texts.contains(&format!("--state-dir={directory}"));
        let apart = texts.windows(2).any(|pair| pair[0] == "--state-dir" && pair[1] == directory);
        assert!(!directory.is_empty() && (joined || apart), "`{directory}` is not what the option says");
    }
    let is_daemon = Tool::new("aileron", "1.0.0").is_daemon_command(&texts);
    let says_so =
        texts.windows(2).any(|pair| pair[0] == "daemon" && matches!(pair[1].as_str(), "serve" | "run"));
    assert_eq!(is_daemon, says_so, "a daemon is known by two words in sequence");
    let what = (value.is_some(), named.is_some(), is_daemon, words.len().min(3));
    Outcome { what: format!("{what:?}"), accepted: value.is_some() || named.is_some() || is_daemon }
}

pub(super) fn control_group(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let path = fuzzing::control_group(&text);
    let said = text.lines().any(|line| line.ends_with(&format!(":{path}")));
    assert!(path == "/" || said, "`{path}` is on no line");
    assert!(!path.contains('\n'), "a path is a part of one line");
    let what = (path.is_empty(), path == "/", text.contains("0::/"), text.contains("name=systemd"));
    Outcome { what: format!("{what:?}"), accepted: path != "/" }
}

/// A name in the state directory; the last of a path that the kernel shows.
pub(super) fn file_names(bytes: &[u8]) -> Outcome {
    const OURS: [&str; 8] = [
        "daemon.lock",
        "start.lock",
        "daemon.json",
        "daemon.pid",
        "daemon.log",
        "daemon.log.1",
        "daemon.exit.json",
        "hold",
    ];
    let name = String::from_utf8_lossy(bytes);
    let role = fuzzing::role(&Tool::new("aileron", "1.0.0"), &name);
    match role {
        Some(Role::File) => assert!(OURS.contains(&&*name), "`{name}` is not ours"),
        Some(Role::Temporary) => {
            assert!(matches!(&*name, ".daemon.json.new" | ".daemon.pid.new"), "`{name}`");
        }
        Some(Role::Aside) => {
            assert!(OURS.iter().any(|ours| name.starts_with(&format!("{ours}.aside."))), "`{name}`");
        }
        None => {}
    }
    let file = FileId { dev: 1, ino: 1 };
    let held = HeldFlock { file, path: format!("/x/{name}").into(), links: 1, is_empty_file: true };
    let is_lock = fuzzing::is_named(&held, "daemon.lock");
    let last = name.trim_end_matches(['/', '.']).rsplit('/').next().unwrap_or_default();
    assert!(!is_lock || matches!(last, "daemon.lock" | "daemon.lock (deleted)"), "`{name}` is not the lock");
    Outcome { what: format!("{role:?} {is_lock}"), accepted: role.is_some() || is_lock }
}
