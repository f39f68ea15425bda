//! What a client sees of a daemon that goes away, by the blocking call and by the async client: each call is answered by the
//! daemon there is, or fails with a clear word on whether it may have been done; nothing is done twice (failure 24).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use aileron_discovery::protocol::LEASE;
use aileron_spawn::{ClientError, Fault};
use aileron_tests::asker::{self, Answered, Asker, Journal, Manner, compare, journal, with_each};
use aileron_tests::http::{read_answer, request, send};
use aileron_tests::{Bench, Daemon, End, PROMPT, Running, bench, until};
use bytes::Bytes;

const HELPER: &str = env!("CARGO_BIN_EXE_helper-client");

fn started(bench: &Bench, manner: Manner) -> (Asker, Daemon) {
    asker::started(bench, manner, Path::new(HELPER))
}

fn pid_in(answer: &Result<Answered, ClientError>) -> u32 {
    match answer {
        Ok((200, body)) => String::from_utf8_lossy(body).parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn times(bench: &Bench, tag: &str) -> u32 {
    journal(bench).done().get(tag).copied().unwrap_or(0)
}

#[test]
fn a_displaced_daemon_is_left_for_the_present_one() {
    with_each(|manner| {
        for method in ["GET", "POST"] {
            let bench = bench!();
            let (asker, old) = started(&bench, manner);
            fs::remove_dir_all(bench.state()).unwrap();
            let path = if method == "GET" { "/count" } else { "/add" };
            let pid = pid_in(&asker.ask(method, path, "tag"));
            assert_ne!(pid, old.process.pid(), "{manner:?} {method}");
            assert_eq!(times(&bench, "tag"), u32::from(method == "POST"), "{manner:?} {method}");
            assert_eq!(bench.daemon().process.pid(), pid);
        }
    });
}

/// Displaced after it was proved, while the handler was at it: the handler's own look at the fence says that it did nothing.
#[test]
fn a_daemon_displaced_in_the_middle_of_a_request_is_left_for_the_present_one() {
    with_each(|manner| {
        let bench = bench!();
        let (asker, old) = started(&bench, manner);
        let begun = Journal(bench.beside("journal.begun"));
        let answer = std::thread::scope(|scope| {
            let call = scope.spawn(|| asker.ask("POST", "/late/300", "tag"));
            until("the handler has begun", PROMPT, || begun.done().contains_key("tag").then_some(()));
            fs::remove_dir_all(bench.state()).unwrap();
            call.join().unwrap()
        });
        assert_ne!(pid_in(&answer), old.process.pid(), "{manner:?}");
        assert_eq!((times(&bench, "tag"), begun.done()["tag"]), (1, 2), "{manner:?}: asked twice, done once");
    });
}

/// `rm -rf` under load, again and again: what is acknowledged is done once, what fails says what is known of it.
#[test]
fn under_load_nothing_is_done_twice_and_nothing_acknowledged_is_lost() {
    let bench = bench!();
    let path = bench.beside("journal");
    let clients: Vec<Running> = [("async", "a"), ("blocking", "b"), ("async", "c")]
        .into_iter()
        .map(|(manner, name)| {
            let call = bench.call(HELPER).args(["work", manner]).arg(bench.state()).arg(&path);
            call.args([name, "3000", "0"]).start()
        })
        .collect();
    let mut removed = 0;
    while clients.iter().any(|client| client.process.is_alive()) {
        // One that is up, and is used; where none comes up any more the clients are about to end.
        let before = journal(&bench).done().len();
        let used = || bench.file("daemon.pid").exists() && journal(&bench).done().len() > before + 20;
        let done = || clients.iter().all(|client| !client.process.is_alive());
        until("the daemon is used", PROMPT, || (used() || done()).then_some(()));
        // A client that makes the directory anew makes it fail with `ENOTEMPTY`: then it is gone all the same, or next time.
        removed += u32::from(fs::remove_dir_all(bench.state()).is_ok());
    }
    let told: Vec<String> = clients
        .into_iter()
        .map(|client| {
            let outcome = client.finish(4 * PROMPT);
            assert_eq!(outcome.end, End::Status(0), "{outcome:?}");
            outcome.stdout
        })
        .collect();
    let books = compare(&told.concat(), &journal(&bench));
    let failed: Vec<&str> =
        told.iter().flat_map(|told| told.lines()).filter(|line| !line.ends_with(" 200")).collect();
    assert!(removed > 1 && journal(&bench).launches() > 1, "{removed} times, {books:?}");
    assert!(books.answered > 50, "{books:?}");
    // Only daemons that are killed, or end by force, leave a doubt; and one that drains is neither.
    assert_eq!(books.maybe, 0, "{failed:#?}");
}

/// Killed in the middle: a `GET` is asked again of the next daemon, a `POST` is not, and says why.
#[test]
fn after_a_kill_only_what_can_be_done_twice_is_asked_again() {
    with_each(|manner| {
        for method in ["GET", "PUT", "POST", "PATCH"] {
            let bench = bench!();
            let (asker, old) = started(&bench, manner);
            let answer = std::thread::scope(|scope| {
                let call = scope.spawn(|| asker.ask(method, "/hang-once/tag", ""));
                until("it is at it", PROMPT, || (times(&bench, "tag") == 1).then_some(()));
                old.process.kill();
                call.join().unwrap()
            });
            let told = format!("{manner:?} {method}: {answer:?}");
            if matches!(method, "GET" | "PUT") {
                assert_eq!(answer.unwrap(), (200, b"done".to_vec()), "{told}");
                assert_eq!((times(&bench, "tag"), journal(&bench).launches()), (2, 2), "{told}");
            } else {
                let error = answer.unwrap_err();
                assert!(error.maybe_done && matches!(error.fault, Fault::NoAnswer { .. }), "{told}");
                assert_eq!((times(&bench, "tag"), journal(&bench).launches()), (1, 1), "{told}");
            }
        }
    });
}

/// Killed between two calls: whatever the method, nothing was sent, and the next daemon is asked.
#[test]
fn a_daemon_that_was_killed_before_is_replaced_whatever_the_method() {
    with_each(|manner| {
        let bench = bench!();
        let (asker, old) = started(&bench, manner);
        old.process.kill();
        assert!(old.process.ends_within(PROMPT));
        assert_ne!(pid_in(&asker.ask("POST", "/add", "tag")), old.process.pid(), "{manner:?}");
        assert_eq!(times(&bench, "tag"), 1, "{manner:?}");
    });
}

/// The 503 of an embedder's own is an answer like any other.
#[test]
fn any_other_answer_is_the_callers() {
    with_each(|manner| {
        let bench = bench!();
        let (asker, _daemon) = started(&bench, manner);
        for (method, path, status) in
            [("GET", "/unavailable", 503), ("GET", "/no-such-route", 404), ("PUT", "/add", 405)]
        {
            assert_eq!(asker.ask(method, path, "").unwrap().0, status, "{manner:?} {path}");
        }
        assert_eq!(times(&bench, "unavailable"), 1, "{manner:?}: asked once");
        assert_eq!(asker.ask("HEAD", "/large/1000", "").unwrap(), (200, Vec::new()), "{manner:?}");
    });
}

#[test]
fn a_daemon_slower_than_the_deadline_is_left_to_it_and_the_doubt_is_said() {
    with_each(|manner| {
        let bench = bench!();
        let (asker, daemon) = started(&bench, manner);
        let asker = asker.with_timeout(Duration::from_millis(500));
        for (method, path) in [("GET", "/slow/60000"), ("POST", "/slow/60000"), ("GET", "/ticks/3")] {
            let began = Instant::now();
            let error = asker.ask(method, path, "").unwrap_err();
            assert!(matches!(error.fault, Fault::Deadline { .. }), "{manner:?} {method} {path}: {error:?}");
            assert!(error.maybe_done && began.elapsed() < PROMPT, "{manner:?} {path}: {error:?}");
        }
        // Frozen, it does not even prove itself: that the request was not sent is said as well.
        daemon.process.freeze();
        let error = asker.ask("POST", "/add", "tag").unwrap_err();
        assert!(!error.maybe_done, "{manner:?}: {error:?}");
        daemon.process.thaw();
        until("it serves again", PROMPT, || (asker.ask("GET", "/count", "").ok()?.0 == 200).then_some(()));
        assert_eq!(times(&bench, "tag"), 0, "{manner:?}");
    });
}

#[test]
fn an_answer_beyond_the_cap_is_not_read() {
    with_each(|manner| {
        let bench = bench!();
        let (asker, _daemon) = started(&bench, manner);
        let asker = asker.with_cap(1000);
        assert_eq!(asker.ask("GET", "/large/1000", "").unwrap().1.len(), 1000, "{manner:?}");
        let error = asker.ask("GET", "/large/1001", "").unwrap_err();
        assert!(matches!(error.fault, Fault::TooLarge { cap: 1000 }), "{manner:?}: {error:?}");
        assert!(error.maybe_done);
        assert_eq!(asker.ask("GET", "/count", "").unwrap().0, 200, "{manner:?}");
    });
}

/// A body that comes piece by piece, a reader who stops in the middle of it, and what becomes of the daemon's end.
#[test]
fn a_body_is_read_as_it_comes_and_its_reader_may_stop() {
    let bench = bench!();
    let (asker, daemon) = started(&bench, Manner::Async);
    let (client, runtime) = asker.client();
    runtime.block_on(async {
        let ask = |path: &str| client.stream(http::Request::get(path).body(Bytes::new()).unwrap());
        let mut body = ask("/ticks/5").await.unwrap().into_body();
        for _ in 0..5 {
            assert_eq!(body.chunk().await.unwrap().unwrap(), "tick\n");
        }
        let mut stuck = ask("/large/100000000").await.unwrap().into_body();
        assert!(stuck.chunk().await.unwrap().is_some());
        // Others are served meanwhile, and neither keeps the daemon when it is told to end.
        let count = client.request(http::Request::get("/count").body(Bytes::new()).unwrap()).await;
        assert_eq!(count.unwrap().into_body(), daemon.process.pid().to_string());
        drop(stuck);
        daemon.process.kill();
        assert!(body.chunk().await.is_err(), "half an answer is no whole one");
    });
}

/// A connection on which the instance has just been proved, and nothing asked since.
fn just_proved(daemon: &Daemon) -> TcpStream {
    let challenge = format!(r#"{{"nonce":"{}"}}"#, "5a".repeat(32));
    let bytes = request(daemon.address, "POST", "/v1/handshake", &[], &challenge);
    let kept = String::from_utf8(bytes).unwrap().replace("Connection: close\r\n", "");
    let mut line = send(daemon.address, kept.as_bytes()).unwrap();
    let mut block = [0; 4096];
    let count = line.read(&mut block).unwrap();
    assert!(block[..count].starts_with(b"HTTP/1.1 200"));
    line
}

/// Has the daemon end, and waits until it has begun to.
fn begin_to_stop(daemon: &Daemon) {
    assert_eq!(daemon.ask("POST", "/v1/daemon/stop").unwrap().status, 202);
    until("it has stopped accepting", PROMPT, || TcpStream::connect(daemon.address).is_err().then_some(()));
}

/// A stop is decided after the proof and before the request: who asks at once is answered, and not reset.
#[test]
fn a_leaving_daemon_answers_whoever_has_just_had_it_prove_itself() {
    // Half a second is the promise, which a busy machine may take from us: then it is tried again.
    until("a request within the lease", 4 * PROMPT, || {
        let bench = bench!();
        let daemon = bench.ready(&bench.embedder(Path::new(HELPER), &[]).start());
        let began = Instant::now();
        let mut line = just_proved(&daemon);
        begin_to_stop(&daemon);
        let sent = line.write_all(&daemon.request("GET", "/count"));
        let was_in_time = began.elapsed() < LEASE;
        let answer = sent.and_then(|()| read_answer(&mut line));
        assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
        was_in_time.then(|| assert_eq!(answer.unwrap().status, 200))
    });
}

/// Who asks nothing after the proof holds up no end for longer than that.
#[test]
fn a_proof_that_is_not_followed_up_holds_up_no_end() {
    let bench = bench!();
    let daemon = bench.ready(&bench.embedder(Path::new(HELPER), &["--drain", "600000"]).start());
    let _line = just_proved(&daemon);
    begin_to_stop(&daemon);
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
}

/// A hundred tasks at once, and no daemon: it is looked for once, and launched once.
#[test]
fn p7_a_herd_of_tasks_launches_once() {
    let bench = bench!();
    let asker = asker::of(&bench, Manner::Async, Path::new(HELPER));
    let (client, runtime) = asker.client();
    let answers = runtime.block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let request = http::Request::post("/add").body(Bytes::from(format!("tag-{number}"))).unwrap();
                let client = client.clone();
                tokio::spawn(async move { client.request(request).await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap().unwrap().status().as_u16());
        }
        answers
    });
    assert_eq!(answers, vec![200; 100]);
    let done = journal(&bench).done();
    assert_eq!((done.len(), done.values().sum::<u32>(), journal(&bench).launches()), (100, 100, 1));
}

/// What cannot be had is said by its cause, at once where nothing is to be waited for.
#[test]
fn without_a_daemon_the_cause_is_said() {
    with_each(|manner| {
        let bench = bench!();
        let asker = asker::of(&bench, manner, Path::new(HELPER));
        bench.make_state();
        fs::write(bench.file("hold"), "").unwrap();
        let error = asker.ask("POST", "/add", "tag").unwrap_err();
        let Fault::Resolve(aileron_spawn::EnsureError::OnHold { .. }) = error.fault else {
            panic!("{manner:?}: {error:?}")
        };
        assert!(!error.maybe_done && journal(&bench).launches() == 0, "{manner:?}");
        for (method, path) in [("GET", "http://127.0.0.1:1/"), ("CONNECT", "127.0.0.1:1")] {
            let error = asker.ask(method, path, "").unwrap_err();
            assert!(matches!(error.fault, Fault::Request(_)), "{manner:?} {path}: {error:?}");
        }
    });
}

/// The blocking call of the product itself: `status` asks whoever is the daemon by then.
#[test]
fn status_speaks_of_the_present_daemon() {
    let bench = bench!();
    let (_asker, daemon) = started(&bench, Manner::Blocking);
    let status = bench.aileron(&["--json", "daemon", "status"]).succeed().json();
    assert_eq!(status["pid"], daemon.process.pid());
    assert_eq!(status["protocol"], 1, "it was asked: {status}");
    fs::remove_dir_all(bench.state()).unwrap();
    let status = bench.aileron(&["--json", "daemon", "status"]).fail(3).json();
    assert_eq!(status["state"], "not_running");
}
