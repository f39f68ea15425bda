//! P7 and failure 2: the stampede. Hundreds of real clients come at one moment, and one daemon is launched. `AILERON_TEST_HERD`
//! says how many clients, so that a suite lets few loose and a closing run a thousand.
//!
//! A launch is counted by the kernel (`fanotify(7)`, `FAN_OPEN_EXEC`): each client is one execution of the program, each launch
//! one more, be it of a daemon that only loses a race.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use aileron_tests::herd::{Client, Herd, Names, herd_size, lock_holder};
use aileron_tests::{Bench, End, PROMPT, bench, each_round, until};
use serde_json::Value;

/// Above the clients' own deadline.
const PATIENCE: Duration = Duration::from_secs(100);

/// What each `url` is told: a herd of a thousand on two cores takes its time, and that is not what is tested.
const URL: [&str; 4] = ["--timeout", "90s", "--json", "url"];

/// Every client has succeeded; their answers.
fn answers(herd: &Herd) -> Vec<Value> {
    let answer = |(end, output): (End, String)| {
        assert_eq!(end, End::Status(0), "{output}");
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    };
    herd.ends(PATIENCE).into_iter().map(answer).collect()
}

/// One launch, one answer, which is the daemon's own, and only one client says that it started it. An answer with an instance
/// is one that was proved.
fn assert_one(bench: &Bench, herd: &mut Herd) {
    let answers = answers(herd);
    assert_eq!(herd.launches(), 1);
    let record = bench.record();
    for answer in &answers {
        for name in ["url", "pid", "instance"] {
            assert!(!answer[name].is_null() && answer[name] == record[name], "{answer} of {record}");
        }
    }
    let started = answers.iter().filter(|answer| answer["outcome"] == "started").count();
    assert_eq!(started, 1, "one client started it, and the others found it");
    bench.only(&bench.daemon());
}

/// codedb#592, gastown#3195: N clients start N daemons, or steal each other's lock.
#[test]
fn p7_a_herd_on_an_empty_directory_launches_once() {
    let bench = bench!();
    bench.make_state();
    let mut names = Names::of(&bench.state());
    let mut herd = Herd::behind_a_gate(&bench, herd_size(100), bench.programs().aileron, &URL);
    herd.release();
    assert_one(&bench, &mut herd);
    assert_eq!(names.so_far("start.lock"), (1, 0), "made once, never removed, never replaced");
    drop(names);
}

/// The same where there is no directory yet, nor any above it.
#[test]
fn p7_a_herd_without_a_directory_launches_once() {
    let bench = bench!();
    let args = [&["--state-dir", "DIR"], &URL[..]].concat();
    let deep = bench.state().join("a/b");
    let args: Vec<&str> =
        args.into_iter().map(|arg| if arg == "DIR" { deep.to_str().unwrap() } else { arg }).collect();
    let mut herd = Herd::behind_a_gate(&bench, herd_size(60), bench.programs().aileron, &args);
    herd.release();
    let answers = answers(&herd);
    assert_eq!(herd.launches(), 1);
    let distinct: BTreeSet<_> = answers.iter().map(|answer| answer["instance"].to_string()).collect();
    assert_eq!(distinct.len(), 1);
}

/// A daemon was killed and its record lies there, naming a port that nobody listens on and a pid that is nobody's.
#[test]
fn p7_a_herd_on_a_stale_record_launches_once() {
    let bench = bench!();
    let killed = bench.start(&[]);
    killed.process.kill();
    killed.process.wait(PROMPT);
    let mut names = Names::of(&bench.state());
    let mut herd = Herd::behind_a_gate(&bench, herd_size(60).min(200), bench.programs().aileron, &URL);
    herd.release();
    assert_one(&bench, &mut herd);
    assert_ne!(bench.record()["instance"], killed.instance);
    assert_eq!(killed.lock, bench.daemon().lock, "the lock file is the one that was there");
    assert_eq!(names.so_far("daemon.lock"), (0, 0));
}

/// gradle#17778: a daemon takes 20 s to be ready, and meanwhile the others launch theirs. The wait must not be a busy loop, for
/// it would take from the start what the start needs.
#[test]
fn p7_a_herd_waits_for_a_slow_start() {
    let bench = bench!();
    let size = herd_size(40).min(200);
    let slow = if size < 200 { "3000" } else { "20000" };
    let args = ["ensure", "90000", "--init", slow];
    let mut herd = Herd::behind_a_gate(&bench, size, bench.programs().slow, &args);
    herd.release();
    until("a daemon starts", PROMPT * 3, || (!bench.daemons().is_empty()).then_some(()));
    // From the moment at which one starts to the moment at which it is ready nobody has anything to do.
    let (began, before) = (Instant::now(), switches(&herd));
    let mut last = (Duration::ZERO, before.clone());
    until("it is ready", PATIENCE, || {
        let now = (began.elapsed(), switches(&herd));
        if bench.file("daemon.json").exists() {
            return Some(());
        }
        last = now;
        std::thread::sleep(Duration::from_millis(50));
        None
    });
    let (waited, after) = last;
    assert!(waited > Duration::from_millis(500), "there was a wait to be measured: {waited:?}");
    for (before, after) in before.iter().zip(after) {
        let (Some(before), Some(after)) = (before, after) else { continue };
        let rate = f64::from(u32::try_from(after - before).unwrap()) / waited.as_secs_f64();
        assert!(rate < 200.0, "it woke {rate} times a second");
    }
    let ends = herd.ends(PATIENCE);
    assert_eq!(herd.launches(), 1);
    let urls: BTreeSet<_> =
        ends.iter().map(|(_, output)| output.trim().rsplit(' ').next().unwrap().to_owned()).collect();
    assert!(ends.iter().all(|(end, _)| *end == End::Status(0)), "{ends:?}");
    assert_eq!(urls, BTreeSet::from([bench.daemon().url()]));
}

fn switches(herd: &Herd) -> Vec<Option<u64>> {
    herd.clients.iter().map(Client::switches).collect()
}

/// The client that has the gate now.
fn gate_holder<'a>(bench: &Bench, herd: &'a Herd) -> Option<&'a Client> {
    let pid = lock_holder(&bench.file("start.lock"))?;
    herd.clients.iter().find(|client| client.process.pid() == pid)
}

/// Those that were not killed have succeeded, and have been given the daemon that there is.
fn assert_survivors_agree(bench: &Bench, herd: &Herd, killed: &BTreeSet<u32>) {
    let url = format!("{}\n", bench.daemon().url());
    for (client, (end, output)) in herd.clients.iter().zip(herd.ends(PATIENCE)) {
        if !killed.contains(&client.process.pid()) {
            assert_eq!(end, End::Status(0), "{output}");
            assert!(output.ends_with(&url), "{output} of {url}");
        }
    }
    bench.only(&bench.daemon());
}

/// An impatient user ends the client that launched, and some that wait, while the daemon initialises. The daemon is nobody's
/// child by now: it comes up, and everybody else has it, without another launch.
#[test]
fn p11_clients_killed_during_a_start_change_nothing() {
    let bench = bench!();
    let args = ["ensure", "90000", "--init", "3000"];
    let mut herd = Herd::behind_a_gate(&bench, 24, bench.programs().slow, &args);
    herd.release();
    herd.until_all_run();
    until("the daemon has the lock", PROMPT, || lock_holder(&bench.file("daemon.lock")));
    let holder = until("a client has the gate", PROMPT, || gate_holder(&bench, &herd));
    let mut killed = BTreeSet::from([holder.process.pid()]);
    holder.process.kill();
    for client in herd.clients.iter().filter(|client| client.process.pid() != holder.process.pid()).take(5) {
        client.process.kill();
        killed.insert(client.process.pid());
    }
    herd.ends(PATIENCE);
    assert_eq!(herd.launches(), 1);
    assert_survivors_agree(&bench, &herd, &killed);
}

/// The same at any moment at which the gate is held, before a launch and before the launched daemon has its lock: each kill may
/// cost one more launch, and the one that is too many finds the lock held and goes.
#[test]
fn p11_clients_killed_with_the_gate_leave_it_to_the_next() {
    each_round(3, |round| {
        let bench = bench!();
        bench.make_state();
        let mut names = Names::of(&bench.state());
        let args = ["ensure", "90000", "--before-lock", "200", "--init", "200"];
        let mut herd = Herd::behind_a_gate(&bench, 24, bench.programs().slow, &args);
        herd.release();
        let mut killed = BTreeSet::new();
        for _ in 0..3 {
            let moment = round.within(Duration::from_millis(150));
            round.tell(format_args!("{moment:?}"));
            let since = Instant::now();
            let found =
                until("the gate is held, or no more needed", PROMPT, || match gate_holder(&bench, &herd) {
                    Some(holder) if since.elapsed() > moment => Some(Some(holder)),
                    None if bench.file("daemon.json").exists() => Some(None),
                    _ => None,
                });
            if let Some(holder) = found {
                holder.process.kill();
                killed.insert(holder.process.pid());
                holder.process.wait(PROMPT);
            }
        }
        herd.ends(PATIENCE);
        let launches = herd.launches();
        assert!((1..=1 + killed.len()).contains(&launches), "{launches} launches for {killed:?}");
        assert_survivors_agree(&bench, &herd, &killed);
        assert_eq!((names.so_far("start.lock"), names.so_far("daemon.lock")), ((1, 0), (1, 0)));
    });
}

/// `rm -rf` while they come: those that were answered before it have had a daemon that was one then, nobody fails, and in the
/// end there is one.
#[test]
fn p7_a_herd_survives_the_removal_of_its_directory() {
    each_round(3, |round| {
        let bench = bench!();
        let mut herd = Herd::behind_a_gate(&bench, herd_size(40).min(200), bench.programs().aileron, &URL);
        herd.release();
        for _ in 0..3 {
            let moment = round.within(Duration::from_millis(60));
            round.tell(format_args!("{moment:?}"));
            std::thread::sleep(moment);
            until("the directory can be removed", PROMPT, || match fs::remove_dir_all(bench.state()) {
                // Somebody made a file in it meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => None,
                _ => Some(()),
            });
        }
        let answers = answers(&herd);
        let distinct: BTreeSet<_> = answers.iter().map(|answer| answer["instance"].to_string()).collect();
        let launches = herd.launches();
        assert!(
            distinct.len() <= launches && !distinct.contains("null"),
            "{launches} launches, {distinct:?}"
        );
        let last = bench.aileron(&URL).succeed().json();
        assert_eq!(last["instance"], bench.record()["instance"]);
        bench.only(&bench.daemon());
    });
}
