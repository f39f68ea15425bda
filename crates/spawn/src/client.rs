//! Asking the daemon from an async program: [`Client`]. With the cargo feature `client`.
//!
//! The same rules as [`call`](crate::call), over connections that are kept. Whatever connection carries a request, the
//! instance was proved on that very connection; before a request that must not be made twice it is proved anew, so that it
//! never meets a daemon that was just about to close.

mod body;
mod line;
mod pool;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aileron_discovery::StateDir;
use aileron_discovery::protocol::launch::in_one_line;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use tokio::time::{Instant, timeout_at};

pub use body::{ResponseBody, ResponseError};

use crate::ensure::EnsureOptions;
use crate::fault::{ClientError, Fault, IDENTITY_LOST, says_identity_lost};
use crate::launch::Launch;
use crate::retry::{Attempt, Repeat, Retry, Verdict};
use crate::target::Target;
use body::Collected;
use line::{Cut, Line};
use pool::Pool;

/// How long a whole call may take, unless it is said: as long as a start may.
const TIMEOUT: Duration = Duration::from_secs(30);

/// No answer of [`Client::request`] is longer, in bytes, unless it is said.
const CAP: usize = 16 * 1024 * 1024;

/// No problem document is longer, in bytes.
const MAX_PROBLEM: usize = 16 * 1024;

type ClientFault = Fault<crate::EnsureError>;

/// A client of a tool's daemon, for the embedder's own routes. Cheap to clone; clones share connections.
///
/// Nothing happens before the first request: that finds the daemon, or has one launched. Its connections are kept and used
/// again while the daemon is the same. When it has gone, or is no longer the daemon of its directory, the next request finds
/// the present one. A request is made once more, after resolving again, where that is safe: if it was not sent, if it was
/// refused with `identity_lost`, or, for an idempotent method, if the connection broke. Everything else is the caller's to
/// decide, and [`CallError::maybe_done`](crate::CallError::maybe_done) says by what.
///
/// The token is added to each request, on connections on which the instance was proved, and on no others. Literal addresses
/// only; no proxy variable is read, and no redirect followed.
///
/// # Platform notes
///
/// Needs a tokio runtime with its I/O and time drivers enabled, of either flavour. Finding and launching block, and are done
/// on a short-lived thread of their own and not on the runtime's pool, whose shutdown would wait for them.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    timeout: Duration,
    cap: usize,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("timeout", &self.timeout)
            .field("cap", &self.cap)
            .finish_non_exhaustive()
    }
}

/// What one call has to go by.
struct Call {
    request: Request<Bytes>,
    repeat: Repeat,
    began: Instant,
    deadline: Instant,
}

impl Call {
    fn too_late(&self, step: &'static str) -> ClientFault {
        Fault::Deadline { step, elapsed: self.began.elapsed() }
    }
}

/// Why one attempt has no answer, and what it was.
struct Failed {
    attempt: Attempt,
    fault: ClientFault,
    /// More attempts would not help.
    is_final: bool,
}

impl Failed {
    fn before_sending(fault: ClientFault) -> Self {
        Self { attempt: Attempt::NotSent, fault, is_final: true }
    }

    fn after_sending(fault: ClientFault) -> Self {
        Self { attempt: Attempt::Broken, fault, is_final: true }
    }
}

impl Client {
    /// A client of the daemon of `state_dir`, which is launched by `launch` and had by `options`. A call takes 30 s at most.
    pub fn new(state_dir: StateDir, launch: Launch, options: EnsureOptions) -> Self {
        Self { pool: Arc::new(Pool::new(state_dir, launch, options)), timeout: TIMEOUT, cap: CAP }
    }

    /// The same client, whose calls take this long at most: everything, a start included.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same client, for answers of so many bytes at most (16 MiB, unless it is said).
    #[must_use]
    pub fn with_cap(self, cap: usize) -> Self {
        Self { cap, ..self }
    }

    /// Asks, and reads the answer, whole.
    ///
    /// Of the request's target the path and query count; `Host`, `Authorization` and `Connection` are the client's to say.
    ///
    /// # Errors
    ///
    /// What kept the call from being answered, and whether it may have been acted upon. Every status is an answer, but the
    /// 503 of a daemon that is no longer the daemon.
    pub async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        let call = self.begin(request)?;
        let mut retry = Retry::new(call.repeat);
        loop {
            match self.whole(&call).await {
                Ok(response) => return Ok(response),
                Err(failed) => next(&mut retry, failed)?,
            }
        }
    }

    /// Asks, and hands over the answer as soon as its head has come: for server-sent events, say, or for large answers. The
    /// timeout ends there, and so does what is made once more. A body that is not read to its end closes its connection.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request); an answer that breaks off later is the body's error.
    pub async fn stream(&self, request: Request<Bytes>) -> Result<Response<ResponseBody>, ClientError> {
        let call = self.begin(request)?;
        let mut retry = Retry::new(call.repeat);
        loop {
            match self.head(&call).await {
                Ok((response, _)) => return Ok(response),
                Err(failed) => next(&mut retry, failed)?,
            }
        }
    }

    fn begin(&self, request: Request<Bytes>) -> Result<Call, ClientError> {
        let began = Instant::now();
        line::check(&request).map_err(|why| Fault::Request(why).undone())?;
        let repeat = Repeat::of(request.method().as_str());
        // As good as never, and still safe to add to any instant.
        let timeout = self.timeout.min(Duration::from_hours(24 * 365));
        Ok(Call { request, repeat, began, deadline: began + timeout })
    }

    async fn whole(&self, call: &Call) -> Result<Response<Bytes>, Failed> {
        let (response, target) = self.head(call).await?;
        let (head, mut body) = response.into_parts();
        let collected = timeout_at(call.deadline, body.collect(self.cap)).await;
        match collected.map_err(|_| Failed::after_sending(call.too_late("reading the answer")))? {
            Ok(Collected::Whole(bytes)) => {
                self.pool.keep(body.into_line());
                Ok(Response::from_parts(head, bytes))
            }
            Ok(Collected::TooLarge) => Err(Failed::after_sending(Fault::TooLarge { cap: self.cap })),
            Err(error) => {
                self.pool.forget(&target);
                Err(broken(&target, in_one_line(&error)))
            }
        }
    }

    /// One attempt, up to the head of its answer.
    async fn head(&self, call: &Call) -> Result<(Response<ResponseBody>, Arc<Target>), Failed> {
        let target = self.pool.target(call).await?;
        let outcome = match self.pool.line(&target, call).await {
            Ok(line) => exchange(call, &target, line).await,
            Err(failed) => Err(failed),
        };
        match outcome {
            Ok(response) => Ok((response, target)),
            Err(failed) => {
                self.pool.forget(&target);
                Err(failed)
            }
        }
    }
}

/// Why an attempt on which nothing was sent came to nothing.
fn unsent(target: &Target, why: String) -> Failed {
    let fault = Fault::KeepsLeaving { address: target.address, why };
    Failed { attempt: Attempt::NotSent, fault, is_final: false }
}

fn broken(target: &Target, why: String) -> Failed {
    let fault = Fault::NoAnswer { address: target.address, why };
    Failed { attempt: Attempt::Broken, fault, is_final: false }
}

/// Begins the next attempt, or ends the call.
fn next(retry: &mut Retry, failed: Failed) -> Result<(), ClientError> {
    let verdict = retry.after(failed.attempt);
    if verdict == Verdict::Again && !failed.is_final {
        return Ok(());
    }
    Err(ClientError { fault: failed.fault, maybe_done: retry.maybe_done() })
}

async fn exchange(call: &Call, target: &Target, mut line: Line) -> Result<Response<ResponseBody>, Failed> {
    let sent = timeout_at(call.deadline, line.send(&call.request)).await;
    let response = match sent.map_err(|_| Failed::after_sending(call.too_late("waiting for the answer")))? {
        Ok(response) => response,
        Err(Cut::Unsent(why)) => return Err(unsent(target, why)),
        Err(Cut::Sent(why)) => return Err(broken(target, why)),
    };
    let may_be_loss = response.status() == IDENTITY_LOST
        && response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    let mut response = response.map(|body| ResponseBody::new(body, line));
    if may_be_loss {
        let looked = timeout_at(call.deadline, response.body_mut().look_ahead(MAX_PROBLEM)).await;
        let problem = looked
            .map_err(|_| Failed::after_sending(call.too_late("reading the answer")))?
            .map_err(|error| broken(target, in_one_line(&error)))?;
        if says_identity_lost(IDENTITY_LOST, problem) {
            let why = "it is no longer the daemon of its directory".to_owned();
            let fault = Fault::KeepsLeaving { address: target.address, why };
            return Err(Failed { attempt: Attempt::IdentityLost, fault, is_final: false });
        }
    }
    Ok(response)
}
