//! What befalls the daemons: each deed of the plan, one after the other, and what puts it right again.

mod hands;
mod recycle;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::process::Signal;

use super::plan::{Damage, Deed, Plan};
use super::scene::{Lost, Owner, Scene, holders_of};
use crate::e2e::timeline::Deed as Colour;
use crate::world::clock::Deadline;
use crate::world::fault::Fault;
use crate::world::http::Request;
use crate::world::observe::FileId;
use crate::world::process::Process;

/// How long a thing of the wrong kind stands in the lock's way, or a home is missing.
const OBSTRUCTED: Duration = Duration::from_millis(15);

/// Between a daemon's first look that finds nothing and the one that decides.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// The longest drain, and as much again.
const TERMINATED: Duration = Duration::from_secs(20);

/// Does everything that was planned, and undoes what must be undone.
///
/// # Errors
/// When something could not be put right: then the round means nothing.
pub(super) fn act(scene: &Scene, plan: &Plan) -> Result<()> {
    let mut told_to_end = Vec::new();
    for (number, (after, deed)) in plan.deeds.iter().enumerate() {
        sleep(*after);
        let text = format!("{deed:?}");
        scene.mark(colour(*deed), text);
        let done = match *deed {
            Deed::Strike(fault) => strike(scene, fault, number, Probed::Yes)?,
            Deed::Away(fault, long) => away(scene, fault, long, number)?,
            Deed::Blind(long) => hands::blind(scene, long)?,
            Deed::Kill => end(holder(scene).as_ref(), Signal::KILL),
            Deed::KillBusy(patience) => kill_busy(scene, patience),
            Deed::Terminate => {
                told_to_end.push(holder(scene));
                told_to_end.last().is_some_and(|last| end(last.as_ref(), Signal::TERM))
            }
            Deed::Pause(fault, long) => pause(scene, fault, long, number)?,
            Deed::Starve(long) => hands::starve(scene, long)?,
            Deed::Fill(long) => hands::fill(scene, long)?,
            Deed::Damage(damage) => hands::damage(scene, damage),
            Deed::Forge(stopped) => hands::forge(scene, stopped)?,
            Deed::Recycle(grip, long) => recycle::recycle(scene, grip, long)?,
        };
        let mut notes = scene.notes();
        if done {
            *notes.deeds_done.entry(deed.name()).or_default() += 1;
        } else {
            notes.deeds_passed_over += 1;
        }
    }
    // Or the last client would be handed one that is about to leave.
    for process in told_to_end.iter().flatten() {
        if !process.wait_gone(TERMINATED)? {
            scene.violation(format!("process {} outlives SIGTERM", process.pid()));
        }
    }
    Ok(())
}

fn colour(deed: Deed) -> Colour {
    match deed {
        Deed::Strike(_) | Deed::Kill | Deed::KillBusy(_) | Deed::Recycle(..) | Deed::Pause(Some(_), _) => {
            Colour::Fault
        }
        Deed::Terminate => Colour::Message,
        Deed::Away(..)
        | Deed::Blind(_)
        | Deed::Pause(None, _)
        | Deed::Starve(_)
        | Deed::Fill(_)
        | Deed::Damage(_)
        | Deed::Forge(_) => Colour::Harmless,
    }
}

/// Whether the daemon that lost its path can be asked at once: one that is stopped cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probed {
    Yes,
    No,
}

/// Takes the lock's path from whoever is there. `false`: there was nothing to take.
fn strike(scene: &Scene, fault: Fault, number: usize, probed: Probed) -> Result<bool> {
    let paths = &scene.home.paths;
    let before = scene.owner();
    scene.notes().displacing = true;
    fault.prepare(paths)?;
    let struck = fault.strike(paths);
    if let (Ok(_), Some(owner)) = (&struck, before) {
        note_loss(scene, &owner, number, probed);
    }
    if struck.is_ok() && fault.remedy().is_some() {
        sleep(OBSTRUCTED);
        fault.repair(paths).context("P6: somebody else has had a hand in what stood in the lock's place")?;
    }
    clear_aside(scene, number)?;
    Ok(struck.is_ok())
}

/// Writes down who lost its path, and asks it for something at once: it must not act (P3).
fn note_loss(scene: &Scene, owner: &Owner, number: usize, probed: Probed) {
    let since = SystemTime::now();
    let gone = !matches!(FileId::at(&scene.home.paths.lock), Ok(Some(file)) if file == owner.held);
    // It had published and still holds what it held: so it was the daemon, and is none now.
    if !gone || !holders_of(owner.held).contains(&owner.pid) {
        return;
    }
    scene.notes().lost.push(Lost { pid: owner.pid, since, until: None });
    if probed == Probed::No {
        return;
    }
    let body = format!("probe-{number}");
    let request = Request { method: "POST", path: "/add", token: Some(&owner.token), body: &body };
    // Refused or reset: it is on its way out.
    if let Ok(answer) = request.send(owner.port)
        && answer.status != 503
    {
        let pid = owner.pid;
        scene.violation(format!(
            "P3: process {pid} had lost its path and answered a later request by {answer:?}"
        ));
    }
}

/// What was moved away stays somewhere, out of the next deed's way.
fn clear_aside(scene: &Scene, number: usize) -> Result<()> {
    let aside = scene.home.paths.aside();
    if fs::symlink_metadata(&aside).is_ok() {
        fs::rename(&aside, scene.home.paths.root.join(format!("kept-{number}")))?;
    }
    Ok(())
}

fn away(scene: &Scene, fault: Fault, long: Duration, number: usize) -> Result<bool> {
    let paths = &scene.home.paths;
    let (path, before) = (hands::path_of(paths, fault), scene.owner());
    let begun = Instant::now();
    if fault.strike(paths).is_err() {
        return Ok(false);
    }
    if let Some(owner) = before {
        note_loss(scene, &owner, number, Probed::Yes);
    }
    sleep(long);
    let until = SystemTime::now();
    let back = renameat_with(CWD, paths.aside(), CWD, &path, RenameFlags::NOREPLACE);
    // Only what is nowhere at two looks 100 ms apart is lost.
    if back.is_err() || begun.elapsed() >= SECOND_LOOK {
        scene.notes().displacing = true;
    }
    match back {
        Ok(()) => {
            if let Some(lost) = scene.notes().lost.last_mut() {
                lost.until.get_or_insert(until);
            }
            scene.mark(Colour::Repair, "back at its path");
        }
        // A client has made another meanwhile, or its directory is not there any more: then it stays away.
        Err(Errno::EXIST | Errno::NOENT) => clear_aside(scene, number)?,
        Err(error) => bail!("cannot put `{}` back: {error}", path.display()),
    }
    Ok(true)
}

/// The holder of the lock at the path, by a handle that was opened before it was seen to hold it.
fn holder(scene: &Scene) -> Option<Process> {
    let (pid, held) = scene.holder()?;
    let process = Process::open(pid).ok()?;
    holders_of(held).contains(&pid).then_some(process)
}

fn end(process: Option<&Process>, signal: Signal) -> bool {
    process.is_some_and(|process| process.signal(signal).is_ok())
}

/// Kills it between the act and the answer: whoever asked is in doubt, and has to say so.
fn kill_busy(scene: &Scene, patience: Duration) -> bool {
    let length = || fs::metadata(scene.journal.with_file_name("journal.txt")).map_or(0, |found| found.len());
    let (before, deadline) = (length(), Deadline::after(patience));
    while length() == before {
        if deadline.left().is_zero() {
            return false;
        }
        sleep(Duration::from_micros(500));
    }
    end(holder(scene).as_ref(), Signal::KILL)
}

fn pause(scene: &Scene, fault: Option<Fault>, long: Duration, number: usize) -> Result<bool> {
    let Some(process) = holder(scene) else { return Ok(false) };
    if process.signal(Signal::STOP).is_err() {
        return Ok(false);
    }
    let struck = fault.map(|fault| strike(scene, fault, number, Probed::No)).transpose();
    sleep(long);
    // Killed meanwhile by a client that was told to: then there is nobody to go on.
    if process.signal(Signal::CONT).is_err() && !process.is_gone() {
        bail!("process {} cannot be continued", process.pid());
    }
    scene.mark(Colour::Repair, "it goes on");
    struck?;
    Ok(true)
}
