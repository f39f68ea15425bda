//! `bench client`: what it takes a client to have its daemon, beside what the kernel takes for as much.
//!
//! ```text
//! client ── start, process, find, death, herd ── each in a ── world (a home, clients, a daemon)
//!   └── build (two builds of everything) ──> document ──> page
//! ```

pub(super) mod build;
mod death;
mod document;
pub(super) mod find;
pub(super) mod herd;
mod page;
pub(super) mod process;
mod start;
mod target;

use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::build::Programs;
use super::finish;
use super::origin::Origin;
use crate::args::ClientArgs;
use crate::workspace::Workspace;
use crate::world::{machine, observe};

pub(super) use self::document::Document;
pub(super) use self::page::{report, standings};

/// What its kept runs are called.
pub(super) const NAME: &str = "client";

/// Clients of a herd, and how often it is let loose.
const HERDS: [(u32, usize); 3] = [(50, 20), (200, 20), (1000, 10)];
const STARTS: usize = 200;
const PROCESSES: usize = 500;
const FINDS: usize = 5000;
const DEATHS: usize = 100;
/// The share of a quick run.
const QUICK: usize = 10;

/// What can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Starts,
    Processes,
    Find,
    Deaths,
    Herds,
}

impl Part {
    const ALL: [Self; 5] = [Self::Starts, Self::Processes, Self::Find, Self::Deaths, Self::Herds];

    fn name(self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::Processes => "processes",
            Self::Find => "find",
            Self::Deaths => "deaths",
            Self::Herds => "herds",
        }
    }
}

/// Runs `bench client`.
///
/// # Errors
/// When something cannot be built or set up, or a round gives no figure.
pub(crate) fn run(workspace: &Workspace, args: &ClientArgs) -> Result<()> {
    let parts = chosen(&args.part)?;
    let (programs, find_cost) = (build::programs(workspace)?, build::find_cost(workspace)?);
    observe::become_subreaper()?;
    let begun = Instant::now();
    let file_system = machine::file_system(&std::env::temp_dir())?;
    // The dynamic build is always there; the static one, where it can be made, is the better.
    let best = programs.last().context("there is a build")?.clone();
    let mut document = Document {
        origin: Origin::of(args.command_line(), &best.aileron, vec![file_system], begun),
        starts: Vec::new(),
        processes: Vec::new(),
        finds: Vec::new(),
        deaths: Vec::new(),
        herds: Vec::new(),
        unmeasured: Vec::new(),
    };
    let rounds = |full: usize| if args.quick { (full / QUICK).max(2) } else { full };
    for part in parts {
        eprintln!("{}", part.name());
        if let Err(error) = measure(part, &programs, &best, &find_cost, rounds, &mut document) {
            let text = format!("{error:#}");
            eprintln!("xtask: {text}");
            document.unmeasured.push(format!("{}: {text}", part.name()));
        }
    }
    document.origin.took_s = begun.elapsed().as_secs_f64().round();
    finish(&report(&document), &document, NAME, &args.output, workspace)
}

fn measure(
    part: Part,
    programs: &[Programs],
    best: &Programs,
    find_cost: &std::path::Path,
    rounds: impl Fn(usize) -> usize,
    document: &mut Document,
) -> Result<()> {
    match part {
        Part::Starts => document.starts = start::measure(programs, rounds(STARTS))?,
        Part::Processes => document.processes = process::measure(programs, rounds(PROCESSES))?,
        Part::Find => document.finds = find::measure(find_cost, &best.aileron, rounds(FINDS))?,
        Part::Deaths => document.deaths = death::measure(&best.aileron, rounds(DEATHS))?,
        Part::Herds => {
            for (clients, full) in HERDS {
                for programs in programs {
                    eprintln!("{clients} clients, {}", programs.build.name());
                    document.herds.push(herd::measure(programs, clients, rounds(full))?);
                }
            }
        }
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Part>> {
    for name in names {
        if !Part::ALL.iter().any(|part| part.name().contains(name.as_str())) {
            let known: Vec<&str> = Part::ALL.iter().map(|part| part.name()).collect();
            bail!("no part has `{name}` in its name; there are: {}", known.join(", "));
        }
    }
    let asked =
        |part: &Part| names.is_empty() || names.iter().any(|name| part.name().contains(name.as_str()));
    Ok(Part::ALL.into_iter().filter(asked).collect())
}
