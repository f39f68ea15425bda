//! What one connection has in flight, and who it is: what a drain waits for, and what keeps a place.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aileron_discovery::protocol::LEASE;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection that was made at the very moment at which a drain began is about to send its request, which can then be
/// answered (by a displaced daemon with "look again") instead of being reset. This long after it was accepted it is idle.
const FIRST_BYTE: Duration = Duration::from_millis(50);

/// No handshake, or a request after it.
const NEVER: u64 = u64::MAX;

/// What one connection has in flight.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) requests: AtomicUsize,
    /// The last write found the socket's buffer full.
    write_blocked: AtomicBool,
    /// Something was read.
    pub(super) has_spoken: AtomicBool,
    pub(super) drained: AtomicBool,
    /// A request came with the token.
    pub(super) has_token: AtomicBool,
    /// Milliseconds after `born` at which the last request ended.
    pub(super) quiet_since: AtomicU64,
    /// Milliseconds after `born` at which the answer to a handshake was made, if that was the last request.
    proved_at: AtomicU64,
    born: Instant,
}

impl Load {
    pub(super) fn new(born: Instant) -> Self {
        let load = Self {
            requests: AtomicUsize::new(0),
            write_blocked: AtomicBool::new(false),
            has_spoken: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            has_token: AtomicBool::new(false),
            quiet_since: AtomicU64::new(0),
            proved_at: AtomicU64::new(NEVER),
            born,
        };
        load.note_quiet();
        load
    }

    pub(super) fn has_token(&self) -> bool {
        self.has_token.load(Ordering::Acquire)
    }

    pub(super) fn quiet_since(&self) -> u64 {
        self.quiet_since.load(Ordering::Acquire)
    }

    fn now(&self) -> u64 {
        millis(self.born.elapsed())
    }

    fn note_quiet(&self) {
        self.quiet_since.store(self.now(), Ordering::Release);
    }

    pub(super) fn note_proof(&self) {
        self.proved_at.store(self.now(), Ordering::Release);
    }

    pub(super) fn forget_proof(&self) {
        self.proved_at.store(NEVER, Ordering::Release);
    }

    /// Whether a request is about to come, `age` after the connection was accepted and `draining` after the drain began:
    /// from whoever connected just now, and from whoever has just had us prove that we are the one to ask.
    pub(super) fn is_expected_to_speak(&self, age: Duration, draining: Duration) -> bool {
        if !self.has_spoken.load(Ordering::Acquire) {
            return age < FIRST_BYTE;
        }
        let proved_at = self.proved_at.load(Ordering::Acquire);
        proved_at != NEVER && draining < LEASE && self.now().saturating_sub(proved_at) < millis(LEASE)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Acquire) > 0 || self.write_blocked.load(Ordering::Acquire)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

pub(super) struct Busy(Arc<Load>);

impl Busy {
    pub(super) fn new(load: Arc<Load>) -> Self {
        load.requests.fetch_add(1, Ordering::AcqRel);
        Self(load)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // Before the count falls, so that nobody sees "quiet" with an old time.
        self.0.note_quiet();
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that keeps its connection busy until it is dropped.
pub(super) struct WithBusy<B> {
    pub(super) body: B,
    pub(super) _busy: Busy,
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
pub(super) struct Metered {
    pub(super) stream: TcpStream,
    pub(super) load: Arc<Load>,
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
