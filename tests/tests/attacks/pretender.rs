//! Records that name somebody else, and a gate that is never given back.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use aileron_tests::attack::Page;
use aileron_tests::{Bench, End, PROMPT, Process, Running, Stranger, bench, lock_file, until};
use serde_json::{Value, json};

/// What the record of a killed daemon is made to say.
struct Lie {
    name: &'static str,
    tell: fn(&mut Value, &Innocent),
}

/// Processes and a listener that have nothing to do with it.
struct Innocent {
    process: Running,
    stranger: Stranger,
}

/// A row a line.
#[rustfmt::skip]
const LIES: &[Lie] = &[
    Lie { name: "pid 0", tell: |record, _| record["pid"] = json!(0) },
    Lie { name: "pid 1", tell: |record, _| name(record, &Process::open(1).unwrap()) },
    Lie { name: "pid -1", tell: |record, _| record["pid"] = json!(-1) },
    Lie { name: "pid 2^31", tell: |record, _| record["pid"] = json!(2_147_483_648_u64) },
    Lie { name: "pid 2^32 - 1", tell: |record, _| record["pid"] = json!(u32::MAX) },
    Lie { name: "pid 2^32 + 1", tell: |record, _| record["pid"] = json!(4_294_967_297_u64) },
    Lie { name: "pid 1e300", tell: |record, _| record["pid"] = json!(1e300) },
    Lie { name: "pid as text", tell: |record, _| record["pid"] = json!("1") },
    Lie { name: "our own pid", tell: |record, _| name(record, &Process::open(std::process::id()).unwrap()) },
    Lie { name: "an innocent pid", tell: |record, innocent| name(record, &innocent.process.process) },
    Lie { name: "an address elsewhere", tell: |record, _| record["url"] = json!("http://192.0.2.1:80") },
    Lie { name: "an address of all", tell: |record, _| record["url"] = json!("http://0.0.0.0:80") },
    Lie { name: "a name for an address", tell: |record, innocent| record["url"] = json!(format!("http://localhost:{}", innocent.stranger.address.port())) },
    Lie { name: "an address behind a user", tell: |record, innocent| record["url"] = json!(format!("http://127.0.0.1:1@{}", innocent.stranger.address)) },
    Lie { name: "an address with a path", tell: |record, innocent| record["url"] = json!(format!("http://{}/v1", innocent.stranger.address)) },
    Lie { name: "another scheme", tell: |record, innocent| record["url"] = json!(format!("https://{}", innocent.stranger.address)) },
    Lie { name: "port 0", tell: |record, _| record["url"] = json!("http://127.0.0.1:0") },
    Lie { name: "a stranger's address", tell: |record, innocent| record["url"] = json!(format!("http://{}", innocent.stranger.address)) },
    Lie { name: "a stranger's address and an innocent pid", tell: |record, innocent| {
        record["url"] = json!(format!("http://{}", innocent.stranger.address));
        name(record, &innocent.process.process);
    } },
    Lie { name: "a line break in the instance", tell: |record, innocent| {
        record["url"] = json!(format!("http://{}", innocent.stranger.address));
        record["instance"] = json!("x\r\nAuthorization: y");
    } },
    Lie { name: "a line break in the token", tell: |record, innocent| {
        record["url"] = json!(format!("http://{}", innocent.stranger.address));
        record["token"] = json!("x\r\nX-Injected: y");
    } },
    Lie { name: "an epoch at the end of time", tell: |record, _| record["epoch"] = json!(u64::MAX) },
];

/// Names a process by everything by which one can be named.
fn name(record: &mut Value, process: &Process) {
    record["pid"] = process.pid().into();
    record["process"]["start_time"] = process.stat(22).unwrap().parse::<u64>().unwrap().into();
}

/// A directory in which a killed daemon left its record, with this lie told in it.
fn told(lie: &Lie) -> (Bench, Innocent, String) {
    let bench = bench!();
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    let process = bench.call("/usr/bin/sleep").arg("600").start();
    let innocent =
        Innocent { process, stranger: Stranger::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") };
    let mut record = daemon.record.clone();
    (lie.tell)(&mut record, &innocent);
    fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
    fs::write(bench.file("daemon.pid"), format!("{}\n", record["pid"])).unwrap();
    (bench, innocent, daemon.token)
}

/// Whether anybody was hurt or told something.
fn verdict(innocent: &Innocent, token: &str, ends: &[End]) -> String {
    let heard = innocent.stranger.heard();
    if heard.contains(token) || heard.to_lowercase().contains("authorization") || heard.contains("X-Injected")
    {
        return format!("the stranger heard {heard:?}");
    }
    if !innocent.process.process.is_alive() {
        return "the innocent is dead".to_owned();
    }
    let status = |end: &End| match end {
        End::Status(code) => code.to_string(),
        other => format!("{other:?}"),
    };
    ends.iter().map(status).collect::<Vec<_>>().join(" ")
}

/// claude-code#72898, bitsocial-cli#66, notary#44: with a free lock the record is stale whatever it says: nothing to stop, and the
/// next client starts a daemon. With a lock held by somebody who is no daemon nobody is proved, so nobody is signalled.
#[test]
fn p9_a_record_that_lies_harms_nobody() {
    let mut page = Page::new("pretender: records");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut page = Page::new("pretender: records");
        while let Some(lie) = LIES.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (bench, innocent, token) = told(lie);
            let lied = fs::read(bench.file("daemon.json")).unwrap();
            let holder = bench.call(bench.programs().stranger).arg(bench.file("daemon.lock")).start();
            until("the stranger holds the lock", PROMPT, || {
                let held = holder.process.descriptors().into_iter();
                held.map(|(number, _)| holder.process.proc(&format!("fdinfo/{number}")))
                    .find(|info| info.contains("FLOCK"))
            });
            let held = ["url", "stop"].map(|command| {
                let force: &[&str] = if command == "stop" { &["--force"] } else { &[] };
                bench.aileron(&["--timeout", "300ms", command]).args(force).run().end
            });
            page.note(
                format!("{}, lock held: url, stop --force", lie.name),
                "failures 3 and 19",
                "4 4",
                verdict(&innocent, &token, &held),
            );
            assert!(holder.process.is_alive(), "{}", lie.name);
            holder.process.kill();
            holder.process.wait(PROMPT);
            fs::write(bench.file("daemon.json"), lied).unwrap();
            let free = [&["stop", "--force"][..], &["url"]].map(|command| bench.aileron(command).run().end);
            page.note(
                format!("{}, lock free: stop --force, url", lie.name),
                "failures 3 and 19",
                "0 0",
                verdict(&innocent, &token, &free),
            );
        }
        page
    };
    std::thread::scope(|scope| {
        let workers = [(); 6].map(|()| scope.spawn(work));
        for worker in workers {
            page.append(worker.join().unwrap());
        }
    });
    page.finish(2 * LIES.len());
}

/// Somebody took the gate and never gives it back: found is found, without it; everything that needs it says who is in the way,
/// at the deadline.
#[test]
fn p14_a_gate_held_for_ever_is_named_at_the_deadline() {
    let mut page = Page::new("pretender: the gate");
    let bench = bench!();
    bench.make_state();
    let gate = lock_file(&bench.file("start.lock"));
    for (command, expected) in
        [(&["url"][..], 9), (&["daemon", "start"], 9), (&["stop", "--hold"], 1), (&["daemon", "restart"], 1)]
    {
        let outcome = bench.aileron(&["--timeout", "300ms"]).args(command).run();
        let named = outcome.stderr.contains("start gate") && outcome.took < PROMPT;
        let got = if named && outcome.end == End::Status(expected) {
            "named".to_owned()
        } else {
            format!("{outcome:?}")
        };
        page.note(format!("start.lock held, {command:?}"), "design, deadlines", "named", got);
    }
    assert!(bench.daemons().is_empty(), "nothing was started");
    drop(gate);
    let daemon = bench.start(&[]);
    let gate = lock_file(&bench.file("start.lock"));
    let url = bench.aileron(&["--timeout", "5s", "url"]).run();
    page.note("start.lock held, a daemon lives", "design, finding", &daemon.url(), url.stdout.trim());
    drop(gate);
    page.finish(5);
}
