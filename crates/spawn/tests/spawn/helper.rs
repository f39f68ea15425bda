//! The processes of these tests: this binary again, told by its environment to be a daemon or a client. Not told, each
//! part returns at once.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aileron_discovery::protocol::control::DaemonState;
use aileron_discovery::protocol::launch::{Failure, LaunchMessage, LaunchPipe};
use aileron_discovery::protocol::route;
use aileron_discovery::{Advertisement, ExitRecord, OwnerLock, StateDir};
use aileron_spawn::{EnsureError, Launch, LaunchError, Program};

use crate::fake::{http, prove, read_request};
use crate::home::{Home, PATIENCE, record_at, tool};

/// The argument after `name`, of those that the launcher appended.
fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn say(pipe: &mut Option<LaunchPipe>, message: &LaunchMessage) {
    if let Some(pipe) = pipe {
        pipe.send(message);
    }
}

/// A daemon, its manner in `SPAWN_TEST_MANNER`:
/// `serve`; `slow` is ready after 1 s; `mute` holds the lock and never is; `deaf` answers nothing; `deny` takes no stop
/// request; `linger` takes one and goes on saying that it is ready for 300 ms; `die` ends as soon as it has said that it is ready; `fail` says why it cannot start; `orphan` outlives its
/// directory; `leak` leaves its port with a child; `shut` closes the pipe, lives on for 100 ms and ends.
#[test]
fn daemon() {
    let Some(root) = std::env::var_os("SPAWN_TEST_DIR") else { return };
    let manner = std::env::var("SPAWN_TEST_MANNER").unwrap();
    let launches = std::env::var_os("SPAWN_TEST_LAUNCHES").unwrap();
    let mut launches = std::fs::File::options().create(true).append(true).open(launches).unwrap();
    launches.write_all(format!("{}\n", std::process::id()).as_bytes()).unwrap();
    let mut pipe = argument("--launch-fd").map(|number| LaunchPipe::adopt(number.parse().unwrap()).unwrap());

    if manner == "shut" {
        drop(pipe);
        std::thread::sleep(Duration::from_millis(100));
        std::process::exit(4);
    }
    if manner == "fail" {
        eprintln!("the whole story");
        let failure =
            Failure { step: "listen".into(), message: "port in use".into(), path: None, hint: None };
        say(&mut pipe, &LaunchMessage::Failed(failure));
        std::process::exit(1);
    }
    let dir = StateDir::resolve(&tool(), Some(Path::new(&root))).unwrap();
    let lock = match OwnerLock::acquire(&dir) {
        Ok(lock) => lock,
        Err(error) => {
            say(&mut pipe, if error.is_lost() { &LaunchMessage::Lost } else { &LaunchMessage::Held });
            std::process::exit(7);
        }
    };
    if manner != "orphan" {
        leave_with_the_lock(&lock);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let record = record_at(listener.local_addr().unwrap());
    match manner.as_str() {
        "leak" => {
            launches.write_all(format!("{}\n", leave_port_to_a_child(&listener)).as_bytes()).unwrap();
        }
        "mute" => std::thread::sleep(PATIENCE),
        "slow" => std::thread::sleep(Duration::from_secs(1)),
        _ => {}
    }
    if lock.publish(&record).is_err() {
        say(&mut pipe, &LaunchMessage::Lost);
        std::process::exit(7);
    }
    say(&mut pipe, &LaunchMessage::Ready { record: Box::new(record.clone()) });
    if manner == "die" {
        eprintln!("and so it ends");
        std::process::exit(4);
    }
    serve(listener, lock, &record, &manner);
}

fn serve(listener: TcpListener, lock: OwnerLock, record: &Advertisement, manner: &str) {
    while let Ok((mut stream, _)) = listener.accept() {
        if manner == "deaf" {
            std::thread::sleep(PATIENCE);
        }
        let request = read_request(&mut stream);
        let stop = request.starts_with(&format!("POST {} ", route::STOP));
        if !stop {
            stream.write_all(&prove(record, DaemonState::Ready, &request)).unwrap();
        } else if manner == "deny" {
            stream.write_all(&http(500, "")).unwrap();
        } else {
            assert!(request.contains(&format!("Bearer {}", record.token.expose())), "{request}");
            stream.write_all(&http(202, "")).unwrap();
            drop(stream);
            if manner == "linger" {
                let (record, listener) = (record.clone(), listener.try_clone().unwrap());
                std::thread::spawn(move || answer_on(&listener, &record));
                std::thread::sleep(Duration::from_millis(300));
            }
            drop(listener);
            lock.withdraw(&exit_record()).unwrap();
            drop(lock);
            std::process::exit(0);
        }
    }
}

fn answer_on(listener: &TcpListener, record: &Advertisement) {
    while let Ok((mut stream, _)) = listener.accept() {
        let request = read_request(&mut stream);
        stream.write_all(&prove(record, DaemonState::Ready, &request)).unwrap();
    }
}

fn exit_record() -> ExitRecord {
    ExitRecord {
        schema: 1,
        reason: "stop_request".to_owned(),
        exit_status: 0,
        version: "1.0.0".to_owned(),
        pid: std::process::id(),
        at: "2026-01-02T03:04:05Z".to_owned(),
        uptime_ms: 0,
        epoch: None,
    }
}

/// The test ends it, by its pid.
fn leave_port_to_a_child(listener: &TcpListener) -> u32 {
    let kept = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
    Command::new("sleep").arg("10").stdin(kept).spawn().unwrap().id()
}

/// Whatever else goes wrong, no daemon outlives its test's directory.
fn leave_with_the_lock(lock: &OwnerLock) {
    let ownership = lock.ownership().clone();
    std::thread::spawn(move || {
        while matches!(
            ownership.verify(),
            aileron_discovery::Verdict::Owner | aileron_discovery::Verdict::Suspect
        ) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::process::exit(0);
    });
}

/// A client whose launch prints what it was given, and prints that.
#[test]
fn client() {
    let Some(script) = std::env::var_os("SPAWN_TEST_SCRIPT") else { return };
    let home = Home::new();
    let launch = Launch {
        program: Program::File("/bin/sh".into()),
        args: vec!["-c".into(), script, "sh".into()],
        env: vec![("SPAWN_TEST_EXTRA".into(), "given".into())],
    };
    match home.ensure(&launch) {
        Err(EnsureError::Launch(LaunchError::Exited { tail, .. })) => println!("{tail}"),
        other => panic!("{other:?}"),
    }
}
