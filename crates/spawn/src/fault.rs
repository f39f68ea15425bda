//! Why a call got no answer, and whether it may have been acted upon.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use aileron_discovery::protocol::control::{Problem, ProblemCode};

use crate::ensure::EnsureError;
use crate::target::NoTarget;

/// A call got no answer. `E` is the error of whatever was to find the daemon.
#[derive(Debug)]
#[non_exhaustive]
pub struct CallError<E: std::error::Error + 'static> {
    /// What happened.
    pub fault: Fault<E>,
    /// Whether a daemon may have acted upon the request, in whole or in part. `false` is a promise: nothing was done, and the
    /// same call may be made again, whatever its method.
    pub maybe_done: bool,
}

/// The error of a call whose daemon is had by [`ensure_running`](crate::ensure_running).
pub type ClientError = CallError<EnsureError>;

/// What kept a call from being answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault<E: std::error::Error + 'static> {
    /// A request that is not one for a daemon. It was not sent.
    #[error("cannot send this request: {0}")]
    Request(&'static str),
    /// There is no daemon to be had.
    #[error("there is no daemon to ask")]
    Resolve(#[source] E),
    /// A system call failed before anything was sent.
    #[error("cannot {step}")]
    System {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The daemon that was found does not prove itself, so it is sent neither token nor request.
    #[error("the daemon did not prove itself")]
    Unproved,
    /// `PREFIX_API_URL` names something that is not asked from here.
    #[error("`{0}` is not of the form http://ADDRESS:PORT, with a literal address")]
    Explicit(String),
    /// Each daemon that was found was gone again, or gave way to another, before it acted.
    #[error("the daemon went away again and again; the last one, at {address}: {why}")]
    KeepsLeaving {
        /// Where the last one was.
        address: SocketAddr,
        /// What was seen of it.
        why: String,
    },
    /// The connection ended before the answer was whole.
    #[error("no whole answer from {address}: {why}")]
    NoAnswer {
        /// Where.
        address: SocketAddr,
        /// What was seen.
        why: String,
    },
    /// The deadline passed. What was asked may still be going on.
    #[error("no answer in {} ms ({step})", elapsed.as_millis())]
    Deadline {
        /// What was being waited for.
        step: &'static str,
        /// Since the call began.
        elapsed: Duration,
    },
    /// The answer is longer than the caller takes. It was acted upon.
    #[error("the answer is longer than {cap} bytes")]
    TooLarge {
        /// How many bytes the caller takes.
        cap: usize,
    },
}

impl<E: std::error::Error + 'static> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubt = if self.maybe_done { "; the request may have been carried out" } else { "" };
        write!(f, "{}{doubt}", self.fault)
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

impl<E: std::error::Error + 'static> Fault<E> {
    /// The error of a call of which nothing was sent.
    pub(crate) fn undone(self) -> CallError<E> {
        CallError { fault: self, maybe_done: false }
    }
}

impl<E: std::error::Error + 'static> From<NoTarget> for Fault<E> {
    fn from(no: NoTarget) -> Self {
        match no {
            NoTarget::Unproved => Self::Unproved,
            NoTarget::Explicit(url) => Self::Explicit(url),
        }
    }
}

/// The status of a daemon's refusal because it is no longer the daemon.
pub(crate) const IDENTITY_LOST: u16 = 503;

/// Whether the body of a 503 says that whoever was asked is not the daemon any more, and has done nothing.
pub(crate) fn says_identity_lost(status: u16, body: &[u8]) -> bool {
    status == IDENTITY_LOST
        && serde_json::from_slice::<Problem>(body)
            .is_ok_and(|problem| problem.code == ProblemCode::IdentityLost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_problem_document_of_a_503_says_that_the_identity_is_lost() {
        let lost = br#"{"status":503,"code":"identity_lost","title":"look for the present one"}"#;
        assert!(says_identity_lost(503, lost));
        assert!(!says_identity_lost(200, lost) && !says_identity_lost(500, lost));
        for other in [&b""[..], b"identity_lost", br#"{"status":503,"code":"internal","title":""}"#] {
            assert!(!says_identity_lost(503, other));
        }
    }
}
