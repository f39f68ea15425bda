//! What a service manager is told: ready, alive, stopping (`sd_notify(3)`).
//!
//! *Ready* is said where a launcher would be told too: the record is published and the address bound. *Stopping* is said by
//! the keeper when it decides an end, so that a jammed runtime does not keep it back.
//!
//! *Alive* goes through both threads, for it must prove both. The runtime's timer sends the keeper a message, and the keeper
//! tells the service manager. If only the keeper spoke, a daemon whose handler blocks for ever would be in good health and
//! serve nobody (sutando#2252); if only the runtime spoke, one that no longer notices its displacement would be.
//!
//! Nothing here can hold up or end the daemon: no call blocks, and a service manager that is gone is no error. The messages
//! are written here and not with the `sd-notify` crate, whose `send` blocks, reads the variable each time (so that it cannot
//! be taken from the environment) and takes the name of an abstract socket for a path (0.5.0).

use std::time::{Duration, Instant};

use aileron_discovery::Advertisement;

use crate::ShutdownReason;
use crate::config::{Config, ServiceManager};
use crate::sys::{self, NotifySocket};

/// What a service manager sets (`sd_notify(3)`, `sd_watchdog_enabled(3)`). Taken from the environment, or every child could
/// speak for the daemon.
const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// How long a service manager with a full socket is waited for, once, with the one message that it must not miss.
const READY_PATIENCE: Duration = Duration::from_secs(1);

/// How often a full socket is tried.
const RETRY: Duration = Duration::from_millis(10);

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<NotifySocket>,
    watchdog: Option<Duration>,
    fault: Option<String>,
}

impl Notifier {
    /// Takes the service manager's variables from the environment, if the configuration says so. To be called before the
    /// first thread is started: with others about, the environment is left as it is.
    pub(crate) fn of(config: &Config) -> Self {
        if config.service_manager == ServiceManager::Ignored {
            return Self::default();
        }
        let [socket, interval, pid] = sys::take_variables(VARIABLES);
        let Some(name) = socket.filter(|name| !name.is_empty()) else { return Self::default() };
        let text = |value: Option<std::ffi::OsString>| value.and_then(|value| value.into_string().ok());
        let watchdog = watchdog(text(interval).as_deref(), text(pid).as_deref(), std::process::id());
        match NotifySocket::open(&name) {
            Ok(socket) => Self { socket: Some(socket), watchdog, fault: None },
            Err(error) => {
                let fault = format!("NOTIFY_SOCKET={}: {error}", name.to_string_lossy());
                Self { fault: Some(fault), ..Self::default() }
            }
        }
    }

    /// Says once, in the log, why the service manager will hear nothing.
    pub(crate) fn say_fault(&self) {
        if let Some(fault) = &self.fault {
            tracing::warn!(
                event = "no_service_manager",
                fault,
                "the service manager cannot be told anything"
            );
        }
    }

    /// How often [`alive`](Self::alive) is due; `None` where nobody waits for it.
    pub(crate) fn pulse(&self) -> Option<Duration> {
        // Half of the time that the service manager gives, as `sd_watchdog_enabled(3)` asks.
        self.socket.as_ref().and(self.watchdog).map(|interval| interval / 2)
    }

    /// The record is published.
    pub(crate) fn ready(&self, record: &Advertisement) {
        let text = format!("READY=1\nMAINPID={}\nSTATUS=serving at {}\n", record.pid, record.url);
        let began = Instant::now();
        while self.try_send(&text) == Sent::TryAgain && began.elapsed() < READY_PATIENCE {
            std::thread::sleep(RETRY);
        }
    }

    /// Both threads do their work.
    pub(crate) fn alive(&self) {
        self.try_send("WATCHDOG=1\n");
    }

    /// An end was decided.
    pub(crate) fn stopping(&self, reason: ShutdownReason) {
        self.try_send(&format!("STOPPING=1\nSTATUS=draining: {reason}\n"));
    }

    fn try_send(&self, text: &str) -> Sent {
        let Some(socket) = &self.socket else { return Sent::Over };
        match socket.send(text) {
            Ok(()) => Sent::Over,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Sent::TryAgain,
            Err(error) => {
                tracing::debug!(%error, "the service manager does not hear");
                Sent::Over
            }
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Sent, or nobody is there to hear it.
    Over,
    /// The socket is full.
    TryAgain,
}

/// The watchdog's interval, if it is meant for this process (`sd_watchdog_enabled(3)`).
pub(crate) fn watchdog(interval: Option<&str>, for_pid: Option<&str>, pid: u32) -> Option<Duration> {
    let micros = interval?.parse().ok().filter(|micros| *micros > 0)?;
    let is_ours = for_pid.is_none_or(|text| text.parse() == Ok(pid));
    is_ours.then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_kept_by_whom_it_is_meant_for() {
        assert_eq!(watchdog(Some("2000000"), None, 7), Some(Duration::from_secs(2)));
        assert_eq!(watchdog(Some("2000000"), Some("7"), 7), Some(Duration::from_secs(2)));
        for (interval, pid) in
            [(None, None), (Some("0"), None), (Some("soon"), None), (Some("2000000"), Some("8"))]
        {
            assert_eq!(watchdog(interval, pid, 7), None, "{interval:?} {pid:?}");
        }
    }
}
