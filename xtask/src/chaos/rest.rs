//! What is left when everybody has had his say: one daemon, found by the next client; then none, and nothing.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::asker::{Asked, ask};
use super::plan::{By, Plan, Step, What};
use super::scene::Scene;
use crate::world::client::command_line;
use crate::world::clock::Deadline;
use crate::world::daemon::Daemon;
use crate::world::observe::{Snapshot, descendants, runs};
use crate::world::process::Process;

/// The displaced drain and the second after it, times ten: no test asserts speed.
const ORPHANS: Duration = Duration::from_secs(30);
/// An owner mends a damaged record within 2 s.
const MENDING: Duration = Duration::from_secs(20);
/// Descriptors of connections that were broken off close as soon as the runtime gets to them.
const DESCRIPTORS: Duration = Duration::from_secs(10);

/// Bounds above what a fresh daemon has: 15 descriptors and, with its home seven directories deep (here it is four), 11 watches
/// were counted in `/proc/PID/fdinfo`. What leaks, leaks with each request or each look.
const AT_REST: Table = Table { descriptors: 24, inotify: 1, watches: 12 };

/// What belongs in a state directory.
const KNOWN: [&str; 8] = [
    "daemon.lock",
    "start.lock",
    "daemon.json",
    "daemon.pid",
    "daemon.log",
    "daemon.log.1",
    "daemon.exit.json",
    "hold",
];

/// Has one daemon, checks it, has none, checks that.
pub(super) fn come_to_rest(scene: &Scene, plan: &Plan) -> Result<()> {
    let survivor = one_daemon(scene, plan)?;
    let paths = &scene.home.paths;
    let except = ["daemon.log", "daemon.log.1", "start.lock", "daemon.exit.json"];
    let before = Snapshot::take(&paths.state, &except)?;
    nobody_but(scene, Some(survivor.pid()), ORPHANS)?;
    survivor.expect_owner(paths)?;
    before.expect_same(&Snapshot::take(&paths.state, &except)?).context("P4: a survivor's file")?;
    survivor.expect_service()?;
    still_serves(scene, &survivor)?;
    let deadline = Deadline::after(DESCRIPTORS);
    while let Err(error) = Table::of(survivor.pid())?.expect_at_rest() {
        ensure!(!deadline.left().is_zero(), "{error:#}");
        sleep(Duration::from_millis(5));
    }
    let stopped = run(scene, What::Stop)?;
    ensure!(
        stopped.status == Some(0),
        "P13: the last stop ended with {:?}: {}",
        stopped.status,
        stopped.said
    );
    ensure!(survivor.process.is_gone(), "P13: stop has returned and process {} is there", survivor.pid());
    nobody_but(scene, None, Duration::ZERO)?;
    nothing_left(scene)
}

fn run(scene: &Scene, what: What) -> Result<Asked> {
    let step = Step { after: Duration::ZERO, what, by: By::Journal, killed_after: None };
    let asked = ask(scene, step, "last")?;
    scene.notes().asked.push(asked.clone());
    Ok(asked)
}

/// The next client succeeds (P11), and what the tables and the record say agrees.
fn one_daemon(scene: &Scene, plan: &Plan) -> Result<Daemon> {
    let deadline = Deadline::after(MENDING);
    let hold = scene.home.paths.state.join("hold");
    let is_set = hold.exists();
    if is_set {
        obey_the_hold(scene)?;
    }
    let what = if is_set { What::Start } else { What::Url };
    let mut asked = run(scene, what)?;
    // A newer version's daemon is nobody's to replace: then it is stopped, which every version can.
    if asked.status == Some(6) && plan.mixes_versions() {
        ensure!(run(scene, What::Stop)?.status == Some(0), "another version's daemon cannot be stopped");
        asked = run(scene, what)?;
    }
    // An owner that was just continued, fed or asked to leave may keep a client waiting for longer than it has.
    while asked.status != Some(0) && asked.took >= plan.timeout && !deadline.left().is_zero() {
        asked = run(scene, what)?;
    }
    ensure!(
        asked.status == Some(0),
        "P11: all is put right and the next client ends with {:?} after {:?}: {}",
        asked.status,
        asked.took,
        asked.said
    );
    ensure!(!hold.exists(), "`start` has succeeded and the hold is still set");
    loop {
        match meet(scene) {
            Ok(daemon) => return Ok(daemon),
            Err(error) if deadline.left().is_zero() => return Err(error),
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
}

/// As long as somebody has asked for it, no client starts anything; one that is there may be found.
fn obey_the_hold(scene: &Scene) -> Result<()> {
    let launched = || scene.written("launches.txt").lines().count();
    let (before, there) = (launched(), scene.holder().is_some());
    let asked = run(scene, What::Url)?;
    ensure!(launched() == before, "a hold is set and `url` has launched a daemon: {}", asked.said);
    ensure!(
        there || asked.status == Some(8),
        "a hold is set, nobody is there and `url` ends with {:?}: {}",
        asked.status,
        asked.said
    );
    Ok(())
}

fn meet(scene: &Scene) -> Result<Daemon> {
    let (pid, _) = scene.holder().context("nobody holds the lock at the path")?;
    let journal = runs(pid, &scene.journal)?;
    let program = if journal { &scene.journal } else { &scene.aileron };
    Daemon::at_path("survivor", &scene.home.paths, program)
}

/// Takes the exit status of each process that is gone, until only that one and the decoys are left.
fn nobody_but(scene: &Scene, survivor: Option<u32>, patience: Duration) -> Result<()> {
    let deadline = Deadline::after(patience);
    loop {
        let mut living = Vec::new();
        for entry in descendants()? {
            if Some(entry.pid) == survivor || scene.is_ours(entry.pid) {
                continue;
            }
            if !entry.zombie {
                living.push(entry.pid);
            } else if let Err(error) = Process::open(entry.pid).and_then(|process| process.reap()) {
                bail!("zombie {} has a parent that does not reap it: {error:#}", entry.pid);
            }
        }
        let Some(pid) = living.first() else { return Ok(()) };
        if deadline.left().is_zero() {
            bail!("process {pid} (`{}`) lives, and should be gone after {patience:?}", command_line(*pid));
        }
        sleep(Duration::from_millis(2));
    }
}

/// The owner's write is accepted by a receiver that refuses smaller epochs.
fn still_serves(scene: &Scene, survivor: &Daemon) -> Result<()> {
    if !runs(survivor.pid(), &scene.journal)? {
        return Ok(());
    }
    let added = run(scene, What::Add(Duration::ZERO))?;
    ensure!(added.status == Some(0), "the owner's own write ended with {:?}: {}", added.status, added.said);
    Ok(())
}

/// What a process has open.
#[derive(Clone, Copy, Debug)]
struct Table {
    descriptors: usize,
    inotify: usize,
    watches: usize,
}

impl Table {
    fn of(pid: u32) -> Result<Self> {
        let directory = format!("/proc/{pid}/fdinfo");
        let entries = fs::read_dir(&directory).with_context(|| format!("cannot read `{directory}`"))?;
        let mut table = Self { descriptors: 0, inotify: 0, watches: 0 };
        for entry in entries.flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let watches = text.lines().filter(|line| line.starts_with("inotify")).count();
            table.descriptors += 1;
            table.inotify += usize::from(watches > 0);
            table.watches += watches;
        }
        Ok(table)
    }

    fn expect_at_rest(self) -> Result<()> {
        let most = AT_REST;
        let within = self.descriptors <= most.descriptors
            && self.inotify <= most.inotify
            && self.watches <= most.watches;
        ensure!(within, "a daemon at rest has {self:?}, at most it should have {most:?}");
        Ok(())
    }
}

/// No temporary file, no record of a daemon that left in order, and no innocent process harmed (P9).
fn nothing_left(scene: &Scene) -> Result<()> {
    let paths = &scene.home.paths;
    if let Some(name) = names(&paths.tmp)?.first() {
        bail!("`{name}` was left in the temporary directory");
    }
    for name in names(&paths.state)? {
        ensure!(KNOWN.contains(&name.as_str()), "`{name}` was left in the state directory");
        ensure!(!["daemon.json", "daemon.pid"].contains(&name.as_str()), "`{name}` outlives its daemon");
    }
    for decoy in scene.decoys().iter() {
        decoy.expect_unharmed()?;
    }
    for name in ["daemon.log", "daemon.log.1"] {
        // None, where nothing was logged that far.
        let log = fs::read_to_string(paths.state.join(name)).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| line.contains("panicked")) {
            bail!("a daemon panicked: {line}");
        }
    }
    Ok(())
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list `{}`", directory.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<std::io::Result<_>>().with_context(|| format!("cannot list `{}`", directory.display()))
}
