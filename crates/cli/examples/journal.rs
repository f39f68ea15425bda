//! `journal`: the whole command line of `aileron`, with a daemon that writes down each increment it accepts, for those who
//! judge from outside (`cargo xtask chaos`).
//!
//! `journal [--as-version V] add ID [MS]` has the increment ID written, the daemon sleeping for MS milliseconds before and after.
//! Every other command is `aileron`'s own. The file `journal.txt` lies beside the program and so outside the state directory. It
//! is a receiver that knows fencing tokens: one writer at a time, and no epoch smaller than the largest it has seen.
//! Each of its lines is `EPOCH PID INSTANCE NANOSECONDS ID`, the time of day being that of the write. Each daemon
//! that is launched writes its pid to `launches.txt` there, whatever becomes of it.
//!
//! Exit statuses of `add`: 0 written, 1 not written, 10 perhaps written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aileron_discovery::protocol::launch::{LaunchPipe, in_one_line};
use aileron_discovery::{Deadline, Epoch, StateDir, Tool};
use aileron_server::{Config, Context, FileEvents, Terminal, serve};
use aileron_spawn::{Autostart, EnsureOptions, HoldRule, Launch, VersionRule, ensure_running};
use aileron_spawn::{Call, call};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A renewed epoch may be outbid once more by another who was away; more often than this it is not.
const RENEWALS: u32 = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let at = |name: &str| words.iter().position(|word| word == name);
    let result = match (at("add"), at("--launch-fd")) {
        (Some(add), _) => return increment(&words, &words[add + 1..]),
        (None, Some(_)) => be_the_daemon(&words),
        (None, None) => return aileron_cli::main(),
    };
    result.unwrap_or_else(|failure| {
        let _reader_is_gone = writeln!(io::stderr(), "journal: {}", in_one_line(&*failure));
        ExitCode::FAILURE
    })
}

fn value<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}

fn tool(words: &[String]) -> Tool {
    let aileron = aileron_cli::tool();
    value(words, "--as-version").map_or(aileron, |version| Tool::new(aileron_cli::tool().name(), version))
}

fn millis(text: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_millis(text.trim_end_matches("ms").parse()?))
}

/// What lies beside this program.
fn beside(name: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn increment(words: &[String], what: &[String]) -> ExitCode {
    let asked = || -> Result<Result<String, (bool, String)>, Failure> {
        let tool = tool(words);
        let state_dir = StateDir::resolve(&tool, None)?;
        let timeout = tool
            .env("TIMEOUT")
            .map_or(Ok(Duration::from_secs(30)), |text| millis(&text.to_string_lossy()))?;
        let (launch, deadline) = (launch(words, &state_dir), Deadline::after(timeout));
        let options = EnsureOptions {
            autostart: Autostart::from_env(&tool),
            hold: HoldRule::Obey,
            version: VersionRule::Compatible,
        };
        let have = || ensure_running(&state_dir, &launch, &options, deadline);
        let body = what.join(" ");
        Ok(match call(&state_dir, have, Call::new("POST", "/add").with_body(body.as_bytes()), deadline) {
            Ok(answer) if answer.status == 200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            Ok(answer) => Err((
                false,
                format!("the daemon answers {}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
            )),
            Err(error) => Err((error.maybe_done, in_one_line(&error.fault))),
        })
    };
    let (text, status) = match asked() {
        Ok(Ok(text)) => {
            let written = writeln!(io::stdout(), "{text}");
            return written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        Ok(Err((maybe_done, why))) => (why, if maybe_done { 10 } else { 1 }),
        Err(failure) => (in_one_line(&*failure), 1),
    };
    let _reader_is_gone = writeln!(io::stderr(), "journal: {text}");
    ExitCode::from(status)
}

/// The same options as `aileron url` would give, as far as they are in variables.
fn launch(words: &[String], state_dir: &StateDir) -> Launch {
    let mut args: Vec<OsString> = Vec::new();
    if let Some(version) = value(words, "--as-version") {
        args.extend(["--as-version".into(), version.into()]);
    }
    args.extend(["--state-dir".into(), state_dir.root().into(), "daemon".into(), "serve".into()]);
    if let Some(interval) = state_dir.tool().env("LOCK_POLL_INTERVAL") {
        args.extend(["--lock-poll-interval".into(), interval]);
    }
    args.extend(state_dir.tool().env("NO_LOCK_EVENTS").map(|_| "--no-lock-events".into()));
    Launch::of_this_program(args)
}

fn be_the_daemon(words: &[String]) -> Result<ExitCode, Failure> {
    let mut pipe = LaunchPipe::adopt(value(words, "--launch-fd").ok_or("no descriptor")?.parse()?)?;
    let mut launches = File::options().append(true).create(true).open(beside("launches.txt")?)?;
    writeln!(launches, "{}", std::process::id())?;
    let given = PathBuf::from(value(words, "--state-dir").ok_or("no state directory")?);
    let state_dir = StateDir::resolve(&tool(words), Some(&given))?;
    let mut config = Config::new();
    config.lock_poll_interval = value(words, "--lock-poll-interval").map(millis).transpose()?;
    if words.iter().any(|word| word == "--no-lock-events") {
        config.file_events = FileEvents::Off;
    }
    let app = async |context: Context| {
        // A slow start, where whoever judges wants one: lock and port are ours, readiness is not yet.
        if let Some(slow) = fs::read_to_string(beside("slow")?).ok().and_then(|text| text.parse().ok()) {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        Ok(Some(Router::new().route("/add", post(add)).with_state(context)))
    };
    let ended = serve(&state_dir, &config, Terminal::Detached, app, |message| pipe.send(&message))?;
    Ok(ExitCode::from(ended.reason.exit_status()))
}

async fn add(State(context): State<Context>, body: String) -> Response {
    let (id, pause) = body.split_once(' ').unwrap_or((&body, "0"));
    let pause = Duration::from_millis(pause.parse().unwrap_or_default());
    tokio::time::sleep(pause).await;
    // The fence looked when the head of this request had arrived; it has taken a while since.
    let mut epoch = match context.fence() {
        Ok(epoch) => epoch,
        Err(fenced) => return fenced.into_response(),
    };
    for _ in 0..RENEWALS {
        let seen = match write_down(epoch, &context, id) {
            Ok(Written::Yes) => {
                // Done, and nobody has been told: whoever kills this process now leaves its client in doubt.
                tokio::time::sleep(pause).await;
                return format!("{epoch}").into_response();
            }
            Ok(Written::Seen(seen)) => seen,
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        };
        epoch = match context.renew_epoch(seen).await {
            Ok(epoch) => epoch,
            Err(fenced) => return fenced.into_response(),
        };
    }
    StatusCode::CONFLICT.into_response()
}

/// What the receiver says.
enum Written {
    Yes,
    /// Refused: a later owner has written, under this epoch.
    Seen(Epoch),
}

fn write_down(epoch: Epoch, context: &Context, id: &str) -> Result<Written, Failure> {
    let mut journal = File::options().read(true).append(true).create(true).open(beside("journal.txt")?)?;
    // One writer at a time; the close of the descriptor frees it.
    journal.lock()?;
    let mut text = String::new();
    journal.read_to_string(&mut text)?;
    let epochs = text.lines().filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
    let largest = epochs.max().map(Epoch::try_from).transpose()?;
    if let Some(seen) = largest.filter(|seen| *seen > epoch) {
        return Ok(Written::Seen(seen));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let line = format!("{epoch} {} {} {now} {id}\n", std::process::id(), context.instance());
    journal.write_all(line.as_bytes())?;
    Ok(Written::Yes)
}
