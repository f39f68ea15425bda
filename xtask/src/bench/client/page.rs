//! A run of `bench client` in words and tables.

use super::super::page::{Report, Section, in_ms, whole};
use super::super::standing::Standing;
use super::super::table::{Table, cells};
use super::super::target::Check;
use super::document::Document;
use crate::figures::Spread;

/// The run for people.
pub(in crate::bench) fn report(document: &Document) -> Report<'_> {
    let mut sections = Vec::new();
    for (rows, section) in [
        (document.starts.len(), starts as fn(&Document) -> Section),
        (document.processes.len(), processes),
        (document.finds.len(), finds),
        (document.deaths.len(), deaths),
        (document.herds.len(), herds),
    ] {
        sections.extend((rows > 0).then(|| section(document)));
    }
    Report {
        title: "How soon a client has its daemon",
        origin: &document.origin,
        checks: document.checks().collect(),
        unmeasured: document.unmeasured.len(),
        method: METHOD.iter().map(|line| (*line).to_owned()).collect(),
        sections,
        plots: Vec::new(),
    }
}

const METHOD: [&str; 7] = [
    "A process is timed from just before it is spawned to its end, as its pidfd tells it: fork, exec, linking and exit \
     are in it, output goes into a pipe. Everything in a table is run in turns, each round beginning with another; a first \
     round is not counted. Ratios are those of medians. p99 is the nearest rank: below 100 rounds, the worst.",
    "dynamic: the release build. static: the same, as `cargo xtask dist` builds it.",
    "bare: `crates/spawn/examples/bare_client.rs`, a program of the standard library alone, built with the same profile \
     and linked in the same way. It does nothing; or it opens and reads the record, connects, makes one round trip \
     (`GET /healthz`) and closes.",
    "Starts: each round in a new home. The URL that is printed has to be the one in the record, whose pid has to be the \
     process that holds the lock, as the kernel's tables have it.",
    "Deaths: a launched daemon is held by an exclusive flock(2) of the state directory, which whoever writes there needs, \
     until its pidfd is open and waited for. It is then killed, or gives up by itself after half a second. With a port in use \
     the death cannot be seen from outside, but lies within the time of the client.",
    "Herds: spawned one after the other as fast as one thread can, timed from before the first to the end of the last. cold: \
     `url` on an empty home. warm: as many `url` beside a running daemon. true: as many `/bin/true`. Warm before cold in \
     every other round.",
    "Launches are counted from outside, once all clients have ended and before one is reaped: this program is the subreaper \
     of all, so a process that a client started lives, or is a zombie, or was reaped by its client, and then \
     that client has page faults of a dead child in its account (`cminflt`, proc_pid_stat(5)). No look has to come at the \
     right moment. A failure is a client with another status than 0 or another URL than the daemon's.",
];

/// The best build there is.
pub(in crate::bench) fn standings(document: &Document) -> Vec<Standing> {
    let build = document.processes.last().map(|row| row.build.clone()).unwrap_or_default();
    let process = |name: &str| {
        document
            .processes
            .iter()
            .find(|row| row.build == build && row.program == name)
            .map(|row| row.time.median)
    };
    let find =
        |name: &str| document.finds.iter().find(|row| row.what.starts_with(name)).map(|row| row.time.median);
    let start = document.starts.iter().find(|row| row.build == build);
    let rows = [
        ("found from within", find("open"), find("find, proved")),
        ("a whole `url`, daemon running", process(super::process::BARE), process(super::process::URL)),
        (
            "a whole `url` that starts it",
            start.map(|row| row.time.median / row.ratio),
            start.map(|row| row.time.median),
        ),
    ];
    let standing = |(what, limit, ours): (&str, Option<f64>, Option<f64>)| {
        Some(Standing { what: what.to_owned(), limit, ours: ours? })
    };
    rows.into_iter().filter_map(standing).collect()
}

fn starts(document: &Document) -> Section {
    let mut table = table(2, &["found", "build"], &["× true"]);
    for row in &document.starts {
        push(&mut table, &[&row.found, &row.build], &row.time, in_ms, Some(row.ratio), row.check.as_ref());
    }
    let about = "Milliseconds of a whole `aileron url` that has to start the daemon.".to_owned();
    Section { title: "From nothing to the first answer", about, table }
}

fn processes(document: &Document) -> Section {
    let mut table = table(2, &["program", "build"], &["× true"]);
    for row in &document.processes {
        push(&mut table, &[&row.program, &row.build], &row.time, whole, Some(row.ratio), row.check.as_ref());
    }
    let about = "Microseconds of a whole process, a daemon running.".to_owned();
    Section { title: "A client that finds it running", about, table }
}

fn finds(document: &Document) -> Section {
    let mut table = table(1, &["within a process"], &["× raw"]);
    for row in &document.finds {
        push(&mut table, &[&row.what], &row.time, whole, Some(row.ratio), row.check.as_ref());
    }
    let about = "Microseconds, all against one daemon (`crates/spawn/examples/find_cost.rs`).".to_owned();
    Section { title: "Finding it from within", about, table }
}

fn deaths(document: &Document) -> Section {
    let mut table = table(2, &["the launched daemon", "from … to"], &["max"]);
    for row in &document.deaths {
        let words = [&row.death, &row.span];
        let mut line: Vec<String> = words.iter().map(|word| (*word).clone()).collect();
        line.extend(figures(&row.time, in_ms));
        line.push(in_ms(row.time.max));
        line.extend(cells(&row.check));
        table.push(line);
    }
    let about = "Milliseconds until the client has ended with the cause.".to_owned();
    Section { title: "A daemon that cannot start", about, table }
}

fn herds(document: &Document) -> Section {
    let headings = [
        "clients",
        "build",
        "n",
        "cold min",
        "cold median",
        "cold max",
        "warm median",
        "true median",
        "cold × warm",
        "launches",
        "failures",
        "target",
        "result",
    ];
    let mut table = Table::new(2, &headings);
    for row in &document.herds {
        let mut line = vec![row.clients.to_string(), row.build.clone(), row.cold.n.to_string()];
        let times = [row.cold.min, row.cold.median, row.cold.max, row.warm.median, row.bare.median];
        line.extend(times.map(in_ms));
        line.push(format!("{:.2}", row.ratio));
        line.extend([row.launches, row.failures].map(|count| count.to_string()));
        let checks: Vec<&Check> =
            [&row.launch_check, &row.failure_check].into_iter().chain(&row.time_check).collect();
        let targets: Vec<&str> = checks.iter().map(|check| check.target.as_str()).collect();
        let all = Check { target: targets.join(", "), met: checks.iter().all(|check| check.met) };
        line.extend(cells(&all));
        table.push(line);
    }
    let about = "Milliseconds from before the first client is spawned to the end of the last.".to_owned();
    Section { title: "Many at once", about, table }
}

fn table(words: usize, names: &[&'static str], last: &[&'static str]) -> Table {
    let figures = ["n", "min", "median", "p95", "p99"];
    Table::new(words, &[names, &figures, last, &["target", "result"]].concat())
}

fn push(
    table: &mut Table,
    words: &[&String],
    time: &Spread,
    shown: fn(f64) -> String,
    ratio: Option<f64>,
    check: Option<&Check>,
) {
    let mut line: Vec<String> = words.iter().map(|word| (*word).clone()).collect();
    line.extend(figures(time, shown));
    line.extend(ratio.map(|ratio| format!("{ratio:.2}")));
    line.extend(check.map_or_else(<[String; 2]>::default, cells));
    table.push(line);
}

fn figures(time: &Spread, shown: fn(f64) -> String) -> Vec<String> {
    let mut cells = vec![time.n.to_string()];
    cells.extend([time.min, time.median, time.p95, time.p99].map(shown));
    cells
}

#[cfg(test)]
mod tests {
    use super::super::super::origin::Origin;
    use super::super::super::page::{markdown, text};
    use super::super::document::{DeathRow, FindRow, HerdRow, ProcessRow, StartRow};
    use super::super::target;
    use super::*;

    fn document() -> Document {
        let spread = |median: f64| Spread::of(&[median]).expect("one");
        let origin = Origin {
            schema: 1,
            command: "cargo xtask bench client".to_owned(),
            date: "2026-01-02".to_owned(),
            version: "aileron 0.1.0".to_owned(),
            machine: "Linux 6, 2 processors".to_owned(),
            processor: None,
            file_systems: vec!["ext4".to_owned()],
            took_s: 1.0,
        };
        let build = "static".to_owned();
        let (start, death) = (spread(6_120.0), spread(7.0));
        Document {
            origin,
            starts: vec![StartRow {
                found: "an empty home".to_owned(),
                build: build.clone(),
                time: start,
                ratio: 7.0,
                check: Some(target::start(&start)),
            }],
            processes: vec![ProcessRow {
                program: "aileron url".to_owned(),
                build: build.clone(),
                time: spread(987.0),
                ratio: 1.25,
                check: Some(target::url(1.25)),
            }],
            finds: vec![FindRow {
                what: "find".to_owned(),
                time: spread(105.0),
                ratio: 1.3,
                check: Some(target::find(1.3)),
            }],
            deaths: vec![DeathRow {
                death: "killed".to_owned(),
                span: "x".to_owned(),
                time: death,
                check: target::death(&death),
            }],
            herds: vec![HerdRow {
                clients: 200,
                build,
                cold: spread(260_000.0),
                warm: spread(200_000.0),
                bare: spread(180_000.0),
                ratio: 1.3,
                launches: 2,
                failures: 0,
                launch_check: target::launches(2),
                failure_check: target::failures(0),
                time_check: target::herd(200, 1.3),
            }],
            unmeasured: Vec::new(),
        }
    }

    #[test]
    fn both_pages_have_the_figures_the_targets_and_the_count() {
        for page in [text(&report(&document())), markdown(&[(report(&document()), "client-2026-01-02.json")])]
        {
            assert!(page.contains("2 of 7 targets missed."), "{page}");
            for part in ["6.12", "987", "105", "260.00", "1.30", "median ≤ 5", "ratio ≤ 1.4", "MISSED"] {
                assert!(page.contains(part), "no {part} in {page}");
            }
        }
        let bars =
            markdown(&[(report(&document()), "x")]).lines().filter(|line| line.starts_with('|')).count();
        assert_eq!(bars, 15, "five tables of a heading, a rule and a row");
    }

    #[test]
    fn a_document_is_read_back_as_it_was_written() {
        let written = serde_json::to_string(&document()).expect("written");
        let read: Document = serde_json::from_str(&written).expect("read");
        assert_eq!(markdown(&[(report(&read), "x")]), markdown(&[(report(&document()), "x")]));
    }
}
