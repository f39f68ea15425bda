//! What a daemon is told at its start.

use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use aileron_discovery::protocol::control::DaemonOptions;

/// The shortest poll interval that may be set.
pub const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The longest poll interval that may be set.
pub const MAX_POLL_INTERVAL: Duration = Duration::from_hours(24);

/// The longest drain and idle time-out that may be set.
pub const MAX_TIMEOUT: Duration = Duration::from_hours(24 * 365);

/// Whether file events are used beside the poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEvents {
    /// Where the platform has them.
    On,
    /// The poll alone.
    Off,
}

/// Whether a service manager is told how the daemon does (`sd_notify(3)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceManager {
    /// No: whoever launched the daemon has another way to hear of it.
    Ignored,
    /// The one that `NOTIFY_SOCKET` names, if it names one: ready, stopping, and alive if `WATCHDOG_USEC` asks for it.
    ///
    /// [`serve`](crate::serve) takes both variables from the environment, so that no child speaks for the daemon. Where the
    /// process has another thread by then, it leaves them there.
    ///
    /// # Platform notes
    ///
    /// On Linux only; elsewhere nobody is told.
    Told,
}

/// The configuration of a daemon. [`Config::new`] gives the documented defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen: loopback only. Default `127.0.0.1:0`, a port of the system's choice.
    pub bind: SocketAddr,
    /// End after this long without use. Default: never.
    pub idle_timeout: Option<Duration>,
    /// How long accepted requests may take to finish at an end. Default 10 s.
    pub drain_timeout: Duration,
    /// How often to look at the lock, events or not. Default: 5 s with all events armed, else 1 s.
    pub lock_poll_interval: Option<Duration>,
    /// Whether file events shorten the poll.
    pub file_events: FileEvents,
    /// The size in bytes at which the log is rotated. Default 10 MiB.
    pub log_max_size: u64,
    /// Whether a service manager is told. Default: no.
    pub service_manager: ServiceManager,
}

/// Why a configuration cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Only this machine may reach a daemon.
    #[error("cannot bind {0}: it is not a loopback address; use 127.0.0.1:0")]
    NotLoopback(SocketAddr),
    /// Outside of what makes sense.
    #[error("a lock poll interval of {0:?} is not between 10ms and 24h")]
    PollInterval(Duration),
    /// Longer than any daemon runs.
    #[error("a drain or idle time-out of {0:?} is longer than a year")]
    Timeout(Duration),
}

impl Config {
    /// The defaults.
    #[expect(
        clippy::new_without_default,
        reason = "a default is documented here, field by field, or not at all"
    )]
    pub fn new() -> Self {
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            idle_timeout: None,
            drain_timeout: Duration::from_secs(10),
            lock_poll_interval: None,
            file_events: FileEvents::On,
            log_max_size: 10 * 1024 * 1024,
            service_manager: ServiceManager::Ignored,
        }
    }

    /// What a daemon says it runs with, as the configuration of its successor. Not checked: see [`check`](Self::check).
    ///
    /// # Errors
    ///
    /// When its address is not one, as another version may write it.
    pub fn from_options(options: &DaemonOptions) -> Result<Self, AddrParseError> {
        Ok(Self {
            bind: options.bind.parse()?,
            idle_timeout: options.idle_timeout_ms.map(Duration::from_millis),
            drain_timeout: Duration::from_millis(options.drain_timeout_ms),
            lock_poll_interval: options.lock_poll_interval_ms.map(Duration::from_millis),
            file_events: if options.lock_events { FileEvents::On } else { FileEvents::Off },
            log_max_size: options.log_max_size,
            service_manager: ServiceManager::Ignored,
        })
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// Which value cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.bind.ip().is_loopback() {
            return Err(ConfigError::NotLoopback(self.bind));
        }
        let timeouts = [Some(self.drain_timeout), self.idle_timeout];
        if let Some(timeout) = timeouts.into_iter().flatten().find(|timeout| *timeout > MAX_TIMEOUT) {
            return Err(ConfigError::Timeout(timeout));
        }
        match self.lock_poll_interval {
            Some(interval) if !(MIN_POLL_INTERVAL..=MAX_POLL_INTERVAL).contains(&interval) => {
                Err(ConfigError::PollInterval(interval))
            }
            _ => Ok(()),
        }
    }

    /// As `GET /v1/daemon` shows it.
    pub fn to_options(&self) -> DaemonOptions {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        DaemonOptions {
            bind: self.bind.to_string(),
            idle_timeout_ms: self.idle_timeout.map(millis),
            drain_timeout_ms: millis(self.drain_timeout),
            lock_poll_interval_ms: self.lock_poll_interval.map(millis),
            lock_events: self.file_events == FileEvents::On,
            log_max_size: self.log_max_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_says_of_itself_configures_its_successor() {
        let mut config = Config::new();
        for _ in 0..2 {
            assert_eq!(Config::from_options(&config.to_options()).unwrap(), config);
            config = Config {
                bind: "[::1]:4711".parse().unwrap(),
                idle_timeout: Some(Duration::from_millis(1500)),
                drain_timeout: Duration::from_millis(1),
                lock_poll_interval: Some(Duration::from_secs(3)),
                file_events: FileEvents::Off,
                log_max_size: 5000,
                ..config
            };
        }
        let odd = DaemonOptions { bind: "unix:/run/x".to_owned(), ..config.to_options() };
        assert!(Config::from_options(&odd).is_err());
    }
}
