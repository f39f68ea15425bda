//! What one connection has in flight, and who it is: what a drain waits for, what keeps a place, and how it is called.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aileron_discovery::protocol::LEASE;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::activity::Activity;

/// A connection that has not sent a whole request head for this long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that was made at the very moment at which a drain began is about to send its request, which can then be
/// answered (by a displaced daemon with "look again") instead of being reset. This long after it was accepted it is idle.
const FIRST_BYTE: Duration = Duration::from_millis(50);

/// No handshake, or a request after it.
const NEVER: u64 = u64::MAX;

/// What one connection has in flight.
#[derive(Debug)]
pub(crate) struct Load {
    pub(super) requests: AtomicUsize,
    /// The last write found the socket's buffer full.
    pub(super) write_blocked: AtomicBool,
    /// Something was read.
    has_spoken: AtomicBool,
    pub(super) drained: AtomicBool,
    /// A request came with the token.
    pub(super) has_token: AtomicBool,
    /// When the last request ended, or the connection was accepted, in milliseconds as `activity` counts them.
    pub(super) quiet_since: AtomicU64,
    /// When the answer to a handshake was made, if that was the last request.
    proved_at: AtomicU64,
    /// It is to look what it was called for.
    is_called: AtomicBool,
    /// Of the task that serves it.
    waker: Mutex<Option<Waker>>,
    activity: Arc<Activity>,
}

impl Load {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            write_blocked: AtomicBool::new(false),
            has_spoken: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            has_token: AtomicBool::new(false),
            quiet_since: AtomicU64::new(activity.now()),
            proved_at: AtomicU64::new(NEVER),
            is_called: AtomicBool::new(false),
            waker: Mutex::new(None),
            activity,
        }
    }

    pub(super) fn has_token(&self) -> bool {
        self.has_token.load(Ordering::Acquire)
    }

    /// A request came with the token.
    pub(crate) fn note_token(&self) {
        self.has_token.store(true, Ordering::Release);
    }

    pub(super) fn quiet_since(&self) -> u64 {
        self.quiet_since.load(Ordering::Acquire)
    }

    pub(crate) fn note_proof(&self) {
        self.proved_at.store(self.activity.now(), Ordering::Release);
    }

    /// Whether a request is about to come, `age` after the connection was accepted and `draining` after the drain began:
    /// from whoever connected just now, and from whoever has just had us prove that we are the one to ask.
    pub(super) fn is_expected_to_speak(&self, age: Duration, draining: Duration) -> bool {
        if !self.has_spoken.load(Ordering::Acquire) {
            return age < FIRST_BYTE;
        }
        let proved_at = self.proved_at.load(Ordering::Acquire);
        proved_at != NEVER
            && draining < LEASE
            && self.activity.now().saturating_sub(proved_at) < millis(LEASE)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Acquire) > 0 || self.write_blocked.load(Ordering::Acquire)
    }

    /// How much longer the next whole head may take to come: all the time, while a request is in flight or the peer is slow
    /// to take a response.
    pub(super) fn head_may_take(&self) -> Duration {
        if self.is_busy() {
            return HEAD_TIMEOUT;
        }
        let quiet = Duration::from_millis(self.activity.now().saturating_sub(self.quiet_since()));
        HEAD_TIMEOUT.saturating_sub(quiet)
    }

    /// Has the connection's task look what it is called for, after it has read what has arrived.
    pub(super) fn call(&self) {
        self.is_called.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether it was called since this was last asked; if not, the task is woken when it is.
    pub(super) fn take_call(&self, cx: &Context<'_>) -> bool {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none @ None => *none = Some(cx.waker().clone()),
        }
        self.is_called.load(Ordering::Acquire) && self.is_called.swap(false, Ordering::AcqRel)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

/// A request in flight on its connection, from its head to the end of its response.
#[derive(Debug)]
pub(crate) struct Busy {
    load: Arc<Load>,
    /// It counts among those that use the daemon.
    is_use: bool,
}

impl Busy {
    pub(crate) fn new(load: &Arc<Load>) -> Self {
        load.requests.fetch_add(1, Ordering::AcqRel);
        load.proved_at.store(NEVER, Ordering::Release);
        Self { load: Arc::clone(load), is_use: false }
    }

    /// From now on it counts as use of the daemon, too.
    pub(crate) fn note_use(&mut self) {
        if !self.is_use {
            self.is_use = true;
            self.load.activity.begin();
        }
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // Before the counts fall, so that nobody sees "quiet", or "idle", with an old time.
        let now = self.load.activity.now();
        self.load.quiet_since.store(now, Ordering::Release);
        if self.is_use {
            self.load.activity.end(now);
        }
        self.load.requests.fetch_sub(1, Ordering::AcqRel);
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
        let load = &self.load;
        // A response that has been waited for ends now, and not when hyper had the whole of it. Told before it is over.
        if poll.is_ready() && load.write_blocked.load(Ordering::Acquire) {
            load.quiet_since.store(load.activity.now(), Ordering::Release);
        }
        load.write_blocked.store(poll.is_pending(), Ordering::Release);
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
