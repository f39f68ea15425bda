//! One look for a daemon: cheap, without a lock, writing nothing. What it means is `find`'s and `ensure`'s business.

use std::time::Duration;

use aileron_discovery::protocol::control::{DaemonState, Problem, ProblemCode};
use aileron_discovery::protocol::handshake::{Challenge, Proof};
use aileron_discovery::protocol::route;
use aileron_discovery::{
    Advertisement, Deadline, InstanceId, LockProbe, Nonce, ProbeError, Reading, StateDir, StateDirError,
    probe_lock,
};

use crate::find::Found;
use crate::http::{HttpError, Request, request};

/// How long connecting and proving may take.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// How long an answer is waited for before the lock is asked whether there is anybody to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What a look found.
#[derive(Debug)]
pub(crate) enum Look {
    /// A daemon that proved itself.
    Found(Found),
    /// Nobody holds the lock; why a record, if there is one, is stale.
    Nobody { stale: Option<String> },
    /// Somebody holds the lock, and no daemon was proved.
    Held(Held),
}

/// A held lock behind which nobody was proved.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) lock: aileron_discovery::FileId,
    pub(crate) record: Option<Box<Advertisement>>,
    pub(crate) quiet: Quiet,
    pub(crate) why: String,
}

/// In which way nobody was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// There is no usable record: perhaps it is about to be written.
    Unadvertised,
    /// The address refuses connections: perhaps it is leaving, or the record is of its predecessor.
    Refusing,
    /// Whoever is there says nothing.
    Silent,
    /// Whoever is there answers, and not as the recorded daemon would.
    Stranger,
}

/// Why a look could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LookError {
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// What following the record comes to, before the lock is asked.
enum Seen {
    Daemon(Found),
    NoDirectory,
    Unproved { record: Option<Box<Advertisement>>, quiet: Quiet, why: Option<String> },
}

/// Looks once.
pub(crate) fn look(state_dir: &StateDir, deadline: &Deadline) -> Result<Look, LookError> {
    match follow_record(state_dir, deadline)? {
        Seen::Daemon(found) => Ok(Look::Found(found)),
        Seen::NoDirectory => Ok(Look::Nobody { stale: None }),
        Seen::Unproved { record, quiet, why } => behind_the_lock(state_dir, record, quiet, why),
    }
}

fn follow_record(state_dir: &StateDir, deadline: &Deadline) -> Result<Seen, LookError> {
    let reading = match Advertisement::read(state_dir) {
        Ok(reading) => reading,
        Err(StateDirError::Missing { .. }) => return Ok(Seen::NoDirectory),
        Err(error) => return Err(error.into()),
    };
    let unproved = |record, quiet, why| Ok(Seen::Unproved { record, quiet, why });
    match reading {
        Reading::Absent => unproved(None, Quiet::Unadvertised, None),
        Reading::Damaged { why } => {
            unproved(None, Quiet::Unadvertised, Some(format!("the record is damaged: {why}")))
        }
        Reading::Present(record) => match prove(state_dir, &record, deadline) {
            Ok(state @ Some(_)) => Ok(Seen::Daemon(Found::new(*record, state))),
            // A reference daemon proves nothing, and anybody may answer at its port by now: the lock vouches for it.
            Ok(None) if probe_lock(state_dir)?.is_held() => Ok(Seen::Daemon(Found::new(*record, None))),
            Ok(None) => unproved(Some(record), Quiet::Stranger, Some("nobody holds the lock".to_owned())),
            Err((quiet, why)) => unproved(Some(record), quiet, Some(why)),
        },
    }
}

/// What a look that proved nobody comes to: that is for the lock to say.
fn behind_the_lock(
    state_dir: &StateDir,
    record: Option<Box<Advertisement>>,
    quiet: Quiet,
    why: Option<String>,
) -> Result<Look, LookError> {
    Ok(match probe_lock(state_dir)? {
        LockProbe::Absent | LockProbe::Free(_) => {
            let stale = match (&record, why) {
                (Some(record), Some(why)) => Some(format!("it names pid {}; {why}", record.pid)),
                (_, why) => why,
            };
            Look::Nobody { stale }
        }
        LockProbe::Held(lock) => {
            let why = why.unwrap_or_else(|| "there is no record".to_owned());
            Look::Held(Held { lock, record, quiet, why })
        }
    })
}

/// A look that only asks for a daemon to use, and not why there is none. It leaves the lock alone: a thousand clients that
/// come at once would have it shared among them just when the one daemon that they all wait for wants it for itself.
pub(crate) fn find_for_use(
    state_dir: &StateDir,
    told: Option<&InstanceId>,
    deadline: &Deadline,
) -> Result<Option<Found>, LookError> {
    Ok(match follow_record(state_dir, deadline)? {
        Seen::Daemon(found) if !is_leaving(&found, told) => Some(found),
        _ => None,
    })
}

fn is_leaving(found: &Found, told: Option<&InstanceId>) -> bool {
    found.state() == DaemonState::Draining || told.is_some_and(|told| found.instance() == Some(told))
}

/// A look on behalf of somebody who wants to use the daemon: one that drains is as good as gone, and is waited for. So is
/// `told`, an instance that has taken a request to end: it goes on saying that it is ready until its keeper has decided.
pub(crate) fn look_for_use(
    state_dir: &StateDir,
    told: Option<&InstanceId>,
    deadline: &Deadline,
) -> Result<Look, LookError> {
    match look(state_dir, deadline)? {
        Look::Found(found) if is_leaving(&found, told) => {
            let why = format!("the daemon at {} is leaving", found.record().url.address());
            behind_the_lock(state_dir, Some(found.into_record()), Quiet::Refusing, Some(why))
        }
        seen => Ok(seen),
    }
}

/// Has the daemon of a record prove its instance. Nothing secret is sent.
///
/// A record without an instance is a reference daemon's, which cannot prove any: it is found if it answers at all.
pub(crate) fn prove(
    state_dir: &StateDir,
    record: &Advertisement,
    deadline: &Deadline,
) -> Result<Option<DaemonState>, (Quiet, String)> {
    let address = record.url.address();
    let deadline = deadline.within(HANDSHAKE);
    // A lock that cannot be looked at may be held.
    let somebody_is_there =
        || probe_lock(state_dir).map_or_else(|error| error.is_denied(), |probe| probe.is_held());
    let challenge = Challenge { nonce: Nonce::random().map_err(|error| (Quiet::Silent, error.to_string()))? };
    let body = serde_json::to_vec(&challenge).map_err(|error| (Quiet::Silent, error.to_string()))?;
    let ours = record.instance.is_some();
    let question = if ours {
        Request { method: "POST", path: route::HANDSHAKE, token: None, body: &body }
    } else {
        Request { method: "GET", path: route::HEALTH, token: None, body: &[] }
    };
    let answer = request(address, &question, PATIENCE, &deadline, somebody_is_there).map_err(|error| {
        let quiet = match error {
            HttpError::Refused(_) => Quiet::Refusing,
            HttpError::Malformed(_) => Quiet::Stranger,
            HttpError::Broken(..) | HttpError::Silent(_) | HttpError::GivenUp(_) => Quiet::Silent,
        };
        (quiet, error.to_string())
    })?;
    if !ours {
        return if answer.status == 200 {
            Ok(None)
        } else {
            Err((Quiet::Stranger, format!("{address} answers {}", answer.status)))
        };
    }
    if answer.status != 200 {
        return Err(unproved(&answer.body, answer.status, address));
    }
    let proof: Proof = serde_json::from_slice(&answer.body)
        .map_err(|_| (Quiet::Stranger, format!("what answers at {address} is no daemon of this tool")))?;
    match proof.check(record, &challenge) {
        Ok(()) => Ok(Some(proof.state)),
        Err(not) => {
            Err((Quiet::Stranger, format!("what answers at {address} is not the recorded daemon: {not}")))
        }
    }
}

/// A displaced daemon says so, and is as good as gone.
fn unproved(body: &[u8], status: u16, address: std::net::SocketAddr) -> (Quiet, String) {
    match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { code: ProblemCode::IdentityLost, .. }) => (
            Quiet::Refusing,
            format!("the daemon at {address} is leaving: it is no longer the daemon of its directory"),
        ),
        _ => (Quiet::Stranger, format!("what listens at {address} answers {status}")),
    }
}
