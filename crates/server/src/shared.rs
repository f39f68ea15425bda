//! What the runtime's thread and the keeper both see.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use aileron_discovery::protocol::control::{DaemonOptions, DaemonState, WatcherView};
use aileron_discovery::{
    Advertisement, Epoch, InstanceId, NotOwner, Ownership, PublishError, StateDir, Token,
};
use tokio::sync::{oneshot, watch};

use crate::activity::Activity;
use crate::events::EventHub;
use crate::guard::OwnAddress;
use crate::notify::Notifier;
use crate::sys::Bell;

/// What the runtime is told. It only ever moves down this list, but for an idle check that found somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serve.
    Serving,
    /// Nobody has used the daemon for the idle time-out: look into the backlog, and close the listener if it is empty.
    IdleCheck,
    /// Stop accepting; let what is in flight finish.
    Draining,
    /// It is over: drop everything.
    Ended,
}

/// What the keeper is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// A stop request was accepted.
    StopRequested,
    /// The fence found that this may not be the daemon any more.
    LookNow,
    /// The service is ready: publish, and say how it went.
    Publish(Box<Advertisement>, SyncSender<Result<Advertisement, PublishError>>),
    /// A receiver has seen this epoch: take a larger one, if this is still the owner.
    RenewEpoch(Epoch, oneshot::Sender<Result<Epoch, NotOwner>>),
    /// The listener was closed with nobody in the backlog.
    IdleConfirmed,
    /// Somebody was in the backlog.
    IdleRefuted,
    /// Nothing is in flight any more.
    Drained,
    /// The service cannot go on.
    ServeFailed(String),
    /// A vital task ended.
    VitalTaskEnded(String),
    /// The runtime is at work: tell the service manager that the keeper is, too.
    Pulse,
    /// The log has reached its cap.
    LogIsFull,
    /// The runtime is gone; nothing of it is left.
    RuntimeGone,
}

/// The keeper's letter box. Once closed, it drops what it is sent, and with it whatever an answer was awaited on.
#[derive(Debug)]
pub(crate) struct Inbox {
    messages: Mutex<Option<Vec<Message>>>,
    pub(crate) bell: Bell,
}

impl Inbox {
    pub(crate) fn new(bell: Bell) -> Self {
        Self { messages: Mutex::new(Some(Vec::new())), bell }
    }

    pub(crate) fn send(&self, message: Message) {
        if let Some(messages) = self.messages.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            messages.push(message);
        }
        self.bell.ring();
    }

    pub(crate) fn take(&self) -> Vec<Message> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn close(&self) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// One daemon's facts and channels.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state_dir: StateDir,
    pub(crate) ownership: Ownership,
    pub(crate) token: Token,
    pub(crate) instance: InstanceId,
    pub(crate) address: OnceLock<OwnAddress>,
    pub(crate) started: Instant,
    pub(crate) started_at: String,
    pub(crate) options: DaemonOptions,
    pub(crate) notifier: Notifier,
    pub(crate) activity: Arc<Activity>,
    pub(crate) events: EventHub,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) watcher: Mutex<WatcherView>,
    pub(crate) record_fault: Mutex<Option<String>>,
    /// Milliseconds after `started` of the keeper's last look.
    pub(crate) last_look: AtomicU64,
    state: AtomicU8,
}

impl Shared {
    pub(crate) fn new(parts: SharedParts) -> Self {
        Self {
            state_dir: parts.state_dir,
            ownership: parts.ownership,
            token: parts.token,
            instance: parts.instance,
            address: OnceLock::new(),
            started: Instant::now(),
            started_at: crate::log::now(),
            options: parts.options,
            notifier: parts.notifier,
            activity: Arc::new(Activity::new()),
            events: EventHub::new(),
            inbox: parts.inbox,
            phase: watch::Sender::new(Phase::Serving),
            watcher: Mutex::new(WatcherView {
                mode: "poll".to_owned(),
                interval_ms: 0,
                missing: Vec::new(),
                last_look_ms: 0,
            }),
            record_fault: Mutex::new(None),
            last_look: AtomicU64::new(0),
            state: AtomicU8::new(0),
        }
    }

    pub(crate) fn state(&self) -> DaemonState {
        match self.state.load(Ordering::Acquire) {
            0 => DaemonState::Starting,
            1 => DaemonState::Ready,
            _ => DaemonState::Draining,
        }
    }

    /// States only ever advance.
    pub(crate) fn advance(&self, to: DaemonState) {
        let rank = match to {
            DaemonState::Starting => 0,
            DaemonState::Ready => 1,
            DaemonState::Draining => 2,
        };
        self.state.fetch_max(rank, Ordering::AcqRel);
    }

    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a [`Shared`] is made of.
#[derive(Debug)]
pub(crate) struct SharedParts {
    pub(crate) state_dir: StateDir,
    pub(crate) ownership: Ownership,
    pub(crate) token: Token,
    pub(crate) instance: InstanceId,
    pub(crate) options: DaemonOptions,
    pub(crate) notifier: Notifier,
    pub(crate) inbox: Arc<Inbox>,
}
