//! `cargo xtask bench`: how fast the release binary is, measured from outside beside the limit that the kernel sets.
//!
//! ```text
//! detect ── plays ── rounds ── in a ── world (a home, a client, a daemon, a fault)
//!   │                  └── by turns with a bare reader, which is this program again
//!   └── fence (an example program), idle ──> document ──> tables, JSON, docs/bench
//! ```
//!
//! A missed target does not make the command fail: it is said beside the figure and counted at the end. A round that
//! gives no figure does.

mod detect;
mod document;
mod fence;
mod idle;
mod page;
mod port;
pub(crate) mod reader;
mod round;
mod table;
mod target;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::args::DetectArgs;
use crate::workspace::Workspace;
use crate::world::{machine, mounts, observe, program};
use detect::Detect;
use document::Document;

/// A look is due every 5 s: in these times there are some.
const IDLE: Duration = Duration::from_mins(1);
const IDLE_QUICK: Duration = Duration::from_secs(11);

/// Runs `bench detect`.
///
/// # Errors
/// When something cannot be set up, or a round gives no figure.
pub(crate) fn detect(workspace: &Workspace, args: &DetectArgs) -> Result<()> {
    let losses = detect::chosen(&args.loss)?;
    let binary = program::find_or_build(args.binary.as_deref(), workspace)?;
    let (reader, fence_cost) = (reader::build(workspace)?, fence::build(workspace)?);
    observe::become_subreaper()?;
    let namespace = mounts::enter_private_namespace();
    if let Err(error) = namespace {
        eprintln!("xtask: {error:#}");
    }
    let (begun, places) = (Instant::now(), detect::places()?);
    let mut detect = Detect::new(&binary, &reader, args.rounds());
    let (mut events, mut polls, mut fence) = (Vec::new(), Vec::new(), Vec::new());
    for place in &places {
        for fault in &losses {
            eprintln!("{} on {}", fault.name(), place.file_system);
            events.extend(detect.with_events(*fault, place));
            polls.extend(detect.without_events(*fault, place));
        }
        fence.extend(fence::measure(&fence_cost, &place.directory, &place.file_system)?);
    }
    eprintln!("an idle daemon");
    let idle = idle::measure(&binary, if args.quick { IDLE_QUICK } else { IDLE })?;
    let document = Document {
        schema: 1,
        command: args.command_line(),
        date: today(),
        version: program::version(&binary),
        machine: machine::machine(),
        processor: machine::processor(),
        file_systems: places.into_iter().map(|place| place.file_system).collect(),
        took_s: begun.elapsed().as_secs_f64().round(),
        events,
        polls,
        fence,
        idle: Some(idle),
        unmeasured: detect.unmeasured,
    };
    print!("{}", page::text(&document));
    if let Some(path) = &args.json {
        write(path, &as_json(&document)?)?;
    }
    if args.keep {
        keep(&document, &workspace.root().join("docs").join("bench"))?;
    }
    ensure!(document.unmeasured.is_empty(), "bench: {} rounds gave no figure", document.unmeasured.len());
    Ok(())
}

/// The document under its date, and the page from the file as it now stands there.
fn keep(document: &Document, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    let name = format!("detect-{}.json", document.date);
    let path = directory.join(&name);
    write(&path, &as_json(document)?)?;
    let kept = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let kept: Document = serde_json::from_slice(&kept).context("the kept run cannot be read back")?;
    write(&directory.join("README.md"), &page::markdown(&kept, &name))
}

fn as_json(document: &Document) -> Result<String> {
    let mut text = serde_json::to_string_pretty(document).context("cannot write the run as JSON")?;
    text.push('\n');
    Ok(text)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    eprintln!("written: {}", path.display());
    Ok(())
}

/// UTC, as a log has it.
fn today() -> String {
    jiff::Timestamp::now().to_string().chars().take("YYYY-MM-DD".len()).collect()
}
