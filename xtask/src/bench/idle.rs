//! `bench idle`: what a daemon takes that nobody wants anything of, beside one that does nothing.
//!
//! All of them idle at once, over the same time: what else the machine does befalls them alike.

mod document;
mod page;
mod target;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::document::Row;
use super::client::build::{self, Build};
use super::finish;
use super::origin::Origin;
use super::server::{self, Contestant, Rung, Under};
use crate::args::RunArgs;
use crate::dist;
use crate::workspace::{Workspace, run_to_success};
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};
use crate::world::observe::{Usage, become_subreaper, usage, wait_asleep};
use crate::world::{clock::millis, machine};

pub(super) use self::document::Document;
pub(super) use self::page::report;

/// What its kept runs are called.
pub(super) const NAME: &str = "idle";

/// A look is due every 5 s: in these times there are some.
const TIME: Duration = Duration::from_mins(1);
const QUICK: Duration = Duration::from_secs(10);

/// Runs `bench idle`.
///
/// # Errors
/// When something cannot be built or set up, or a daemon ends.
pub(crate) fn run(workspace: &Workspace, args: &RunArgs) -> Result<()> {
    let programs = build::programs(workspace)?;
    run_to_success(workspace.cargo().args(["build", "--release"]).args(server::WHAT))?;
    become_subreaper()?;
    let begun = Instant::now();
    let mut subjects = Vec::new();
    for program in &programs {
        let release = match program.build {
            Build::Dynamic => workspace.target_dir().join("release"),
            Build::Static => {
                dist::build_static(workspace, &server::WHAT)?;
                dist::release_dir(workspace)?
            }
        };
        subjects.push(Subject::daemon(&program.aileron, program.build)?);
        subjects.push(Subject::nothing(&release.join("examples").join("echo"), program.build)?);
    }
    let rows = watch(&subjects, if args.quick { QUICK } else { TIME })?;
    // These first: with the end of a home everything below us is ended and reaped.
    subjects.retain(|subject| subject.interval_ms.is_some());
    let best = programs.last().context("there is a build")?;
    let file_system = machine::file_system(&std::env::temp_dir())?;
    let document = Document {
        origin: Origin::of(args.command_line(NAME), &best.aileron, vec![file_system], begun),
        rows,
    };
    finish(&report(&document), &document, NAME, &args.output, workspace)
}

/// A daemon that idles. What it runs in ends when this is dropped.
struct Subject {
    name: &'static str,
    build: Build,
    pid: u32,
    /// How often it says that it looks.
    interval_ms: Option<f64>,
    _running: Running,
}

enum Running {
    Ours { _home: Box<Home> },
    Nothing { _server: Contestant },
}

impl Subject {
    /// Started by a client as ever, its file events armed.
    fn daemon(binary: &Path, build: Build) -> Result<Self> {
        let home = Home::make(&std::env::temp_dir(), binary, Watch::Events)?;
        home.setting.client(&["url"])?.finish()?.expect_status(0)?;
        let daemon = Daemon::at_path("the daemon", &home.paths, binary)?;
        let line = daemon.log.first("watching")?.context("the log has no `watching`")?;
        ensure!(line.field("mode").as_deref() == Some("events"), "the events are not armed: {line}");
        let interval = line.field("interval_ms").and_then(|text| text.parse().ok());
        Ok(Self {
            name: "aileron",
            build,
            pid: daemon.pid(),
            interval_ms: Some(interval.context("the log tells no interval")?),
            _running: Running::Ours { _home: Box::new(home) },
        })
    }

    /// tokio and hyper on a port, and nothing else.
    fn nothing(program: &Path, build: Build) -> Result<Self> {
        let server = Contestant::start(Rung::Bare, program, b"", Under::Nothing)?;
        let pid = server.pid();
        let running = Running::Nothing { _server: server };
        Ok(Self { name: "bare tokio + hyper", build, pid, interval_ms: None, _running: running })
    }
}

fn watch(subjects: &[Subject], time: Duration) -> Result<Vec<Row>> {
    for subject in subjects {
        wait_asleep(subject.pid)?;
    }
    let all = || subjects.iter().map(|subject| usage(subject.pid)).collect::<Result<Vec<Usage>>>();
    let (before, begun) = (all()?, Instant::now());
    std::thread::sleep(time);
    let (after, seconds) = (all().context("an idle daemon ended")?, millis(begun.elapsed()) / 1e3);
    let pairs = before.iter().zip(&after);
    Ok(subjects
        .iter()
        .zip(pairs)
        .map(|(subject, (before, after))| row(subject, before, after, seconds))
        .collect())
}

fn row(subject: &Subject, before: &Usage, after: &Usage, seconds: f64) -> Row {
    let wake_ups = after.voluntary - before.voluntary;
    let is_promised = subject.interval_ms.is_some() && subject.build == Build::Static;
    Row {
        program: subject.name.to_owned(),
        build: subject.build.name().to_owned(),
        seconds,
        wake_ups,
        involuntary: after.involuntary - before.involuntary,
        ticks: after.ticks - before.ticks,
        cpu_us: after.cpu_us - before.cpu_us,
        resident_kb: after.resident_kb,
        proportional_kb: after.proportional_kb,
        anonymous_kb: after.anonymous_kb,
        threads: after.threads,
        descriptors: after.descriptors,
        resident_check: is_promised.then(|| target::resident(after.resident_kb)),
        anonymous_check: is_promised.then(|| target::anonymous(after.anonymous_kb)),
        wake_up_check: subject.interval_ms.map(|interval| target::wake_ups(wake_ups, seconds, interval)),
    }
}
