//! `tally`: a counter that every process of a user shares, kept by a daemon of its own.
//!
//! ```text
//! tally add [N]    add N (default 1) and print the sum; starts the daemon if there is none
//! tally show       print the sum; likewise
//! tally stop       end the daemon, and with it the count
//! ```
//!
//! A sibling of `aileron`: its own directory (`~/.tally`), its own variables (`TALLY_…`), the same three crates. The count
//! is in memory and is gone with the daemon that kept it. `docs/embedding.md` goes through this file piece by piece.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aileron_discovery::protocol::control::{Problem, ProblemCode};
use aileron_discovery::protocol::launch::LaunchPipe;
use aileron_discovery::{Deadline, Ownership, StateDir, Tool, Verdict};
use aileron_server::{Config, Context, Terminal};
use aileron_spawn::{Autostart, EnsureOptions, Ensured, Force, Found, HoldRule, Launch};
use aileron_spawn::{OnStop, StopOptions, StopOutcome};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "usage: tally add [N] | show | stop";

/// How long the daemon may take to come up, to answer, or to go.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(text) => writeln!(io::stdout(), "{text}").map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(failure) => {
            let _reader_is_gone = writeln!(io::stderr(), "tally: {failure}");
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
        _ => Err(USAGE.into()),
    }
}

// The daemon.

fn be_the_daemon(state_dir: &StateDir, launch_fd: i32) -> Result<String, Failure> {
    let mut pipe = LaunchPipe::adopt(launch_fd)?;
    let app = async |context: Context| Ok(Some(routes(&context)));
    let report = |message| pipe.send(&message);
    let ended = aileron_server::serve(state_dir, &Config::new(), Terminal::Detached, app, report)?;
    if ended.reason.exit_status() == 0 { Ok(String::new()) } else { Err(ended.reason.name().into()) }
}

#[derive(Clone)]
struct Counter {
    ownership: Ownership,
    sum: Arc<AtomicU64>,
}

fn routes(context: &Context) -> Router {
    let counter = Counter { ownership: context.ownership().clone(), sum: Arc::default() };
    Router::new().route("/add", post(add)).route("/count", get(count)).with_state(counter)
}

async fn add(State(counter): State<Counter>, body: String) -> (StatusCode, String) {
    let Ok(number) = body.parse::<u64>() else {
        return (StatusCode::BAD_REQUEST, format!("`{body}` is no number to add"));
    };
    // The fence looked when the head of this request had arrived; its body may have taken a while.
    if counter.ownership.verify() != Verdict::Owner {
        return identity_lost();
    }
    let sum = counter.sum.fetch_add(number, Ordering::AcqRel).wrapping_add(number);
    (StatusCode::OK, sum.to_string())
}

async fn count(State(counter): State<Counter>) -> String {
    counter.sum.load(Ordering::Acquire).to_string()
}

fn identity_lost() -> (StatusCode, String) {
    let title = "no longer the daemon of its directory".to_owned();
    let problem = Problem { status: 503, code: ProblemCode::IdentityLost, title };
    (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!(problem).to_string())
}

// The client.

/// Asks the daemon, and once more where the first one asked cannot have acted: nobody listened, or it said that it is no
/// longer the daemon. A connection that breaks later proves nothing, and nothing is added twice for it.
fn ask(state_dir: &StateDir, method: &str, path: &str, body: &str) -> Result<String, Failure> {
    let deadline = Deadline::after(PATIENCE);
    let again = match exchange(&have_daemon(state_dir, deadline)?, method, path, body) {
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        Ok((status, text)) => status == 503 && text.contains(r#""identity_lost""#),
    };
    todo!()
}
