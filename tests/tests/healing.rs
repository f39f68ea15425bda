//! P11 and failures 12 and 25: leftovers that never heal, and files that make a client hang, panic, or act on a lie.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use aileron_tests::{Bench, End, PROMPT, bench, put_fifo, set_mode, until};

/// A hang is what is feared; the clients' own deadline is 30 s.
const NO_HANG: Duration = Duration::from_secs(10);

const FILES: [&str; 4] = ["daemon.json", "daemon.pid", "daemon.exit.json", "daemon.log"];

type Damage = (&'static str, fn(&Path));

/// What may stand where a file was.
const DAMAGES: [Damage; 10] = [
    ("cut", |path| {
        let bytes = fs::read(path).unwrap_or_else(|_| b"{\"url\":\"http".to_vec());
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("empty", |path| fs::write(path, "").unwrap()),
    ("binary", |path| fs::write(path, [0, 159, 146, 150, 255].repeat(1000)).unwrap()),
    ("another schema", |path| fs::write(path, "{\"schema\":99,\"pid\":\"one\",\"token\":[]}").unwrap()),
    ("huge", |path| File::create(path).unwrap().set_len(100 << 20).unwrap()),
    ("a FIFO", put_fifo),
    ("an empty directory", |path| fs::create_dir(path).unwrap()),
    ("a full directory", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("somebody's"), "keep").unwrap();
    }),
    ("a symlink to nothing", |path| symlink("/nowhere/at/all", path).unwrap()),
    ("a symlink to a file", |path| {
        let target = path.parent().unwrap().with_file_name("victim");
        fs::write(&target, "precious").unwrap();
        symlink(target, path).unwrap();
    }),
];

fn put(damage: fn(&Path), what: &str, path: &Path) {
    if what != "cut" {
        remove(path);
    }
    damage(path);
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn assert_victim_is_whole(bench: &Bench, what: &str) {
    if what == "a symlink to a file" {
        assert_eq!(
            fs::read(bench.beside("victim")).unwrap(),
            b"precious",
            "nothing was written through the link"
        );
    }
}

/// Every file, every damage, no daemon: the lock is free, so the next client starts one, at once and without a word.
#[test]
fn p11_no_file_keeps_a_client_from_starting() {
    for (what, damage) in DAMAGES {
        for file in FILES {
            let bench = bench!();
            bench.make_state();
            put(damage, what, &bench.file(file));
            for args in [&["daemon", "status"][..], &["daemon", "logs"]] {
                if (what, file, args[1]) == ("huge", "daemon.log", "logs") {
                    continue; // A test of its own, below.
                }
                let outcome = bench.aileron(args).run();
                assert!(matches!(outcome.end, End::Status(0 | 3)), "{file} is {what}: {args:?} {outcome:#?}");
                assert!(outcome.took < NO_HANG, "{file} is {what}: {args:?} {outcome:#?}");
            }
            let outcome = bench.aileron(&["url"]).succeed();
            assert!(outcome.took < NO_HANG, "{file} is {what}: {outcome:#?}");
            let stopped = bench.aileron(&["stop"]).succeed();
            assert!(stopped.took < NO_HANG, "{file} is {what}: {stopped:#?}");
            assert_victim_is_whole(&bench, what);
        }
    }
}

/// A log that is one line of 100 MB, as a disk that was full leaves it: its end is shown, at the cost of its end.
#[test]
fn p11_a_log_of_one_huge_line_costs_what_is_shown() {
    let bench = bench!();
    bench.make_state();
    File::create(bench.file("daemon.log")).unwrap().set_len(100 << 20).unwrap();
    let outcome = bench.aileron(&["daemon", "logs"]).succeed();
    assert!(outcome.took < Duration::from_secs(5) && outcome.stdout.len() < 1 << 20, "{:?}", outcome.took);
}

/// Every damage to what a *live* owner has published: whoever asks meanwhile is given that owner and no other, and the owner
/// restores what it wrote.
#[test]
fn p11_a_live_owner_restores_its_record() {
    for (what, damage) in DAMAGES {
        for file in ["daemon.json", "daemon.pid"] {
            let bench = bench!();
            let daemon = bench.start(&[]);
            let wrote = fs::read(bench.file(file)).unwrap();
            put(damage, what, &bench.file(file));
            assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url(), "{file} is {what}");
            until(&format!("{file}, which is {what}, is restored"), PROMPT, || {
                let found = fs::symlink_metadata(bench.file(file)).is_ok_and(|found| found.is_file());
                (found && fs::read(bench.file(file)).unwrap() == wrote).then_some(())
            });
            assert_victim_is_whole(&bench, what);
            bench.only(&daemon);
        }
    }
}

/// Without file events the poll has to do it.
#[test]
fn p11_a_live_owner_restores_its_record_without_events() {
    let bench = bench!();
    let daemon = bench.start(&["--no-lock-events", "--lock-poll-interval", "100ms"]);
    let wrote = fs::read(bench.file("daemon.json")).unwrap();
    for name in ["daemon.json", "daemon.pid", "daemon.log"] {
        fs::remove_file(bench.file(name)).unwrap();
    }
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
    until("the record is restored", PROMPT, || {
        (fs::read(bench.file("daemon.json")).ok()? == wrote).then_some(())
    });
}

/// A lie in a record: another's address, another's pid. The owner is alive, so the lie is corrected while the client waits.
#[test]
fn p11_a_lie_is_not_acted_upon() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let mut lie = daemon.record.clone();
    lie["url"] = "http://127.0.0.1:1".into();
    lie["pid"] = 1.into();
    fs::write(bench.file("daemon.json"), lie.to_string()).unwrap();
    assert_eq!(bench.aileron(&["url"]).succeed().stdout.trim(), daemon.url());
    bench.only(&daemon);
}

/// agenc-core#2612: `kill -9`, and from then on nothing works until somebody deletes a file by hand.
#[test]
fn p11_after_sigkill_the_next_client_succeeds() {
    let bench = bench!();
    for _ in 0..5 {
        let daemon = bench.start(&[]);
        daemon.process.kill();
        assert_eq!(daemon.process.wait(PROMPT), End::Signal(9));
        let outcome = bench.aileron(&["--json", "url"]).succeed();
        assert_eq!(outcome.json()["outcome"], "started");
        assert!(outcome.took < Duration::from_secs(2), "100 ms extra are promised: {outcome:?}");
        bench.daemon().process.kill();
    }
}

/// Killed at any step of its start, whichever it has come to: after the lock, the bind, the temporary file, the rename.
#[test]
fn p11_killed_at_any_step_of_its_start() {
    let bench = bench!();
    for step in 0..40 {
        let running = bench.aileron(&["daemon", "run"]).start();
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(200 * step) {
            std::hint::spin_loop();
        }
        running.process.kill();
        running.process.wait(PROMPT);
        let outcome = bench.aileron(&["url"]).succeed();
        assert!(outcome.took < NO_HANG, "step {step}: {outcome:?}");
        let daemon = bench.daemon();
        daemon.process.kill();
        daemon.process.wait(PROMPT);
    }
}

/// What a crash between the temporary file and its rename leaves, or what somebody puts there.
#[test]
fn p11_leftover_temporary_files_are_in_nobodys_way() {
    for (what, damage) in DAMAGES {
        let bench = bench!();
        bench.make_state();
        for name in [".daemon.json.new", ".daemon.pid.new", ".daemon.exit.json.new"] {
            put(damage, what, &bench.file(name));
        }
        bench.aileron(&["url"]).succeed();
        bench.aileron(&["stop"]).succeed();
        assert_victim_is_whole(&bench, what);
    }
}

/// A restore by `cp -r` leaves the directory readable for others: tightened, and said.
#[test]
fn p12_a_readable_directory_is_tightened_and_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = bench!();
    bench.make_state();
    set_mode(&bench.state(), 0o755);
    let outcome = bench.aileron(&["url"]).succeed();
    assert!(outcome.stderr.contains("tightened") && outcome.stderr.contains("0755"), "{outcome:?}");
    assert_eq!(fs::metadata(bench.state()).unwrap().permissions().mode() & 0o7777, 0o700);
}
