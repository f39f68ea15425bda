//! A run of `bench size` in words and tables, and all kept ones as a trend.

use super::super::page::{Report, Section, whole};
use super::super::table::{Table, cells};
use super::document::Document;

const METHOD: [&str; 4] = [
    "The release profile is `opt-level = \"s\"`, and 3 for the crates that a request runs through (`Cargo.toml` names them), \
     `lto = \"fat\"`, one codegen unit, stripped, unwinding. Optimising the whole program at once drops what the crates bring and the \
     product does not call, and costs build time alone. Most of the program runs once in a short life or never: for size it is a fifth \
     smaller, and an idle daemon's memory with it, for some hundredths of a client's instructions. Aborting on panic would drop the \
     unwinding tables and end the daemon with one handler's panic, which is to be a 500 and nothing more. Symbols say nothing without \
     the sources. The static build packs its relocations and folds equal functions (`xtask/src/dist.rs`).",
    "crates: packages that `cargo tree --edges normal` names for this system, ours among them. A clean build is timed with \
     `--build-time` alone, from an empty target directory, nothing downloaded.",
    "Instructions: whole processes, a daemon running, counted in user space by callgrind; beside a program of the same \
     profile and linkage whose `main` does nothing (`crates/spawn/examples/bare_client.rs`).",
    "url: as in `bench client`, in turns and from before the spawn to the end; bare: the same example, which opens and reads the \
     record, connects, makes one round trip and closes.",
];

/// The run for people, with all kept ones, in their order, as rows.
pub(in crate::bench) fn report<'a>(document: &'a Document, kept: &[Document]) -> Report<'a> {
    let mut sections = vec![binaries(document)];
    if !document.instructions.is_empty() {
        sections.push(instructions(document));
    }
    if !document.processes.is_empty() {
        sections.push(processes(document));
    }
    if !kept.is_empty() {
        sections.push(trend(kept));
    }
    Report {
        title: "How large it is",
        origin: &document.origin,
        checks: document.checks().collect(),
        unmeasured: document.unmeasured.len(),
        method: METHOD.iter().map(|line| (*line).to_owned()).collect(),
        sections,
        plots: Vec::new(),
    }
}

fn binaries(document: &Document) -> Section {
    let mut table = Table::new(1, &["build", "bytes", "target", "result"]);
    for row in &document.binaries {
        let mut line = vec![row.build.clone(), row.bytes.to_string()];
        line.extend(row.check.as_ref().map_or_else(<[String; 2]>::default, cells));
        table.push(line);
    }
    let built = document.clean_build_s.map(|seconds| format!(" A clean build took {seconds:.0} s."));
    let about = format!("{} crates are in it.{}", document.crates, built.unwrap_or_default());
    Section { title: "The binary", about, table }
}

fn instructions(document: &Document) -> Section {
    let mut table = Table::new(2, &["program", "build", "instructions", "× empty"]);
    for row in &document.instructions {
        let cells = [whole(row.instructions), format!("{:.1}", row.ratio)];
        table.push([vec![row.program.clone(), row.build.clone()], cells.to_vec()].concat());
    }
    let about = format!("Of the whole process ({}).", document.counted_by);
    Section { title: "Instructions of a short life", about, table }
}

fn processes(document: &Document) -> Section {
    let headings =
        ["build", "n", "url median", "url p99", "bare median", "bare p99", "ratio", "target", "result"];
    let mut table = Table::new(1, &headings);
    for row in &document.processes {
        let mut line = vec![row.build.clone(), row.url.n.to_string()];
        line.extend([row.url.median, row.url.p99, row.bare.median, row.bare.p99].map(whole));
        line.push(format!("{:.2}", row.ratio));
        line.extend(row.check.as_ref().map_or_else(<[String; 2]>::default, cells));
        table.push(line);
    }
    let about = "Microseconds of a whole process, a daemon running.".to_owned();
    Section { title: "A warm `url` beside a bare process", about, table }
}

/// One row for each kept run.
fn trend(kept: &[Document]) -> Section {
    let headings = [
        "date",
        "version",
        "dynamic bytes",
        "static bytes",
        "crates",
        "--version",
        "url",
        "status",
        "clean build s",
    ];
    let mut table = Table::new(2, &headings);
    for run in kept {
        let bytes =
            |build: &str| run.binaries.iter().find(|row| row.build == build).map(|row| row.bytes.to_string());
        let last = run.binaries.last().map(|row| row.build.as_str()).unwrap_or_default();
        let count = |program: &str| {
            let found = run.instructions.iter().find(|row| row.build == last && row.program == program);
            found.map(|row| whole(row.instructions))
        };
        let figures = [
            bytes("dynamic"),
            bytes("static"),
            Some(run.crates.to_string()),
            count("aileron --version"),
            count("aileron url"),
            count("aileron daemon status"),
            run.clean_build_s.map(whole),
        ];
        let mut line = vec![run.origin.date.clone(), run.origin.version.clone()];
        line.extend(figures.map(|figure| figure.unwrap_or_else(|| "–".to_owned())));
        table.push(line);
    }
    let about = "One row for each kept run; instructions of the static build.".to_owned();
    Section { title: "The trend", about, table }
}

#[cfg(test)]
mod tests {
    use super::super::super::origin::Origin;
    use super::super::super::page::{markdown, text};
    use super::super::document::{BinaryRow, InstructionRow, ProcessRow};
    use super::super::target;
    use super::*;
    use crate::figures::Spread;

    fn document(bytes: u64) -> Document {
        let spread = |median: f64| Spread::of(&[median]).expect("one");
        Document {
            origin: Origin::sample("size"),
            binaries: vec![BinaryRow {
                build: "static".to_owned(),
                bytes,
                check: Some(target::bytes(bytes)),
            }],
            crates: 97,
            clean_build_s: None,
            counted_by: "callgrind".to_owned(),
            instructions: vec![InstructionRow {
                program: "aileron url".to_owned(),
                build: "static".to_owned(),
                instructions: 234_567.0,
                ratio: 2.6,
            }],
            processes: vec![ProcessRow {
                build: "static".to_owned(),
                url: spread(940.0),
                bare: spread(700.0),
                ratio: 1.34,
                check: Some(target::url(1.34)),
            }],
            unmeasured: Vec::new(),
        }
    }

    #[test]
    fn every_kept_run_is_a_row_of_the_trend() {
        let kept = [document(3_600_000), document(3_400_000)];
        let written = serde_json::to_string(&kept[1]).expect("written");
        let read: Document = serde_json::from_str(&written).expect("read");
        for page in [text(&report(&read, &kept)), markdown(&[(report(&read, &kept), "x")])] {
            for part in ["1 of 2 targets missed.", "3600000", "3400000", "97", "234567", "940", "1.34"] {
                assert!(page.contains(part), "no {part} in {page}");
            }
        }
        assert!(!text(&report(&read, &[])).contains("The trend"), "a run that is not kept has none");
    }
}
