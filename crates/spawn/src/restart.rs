//! Replacing the daemon by a new one, which has shown before that it can start.
//!
//! multica#5165, claude-code#73670: a restart ended the good daemon and then found that the new one could not come up. Here
//! the new program is asked first, and as long as it has not said yes the old one is not told anything.

use std::ffi::OsString;
use std::time::Duration;

use aileron_discovery::process::Holder;
use aileron_discovery::protocol::control::DaemonOptions;
use aileron_discovery::{Deadline, Hold, InstanceId, StateDir, StateDirError};

use crate::ensure::{Autostart, EnsureError, EnsureOptions, Ensured, HoldRule};
use crate::launch::{ChildEnd, Launch, LaunchError};
use crate::owner::Owner;
use crate::start::Start;
use crate::stop::{Force, How, StopError, StopOutcome, orphans, owner, pass_gate_making};
use crate::version::VersionRule;

/// How long the new program's check may take: it starts no daemon, and the old one may be needed meanwhile.
const CHECK: Duration = Duration::from_secs(10);

/// How to restart.
#[derive(Clone, Copy, Debug)]
pub struct RestartOptions {
    /// Whether the old daemon is killed if it does not end.
    pub force: Force,
    /// How long it may take to end. One that is killed then is given no more than half of what is left of the deadline, for the
    /// rest is the new one's.
    pub stop_within: Duration,
}

/// The daemon that is about to be replaced, as far as it is known.
#[derive(Clone, Debug)]
pub struct Predecessor {
    /// Its pid; `None` where none is proved and none is recorded.
    pub pid: Option<u32>,
    /// Its instance, by its record.
    pub instance: Option<InstanceId>,
    /// Its version, by its record.
    pub version: Option<String>,
    /// What it runs with, or why that is not known: it does not answer, or not as this protocol has it.
    pub options: Result<DaemonOptions, String>,
}

/// The daemon that takes its place.
#[derive(Clone, Debug)]
pub struct Successor {
    /// How it is launched.
    pub launch: Launch,
    /// The arguments with which the same program, in the same environment, says whether that launch would succeed: it ends
    /// with exit status 0 if so. It must change nothing, for the old daemon is still there
    /// (`aileron_server::check` is made for this).
    pub check: Vec<OsString>,
}

/// The result of a restart.
#[derive(Debug)]
pub struct Restarted {
    /// The old daemon and what it took to end it; `None` if there was none.
    pub ended: Option<(Predecessor, How)>,
    /// The new one. [`Ensured::Found`] only if somebody's `daemon run`, which asks nobody, was quicker.
    pub ensured: Ensured,
    /// Daemons that once were this directory's and still live; nothing was done to them.
    pub orphans: Vec<Holder>,
}

/// Why the daemon was not restarted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// The new program cannot even be executed. Nothing was done to the old one.
    #[error("the new daemon's program cannot be checked, {}", rest(*old))]
    Program {
        /// The old daemon's pid, if there is one.
        old: Option<u32>,
        /// Why.
        source: LaunchError,
    },
    /// The new one said that it could not start. Nothing was done to the old one.
    #[error("a new daemon could not start: its check {end}, {}", rest(*old))]
    Check {
        /// The old daemon's pid, if there is one.
        old: Option<u32>,
        /// How the check ended.
        end: ChildEnd,
        /// The last lines of what it said.
        said: String,
    },
    /// The new one had not said whether it could start. Nothing was done to the old one.
    #[error("the new daemon's check had not ended after {} ms and was killed, {}", waited.as_millis(), rest(*old))]
    CheckSlow {
        /// The old daemon's pid, if there is one.
        old: Option<u32>,
        /// How long it was waited for.
        waited: Duration,
        /// The last lines of what it said.
        said: String,
    },
    /// The gate was not had, or the old one did not end. None was started.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// There was none, and none could be started.
    #[error(transparent)]
    Start(#[from] EnsureError),
    /// The old one has ended, and there is no new one.
    #[error("the old daemon (pid {pid}) has ended, and there is no new one")]
    Gone {
        /// The old daemon's pid.
        pid: u32,
        /// Why there is no new one.
        source: EnsureError,
    },
}

/// What a failed check leaves behind.
fn rest(old: Option<u32>) -> String {
    old.map_or_else(
        || "and none is running".to_owned(),
        |pid| format!("so the old one (pid {pid}) was left as it is"),
    )
}

/// Replaces the owner by a daemon that `successor` describes, told about the owner; where there is none, starts one. Holds the
/// start gate throughout, so that nobody starts another meanwhile, and clears a hold.
///
/// In this order: the new program's check, the hold cleared, the end of the old daemon (as by [`stop`](crate::stop)), the launch.
/// `successor` is asked again if the directory was deleted meanwhile.
///
/// # Errors
///
/// Up to [`RestartError::CheckSlow`] nothing was done to the old daemon; see each for what is left.
///
/// # Platform notes
///
/// As for [`ensure_running`](crate::ensure_running).
pub fn restart(
    state_dir: &StateDir,
    mut successor: impl FnMut(Option<&Predecessor>) -> Successor,
    options: RestartOptions,
    deadline: Deadline,
) -> Result<Restarted, RestartError> {
    let (gate, tightened_from, predecessor, launch) = loop {
        let (gate, tightened_from) = pass_gate_making(state_dir, &deadline, |_| Ok(()))?;
        let predecessor = owner(state_dir, &deadline)?.map(|lock| {
            let owner = Owner::find(state_dir, lock);
            owner.introduce(state_dir, &deadline)
        });
        let Successor { launch, check } = successor(predecessor.as_ref());
        rehearse(&launch, &check, predecessor.as_ref(), &deadline)?;
        // Before the old one is told: what cannot be cleared keeps the new one from starting.
        Hold::clear(&gate).map_err(StopError::from)?;
        // A directory that was deleted meanwhile may have another daemon by now, under a gate that is not this one.
        if gate.still_stands() {
            break (gate, tightened_from, predecessor, launch);
        }
        if deadline.passed() {
            return Err(StopError::from(StateDirError::Missing { path: state_dir.root().to_owned() }).into());
        }
    };

    // Asked again: the old one may have ended by itself while the new one was checked.
    let stopped = match owner(state_dir, &deadline)? {
        Some(lock) => {
            Owner::find(state_dir, lock).stop(state_dir, options.force, &options.end_by(&deadline))?
        }
        None => StopOutcome::NotRunning,
    };
    let ensure = EnsureOptions {
        autostart: Autostart::Allowed,
        hold: HoldRule::Clear,
        version: VersionRule::Compatible,
    };
    let launch = || launch.clone();
    let start = Start::new(state_dir, &launch, &ensure, deadline).having_tightened(tightened_from);
    let ensured = start.run_under(gate).map_err(|source| match (stopped, &source) {
        // One was launched and lives: it may be ready any moment.
        (_, EnsureError::StartInProgress { pid: Some(_), .. }) | (StopOutcome::NotRunning, _) => {
            RestartError::Start(source)
        }
        (StopOutcome::Stopped { pid, .. }, _) => RestartError::Gone { pid, source },
    })?;
    let ended = match stopped {
        StopOutcome::Stopped { pid, how } => {
            let known = predecessor.filter(|predecessor| predecessor.pid.is_none_or(|known| known == pid));
            Some((known.unwrap_or_else(|| Predecessor::unknown(pid)), how))
        }
        StopOutcome::NotRunning => None,
    };
    Ok(Restarted { ended, ensured, orphans: orphans(state_dir) })
}

impl RestartOptions {
    fn end_by(&self, deadline: &Deadline) -> Deadline {
        let left = deadline.remaining().unwrap_or_default();
        deadline.within(match self.force {
            Force::Never => self.stop_within,
            Force::AtDeadline => self.stop_within.min(left / 2),
        })
    }
}

impl Predecessor {
    /// A daemon that came while the new one was checked.
    fn unknown(pid: u32) -> Self {
        let options = Err("it came while the new one was checked".to_owned());
        Self { pid: Some(pid), instance: None, version: None, options }
    }
}

fn rehearse(
    launch: &Launch,
    check: &[OsString],
    predecessor: Option<&Predecessor>,
    deadline: &Deadline,
) -> Result<(), RestartError> {
    let old = predecessor.and_then(|predecessor| predecessor.pid);
    let began = deadline.elapsed();
    let rehearsal = launch
        .rehearse(check, &deadline.within(CHECK))
        .map_err(|source| RestartError::Program { old, source })?;
    match rehearsal.end {
        Some(end) if end.code() == Some(0) => Ok(()),
        Some(end) => Err(RestartError::Check { old, end, said: rehearsal.said }),
        None => {
            let waited = deadline.elapsed().saturating_sub(began);
            Err(RestartError::CheckSlow { old, waited, said: rehearsal.said })
        }
    }
}
