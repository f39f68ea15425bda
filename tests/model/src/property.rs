//! What must hold in every reachable state, as far as it is a matter of one step. Where a property is checked stands beside
//! the step that could break it; this is the list.

/// A property that a step may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// P1: two processes hold the lock at the path.
    TwoHolders,
    /// P1: a process takes office while the lock that it holds is not the one at the path.
    FalseOwner,
    /// P3: a request that was sent after the loss is acted upon.
    ActedUpon,
    /// P3: a client is handed a daemon that had been displaced before the handshake.
    HandedAnOrphan,
    /// P4: a daemon that is not the owner changes something in the directory at the path.
    TouchedByStranger,
    /// P4: a daemon that is not the owner removes or replaces the owner's record.
    SurvivorsRecord,
    /// P5: a daemon gives up its role though its lock was only on its way back.
    FalseAlarm,
    /// P6: a lock file is removed by us.
    LockRemoved,
    /// P7: a daemon is launched while another one lives, or after another was launched that nobody ended.
    SecondLaunch,
    /// P7: a daemon is launched under a gate that was lost before the look under it was over.
    LaunchWithoutGate,
    /// P11: a client takes a stranger for its daemon.
    Stranger,
    /// P11: alone, with nobody interfering, a client does not get a daemon.
    NotHealed,
    /// P11: everybody has come to rest, and somebody still waits.
    Stuck,
    /// P11: everybody has come to rest, and there is more than one daemon.
    SeveralDaemons,
    /// P11: everybody has come to rest, and the one daemon is not the owner.
    OrphanAtRest,
    /// P11: everybody has come to rest, and the owner's record is not there.
    UnadvertisedAtRest,
    /// P11: from here on nobody ever comes to rest.
    NoRest,
    /// P13: a stop whose gate nobody took finds the lock held by another daemon in the end.
    NotStopped,
    /// P13: a daemon is launched after `stop --hold` has returned.
    LaunchedOnHold,
    /// P13: a daemon that was launched before takes office after `stop --hold` has returned.
    OfficeOnHold,
}

impl Property {
    /// What is wrong, in a sentence.
    pub fn says(self) -> &'static str {
        match self {
            Self::TwoHolders => "P1: two processes hold the lock at the path",
            Self::FalseOwner => {
                "P1: a daemon takes itself for the owner, and the lock it holds is not the one at the path"
            }
            Self::ActedUpon => "P3: a request sent after the loss is acted upon by the displaced daemon",
            Self::HandedAnOrphan => "P3: a client is handed a daemon that was displaced before the handshake",
            Self::TouchedByStranger => {
                "P4: a daemon that is not the owner changes something in the directory at the path"
            }
            Self::SurvivorsRecord => {
                "P4: a daemon that is not the owner removes or replaces the owner's record"
            }
            Self::FalseAlarm => "P5: a daemon gives up its role though its lock is on its way back",
            Self::LockRemoved => "P6: a daemon removes the lock of another",
            Self::SecondLaunch => "P7: a second daemon is launched, and nobody interfered",
            Self::LaunchWithoutGate => {
                "P7: a daemon is launched under a gate that was lost before the look under it was over"
            }
            Self::Stranger => "P11: a client takes a stranger for its daemon",
            Self::NotHealed => "P11: alone, with nobody interfering, a client gets no daemon",
            Self::Stuck => "P11: everybody has come to rest, and somebody waits for ever",
            Self::SeveralDaemons => "P11: everybody has come to rest, and there are several daemons",
            Self::OrphanAtRest => "P11: everybody has come to rest, and the daemon is not the owner",
            Self::UnadvertisedAtRest => {
                "P11: everybody has come to rest, and the owner's record is not there"
            }
            Self::NoRest => "P11: from here on nobody ever comes to rest, whatever is done",
            Self::NotStopped => {
                "P13: a stop whose gate nobody took finds the lock held by another daemon in the end"
            }
            Self::OfficeOnHold => "P13: a daemon takes office though `stop --hold` has returned",
            Self::LaunchedOnHold => "P13: a daemon is launched though `stop --hold` has returned",
        }
    }
}
