//! What will be done in a round, from its seed and its number alone: who calls what and when, and what befalls the daemons.
//!
//! The plan is the same each time; how it interleaves is up to the machine. A failure that hangs on the interleaving
//! shows again after a few tries of the same round, not always at the first.

mod kind;
mod step;

use std::fmt;
use std::time::Duration;

pub(crate) use kind::Kind;
pub(super) use step::{By, Step, What};

use super::random::Random;
use crate::world::fault::Fault;

/// One round, decided.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) number: u32,
    pub(super) kind: Kind,
    /// What the clients' environment says of watching.
    pub(super) variables: Vec<(&'static str, String)>,
    /// Each client's deadline.
    pub(super) timeout: Duration,
    /// How long a daemon's initialisation takes.
    pub(super) slow: Option<Duration>,
    /// Whether there is a daemon before the first step.
    pub(super) warm: bool,
    /// Each inner list is one after the other, the lists side by side.
    pub(super) clients: Vec<Vec<Step>>,
    pub(super) deeds: Vec<(Duration, Deed)>,
}

/// What befalls the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The lock's path is lost, for good.
    Strike(Fault),
    /// It is lost, and back after a while.
    Away(Fault, Duration),
    /// `SIGKILL` to whoever holds the lock at the path.
    Kill,
    /// `SIGTERM` to the same.
    Terminate,
    /// For a while nobody can tell what is at the path: one of its directories is a symlink to itself (`ELOOP`).
    Blind(Duration),
    /// It is stopped (`SIGSTOP`), perhaps loses its path meanwhile, and goes on.
    Pause(Option<Fault>, Duration),
    /// It can open nothing more, for a while.
    Starve(Duration),
    /// The file system of the state directory is full, for a while.
    Fill(Duration),
    Damage(Damage),
    /// The record names an innocent process, with its true start time; the owner may be stopped meanwhile.
    Forge(Duration),
}

/// What is done to the owner's record and pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Empty,
    Cut,
    Garbage,
    Unlink,
    Directory,
    PidFile,
}

impl Plan {
    /// Decides a round.
    pub(super) fn of(seed: u64, number: u32, only: &[Kind]) -> Self {
        let mut random = Random::of_round(seed, number);
        let kind = if only.is_empty() { random.weighted(&Kind::WEIGHTS) } else { random.one_of(only) };
        let clients = (0..=1 + random.below(3)).map(|_| step::sequence(kind, &mut random)).collect();
        let deeds = (0..kind.deeds(&mut random)).map(|_| {
            let after = random.millis(0, 40);
            (after, Deed::of(kind, &mut random))
        });
        let deeds = deeds.collect::<Vec<_>>();
        Self {
            number,
            kind,
            variables: watching(kind, &mut random),
            // Longer than a stop's own 2 s before it signals anybody, where that is what is tried.
            timeout: if kind == Kind::Decoys { Duration::from_secs(4) } else { random.millis(1500, 5000) },
            slow: (kind == Kind::Slow || (kind == Kind::Calm && random.chance(40)))
                .then(|| random.millis(50, 700)),
            warm: random.chance(70) || kind == Kind::Decoys,
            clients,
            deeds,
        }
    }

    /// Whether a daemon may have to write its record more than once.
    pub(super) fn hurts_records(&self) -> bool {
        matches!(self.kind, Kind::Space | Kind::Descriptors | Kind::Syscalls)
            || self.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Damage(_) | Deed::Forge(_)))
    }

    /// Whether a client of another version may be about.
    pub(super) fn mixes_versions(&self) -> bool {
        self.kind == Kind::Versions
    }
}

impl Deed {
    fn of(kind: Kind, random: &mut Random) -> Self {
        let strike = |random: &mut Random| Self::Strike(random.one_of(&STRIKES));
        match kind {
            Kind::Displaced | Kind::Inotify | Kind::Clocks | Kind::Versions | Kind::Slow | Kind::Syscalls => {
                strike(random)
            }
            Kind::Doubt => Self::Blind(random.millis(5, 250)),
            Kind::Calm | Kind::Away => Self::Away(random.one_of(&AWAY), random.millis(1, 160)),
            Kind::Signals => match random.below(4) {
                0 => Self::Kill,
                1 => Self::Terminate,
                2 => Self::Pause(None, random.millis(5, 300)),
                _ => Self::Pause(Some(random.one_of(&STRIKES)), random.millis(5, 300)),
            },
            Kind::Records => match random.below(3) {
                0 => strike(random),
                _ => Self::Damage(random.one_of(&DAMAGES)),
            },
            Kind::Descriptors => {
                if random.chance(70) {
                    Self::Starve(random.millis(20, 300))
                } else {
                    strike(random)
                }
            }
            Kind::Space => {
                if random.chance(70) {
                    Self::Fill(random.millis(20, 300))
                } else {
                    strike(random)
                }
            }
            Kind::Decoys => {
                let stopped = if random.chance(40) { 2600 } else { 0 };
                Self::Forge(Duration::from_millis(stopped))
            }
        }
    }
}

/// What is wrong with watching: nothing, no file events, or no more of them to be had.
fn watching(kind: Kind, random: &mut Random) -> Vec<(&'static str, String)> {
    let interval = |ms: u64| ("AILERON_LOCK_POLL_INTERVAL", format!("{ms}ms"));
    let ms = random.one_of(&[20, 50, 200, 400]);
    match random.below(10) {
        // A daemon without events is to be soon at rest as well.
        _ if kind == Kind::Inotify => vec![interval(ms)],
        0..6 => Vec::new(),
        _ => vec![("AILERON_NO_LOCK_EVENTS", "1".to_owned()), interval(ms)],
    }
}

const STRIKES: [Fault; 15] = [
    Fault::DeleteLock,
    Fault::RenameLock,
    Fault::ReplaceByEmptyFile,
    Fault::ReplaceByDirectory,
    Fault::ReplaceBySymlink,
    Fault::ReplaceByFifo,
    Fault::RemoveTree,
    Fault::RemoveTreeByRm,
    Fault::RemoveTree,
    Fault::RenameDirectory,
    Fault::ExchangeDirectory,
    Fault::RenameParent,
    Fault::RenameGrandparent,
    Fault::MountOverDirectory,
    Fault::BindOverDirectory,
];

const AWAY: [Fault; 4] =
    [Fault::RenameLock, Fault::RenameDirectory, Fault::RenameParent, Fault::RenameGrandparent];

const DAMAGES: [Damage; 6] =
    [Damage::Empty, Damage::Cut, Damage::Garbage, Damage::Unlink, Damage::Directory, Damage::PidFile];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "round {}: {}, clients have {} ms, {}{}",
            self.number,
            self.kind.name(),
            self.timeout.as_millis(),
            if self.warm { "a daemon runs" } else { "no daemon runs" },
            self.slow.map(|slow| format!(", each start takes {} ms", slow.as_millis())).unwrap_or_default()
        )?;
        for (name, value) in &self.variables {
            writeln!(f, "  {name}={value}")?;
        }
        for (number, steps) in self.clients.iter().enumerate() {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            writeln!(f, "  client {}: {}", number + 1, steps.join(", "))?;
        }
        let deeds = self.deeds.iter().map(|(after, deed)| format!("+{} ms {deed:?}", after.as_millis()));
        write!(f, "  deeds: {}", deeds.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_its_seed_and_number_and_every_kind_comes_up() {
        let shown = |number| Plan::of(42, number, &[]).to_string();
        assert_eq!(shown(5), shown(5));
        assert_ne!(shown(5).replace("round 5", ""), shown(6).replace("round 6", ""));
        let seen: Vec<Kind> = (0..500).map(|number| Plan::of(1, number, &[]).kind).collect();
        assert!(Kind::WEIGHTS.iter().all(|(_, kind)| seen.contains(kind)));
        assert_eq!(Plan::of(1, 1, &[Kind::Space]).kind, Kind::Space);
    }
}
