//! Having a daemon: one launch for everybody, and what keeps a launch from happening (P7, P11, P14).

use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aileron_discovery::process::Elsewhere;
use aileron_discovery::protocol::control::DaemonState;
use aileron_discovery::{Deadline, Hold, OwnerLock, StartGate, StateDir, StateFile, probe_lock};
use aileron_spawn::{
    Autostart, EnsureError, EnsureOptions, Ensured, Finding, HoldRule, Launch, LaunchError, Program,
    StartReason, VersionRule, ensure_running, find,
};

use crate::fake::{Fake, Manner};
use crate::home::{
    CLEAR, Home, OBEY, PATIENCE, found, is_gone, record_at, refusing, soon, started, tool_of, until,
};

#[test]
fn started_once_and_found_from_then_on() {
    let home = Home::without_directory();
    let launch = home.daemon("serve");
    let first = match home.ensure(&launch).unwrap() {
        Ensured::Started { daemon, reason: StartReason::NotRunning, tightened_from: None } => daemon,
        other => panic!("{other:?}"),
    };
    assert!(first.proved());
    let again = found(home.ensure(&launch).unwrap());
    assert_eq!((again.instance(), again.pid()), (first.instance(), first.pid()));
    assert_eq!(home.launches(), 1);
}

/// agenc-core#2612: leftovers that never heal. And nobody who lives on is left with a zombie.
#[test]
fn after_a_kill_the_next_client_has_another() {
    let home = Home::new();
    let first = started(home.ensure(&home.daemon("serve")).unwrap());
    assert!(Command::new("kill").args(["-KILL", &first.pid().to_string()]).status().unwrap().success());
    until("reaped", || is_gone(first.pid()));
    match home.ensure(&home.daemon("serve")).unwrap() {
        Ensured::Started { daemon, reason: StartReason::Stale(why), .. } => {
            assert!(why.contains(&format!("names pid {}", first.pid())), "{why}");
            assert_ne!(daemon.instance(), first.instance());
        }
        other => panic!("{other:?}"),
    }
}

/// codedb#592, gastown#3195, watchman#276: N clients start N daemons.
#[test]
fn a_herd_has_one_daemon_launched() {
    for manner in ["serve", "slow"] {
        let home = Home::without_directory();
        let (launch, barrier) = (home.daemon(manner), Barrier::new(64));
        let instances: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..64)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        match home.ensure(&launch).unwrap() {
                            Ensured::Found(daemon) | Ensured::Started { daemon, .. } => {
                                daemon.instance().unwrap().clone()
                            }
                            other => panic!("{other:?}"),
                        }
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert!(instances.iter().all(|instance| *instance == instances[0]), "{instances:?}");
        assert_eq!(home.launches(), 1, "{manner}");
    }
}

/// A daemon that has taken the request to end goes on saying that it is ready until its keeper has decided. That is no old
/// daemon which somebody has started again.
#[test]
fn an_older_daemon_that_takes_its_leave_slowly_is_replaced() {
    let home = Home::new();
    let older = started(home.ensure(&home.daemon("linger")).unwrap());
    let newer = StateDir::resolve(&tool_of("2.0.0"), Some(home.dir.root())).unwrap();
    let options = EnsureOptions { version: VersionRule::Compatible, ..OBEY };
    match ensure_running(&newer, &home.daemon("serve"), &options, soon()).unwrap() {
        Ensured::Started { daemon, reason: StartReason::Replaced(version), .. } => {
            assert_eq!(version, "1.0.0");
            assert_ne!(daemon.instance(), older.instance());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(home.launches(), 2);
}

#[test]
fn a_start_that_outlasts_one_client_is_the_next_ones() {
    let home = Home::new();
    let error = home.ensure_within(&home.daemon("slow"), Duration::from_millis(400)).unwrap_err();
    let EnsureError::StartInProgress { pid: Some(pid), .. } = error else { panic!("{error:?}") };
    assert_eq!(found(home.ensure(&home.daemon("serve")).unwrap()).pid(), pid);
    assert_eq!(home.launches(), 1);
}

#[test]
fn a_daemon_that_holds_the_lock_and_is_not_ready_is_waited_for_and_named() {
    let home = Home::new();
    let child = home.child("mute", ":");
    until("the lock is held", || probe_lock(&home.dir).unwrap().is_held());
    let error = home.ensure_within(&home.daemon("serve"), Duration::from_millis(300)).unwrap_err();
    assert!(
        matches!(error, EnsureError::StartInProgress { pid: Some(pid), .. } if pid == child.id()),
        "{error:?}"
    );
    assert_eq!(home.launches(), 1);
}

/// beads#1515: the directory is deleted at every moment of a start.
#[test]
fn a_start_survives_the_deletion_of_its_directory() {
    let home = Home::new();
    let (launch, over) = (home.daemon("serve"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                until("there is something to delete", || {
                    home.dir.path(StateFile::Lock).exists() || over.load(Ordering::Acquire)
                });
                // What is created meanwhile makes it fail; the next round has another go.
                let _lost_a_race = std::fs::remove_dir_all(home.dir.root());
            }
        });
        let outcome = home.ensure(&launch);
        over.store(true, Ordering::Release);
        assert!(outcome.is_ok(), "{outcome:?}");
    });
    let outcome = home.ensure(&launch);
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(matches!(find(&home.dir, soon()).unwrap(), Finding::Found(_)));
}

#[test]
fn a_hold_is_obeyed_until_a_start_by_name_clears_it() {
    let home = Home::new();
    let launch = home.daemon("serve");
    Hold::set(&StartGate::try_acquire(&home.dir).unwrap().unwrap()).unwrap();
    let error = home.ensure(&launch).unwrap_err();
    assert!(matches!(&error, EnsureError::OnHold { path } if path.ends_with("hold")), "{error:?}");
    assert_eq!(home.launches(), 0);
    started(ensure_running(&home.dir, &launch, &CLEAR, soon()).unwrap());
    assert!(!Hold::is_set(&home.dir).unwrap());

    Hold::set(&StartGate::try_acquire(&home.dir).unwrap().unwrap()).unwrap();
    found(home.ensure(&launch).unwrap());
    found(ensure_running(&home.dir, &launch, &CLEAR, soon()).unwrap());
    assert!(!Hold::is_set(&home.dir).unwrap(), "cleared although there was nothing to start");
}

#[test]
fn where_automatic_starts_are_off_nothing_is_made() {
    let home = Home::without_directory();
    let autostart = Autostart::Forbidden { variable: "SPAWN_TEST_NO_AUTOSTART".to_owned() };
    let options = EnsureOptions { autostart, hold: HoldRule::Obey, version: VersionRule::Any };
    let forbidden = || ensure_running(&home.dir, &home.daemon("serve"), &options, soon());
    let refused = |outcome| match outcome {
        Err(EnsureError::AutostartOff { variable }) => assert_eq!(variable, "SPAWN_TEST_NO_AUTOSTART"),
        other => panic!("{other:?}"),
    };
    refused(forbidden());
    assert!(!home.dir.root().exists());
    home.dir.create().unwrap();
    refused(forbidden());
    assert_eq!(home.launches(), 0);
    started(home.ensure(&home.daemon("serve")).unwrap());
    found(forbidden().unwrap());
}

/// spectre#241, codex-plugin-cc#526: a client arrives as the daemon leaves.
#[test]
fn a_daemon_that_drains_is_waited_out_and_replaced() {
    let home = Home::new();
    let lock = OwnerLock::acquire(&home.dir).unwrap();
    let leaving = Fake::start(|address| {
        let record = record_at(address);
        lock.publish(&record).unwrap();
        Manner::Prove(Box::new(record), DaemonState::Draining)
    });
    std::thread::scope(|scope| {
        let client = scope.spawn(|| home.ensure(&home.daemon("serve")).unwrap());
        until("the client has been told twice", || leaving.seen().len() > 1);
        assert!(!client.is_finished());
        drop(lock);
        assert_ne!(started(client.join().unwrap()).pid(), std::process::id());
    });
}

#[test]
fn who_waits_at_the_gate_is_served_by_whoever_comes_up_meanwhile() {
    let home = Home::new();
    let _gate = StartGate::try_acquire(&home.dir).unwrap().unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| home.ensure(&home.daemon("serve")).unwrap());
        let child = home.child("slow", ":");
        assert_eq!(found(client.join().unwrap()).pid(), child.id());
    });
    assert_eq!(home.launches(), 1, "the child alone");
}

/// A thousand waiters that each share the lock for a moment, again and again, are in the way of the one that wants it for itself.
#[test]
fn p7_who_waits_at_the_gate_leaves_the_lock_alone() {
    let home = Home::new();
    let gate = StartGate::try_acquire(&home.dir).unwrap().unwrap();
    let lock = home.dir.path(StateFile::Lock);
    std::fs::write(&lock, "").unwrap();
    let events = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::NONBLOCK).unwrap();
    rustix::fs::inotify::add_watch(&events, &lock, rustix::fs::inotify::WatchFlags::OPEN).unwrap();
    let opened = || rustix::io::read(&events, &mut [0; 4096]).is_ok();
    let error = home.ensure_within(&home.daemon("serve"), Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, EnsureError::StartInProgress { .. }), "{error:?}");
    assert!(!opened(), "somebody who waited has looked at the lock");
    drop(gate);
    home.ensure(&home.daemon("serve")).unwrap();
    assert!(opened(), "and under the gate it is asked");
}

#[test]
fn a_gate_that_stays_shut_is_given_up_at_the_deadline() {
    let home = Home::new();
    let _gate = StartGate::try_acquire(&home.dir).unwrap().unwrap();
    let error = home.ensure_within(&home.daemon("serve"), Duration::from_millis(200)).unwrap_err();
    assert!(
        matches!(&error, EnsureError::StartInProgress { step, pid: None, .. } if step.contains("gate")),
        "{error:?}"
    );
    assert_eq!(home.launches(), 0);
}

#[test]
fn a_start_by_name_of_what_runs_needs_no_gate() {
    let home = Home::new();
    let daemon = started(home.ensure(&home.daemon("serve")).unwrap());
    let _gate = StartGate::try_acquire(&home.dir).unwrap().unwrap();
    let again = ensure_running(&home.dir, &home.daemon("serve"), &CLEAR, soon()).unwrap();
    assert_eq!(found(again).pid(), daemon.pid());
}

#[test]
fn a_directory_that_others_may_read_is_tightened_and_that_is_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    std::fs::set_permissions(home.dir.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    match home.ensure(&home.daemon("serve")).unwrap() {
        Ensured::Started { tightened_from, .. } => assert_eq!(tightened_from, Some(0o755)),
        other => panic!("{other:?}"),
    }
}

/// Two looks of 2 s beside the 5 s made it 8 s before that was said: three looks are within them, the last one cut short.
#[test]
fn a_daemon_that_says_nothing_is_looked_at_for_no_longer_than_it_is_waited_for() {
    let home = Home::new();
    let lock = OwnerLock::acquire(&home.dir).unwrap();
    let fake = Fake::start(|address| {
        lock.publish(&record_at(address)).unwrap();
        Manner::Silent
    });
    let error = home.ensure(&home.daemon("serve")).unwrap_err();
    assert!(matches!(error, EnsureError::Unresponsive { .. }), "{error:?}");
    assert!(fake.seen().len() <= 3, "{:?}", fake.seen());
}

/// atuin#4114: alive, and not serving.
#[test]
fn a_daemon_that_says_nothing_is_named_and_left_alone() {
    let home = Home::new();
    let mut child = home.child("deaf", ":");
    until("it has published", || home.dir.path(StateFile::Pid).exists());
    let began = Instant::now();
    let error = home.ensure(&home.daemon("serve")).unwrap_err();
    assert!(
        matches!(&error, EnsureError::Unresponsive { pid: Some(pid), .. } if *pid == child.id()),
        "{error:?}"
    );
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(5) && took < PATIENCE, "{took:?}");
    assert!(child.is_alive());
    assert_eq!(home.launches(), 1);
}

#[test]
fn a_daemon_elsewhere_is_said_to_be_there_without_a_long_wait() {
    let home = Home::new();
    let _lock = OwnerLock::acquire(&home.dir).unwrap();
    let mut record = record_at(refusing());
    record.host = "elsewhere.example".to_owned();
    record.process.as_mut().unwrap().boot_id = Some("its own".to_owned());
    home.write_record(&record);
    let began = Instant::now();
    let error = home.ensure(&home.daemon("serve")).unwrap_err();
    assert!(matches!(&error, EnsureError::Elsewhere { elsewhere: Elsewhere::Host(_), .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(home.launches(), 0);
}

/// A daemon that does not stay is not launched for ever, and the last one's end is the cause.
#[test]
fn a_daemon_that_is_ready_and_dies_is_tried_a_few_times_and_reported() {
    let home = Home::new();
    let error = home.ensure(&home.daemon("die")).unwrap_err();
    match &error {
        EnsureError::Launch(LaunchError::Exited { end, tail, .. }) => {
            assert_eq!(end.to_string(), "exited with status 4");
            assert!(tail.ends_with("and so it ends"), "{tail}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(home.launches(), 3);
}

/// A file system that lies about locks, or a daemon that does: each says that another one holds it.
#[test]
fn a_daemon_that_always_finds_the_lock_held_is_not_launched_for_ever() {
    let home = Home::new();
    // A plain shell redirects to descriptors of one digit only; the path serves for any.
    let script = r#"echo >> "$LC_LAUNCHES"; echo '{"kind":"held"}' > /proc/$$/fd/$2"#;
    let args = ["-c", script, "sh"];
    let launch = Launch {
        program: Program::File("/bin/sh".into()),
        args: args.map(Into::into).to_vec(),
        env: Vec::new(),
    }
    .with_env("LC_LAUNCHES", home.beside("launches"));
    let error = home.ensure(&launch).unwrap_err();
    assert!(matches!(error, EnsureError::NoneStayed { launches: 3, .. }), "{error:?}");
    assert_eq!(home.launches(), 3);
}

#[test]
fn nothing_is_launched_once_the_deadline_has_passed() {
    let home = Home::new();
    let error = ensure_running(&home.dir, &home.daemon("serve"), &OBEY, Deadline::after(Duration::ZERO));
    assert!(matches!(error, Err(EnsureError::StartInProgress { pid: None, .. })), "{error:?}");
    assert_eq!(home.launches(), 0);
}
