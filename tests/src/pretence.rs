//! Records that are not true any more, or never were: what P9 is tried with.

use std::fs;

use serde_json::Value;

use crate::bench::Bench;
use crate::facts::PROMPT;
use crate::process::Process;

/// The record of a daemon that was killed, as it lies there: everything in it is true but for what a test changes.
pub fn left_behind(bench: &Bench) -> Value {
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    daemon.record
}

/// Puts a record, and the pid file that goes with it, into the state directory.
pub fn write_record(bench: &Bench, record: &Value) {
    fs::write(bench.file("daemon.json"), record.to_string()).expect("the state directory is there");
    fs::write(bench.file("daemon.pid"), format!("{}\n", record["pid"]))
        .expect("the state directory is there");
}

/// The record, with `process` in it by everything by which a process can be named, its start time included.
pub fn naming(process: &Process, mut record: Value) -> Value {
    let start_time: u64 = process.stat(22).expect("it lives").parse().expect("a number of ticks");
    record["pid"] = process.pid().into();
    record["process"]["start_time"] = start_time.into();
    record
}
