//! Who is asked, and the connections to it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aileron_discovery::{Deadline, StateDir};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::{Instant, timeout_at};

use super::line::Line;
use super::{Call, ClientFault, Failed, unsent};
use crate::ensure::{EnsureOptions, ensure_running};
use crate::exchange::{HANDSHAKE, PROOFS};
use crate::fault::Fault;
use crate::launch::Launch;
use crate::retry::Repeat;
use crate::target::Target;

/// How many connections are kept for later.
const KEPT: usize = 8;

/// How much longer a resolver is heard out: it keeps the deadline by itself, and its error says more than ours.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What the clones of a client share.
pub(super) struct Pool {
    how: Arc<How>,
    /// Who is asked, once somebody was found.
    known: Mutex<Option<Arc<Target>>>,
    /// Held while resolving, so that a herd of tasks resolves once.
    resolving: AsyncMutex<()>,
    kept: Mutex<Vec<Line>>,
}

struct How {
    state_dir: StateDir,
    launch: Launch,
    options: EnsureOptions,
}

impl Pool {
    pub(super) fn new(state_dir: StateDir, launch: Launch, options: EnsureOptions) -> Self {
        let how = Arc::new(How { state_dir, launch, options });
        Self { how, known: Mutex::default(), resolving: AsyncMutex::default(), kept: Mutex::default() }
    }

    /// Whom to ask.
    pub(super) async fn target(&self, call: &Call) -> Result<Arc<Target>, Failed> {
        if let Some(target) = &*locked(&self.known) {
            return Ok(Arc::clone(target));
        }
        let late =
            |_| Failed::before_sending(call.too_late("waiting for another request to find the daemon"));
        let _alone = timeout_at(call.deadline, self.resolving.lock()).await.map_err(late)?;
        if let Some(target) = &*locked(&self.known) {
            return Ok(Arc::clone(target));
        }
        let resolved = timeout_at(call.deadline + LAST_WORD, resolve(Arc::clone(&self.how), call.deadline));
        let late = |_| Failed::before_sending(call.too_late("finding the daemon"));
        let target = Arc::new(resolved.await.map_err(late)?.map_err(Failed::before_sending)?);
        *locked(&self.known) = Some(Arc::clone(&target));
        Ok(target)
    }

    /// That one is not the one to ask any more.
    pub(super) fn forget(&self, target: &Arc<Target>) {
        locked(&self.kept).retain(|line| !line.is_of(target));
        let mut known = locked(&self.known);
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, target)) {
            *known = None;
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn keep(&self, line: Line) {
        let mut kept = locked(&self.kept);
        if line.is_proved() && !line.is_closed() && kept.len() < KEPT {
            kept.push(line);
        }
    }

    /// A connection for this request: a kept one if it serves, else a new one.
    pub(super) async fn line(&self, target: &Arc<Target>, call: &Call) -> Result<Line, Failed> {
        while let Some(mut line) = self.take(target) {
            // A request that can be made twice need not know beforehand whether anybody is there.
            if call.repeat == Repeat::Harmless || lease(&mut line, call).await.is_ok() {
                return Ok(line);
            }
        }
        let mut line = open(target, call).await?;
        if target.record.is_none() {
            // Its record may be there the next time, and with it the proof that the token goes by.
            self.forget(target);
            return Ok(line);
        }
        match lease(&mut line, call).await {
            Ok(()) => Ok(line),
            // The user has named the address, so it is asked, and not told the token.
            Err(_) if target.is_explicit => {
                self.forget(target);
                open(target, call).await
            }
            Err(why) if Instant::now() < call.deadline => Err(unsent(target, why)),
            Err(_) => Err(Failed::before_sending(call.too_late("proving the instance"))),
        }
    }

    fn take(&self, target: &Arc<Target>) -> Option<Line> {
        let mut kept = locked(&self.kept);
        kept.retain(|line| line.is_of(target) && !line.is_closed());
        kept.pop()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn open(target: &Arc<Target>, call: &Call) -> Result<Line, Failed> {
    let soon = call.deadline.min(Instant::now() + HANDSHAKE);
    match timeout_at(soon, Line::open(target)).await {
        Ok(Ok(line)) => Ok(line),
        Ok(Err(error)) => Err(unsent(target, error.to_string())),
        Err(_) if Instant::now() < call.deadline => {
            Err(unsent(target, "it accepts no connection".to_owned()))
        }
        Err(_) => Err(Failed::before_sending(call.too_late("connecting"))),
    }
}

/// Has the instance proved, so that what is sent next on this connection is answered.
async fn lease(line: &mut Line, call: &Call) -> Result<(), String> {
    for _ in 0..PROOFS {
        if line.has_lease() {
            break;
        }
        let soon = call.deadline.min(Instant::now() + HANDSHAKE);
        timeout_at(soon, line.prove()).await.map_err(|_| "the handshake is not answered".to_owned())??;
    }
    Ok(())
}

/// Finds the daemon, or has one launched, on a thread of its own.
async fn resolve(how: Arc<How>, deadline: Instant) -> Result<Target, ClientFault> {
    let left = Deadline::after(deadline.saturating_duration_since(Instant::now()));
    let (answer, answered) = oneshot::channel();
    let find = move || {
        let ensured = ensure_running(&how.state_dir, &how.launch, &how.options, left);
        let target = ensured
            .map_err(Fault::Resolve)
            .and_then(|ensured| Target::of(&how.state_dir, ensured.into()).map_err(Fault::from));
        let _nobody_waits_any_more = answer.send(target);
    };
    let system = |source| Fault::System { step: "find the daemon on a thread of its own", source };
    std::thread::Builder::new().name("aileron-resolver".to_owned()).spawn(find).map_err(system)?;
    answered.await.unwrap_or_else(|_| Err(system(io::Error::other("it panicked"))))
}
