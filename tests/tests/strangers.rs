//! P9, P12 and failures 3 and 19: a pid taken for identity, and a stranger on the advertised port.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::time::Duration;

use aileron_tests::{Bench, End, PROMPT, Process, Running, Stranger, bench, until};
use serde_json::Value;

/// A living process that has nothing to do with us.
fn sleeper(bench: &Bench) -> Running {
    bench.call("/usr/bin/sleep").arg("600").start()
}

/// The record of a daemon that was killed, as it lies there: everything in it is true but for what the test changes.
fn left_behind(bench: &Bench) -> Value {
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    daemon.record
}

fn write_record(bench: &Bench, record: &Value) {
    fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
    fs::write(bench.file("daemon.pid"), format!("{}\n", record["pid"])).unwrap();
}

/// A record that names `process` by everything by which a process can be named, its start time included.
fn naming(process: &Process, mut record: Value) -> Value {
    record["pid"] = process.pid().into();
    record["process"]["start_time"] = process.stat(22).unwrap().parse::<u64>().unwrap().into();
    record
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

/// notary#44: somebody else got the port of a daemon that was killed. Whatever the stranger says, and whether the lock is free
/// or held, it is sent no token, and the client recovers or says that nobody could be proved.
#[test]
fn p12_a_stranger_on_the_recorded_port_sees_no_token() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n{\"instance\":\"INSTANCE\",\"state\":\"ready\",\"mac\":\"0000000000000000000000000000000000000000000000000000\"}",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "",
    ];
    // At once: most of it is waiting for deadlines.
    std::thread::scope(|scope| {
        for answer in answers {
            scope.spawn(move || sees_no_token(answer));
        }
    });
}

fn sees_no_token(answer: &'static str) {
    let bench = bench!();
    let mut record = left_behind(&bench);
    let token = record["token"].as_str().unwrap().to_owned();
    let stranger = Stranger::answering(answer);
    record["url"] = format!("http://{}", stranger.address).into();
    let holder = lock_holder(&bench);
    write_record(&bench, &record);
    bench.aileron(&["--timeout", "1s", "url"]).fail(4);
    bench.aileron(&["--timeout", "1s", "daemon", "status"]).fail(4);
    bench.aileron(&["--timeout", "1s", "stop", "--force"]).fail(4);
    holder.process.kill();
    holder.process.wait(PROMPT);
    write_record(&bench, &record);
    let url = bench.aileron(&["url"]).succeed().stdout;
    assert_ne!(url.trim(), format!("http://{}", stranger.address), "{answer:?}");
    let heard = stranger.heard();
    assert!(heard.contains("/v1/handshake"), "it was asked: {heard:?}");
    assert!(
        !heard.contains(&token) && !heard.to_lowercase().contains("authorization"),
        "{answer:?}: {heard}"
    );
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
