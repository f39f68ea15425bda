//! What is found, what is not, and what nobody is told (P6, P11, P12).

use std::time::{Duration, Instant};

use aileron_discovery::process::Elsewhere;
use aileron_discovery::protocol::control::DaemonState;
use aileron_discovery::{OwnerLock, ProbeError, StateFile};
use aileron_spawn::{FindError, Finding, control, find};

use crate::fake::{Fake, Manner, http};
use crate::home::{Home, record_at, refusing, soon, until};

/// A daemon of this process that has published its record.
fn owner(home: &Home, state: DaemonState) -> (Fake, OwnerLock) {
    let lock = OwnerLock::acquire(&home.dir).unwrap();
    let fake = Fake::start(|address| {
        let record = record_at(address);
        lock.publish(&record).unwrap();
        Manner::Prove(Box::new(record), state)
    });
    (fake, lock)
}

#[test]
fn nothing_is_made_by_looking() {
    let home = Home::without_directory();
    assert!(matches!(find(&home.dir, soon()).unwrap(), Finding::NotRunning { stale: None }));
    assert!(!home.dir.root().exists());
}

#[test]
fn a_daemon_is_found_over_one_connection_and_is_told_nothing() {
    let home = Home::new();
    let (fake, _lock) = owner(&home, DaemonState::Ready);
    let before = home.names();
    let Finding::Found(found) = find(&home.dir, soon()).unwrap() else { panic!("not found") };
    assert!(found.proved() && found.state() == DaemonState::Ready);
    assert_eq!((found.pid(), found.url()), (std::process::id(), format!("http://{}", fake.address)));
    assert_eq!(found.instance(), home.record().instance.as_ref());
    assert_eq!(home.names(), before, "finding writes nothing");
    let seen = fake.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(!seen[0].contains(home.record().token.expose()), "{seen:?}");

    assert!(control::view(&found, soon()).is_err(), "this one has no such route");
    assert!(fake.seen()[1].contains(home.record().token.expose()), "once proved, it is told");
}

fn strangers() -> Vec<(&'static str, Manner)> {
    let say = |bytes: &[u8]| Manner::Say(bytes.to_vec());
    let huge =
        [b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n".as_slice(), &vec![b'x'; 200_000]].concat();
    vec![
        ("silent", Manner::Silent),
        ("drip", Manner::Drip),
        ("echo", Manner::Echo),
        ("closes", say(b"")),
        ("200 to all", Manner::Say(http(200, "ok"))),
        ("200 with JSON", Manner::Say(http(200, r#"{"instance":"i","state":"ready","mac":"00"}"#))),
        ("ssh", say(b"SSH-2.0-OpenSSH_9.2\r\n")),
        ("tls alert", say(b"\x15\x03\x01\x00\x02\x02\x28")),
        ("half an answer", say(b"HTTP/1.1 200 OK\r\ncontent-le")),
        ("huge", Manner::Say(huge)),
        ("404", Manner::Say(http(404, ""))),
    ]
}

/// trusty-tools#475, notary#44: the port of a daemon that is gone is given to somebody else.
#[test]
fn a_stranger_at_a_stale_address_is_told_nothing_and_holds_nobody_up() {
    for (name, manner) in strangers() {
        let home = Home::new();
        let fake = Fake::start(|_| manner);
        let record = record_at(fake.address);
        home.write_record(&record);
        let began = Instant::now();
        let finding = find(&home.dir, soon()).unwrap();
        let Finding::NotRunning { stale: Some(why) } = finding else { panic!("{name}: {finding:?}") };
        assert!(why.contains(&format!("names pid {}", record.pid)), "{name}: {why}");
        assert!(began.elapsed() < Duration::from_secs(1), "{name}: {:?}", began.elapsed());
        let seen = fake.seen();
        assert!(!seen.is_empty() && !seen.concat().contains(record.token.expose()), "{name}: {seen:?}");
    }
}

#[test]
fn a_stranger_beside_a_held_lock_is_told_nothing_either() {
    let home = Home::new();
    let _lock = OwnerLock::acquire(&home.dir).unwrap();
    for (name, manner) in strangers() {
        let fake = Fake::start(|_| manner);
        let record = record_at(fake.address);
        home.write_record(&record);
        let finding = find(&home.dir, soon()).unwrap();
        // Nobody signals or proves himself: that this process holds the lock is what the record says, and no more.
        let claim = format!("its record names pid {}, which is not proved", record.pid);
        assert!(
            matches!(&finding, Finding::Unresponsive { pid: None, why, .. } if why.contains(&claim)),
            "{name}: {finding:?}"
        );
        assert!(!fake.seen().concat().contains(record.token.expose()), "{name}");
    }
}

#[test]
fn a_displaced_daemon_is_not_found() {
    let home = Home::new();
    let _lock = OwnerLock::acquire(&home.dir).unwrap();
    let fake = Fake::start(|_| Manner::IdentityLost);
    home.write_record(&record_at(fake.address));
    let finding = find(&home.dir, soon()).unwrap();
    assert!(matches!(&finding, Finding::Unresponsive { why, .. } if why.contains("leaving")), "{finding:?}");
}

/// bitcoin#21340, watchman#369: a record cut short by a full disk, or replaced by something else.
#[test]
fn no_record_is_bad_enough_to_fail() {
    let home = Home::new();
    let path = home.dir.path(StateFile::Record);
    let whole = record_at(refusing()).to_bytes();
    let stale = |what: &str| match find(&home.dir, soon()).unwrap() {
        Finding::NotRunning { stale } => stale,
        other => panic!("{what}: {other:?}"),
    };
    for end in [0, 1, whole.len() / 2, whole.len() - 3] {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert!(stale("cut").is_some_and(|why| why.contains("damaged")), "cut at {end}");
    }
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    assert!(stale("100 MB").is_some());
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(stale("a FIFO").is_some());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(stale("a directory").is_some());
}

#[test]
fn a_lock_that_is_no_file_is_an_error_by_name() {
    let home = Home::new();
    std::fs::create_dir(home.dir.path(StateFile::Lock)).unwrap();
    let error = find(&home.dir, soon()).unwrap_err();
    assert!(matches!(error, FindError::Probe(ProbeError::NotAFile { kind: "a directory", .. })), "{error:?}");
}

/// paseo#5128, bazel#12591: the record of another machine, or of this one before it booted.
#[test]
fn a_record_from_elsewhere_is_stale_when_the_lock_is_free_and_found_when_it_can_be_proved() {
    let home = Home::new();
    let mut record = record_at(refusing());
    record.host = "elsewhere.example".to_owned();
    record.process.as_mut().unwrap().boot_id = Some("its own".to_owned());
    home.write_record(&record);
    assert!(matches!(find(&home.dir, soon()).unwrap(), Finding::NotRunning { stale: Some(_) }));

    let lock = OwnerLock::acquire(&home.dir).unwrap();
    match find(&home.dir, soon()).unwrap() {
        Finding::Elsewhere { elsewhere: Elsewhere::Host(name), host, .. } => {
            assert_eq!((name.as_str(), host.as_str()), ("elsewhere.example", "elsewhere.example"));
        }
        other => panic!("{other:?}"),
    }

    let _fake = Fake::start(|address| {
        let mut reachable = record_at(address);
        reachable.host = "elsewhere.example".to_owned();
        lock.publish(&reachable).unwrap();
        Manner::Prove(Box::new(reachable), DaemonState::Ready)
    });
    assert!(matches!(find(&home.dir, soon()).unwrap(), Finding::Found(_)));
}

/// After a reboot the record is of another boot until the first daemon of this one replaces it: it is no reason to say that
/// the daemon runs elsewhere while it is starting here.
#[test]
fn a_daemon_that_starts_beside_a_record_of_another_boot_is_starting() {
    let home = Home::new();
    let mut record = record_at(refusing());
    record.process.as_mut().unwrap().boot_id = Some("another boot".to_owned());
    home.write_record(&record);
    let child = home.child("mute", ":");
    until("the lock is held", || aileron_discovery::probe_lock(&home.dir).unwrap().is_held());
    let finding = find(&home.dir, soon()).unwrap();
    assert!(matches!(finding, Finding::Starting { pid } if pid == child.id()), "{finding:?}");
}

/// A reference daemon proves nothing, so the lock has to vouch for whoever answers at its address.
#[test]
fn a_reference_record_is_found_only_while_the_lock_is_held() {
    let home = Home::new();
    let fake = Fake::start(|_| Manner::Say(http(200, "ok")));
    let mut record = record_at(fake.address);
    record.instance = None;
    home.write_record(&record);
    assert!(matches!(find(&home.dir, soon()).unwrap(), Finding::NotRunning { stale: Some(_) }));

    let _lock = OwnerLock::acquire(&home.dir).unwrap();
    let Finding::Found(found) = find(&home.dir, soon()).unwrap() else { panic!("not found") };
    assert!(!found.proved() && found.instance().is_none());
    assert!(control::view(&found, soon()).is_err());
    assert!(!fake.seen().concat().contains(record.token.expose()), "it is never sent its token");
}
