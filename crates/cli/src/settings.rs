//! What the arguments mean: variables and defaults resolved, values checked.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use aileron_discovery::{Rule, StateDir, Tool};
use aileron_server::{Config, ConfigError, FileEvents};

use crate::args::{DaemonOptions, Global};
use crate::duration;
use crate::failure::Failure;

/// How long a start may take, the wait for the gate included.
const START: Duration = Duration::from_secs(30);

/// How long a stop may take.
pub(crate) const STOP: Duration = Duration::from_secs(15);

/// What every command needs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) tool: Tool,
    pub(crate) state_dir: StateDir,
    timeout: Option<Duration>,
}

impl Settings {
    pub(crate) fn resolve(tool: &Tool, global: &Global) -> Result<Self, Failure> {
        let timeout = timeout(tool, global)?;
        variable(tool, "API_URL", address)?;
        let state_dir = StateDir::resolve(tool, global.state_dir.as_deref())?;
        Ok(Self { tool: tool.clone(), state_dir, timeout })
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        self.timeout.unwrap_or(START)
    }

    pub(crate) fn stop_timeout(&self) -> Duration {
        self.timeout.unwrap_or(STOP)
    }

    /// For a stop and a start: how long both may take, and how long of that the stop.
    pub(crate) fn restart_timeout(&self) -> (Duration, Duration) {
        self.timeout.map_or((STOP + START, STOP), |whole| (whole, whole))
    }
}

/// How long the whole of a command may take, where somebody says so.
pub(crate) fn timeout(tool: &Tool, global: &Global) -> Result<Option<Duration>, Failure> {
    let timeout = match global.timeout {
        Some(timeout) => Some(timeout),
        None => variable(tool, "TIMEOUT", duration::parse)?,
    };
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        // Not taken for "no limit" and not for "only look": each is what somebody would mean, and neither is what it says.
        let name = said_with(tool, "--timeout", "TIMEOUT", global.timeout.is_some());
        return Err(Failure::usage(format!("{name}: a time-out of nothing leaves no time for anything")));
    }
    Ok(timeout)
}

/// The least that a log may be capped at, in bytes: a page, some twenty lines.
const LEAST_LOG: u64 = 4096;

/// What was said of a daemon's configuration: by its options and, where one is not given, by its variable.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    bind: Option<SocketAddr>,
    idle_timeout: Option<Duration>,
    drain_timeout: Option<Duration>,
    lock_poll_interval: Option<Duration>,
    file_events: Option<FileEvents>,
    log_max_size: Option<u64>,
}

impl Given {
    /// Whatever cannot be understood is named, and so is what cannot work by itself.
    pub(crate) fn resolve(tool: &Tool, options: &DaemonOptions) -> Result<Self, Failure> {
        let address =
            |text: &str| text.parse().map_err(|_| format!("`{text}` is not an address with a port"));
        let bytes = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number of bytes"));
        let duration = |option: Option<Duration>, name| match option {
            Some(value) => Ok(Some(value)),
            None => variable(tool, name, duration::parse),
        };
        let off = if options.no_lock_events { Some(true) } else { variable(tool, "NO_LOCK_EVENTS", switch)? };
        let given = Self {
            bind: options.bind.map_or_else(|| variable(tool, "BIND", address), |bind| Ok(Some(bind)))?,
            idle_timeout: duration(options.idle_timeout, "IDLE_TIMEOUT")?,
            drain_timeout: duration(options.drain_timeout, "DRAIN_TIMEOUT")?,
            lock_poll_interval: duration(options.lock_poll_interval, "LOCK_POLL_INTERVAL")?,
            file_events: off.map(|off| if off { FileEvents::Off } else { FileEvents::On }),
            log_max_size: options
                .log_max_size
                .map_or_else(|| variable(tool, "LOG_MAX_SIZE", bytes), |cap| Ok(Some(cap)))?,
        };
        if given.log_max_size.is_some_and(|cap| cap < LEAST_LOG) {
            let name = said_with(tool, "--log-max-size", "LOG_MAX_SIZE", options.log_max_size.is_some());
            return Err(Failure::usage(format!("{name}: a log needs {LEAST_LOG} bytes at the least")));
        }
        let config = given.over(&Config::new());
        config.check().map_err(|error| refused(tool, options, &config, &error))?;
        aileron_server::check_level(tool).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(given)
    }

    /// Whether anything was said.
    pub(crate) fn is_any(&self) -> bool {
        self.bind.is_some()
            || self.idle_timeout.is_some()
            || self.drain_timeout.is_some()
            || self.lock_poll_interval.is_some()
            || self.file_events.is_some()
            || self.log_max_size.is_some()
    }

    /// The command that has a daemon of another configuration replaced by one with what was said. `None`: it has all of it.
    pub(crate) fn restart_from(&self, running: &Config, state_dir: &StateDir) -> Option<String> {
        let wanted = self.over(running);
        // Any port is what it listens on.
        let listens = wanted.bind.ip() == running.bind.ip() && wanted.bind.port() == 0;
        let mut command = match state_dir.rule() {
            Rule::Argument => {
                format!("aileron --state-dir {} daemon restart", crate::advice::typed(state_dir.root()))
            }
            Rule::Variable(_) | Rule::Home => "aileron daemon restart".to_owned(),
        };
        let begin = command.clone();
        let mut say = |differs: bool, what: String| {
            if differs {
                command.push_str(&what);
            }
        };
        let millis = |duration: Option<Duration>| duration.unwrap_or_default().as_millis();
        say(wanted.bind != running.bind && !listens, format!(" --bind {}", wanted.bind));
        say(
            wanted.idle_timeout != running.idle_timeout,
            format!(" --idle-timeout {}ms", millis(wanted.idle_timeout)),
        );
        say(
            wanted.drain_timeout != running.drain_timeout,
            format!(" --drain-timeout {}ms", wanted.drain_timeout.as_millis()),
        );
        say(
            wanted.lock_poll_interval != running.lock_poll_interval,
            format!(" --lock-poll-interval {}ms", millis(wanted.lock_poll_interval)),
        );
        let events = wanted.file_events != running.file_events;
        say(events && wanted.file_events == FileEvents::Off, " --no-lock-events".to_owned());
        say(wanted.log_max_size != running.log_max_size, format!(" --log-max-size {}", wanted.log_max_size));
        // Only its variable says so.
        if events && wanted.file_events == FileEvents::On {
            command.insert_str(0, "AILERON_NO_LOCK_EVENTS=0 ");
        }
        (command != begin).then_some(command)
    }

    /// With everything that was not said as `base` has it.
    pub(crate) fn over(&self, base: &Config) -> Config {
        Config {
            bind: self.bind.unwrap_or(base.bind),
            // A time-out of nothing would end the daemon before its first client: zero is a way to write "off".
            idle_timeout: self.idle_timeout.or(base.idle_timeout).filter(|timeout| !timeout.is_zero()),
            drain_timeout: self.drain_timeout.unwrap_or(base.drain_timeout),
            lock_poll_interval: self.lock_poll_interval.or(base.lock_poll_interval),
            file_events: self.file_events.unwrap_or(base.file_events),
            log_max_size: self.log_max_size.unwrap_or(base.log_max_size).max(LEAST_LOG),
            service_manager: base.service_manager,
        }
    }
}

/// A daemon's configuration, with the defaults for everything that was not said.
pub(crate) fn config(tool: &Tool, options: &DaemonOptions) -> Result<Config, Failure> {
    Ok(Given::resolve(tool, options)?.over(&Config::new()))
}

/// A value that cannot work, by the name of the option or the variable that it came with.
fn refused(tool: &Tool, options: &DaemonOptions, config: &Config, error: &ConfigError) -> Failure {
    let name = match error {
        ConfigError::NotLoopback(_) => said_with(tool, "--bind", "BIND", options.bind.is_some()),
        ConfigError::PollInterval(_) => {
            let typed = options.lock_poll_interval.is_some();
            said_with(tool, "--lock-poll-interval", "LOCK_POLL_INTERVAL", typed)
        }
        ConfigError::Timeout(timeout) if *timeout == config.drain_timeout => {
            said_with(tool, "--drain-timeout", "DRAIN_TIMEOUT", options.drain_timeout.is_some())
        }
        ConfigError::Timeout(_) => {
            said_with(tool, "--idle-timeout", "IDLE_TIMEOUT", options.idle_timeout.is_some())
        }
        error => return Failure::usage(error.to_string()),
    };
    Failure::usage(format!("{name}: {error}"))
}

fn said_with(tool: &Tool, option: &str, suffix: &str, typed: bool) -> String {
    if typed { option.to_owned() } else { tool.env_var(suffix) }
}

/// The arguments that give a launched daemon this very configuration.
pub(crate) fn to_arguments(config: &Config) -> Vec<OsString> {
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    let mut arguments = vec!["--bind".to_owned(), config.bind.to_string()];
    if let Some(timeout) = config.idle_timeout {
        arguments.extend(["--idle-timeout".to_owned(), millis(timeout)]);
    }
    arguments.extend(["--drain-timeout".to_owned(), millis(config.drain_timeout)]);
    if let Some(interval) = config.lock_poll_interval {
        arguments.extend(["--lock-poll-interval".to_owned(), millis(interval)]);
    }
    if config.file_events == FileEvents::Off {
        arguments.push("--no-lock-events".to_owned());
    }
    arguments.extend(["--log-max-size".to_owned(), config.log_max_size.to_string()]);
    arguments.into_iter().map(OsString::from).collect()
}

/// The value of a variable; one that cannot be understood is named.
pub(crate) fn variable<T>(
    tool: &Tool,
    suffix: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let Some(value) = tool.env(suffix) else { return Ok(None) };
    let text = value.to_string_lossy();
    parse(&text).map(Some).map_err(|why| Failure::usage(format!("{}: {why}", tool.env_var(suffix))))
}

/// An explicit address is not looked at; only that it can be one.
pub(crate) fn address(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest.filter(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) {
        Some(_) => Ok(()),
        None => Err(format!("`{text}` is not an address of the form http://HOST:PORT")),
    }
}

/// A variable that is on or off.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("`{text}` is neither 1 nor 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command, Daemon};
    use clap::Parser as _;

    #[test]
    fn a_launched_daemon_is_configured_as_its_launcher_was() {
        let mut config = Config::new();
        config.idle_timeout = Some(Duration::from_millis(1500));
        config.lock_poll_interval = Some(Duration::from_secs(3));
        config.file_events = FileEvents::Off;
        config.bind = "127.0.0.1:4711".parse().unwrap();
        let typed = ["aileron", "daemon", "start"].map(OsString::from);
        let args = Args::try_parse_from(typed.into_iter().chain(to_arguments(&config))).unwrap();
        let Command::Daemon(Daemon::Start(options)) = args.command else { panic!("a start") };
        let unset = Tool::new("no-such-tool-here", "0.0.0");
        assert_eq!(super::config(&unset, &options).unwrap(), config);
    }

    /// A restart keeps what the old daemon had, but for what is said now.
    #[test]
    fn what_is_given_counts_and_the_rest_stays() {
        let mut old = Config::new();
        old.bind = "127.0.0.1:4711".parse().unwrap();
        old.idle_timeout = Some(Duration::from_mins(1));
        old.file_events = FileEvents::Off;
        let unset = Tool::new("no-such-tool-here", "0.0.0");
        let over = |options: DaemonOptions| Given::resolve(&unset, &options).unwrap().over(&old);
        assert_eq!(over(DaemonOptions::default()), old);
        let said = DaemonOptions { idle_timeout: Some(Duration::ZERO), ..DaemonOptions::default() };
        assert_eq!(over(said), Config { idle_timeout: None, ..old.clone() });
        let said = DaemonOptions { log_max_size: Some(4096), ..DaemonOptions::default() };
        assert_eq!(over(said), Config { log_max_size: 4096, ..old.clone() });
        // Of an embedder's daemon, say.
        let small = Config { log_max_size: 1, ..old.clone() };
        let kept = Given::resolve(&unset, &DaemonOptions::default()).unwrap().over(&small);
        assert_eq!(kept, Config { log_max_size: 4096, ..old.clone() });
        for cap in [0, 1, 4095] {
            let said = DaemonOptions { log_max_size: Some(cap), ..DaemonOptions::default() };
            let failure = Given::resolve(&unset, &said).unwrap_err();
            assert_eq!(failure.status, crate::ExitStatus::Usage);
            assert_eq!(failure.message(), "--log-max-size: a log needs 4096 bytes at the least");
        }
    }

    #[test]
    fn only_loopback_addresses_are_bound() {
        let options = DaemonOptions { bind: Some("0.0.0.0:0".parse().unwrap()), ..DaemonOptions::default() };
        let failure = super::config(&Tool::new("no-such-tool-here", "0.0.0"), &options).unwrap_err();
        assert_eq!(failure.status, crate::ExitStatus::Usage);
    }
}
