//! `bench detect`: each kind of loss on each file system, daemon and bare reader by turns.
//!
//! ```text
//! detect ── plays ── rounds ── in a ── world (a home, a client, a daemon, a fault)
//!   │                  └── by turns with a bare reader, which is this program again
//!   └── fence (an example program), idle ──> document ──> page
//! ```

mod document;
mod fence;
mod idle;
mod page;
mod port;
pub(crate) mod reader;
mod round;
mod target;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::document::{EventRow, PollRow};
use self::round::{Displaced, Ground, Read};
use self::target::SECOND_LOOK_MS;
use super::finish;
use super::origin::Origin;
use crate::args::DetectArgs;
use crate::figures::Spread;
use crate::workspace::Workspace;
use crate::world::clock::millis;
use crate::world::fault::Fault;
use crate::world::home::Watch;
use crate::world::{machine, mounts, observe, program};

pub(super) use self::document::Document;
pub(super) use self::page::{report, standings};

/// What its kept runs are called.
pub(super) const NAME: &str = "detect";

/// A look is due every 5 s: in these times there are some.
const IDLE: Duration = Duration::from_mins(1);
const IDLE_QUICK: Duration = Duration::from_secs(11);

/// Without file events, and a short interval.
const POLL: Duration = Duration::from_millis(200);
/// A round without events waits half an interval on average: so many times fewer of them.
const POLL_SHARE: u32 = 4;
/// By its default the interval is a second.
const DEFAULT_POLL_SHARE: u32 = 40;
/// What is tried with that: one of each kind.
const DEFAULT_POLL_LOSSES: [Fault; 2] = [Fault::DeleteLock, Fault::RenameDirectory];

/// After so many rounds without a figure, the others of a row would have none either: a mount or a device without root.
const HOPELESS: u32 = 5;

/// Runs `bench detect`.
///
/// # Errors
/// When something cannot be set up, or a round gives no figure.
pub(crate) fn run(workspace: &Workspace, args: &DetectArgs) -> Result<()> {
    let losses = chosen(&args.loss)?;
    let binary = program::find_or_build(args.binary.as_deref(), workspace)?;
    let (reader, fence_cost) = (reader::build(workspace)?, fence::build(workspace)?);
    observe::become_subreaper()?;
    let namespace = mounts::enter_private_namespace();
    if let Err(error) = namespace {
        eprintln!("xtask: {error:#}");
    }
    let (begun, places) = (Instant::now(), places()?);
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
    let file_systems = places.into_iter().map(|place| place.file_system).collect();
    let document = Document {
        origin: Origin::of(args.command_line(), &binary, file_systems, begun),
        events,
        polls,
        fence,
        idle: Some(idle),
        unmeasured: detect.unmeasured,
    };
    finish(&report(&document), &document, NAME, &args.output, workspace)
}

/// A directory to play rounds in, and what it is on.
#[derive(Clone, Debug)]
struct Place {
    directory: PathBuf,
    file_system: String,
}

/// The system's temporary directory, and the one in memory.
fn places() -> Result<Vec<Place>> {
    let mut places: Vec<Place> = Vec::new();
    for directory in [std::env::temp_dir(), PathBuf::from("/dev/shm")] {
        let file_system = machine::file_system(&directory)?;
        if places.iter().all(|place| place.file_system != file_system) {
            places.push(Place { directory, file_system });
        }
    }
    Ok(places)
}

/// The losses that were asked for, by a part of their names; all, if none was.
fn chosen(names: &[String]) -> Result<Vec<Fault>> {
    let mut all = vec![Fault::RemoveTree];
    all.extend(Fault::LOSSES);
    for name in names {
        if !all.iter().any(|fault| fault.name().contains(name.as_str())) {
            let known: Vec<&str> = all.iter().map(|fault| fault.name()).collect();
            bail!("no loss has `{name}` in its name; there are: {}", known.join(", "));
        }
    }
    all.retain(|fault| names.is_empty() || names.iter().any(|name| fault.name().contains(name.as_str())));
    Ok(all)
}

/// The rounds to be played, and what could not be measured so far.
struct Detect<'a> {
    binary: &'a Path,
    reader: &'a Path,
    rounds: u32,
    unmeasured: Vec<String>,
    /// Of the row that is being measured.
    failures: u32,
}

impl<'a> Detect<'a> {
    fn new(binary: &'a Path, reader: &'a Path, rounds: u32) -> Self {
        Self { binary, reader, rounds, unmeasured: Vec::new(), failures: 0 }
    }

    /// One loss with file events. Nothing, if no round gave a figure.
    fn with_events(&mut self, fault: Fault, place: &Place) -> Option<EventRow> {
        let (mut displaced, mut read): (Vec<Displaced>, Vec<Read>) = (Vec::new(), Vec::new());
        let ground = Ground { directory: &place.directory, binary: self.binary, reader: self.reader };
        self.failures = 0;
        for number in 0..self.rounds {
            if self.failures >= HOPELESS {
                break;
            }
            // By turns, and each first in every other round: what else the machine does is shared evenly.
            for turn in [number, number + 1] {
                let played = if turn % 2 == 0 {
                    ground.displace(fault, Watch::Events, Duration::ZERO).map(|times| displaced.push(times))
                } else {
                    ground.read(fault).map(|times| read.push(times))
                };
                self.note(fault, place, played);
            }
        }
        let of =
            |figure: fn(&Displaced) -> f64| Spread::of(&displaced.iter().map(figure).collect::<Vec<f64>>());
        let of_reader = |figure: fn(&Read) -> f64| Spread::of(&read.iter().map(figure).collect::<Vec<f64>>());
        let (verdict, gone) = (of(|times| times.verdict)?, of(|times| times.gone)?);
        let reader_verdict = of_reader(|times| times.verdict)?;
        let by_design_ms = by_design_ms(fault);
        let ratio = target::ratio(&verdict, &reader_verdict, by_design_ms);
        Some(EventRow {
            loss: fault.name().to_owned(),
            about: fault.about().to_owned(),
            file_system: place.file_system.clone(),
            by_design_ms,
            verdict,
            port_closed: of(|times| times.port_closed)?,
            gone,
            reader_verdict,
            reader_gone: of_reader(|times| times.gone)?,
            ratio,
            verdict_check: target::verdict(ratio),
            gone_check: target::gone(&gone, by_design_ms),
        })
    }

    /// Every setting without file events that the loss is tried with.
    fn without_events(&mut self, fault: Fault, place: &Place) -> Vec<PollRow> {
        let mut settings = vec![(Watch::Poll(POLL), self.rounds / POLL_SHARE)];
        if DEFAULT_POLL_LOSSES.contains(&fault) {
            settings.push((Watch::PollByDefault, self.rounds / DEFAULT_POLL_SHARE));
        }
        let rows =
            settings.into_iter().map(|(watch, rounds)| self.polled(fault, place, watch, rounds.max(2)));
        rows.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn polled(&mut self, fault: Fault, place: &Place, watch: Watch, rounds: u32) -> Option<PollRow> {
        let ground = Ground { directory: &place.directory, binary: self.binary, reader: self.reader };
        let (mut verdicts, mut ends) = (Vec::new(), Vec::new());
        self.failures = 0;
        for number in 0..rounds {
            if self.failures >= HOPELESS {
                break;
            }
            // At another point between two looks each time.
            let played = ground.displace(fault, watch, watch.interval() * number / rounds).map(|times| {
                verdicts.push(times.verdict);
                ends.push(times.gone);
            });
            self.note(fault, place, played);
        }
        let (verdict, gone) = (Spread::of(&verdicts)?, Spread::of(&ends)?);
        let (interval_ms, by_design_ms) = (millis(watch.interval()), by_design_ms(fault));
        Some(PollRow {
            loss: fault.name().to_owned(),
            file_system: place.file_system.clone(),
            interval_ms,
            by_design_ms,
            verdict,
            gone,
            check: target::polled(&gone, interval_ms, by_design_ms),
        })
    }

    fn note(&mut self, fault: Fault, place: &Place, played: Result<()>) {
        if let Err(error) = played.context(format!("{} on {}", fault.name(), place.file_system)) {
            let text = format!("{error:#}");
            if !self.unmeasured.contains(&text) {
                eprintln!("xtask: {text}");
            }
            self.unmeasured.push(text);
            self.failures += 1;
        }
    }
}

fn by_design_ms(fault: Fault) -> f64 {
    if fault.leaves_doubt() { SECOND_LOOK_MS } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_chosen_by_a_part_of_their_names() {
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            chosen(&asked).map(|faults| faults.into_iter().map(Fault::name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["lock-del"]).expect("known"), ["lock-deleted"]);
        assert_eq!(names(&["mounted", "fifo"]).expect("known").len(), 4);
        assert_eq!(names(&[]).expect("known").len(), 15);
        assert!(names(&["no-such-loss"]).is_err());
    }
}
