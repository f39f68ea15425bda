//! A lane: a process of its own that plays rounds one after the other, in namespaces of its own.
//!
//! It is process 1 of its pid namespace, so whatever its clients leave becomes its child, no other process of the machine can
//! be reached, and all of it ends when the lane does. Everything it makes lies on a tmpfs that only its mount namespace sees,
//! over a directory that every system has; so nothing is left on any disk, whoever kills it and when. Some lanes are given a
//! directory on a disk instead, where inode numbers are reused at once: it is removed by whoever started the lane, unless a signal
//! ends that one first.

use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount};

use super::Programs;
use super::plan::Plan;
use super::round::{Place, Told, play};
use crate::args::LaneArgs;
use crate::world::{mounts, observe};

/// Empty directories of the Filesystem Hierarchy Standard.
const EVERYWHERE: [&str; 3] = ["/mnt", "/media", "/srv"];

/// Plays this lane's share of the rounds, and tells of each on a line of standard output.
///
/// # Errors
/// When the lane cannot be set up, or a round could not be played at all.
pub(crate) fn run(args: &LaneArgs) -> Result<()> {
    ensure!(
        std::process::id() == 1,
        "a lane is started by `cargo xtask chaos`, in a pid namespace of its own"
    );
    end_with_our_parent();
    observe::become_subreaper()?;
    mounts::enter_private_namespace()?;
    let programs = Programs {
        aileron: args.aileron.clone(),
        journal: args.journal.clone(),
        helper: args.helper.clone(),
    };
    let below = match &args.room {
        Some(room) => room.clone(),
        None => room_of_our_own(&[&programs.aileron, &programs.helper, &args.pages])?,
    };
    let place = Place { below: &below, on_disk: args.room.is_some(), pages: &args.pages, seed: args.seed };
    let programs = programs.copied_to(&below.join("programs"))?;
    let (begun, limit) = (Instant::now(), Duration::from_secs(args.seconds));
    let mut number = args.first;
    while number <= args.last && begun.elapsed() < limit {
        let plan = Plan::of(args.seed, number, &args.only);
        let told = play(&place, &programs, &plan).with_context(|| format!("cannot play {plan}"))?;
        say(&told)?;
        number += args.lanes;
    }
    Ok(())
}

fn say(told: &Told) -> Result<()> {
    let mut line = serde_json::to_string(told).context("cannot tell of a round")?;
    line.push('\n');
    let mut out = stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("nobody listens")
}

/// Our standard input is a pipe from whoever started us: its end is theirs, by whatever signal.
fn end_with_our_parent() {
    thread::spawn(|| {
        let mut rest = Vec::new();
        // An error is an end as well.
        let _ended = stdin().read_to_end(&mut rest);
        std::process::exit(1);
    });
}

/// A file system of our own, over a directory in which nothing is that we need.
fn room_of_our_own(needed: &[&Path]) -> Result<PathBuf> {
    let hides_nothing = |directory: &&str| {
        Path::new(directory).is_dir() && !needed.iter().any(|path| path.starts_with(directory))
    };
    let directory = EVERYWHERE.into_iter().find(hides_nothing);
    let directory = directory.with_context(|| format!("none of {EVERYWHERE:?} can be mounted over"))?;
    mount("aileron-xtask", directory, "tmpfs", MountFlags::empty(), Some(c"mode=0700"))
        .with_context(|| format!("cannot mount a tmpfs over `{directory}`"))?;
    Ok(PathBuf::from(directory))
}

impl Programs {
    /// Copies, to which a round's own names are links.
    fn copied_to(&self, directory: &Path) -> Result<Self> {
        fs::create_dir(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
        let copy = |program: &Path| -> Result<PathBuf> {
            let to = directory.join(program.file_name().context("a program has a name")?);
            fs::copy(program, &to).with_context(|| format!("cannot copy `{}`", program.display()))?;
            Ok(to)
        };
        Ok(Self { aileron: copy(&self.aileron)?, journal: copy(&self.journal)?, helper: self.helper.clone() })
    }
}
