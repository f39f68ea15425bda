//! `docs/json.md` against the program: each document is produced for real, each of its fields is on the page with that type,
//! and each field and value on the page has occurred.
//!
//! A new command: a section on the page, and its documents in a function of [`PRODUCERS`].
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use aileron_server::ShutdownReason;
use aileron_tests::page::{flatten, kind_of, parse, row};
use aileron_tests::user::BLIND;
use aileron_tests::{
    Bench, Call, End, Mount, PROMPT, Process, bench, copy_program, in_own_mounts, lock_file, until,
};
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/json.md");

/// The sections, by the command that they begin with.
const STATUS: &str = "daemon status";
const URL: &str = "url";
const STOP: &str = "daemon stop";
const RESTART: &str = "daemon restart";
const PS: &str = "daemon ps";
const DOCTOR: &str = "daemon doctor";
const CHECK: &str = "daemon run --check";
const LOGS: &str = "daemon logs";
const UNIT: &str = "daemon unit";
const COMPLETIONS: &str = "completions";
const MAN: &str = "man";
const ERRORS: &str = "Errors";

/// A document, and the section that it belongs to.
type Produced = Vec<(&'static str, Value)>;

/// Each with a bench of its own, all at once.
const PRODUCERS: [fn() -> Produced; 14] = [
    plain,
    running,
    full,
    not_running,
    starting,
    frozen,
    elsewhere,
    jammed,
    orphaned,
    errors,
    restarted,
    listed,
    reaped,
    diagnosed,
];

#[test]
fn the_page_says_what_the_program_prints() {
    let page = parse(PAGE);
    let documents: Produced = std::thread::scope(|scope| {
        let running: Vec<_> = PRODUCERS.into_iter().map(|producer| scope.spawn(producer)).collect();
        running.into_iter().flat_map(|producer| producer.join().expect("a producer")).collect()
    });
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut values: BTreeMap<(&str, String), BTreeSet<String>> = BTreeMap::new();
    for (name, document) in &documents {
        let section = &page[name];
        let mut found = Vec::new();
        flatten("", document, &mut found);
        for (path, value) in found {
            let Some((row, field)) = row(section, &path) else {
                panic!("{name}: no row for `{path}`: {document:#}")
            };
            if value.is_null() {
                assert!(field.may_be_null, "{name}: `{path}` is null: {document:#}");
                continue;
            }
            assert!(
                [kind_of(&value), "any"].contains(&field.kind),
                "{name}: `{path}` is {value}, no {}",
                field.kind
            );
            seen.insert((name, row));
            if let Value::String(text) = value {
                values.entry((name, path)).or_default().insert(text);
            }
        }
        // What may be null is there all the same; what is in something else goes with it.
        if *name != LOGS {
            for field in section.fields.keys().filter(|field| !field.contains(['.', '['])) {
                assert!(document.get(field).is_some(), "{name}: no `{field}` in {document:#}");
            }
        }
    }
    for (name, section) in &page {
        for field in section.fields.keys() {
            assert!(seen.contains(&(*name, *field)), "{name}: `{field}` never occurs");
        }
        for (field, listed) in &section.values {
            let occurred = values.get(&(*name, (*field).to_owned())).cloned().unwrap_or_default();
            let unlisted: Vec<_> = occurred.difference(listed).collect();
            assert!(unlisted.is_empty(), "{name}: `{field}` has values that are not listed: {unlisted:?}");
            // Those are too many to have happen here: the first two are compared with the code below, and each of the third
            // has a test of its own in `reap.rs` or cannot be made to happen.
            if !["error.kind", "last_exit.reason", "reaped[].outcome"].contains(field) {
                assert_eq!(&occurred, listed, "{name}: `{field}` has values that never occur");
            }
        }
    }
}

#[test]
fn the_reasons_on_the_page_are_those_of_the_program() {
    use ShutdownReason::{Displaced, Idle, ServeError, Sighup, Sigint, Sigterm, StopRequest, VitalTask};
    let all = [StopRequest, Sigterm, Sigint, Sighup, Idle, Displaced, ServeError, VitalTask];
    let all: BTreeSet<String> = all.into_iter().map(|reason| reason.name().to_owned()).collect();
    assert_eq!(parse(PAGE)[STATUS].values["last_exit.reason"], all);
}

/// Every kind of failure that stands in the source of the command line, and no other.
#[test]
fn the_kinds_of_errors_on_the_page_are_those_of_the_program() {
    let mut kinds = BTreeSet::new();
    kinds_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cli/src"), &mut kinds);
    assert!(kinds.len() > 20, "the source is not read as it is written: {kinds:?}");
    assert_eq!(parse(PAGE)[ERRORS].values["error.kind"], kinds);
}

/// The first argument of each `Failure::new(`, `Self::new(` and `of(`, where it is a literal.
fn kinds_below(directory: &Path, kinds: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            kinds_below(&path, kinds);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for call in ["Failure::new(", "Self::new(", "of("] {
            for (at, _) in text.match_indices(call) {
                let argument = text[at + call.len()..].trim_start();
                let is_word = |kind: &&str| kind.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let kind = argument.strip_prefix('"').and_then(|rest| rest.split('"').next()).filter(is_word);
                kinds.extend(kind.map(String::from));
            }
        }
    }
}

/// A command with `--json`.
fn call(bench: &Bench, args: &[&str]) -> Call {
    bench.aileron(&["--json"]).args(args)
}

/// What it prints, with exit status 0.
fn json(bench: &Bench, args: &[&str]) -> Value {
    call(bench, args).succeed().json()
}

fn status(bench: &Bench, exit_status: i32) -> (&'static str, Value) {
    (STATUS, call(bench, &["--timeout", "1s", "daemon", "status"]).fail(exit_status).json())
}

/// What needs no daemon.
fn plain() -> Produced {
    let bench = bench!();
    let mut all = vec![(CHECK, json(&bench, &["daemon", "run", "--check"])), (STOP, json(&bench, &["stop"]))];
    all.extend(["systemd", "launchd"].map(|manager| (UNIT, json(&bench, &["daemon", "unit", manager]))));
    all.extend(["bash", "fish"].map(|shell| (COMPLETIONS, json(&bench, &["completions", shell]))));
    all.push((MAN, json(&bench, &["man"])));
    all.push((MAN, json(&bench, &["man", "daemon", "stop"])));
    let elsewhere =
        |args: &[&str]| call(&bench, args).env("AILERON_API_URL", "http://127.0.0.1:1").succeed().json();
    all.push((URL, elsewhere(&["url"])));
    all.push((STATUS, elsewhere(&["daemon", "status"])));
    let other = bench.beside("other");
    let given = call(&bench, &["daemon", "status", "--state-dir"]).arg(&other).fail(3).json();
    assert_eq!(given["state_dir"]["rule"], "--state-dir");
    let variable = call(&bench, &["daemon", "status"]).env("AILERON_STATE_DIR", &other).fail(3).json();
    assert_eq!(variable["state_dir"]["rule"], "AILERON_STATE_DIR");
    all.extend([(STATUS, given), (STATUS, variable)]);
    all
}

fn running() -> Produced {
    let bench = bench!();
    let mut all = vec![
        (URL, json(&bench, &["url"])),
        (URL, json(&bench, &["daemon", "start", "--idle-timeout", "1h"])),
    ];
    all.push(status(&bench, 0));
    all.push((STOP, json(&bench, &["daemon", "stop", "--hold"])));
    all.push(status(&bench, 3));
    let options = ["--idle-timeout", "1h", "--lock-poll-interval", "50ms", "--no-lock-events"];
    bench.start(&options);
    all.push(status(&bench, 0));
    let lines = call(&bench, &["daemon", "logs"]).succeed().stdout;
    assert!(lines.contains("ready"), "{lines}");
    all.extend(lines.lines().map(|line| (LOGS, serde_json::from_str(line).unwrap())));
    all
}

/// A full disk: a lost pid file cannot be written anew, while the record is still there.
fn full() -> Produced {
    let mut all = Vec::new();
    in_own_mounts(|| {
        let bench = bench!();
        let mount = Mount::tmpfs(bench.home(), ",size=256k");
        let daemon = bench.start(&[]);
        let mut filler = fs::File::create(bench.beside("filler")).unwrap();
        while filler.write_all(&[b'x'; 1024]).is_ok() {}
        fs::remove_file(bench.file("daemon.pid")).unwrap();
        while filler.write_all(&[b'x'; 16]).is_ok() {}
        all.push(until("the fault is seen", PROMPT, || {
            Some(status(&bench, 0)).filter(|(_, document)| document["record_fault"].is_string())
        }));
        daemon.process.kill();
        daemon.process.wait(PROMPT);
        drop(mount);
    });
    all
}

fn not_running() -> Produced {
    let bench = bench!();
    let mut all = vec![status(&bench, 3)];
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    let (name, stale) = status(&bench, 3);
    assert!(stale["why"].is_string(), "{stale:#}");
    all.push((name, stale));
    all
}

fn starting() -> Produced {
    let bench = bench!();
    // By its name it is this tool's.
    let program = bench.beside("aileron");
    copy_program(bench.programs().slow, &program);
    let slow = bench.embedder(&program, &["--init", "600000"]).start();
    until("it holds the lock", PROMPT, || {
        fs::read_to_string(bench.file("daemon.log")).ok().filter(|log| !log.is_empty())
    });
    let (name, document) = status(&bench, 4);
    assert_eq!(document["pid"], slow.process.pid());
    vec![(name, document)]
}

/// Stopped by `SIGSTOP`, and killed at the deadline.
fn frozen() -> Produced {
    let bench = bench!();
    bench.start(&[]).process.freeze();
    vec![status(&bench, 4), (STOP, json(&bench, &["--timeout", "3s", "stop", "--force"]))]
}

/// A record of another host, and a lock that is held there.
fn elsewhere() -> Produced {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let mut record = bench.record();
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    record["host"] = "elsewhere.example".into();
    record["process"]["boot_id"] = "its own".into();
    fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
    let _held = lock_file(&bench.file("daemon.lock"));
    vec![status(&bench, 5)]
}

/// A handler that blocks the runtime: the request to stop is not answered, and the keeper hears the signal.
fn jammed() -> Produced {
    let bench = bench!();
    let daemon = bench.service(&["--drain", "100"]);
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| daemon.ask("GET", "/block/20000"));
        until("it is jammed", PROMPT, || {
            let call = call(&bench, &["--timeout", "100ms", "daemon", "status"]).run();
            (call.json()["state"] == "unresponsive").then_some(())
        });
        let document = json(&bench, &["stop"]);
        drop(blocked.join().unwrap());
        vec![(STOP, document)]
    })
}

/// Two daemons, of which one cannot notice that it has lost its directory.
fn orphaned() -> Produced {
    let bench = bench!();
    let orphan = bench.start(&[]);
    orphan.process.freeze();
    fs::remove_dir_all(bench.state()).unwrap();
    bench.start(&[]);
    let document = json(&bench, &["stop"]);
    assert_eq!(document["orphans"][0]["pid"], orphan.process.pid());
    vec![(STOP, document)]
}

fn error(call: Call, exit_status: i32) -> (&'static str, Value) {
    let failed = call.fail(exit_status);
    assert_eq!(failed.stdout, "");
    let last = failed.stderr.lines().last().unwrap_or_default();
    (ERRORS, serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {failed:#?}")))
}

/// A program that is exchanged, while its client waits at the gate, for one that is killed as soon as it is launched.
fn killed_at_launch() -> (&'static str, Value) {
    let bench = bench!();
    let copy = bench.named(bench.programs().aileron, "aileron");
    bench.make_state();
    let gate = lock_file(&bench.file("start.lock"));
    let client = bench.call(&copy).args(["--json", "url"]).start();
    until("the client waits at the gate", PROMPT, || {
        let switches = client.process.status_line("voluntary_ctxt_switches").parse::<u32>().unwrap_or(0);
        (switches > 10).then_some(())
    });
    let script = bench.beside("script");
    fs::write(&script, "#!/bin/sh\nkill -9 $$\n").unwrap();
    aileron_tests::set_mode(&script, 0o755);
    fs::rename(&script, &copy).unwrap();
    drop(gate);
    let failed = client.finish(PROMPT * 4);
    (ERRORS, serde_json::from_str(failed.stderr.lines().last().unwrap()).unwrap())
}

fn errors() -> Produced {
    let bench = bench!();
    let mut all = vec![
        killed_at_launch(),
        error(call(&bench, &["url", "--no-such-option"]), 2),
        error(call(&bench, &["daemon", "logs"]), 3),
        error(call(&bench, &["url"]).env("AILERON_NO_AUTOSTART", "1"), 8),
        error(call(&bench, &["url"]).env_remove("HOME"), 1),
    ];
    // A log that cannot be had: the daemon says so to its launcher, whose error has it.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    bench.make_state();
    fs::create_dir_all(bench.file("daemon.log").join("keep")).unwrap();
    let faulty = bench.faulty(&["renameat=EIO"], bench.programs().aileron);
    let (name, document) = error(faulty.args(["--json", "daemon", "start", "--bind", &address]), 1);
    assert_eq!(document["error"]["kind"], "launch");
    assert!(document["error"]["tail"].is_string(), "{document:#}");
    all.push((name, document));
    all.push(error(call(&bench, &["daemon", "run", "--bind", &address]), 1));
    bench.aileron(&["stop", "--hold"]).succeed();
    all.push(error(call(&bench, &["url"]), 8));
    bench.start(&[]);
    all.push(error(call(&bench, &["daemon", "run"]), 7));
    all
}

/// A daemon that is not there, one that is there and asked, one that is jammed, one that is frozen, and one beside an orphan.
fn restarted() -> Produced {
    let bench = bench!();
    let restart = |args: &[&str]| (RESTART, json(&bench, &[&["daemon", "restart"], args].concat()));
    let mut all = vec![restart(&[]), restart(&["--no-lock-events"])];
    bench.daemon().process.freeze();
    all.push(restart(&["--force", "--timeout", "6s"]));
    fs::write(bench.file("daemon.json"), "{").unwrap();
    bench.daemons()[0].freeze();
    all.push(restart(&["--force", "--timeout", "6s"]));
    bench.daemon().process.freeze();
    fs::remove_dir_all(bench.state()).unwrap();
    all.push(restart(&[]));
    all
}

/// The daemons of a user that nobody else is: one of each state but the foreign one.
fn reaped() -> Produced {
    let bench = bench!();
    let user = bench.lone_user();
    let aileron = |args: &[&str]| call(&bench, args).user(user);
    let at = |name: &str| bench.beside(name).to_str().unwrap().to_owned();
    // Named through a link that has been changed since: whose it is cannot be proved any more.
    let (one, two, link) = (at("one"), at("two"), at("link"));
    for directory in [&one, &two] {
        fs::create_dir(directory).unwrap();
        std::os::unix::fs::chown(directory, Some(user), Some(user)).unwrap();
    }
    std::os::unix::fs::symlink(&one, &link).unwrap();
    let spared = aileron(&["daemon", "run", "--state-dir", &format!("{link}/state")]).args(BLIND).start();
    until("it is ready", PROMPT, || Path::new(&format!("{one}/state/daemon.pid")).exists().then_some(()));
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&two, &link).unwrap();
    aileron(&["daemon", "start"]).args(BLIND).succeed();
    fs::remove_dir_all(bench.state()).unwrap();
    aileron(&["daemon", "start"]).succeed();
    let stopped = bench.beside("stopped");
    aileron(&["daemon", "start", "--state-dir"]).arg(&stopped).succeed();
    let pid = fs::read_to_string(stopped.join("daemon.pid")).unwrap().trim().parse().unwrap();
    let frozen = Arc::new(Process::open(pid).unwrap());
    bench.keep(&frozen);
    frozen.freeze();
    let slow = bench.named(bench.programs().slow, "aileron");
    let starting = bench.call(&slow).arg("--state-dir").arg(bench.beside("slow"));
    let starting = starting.args(["daemon", "run", "--init", "600000"]).user(user).start();
    let all = until("all of them are listed", PROMPT, || {
        let list = aileron(&["daemon", "ps"]).succeed().json();
        let states: BTreeSet<_> =
            list["daemons"].as_array()?.iter().map(|one| one["state"].as_str().map(String::from)).collect();
        ["owner", "orphan", "stopped", "starting"]
            .iter()
            .all(|state| states.contains(&Some((*state).to_owned())))
            .then_some(list)
    });
    let reaped = aileron(&["daemon", "ps", "--reap"]).fail(1).json();
    assert!(spared.process.is_alive() && starting.process.is_alive(), "{reaped:#}");
    vec![(PS, all), (PS, reaped)]
}

/// A daemon in a mount namespace of its own.
fn listed() -> Produced {
    let bench = bench!();
    let call_in = bench.call("/usr/bin/unshare").arg("--mount").arg(bench.programs().aileron);
    let foreign = call_in.arg("--state-dir").arg(bench.state()).args(["daemon", "run"]).start();
    let daemon = bench.ready(&foreign);
    let list = json(&bench, &["daemon", "ps"]);
    let ours = |one: &&Value| one["pid"] == daemon.process.pid();
    let state = list["daemons"].as_array().unwrap().iter().find(ours).map(|one| one["state"].clone());
    assert_eq!(state, Some("foreign".into()), "{list:#}");
    vec![(PS, list)]
}

/// Nothing there, a healthy one, a killed one that has left something, and somebody in the way of the broom.
fn diagnosed() -> Produced {
    let bench = bench!();
    let doctor = |args: &[&str]| {
        let outcome = call(&bench, &[&["daemon", "doctor"], args].concat()).run();
        assert!(matches!(outcome.end, End::Status(0 | 1)), "{outcome:?}");
        (DOCTOR, outcome.json())
    };
    let mut all =
        vec![doctor(&[]), (DOCTOR, call(&bench, &["daemon", "doctor"]).env_remove("HOME").fail(1).json())];
    let daemon = bench.start(&[]);
    all.push(doctor(&[]));
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    fs::write(bench.file(".daemon.json.new"), "half a rec").unwrap();
    all.push(doctor(&[]));
    let gate = lock_file(&bench.file("start.lock"));
    all.push(doctor(&["--fix"]));
    drop(gate);
    all.push(doctor(&["--fix"]));
    all
}
