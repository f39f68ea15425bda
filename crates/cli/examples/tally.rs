//! `tally`: a counter that all processes of a user share, kept by a daemon of its own.
//!
//! `tally add [N]` adds N (or 1) and prints the sum, `tally show` prints it, each starting the daemon if there is none;
//! `tally stop` ends it. The count is in the daemon's memory and is gone with it, whatever ended it. A sibling of
//! `aileron`: its own directory (`~/.tally`), its own variables (`TALLY_…`), the same three crates. `docs/embedding.md`
//! goes through this file piece by piece.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aileron_discovery::protocol::control::{Problem, ProblemCode};
use aileron_discovery::protocol::launch::{LaunchPipe, in_one_line};
use aileron_discovery::{Deadline, StateDir, Tool};
use aileron_server::{Config, Context, Fenced, Terminal, serve};
use aileron_spawn::{
    Autostart, EnsureOptions, Ensured, Found, HoldRule, Launch, VersionRule, ensure_running,
};
use aileron_spawn::{Force, OnStop, StopOptions, StopOutcome};
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
        ["daemon", "serve", "--launch-fd", descriptor] => be_the_daemon(&state_dir, descriptor.parse()?),
        _ => Err("usage: tally add [N] | show | stop".into()),
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
    let deadline = Deadline::after(PATIENCE);
    let mut answer = exchange(&have_daemon(state_dir, deadline)?, method, path, body, deadline);
    if cannot_have_acted(&answer) {
        answer = exchange(&have_daemon(state_dir, deadline)?, method, path, body, deadline);
    }
    match answer {
        Ok((200, text)) => Ok(text),
        Ok((status, text)) => Err(format!("the daemon answers {status}: {text}").into()),
        Err(error) => Err(format!("the daemon gave no answer: {error}").into()),
    }
}

/// Nobody listened, or it said that it is no longer the daemon. A connection that breaks later proves neither.
fn cannot_have_acted(answer: &io::Result<(u16, String)>) -> bool {
    let is_loss = |problem: Problem| problem.code == ProblemCode::IdentityLost;
    match answer {
        Ok((status, text)) => *status == 503 && serde_json::from_str(text).is_ok_and(is_loss),
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}

fn have_daemon(state_dir: &StateDir, deadline: Deadline) -> Result<Found, Failure> {
    let tool = state_dir.tool();
    // A launched daemon is given few of our variables, so it is told which directory is meant.
    let launch = Launch::of_this_program(["daemon", "serve"].map(OsString::from).to_vec())
        .with_env(tool.env_var("STATE_DIR"), state_dir.root());
    let (variable, off) = (tool.env_var("NO_AUTOSTART"), tool.env("NO_AUTOSTART").is_some());
    let autostart = if off { Autostart::Forbidden { variable } } else { Autostart::Allowed };
    let options = EnsureOptions { autostart, hold: HoldRule::Obey, version: VersionRule::Compatible };
    match ensure_running(state_dir, &launch, &options, deadline)? {
        Ensured::Found(daemon) | Ensured::Started { daemon, .. } if daemon.proved() => Ok(daemon),
        _ => Err("what was found has not proved that it is the daemon, and is not sent the token".into()),
    }
}

/// One request over a connection of its own. HTTP/1.0: the answer comes in no chunks and ends with the connection.
fn exchange(to: &Found, method: &str, path: &str, body: &str, until: Deadline) -> io::Result<(u16, String)> {
    let left = || until.remaining().ok_or(io::ErrorKind::TimedOut);
    let (address, token) = (to.record().url.address(), to.record().token.expose());
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_read_timeout(Some(left()?))?;
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let text = answer.split_once("\r\n\r\n").map(|(_, text)| text.to_owned());
    status.zip(text).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn stop(state_dir: &StateDir) -> Result<String, Failure> {
    let options = StopOptions { force: Force::Never, on_stop: OnStop::LeaveStartsOn };
    match aileron_spawn::stop(state_dir, options, Deadline::after(PATIENCE))?.outcome {
        StopOutcome::Stopped { pid, .. } => Ok(format!("stopped pid {pid}")),
        StopOutcome::NotRunning => Ok("not running".to_owned()),
    }
}
