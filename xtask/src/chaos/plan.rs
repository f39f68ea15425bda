//! What will be done in a round, from its seed and its number alone: who calls what and when, and what befalls the daemons.
//!
//! The plan is the same each time; how it interleaves is up to the machine. A failure that hangs on the interleaving
//! shows again after a few tries of the same round, not always at the first.

mod deed;
mod kind;
mod step;

use std::fmt;
use std::time::Duration;

pub(super) use deed::{Damage, Deed, Grip};
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
    /// What takes the path from the last daemon when no client is about.
    pub(super) finale: Option<Fault>,
    /// What the kernel gives everybody of file events, where it is little.
    pub(super) allowance: Option<Allowance>,
}

/// `user.max_inotify_instances` and `user.max_inotify_watches` of a user namespace (`namespaces(7)`, `/proc/sys/user`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) instances: u32,
    pub(super) watches: u32,
}

impl Plan {
    /// Decides a round.
    pub(super) fn of(seed: u64, number: u32, only: &[Kind]) -> Self {
        let mut random = Random::of_round(seed, number);
        let kind = if only.is_empty() { random.weighted(&Kind::WEIGHTS) } else { random.one_of(only) };
        let allowance = (kind == Kind::Inotify && random.chance(60)).then(|| Allowance {
            instances: random.one_of(&[0, 1, 2]),
            watches: random.one_of(&[0, 3, 12, 64]),
        });
        let clients = (0..=1 + random.below(3)).map(|_| step::sequence(kind, &mut random)).collect();
        let deeds = (0..kind.deeds(&mut random)).map(|_| {
            let after = random.millis(0, 40);
            (after, Deed::of(kind, &mut random))
        });
        let deeds = deeds.collect::<Vec<_>>();
        Self {
            number,
            kind,
            allowance,
            finale: kind.has_finale().then(|| deed::finale(&mut random)).flatten(),
            variables: watching(kind, &mut random),
            // Longer than a stop's own 2 s before it signals anybody, where that is what is tried.
            timeout: if kind.has_decoys() { Duration::from_secs(4) } else { random.millis(1500, 5000) },
            slow: (kind == Kind::Slow || (kind == Kind::Calm && random.chance(40)))
                .then(|| random.millis(50, 700)),
            warm: random.chance(70) || kind.has_decoys(),
            clients,
            deeds,
        }
    }

    /// Whether a daemon may have to write its record more than once.
    pub(super) fn hurts_records(&self) -> bool {
        matches!(self.kind, Kind::Space | Kind::Descriptors | Kind::Syscalls)
            || self
                .deeds
                .iter()
                .any(|(_, deed)| matches!(deed, Deed::Damage(_) | Deed::Forge(_) | Deed::Recycle(..)))
    }

    /// Whether a client of another version may be about.
    pub(super) fn mixes_versions(&self) -> bool {
        self.kind == Kind::Versions
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
        if let Some(Allowance { instances, watches }) = self.allowance {
            writeln!(f, "  inotify: {instances} instances and {watches} watches for everybody")?;
        }
        let deeds = self.deeds.iter().map(|(after, deed)| format!("+{} ms {deed:?}", after.as_millis()));
        write!(f, "  deeds: {}", deeds.collect::<Vec<_>>().join(", "))?;
        self.finale.map_or(Ok(()), |fault| write!(f, "; when all clients are gone: {fault:?}"))
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
