//! What befalls the daemons in a round.

use std::time::Duration;

use super::Kind;
use crate::chaos::random::Random;
use crate::world::fault::Fault;

/// What befalls the daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Deed {
    /// The lock's path is lost, for good.
    Strike(Fault),
    /// It is lost, and back after a while.
    Away(Fault, Duration),
    /// `SIGKILL` to whoever holds the lock at the path.
    Kill,
    /// The same as soon as an increment is written down and not yet answered, if that comes to pass in so long.
    KillBusy(Duration),
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
    /// The daemon is killed, and an innocent process gets the very pid that its record names; perhaps with the lock on the
    /// file at the path, so that the time of its start alone tells it from the daemon. For so long.
    Recycle(Grip, Duration),
}

/// What a process with a dead daemon's pid has of its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Grip {
    Pid,
    PidAndLock,
}

/// What is done to the owner's record and pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Damage {
    Empty,
    Cut,
    Garbage,
    Unlink,
    Directory,
    PidFile,
}

impl Deed {
    /// What it is counted under.
    pub(in crate::chaos) fn name(self) -> String {
        match self {
            Self::Strike(fault) => fault.name().to_owned(),
            Self::Away(fault, _) => format!("{}, and back", fault.name()),
            Self::Kill => "killed".to_owned(),
            Self::KillBusy(_) => "killed between act and answer".to_owned(),
            Self::Terminate => "told to end".to_owned(),
            Self::Blind(_) => "path in doubt".to_owned(),
            Self::Pause(None, _) => "stopped and continued".to_owned(),
            Self::Pause(Some(_), _) => "stopped, displaced and continued".to_owned(),
            Self::Starve(_) => "without descriptors".to_owned(),
            Self::Fill(_) => "file system full".to_owned(),
            Self::Damage(_) => "record damaged".to_owned(),
            Self::Forge(_) => "record names a stranger".to_owned(),
            Self::Recycle(Grip::Pid, _) => "pid recycled".to_owned(),
            Self::Recycle(Grip::PidAndLock, _) => "pid recycled, with the lock".to_owned(),
        }
    }

    pub(super) fn of(kind: Kind, random: &mut Random) -> Self {
        let strike = |random: &mut Random| Self::Strike(random.one_of(&STRIKES));
        match kind {
            Kind::Displaced | Kind::Inotify | Kind::Clocks | Kind::Versions | Kind::Slow | Kind::Syscalls => {
                strike(random)
            }
            Kind::Doubt => Self::Blind(random.millis(5, 250)),
            Kind::Calm | Kind::Held | Kind::Away => Self::Away(random.one_of(&AWAY), random.millis(1, 160)),
            Kind::Signals => match random.below(6) {
                0 => Self::Kill,
                1 | 2 => Self::KillBusy(Duration::from_millis(150)),
                3 => Self::Terminate,
                4 => Self::Pause(None, random.millis(5, 300)),
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
            Kind::Recycled => {
                let grip = random.one_of(&[Grip::Pid, Grip::PidAndLock]);
                // Longer than a stop's own 2 s before it signals anybody.
                Self::Recycle(grip, Duration::from_millis(if grip == Grip::Pid { 60 } else { 2400 }))
            }
            Kind::Decoys => {
                let stopped = if random.chance(40) { 2600 } else { 0 };
                Self::Forge(Duration::from_millis(stopped))
            }
        }
    }
}

/// How a round's last daemon loses its path, if it does: then nobody but that daemon could touch what is there.
pub(super) fn finale(random: &mut Random) -> Option<Fault> {
    random.chance(40).then(|| random.one_of(&FINALES))
}

const STRIKES: [Fault; 18] = [
    Fault::DeleteLock,
    Fault::RenameLock,
    Fault::ReplaceByEmptyFile,
    Fault::ReplaceByDirectory,
    Fault::ReplaceBySymlink,
    Fault::ReplaceByFifo,
    Fault::ReplaceByDevice,
    Fault::RemoveTree,
    Fault::RemoveTreeByRm,
    Fault::RemoveTree,
    Fault::RenameDirectory,
    Fault::ExchangeDirectory,
    Fault::RenameParent,
    Fault::RenameGrandparent,
    Fault::MountOverDirectory,
    Fault::BindOverDirectory,
    Fault::MountOverParent,
    Fault::MountOverGrandparent,
];

/// Nothing of these stands in the next client's way.
const FINALES: [Fault; 6] = [
    Fault::DeleteLock,
    Fault::ReplaceByEmptyFile,
    Fault::RemoveTree,
    Fault::RemoveTreeByRm,
    Fault::RenameDirectory,
    Fault::ExchangeDirectory,
];

const AWAY: [Fault; 4] =
    [Fault::RenameLock, Fault::RenameDirectory, Fault::RenameParent, Fault::RenameGrandparent];

const DAMAGES: [Damage; 6] =
    [Damage::Empty, Damage::Cut, Damage::Garbage, Damage::Unlink, Damage::Directory, Damage::PidFile];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_that_is_measured_is_played() {
        let measured = Fault::LOSSES.into_iter().chain([Fault::RemoveTree, Fault::RemoveTreeByRm]);
        assert_eq!(measured.filter(|fault| !STRIKES.contains(fault)).collect::<Vec<_>>(), []);
        assert!(FINALES.iter().all(|fault| fault.remedy().is_none()));
    }
}
