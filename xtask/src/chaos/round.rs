//! One round: the plan is carried out, all comes to rest, and what was done is judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::asker::{Asked, ask, ask_all};
use super::plan::{By, Kind, Plan, Step, What};
use super::sampler::Seen;
use super::scene::Scene;
use super::{Programs, adversary, finale, journal, page, rest, sampler};
use crate::e2e::timeline::Timeline;
use crate::world::clock::millis;
use crate::world::observe::{descendants, describe_path};

/// How a round went, as a lane tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) round: u32,
    pub(super) kind: String,
    pub(super) took_ms: f64,
    /// And not on a tmpfs.
    pub(super) on_disk: bool,
    pub(super) clients: usize,
    pub(super) failed_clients: usize,
    pub(super) killed_clients: usize,
    pub(super) increments: usize,
    /// What was done to them, and how often each.
    pub(super) deeds: BTreeMap<String, u32>,
    /// What was asked, and how often each.
    pub(super) calls: BTreeMap<String, u32>,
    pub(super) launches: usize,
    pub(super) passed_over: u32,
    pub(super) violations: Vec<String>,
    /// The page that draws it, and the plan: only of a round with a violation.
    pub(super) plan: Option<String>,
    pub(super) page: Option<String>,
}

/// Plays a round to its end, whatever that is.
pub(super) fn play(place: &Place<'_>, programs: &Programs, plan: &Plan) -> Result<Told> {
    let begun = Instant::now();
    let scene = Scene::set(place.below, programs, plan)?;
    let over = AtomicBool::new(false);
    let (watched, rested) = thread::scope(|scope| {
        let watcher = scope.spawn(|| sampler::watch(&scene, &over));
        let rested = carry_out(&scene, plan)
            .and_then(|()| plan.finale.map_or(Ok(()), |fault| finale::play(&scene, fault)))
            .and_then(|()| rest::come_to_rest(&scene, plan));
        over.store(true, Ordering::Release);
        (watcher.join().expect("looking does not panic"), rested)
    });
    if let Err(error) = rested {
        scene.violation(format!("{error:#}\n{}", evidence(&scene)));
    }
    let text = scene.written("journal.txt");
    judge(&scene, plan, &watched, &text);
    tell(&scene, plan, &watched, &text, millis(begun.elapsed()), place)
}

/// Clients side by side, and the adversary beside them.
fn carry_out(scene: &Scene, plan: &Plan) -> Result<()> {
    if plan.warm {
        let what = What::Add(Duration::ZERO);
        let step = Step { after: Duration::ZERO, what, by: By::Journal, killed_after: None };
        let first = ask(scene, step, "first")?;
        if first.status != Some(0) {
            bail!(
                "nothing has happened yet and the first client ends with {:?}: {}",
                first.status,
                first.said
            );
        }
        scene.notes().asked.push(first);
    }
    thread::scope(|scope| {
        for (number, steps) in plan.clients.iter().enumerate() {
            scope.spawn(move || ask_all(scene, plan.timeout, number, steps));
        }
        adversary::act(scene, plan).context("the adversary failed, which says nothing of the daemons")
    })
}

fn judge(scene: &Scene, plan: &Plan, seen: &Seen, text: &str) {
    let mut notes = scene.notes();
    let mut wrong = journal::judge(text, &notes.asked, &notes.lost);
    wrong.extend(seen.two_owners().iter().cloned());
    if !plan.hurts_records() {
        wrong.extend(seen.touched());
    }
    let log = fs::read_to_string(scene.home.paths.state.join("daemon.log")).unwrap_or_default();
    if !notes.displacing
        && let Some(line) = log.lines().find(|line| line.contains(r#""event":"displaced""#))
    {
        wrong.push(format!("P5: nobody took its path from a daemon that gave up its role: {line}"));
    }
    if plan.kind == Kind::Calm {
        wrong.extend(calm(&notes.asked, plan.timeout, &scene.written("launches.txt"), &log));
    }
    if plan.kind == Kind::Held {
        wrong.extend(held(&notes.asked));
    }
    notes.violations.extend(wrong);
}

/// After a `stop --hold`, nothing starts until somebody says so. To be asked where nothing else befalls anybody.
fn held(asked: &[Asked]) -> Vec<String> {
    let clears = |asked: &&Asked| matches!(asked.step.what, What::Start | What::Restart);
    let mut wrong = Vec::new();
    for hold in asked.iter().filter(|asked| asked.step.what == What::HoldingStop && asked.status == Some(0)) {
        let later = asked.iter().filter(|asked| asked.begun > hold.ended);
        for late in later {
            let expected = match late.step.what {
                What::Url => 8,
                What::Add(_) => 1,
                _ => continue,
            };
            let cleared =
                asked.iter().filter(clears).any(|it| it.ended > hold.begun && it.begun < late.ended);
            if !cleared && late.status != Some(expected) {
                wrong.push(format!(
                    "a hold is set and `{}` ends with {:?} instead of {expected}: {}",
                    late.step, late.status, late.said
                ));
            }
        }
    }
    wrong
}

/// Where nothing befalls anybody, each client has a daemon, and each daemon that is launched is the daemon (P7).
fn calm(asked: &[Asked], timeout: Duration, launches: &str, log: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let sure = asked.iter().filter(|asked| matches!(asked.step.what, What::Url | What::Start));
    for asked in sure.filter(|asked| asked.status != Some(0) && asked.took < timeout) {
        wrong.push(format!("P7: nothing was wrong and `{}` failed: {}", asked.step, asked.said));
    }
    for pid in launches.lines() {
        let ready = format!(r#""pid":{pid},"#);
        if !log.lines().any(|line| line.contains(r#""event":"ready""#) && line.contains(&ready)) {
            wrong.push(format!("P7: process {pid} was launched and never was the daemon"));
        }
    }
    wrong
}

/// Who is there, for whoever reads of a violation.
fn evidence(scene: &Scene) -> String {
    let paths = &scene.home.paths;
    let mut lines = vec![format!("  at `{}`: {}", paths.lock.display(), describe_path(&paths.lock))];
    for entry in descendants().unwrap_or_default() {
        let state = if entry.zombie { "zombie" } else { "alive" };
        let command = crate::world::client::command_line(entry.pid);
        lines.push(format!("  process {} {state}, `{command}`", entry.pid));
    }
    let log = fs::read_to_string(paths.state.join("daemon.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(15).collect();
    lines.extend(tail.into_iter().rev().map(|line| format!("  log: {line}")));
    lines.join("\n")
}

/// How often each command was given.
fn counted(asked: &[Asked]) -> BTreeMap<String, u32> {
    let mut calls = BTreeMap::new();
    for asked in asked {
        *calls.entry(asked.step.what.words().join(" ")).or_default() += 1;
    }
    calls
}

/// Where a lane plays, and where it tells of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) below: &'a Path,
    pub(super) on_disk: bool,
    pub(super) pages: &'a Path,
    pub(super) seed: u64,
}

fn tell(
    scene: &Scene,
    plan: &Plan,
    seen: &Seen,
    text: &str,
    took_ms: f64,
    place: &Place<'_>,
) -> Result<Told> {
    let mut notes = scene.notes();
    let mut timeline = Timeline { end_ms: scene.epoch.now_ms(), ..Timeline::default() };
    seen.draw(&mut timeline);
    timeline.marks.append(&mut notes.marks);
    timeline.calls.append(&mut notes.calls);
    let steps = notes.asked.iter().filter(|asked| asked.step.killed_after.is_none());
    let mut told = Told {
        round: plan.number,
        kind: plan.kind.name(),
        took_ms,
        on_disk: place.on_disk,
        clients: notes.asked.len(),
        failed_clients: steps.filter(|asked| asked.status != Some(0)).count(),
        killed_clients: notes.asked.iter().filter(|asked| asked.status.is_none()).count(),
        increments: text.lines().count(),
        deeds: notes.deeds_done.clone(),
        calls: counted(&notes.asked),
        launches: scene.written("launches.txt").lines().count(),
        passed_over: notes.deeds_passed_over,
        violations: notes.violations.clone(),
        plan: None,
        page: None,
    };
    if !told.violations.is_empty() {
        let heard = notes.asked.iter().map(|asked| {
            let id = asked.id.as_deref().unwrap_or("-");
            format!("  {} [{id}]: {:?} after {:?}, {}", asked.step, asked.status, asked.took, asked.said)
        });
        let heard: Vec<String> = heard.collect();
        let plan_text = format!("{plan}\nanswers:\n{}\njournal:\n{text}", heard.join("\n"));
        let path = page::write(place.pages, place.seed, &told, &plan_text, timeline)?;
        told.plan = Some(plan_text);
        told.page = Some(path.display().to_string());
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// A command that ran from one second to another, and ended with that status.
    fn ran(what: What, from: u64, to: u64, status: i32) -> Asked {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        Asked {
            step: Step { after: Duration::ZERO, what, by: By::Journal, killed_after: None },
            id: None,
            begun: at(from),
            ended: at(to),
            status: Some(status),
            took: Duration::ZERO,
            said: String::new(),
        }
    }

    #[test]
    fn a_start_under_a_hold_is_found_and_one_that_may_be_is_not() {
        let hold = || ran(What::HoldingStop, 10, 12, 0);
        assert_eq!(
            held(&[hold(), ran(What::Url, 13, 14, 8), ran(What::Url, 11, 14, 0)]),
            Vec::<String>::new()
        );
        assert_eq!(held(&[hold(), ran(What::Url, 13, 14, 0)]).len(), 1);
        assert_eq!(held(&[hold(), ran(What::Add(Duration::ZERO), 13, 14, 0)]).len(), 1);
        for (from, to) in [(11, 13), (12, 20), (13, 14)] {
            let cleared = [hold(), ran(What::Start, from, to, 0), ran(What::Url, 13, 15, 0)];
            assert_eq!(held(&cleared), Vec::<String>::new(), "{from} to {to}");
        }
        assert_eq!(held(&[ran(What::Start, 1, 9, 0), hold(), ran(What::Url, 13, 15, 0)]).len(), 1);
        assert_eq!(
            held(&[ran(What::HoldingStop, 10, 12, 1), ran(What::Url, 13, 14, 0)]),
            Vec::<String>::new()
        );
    }
}
