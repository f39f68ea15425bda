//! The pages for people: `docs/troubleshooting.md` quotes the snapshots, and all of them; `docs/first-hour.md` is typed again,
//! line by line.

use std::fs;
use std::path::{Path, PathBuf};

use aileron_tests::bench;

use crate::redaction::{redacted, unpersoned};
use crate::scene::Scene;

/// What stands in a page for the home of whoever reads it.
const HOME: &str = "/home/you";

/// What stands in a table for what is left out.
const GAP: char = '…';

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn snapshots() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/what_people_see/snapshots");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| path.extension().is_some_and(|extension| extension == "snap"));
    kept.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What is in backticks in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether the pieces of a quotation stand in a line, in their order.
fn occurs(quotation: &str, line: &str) -> bool {
    let mut rest = line;
    quotation.split(GAP).all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The cells of the table of `docs/troubleshooting.md`.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").collect()).collect()
}

#[test]
fn the_page_for_trouble_quotes_what_is_said() {
    let text = fs::read_to_string(page("troubleshooting.md")).unwrap();
    let snapshots = snapshots();
    let lines: Vec<&str> = snapshots.iter().flat_map(|text| text.lines()).collect();
    let rows = rows(&text);
    assert!(rows.len() > 25, "{} rows", rows.len());
    for cells in &rows {
        assert_eq!(cells.len(), 3, "what you see, what it means, what to do: {cells:?}");
        for quotation in quoted(cells[0]) {
            assert!(lines.iter().any(|line| occurs(quotation, line)), "nobody says: {quotation}");
        }
        for command in quoted(cells[2]).into_iter().filter(|command| command.starts_with("aileron ")) {
            assert!(lines.iter().any(|line| line.contains(command)), "nobody types or advises: {command}");
        }
    }
}

/// The other way round: whatever a command says of a failure, the page has it.
#[test]
fn whatever_is_said_is_on_the_page_for_trouble() {
    let text = fs::read_to_string(page("troubleshooting.md")).unwrap();
    let quotations: Vec<&str> = rows(&text).iter().flat_map(|cells| quoted(cells[0])).collect();
    for snapshot in snapshots() {
        for said in snapshot.lines().filter_map(|line| line.strip_prefix("! aileron: ")) {
            assert!(quotations.iter().any(|quotation| occurs(quotation, said)), "not on the page: {said}");
        }
    }
}

/// One command of a page, and the lines that it printed.
struct Step<'a> {
    command: &'a str,
    printed: Vec<&'a str>,
}

/// What is typed in the blocks of a page, in its order.
fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(kind), _) => inside = kind == "console",
            (None, true) => match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command, printed: Vec::new() }),
                None => steps.last_mut().expect("a command comes first").printed.push(line),
            },
            (None, false) => {}
        }
    }
    steps
}

/// Whether lines are as a page has them, where `...` stands for any number of them.
fn agree(page: &[&str], real: &[&str]) -> bool {
    match page.split_first() {
        None => real.is_empty(),
        Some((&"...", rest)) => (0..=real.len()).any(|skipped| agree(rest, &real[skipped..])),
        Some((line, rest)) => {
            real.split_first().is_some_and(|(first, real)| first == line && agree(rest, real))
        }
    }
}

/// To write the page anew from what is printed now: `FIRST_HOUR=write cargo test -p aileron-tests --test what_people_see hour`.
/// What has a `...` is left as it is.
#[test]
fn the_first_hour_is_as_it_is_told() {
    let path = page("first-hour.md");
    let text = fs::read_to_string(&path).unwrap();
    let bench = bench!();
    let scene = Scene::of_lone_user(&bench);
    let steps = steps(&text);
    assert!(steps.len() > 15, "{} steps", steps.len());
    let mut printed = Vec::new();
    let mut wrong = String::new();
    for step in &steps {
        // As a terminal has it: both streams, in the order in which they are written.
        let real = scene.shell(&format!("{{ {}\n}} 2>&1", step.command)).run().stdout;
        let expected = step.printed.join("\n").replace(HOME, "[HOME]");
        let expected = unpersoned(&expected.replace(env!("CARGO_PKG_VERSION"), "[VERSION]"));
        let found = redacted(&bench, &real);
        let (told, is): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
        if !agree(&told, &is) {
            wrong = [wrong.as_str(), "$ ", step.command, "\n", &found].concat();
        }
        printed.push(real.replace(&*bench.home().to_string_lossy(), HOME));
    }
    if std::env::var_os("FIRST_HOUR").is_some_and(|wish| wish == "write") {
        fs::write(path, rewritten(&text, &steps, &printed)).unwrap();
    } else {
        assert!(wrong.is_empty(), "docs/first-hour.md tells otherwise; now it is\n{wrong}");
    }
}

/// The page with what each of its commands printed.
fn rewritten(page: &str, steps: &[Step<'_>], printed: &[String]) -> String {
    let mut anew = String::new();
    let mut next = steps.iter().zip(printed);
    let mut is_told = false;
    for line in page.lines() {
        if line.starts_with("```") || line.starts_with("$ ") {
            is_told = false;
        }
        if is_told {
            continue;
        }
        anew = anew + line + "\n";
        if line.starts_with("$ ") {
            let (step, printed) = next.next().expect("each command is a step");
            is_told = !step.printed.contains(&"...");
            if is_told {
                anew += printed;
            }
        }
    }
    anew
}
