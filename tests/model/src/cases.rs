//! What is searched: the spaces of the protocol as it is, and for each rule the one that shows what it is for.

use crate::rules::Rule;
use crate::world::{Begin, Commands, Config};

/// A space with a name.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub config: Config,
    /// How its last run came out.
    pub kept: Kept,
}

/// The figures of a run that is kept. The first three do not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// States, up to symmetry.
    pub states: usize,
    /// Steps between them.
    pub transitions: u64,
    /// The length of the longest shortest way.
    pub depth: u32,
    /// Seconds, on two cores that had other things to do as well.
    pub seconds: u64,
}

const fn kept(states: usize, transitions: u64, depth: u32, seconds: u64) -> Kept {
    Kept { states, transitions, depth, seconds }
}

const SERVING: Config = Config {
    begin: Begin::Serving,
    clients: 1,
    rounds: 1,
    commands: Commands::Url,
    steps: 0,
    removals: 0,
    kills: 0,
    stops: 0,
};

const EMPTY: Config = Config { begin: Begin::Empty, ..SERVING };

/// Small enough for every test run.
pub const SMALL: [Space; 9] = [
    Space { name: "stampede", config: Config { clients: 3, ..EMPTY }, kept: kept(2234, 6337, 45, 1) },
    Space {
        name: "stop",
        config: Config { clients: 2, rounds: 2, commands: Commands::UrlStop, ..SERVING },
        kept: kept(3727, 7482, 67, 1),
    },
    Space {
        name: "term",
        config: Config { clients: 2, rounds: 2, commands: Commands::UrlTerm, ..SERVING },
        kept: kept(7637, 20_552, 75, 1),
    },
    Space {
        name: "hold",
        config: Config { clients: 2, commands: Commands::All, ..EMPTY },
        kept: kept(1021, 1904, 68, 1),
    },
    Space { name: "kill", config: Config { clients: 2, kills: 2, ..EMPTY }, kept: kept(3049, 8875, 80, 1) },
    Space {
        name: "first-start",
        config: Config { steps: 2, removals: 1, ..EMPTY },
        kept: kept(141_947, 442_071, 84, 1),
    },
    Space {
        name: "loss",
        config: Config { clients: 2, steps: 2, ..SERVING },
        kept: kept(276_824, 892_716, 63, 2),
    },
    Space {
        name: "removal",
        config: Config { clients: 2, steps: 1, removals: 1, ..SERVING },
        kept: kept(318_833, 1_131_220, 64, 2),
    },
    Space {
        name: "loss-and-stop",
        config: Config { commands: Commands::UrlStop, steps: 2, removals: 1, kills: 1, ..SERVING },
        kept: kept(544_884, 2_206_017, 85, 4),
    },
];

/// What takes minutes.
pub const LARGE: [Space; 9] = [
    Space {
        name: "four-losses",
        config: Config { steps: 4, commands: Commands::UrlTerm, ..SERVING },
        kept: kept(678_398, 2_375_153, 92, 3),
    },
    Space {
        name: "losses-and-kill",
        config: Config { clients: 2, steps: 2, kills: 1, ..SERVING },
        kept: kept(1_381_347, 5_431_169, 88, 5),
    },
    Space {
        name: "losses-and-holds",
        config: Config { clients: 2, commands: Commands::UrlHold, steps: 2, kills: 1, ..SERVING },
        kept: kept(2_757_191, 10_995_475, 115, 17),
    },
    Space {
        name: "three-losses",
        config: Config { clients: 2, steps: 3, ..SERVING },
        kept: kept(5_709_875, 21_657_897, 85, 42),
    },
    Space {
        name: "removals",
        config: Config { steps: 3, removals: 3, ..SERVING },
        kept: kept(6_368_545, 26_212_265, 101, 31),
    },
    Space {
        name: "losses-and-stops",
        config: Config { clients: 2, commands: Commands::UrlStop, steps: 3, ..SERVING },
        kept: kept(8_342_072, 31_271_979, 107, 35),
    },
    Space {
        name: "removal-and-loss",
        config: Config { clients: 2, steps: 2, removals: 1, ..SERVING },
        kept: kept(13_947_285, 58_623_844, 87, 67),
    },
    Space {
        name: "starts-and-losses",
        config: Config { clients: 2, steps: 3, ..EMPTY },
        kept: kept(9_346_333, 34_788_458, 103, 81),
    },
    Space {
        name: "three-clients",
        config: Config { clients: 3, steps: 2, ..SERVING },
        kept: kept(4_656_958, 19_357_722, 75, 41),
    },
];

/// What was begun, found without a violation as far as it went, and was given up: the figures are those of its last complete level.
pub const OPEN: Space = Space {
    name: "three-with-removal",
    config: Config { clients: 2, steps: 3, removals: 1, ..SERVING },
    kept: kept(215_346_655, 0, 62, 1389),
};

/// The space of this name.
pub fn space(name: &str) -> Option<Space> {
    SMALL.iter().chain(&LARGE).chain([&OPEN]).find(|space| space.name == name).copied()
}

/// Where a promise that cannot be kept to the letter is seen broken.
pub const TO_THE_LETTER: [Config; 2] =
    [Config { steps: 2, ..SERVING }, Config { clients: 2, commands: Commands::UrlHold, kills: 1, ..EMPTY }];

/// Where a rule is tried of which it is not known what it is for.
pub const TRIALS: [Config; 8] = [
    Config { clients: 2, ..EMPTY },
    Config { clients: 2, commands: Commands::All, ..SERVING },
    Config { clients: 2, commands: Commands::UrlTerm, ..SERVING },
    Config { steps: 2, ..EMPTY },
    Config { steps: 1, removals: 1, ..SERVING },
    Config { clients: 2, commands: Commands::UrlStop, steps: 1, ..SERVING },
    Config { clients: 2, steps: 1, kills: 1, ..SERVING },
    Config { clients: 2, commands: Commands::UrlTerm, steps: 2, ..SERVING },
];

/// The space that shows what a rule is for; `None` where that is not known, and it is tried in all of [`TRIALS`].
pub fn shown_in(rule: Rule) -> Option<Config> {
    Some(match rule {
        Rule::Patience | Rule::GateUntilReady => Config { clients: 2, ..EMPTY },
        Rule::LookUnderGate | Rule::WaitForOwner => {
            Config { clients: 2, commands: Commands::UrlTerm, ..SERVING }
        }
        Rule::HoldUnderGate | Rule::StopUnderGate => {
            Config { clients: 2, commands: Commands::UrlHold, ..EMPTY }
        }
        Rule::HoldByHandle => Config { clients: 2, commands: Commands::UrlHold, steps: 2, ..EMPTY },
        Rule::CompareLock
        | Rule::BeginAtDirectory
        | Rule::NoDirectoryMade
        | Rule::AskToPublish
        | Rule::GateStands => Config { steps: 1, ..EMPTY },
        Rule::LockStays | Rule::KeepLooking | Rule::Fence | Rule::FencedHandshake | Rule::Restore => {
            Config { steps: 1, ..SERVING }
        }
        Rule::SecondLook | Rule::Section | Rule::Handle | Rule::AskToRestore => {
            Config { steps: 2, ..SERVING }
        }
        Rule::Proof => Config { kills: 1, ..SERVING },
        Rule::AskToWithdraw | Rule::ExitByHandle => {
            Config { clients: 2, commands: Commands::UrlTerm, steps: 1, ..SERVING }
        }
        Rule::LockLast | Rule::CompareGate | Rule::ReopenGate => {
            Config { clients: 2, commands: Commands::UrlStop, steps: 1, ..SERVING }
        }
        Rule::DisplacedWritesNothing => Config { steps: 1, stops: 1, ..SERVING },
        Rule::LookWhileWaiting => Config { clients: 2, stops: 1, ..EMPTY },
    })
}
