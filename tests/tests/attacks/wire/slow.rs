//! Whoever is slow on purpose: it costs others nothing, and it has an end.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aileron_tests::attack::{Heard, Page, Target};
use aileron_tests::{PROMPT, bench};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// CVE-2007-6750 and its kin.
const SLOWLORIS: usize = 1000;

/// Beginnings of a request that never goes on.
const BEGINNINGS: [&str; 6] = [
    "",
    "P",
    "POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-a: ",
    "POST /v1/handshake HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 76\r\n\r\n{\"nonce\"",
    "POST /v1/handshake HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    "POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Length: 1099511627776\r\n\r\n{",
];

/// The first of them that is a whole head, with the body kept back.
const FIRST_WITH_A_HEAD: usize = 3;

/// For the connections of this process and, since it inherits it, of the daemon that it starts.
fn raise_the_limit_of_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    assert!(limit.maximum.is_none_or(|most| most > 4096), "1,000 connections have two ends each");
}

/// A thousand connections that have begun to say something. Everybody else is answered meanwhile, a client on its way through
/// the whole of it included; those that keep back the body of a handshake are told so after 5 s; and the daemon ends as soon as
/// it is asked to, though nothing was closed at the other end.
#[test]
fn p14_a_thousand_slow_clients_keep_nobody_waiting() {
    raise_the_limit_of_descriptors();
    let bench = bench!();
    let target = Target::new(&bench);
    let mut page = Page::new("wire: slow clients");
    let began = Instant::now();
    let mut slow: Vec<(usize, TcpStream)> = (0..SLOWLORIS)
        .map(|number| {
            let kind = number % BEGINNINGS.len();
            let mut stream = TcpStream::connect(target.daemon.address).unwrap();
            stream.write_all(&target.fill(BEGINNINGS[kind].as_bytes())).unwrap();
            (kind, stream)
        })
        .collect();
    for round in ["at once", "after another byte from each"] {
        let url = bench.aileron(&["url"]).succeed();
        let answered = url.stdout.trim() == target.daemon.url() && url.took < PROMPT;
        page.note(
            format!("1,000 beginnings, a client {round}"),
            "CVE-2007-6750",
            "true",
            answered.to_string(),
        );
        let harm = target.harm().unwrap_or_else(|| "none".to_owned());
        page.note(format!("1,000 beginnings, harm {round}"), "CVE-2007-6750", "none", harm);
        for (_, stream) in slow.iter_mut().filter(|(kind, _)| *kind < FIRST_WITH_A_HEAD) {
            // Whoever is slow may be shown the door.
            let _shed = stream.write_all(b"a");
        }
    }
    for (kind, beginning) in BEGINNINGS.iter().enumerate().skip(FIRST_WITH_A_HEAD) {
        let at = slow.iter().position(|(found, _)| *found == kind).unwrap();
        let (_, stream) = slow.remove(at);
        stream.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
        let heard = Heard::on(stream, false, 1);
        page.note(format!("a body kept back: {beginning:?}"), "CVE-2011-1473", "408", target.judge(&heard));
    }
    assert!(began.elapsed() < Duration::from_secs(50), "bounded: 5 s are promised");
    let asked = Instant::now();
    target.obeys_its_owner();
    page.note("a stop under all of them", "failure 17", "true", (asked.elapsed() < PROMPT).to_string());
    page.finish(8);
    drop(slow);
}
