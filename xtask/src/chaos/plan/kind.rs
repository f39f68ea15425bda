//! What a round is about. A kind decides which deeds are drawn, and how some of the clients are run.

use std::fmt;

use clap::ValueEnum;

use crate::chaos::random::Random;

/// What a round is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Clients alone.
    Calm,
    /// The lock's path is lost, in every way there is.
    Displaced,
    /// The path is lost and comes back.
    Away,
    /// Nobody can tell what is at the path.
    Doubt,
    /// Daemons killed, ended, stopped and continued.
    Signals,
    /// Record and pid file damaged.
    Records,
    /// Daemons that can open nothing more.
    Descriptors,
    /// A small file system, at times full.
    Space,
    /// Daemons that get no inotify instance.
    Inotify,
    /// System calls that fail, and some that lie.
    Syscalls,
    /// Clients and daemons with other clocks since boot.
    Clocks,
    /// Two versions at once.
    Versions,
    /// Slow starts.
    Slow,
    /// Records that name innocent processes.
    Decoys,
    /// Innocent processes that have got the pid of a killed daemon.
    Recycled,
    /// Stops that forbid to start, and starts that allow it again.
    Held,
}

impl Kind {
    /// Each with how often it is drawn. Decoys take seconds, for the time a `stop` waits before it signals.
    pub(super) const WEIGHTS: [(u64, Self); 16] = [
        (8, Self::Calm),
        (25, Self::Displaced),
        (12, Self::Away),
        (5, Self::Doubt),
        (16, Self::Signals),
        (8, Self::Records),
        (6, Self::Descriptors),
        (6, Self::Space),
        (6, Self::Inotify),
        (6, Self::Syscalls),
        (5, Self::Clocks),
        (6, Self::Versions),
        (6, Self::Slow),
        (4, Self::Decoys),
        (4, Self::Recycled),
        (6, Self::Held),
    ];

    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How many things befall the daemons.
    pub(super) fn deeds(self, random: &mut Random) -> u64 {
        match self {
            Self::Calm | Self::Held => 0,
            Self::Decoys | Self::Recycled => 1,
            Self::Syscalls | Self::Clocks | Self::Versions => random.below(3),
            _ => 1 + random.below(3),
        }
    }

    /// Whether there are innocent processes that somebody might be tempted to signal.
    pub(super) fn has_decoys(self) -> bool {
        matches!(self, Self::Decoys | Self::Recycled)
    }

    /// Whether a round may end with a loss that no client is there to see.
    pub(super) fn has_finale(self) -> bool {
        matches!(self, Self::Displaced | Self::Away | Self::Inotify | Self::Slow | Self::Versions)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
