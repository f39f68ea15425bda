//! The arguments as typed. What they mean, with variables and defaults, is `settings`' business.
//! Doc comments here are help texts, printed as they stand: no Markdown in them.
#![expect(clippy::doc_markdown, reason = "help texts are printed as they stand")]

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::duration;

/// One background daemon per user, found in microseconds, started on first need.
#[derive(Debug, Parser)]
#[command(
    name = "aileron",
    version,
    max_term_width = 80,
    disable_help_subcommand = true,
    after_help = "Example:\n  curl -s $(aileron url)/healthz\n\nExit statuses are listed in `docs/exit-status.md`; 0 is done, 3 is not running."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The arguments of the hidden daemon entry by themselves.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct ServeAlone {
    #[command(flatten)]
    serve: Serve,
}

impl Args {
    /// What these words mean; the first is the program's name.
    ///
    /// # Errors
    ///
    /// What clap has to say: of what it does not understand, and where help or the version is asked for.
    pub(crate) fn of(words: &[OsString]) -> Result<Self, clap::Error> {
        Self::short_cut(words.get(1..).unwrap_or_default())
            .unwrap_or_else(|| Self::try_parse_from(helped(words.to_vec())))
    }

    /// The lines that scripts and clients write all day, understood without having clap build every command with every
    /// option first: that took a warm `url` a third of its time. All else, and all that is wrong, is clap's.
    fn short_cut(words: &[OsString]) -> Option<Result<Self, clap::Error>> {
        let (state_dir, rest) = match words {
            [option, dir, rest @ ..] if option == "--state-dir" && !is_an_option(dir) => {
                (Some(PathBuf::from(dir)), rest)
            }
            rest => (None, rest),
        };
        let command = match rest {
            [url] if url == "url" => Command::Url,
            [daemon, status] if daemon == "daemon" && status == "status" => Command::Daemon(Daemon::Status),
            [daemon, serve, rest @ ..] if daemon == "daemon" && serve == "serve" => {
                match ServeAlone::try_parse_from(rest) {
                    Ok(ServeAlone { serve }) => Command::Daemon(Daemon::Serve(serve)),
                    // A client of another version launched this. Whoever types it is told that there is no such command.
                    Err(error) if rest.iter().any(|word| word == "--launch-fd") => return Some(Err(error)),
                    Err(_) => return None,
                }
            }
            _ => return None,
        };
        Some(Ok(Self { global: Global { state_dir, ..Global::default() }, command }))
    }
}

/// `help COMMAND…` is `COMMAND… --help`. A subcommand of clap's own would stand in every list of commands, and below each.
fn helped(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

fn is_an_option(word: &OsStr) -> bool {
    word.is_empty() || word.as_encoded_bytes().starts_with(b"-")
}

/// Options of every command.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Directory that everything about the daemon lives in [AILERON_STATE_DIR; default: ~/.aileron]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print more about what is done
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Colour: auto is on a terminal without `NO_COLOR`
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Give up after this long [AILERON_TIMEOUT; default: 30s, stop: 15s, restart: both]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The daemon: start, stop, look at it
    #[command(subcommand)]
    Daemon(Daemon),
    /// The same as `daemon stop`
    #[command(after_help = "Example:\n  aileron stop --force")]
    Stop(Stop),
    /// Print the daemon's URL, starting it if need be
    #[command(after_help = "Example:\n  curl -s $(aileron url)/healthz")]
    Url,
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  aileron completions bash > ~/.local/share/bash-completion/completions/aileron"
    )]
    Completions { shell: Shell },
    /// Print the manual, or the page of one command
    #[command(after_help = "Example:\n  aileron man | man -l -\n  aileron man daemon run | man -l -")]
    Man {
        /// The command, as it is typed
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Daemon {
    /// Be the daemon, in the foreground
    #[command(after_help = "Example:\n  aileron daemon run --idle-timeout 10m")]
    Run(Run),
    /// Have a daemon running in the background; prints its URL
    #[command(after_help = "Example:\n  aileron daemon start --idle-timeout 10m")]
    Start(DaemonOptions),
    /// Have no daemon running
    #[command(after_help = "Example:\n  aileron daemon stop --hold")]
    Stop(Stop),
    /// Replace the daemon by a new one, if a new one could start
    #[command(after_help = "Example:\n  aileron daemon restart --idle-timeout 10m")]
    Restart(Restart),
    /// Say whether there is one; starts and writes nothing
    #[command(after_help = "Example:\n  aileron daemon status --json | jq -r .state")]
    Status,
    /// Print its log
    #[command(after_help = "Example:\n  aileron daemon logs -n 20 -f")]
    Logs(Logs),
    /// List the daemons of this user, wherever their directories are; orphans too
    #[command(after_help = "Example:\n  aileron daemon ps --reap")]
    Ps(Ps),
    /// Say what is wrong, and what to do about it
    #[command(after_help = "Example:\n  aileron daemon doctor --fix")]
    Doctor(Doctor),
    /// Print a unit for a service manager; puts nothing in place
    #[command(
        after_help = "Example:\n  aileron daemon unit systemd > ~/.config/systemd/user/aileron.service"
    )]
    Unit(Unit),
    /// The daemon that a client launches. Not to be typed, so that clap, and whatever is made of what clap knows (help,
    /// completions, manual), does not know of it: `Args::short_cut` does.
    #[command(skip)]
    Serve(Serve),
}

/// Options of a daemon; each has a variable that counts where the option is not given.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct DaemonOptions {
    /// Loopback address to listen on [AILERON_BIND; default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) bind: Option<SocketAddr>,
    /// End after this long without use [AILERON_IDLE_TIMEOUT; default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Longest wait for requests at an end [AILERON_DRAIN_TIMEOUT; default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) drain_timeout: Option<Duration>,
    /// How often to look at the lock, 10ms to 24h [AILERON_LOCK_POLL_INTERVAL; default: 5s with file events, else 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) lock_poll_interval: Option<Duration>,
    /// Use no file events, the poll alone [AILERON_NO_LOCK_EVENTS]
    #[arg(long)]
    pub(crate) no_lock_events: bool,
    /// Size at which the log is rotated, 4096 at least [AILERON_LOG_MAX_SIZE; default: 10485760]
    #[arg(long, value_name = "BYTES")]
    pub(crate) log_max_size: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) options: DaemonOptions,
    /// Only check that a daemon could start
    #[arg(long)]
    pub(crate) check: bool,
    /// End with status 0, not 7, if a daemon runs already (for launchd)
    #[arg(long)]
    pub(crate) already_running_ok: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Unit {
    /// Which service manager
    #[arg(value_name = "MANAGER")]
    pub(crate) manager: ServiceManager,
    #[command(flatten)]
    pub(crate) options: DaemonOptions,
}

/// Who may run the daemon as a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceManager {
    /// A user unit for systemd
    Systemd,
    /// A user agent for launchd (macOS)
    Launchd,
}

impl ServiceManager {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) options: DaemonOptions,
    /// Descriptor of the launch pipe
    #[arg(long)]
    pub(crate) launch_fd: i32,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Stop {
    /// Kill it if it has not ended by the deadline
    #[arg(long)]
    pub(crate) force: bool,
    /// Start none automatically until `daemon start`
    #[arg(long)]
    pub(crate) hold: bool,
}

/// An option that is not given, by its variable neither, is as the old daemon has it.
#[derive(Debug, ClapArgs)]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) options: DaemonOptions,
    /// Kill the old daemon if it has not ended by the deadline
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ps {
    /// End orphans: SIGTERM, and SIGKILL for what is left at the deadline
    #[arg(long)]
    pub(crate) reap: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Do what is safe to do: take access from others, sweep what a crash left
    #[arg(long)]
    pub(crate) fix: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// How many of the last lines [default: 100, with --since all]
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) lines: Option<usize>,
    /// Go on with what comes, over rotations and restarts
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only lines younger than this
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) since: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_short_cut_says_what_clap_says_and_leaves_all_else_to_it() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let serve = "daemon serve --bind 127.0.0.1:0 --idle-timeout 90ms --drain-timeout 10000ms --lock-poll-interval 3s \
                     --no-lock-events --log-max-size 4096 --launch-fd 7";
        let with_dir = format!("--state-dir /a {serve}");
        for line in [serve, &with_dir] {
            let short = Args::short_cut(&words(line)).unwrap_or_else(|| panic!("{line}")).unwrap();
            let Command::Daemon(Daemon::Serve(serve)) = short.command else { panic!("{line}") };
            assert_eq!((serve.launch_fd, serve.options.log_max_size), (7, Some(4096)));
            assert_eq!(short.global.state_dir.is_some(), line.starts_with("--"));
        }
        for line in ["url", "--state-dir /a url", "daemon status"] {
            let short = Args::short_cut(&words(line)).unwrap_or_else(|| panic!("{line}")).unwrap();
            match Args::try_parse_from([vec![OsString::from("aileron")], words(line)].concat()) {
                Ok(whole) => assert_eq!(format!("{short:?}"), format!("{whole:?}"), "{line}"),
                Err(error) => panic!("{line}: {error}"),
            }
        }
        for line in [
            "",
            "--state-dir --x url",
            "--state-dir",
            "--json url",
            "url --json",
            "url --help",
            "daemon",
            "daemon serve",
            "daemon serve --help",
        ] {
            assert!(Args::short_cut(&words(line)).is_none(), "{line}");
        }
        let newer = Args::short_cut(&words(&format!("{serve} --of-another-version")));
        assert!(
            newer.is_some_and(
                |read| read.is_err_and(|error| error.to_string().contains("--of-another-version"))
            )
        );
    }

    #[test]
    fn every_command_has_an_example() {
        fn visit(command: &clap::Command) {
            let leaf = !command.has_subcommands() && !command.is_hide_set();
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || text.contains("Example"), "{}", command.get_name());
            command.get_subcommands().for_each(visit);
        }
        visit(&Args::command());
    }
}
