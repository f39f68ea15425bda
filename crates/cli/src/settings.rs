//! What the arguments mean: variables and defaults resolved, values checked.

use std::ffi::OsString;
use std::time::Duration;

use aileron_discovery::{StateDir, Tool};
use aileron_server::{Config, FileEvents};

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
}

/// How long the whole of a command may take, where somebody says so.
pub(crate) fn timeout(tool: &Tool, global: &Global) -> Result<Option<Duration>, Failure> {
    match global.timeout {
        Some(timeout) => Ok(Some(timeout)),
        None => variable(tool, "TIMEOUT", duration::parse),
    }
}

/// A daemon's configuration from its options and, where one is not given, its variable.
pub(crate) fn config(tool: &Tool, options: &DaemonOptions) -> Result<Config, Failure> {
    let mut config = Config::new();
    let address = |text: &str| text.parse().map_err(|_| format!("`{text}` is not an address with a port"));
    let bytes = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number of bytes"));
    let given = |option: Option<Duration>, name| match option {
        Some(value) => Ok(Some(value)),
        None => variable(tool, name, duration::parse),
    };
    if let Some(bind) = options.bind.map_or_else(|| variable(tool, "BIND", address), |bind| Ok(Some(bind)))? {
        config.bind = bind;
    }
    // A time-out of nothing would end the daemon before its first client: zero is a way to write "off".
    config.idle_timeout = given(options.idle_timeout, "IDLE_TIMEOUT")?.filter(|timeout| !timeout.is_zero());
    if let Some(drain) = given(options.drain_timeout, "DRAIN_TIMEOUT")? {
        config.drain_timeout = drain;
    }
    config.lock_poll_interval = given(options.lock_poll_interval, "LOCK_POLL_INTERVAL")?;
    if options.no_lock_events || variable(tool, "NO_LOCK_EVENTS", switch)? == Some(true) {
        config.file_events = FileEvents::Off;
    }
    let cap =
        options.log_max_size.map_or_else(|| variable(tool, "LOG_MAX_SIZE", bytes), |cap| Ok(Some(cap)))?;
    config.log_max_size = cap.unwrap_or(config.log_max_size).max(4096);
    config.check().map_err(|error| Failure::usage(error.to_string()))?;
    aileron_server::check_level(tool).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(config)
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

    #[test]
    fn only_loopback_addresses_are_bound() {
        let options = DaemonOptions { bind: Some("0.0.0.0:0".parse().unwrap()), ..DaemonOptions::default() };
        let failure = super::config(&Tool::new("no-such-tool-here", "0.0.0"), &options).unwrap_err();
        assert_eq!(failure.status, crate::ExitStatus::Usage);
    }
}
