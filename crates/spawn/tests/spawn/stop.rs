//! Stopped means stopped, and nobody innocent is harmed (P9, P13).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aileron_discovery::process::ProcessRecord;
use aileron_discovery::{Deadline, Hold, LockProbe, OwnerLock, StartGate, StateFile, probe_lock};
use aileron_spawn::{Force, How, OnStop, StopError, StopOptions, StopOutcome, Stopped, stop};

use crate::home::{Home, Process, is_gone, record_at, refusing, soon, started, until};

const PLAIN: StopOptions = StopOptions { force: Force::Never, on_stop: OnStop::LeaveStartsOn };
const FORCE: StopOptions = StopOptions { force: Force::AtDeadline, on_stop: OnStop::LeaveStartsOn };
const HOLD: StopOptions = StopOptions { force: Force::Never, on_stop: OnStop::Hold };

fn within(millis: u64) -> Deadline {
    Deadline::after(Duration::from_millis(millis))
}

/// The lock is free, nobody listens, the process is gone.
#[track_caller]
fn assert_stopped(home: &Home, stopped: &Stopped, pid: u32, how: How, address: std::net::SocketAddr) {
    assert_eq!(stopped.outcome, StopOutcome::Stopped { pid, how });
    assert!(matches!(probe_lock(&home.dir).unwrap(), LockProbe::Free(_)));
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn none_running_is_no_error_and_makes_nothing() {
    let home = Home::without_directory();
    assert_eq!(stop(&home.dir, FORCE, soon()).unwrap().outcome, StopOutcome::NotRunning);
    assert!(!home.dir.root().exists());

    home.dir.create().unwrap();
    home.write_record(&record_at(refusing()));
    let before = home.record().instance;
    assert_eq!(stop(&home.dir, FORCE, soon()).unwrap().outcome, StopOutcome::NotRunning);
    assert_eq!(home.record().instance, before, "a stale record is not a client's to remove");
}

#[test]
fn a_hold_is_set_even_where_nothing_runs() {
    let home = Home::without_directory();
    assert_eq!(stop(&home.dir, HOLD, soon()).unwrap().outcome, StopOutcome::NotRunning);
    assert!(Hold::is_set(&home.dir).unwrap());
    stop(&home.dir, HOLD, soon()).unwrap();
    assert!(Hold::is_set(&home.dir).unwrap(), "and stays set");
}

#[test]
fn a_daemon_that_takes_the_request_needs_no_signal() {
    let home = Home::new();
    let daemon = started(home.ensure(&home.daemon("serve")).unwrap());
    let address = daemon.record().url.address();
    let stopped = stop(&home.dir, HOLD, soon()).unwrap();
    assert_stopped(&home, &stopped, daemon.pid(), How::Request, address);
    assert!(Hold::is_set(&home.dir).unwrap() && stopped.orphans.is_empty());
    until("reaped", || is_gone(daemon.pid()));
    assert_eq!(home.launches(), 1, "nothing was started to do it");
}

/// gortex#68, bazel#6376: a daemon that does not hear the request is sent a signal, and not before it had its time.
#[test]
fn a_daemon_that_does_not_take_the_request_is_sent_a_signal() {
    for manner in ["deny", "deaf"] {
        let home = Home::new();
        let child = home.child(manner, ":");
        until("it has published", || home.dir.path(StateFile::Pid).exists());
        let (address, began) = (home.record().url.address(), Instant::now());
        let stopped = stop(&home.dir, PLAIN, soon()).unwrap();
        assert!(began.elapsed() >= Duration::from_secs(2), "{manner}: {:?}", began.elapsed());
        assert_stopped(&home, &stopped, child.id(), How::Sigterm, address);
    }
}

#[test]
fn a_daemon_that_ignores_signals_is_killed_only_by_force_and_only_at_the_deadline() {
    let home = Home::new();
    let mut child = home.child("deaf", "trap '' TERM");
    until("it has published", || home.dir.path(StateFile::Pid).exists());
    let address = home.record().url.address();
    let error = stop(&home.dir, PLAIN, within(2500)).unwrap_err();
    assert!(matches!(error, StopError::StillRunning { pid, .. } if pid == child.id()), "{error:?}");
    assert!(child.is_alive());

    let began = Instant::now();
    let stopped = stop(&home.dir, FORCE, within(2500)).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(2500), "{:?}", began.elapsed());
    assert_stopped(&home, &stopped, child.id(), How::Sigkill, address);
}

/// A daemon that is still starting has no record, and is known by the lock it holds and the command it executes.
#[test]
fn a_daemon_without_a_record_is_found_by_its_lock() {
    let home = Home::new();
    let child = home.child("mute", ":");
    until("the lock is held", || probe_lock(&home.dir).unwrap().is_held());
    let stopped = stop(&home.dir, PLAIN, soon()).unwrap();
    assert_eq!(stopped.outcome, StopOutcome::Stopped { pid: child.id(), how: How::Sigterm });
}

/// claude-code#72898, wazuh#38733: the record's pid is somebody else's by now.
#[test]
fn a_stranger_whose_pid_stands_in_the_record_is_not_harmed() {
    let mut stranger = Process(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap());
    let home = Home::new();
    let mut record = record_at(refusing());
    record.pid = stranger.id();
    home.write_record(&record);
    assert_eq!(stop(&home.dir, FORCE, soon()).unwrap().outcome, StopOutcome::NotRunning, "the lock is free");

    // Even with the stranger's own start time in the record, and the lock held by a daemon: it is the daemon that ends.
    let child = home.child("mute", ":");
    until("the lock is held", || probe_lock(&home.dir).unwrap().is_held());
    record.process =
        Some(ProcessRecord { start_time: start_time(stranger.id()), ..ProcessRecord::of_this_process() });
    home.write_record(&record);
    let stopped = stop(&home.dir, FORCE, soon()).unwrap();
    assert_eq!(stopped.outcome, StopOutcome::Stopped { pid: child.id(), how: How::Sigterm });

    // And where the holder cannot be proved, nobody does.
    let _lock = OwnerLock::acquire(&home.dir).unwrap();
    let error = stop(&home.dir, FORCE, within(300)).unwrap_err();
    assert!(matches!(error, StopError::Unproved { .. }), "{error:?}");
    assert!(stranger.is_alive(), "it sleeps on");
}

fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok())
}

#[test]
fn a_lock_that_is_let_go_meanwhile_is_nobody_running() {
    let home = Home::new();
    let lock = OwnerLock::acquire(&home.dir).unwrap();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| stop(&home.dir, PLAIN, soon()));
        until("the gate is held", || matches!(StartGate::try_acquire(&home.dir), Ok(None)));
        drop(lock);
        assert_eq!(stopping.join().unwrap().unwrap().outcome, StopOutcome::NotRunning);
    });
}

#[test]
fn a_gate_that_stays_shut_is_given_up_at_the_deadline() {
    let home = Home::new();
    let _gate = StartGate::try_acquire(&home.dir).unwrap().unwrap();
    let error = stop(&home.dir, PLAIN, within(200)).unwrap_err();
    assert!(matches!(error, StopError::GateBusy { .. }), "{error:?}");
}

/// gortex#68: an orphan of this directory is named; the owner is what is stopped.
#[test]
fn orphans_are_named_and_left_alone() {
    let home = Home::new();
    let mut orphan = home.child("orphan", ":");
    until("it has published", || home.dir.path(StateFile::Pid).exists());
    std::fs::remove_dir_all(home.dir.root()).unwrap();
    let stopped = stop(&home.dir, FORCE, soon()).unwrap();
    assert_eq!(stopped.outcome, StopOutcome::NotRunning);
    let pids: Vec<_> = stopped.orphans.iter().map(|holder| holder.process.pid).collect();
    assert_eq!(pids, [orphan.id()]);
    assert!(orphan.is_alive());
}

/// job-hunter-team#214: a child keeps the port.
#[test]
fn a_port_that_is_still_open_is_not_stopped() {
    let home = Home::new();
    let _child = home.child("leak", ":");
    until("it has published", || home.dir.path(StateFile::Pid).exists());
    let address = home.record().url.address();
    let error = stop(&home.dir, PLAIN, within(1500)).unwrap_err();
    assert!(matches!(&error, StopError::PortOpen { address: open, .. } if *open == address), "{error:?}");
    let text = std::fs::read_to_string(home.beside("launches")).unwrap();
    let keeper = text.lines().last().unwrap();
    assert!(Command::new("kill").arg(keeper).status().unwrap().success());
    until("the port's keeper is gone", || is_gone(keeper.parse().unwrap()));
}
