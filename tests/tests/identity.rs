//! P9 and failures 3 and 9: who is signalled, and who never is, whatever a record says. A stranger that is sent anything ends of it,
//! for none of them handles a signal; so each has to be alive in the end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::time::Duration;

use aileron_tests::herd::lock_holder;
use aileron_tests::pretence::{left_behind, naming, write_record};
use aileron_tests::{Bench, Call, End, PROMPT, Process, Running, bench, until};
use serde_json::Value;

/// Somebody who holds the `flock` of a file and is no daemon of ours.
fn holder_of(bench: &Bench, file: &std::path::Path) -> Running {
    let holder = bench.call(bench.programs().stranger).arg(file).start();
    until("the stranger holds the lock", PROMPT, || {
        (lock_holder(file)? == holder.process.pid()).then_some(())
    });
    holder
}

/// With the lock free a daemon is started at once; with the lock held by `holder`, nobody is proved. The named one lives.
fn harms_nobody(bench: &Bench, record: &Value, named: &Process) {
    write_record(bench, record);
    bench.aileron(&["stop", "--force"]).succeed();
    write_record(bench, record);
    let outcome = bench.aileron(&["--json", "url"]).succeed();
    assert_eq!(outcome.json()["outcome"], "started", "{record}");
    assert!(outcome.took < Duration::from_secs(3), "the extra promised is 100 ms: {outcome:?}");
    bench.aileron(&["stop"]).succeed();
    let holder = holder_of(bench, &bench.file("daemon.lock"));
    write_record(bench, record);
    let outcome = bench.aileron(&["--timeout", "1s", "stop", "--force"]).run();
    assert!(matches!(outcome.end, End::Status(4 | 5)), "{record}: {outcome:?}");
    assert!(named.is_alive() && holder.process.is_alive(), "{record}");
    holder.process.kill();
    holder.process.wait(PROMPT);
}

type Change = fn(&mut Value);

/// A living `sleep`, named rightly and wrongly: by a pid that was given to it since, another tick, boot, host, namespace.
#[test]
fn p9_a_record_that_names_a_living_stranger_harms_nobody() {
    let changes: [Change; 7] = [
        |_| {},
        |record| {
            record["process"]["start_time"] = (record["process"]["start_time"].as_u64().unwrap() + 1).into();
        },
        |record| record["process"]["boot_id"] = "00000000-0000-0000-0000-000000000000".into(),
        |record| {
            record["host"] = "another-host".into();
            record["process"]["boot_id"] = "00000000-0000-0000-0000-000000000000".into();
        },
        |record| record["process"]["pid_ns"] = 1.into(),
        |record| record["process"] = Value::Null,
        // A reference daemon's record: nothing but a pid.
        |record| {
            for name in ["instance", "process", "schema", "protocol"] {
                record.as_object_mut().unwrap().remove(name);
            }
        },
    ];
    std::thread::scope(|scope| {
        for change in changes {
            scope.spawn(move || {
                let bench = bench!();
                let named = bench.call("/usr/bin/sleep").arg("600").start();
                let mut record = naming(&named.process, left_behind(&bench));
                change(&mut record);
                harms_nobody(&bench, &record, &named.process);
            });
        }
    });
}

/// Numbers that `kill(2)` takes for a group or for everybody, the first process, numbers of nobody, and the command's own parent.
#[test]
fn p9_no_number_makes_a_victim() {
    let own = Process::open(std::process::id()).unwrap();
    let numbers: [Value; 8] = [
        0.into(),
        1.into(),
        (-1).into(),
        i32::MAX.into(),
        u32::MAX.into(),
        u64::MAX.into(),
        "1".into(),
        own.pid().into(),
    ];
    std::thread::scope(|scope| {
        for number in numbers {
            let own = &own;
            scope.spawn(move || {
                let bench = bench!();
                let mut record = left_behind(&bench);
                // As for the parent: everything else is true.
                record["process"]["start_time"] = own.stat(22).unwrap().parse::<u64>().unwrap().into();
                record["pid"] = number;
                harms_nobody(&bench, &record, own);
            });
        }
    });
}

/// Another tool has a file of the same name, and its process holds that; or has our very file open, and no lock on it.
#[test]
fn p9_neither_a_file_of_that_name_nor_an_open_file_is_the_lock() {
    let bench = bench!();
    let record = left_behind(&bench);
    fs::create_dir(bench.beside("other-tool")).unwrap();
    let namesake = holder_of(&bench, &bench.beside("other-tool/daemon.lock"));
    harms_nobody(&bench, &naming(&namesake.process, record.clone()), &namesake.process);
    let script = "exec 3<\"$1\"; exec sleep 600";
    let reader = bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.file("daemon.lock")).start();
    until("it has the file open", PROMPT, || {
        reader
            .process
            .descriptors()
            .iter()
            .any(|(number, to)| *number == 3 && to.ends_with("daemon.lock"))
            .then_some(())
    });
    until("it sleeps", PROMPT, || reader.process.proc("cmdline").starts_with("sleep").then_some(()));
    harms_nobody(&bench, &naming(&reader.process, record), &reader.process);
}

/// What a daemon that forks leaves behind: a child that has the lock's descriptor. The recorded process is gone, so nobody is
/// signalled; once the child has ended, by itself, a start works at once.
#[test]
fn p9_a_child_that_inherited_the_lock_is_not_the_daemon() {
    let bench = bench!();
    let mut record = left_behind(&bench);
    let script = "exec 9<>\"$1\"; flock 9; sleep 600 <&- >&- 2>&- & cut -d' ' -f22 /proc/$$/stat; echo $! $$";
    let forked = bench.call("/bin/sh").args(["-c", script, "sh"]).arg(bench.file("daemon.lock")).succeed();
    let numbers: Vec<u64> = forked.stdout.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [start_time, child, parent] = numbers[..] else { panic!("{forked:?}") };
    let child = std::sync::Arc::new(Process::open(u32::try_from(child).unwrap()).unwrap());
    bench.keep(&child);
    record["pid"] = parent.into();
    record["process"]["start_time"] = start_time.into();
    write_record(&bench, &record);
    bench.aileron(&["--timeout", "1s", "url"]).fail(4);
    bench.aileron(&["--timeout", "1s", "daemon", "status"]).fail(4);
    bench.aileron(&["--timeout", "1s", "stop", "--force"]).fail(4);
    // Nor if the record names the child itself by its pid: it started later than the record says. Less one, because both may
    // have started in the same hundredth of a second.
    record["pid"] = child.pid().into();
    record["process"]["start_time"] = (start_time - 1).into();
    write_record(&bench, &record);
    bench.aileron(&["--timeout", "1s", "stop", "--force"]).fail(4);
    assert!(child.is_alive());
    child.kill();
    child.wait(PROMPT);
    assert_eq!(bench.aileron(&["--json", "url"]).succeed().json()["outcome"], "started");
}

/// A daemon in a container with a pid namespace of its own: its pid means somebody else here. Reachable, it is found and asked to
/// end; wedged, it is not ended from outside, and nor is whoever has that number here.
#[test]
fn p9_a_pid_of_another_namespace_is_nobodys_here() {
    let inside = |bench: &Bench| -> Call {
        bench.call("unshare").args(["--pid", "--fork", "--kill-child"]).arg(bench.programs().aileron)
    };
    let bench = bench!();
    let container = inside(&bench).args(["daemon", "run", "--state-dir"]).arg(bench.state()).start();
    let record = until("it is ready", PROMPT, || {
        let text = fs::read_to_string(bench.file("daemon.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok().filter(|_| bench.file("daemon.pid").exists())
    });
    let here = lock_holder(&bench.file("daemon.lock")).unwrap();
    assert_ne!(record["pid"], here, "it has another number there");
    let daemon = Process::open(here).unwrap();
    let url = bench.aileron(&["url"]).succeed();
    assert_eq!(url.stdout.trim(), record["url"].as_str().unwrap());
    daemon.freeze();
    bench.aileron(&["--timeout", "1s", "url"]).fail(5);
    let forced = bench.aileron(&["--timeout", "1s", "stop", "--force"]).run();
    assert_ne!(forced.end, End::Status(0), "{forced:?}");
    assert!(daemon.is_alive() && container.process.is_alive(), "{forced:?}");
    daemon.thaw();
    bench.aileron(&["stop"]).succeed();
    assert!(daemon.ends_within(PROMPT));
}

/// A pid namespace whose `/proc` is the one outside: the number by which a daemon is found there is another process's here, and
/// `kill` would hit that. So nothing is proved.
#[test]
fn p9_a_process_table_of_another_namespace_proves_nobody() {
    let bench = bench!();
    let script = r#"
        "$1" url > /dev/null || exit 1
        outer=$(for table in /proc/[0-9]*; do
            tr '\0' ' ' < "$table/cmdline" 2>/dev/null | grep -q -- "$2 daemon serve" && echo "${table#/proc/}"
        done | head -n 1)
        [ -n "$outer" ] || exit 2
        kill -STOP "$(cat "$2/daemon.pid")"
        rm "$2/daemon.json"
        # Somebody whose number here is the daemon's number outside.
        echo $((outer - 1)) > /proc/sys/kernel/ns_last_pid || exit 3
        sleep 600 <&- >&- 2>&- &
        innocent=$!
        [ "$innocent" = "$outer" ] || exit 4
        "$1" --timeout 3s stop; "$1" --timeout 3s stop --force; "$1" daemon ps --reap
        kill -0 "$innocent" || exit 5
        kill -KILL "$innocent"; kill -KILL "$(cat "$2/daemon.pid")"
        exit 0"#;
    let unshare = bench.call("/usr/bin/unshare").args([
        "--pid",
        "--fork",
        "--kill-child",
        "/bin/sh",
        "-c",
        script,
        "sh",
    ]);
    unshare.arg(bench.programs().aileron).arg(bench.state()).succeed();
}
