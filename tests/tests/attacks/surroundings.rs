//! The environment that a command is run in: each oddity is either of no matter or a usage error that names it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use aileron_tests::attack::Page;
use aileron_tests::{Bench, Call, End, Process, bench};

/// One variable, and what `url` has to come to: a daemon (`0`), or a refusal that names the variable.
struct Odd {
    name: &'static str,
    value: &'static [u8],
    expected: i32,
}

/// `{home}` is the bench's.
#[rustfmt::skip]
const ODD: &[Odd] = &[
    Odd { name: "AILERON_TIMEOUT", value: b"banana", expected: 2 },
    Odd { name: "AILERON_TIMEOUT", value: b"-1s", expected: 2 },
    Odd { name: "AILERON_TIMEOUT", value: b"99999999999999999999s", expected: 2 },
    Odd { name: "AILERON_TIMEOUT", value: b"\xff", expected: 2 },
    Odd { name: "AILERON_IDLE_TIMEOUT", value: b"1e9", expected: 2 },
    Odd { name: "AILERON_DRAIN_TIMEOUT", value: b"NaNs", expected: 2 },
    Odd { name: "AILERON_BIND", value: b"0.0.0.0:0", expected: 2 },
    Odd { name: "AILERON_BIND", value: b"[::]:0", expected: 2 },
    Odd { name: "AILERON_BIND", value: b"192.0.2.1:80", expected: 2 },
    Odd { name: "AILERON_BIND", value: b"evil.example:80", expected: 2 },
    Odd { name: "AILERON_BIND", value: b"127.0.0.1:99999", expected: 2 },
    Odd { name: "AILERON_BIND", value: b"127.0.0.1:0 --idle-timeout=1ms", expected: 2 },
    Odd { name: "AILERON_LOCK_POLL_INTERVAL", value: b"0s", expected: 2 },
    Odd { name: "AILERON_LOG_MAX_SIZE", value: b"-5", expected: 2 },
    Odd { name: "AILERON_NO_AUTOSTART", value: b"maybe", expected: 2 },
    Odd { name: "AILERON_LOG", value: b"%s%n", expected: 2 },
    Odd { name: "AILERON_LOG", value: b"trace,x", expected: 2 },
    Odd { name: "AILERON_UNKNOWN", value: b"x", expected: 0 },
    Odd { name: "AILERON_STATE_DIR", value: b"/", expected: 1 },
    Odd { name: "AILERON_STATE_DIR", value: b"/dev/null", expected: 1 },
    Odd { name: "AILERON_STATE_DIR", value: b"{home}/..", expected: 1 },
    Odd { name: "AILERON_STATE_DIR", value: b"", expected: 0 },
    Odd { name: "AILERON_STATE_DIR", value: b"{home}/new\nline\x1b[2J", expected: 0 },
    Odd { name: "AILERON_STATE_DIR", value: b"{home}/\xff\xfe", expected: 0 },
    Odd { name: "AILERON_STATE_DIR", value: b"{home}/--launch-fd", expected: 0 },
    Odd { name: "HOME", value: b"", expected: 1 },
    Odd { name: "HOME", value: b"/etc/passwd", expected: 1 },
    Odd { name: "HOME", value: b"/dev/null", expected: 1 },
    Odd { name: "HOME", value: b"{long}", expected: 1 },
    Odd { name: "HOME", value: b"{home}/new\nline", expected: 0 },
    Odd { name: "HOME", value: b"{home}/\xff\xfe", expected: 0 },
    Odd { name: "HOME", value: b"{home}/not/there/yet", expected: 0 },
    Odd { name: "PATH", value: b"", expected: 0 },
    Odd { name: "PATH", value: b"{home}", expected: 0 },
    Odd { name: "TMPDIR", value: b"/nowhere/at/all", expected: 0 },
    Odd { name: "TMPDIR", value: b"/etc/passwd", expected: 0 },
    Odd { name: "LD_PRELOAD", value: b"/nowhere/evil.so", expected: 0 },
    Odd { name: "LD_LIBRARY_PATH", value: b"{home}:", expected: 0 },
    Odd { name: "LD_AUDIT", value: b"/nowhere/evil.so", expected: 0 },
    Odd { name: "GCONV_PATH", value: b"{home}", expected: 0 },
    Odd { name: "RUST_BACKTRACE", value: b"full", expected: 0 },
    Odd { name: "RUST_LOG", value: b"trace", expected: 0 },
    Odd { name: "SSLKEYLOGFILE", value: b"{home}/keys", expected: 0 },
    Odd { name: "http_proxy", value: b"http://192.0.2.1:1", expected: 0 },
    Odd { name: "LISTEN_FDS", value: b"3", expected: 0 },
    Odd { name: "NOTIFY_SOCKET", value: b"{home}/notify", expected: 0 },
];

/// What a daemon has of its launcher's environment, besides its own variables.
const ITS_OWN: [&str; 4] = ["HOME", "PATH", "TMPDIR", "RUST_BACKTRACE"];

fn filled(bench: &Bench, value: &[u8]) -> OsString {
    if value == b"{long}" {
        return OsString::from(format!("/{}", "x".repeat(5000)));
    }
    match value.strip_prefix(b"{home}") {
        Some(rest) => OsString::from_vec([bench.home().as_os_str().as_bytes(), rest].concat()),
        None => OsStr::from_bytes(value).to_owned(),
    }
}

fn summary(end: End) -> String {
    match end {
        End::Status(code) => code.to_string(),
        other => format!("{other:?}"),
    }
}

/// Runs `url` and, where it has a daemon, has it proved alive by `stop` in the same surroundings.
fn url_and_stop(call: &dyn Fn() -> Call, bench: &Bench, word: &str, value: &str) -> String {
    let url = call().arg("url").run();
    if url.end != End::Status(0) {
        let named = url.stderr.contains(word) || !value.is_empty() && url.stderr.contains(value);
        let none = bench.daemons().is_empty();
        return if named && none { summary(url.end) } else { format!("{url:?}") };
    }
    if !url.stdout.starts_with("http://127.0.0.1:") {
        return format!("{url:?}");
    }
    let inherits = daemons_of(bench).iter().any(|daemon| has_a_foreign_variable(daemon, word));
    let stop = call().arg("stop").run();
    match (inherits, stop.end) {
        (true, _) => format!("the daemon has {word} in its environment"),
        (false, End::Status(0)) => "0".to_owned(),
        (false, _) => format!("{stop:?}"),
    }
}

fn daemons_of(bench: &Bench) -> Vec<Process> {
    aileron_tests::processes_mentioning(bench.root())
}

fn has_a_foreign_variable(daemon: &Process, name: &str) -> bool {
    let is_kept = ITS_OWN.contains(&name) || name.starts_with("AILERON_");
    !is_kept && daemon.proc("environ").split('\0').any(|entry| entry.split('=').next() == Some(name))
}

/// turborepo#11164, t3code#11872, failures 20, 21 and 29.
#[test]
fn p14_a_hostile_environment_is_refused_by_name_or_of_no_matter() {
    let mut page = Page::new("surroundings: variables");
    for Odd { name, value, expected } in ODD {
        let bench = bench!();
        let set = filled(&bench, value);
        let call = || bench.aileron(&[]).env(name, &set);
        let got = url_and_stop(&call, &bench, name, &set.to_string_lossy());
        page.note(format!("{name}={}", value.escape_ascii()), "failure 29", &expected.to_string(), got);
    }
    page.finish(ODD.len());
}

/// What a shell can take away: streams, descriptors, the directory it stands in. `$1` is the product.
#[test]
fn p10_a_hostile_launcher_gets_a_daemon_all_the_same() {
    let scripts = [
        ("no standard streams", "exec \"$@\" <&- >&- 2>&-"),
        ("no standard input", "exec \"$@\" <&-"),
        ("standard streams that are read-only", "exec \"$@\" >/dev/null 2</dev/null"),
        ("a full disk for output", "exec \"$@\" 2>/dev/full"),
        ("16 descriptors", "ulimit -n 16; exec \"$@\""),
        (
            "every descriptor below 64 taken",
            "for n in $(seq 3 63); do eval \"exec $n</dev/null\"; done; exec \"$@\"",
        ),
        (
            "a directory that is gone",
            "mkdir \"$HOME/gone\" && cd \"$HOME/gone\" && rmdir \"$HOME/gone\"; exec \"$@\"",
        ),
        ("a umask of 777", "umask 777; exec \"$@\""),
        ("no files beyond 64 KiB", "ulimit -f 64; exec \"$@\""),
        ("no core, no priority", "ulimit -c 0; ulimit -e 0 2>/dev/null; exec nice -n 19 \"$@\""),
        ("every signal ignored", "trap '' HUP INT QUIT PIPE TERM CHLD USR1 USR2; exec \"$@\""),
    ];
    let mut page = Page::new("surroundings: launchers");
    for (name, script) in scripts {
        let bench = bench!();
        let run = |command: &[&str]| {
            let shell = bench.call("/bin/bash").args(["-c", script, "bash"]);
            shell.arg(bench.programs().aileron).args(command).run()
        };
        let started = run(&["url"]);
        let found = bench.aileron(&["--json", "url"]).run();
        let outcome = if found.end == End::Status(0) {
            found.json()["outcome"].to_string()
        } else {
            format!("{found:?}")
        };
        page.note(
            name,
            "failures 6, 21 and 30",
            "0, then \"found\"",
            format!("{}, then {outcome}", summary(started.end)),
        );
        let stopped = run(&["stop"]);
        page.note(format!("{name}, stop"), "failures 6, 21 and 30", "0", summary(stopped.end));
        assert!(
            !bench.beside("gone").exists() && fs::read_dir(bench.home()).unwrap().count() == 1,
            "nothing else was made"
        );
    }
    page.finish(2 * scripts.len());
}
