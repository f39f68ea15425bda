//! P9, P12 and failures 3 and 19: a pid taken for identity, and a stranger on the advertised port.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::time::Duration;

use aileron_tests::pretence::{left_behind, naming, write_record};
use aileron_tests::{Bench, End, Manner, PROMPT, Running, Stranger, bench, until};
use serde_json::Value;

/// A living process that has nothing to do with us.
fn sleeper(bench: &Bench) -> Running {
    bench.call("/usr/bin/sleep").arg("600").start()
}

/// Somebody who holds the lock and is no daemon of ours.
fn lock_holder(bench: &Bench) -> Running {
    let holder = bench.call(bench.programs().stranger).arg(bench.file("daemon.lock")).start();
    until("the stranger holds the lock", PROMPT, || {
        let locks = holder.process.descriptors().into_iter();
        locks
            .map(|(number, _)| holder.process.proc(&format!("fdinfo/{number}")))
            .find(|info| info.contains("FLOCK"))
    });
    holder
}

/// claude-code#72898: the pid of a killed daemon was given to somebody else; `stop` ended the somebody, and starts were
/// refused because "the daemon is running".
#[test]
fn p9_a_reused_pid_hinders_no_start_and_receives_no_signal() {
    let bench = bench!();
    let stranger = sleeper(&bench);
    let record = naming(&stranger.process, left_behind(&bench));
    for args in
        [&["daemon", "stop"][..], &["daemon", "stop", "--force"], &["--timeout", "1s", "stop", "--force"]]
    {
        write_record(&bench, &record);
        bench.aileron(args).succeed();
        assert!(stranger.process.is_alive(), "{args:?}");
    }
    write_record(&bench, &record);
    let outcome = bench.aileron(&["--json", "url"]).succeed();
    assert_eq!(outcome.json()["outcome"], "started");
    assert!(outcome.took < Duration::from_secs(3), "the extra promised is 100 ms: {outcome:?}");
    bench.aileron(&["stop"]).succeed();
    assert!(stranger.process.is_alive());
}

/// The lock is held by a process that is no daemon, and the record names an innocent one in every detail: nobody is proved,
/// so nobody is sent anything, whatever is forced.
#[test]
fn p9_nobody_is_signalled_without_proof() {
    let bench = bench!();
    let innocent = sleeper(&bench);
    let record = naming(&innocent.process, left_behind(&bench));
    let holder = lock_holder(&bench);
    write_record(&bench, &record);
    for args in [&["--timeout", "3s", "stop"][..], &["--timeout", "3s", "stop", "--force"]] {
        let outcome = bench.aileron(args).fail(4);
        assert!(outcome.stderr.contains("daemon.lock"), "what to do is said: {outcome:?}");
        assert!(innocent.process.is_alive() && holder.process.is_alive(), "{args:?}");
    }
    // The same for a daemon that is stopped by somebody else meanwhile: the record's start time is off by one tick.
    let mut earlier = record.clone();
    earlier["process"]["start_time"] = (record["process"]["start_time"].as_u64().unwrap() - 1).into();
    write_record(&bench, &earlier);
    bench.aileron(&["--timeout", "3s", "stop", "--force"]).fail(4);
    assert!(innocent.process.is_alive() && holder.process.is_alive());
    // And for the commands that only look: the deadline of the lock's silence is reached, and said.
    bench.aileron(&["--timeout", "1s", "url"]).fail(4);
    bench.aileron(&["--timeout", "1s", "daemon", "status"]).fail(4);
}

/// Every field of a record that makes it another's: boot, pid namespace, start time. With the real daemon's pid in it, and the
/// real daemon frozen, so that it cannot take a request.
#[test]
fn p9_a_record_of_another_boot_or_namespace_identifies_nobody() {
    let changes: [fn(&mut Value); 2] = [
        |record| record["process"]["boot_id"] = "00000000-0000-0000-0000-000000000000".into(),
        |record| record["process"]["pid_ns"] = 1.into(),
    ];
    for change in changes {
        let bench = bench!();
        let innocent = sleeper(&bench);
        let mut record = naming(&innocent.process, left_behind(&bench));
        change(&mut record);
        let holder = lock_holder(&bench);
        write_record(&bench, &record);
        let outcome = bench.aileron(&["--timeout", "2s", "stop", "--force"]).run();
        assert_ne!(outcome.end, End::Status(0), "{outcome:?}");
        assert!(innocent.process.is_alive() && holder.process.is_alive());
        bench.aileron(&["--timeout", "2s", "url"]).fail(5);
        bench.aileron(&["--timeout", "2s", "daemon", "status"]).fail(5);
    }
}

/// The self-appointed victim: a record that names the command's own ancestor.
#[test]
fn p9_ancestors_are_refused() {
    let bench = bench!();
    let record = left_behind(&bench);
    let _holder = lock_holder(&bench);
    // The shell writes itself into the record, then runs the command as its child.
    let template = bench.beside("template.json");
    fs::write(&template, record.to_string().replace(&format!("\"pid\":{}", record["pid"]), "\"pid\":PID"))
        .unwrap();
    let script = "start=$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)
        sed -e \"s/\\\"pid\\\":PID/\\\"pid\\\":$$/\" -e \"s/\\\"start_time\\\":[0-9]*/\\\"start_time\\\":$start/\" \"$1\" > \"$2\"
        \"$3\" --timeout 3s stop --force; echo \"alive, and it said $?\"";
    let shell = bench.call("/bin/sh").args(["-c", script, "sh"]);
    let outcome = shell.arg(&template).arg(bench.file("daemon.json")).arg(bench.programs().aileron).succeed();
    assert_eq!(outcome.stdout.trim(), "alive, and it said 4", "{outcome:?}");
}

/// What others may do on a port that was a daemon's. TLS: the beginning of a `ServerHello`, and an alert (RFC 8446).
const MANNERS: [Manner; 11] = [
    Manner::Answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    Manner::Answers(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n{\"instance\":\"INSTANCE\",\"state\":\"ready\",\"mac\":\"0000000000000000000000000000000000000000000000000000\"}"),
    Manner::Answers(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n"),
    Manner::Answers(b"SSH-2.0-OpenSSH_9.9\r\n"),
    Manner::Answers(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03\x9c\x1f\x42\xee\x03\x11"),
    Manner::Answers(b"\x15\x03\x01\x00\x02\x02\x46"),
    Manner::Answers(b""),
    Manner::Silent,
    Manner::Echoes,
    Manner::Closes,
    Manner::EndlessHead,
];

/// notary#44: somebody else got the port of a daemon that was killed. Whatever the stranger says, and whether the lock is free
/// or held, it is sent no token, and the client recovers or says that nobody could be proved.
#[test]
fn p12_a_stranger_on_the_recorded_port_sees_no_token() {
    // At once: most of it is waiting for deadlines.
    std::thread::scope(|scope| {
        for manner in MANNERS {
            scope.spawn(move || sees_no_token(manner));
        }
    });
}

fn sees_no_token(manner: Manner) {
    let bench = bench!();
    let mut record = left_behind(&bench);
    let stranger = Stranger::with(manner);
    record["url"] = format!("http://{}", stranger.address).into();
    let holder = lock_holder(&bench);
    write_record(&bench, &record);
    bench.aileron(&["--timeout", "1s", "url"]).fail(4);
    bench.aileron(&["--timeout", "1s", "daemon", "status"]).fail(4);
    bench.aileron(&["--timeout", "1s", "stop", "--force"]).fail(4);
    holder.process.kill();
    holder.process.wait(PROMPT);
    // The lock is free: each command recovers, and so does the library.
    for args in [&["url"][..], &["daemon", "status"], &["stop"], &["daemon", "logs"]] {
        write_record(&bench, &record);
        let outcome = bench.aileron(args).run();
        let expected = if args.contains(&"status") { 3 } else { 0 };
        assert_eq!(outcome.end, End::Status(expected), "{manner:?}, {args:?}: {outcome:?}");
        assert!(!outcome.stdout.contains(&stranger.address.to_string()) || expected == 3, "{outcome:?}");
        bench.aileron(&["stop"]).succeed();
    }
    write_record(&bench, &record);
    let library = bench.call(bench.programs().slow).args(["ensure", "20000"]).succeed();
    assert!(library.stdout.starts_with("started "), "{manner:?}: {library:?}");
    assert_heard_nonces_only(&stranger, &record, manner);
}

/// The daemon itself has the lock, and is wedged, and somebody else has its port: nobody is proved, so it is status 4, at the
/// deadline, and not a new daemon.
#[test]
fn p14_a_stranger_beside_a_wedged_daemon_is_not_it() {
    std::thread::scope(|scope| {
        for manner in MANNERS {
            scope.spawn(move || {
                let bench = bench!();
                let daemon = bench.start(&[]);
                let stranger = Stranger::with(manner);
                daemon.process.freeze();
                let mut record = daemon.record.clone();
                record["url"] = format!("http://{}", stranger.address).into();
                write_record(&bench, &record);
                for (args, status) in [
                    (&["url"][..], 4),
                    (&["daemon", "status"], 4),
                    (&["daemon", "start"], 4),
                    (&["daemon", "logs"], 0),
                ] {
                    let outcome = bench.aileron(&["--timeout", "1s"]).args(args).fail(status);
                    assert!(outcome.took < PROMPT, "{manner:?}, {args:?}: {outcome:?}");
                }
                let library = bench.call(bench.programs().slow).args(["ensure", "1000"]).fail(1);
                assert!(library.stdout.starts_with("Unresponsive"), "{manner:?}: {library:?}");
                assert_eq!(bench.daemons().len(), 1);
                assert_heard_nonces_only(&stranger, &record, manner);
            });
        }
    });
}

/// It was asked to prove itself, and was sent nothing else: no token, no header that carries one, no body but the challenge.
fn assert_heard_nonces_only(stranger: &Stranger, record: &Value, manner: Manner) {
    let heard = stranger.heard();
    assert!(
        manner == Manner::Closes || heard.contains("/v1/handshake"),
        "it was asked: {manner:?}, {heard:?}"
    );
    let token = record["token"].as_str().unwrap();
    assert!(!heard.contains(token) && !heard.to_lowercase().contains("authorization"), "{manner:?}: {heard}");
    // Connections come at the same time, but each writes its request at once.
    for request in heard.split("POST /v1/handshake HTTP/1.1\r\n").skip(1) {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {heard}"));
        let names: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["nonce"], "{manner:?}: {heard}");
    }
}

/// A stranger that relays the handshake to another daemon, whose record it cannot have, proves nothing; and a record whose
/// instance was changed is no longer that daemon's.
#[test]
fn p12_another_instance_is_not_the_recorded_daemon() {
    let bench = bench!();
    let daemon = bench.start(&["--no-lock-events", "--lock-poll-interval", "1h"]);
    let mut record = daemon.record.clone();
    record["instance"] = "ffffffffffffffffffffffffffffffff".into();
    fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
    bench.aileron(&["--timeout", "1s", "url"]).fail(4);
    // The lock says who it is, so that it can be stopped all the same.
    bench.aileron(&["stop"]).succeed();
    assert!(!daemon.process.is_alive());
}
