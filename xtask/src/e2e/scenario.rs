//! The scenarios: what is done to which daemon, and what must be seen then.

mod false_alarms;
mod full_directory;
mod generations;
mod loss;
mod orphans;
mod starts;
mod survivor;

use std::path::Path;
use std::time::Duration;

use super::outcome::{Promise, Round};
use super::stage::{Stage, User};
use crate::world::fault::Fault;
use crate::world::home::Watch;
use orphans::Ending;

/// A fence closes and a verdict falls within 10 ms of a file event.
const VERDICT_MS: f64 = 10.0;
/// The second look, where the held inode still has a name.
const SECOND_LOOK_MS: f64 = 100.0;
/// From the verdict to the process's end, when nothing is in flight. The daemon itself takes a millisecond; the kernel
/// waits for a grace period when it closes an inotify instance, which is most of it, `SIGKILL` or not.
const END_MS: f64 = 30.0;
/// A short interval between two looks without events.
const SHORT_POLL: Duration = Duration::from_millis(200);
/// So long that an orphan has surely not looked yet.
const LONG_POLL: Duration = Duration::from_secs(30);

/// One thing that may happen to a daemon.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) about: String,
    play: Play,
}

#[derive(Clone, Copy, Debug)]
enum Play {
    Generations(Fault),
    Loss(Fault, Watch),
    NotRemade(Watch),
    FullDirectory,
    Orphan(Ending),
    Survivor,
    FalseAlarms(Watch),
    Unsearchable(Watch),
    KilledThenClient,
    ManyClients,
}

/// Every scenario, in the order in which a person would want to hear of them.
pub(super) fn all() -> Vec<Scenario> {
    let mut all = vec![
        scenario("three-generations", "A, rm -rf, client starts B, rm -rf, client starts C: only C lives", {
            Play::Generations(Fault::RemoveTree)
        }),
        scenario("three-generations-by-rm", "the same, deleted by /bin/rm", {
            Play::Generations(Fault::RemoveTreeByRm)
        }),
    ];
    let settings = [
        (Watch::Events, "", "with file events"),
        (Watch::Poll(SHORT_POLL), "-poll-200ms", "without file events, a look every 200 ms"),
        (Watch::PollByDefault, "-poll-default", "without file events, the default interval"),
    ];
    for (watch, suffix, how) in settings {
        all.extend(Fault::LOSSES.iter().map(|fault| {
            let about = format!("{}, {how}", fault.about());
            scenario(&format!("{}{suffix}", fault.name()), &about, Play::Loss(*fault, watch))
        }));
    }
    for (watch, suffix, how) in &settings[..2] {
        let about = format!("rm -rf and no client after it, {how}: gone, and nothing is made again");
        all.push(scenario(&format!("directory-deleted-not-remade{suffix}"), &about, Play::NotRemade(*watch)));
    }
    let about = "rm -rf of a directory with 20,000 files more under a watching daemon: rm returns 0";
    all.push(scenario("rm-of-a-full-directory", about, Play::FullDirectory));
    all.extend(
        Ending::ALL.iter().map(|ending| scenario(ending.name(), ending.about(), Play::Orphan(*ending))),
    );
    let about = "A displaced, B published, A ends in a way and at a moment drawn from the round's number";
    all.push(scenario("survivor", about, Play::Survivor));
    for (watch, suffix, how) in &settings[..2] {
        let about = format!("the lock touched, chmod-ed, hard-linked, overwritten in place, {how}: it stays");
        all.push(scenario(&format!("false-alarms{suffix}"), &about, Play::FalseAlarms(*watch)));
        let about = format!("as nobody: a directory above the lock made unsearchable, {how}: it stays");
        all.push(scenario(&format!("false-alarm-eacces{suffix}"), &about, Play::Unsearchable(*watch)));
    }
    all.push(scenario("sigkill-then-client", "SIGKILL, then the next client", Play::KilledThenClient));
    all.push(scenario("twenty-clients", "twenty clients at once on an empty directory", Play::ManyClients));
    all
}

fn scenario(name: &str, about: &str, play: Play) -> Scenario {
    Scenario { name: name.to_owned(), about: about.to_owned(), play }
}

impl Scenario {
    /// Whether its daemons have file events.
    pub(super) fn file_events(&self) -> bool {
        self.watch() == Watch::Events
    }

    fn watch(&self) -> Watch {
        match self.play {
            Play::Loss(_, watch)
            | Play::NotRemade(watch)
            | Play::FalseAlarms(watch)
            | Play::Unsearchable(watch) => watch,
            Play::Orphan(_) => Watch::Poll(LONG_POLL),
            Play::Generations(_)
            | Play::FullDirectory
            | Play::Survivor
            | Play::KilledThenClient
            | Play::ManyClients => Watch::Events,
        }
    }

    /// Plays it once, in a world of its own. That the program falls short is in the round, as is a world that cannot
    /// be made.
    pub(super) fn play(&self, binary: &Path, number: u32) -> Round {
        let user =
            if matches!(self.play, Play::Unsearchable(_)) { User::Unprivileged } else { User::Ourselves };
        let mut stage = match Stage::set(binary, self.watch(), user) {
            Ok(stage) => stage,
            Err(error) => return Round::not_played(number, &error),
        };
        let played = match self.play {
            Play::Generations(fault) => generations::play(&mut stage, fault),
            Play::Loss(fault, watch) => loss::play(&mut stage, fault, watch),
            Play::NotRemade(watch) => loss::not_remade(&mut stage, watch),
            Play::FullDirectory => full_directory::play(&mut stage, number),
            Play::Survivor => survivor::play(&mut stage, number),
            Play::Orphan(ending) => orphans::play(&mut stage, ending),
            Play::FalseAlarms(watch) => false_alarms::play(&mut stage, watch),
            Play::Unsearchable(watch) => false_alarms::unsearchable(&mut stage, watch),
            Play::KilledThenClient => starts::killed_then_client(&mut stage),
            Play::ManyClients => starts::many_clients(&mut stage),
        };
        stage.into_round(number, played)
    }
}

/// From the fault to the verdict.
fn verdict_promise(fault: Fault, watch: Watch) -> Promise {
    let doubt = if fault.leaves_doubt() { SECOND_LOOK_MS } else { 0.0 };
    Promise(VERDICT_MS + doubt + watch.interval().as_secs_f64() * 1e3)
}

/// From the fault to the process's end.
fn loss_promise(fault: Fault, watch: Watch) -> Promise {
    Promise(verdict_promise(fault, watch).0 + END_MS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let all = all();
        let names: BTreeSet<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn a_promise_adds_up() {
        assert_eq!(verdict_promise(Fault::DeleteLock, Watch::Events), Promise(10.0));
        assert_eq!(loss_promise(Fault::RenameGrandparent, Watch::Poll(SHORT_POLL)), Promise(340.0));
        assert_eq!(loss_promise(Fault::DeleteLock, Watch::PollByDefault), Promise(1040.0));
    }
}
