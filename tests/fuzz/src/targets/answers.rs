//! What a client reads of whoever answers: anybody who has the port by now.

use aileron_discovery::Endpoint;
use aileron_spawn::VersionRule;
use aileron_spawn::fuzzing::{self, NoAnswer};

use super::{Outcome, accepted, refused_as};

/// What such readers trip over.
pub(super) const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";x=y",
    b"\0",
    b"\xff",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/2 200 OK\r\n",
    b"Content-Length: 5\r\n",
    b"content-length:0\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"00000000000000000001\r\n",
    b"ffffffffffffffff\r\n",
    b"-1",
    b"+1",
    b"0x1",
];

/// More than most answers of the corpus have.
const CAP: usize = 64;

pub(super) fn look(bytes: &[u8]) -> Outcome {
    let (now, at_end) = (fuzzing::look(bytes, false), fuzzing::look(bytes, true));
    let half = fuzzing::look(&bytes[..bytes.len() / 2], false);
    assert!(half.is_none() || half == now, "an answer that was whole is another one later");
    let Some((status, body)) = &now else {
        let until_end = at_end.as_ref().map(|(_, body)| body.is_empty());
        return Outcome { what: format!("not whole; at the end: {until_end:?}"), accepted: false };
    };
    assert_eq!(now, at_end, "an answer that is whole is whole at the end too");
    assert!(
        body.is_empty() || bytes.windows(body.len()).any(|part| part == body),
        "a body is read, not made"
    );
    let text = String::from_utf8_lossy(bytes);
    let lines = text.trim_start_matches(['\r', '\n']).lines().take_while(|line| !line.is_empty());
    let lengths = lines.filter_map(|line| line.split_once(':'));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let digits = lengths.next().map(|(_, length)| length.trim()).unwrap_or_default();
    assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "a length is digits (RFC 9110, section 8.6)");
    assert_eq!(digits.parse().ok(), Some(body.len()), "a body is as long as its head says");
    accepted((status / 100, body.is_empty()))
}

pub(super) fn answer(bytes: &[u8]) -> Outcome {
    let whole = fuzzing::answer(&[bytes], false, CAP);
    // A head is parsed anew with each piece, so that many pieces of a long one take as long as the square of them.
    for step in [bytes.len() / 128 + 1, bytes.len() / 9 + 1] {
        let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
        let same = fuzzing::answer(&pieces, false, CAP);
        // What is wrong twice may be found in either order.
        assert!(
            same == whole || (same.is_err() && whole.is_err()),
            "in pieces of {step}: {same:?}, not {whole:?}"
        );
    }
    if let Ok((_, body)) = fuzzing::answer(&[bytes], true, CAP) {
        assert!(body.is_empty(), "what answers a `HEAD` has no body");
    }
    match whole {
        Ok((status, body)) => {
            assert!(body.len() <= CAP, "a body is never longer than the cap");
            assert!(status >= 200, "an interim answer is none");
            accepted((status / 100, body.is_empty(), status == 204 || status == 304))
        }
        Err(NoAnswer::TooLarge) => refused_as("longer than the cap"),
        Err(NoAnswer::Io(kind)) => refused_as(format!("{kind:?} {}", bytes.starts_with(b"HTTP/1.1 "))),
    }
}

pub(super) fn explicit_address(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let (literal, can_be) = (fuzzing::literal(&text), aileron_cli::fuzzing::is_address(&text));
    if can_be {
        assert!(text.starts_with("http://") || text.starts_with("https://"), "{text:?} is no address");
        assert!(
            !text.contains(char::is_whitespace),
            "whitespace in {text:?} would make two words of one in a script"
        );
    }
    let endpoint = Endpoint::parse(&text).ok();
    assert_eq!(
        endpoint.map(|endpoint| endpoint.address()),
        literal.filter(|address| address.ip().is_loopback() && address.port() != 0),
        "a record and a variable mean the same by {text:?}"
    );
    let Some(address) = literal else { return refused_as((can_be, text.len().min(9))) };
    assert!(can_be, "what a call goes to is what the command line takes");
    assert_eq!(fuzzing::literal(&format!("http://{address}")), Some(address), "it is read as it is shown");
    accepted((address.is_ipv6(), address.ip().is_loopback(), address.port() == 0, text.ends_with('/')))
}

/// A client's version and a record's, a line each.
pub(super) fn versions(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let (ours, theirs) = text.split_once('\n').unwrap_or((&text, ""));
    let mut judged = Vec::new();
    for rule in [VersionRule::Any, VersionRule::Compatible, VersionRule::Exact] {
        let (accepts, replaces) = (rule.accepts(ours, theirs), fuzzing::replaces(rule, ours, theirs));
        assert!(rule.accepts(ours, ours) && rule.accepts(theirs, theirs), "a version does for itself");
        assert_eq!(accepts, rule.accepts(theirs, ours), "what does for one does for the other");
        assert!(!(accepts && replaces), "nobody replaces what will do");
        assert!(
            !(replaces && fuzzing::replaces(rule, theirs, ours)),
            "two clients would replace in turn for ever"
        );
        judged.push((accepts, replaces));
    }
    let strict = judged[2].0;
    assert!(judged[0].0 && (judged[1].0 || !strict), "a rule takes what a stricter one takes");
    Outcome { what: format!("{judged:?} {}", ours.is_empty()), accepted: judged[1] != judged[2] }
}
