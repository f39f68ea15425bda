//! `tally`: a counter that all processes of a user share, kept by a daemon of its own.
//!
//! `tally add [N]` adds N (or 1) and prints the sum, `tally show` prints it, each starting the daemon if there is none;
//! `tally stop` ends it, `tally restart` has a new one take its place. The count is in the daemon's memory and is gone with it, whatever ended it. A sibling of
//! `aileron`: its own directory (`~/.tally`), its own variables (`TALLY_…`), the same three crates. `docs/embedding.md`
//! goes through this file piece by piece.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aileron_discovery::protocol::launch::{LaunchPipe, in_one_line};
use aileron_discovery::{Deadline, StateDir, Tool};
use aileron_server::{Config, Context, Fenced, Terminal, serve};
use aileron_spawn::{Autostart, EnsureOptions, Ensured, HoldRule, Launch, VersionRule, ensure_running};
use aileron_spawn::{Call, Force, OnStop, StopOptions, StopOutcome, call};
use aileron_spawn::{Predecessor, RestartOptions, Successor};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long the daemon may take to come up and answer, or to go.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(text) => writeln!(io::stdout(), "{text}").map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(failure) => {
            let _reader_is_gone = writeln!(io::stderr(), "tally: {}", in_one_line(&*failure));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<String, Failure> {
    let state_dir = StateDir::resolve(&Tool::new("tally", env!("CARGO_PKG_VERSION")), None)?;
    match words {
        ["add"] => ask(&state_dir, "POST", "/add", "1"),
        ["add", number] => ask(&state_dir, "POST", "/add", number),
        ["show"] => ask(&state_dir, "GET", "/count", ""),
        ["stop"] => stop(&state_dir),
        ["restart"] => restart(&state_dir),
        ["daemon", "check"] => Ok(aileron_server::check(&state_dir, &Config::new()).map(|()| String::new())?),
        ["daemon", "serve", "--launch-fd", descriptor] => be_the_daemon(&state_dir, descriptor.parse()?),
        _ => Err("usage: tally add [N] | show | stop | restart".into()),
    }
}

fn be_the_daemon(state_dir: &StateDir, launch_fd: i32) -> Result<String, Failure> {
    let mut pipe = LaunchPipe::adopt(launch_fd)?;
    let app = async |context: Context| Ok(Some(routes(context)));
    let ended = serve(state_dir, &Config::new(), Terminal::Detached, app, |message| pipe.send(&message))?;
    if ended.reason.exit_status() == 0 { Ok(String::new()) } else { Err(ended.reason.name().into()) }
}

#[derive(Clone)]
struct Counter {
    context: Context,
    sum: Arc<AtomicU64>,
}

fn routes(context: Context) -> Router {
    let counter = Counter { context, sum: Arc::default() };
    Router::new().route("/add", post(add)).route("/count", get(count)).with_state(counter)
}

async fn add(State(counter): State<Counter>, body: String) -> Result<Response, Fenced> {
    let Ok(number) = body.parse::<u64>() else {
        return Ok((StatusCode::BAD_REQUEST, format!("`{body}` is no number to add")).into_response());
    };
    // The fence looked when the head of this request had arrived; its body may have taken a while.
    counter.context.fence()?;
    Ok(counter.sum.fetch_add(number, Ordering::AcqRel).wrapping_add(number).to_string().into_response())
}

async fn count(State(counter): State<Counter>) -> String {
    counter.sum.load(Ordering::Acquire).to_string()
}

fn ask(state_dir: &StateDir, method: &str, path: &str, body: &str) -> Result<String, Failure> {
    let launch = Launch::daemon_of(state_dir, ["daemon", "serve"]);
    let options = EnsureOptions {
        autostart: Autostart::from_env(state_dir.tool()),
        hold: HoldRule::Obey,
        version: VersionRule::Compatible,
    };
    let deadline = Deadline::after(PATIENCE);
    let daemon = || ensure_running(state_dir, &launch, &options, deadline);
    let answer = call(state_dir, daemon, Call::new(method, path).with_body(body.as_bytes()), deadline)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    match answer.status {
        200 => Ok(text),
        status => Err(format!("the daemon answers {status}: {text}").into()),
    }
}

fn stop(state_dir: &StateDir) -> Result<String, Failure> {
    let options = StopOptions { force: Force::Never, on_stop: OnStop::LeaveStartsOn };
    match aileron_spawn::stop(state_dir, options, Deadline::after(PATIENCE))?.outcome {
        StopOutcome::Stopped { pid, .. } => Ok(format!("stopped pid {pid}")),
        StopOutcome::NotRunning => Ok("not running".to_owned()),
    }
}

fn restart(state_dir: &StateDir) -> Result<String, Failure> {
    let successor = |_: Option<&Predecessor>| Successor {
        launch: Launch::daemon_of(state_dir, ["daemon", "serve"]),
        check: ["daemon", "check"].map(Into::into).to_vec(),
    };
    let options = RestartOptions { force: Force::Never, stop_within: Duration::from_secs(15) };
    match aileron_spawn::restart(state_dir, successor, options, Deadline::after(PATIENCE))?.ensured {
        Ensured::Started { daemon, .. } | Ensured::Found(daemon) => Ok(daemon.url()),
        _ => Err("there is no daemon".into()),
    }
}
