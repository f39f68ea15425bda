//! Accepting, serving and draining connections.
//!
//! Our own loop and not `axum::serve`, which never ends while one client has sent half a request line (axum#2611). What is
//! *in flight* here is a request whose head has arrived and whose response has not left yet; half a head, an idle
//! keep-alive or a connection that never spoke is not, and is dropped when a drain begins.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aileron_discovery::failpoint;
use aileron_discovery::protocol::{LEASE, route};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::shared::{Message, Phase, Shared};
use crate::sys;

/// More connections than this wait in the backlog.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// A connection that has not sent a whole request head for this long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// No descriptor left: nothing is gained by asking again at once.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Accepting has failed for good after this many failures in a row.
const MAX_FAILURES: u32 = 1000;

/// A connection that was made at the very moment at which a drain began is about to send its request, which can then be
/// answered (by a displaced daemon with "look again") instead of being reset. This long after it was accepted it is idle.
const FIRST_BYTE: Duration = Duration::from_millis(50);

/// During a drain: how often a connection is looked at whether it still has something in flight.
const DRAIN_TICK: Duration = Duration::from_millis(5);

/// Accepts until the phase says otherwise; returns once the listener is closed and every connection has ended.
pub(crate) async fn serve(listener: TcpListener, api: Api, shared: Arc<Shared>) {
    let mut acceptor = Acceptor {
        listener,
        api,
        phase: shared.phase.subscribe(),
        connections: TaskTracker::new(),
        places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        shared,
    };
    acceptor.accept_while_serving().await;
    acceptor.empty_backlog();
    let Acceptor { listener, connections, .. } = acceptor;
    drop(listener);
    failpoint!("listener_closed");
    connections.close();
    connections.wait().await;
}

struct Acceptor {
    listener: TcpListener,
    api: Api,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    connections: TaskTracker,
    places: Arc<Semaphore>,
}

impl Acceptor {
    async fn accept_while_serving(&mut self) {
        let mut refuted = false;
        let mut failures = 0;
        loop {
            let phase = *self.phase.borrow_and_update();
            match phase {
                Phase::Serving => refuted = false,
                // Refuted once, it stays so until the keeper has heard.
                Phase::IdleCheck if refuted => {}
                Phase::IdleCheck if self.empty_backlog() > 0 || self.shared.activity.in_flight() > 0 => {
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
                accepted = accept(&self.listener, &self.places) => match accepted {
                    Ok((stream, place)) => {
                        failures = 0;
                        self.attend(stream, place);
                    }
                    Err(error) if sys::is_exhausted(&error) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
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
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            match self.listener.poll_accept(&mut cx) {
                Poll::Ready(Ok((stream, _))) => {
                    self.attend(stream, place);
                    taken += 1;
                }
                Poll::Ready(Err(error)) if !sys::is_exhausted(&error) => {}
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        taken
    }

    fn attend(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        if stream.set_nodelay(true).is_err() { /* slower answers, nothing worse */ }
        let connection = attend(stream, self.api.clone(), self.phase.clone());
        self.connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Serves one connection to its end, or to the end of what it has in flight once a drain begins.
async fn attend(stream: TcpStream, api: Api, mut phase: watch::Receiver<Phase>) {
    let accepted = Instant::now();
    let load = Arc::new(Load::new());
    let requests = Arc::clone(&load);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let busy = Busy::new(Arc::clone(&requests));
        let is_proof = request.uri().path() == route::HANDSHAKE;
        requests.proved_at.store(NEVER, Ordering::Release);
        let answer = api.clone().answer(request);
        let load = Arc::clone(&requests);
        async move {
            let response = answer.await?;
            if is_proof && response.status() == hyper::StatusCode::OK {
                load.proved_at.store(millis(accepted.elapsed()), Ordering::Release);
            }
            Ok::<_, std::convert::Infallible>(response.map(|body| WithBusy { body, _busy: busy }))
        }
    });
    let io = TokioIo::new(Metered { stream, load: Arc::clone(&load) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        // First: what has already arrived is read before a drain closes the connection.
        biased;
        _ = connection.as_mut() => return,
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
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
    while load.is_busy() || !tried_once(&load) {
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

/// What one connection has in flight.
#[derive(Debug, Default)]
struct Load {
    requests: AtomicUsize,
    /// The last write found the socket's buffer full.
    write_blocked: AtomicBool,
    /// Something was read.
    has_spoken: AtomicBool,
    drained: AtomicBool,
    /// When the answer to a handshake was made, if that was the last request: milliseconds after the connection was accepted.
    proved_at: AtomicU64,
}

/// No handshake, or a request after it.
const NEVER: u64 = u64::MAX;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

impl Load {
    fn new() -> Self {
        Self { proved_at: AtomicU64::new(NEVER), ..Self::default() }
    }

    /// Whether a request is about to come, `age` after the connection was accepted and `draining` after the drain began:
    /// from whoever connected just now, and from whoever has just had us prove that we are the one to ask.
    fn is_expected_to_speak(&self, age: Duration, draining: Duration) -> bool {
        if !self.has_spoken.load(Ordering::Acquire) {
            return age < FIRST_BYTE;
        }
        let proved_at = self.proved_at.load(Ordering::Acquire);
        proved_at != NEVER && draining < LEASE && millis(age).saturating_sub(proved_at) < millis(LEASE)
    }

    fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Acquire) > 0 || self.write_blocked.load(Ordering::Acquire)
    }
}

struct Busy(Arc<Load>);

impl Busy {
    fn new(load: Arc<Load>) -> Self {
        load.requests.fetch_add(1, Ordering::AcqRel);
        Self(load)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that keeps its connection busy until it is dropped.
struct WithBusy<B> {
    body: B,
    _busy: Busy,
}

impl<B: http_body::Body + Unpin> http_body::Body for WithBusy<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The stream, with an eye on whether the peer takes what it is sent: hyper drops a body when it has buffered its end, so
/// a response that the peer has not taken yet is seen here alone.
struct Metered {
    stream: TcpStream,
    load: Arc<Load>,
}

impl Metered {
    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.load.write_blocked.store(poll.is_pending(), Ordering::Release);
        poll
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if poll.is_ready() {
            self.load.has_spoken.store(true, Ordering::Release);
        }
        poll
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
