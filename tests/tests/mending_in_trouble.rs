//! P11 and P14 where the state directory is no quiet place: in use, full, or with something dead mounted in it. The owner's
//! keeper restores what is damaged, and neither waits for anybody nor works without end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aileron_tests::{Bench, Daemon, End, Mount, PROMPT, Signal, bench, in_own_mounts, until};

/// Well before a client gives up (30 s), and before a directory that is never quiet is mended in any case (20 s).
const IN_TIME: Duration = Duration::from_secs(15);

/// Longer than it takes until a directory that is never quiet is mended in any case.
const LONG: Duration = Duration::from_secs(25);

fn is_restored(bench: &Bench, daemon: &Daemon) -> Option<()> {
    let found: serde_json::Value = serde_json::from_slice(&fs::read(bench.file("daemon.json")).ok()?).ok()?;
    (found["instance"] == daemon.instance).then_some(())
}

/// Ticks of CPU time that a process has used (`proc_pid_stat(5)`, fields 14 and 15), a hundredth of a second each.
fn ticks(daemon: &Daemon) -> u64 {
    [14, 15].iter().map(|field| daemon.process.stat(*field).unwrap().parse::<u64>().unwrap()).sum()
}

/// An embedder keeps a data base there, against all advice, whose journal comes and goes twenty times a second: that is no
/// `rm -rf`, and one damaged file need not wait for it to end.
#[test]
fn p11_a_directory_in_use_is_mended_all_the_same() {
    for options in
        [&["--lock-poll-interval", "1h"][..], &["--no-lock-events", "--lock-poll-interval", "100ms"]]
    {
        let bench = bench!();
        let daemon = bench.start(options);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let journal = bench.file("db-journal");
                while !done.load(Ordering::Acquire) {
                    fs::write(&journal, "begin").unwrap();
                    // The pace of the traffic, and no synchronisation.
                    std::thread::sleep(Duration::from_millis(25));
                    fs::remove_file(&journal).unwrap();
                    std::thread::sleep(Duration::from_millis(25));
                }
            });
            fs::remove_file(bench.file("daemon.json")).unwrap();
            let restored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                until("the record is restored", IN_TIME, || is_restored(&bench, &daemon));
            }));
            done.store(true, Ordering::Release);
            if let Err(late) = restored {
                std::panic::resume_unwind(late);
            }
        });
    }
}

/// The disk is full, so no restoration can succeed; each try makes and removes a temporary file, which are events. A keeper that
/// tried at each event used a whole processor for as long as the disk was full.
#[test]
fn p11_a_full_disk_is_tried_again_and_not_without_end() {
    in_own_mounts(|| {
        let bench = bench!();
        let mount = Mount::tmpfs(bench.home(), ",size=256k");
        let daemon = bench.start(&[]);
        let mut filler = fs::File::create(bench.beside("filler")).unwrap();
        while filler.write_all(&[b'x'; 1024]).is_ok() {}
        fs::remove_file(bench.file("daemon.json")).unwrap();
        while filler.write_all(&[b'x'; 16]).is_ok() {}
        let fault = || daemon.view()["record_fault"].is_string().then_some(());
        until("it says that it cannot restore the record", PROMPT, fault);
        let (before, began) = (ticks(&daemon), Instant::now());
        until("the time has passed in which it would have begun", 2 * LONG, || {
            (began.elapsed() > LONG).then_some(())
        });
        let used = ticks(&daemon) - before;
        assert!(used < 100, "{used} ticks of {} s: it tries without end", LONG.as_secs());
        fs::remove_file(bench.beside("filler")).unwrap();
        drop(filler);
        until("the record is restored", PROMPT, || is_restored(&bench, &daemon));
        daemon.process.kill();
        daemon.process.wait(PROMPT);
        drop(mount);
    });
}

/// While something is damaged the names are counted at certain times and not at each of a flood of events: counting them takes
/// longer the more there are.
#[test]
fn p11_a_flood_of_events_does_not_have_names_counted_without_end() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let extra = |number: u32| bench.file(&format!("{number}.extra"));
    fs::write(extra(0), "").unwrap();
    (1..40_000).for_each(|number| fs::hard_link(extra(0), extra(number)).unwrap());
    daemon.three_looks();
    for name in ["daemon.json", "daemon.pid"] {
        fs::remove_file(bench.file(name)).unwrap();
    }
    let before = ticks(&daemon);
    for number in 1..2000 {
        fs::remove_file(extra(number)).unwrap();
        // The pace of the flood, and no synchronisation.
        std::thread::sleep(Duration::from_millis(1));
    }
    let used = ticks(&daemon) - before;
    assert!(used < 100, "{used} ticks for 2,000 events");
}

/// The lock is away for a moment while a damaged file waits to be mended: put off, and not forgotten.
#[test]
fn p11_a_moment_of_doubt_forgets_no_damage() {
    let bench = bench!();
    let daemon = bench.start(&["--lock-poll-interval", "1h"]);
    let (lock, aside) = (bench.file("daemon.lock"), bench.file("aside"));
    // Back within the 100 ms that a decision takes, which a busy machine may not let us: once in ten is enough.
    let came_back = (1..=10).any(|round| {
        fs::remove_file(bench.file("daemon.json")).unwrap();
        until("the damage has been looked at", PROMPT, || {
            (daemon.view()["watcher"]["last_look_ms"].as_u64()? < 1000).then_some(())
        });
        fs::rename(&lock, &aside).unwrap();
        daemon.log.wait_for("suspect", PROMPT);
        fs::rename(&aside, &lock).unwrap();
        if daemon.process.ends_within(Duration::from_millis(150)) {
            return false;
        }
        until("it is the owner again", PROMPT, || {
            (daemon.log.events("owner_again").len() >= round).then_some(())
        });
        until("the record is restored", IN_TIME, || is_restored(&bench, &daemon));
        true
    });
    assert!(came_back, "ten times of ten it took a moment's absence for a loss");
}

/// Something is mounted below the directory and its server does not answer: whoever enters it waits for ever, and a keeper that
/// did could be ended by `SIGKILL` alone.
#[test]
fn p14_nothing_that_is_mounted_below_is_entered() {
    in_own_mounts(|| {
        let bench = bench!();
        let daemon = bench.start(&[]);
        let (under, over) = (bench.beside("under"), bench.file("mounted"));
        fs::create_dir(&under).unwrap();
        fs::create_dir(&over).unwrap();
        let server = "/usr/bin/bindfs";
        assert!(fs::exists(server).unwrap(), "this test needs bindfs: apt-get install bindfs");
        let running = bench.call(server).arg("-f").arg(&under).arg(&over).start();
        until("bindfs has mounted, which takes root and /dev/fuse", PROMPT, || {
            // FUSE_SUPER_MAGIC of statfs(2).
            (rustix::fs::statfs(&over).unwrap().f_type == 0x6573_5546).then_some(())
        });
        running.process.freeze();
        fs::remove_file(bench.file("daemon.json")).unwrap();
        let restored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until("the record is restored", PROMPT, || is_restored(&bench, &daemon));
        }));
        daemon.process.signal(Signal::TERM);
        let ended = daemon.process.ends_within(PROMPT);
        running.process.thaw();
        drop(Mount::of(&over));
        running.process.wait(PROMPT);
        assert!(restored.is_ok() && ended, "restored: {}, ended: {ended}", restored.is_ok());
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    });
}
