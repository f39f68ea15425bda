//! Many clients at once, and how many daemons they launch between them.
//!
//! Launches are counted from outside, when the last client has ended and before one is reaped. A process that a client started
//! either lives, or is a zombie, and is our child by now; or its client has reaped it, and then that client's account of
//! its dead children is not empty. No look has to come at the right moment.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::build::Programs;
use super::document::HerdRow;
use super::process::TRUE;
use super::target;
use crate::figures::Spread;
use crate::world::client::Setting;
use crate::world::daemon::Daemon;
use crate::world::home::{Home, Watch};
use crate::world::observe::{descendants, has_reaped};
use crate::world::process::Process;

/// Above a client's own deadline of 30 s, so that its own error is what we see; then whoever is left is killed.
const LIMIT: Duration = Duration::from_mins(1);

/// What a herd did.
struct Herd {
    /// Microseconds.
    took: f64,
    /// How many ended otherwise than with status 0.
    failed: usize,
    /// What each printed to standard output, in a line.
    printed: Vec<String>,
    said: String,
    /// How many processes they started that are still there, dead or alive, and how many of them reaped one.
    left: usize,
    reaped: usize,
}

/// The times of all rounds of a number of clients, in microseconds, and what else was counted.
#[derive(Default)]
struct Rounds {
    cold: Vec<f64>,
    warm: Vec<f64>,
    bare: Vec<f64>,
    launches: usize,
    failures: usize,
}

/// So many clients, cold, warm, and doing nothing, in each round; warm before cold in every other one.
pub(in crate::bench) fn measure(programs: &Programs, clients: u32, rounds: usize) -> Result<HerdRow> {
    let mut all = Rounds::default();
    // The first round brings the files into memory.
    for round in 0..=rounds {
        let mut played = Rounds::default();
        play(programs, clients, round % 2 == 1, &mut played)?;
        if round > 0 {
            all.cold.append(&mut played.cold);
            all.warm.append(&mut played.warm);
            all.bare.append(&mut played.bare);
        }
        all.launches = all.launches.max(played.launches);
        all.failures += played.failures;
    }
    let spread = |times: &[f64]| Spread::of(times).context("there was a round");
    let (cold, warm, bare) = (spread(&all.cold)?, spread(&all.warm)?, spread(&all.bare)?);
    let ratio = cold.median / warm.median;
    Ok(HerdRow {
        clients,
        build: programs.build.name().to_owned(),
        cold,
        warm,
        bare,
        ratio,
        launches: all.launches,
        failures: all.failures,
        launch_check: target::launches(all.launches),
        failure_check: target::failures(all.failures),
        time_check: target::herd(clients, ratio),
    })
}

fn play(programs: &Programs, clients: u32, warm_first: bool, rounds: &mut Rounds) -> Result<()> {
    if warm_first {
        // A home of its own: what is dropped with it ends its daemon.
        let home = Home::make(&std::env::temp_dir(), &programs.aileron, Watch::Events)?;
        home.setting.client(&["url"])?.finish()?.expect_status(0)?;
        warm(&home, programs, clients, rounds)?;
    }
    let home = Home::make(&std::env::temp_dir(), &programs.aileron, Watch::Events)?;
    let herd = Herd::run(&home.setting, &["url"], clients, &home.paths.tmp)?;
    let daemon = Daemon::at_path("the daemon", &home.paths, &programs.aileron)?;
    rounds.cold.push(herd.took);
    rounds.launches = herd.left + herd.reaped;
    rounds.failures += herd.failures(&daemon.url);
    if !warm_first {
        warm(&home, programs, clients, rounds)?;
    }
    Ok(())
}

/// The same number beside a daemon that runs, and the same number of processes that do nothing.
fn warm(home: &Home, programs: &Programs, clients: u32, rounds: &mut Rounds) -> Result<()> {
    let daemon = Daemon::at_path("the daemon", &home.paths, &programs.aileron)?;
    let herd = Herd::run(&home.setting, &["url"], clients, &home.paths.tmp)?;
    rounds.warm.push(herd.took);
    rounds.failures += herd.failures(&daemon.url);
    ensure!(herd.left == 1 && herd.reaped == 0, "warm clients started something");
    let bare = Setting { binary: TRUE.into(), ..home.setting.clone() };
    let herd = Herd::run(&bare, &[], clients, &home.paths.tmp)?;
    ensure!(herd.failed == 0, "`{TRUE}` failed: {}", herd.said);
    rounds.bare.push(herd.took);
    daemon.expect_owner(&home.paths)
}

impl Herd {
    /// All write to one file each for output and errors, opened to append: a line is written in one piece.
    fn run(setting: &Setting, arguments: &[&str], clients: u32, tmp: &Path) -> Result<Self> {
        let [output, errors] = ["herd.out", "herd.err"].map(|name| tmp.join(name));
        let create = |path: &Path| {
            fs::write(path, "")
                .and_then(|()| File::options().append(true).open(path))
                .context("cannot make a file")
        };
        let (output_file, error_file) = (create(&output)?, create(&errors)?);
        let mut command = setting.command(arguments);
        let step = || "cannot spawn a herd";
        command.stdout(Stdio::from(output_file)).stderr(Stdio::from(error_file));
        let begun = Instant::now();
        let mut herd = Vec::new();
        for _ in 0..clients {
            herd.push(command.spawn().with_context(step)?);
        }
        wait_for_all(&herd)?;
        let took = begun.elapsed().as_secs_f64() * 1e6;
        let ours: Vec<u32> = herd.iter().map(Child::id).collect();
        let left = descendants()?.iter().filter(|entry| !ours.contains(&entry.pid)).count();
        let (mut reaped, mut failed) = (0, 0);
        for mut client in herd {
            reaped += usize::from(has_reaped(client.id())?);
            failed += usize::from(!client.wait().context("cannot reap a client")?.success());
        }
        let read = |path: &Path| fs::read_to_string(path).context("cannot read what a herd said");
        let printed = read(&output)?.lines().map(str::to_owned).collect();
        Ok(Self { took, failed, printed, said: read(&errors)?, left, reaped })
    }

    /// Clients that failed, or were given something else than this URL.
    fn failures(&self, url: &str) -> usize {
        let strange = self.printed.iter().filter(|line| *line != url).count();
        if self.failed + strange > 0 {
            eprintln!(
                "xtask: {} failed, {strange} were given another URL: {}",
                self.failed,
                self.said.trim()
            );
        }
        self.failed + strange
    }
}

/// Waits until each has ended, and reaps none.
fn wait_for_all(herd: &[Child]) -> Result<()> {
    let pids: Vec<u32> = herd.iter().map(Child::id).collect();
    let (done, waiting) = channel::<()>();
    // None is reaped before this thread is over: the numbers stay theirs.
    let watchdog = std::thread::spawn(move || match waiting.recv_timeout(LIMIT) {
        Err(RecvTimeoutError::Timeout) => {
            pids.iter()
                .flat_map(|pid| Process::open(*pid))
                .try_for_each(|process| process.signal(Signal::KILL))?;
            bail!("a herd had not ended after {} s", LIMIT.as_secs())
        }
        _ => Ok(()),
    });
    for client in herd {
        let pid = Pid::from_child(client);
        loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(Errno::INTR) => {}
                waited => {
                    waited.context("cannot wait for a client")?;
                    break;
                }
            }
        }
    }
    drop(done);
    watchdog.join().expect("the watchdog does not panic")
}
