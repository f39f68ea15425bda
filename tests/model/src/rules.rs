//! The rules of the protocol, each with a switch that takes it away.

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// Held and path are compared after each `flock` of the lock.
    CompareLock,
    /// A starter that has to try again begins at opening the directory.
    BeginAtDirectory,
    /// A starter is patient with whoever looks at the lock for a moment.
    Patience,
    /// The daemon never makes its directory.
    NoDirectoryMade,
    /// The lock file is not removed when it is released.
    LockStays,
    /// The lock is released last.
    LockLast,
    /// A running daemon goes on looking whether it is the owner.
    KeepLooking,
    /// Nothing at the path and a link left: a second look decides.
    SecondLook,
    /// Requests are fenced.
    Fence,
    /// The handshake is fenced.
    FencedHandshake,
    /// The owner restores its record.
    Restore,
    /// What the owner writes it writes under an exclusive `flock` on the directory.
    Section,
    /// What the owner writes it writes through the directory handle that came with the lock.
    Handle,
    /// The exit record too is written through the directory handle.
    ExitByHandle,
    /// Ownership is asked again before the first publication.
    AskToPublish,
    /// Ownership is asked again before a restoration.
    AskToRestore,
    /// Ownership is asked again before the withdrawal.
    AskToWithdraw,
    /// A daemon that knows that it was displaced withdraws nothing.
    DisplacedWritesNothing,
    /// Held and path are compared after each `flock` of the gate.
    CompareGate,
    /// A waiter opens the gate anew at each try.
    ReopenGate,
    /// A waiter looks for a daemon between two tries.
    LookWhileWaiting,
    /// A client looks again under the gate.
    LookUnderGate,
    /// Where the lock is held its owner is waited for, and nothing is launched.
    WaitForOwner,
    /// The hold is read under the gate.
    HoldUnderGate,
    /// Under the gate the hold is read through the directory handle that came with the gate.
    HoldByHandle,
    /// Whether the gate still stands is asked before a launch.
    GateStands,
    /// The gate is held until the daemon is proved ready.
    GateUntilReady,
    /// A stop holds the gate.
    StopUnderGate,
    /// A client has the instance proved.
    Proof,
}

/// All of them, in the order of the page.
pub const RULES: [Rule; 29] = [
    Rule::CompareLock,
    Rule::BeginAtDirectory,
    Rule::Patience,
    Rule::NoDirectoryMade,
    Rule::LockStays,
    Rule::LockLast,
    Rule::KeepLooking,
    Rule::SecondLook,
    Rule::Fence,
    Rule::FencedHandshake,
    Rule::Restore,
    Rule::Section,
    Rule::Handle,
    Rule::ExitByHandle,
    Rule::AskToPublish,
    Rule::AskToRestore,
    Rule::AskToWithdraw,
    Rule::DisplacedWritesNothing,
    Rule::CompareGate,
    Rule::ReopenGate,
    Rule::LookWhileWaiting,
    Rule::LookUnderGate,
    Rule::WaitForOwner,
    Rule::HoldUnderGate,
    Rule::HoldByHandle,
    Rule::GateStands,
    Rule::GateUntilReady,
    Rule::StopUnderGate,
    Rule::Proof,
];

impl Rule {
    /// The name of its switch.
    pub fn name(self) -> &'static str {
        match self {
            Self::CompareLock => "compare-lock",
            Self::BeginAtDirectory => "begin-at-directory",
            Self::Patience => "patience",
            Self::NoDirectoryMade => "no-directory-made",
            Self::LockStays => "lock-stays",
            Self::LockLast => "lock-last",
            Self::KeepLooking => "keep-looking",
            Self::SecondLook => "second-look",
            Self::Fence => "fence",
            Self::FencedHandshake => "fenced-handshake",
            Self::Restore => "restore",
            Self::Section => "section",
            Self::Handle => "handle",
            Self::ExitByHandle => "exit-by-handle",
            Self::AskToPublish => "ask-to-publish",
            Self::AskToRestore => "ask-to-restore",
            Self::AskToWithdraw => "ask-to-withdraw",
            Self::DisplacedWritesNothing => "displaced-writes-nothing",
            Self::CompareGate => "compare-gate",
            Self::ReopenGate => "reopen-gate",
            Self::LookWhileWaiting => "look-while-waiting",
            Self::LookUnderGate => "look-under-gate",
            Self::WaitForOwner => "wait-for-owner",
            Self::HoldUnderGate => "hold-under-gate",
            Self::HoldByHandle => "hold-by-handle",
            Self::GateStands => "gate-stands",
            Self::GateUntilReady => "gate-until-ready",
            Self::StopUnderGate => "stop-under-gate",
            Self::Proof => "proof",
        }
    }

    /// The rule, in a sentence.
    pub fn says(self) -> &'static str {
        match self {
            Self::CompareLock => "Held and path are compared after each `flock` of the lock.",
            Self::BeginAtDirectory => {
                "A starter that has to try again begins at opening the *directory*, not at opening the file."
            }
            Self::Patience => "A starter is patient with whoever only looks at the lock for a moment.",
            Self::NoDirectoryMade => "The daemon never makes its directory.",
            Self::LockStays => "The lock file is not removed when it is released.",
            Self::LockLast => "The lock is released after everything else.",
            Self::KeepLooking => "A running daemon goes on looking whether it is still the owner.",
            Self::SecondLook => {
                "Nothing at the path while the held file has a link is decided by a second look, 100 ms later."
            }
            Self::Fence => "A request is acted upon only if its daemon is the owner when it arrives.",
            Self::FencedHandshake => "So is the handshake.",
            Self::Restore => "The owner restores a record that is gone.",
            Self::Section => {
                "What the owner writes it writes under an exclusive `flock` on the directory handle."
            }
            Self::Handle => {
                "What the owner writes it writes through the directory handle that came with the lock, not by path."
            }
            Self::ExitByHandle => "So it does with the exit record.",
            Self::AskToPublish => "Ownership is asked again inside the section of the first publication.",
            Self::AskToRestore => "So it is in a restoration's.",
            Self::AskToWithdraw => "So it is in the withdrawal's.",
            Self::DisplacedWritesNothing => "A daemon that knows that it was displaced withdraws nothing.",
            Self::CompareGate => "Held and path are compared after each `flock` of the gate.",
            Self::ReopenGate => "A waiter opens the gate anew at each try.",
            Self::LookWhileWaiting => "A waiter looks for a daemon between two tries.",
            Self::LookUnderGate => "Under the gate a client looks again.",
            Self::WaitForOwner => {
                "Where the lock is held its owner is waited for; a launch needs a lock that is free."
            }
            Self::HoldUnderGate => "The hold is read under the gate.",
            Self::HoldByHandle => {
                "Under the gate the hold is read through the directory handle that came with the gate."
            }
            Self::GateStands => "Whether the held gate still stands is asked right before a launch.",
            Self::GateUntilReady => "The gate is held until the launched daemon is proved ready.",
            Self::StopUnderGate => "A stop holds the gate throughout.",
            Self::Proof => "Who answers at the recorded address has to prove its instance.",
        }
    }

    /// The rule of this name.
    pub fn named(name: &str) -> Option<Self> {
        RULES.into_iter().find(|rule| rule.name() == name)
    }
}

/// Which rules are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    removed: u32,
}

impl Rules {
    /// The protocol.
    pub const ALL: Self = Self { removed: 0 };

    /// The same without this rule.
    #[must_use]
    pub fn without(self, rule: Rule) -> Self {
        Self { removed: self.removed | 1 << rule as u8 }
    }

    /// Whether a rule is in force.
    pub fn has(self, rule: Rule) -> bool {
        self.removed & (1 << rule as u8) == 0
    }
}
