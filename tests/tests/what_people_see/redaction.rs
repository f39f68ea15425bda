//! What differs from run to run, taken out: one list, for snapshots and for pages.

use aileron_tests::Bench;
use regex::Regex;

/// In this order.
const FILTERS: &[(&str, &str)] = &[
    (r"0{200,}", "[300 DIGITS]"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z?", "[TIME]"),
    (r"[0-9a-f]{32}", "[INSTANCE]"),
    (r"127\.0\.0\.1:\d{2,}", "127.0.0.1:[PORT]"),
    (r"\bpid \d+", "pid [PID]"),
    (r"\bpid=\d+", "pid=[PID]"),
    (r"\bprocess \d+", "process [PID]"),
    (r"(kill (?:-\w+ )?|ps -fp )\d+", "$1[PID]"),
    (r#""pid": \d+"#, r#""pid": "[PID]""#),
    (r"(?m)^ *\d+(  (?:owner|orphan|starting|stopped|foreign) )", "  [PID]$1"),
    (r"(\[PID\]  \w+ +)\d[0-9hmsd ]*?  +", "$1[AGE]  "),
    (r#"_ms": \d+"#, r#"_ms": "[N]""#),
    (r"\b\d+ ms\b", "[N] ms"),
    (r"(up|tried) for [0-9hms. ]+", "$1 for [AGE]"),
    (r"inode \d+:\d+", "inode [INODE]"),
    (r"\b\d+:\d+ stands", "[INODE] stands"),
    (r"\buid \d{6,}", "uid [UID]"),
    (r"\bchown \d{6,}", "chown [UID]"),
    (r"(free|of) \d+ [KMGT]iB", "$1 [SIZE]"),
    (r"\(core dumped\)", ""),
    // At the deadline the one follows the other at once, and either may be what ends it.
    (r"\((?:sigterm|sigkill)\)", "([SIGNAL])"),
    // Asked whether it is an owner, an orphan may notice by itself that it is none.
    (r": (?:ended on SIGTERM|had ended before anything was sent)", ": [GONE]"),
    (r"[0-9]+ (KiB|files)\b", "[N] $1"),
    (r"aileron-test-\w+", "[TEST]"),
    (r"(?m)[ \t]+$", ""),
    (r"held=\d+:\d+", "held=[INODE]"),
    (r"(?m)^(  up +).*$", "$1[AGE]"),
];

/// With what belongs to one run taken out.
pub(crate) fn unpersoned(text: &str) -> String {
    FILTERS.iter().fold(text.to_owned(), |text, (pattern, stands_for)| {
        Regex::new(pattern).unwrap().replace_all(&text, *stands_for).into_owned()
    })
}

/// And with the paths and names of this bench and machine.
pub(crate) fn redacted(bench: &Bench, text: &str) -> String {
    let host = aileron_discovery::process::host_name();
    let programs = bench.programs().aileron.parent().unwrap();
    let text = text
        .replace(&*bench.home().to_string_lossy(), "[HOME]")
        .replace(&*bench.root().to_string_lossy(), "[ROOT]")
        .replace(&*programs.to_string_lossy(), "[BIN]")
        .replace(&format!("`{host}`"), "`[HOST]`")
        .replace(&format!("\"{host}\""), "\"[HOST]\"")
        .replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    unpersoned(&text)
}
