//! A run of `bench idle` in words and tables.

use super::super::page::{Report, Section, whole};
use super::super::table::{Table, cells};
use super::document::Document;

const METHOD: [&str; 3] = [
    "All idle at once, over the same time, each after all its threads have been found asleep several times in a row. aileron: \
     launched by `aileron url`, its file events armed. bare: a runtime of one thread that waits for connections \
     (`crates/server/examples/echo.rs bare`), built with the same profile and linked in the same way.",
    "A wake-up is a voluntary context switch of any thread (`/proc/PID/task/*/status`). cpu is the scheduler's own account \
     (`schedstat`), ticks what was charged (`/proc/PID/stat`).",
    "Memory is `/proc/PID/smaps_rollup` at the end of the time, kB of 1,024 bytes: Rss, Pss, Anonymous. A target's MB is a \
     million bytes.",
];

/// The run for people.
pub(in crate::bench) fn report(document: &Document) -> Report<'_> {
    Report {
        title: "What an idle daemon takes",
        origin: &document.origin,
        checks: document.checks().collect(),
        unmeasured: 0,
        method: METHOD.iter().map(|line| (*line).to_owned()).collect(),
        sections: vec![took(document), promised(document)],
        plots: Vec::new(),
    }
}

fn took(document: &Document) -> Section {
    let headings = [
        "daemon",
        "build",
        "wake-ups",
        "preempted",
        "ticks",
        "cpu µs",
        "resident kB",
        "proportional kB",
        "anonymous kB",
        "threads",
        "descriptors",
    ];
    let mut table = Table::new(2, &headings);
    for row in &document.rows {
        let mut line = vec![row.program.clone(), row.build.clone()];
        line.extend([row.wake_ups, row.involuntary, row.ticks].map(|count| count.to_string()));
        line.push(whole(row.cpu_us));
        line.extend([row.resident_kb, row.proportional_kb, row.anonymous_kb].map(|kb| kb.to_string()));
        line.extend([row.threads, row.descriptors].map(|count| count.to_string()));
        table.push(line);
    }
    let seconds = document.rows.first().map_or(0.0, |row| row.seconds);
    Section { title: "Without a client", about: format!("In {seconds:.0} s."), table }
}

fn promised(document: &Document) -> Section {
    let mut table = Table::new(4, &["daemon", "build", "target", "result"]);
    for row in &document.rows {
        for check in row.checks() {
            let mut line = vec![row.program.clone(), row.build.clone()];
            line.extend(cells(check));
            table.push(line);
        }
    }
    Section { title: "Targets", about: "Memory is promised of the static build.".to_owned(), table }
}

#[cfg(test)]
mod tests {
    use super::super::super::origin::Origin;
    use super::super::super::page::{markdown, text};
    use super::super::document::Row;
    use super::super::target;
    use super::*;

    #[test]
    fn both_pages_have_the_figures_and_the_targets() {
        let row = Row {
            program: "aileron".to_owned(),
            build: "static".to_owned(),
            seconds: 60.0,
            wake_ups: 12,
            involuntary: 3,
            ticks: 1,
            cpu_us: 777.0,
            resident_kb: 2100,
            proportional_kb: 2050,
            anonymous_kb: 900,
            threads: 2,
            descriptors: 17,
            resident_check: Some(target::resident(2100)),
            anonymous_check: Some(target::anonymous(900)),
            wake_up_check: Some(target::wake_ups(12, 60.0, 5000.0)),
        };
        let document = Document { origin: Origin::sample("idle"), rows: vec![row] };
        let written = serde_json::to_string(&document).expect("written");
        let read: Document = serde_json::from_str(&written).expect("read");
        for page in [text(&report(&read)), markdown(&[(report(&read), "x")])] {
            for part in
                ["1 of 3 targets missed.", "777", "2050", "wake-ups ≤ 13", "anonymous ≤ 0.8 MB", "MISSED"]
            {
                assert!(page.contains(part), "no {part} in {page}");
            }
        }
    }
}
