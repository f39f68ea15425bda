//! A run of `bench detect` in words and tables.

use super::super::page::{Report, Section, in_ms, whole};
use super::super::standing::Standing;
use super::super::table::{Table, cells};
use super::document::{Document, Idle};
use super::round::{CONNECTIONS, REST};

/// The run for people.
pub(in crate::bench) fn report(document: &Document) -> Report<'_> {
    Report {
        title: "How fast a loss is noticed",
        origin: &document.origin,
        checks: document.checks().collect(),
        unmeasured: document.unmeasured.len(),
        method: method(document),
        sections: sections(document),
        plots: Vec::new(),
    }
}

/// On the first file system, the losses that leave no doubt: the verdict beside the bare reader's. And one that leaves some.
pub(in crate::bench) fn standings(document: &Document) -> Vec<Standing> {
    const SHOWN: [&str; 3] = ["directory-deleted", "lock-replaced-by-empty-file", "directory-renamed"];
    let first = document.events.first().map(|row| row.file_system.clone());
    let rows = document
        .events
        .iter()
        .filter(|row| Some(&row.file_system) == first.as_ref() && SHOWN.contains(&row.loss.as_str()));
    let standing = |row: &super::document::EventRow| Standing {
        what: format!("{} noticed", row.loss),
        limit: Some(row.reader_verdict.median + row.by_design_ms * 1e3),
        ours: row.verdict.median,
    };
    rows.map(standing).collect()
}

fn method(document: &Document) -> Vec<String> {
    let mut lines = vec![
        "Every time counts from the moment before the system call that makes the loss; for the removal of the directory \
         that is the unlink of the lock."
            .to_owned(),
        format!(
            "Each round has a new home and a new daemon, started by `aileron url`, with {CONNECTIONS} idle keep-alive \
             connections; all its threads have been asleep for {} ms when the loss comes.",
            REST.as_millis()
        ),
        "verdict: the time stamp of `displaced` in the daemon's log (microseconds). port closed: the port can be bound, \
         tried every 100 µs and good to about 160 µs. gone: its pidfd says so, to a thread that has waited since before."
            .to_owned(),
        "reader: a process that sleeps in poll(2) on the same watches on a twin of the files, confirms with fstat and \
         lstat, tells its own clock and exits. Daemon and reader by turns in the same run; the ratio is that of the \
         medians. It exits with its inotify instance open, and the kernel waits for a grace period to close it: that it \
         is gone is for orientation."
            .to_owned(),
        "by design: where the held file keeps a name, a daemon looks twice, 100 ms apart. Left out of the ratio, added \
         to the other targets."
            .to_owned(),
        "Mounts are made in a mount namespace of the run's own. p99 is the nearest rank: below 100 rounds, the worst."
            .to_owned(),
    ];
    if let Some(idle) = &document.idle {
        lines.push(format!(
            "idle: {:.0} s without a client; a thread's voluntary context switches are its wake-ups. The daemon looks \
             every {:.0} s.",
            idle.seconds,
            idle.poll_interval_ms / 1e3
        ));
    }
    lines
}

fn sections(document: &Document) -> Vec<Section> {
    let mut sections = Vec::new();
    if !document.events.is_empty() {
        sections.push(verdicts(document));
        sections.push(ends(document));
    }
    if !document.polls.is_empty() {
        sections.push(polls(document));
    }
    if !document.fence.is_empty() {
        sections.push(fence(document));
    }
    sections.extend(document.idle.as_ref().map(idle));
    sections
}

fn verdicts(document: &Document) -> Section {
    let headings = [
        "loss",
        "on",
        "n",
        "min",
        "median",
        "p95",
        "p99",
        "by design",
        "reader median",
        "reader p99",
        "ratio",
        "target",
        "result",
    ];
    let mut table = Table::new(2, &headings);
    for row in &document.events {
        let (seen, reader) = (&row.verdict, &row.reader_verdict);
        let mut line = vec![row.loss.clone(), row.file_system.clone(), seen.n.to_string()];
        line.extend([seen.min, seen.median, seen.p95, seen.p99, row.by_design_ms * 1e3].map(whole));
        line.extend([reader.median, reader.p99].map(whole));
        line.push(format!("{:.2}", row.ratio));
        line.extend(cells(&row.verdict_check));
        table.push(line);
    }
    Section {
        title: "From the loss to the verdict",
        about: "Microseconds, with file events.".to_owned(),
        table,
    }
}

fn ends(document: &Document) -> Section {
    let headings = [
        "loss",
        "on",
        "n",
        "min",
        "median",
        "p95",
        "p99",
        "port median",
        "port p99",
        "reader median",
        "target",
        "result",
    ];
    let mut table = Table::new(2, &headings);
    for row in &document.events {
        let gone = &row.gone;
        let mut line = vec![row.loss.clone(), row.file_system.clone(), gone.n.to_string()];
        let port = [row.port_closed.median, row.port_closed.p99];
        line.extend([gone.min, gone.median, gone.p95, gone.p99].into_iter().chain(port).map(in_ms));
        line.push(in_ms(row.reader_gone.median));
        line.extend(cells(&row.gone_check));
        table.push(line);
    }
    let about = "Milliseconds, with file events; port: closed, reader: the bare reader gone.".to_owned();
    Section { title: "From the loss to the process gone", about, table }
}

fn polls(document: &Document) -> Section {
    let headings = [
        "loss",
        "on",
        "interval",
        "n",
        "verdict median",
        "verdict max",
        "gone median",
        "gone max",
        "beyond",
        "target",
        "result",
    ];
    let mut table = Table::new(2, &headings);
    for row in &document.polls {
        let mut line = vec![row.loss.clone(), row.file_system.clone()];
        line.extend([format!("{:.0}", row.interval_ms), row.gone.n.to_string()]);
        line.extend([row.verdict.median, row.verdict.max, row.gone.median, row.gone.max].map(in_ms));
        line.push(in_ms(row.gone.max - row.interval_ms * 1e3));
        line.extend(cells(&row.check));
        table.push(line);
    }
    let about = "Milliseconds, without file events, the loss at points spread over the interval; beyond: the longest time \
                 to the process gone, less the interval.";
    Section { title: "Without file events", about: about.to_owned(), table }
}

fn fence(document: &Document) -> Section {
    let headings = [
        "on",
        "path depth",
        "calls",
        "min",
        "median",
        "p95",
        "p99",
        "lstat median",
        "ratio",
        "target",
        "result",
    ];
    let mut table = Table::new(1, &headings);
    for row in &document.fence {
        let cost = &row.verify_ns;
        let mut line = vec![row.file_system.clone(), row.path_depth.to_string(), row.calls.to_string()];
        line.extend([cost.min, cost.median, cost.p95, cost.p99, row.lstat_ns.median].map(whole));
        line.push(format!("{:.2}", row.ratio));
        line.extend(cells(&row.check));
        table.push(line);
    }
    let about = "Nanoseconds per call of `Ownership::verify`, in batches of 100 that alternate with batches of the bare \
                 system call (`crates/discovery/examples/fence_cost.rs`).";
    Section { title: "What the fence costs a request", about: about.to_owned(), table }
}

fn idle(idle: &Idle) -> Section {
    let mut table = Table::new(1, &["thread", "voluntary", "involuntary"]);
    for thread in &idle.threads {
        table.push(vec![thread.name.clone(), thread.voluntary.to_string(), thread.involuntary.to_string()]);
    }
    let [threads, wake_ups] = [&idle.thread_check, &idle.wake_up_check].map(|check| cells(check).join(" "));
    let about = format!("Context switches in {:.0} s. {threads}; {wake_ups}.", idle.seconds);
    Section { title: "An idle daemon", about, table }
}

#[cfg(test)]
mod tests {
    use super::super::super::origin::Origin;
    use super::super::super::page::{markdown, text};
    use super::super::document::{EventRow, IdleThread};
    use super::super::target;
    use super::*;
    use crate::figures::Spread;

    fn document() -> Document {
        let spread = |median: f64| Spread::of(&[median]).expect("one");
        let row = EventRow {
            loss: "lock-renamed".to_owned(),
            about: String::new(),
            file_system: "ext4".to_owned(),
            by_design_ms: 100.0,
            verdict: spread(100_120.0),
            port_closed: spread(100_500.0),
            gone: spread(112_345.0),
            reader_verdict: spread(60.0),
            reader_gone: spread(9_000.0),
            ratio: 2.0,
            verdict_check: target::verdict(2.0),
            gone_check: target::gone(&spread(112_345.0), 100.0),
        };
        let threads = vec![IdleThread { name: "keeper".to_owned(), voluntary: 12, involuntary: 0 }];
        let idle = Idle {
            seconds: 60.0,
            poll_interval_ms: 5000.0,
            thread_check: target::threads(1),
            wake_up_check: target::wake_ups(12, 12),
            threads,
        };
        let origin = Origin {
            schema: 1,
            command: "cargo xtask bench detect".to_owned(),
            date: "2026-01-02".to_owned(),
            version: "aileron 0.1.0".to_owned(),
            machine: "Linux 6, 2 processors".to_owned(),
            processor: None,
            file_systems: vec!["ext4".to_owned()],
            took_s: 1.0,
        };
        Document {
            origin,
            events: vec![row],
            polls: Vec::new(),
            fence: Vec::new(),
            idle: Some(idle),
            unmeasured: vec!["a reason".to_owned()],
        }
    }

    #[test]
    fn both_pages_have_the_figures_the_targets_and_the_count() {
        for page in [text(&report(&document())), markdown(&[(report(&document()), "detect-2026-01-02.json")])]
        {
            assert!(page.contains("2 of 4 targets missed. 1 rounds gave no figure."), "{page}");
            for part in
                ["100120", "2.00", "112.34", "median ≤ 105, p99 ≤ 150", "threads = 2 MISSED", "keeper"]
            {
                assert!(page.contains(part), "no {part} in {page}");
            }
        }
        let bars =
            markdown(&[(report(&document()), "x")]).lines().filter(|line| line.starts_with('|')).count();
        assert_eq!(bars, 9, "three tables of a heading, a rule and a row");
    }

    #[test]
    fn a_document_is_read_back_as_it_was_written() {
        let written = serde_json::to_string(&document()).expect("written");
        let read: Document = serde_json::from_str(&written).expect("read");
        assert_eq!(markdown(&[(report(&read), "x")]), markdown(&[(report(&document()), "x")]));
    }
}
