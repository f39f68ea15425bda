//! The control routes of a daemon that has been found.

use std::time::Duration;

use aileron_discovery::protocol::control::{DaemonView, StopRequest};
use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::protocol::route;
use aileron_discovery::{Advertisement, Deadline, StateDir};

use crate::call::{Call, call};
use crate::fault::{CallError, Fault};
use crate::find::{FindError, Finding, Found, find};
use crate::http::{Answer, Request, request};

/// Why a control route gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The daemon did not prove itself, so it is not sent the token.
    #[error("the daemon did not prove itself")]
    Unproved,
    /// No answer.
    #[error("{0}")]
    NoAnswer(String),
    /// An answer that is not the route's.
    #[error("`{route}` answered {status}")]
    Status {
        /// The route.
        route: &'static str,
        /// The HTTP status code.
        status: u16,
    },
    /// A body that cannot be understood: another protocol, perhaps.
    #[error("`{route}` answered something else than expected")]
    Body {
        /// The route.
        route: &'static str,
        /// Where it is off.
        source: serde_json::Error,
    },
}

/// What the daemon says of itself.
///
/// # Errors
///
/// When it was not proved, or does not answer as this protocol has it.
pub fn view(found: &Found, deadline: Deadline) -> Result<DaemonView, ControlError> {
    if !found.proved() {
        return Err(ControlError::Unproved);
    }
    let answer = ask(found.record(), "GET", route::DAEMON, &[], &deadline)?;
    if answer.status != 200 {
        return Err(ControlError::Status { route: route::DAEMON, status: answer.status });
    }
    serde_json::from_slice(&answer.body).map_err(|source| ControlError::Body { route: route::DAEMON, source })
}

/// Looks for the daemon of a directory as [`find`] does, and has it say of itself what it does. One that goes away or is
/// displaced in between is looked for once more, so that what is said is the present daemon's. `None`: there is none to ask.
///
/// # Errors
///
/// As [`find`].
pub fn find_and_view(
    state_dir: &StateDir,
    deadline: Deadline,
) -> Result<(Finding, Option<Result<DaemonView, ControlError>>), FindError> {
    let mut last = None;
    let look = || match find(state_dir, deadline) {
        Ok(Finding::Found(found)) => Ok(last.insert(found).clone()),
        Ok(other) => Err(Unasked::Other(Box::new(other))),
        Err(error) => Err(Unasked::Find(error)),
    };
    let answer = call(state_dir, look, Call::new("GET", route::DAEMON), deadline);
    let view = match answer {
        Ok(answer) if answer.status == 200 => serde_json::from_slice(&answer.body)
            .map_err(|source| ControlError::Body { route: route::DAEMON, source }),
        Ok(answer) => Err(ControlError::Status { route: route::DAEMON, status: answer.status }),
        Err(CallError { fault: Fault::Resolve(Unasked::Find(error)), .. }) => return Err(error),
        Err(CallError { fault: Fault::Resolve(Unasked::Other(other)), .. }) => return Ok((*other, None)),
        Err(error) => Err(ControlError::NoAnswer(in_one_line(&error))),
    };
    let found = last.expect("who was asked, or could not be, was found before");
    Ok((Finding::Found(found), Some(view)))
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
enum Unasked {
    #[error("no daemon was found")]
    Other(Box<Finding>),
    #[error(transparent)]
    Find(FindError),
}

/// Asks a proved daemon to end; it has accepted when this returns.
pub(crate) fn request_stop(
    record: &Advertisement,
    wish: StopRequest,
    deadline: &Deadline,
) -> Result<(), ControlError> {
    let body = serde_json::to_vec(&wish).expect("a stop request is JSON");
    match ask(record, "POST", route::STOP, &body, deadline)?.status {
        202 => Ok(()),
        status => Err(ControlError::Status { route: route::STOP, status }),
    }
}

fn ask(
    record: &Advertisement,
    method: &str,
    path: &str,
    body: &[u8],
    deadline: &Deadline,
) -> Result<Answer, ControlError> {
    let question = Request { method, path, token: Some(&record.token), body };
    request(record.url.address(), &question, Duration::MAX, deadline, || true)
        .map_err(|error| ControlError::NoAnswer(error.to_string()))
}
