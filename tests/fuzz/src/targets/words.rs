//! What people type, and what is shown to them of what others wrote.

use std::time::Duration;

use aileron_cli::fuzzing;

use super::{Outcome, accepted, refused_as};

/// What such readers trip over.
pub(super) const TOKENS: &[&[u8]] = &[
    b"ms",
    b"s",
    b"m",
    b"h",
    b"d",
    b"us",
    b"ns",
    b"w",
    b"y",
    b"mo",
    b" ",
    b"-",
    b"+",
    b".",
    b",",
    b"1.5",
    b"0",
    b"1",
    b"9",
    b"60",
    b"9223372036854775807",
    b"18446744073709551615",
    b"PT1H",
    b"P1D",
    b" ago",
    b"01:02:03",
    "\u{b5}s".as_bytes(),
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\0",
    b"\x1b[2J",
    b"\x1b]0;title\x07",
    b"\\u001b[2J",
    b"\\u009b2J",
    b"\\n",
    "\u{9b}2J".as_bytes(),
    b"\x7f",
    b"\xff",
    b"{",
    b"}",
    b"\"",
    b"null",
    b"[[[[",
    b"{\"fields\":",
    b"\n{\"timestamp\":\"2026-01-02T03:04:05.000Z\",\"level\":\"INFO\",\"fields\":{\"message\":\"m\"}}\n",
    b"2025-12-31T23:59:59Z",
    b"2026-01-02T03:04:05+23:00",
];

pub(super) fn duration(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let Some(duration) = fuzzing::duration(&text) else { return refused_as(text.len().min(9)) };
    let millis = duration.as_millis();
    let whole = match u64::try_from(millis) {
        Ok(millis @ 0..60_000) => Duration::from_millis(millis),
        _ => Duration::from_secs(duration.as_secs()),
    };
    let shown = fuzzing::show(duration);
    assert_eq!(
        fuzzing::duration(&shown),
        Some(whole),
        "`{text}` is shown as `{shown}`, which is another duration"
    );
    // So a launched daemon is told it.
    if let Ok(millis) = i64::try_from(millis) {
        let told = fuzzing::duration(&format!("{millis}ms")).map(|told| told.as_millis());
        assert_eq!(told, Some(duration.as_millis()), "`{text}` is handed on as another duration");
    }
    accepted((
        millis.checked_ilog10().map_or(0, |digits| digits.min(20)),
        text.contains(' '),
        text.contains('.'),
    ))
}

/// A log that anybody may have written to.
pub(super) fn log(bytes: &[u8]) -> Outcome {
    const SINCE: &str = "2026-01-02T03:04:05Z";
    let whole: Vec<String> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    for (count, block) in [(1, 16), (3, 64), (usize::MAX, 1)] {
        let lines = fuzzing::last_lines(bytes, count, block);
        assert_eq!(
            lines,
            whole[whole.len().saturating_sub(count)..],
            "the last {count} in blocks of {block}"
        );
    }
    let all = fuzzing::shown(&whole, None);
    assert!(all.iter().all(Option::is_some), "without a time everything is shown");
    all.iter().flatten().for_each(|line| obeys_nobody(line));
    let young = fuzzing::shown(&whole, Some(SINCE));
    for (line, shown) in whole.iter().zip(&young) {
        assert!(shown.is_none() || !is_older(line, SINCE), "`{line}` is older than {SINCE}");
    }
    let documents = whole.iter().filter(|line| line.starts_with('{') && line.ends_with('}')).count();
    let hidden = young.iter().filter(|shown| shown.is_none()).count();
    Outcome {
        what: format!("{} {} {}", whole.len().min(4), documents.min(3), hidden.min(3)),
        accepted: documents > 0,
    }
}

/// A terminal is given the colour of a level, and nothing else that it would obey.
fn obeys_nobody(shown: &str) {
    let mut rest = shown.to_owned();
    for colour in ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m"] {
        if let Some((before, after)) = rest.split_once(colour) {
            rest = format!("{before}{}", after.replacen("\x1b[0m", "", 1));
            break;
        }
    }
    assert!(!rest.contains(|c: char| c.is_control() && c != '\t'), "{shown:?} commands a terminal");
}

/// Of a line as our own daemons write them, whether its time is before this one.
fn is_older(line: &str, since: &str) -> bool {
    let time = serde_json::from_str::<serde_json::Value>(line).ok();
    let time = time.as_ref().filter(|line| line.is_object()).and_then(|line| line["timestamp"].as_str());
    let shape = |time: &str| {
        let shaped = time.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
        shaped.eq(b"0000-00-00T00:00:00Z".iter().copied())
    };
    // What has this shape and is no time (a month 13) is taken for none.
    let is_time = |time: &str| {
        ("01".."13").contains(&&time[5..7]) && ("01".."29").contains(&&time[8..10]) && in_day(time)
    };
    time.is_some_and(|time| shape(time) && is_time(time) && time < since)
}

fn in_day(time: &str) -> bool {
    &time[11..13] < "24" && &time[14..16] < "60" && &time[17..19] < "60"
}
