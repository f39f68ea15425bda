//! P1: the file that was locked is the one at the path, also when it was replaced between `open` and `flock`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aileron_tests::{Process, bench, until};

/// A program that compared nothing after `flock` held a perfectly valid lock on a file that nobody else would ever open.
///
/// A helper acquires and frees the lock again and again. It is stopped at random; where its descriptor table shows the lock
/// file open and *not* locked, it stands between the two system calls (or is about to close the file), and the file at the
/// path is replaced under it. Twenty times, and it never takes the old file for the lock.
#[test]
fn p1_held_and_path_are_compared_after_each_acquire() {
    let bench = bench!();
    bench.make_state();
    let lock = bench.file("daemon.lock");
    let running = bench.call(bench.programs().acquire).arg(bench.state()).start();
    until("it has begun", aileron_tests::PROMPT, || lock.exists().then_some(()));
    let mut hits = 0;
    let mut tries = 0;
    while hits < 20 {
        tries += 1;
        assert!(tries < 20_000, "only {hits} of {tries} stops were between open and flock");
        assert!(
            running.process.is_alive(),
            "an acquired lock was not the one at the path, after {hits} replacements"
        );
        running.process.freeze();
        if is_between_open_and_flock(&running.process, &lock) {
            let fresh = bench.file("fresh");
            fs::write(&fresh, "").unwrap();
            fs::rename(&fresh, &lock).unwrap();
            hits += 1;
        }
        running.process.thaw();
    }
    // The last replacement is judged as well: it comes to a lock of its own, on the file that is there now.
    until("it locks the new file", aileron_tests::PROMPT, || {
        assert!(running.process.is_alive(), "an acquired lock was not the one at the path");
        running.process.freeze();
        let holds = flocks(&running.process, &lock).contains(&true);
        running.process.thaw();
        holds.then_some(())
    });
}

fn is_between_open_and_flock(process: &Arc<Process>, lock: &Path) -> bool {
    flocks(process, lock) == [false]
}

/// For each descriptor on the file at `lock`: whether it shows the exclusive flock.
fn flocks(process: &Arc<Process>, lock: &Path) -> Vec<bool> {
    let on_it = process.descriptors().into_iter().filter(|(_, path)| Path::new(path) == lock);
    on_it.map(|(number, _)| process.proc(&format!("fdinfo/{number}")).contains("FLOCK")).collect()
}
