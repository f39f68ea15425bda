//! Accepting, serving and draining connections.
//!
//! Our own loop and not `axum::serve`, which never ends while one client has sent half a request line (axum#2611). What is
//! *in flight* here is a request whose head has arrived and whose response has not left yet; half a head, an idle
//! keep-alive or a connection that never spoke is not, and is dropped when a drain begins. Who goes when too many have
//! come is said in [`places`].
//!
//! A connection's task is polled for each request, so it waits for its connection alone. Whatever else concerns it (a drain
//! has begun, it takes too long for a request head) it is called for, and looks once it has read what has arrived.

mod load;
mod places;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aileron_discovery::failpoint;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub(crate) use self::load::Busy;
use self::load::{Load, Metered};
pub(crate) use self::places::MOST;
use self::places::{Places, Whom};
use crate::api::Api;
use crate::routes::Routes;
use crate::shared::{Message, Phase, Shared};
use crate::sys;

/// No descriptor left: nothing is gained by asking again at once.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Accepting has failed for good after this many failures in a row.
const MAX_FAILURES: u32 = 1000;

/// During a drain: how long whoever has not shown the token may take for what is in flight. That is a handshake or a health
/// check, which takes no time but for a body that is kept back.
const UNKNOWN: Duration = Duration::from_millis(500);

/// During a drain: how often a connection is looked at whether it still has something in flight.
const DRAIN_TICK: Duration = Duration::from_millis(5);

/// Accepts until the phase says otherwise; returns once the listener is closed and every connection has ended.
pub(crate) async fn serve<R: Routes>(listener: TcpListener, api: Api<R>, shared: Arc<Shared>) {
    let mut acceptor = Acceptor {
        listener,
        api,
        phase: shared.phase.subscribe(),
        connections: TaskTracker::new(),
        places: Places::new(),
        next: None,
        shared,
    };
    let places = Arc::clone(&acceptor.places);
    tokio::select! {
        () = acceptor.accept_while_serving() => {}
        never = places.call_the_late() => match never {},
    }
    acceptor.empty_backlog();
    let Acceptor { listener, connections, mut phase, .. } = acceptor;
    drop(listener);
    failpoint!("listener_closed");
    connections.close();
    // An end may have been agreed on, or accepting have failed, before the keeper has said so.
    if phase.wait_for(|phase| *phase >= Phase::Draining).await.is_err() { /* the daemon is gone altogether */
    }
    places.call_all();
    connections.wait().await;
}

struct Acceptor<R> {
    listener: TcpListener,
    api: Api<R>,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    connections: TaskTracker,
    places: Arc<Places>,
    /// It was accepted, and there is no place for it yet.
    next: Option<TcpStream>,
}

impl<R: Routes> Acceptor<R> {
    async fn accept_while_serving(&mut self) {
        let mut refuted = false;
        let mut failures = 0;
        loop {
            let phase = *self.phase.borrow_and_update();
            match phase {
                Phase::Serving => refuted = false,
                // Refuted once, it stays so until the keeper has heard.
                Phase::IdleCheck if refuted => {}
                Phase::IdleCheck
                    if self.next.is_some()
                        || self.empty_backlog() > 0
                        || self.shared.activity.in_flight() > 0 =>
                {
                    refuted = true;
                    self.shared.inbox.send(Message::IdleRefuted);
                }
                Phase::IdleCheck => {
                    self.shared.inbox.send(Message::IdleConfirmed);
                    return;
                }
                Phase::Draining | Phase::Ended => return,
            }
            tokio::select! {
                () = self.places.make_room(), if self.next.is_some() => self.attend_next(),
                accepted = self.listener.accept(), if self.next.is_none() => match accepted {
                    Ok((stream, _)) => {
                        failures = 0;
                        self.next = Some(stream);
                    }
                    // There are places, so it is not the connections that use up the descriptors: to send away who has the
                    // token might free none.
                    Err(error) if sys::is_exhausted(&error) => {
                        self.places.free_one(Whom::Unknown, EXHAUSTED_PAUSE).await;
                    }
                    // A connection that was gone before it was accepted (accept(2)) is followed by a better one; a
                    // listener that gives nothing else is broken.
                    Err(error) if failures == MAX_FAILURES => {
                        return self.shared.inbox.send(Message::ServeFailed(error.to_string()));
                    }
                    Err(error) => {
                        failures += 1;
                        tracing::debug!(%error, "cannot accept a connection");
                    }
                },
                changed = self.phase.changed() => {
                    refuted = false;
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Takes what waits in the backlog, which closing the listener would reset. Returns how many there were.
    fn empty_backlog(&mut self) -> usize {
        let mut taken = 0;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            if self.next.is_some() && self.places.has_room() {
                self.attend_next();
            }
            if self.next.is_some() {
                return taken;
            }
            match self.listener.poll_accept(&mut cx) {
                Poll::Ready(Ok((stream, _))) => {
                    self.next = Some(stream);
                    taken += 1;
                }
                Poll::Ready(Err(error)) if !sys::is_exhausted(&error) => {}
                Poll::Ready(Err(_)) | Poll::Pending => return taken,
            }
        }
    }

    fn attend_next(&mut self) {
        let Some(stream) = self.next.take() else { return };
        if stream.set_nodelay(true).is_err() { /* slower answers, nothing worse */ }
        let load = Arc::new(Load::new(Arc::clone(&self.shared.activity)));
        let place = self.places.take(Arc::clone(&load));
        let number = place.number();
        let connection = attend(stream, load, self.api.clone(), self.phase.clone());
        let task = self.connections.spawn(async move {
            connection.await;
            drop(place);
        });
        self.places.lend(number, task.abort_handle());
    }
}

/// Serves one connection to its end, or to the end of what it has in flight once a drain begins.
async fn attend<R: Routes>(stream: TcpStream, load: Arc<Load>, api: Api<R>, phase: watch::Receiver<Phase>) {
    let accepted = Instant::now();
    let requests = Arc::clone(&load);
    let service = service_fn(move |request| api.answer(request, Busy::new(&requests)));
    let io = TokioIo::new(Metered { stream, load: Arc::clone(&load) });
    // No time-out of hyper's: it makes, registers and removes a timer for each request (see `Places::call_the_late`).
    let connection = http1::Builder::new().header_read_timeout(None).serve_connection(io, service);
    let mut connection = pin!(connection);
    let is_drained = poll_fn(|cx| {
        // First: what has already arrived is read before a drain closes the connection.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        if !load.take_call(cx) {
            return Poll::Pending;
        }
        match *phase.borrow() {
            Phase::Draining | Phase::Ended => Poll::Ready(true),
            _ if load.head_may_take().is_zero() => Poll::Ready(false),
            Phase::Serving | Phase::IdleCheck => Poll::Pending,
        }
    });
    if !is_drained.await {
        return;
    }
    // hyper closes an idle connection, and one that has not spoken yet, as soon as it is told to shut down.
    let began = Instant::now();
    while load.is_expected_to_speak(accepted.elapsed(), began.elapsed()) {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    let drains_since = Instant::now();
    let may_finish = || load.is_busy() && (load.has_token() || drains_since.elapsed() < UNKNOWN);
    while may_finish() || !tried_once(&load) {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(DRAIN_TICK) => {}
        }
    }
}

/// Gives a connection that is closing by itself one tick to do so.
fn tried_once(load: &Load) -> bool {
    load.drained.swap(true, Ordering::AcqRel)
}
