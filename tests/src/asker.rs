//! Clients of the helper `helper-client`, by the blocking call or by the async client, and the books they keep.
//!
//! Every request that changes something has a tag, and the daemon notes it in a journal outside of the state directory
//! before it answers. So what was done can be held against what each client was told.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use aileron_discovery::{Deadline, StateDir};
use aileron_spawn::{
    Autostart, Call, Client, ClientError, EnsureOptions, HoldRule, Launch, Program, VersionRule, call,
    ensure_running,
};
use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::{Bench, Daemon};

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// [`call`].
    Blocking,
    /// [`Client`], with its kept connections.
    Async,
}

impl Manner {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Blocking, Self::Async];
}

impl FromStr for Manner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "blocking" => Ok(Self::Blocking),
            "async" => Ok(Self::Async),
            other => Err(format!("no such client: {other}")),
        }
    }
}

/// An answer: its status and body.
pub type Answered = (u16, Vec<u8>);

/// A client.
#[derive(Debug)]
pub struct Asker {
    manner: Manner,
    state_dir: StateDir,
    launch: Launch,
    client: Client,
    runtime: Runtime,
    timeout: Duration,
    cap: usize,
}

impl Asker {
    /// A client of the daemon of `state`, which is `program` with `options`.
    pub fn new(manner: Manner, program: &Path, state: &Path, options: &[&str]) -> Self {
        let state_dir = StateDir::resolve(&aileron_cli::tool(), Some(state)).expect("a state directory");
        let home = state.parent().expect("a state directory has a parent");
        let args = ["--state-dir".into(), state.into(), "daemon".into(), "serve".into()].into_iter();
        let args: Vec<OsString> = args.chain(options.iter().map(OsString::from)).collect();
        let program = Program::File(program.to_owned());
        let launch = Launch { program, ..Launch::daemon_of(&state_dir, args) }.with_env("HOME", home);
        let client = Client::new(state_dir.clone(), launch.clone(), how());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (timeout, cap) = (Duration::from_secs(30), 1 << 20);
        Self { manner, state_dir, launch, client, runtime, timeout, cap }
    }

    /// The same with another timeout.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same for answers of so many bytes at most.
    #[must_use]
    pub fn with_cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// The async client, and what drives it.
    pub fn client(&self) -> (&Client, &Runtime) {
        (&self.client, &self.runtime)
    }

    /// Asks.
    ///
    /// # Errors
    ///
    /// The client's own.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answered, ClientError> {
        if self.manner == Manner::Blocking {
            let deadline = Deadline::after(self.timeout);
            let options = how();
            let daemon = || ensure_running(&self.state_dir, &self.launch, &options, deadline);
            let what = Call::new(method, path).with_body(body.as_bytes()).with_cap(self.cap);
            return call(&self.state_dir, daemon, what, deadline).map(|answer| (answer.status, answer.body));
        }
        let request = http::Request::builder().method(method).uri(path).body(Bytes::from(body.to_owned()));
        let client = self.client.clone().with_timeout(self.timeout).with_cap(self.cap);
        let answer = self.runtime.block_on(client.request(request.expect("a request")))?;
        Ok((answer.status().as_u16(), answer.into_body().to_vec()))
    }
}

/// The journal of a bench.
pub fn journal(bench: &Bench) -> Journal {
    Journal(bench.beside("journal"))
}

/// A client of a bench's daemon, which is `program`. That does not notice by itself that it was displaced: what shows is what
/// a client makes of it.
pub fn of(bench: &Bench, manner: Manner, program: &Path) -> Asker {
    let journal = bench.beside("journal");
    let journal = journal.to_str().expect("a path of ours");
    let options = ["--count", journal, "--no-lock-events", "--poll", "3600000"];
    Asker::new(manner, program, &bench.state(), &options)
}

/// A client that has had its daemon launched, and the daemon. An async client has kept a connection to it.
///
/// # Panics
///
/// When there is no answer.
pub fn started(bench: &Bench, manner: Manner, program: &Path) -> (Asker, Daemon) {
    let asker = of(bench, manner, program);
    let answered = asker.ask("GET", "/count", "").expect("an answer");
    assert_eq!(answered.0, 200, "{answered:?}");
    (asker, bench.daemon())
}

/// The same story with each client, at once.
pub fn with_each(story: impl Fn(Manner) + Sync) {
    std::thread::scope(|scope| {
        for manner in Manner::ALL {
            let story = &story;
            scope.spawn(move || story(manner));
        }
    });
}

fn how() -> EnsureOptions {
    EnsureOptions { autostart: Autostart::Allowed, hold: HoldRule::Obey, version: VersionRule::Compatible }
}

/// What a client says of one call, in a line: `TAG METHOD STATUS`, or `TAG METHOD undone WHY`, or `TAG METHOD maybe WHY`.
pub fn line_of(tag: &str, method: &str, outcome: &Result<Answered, ClientError>) -> String {
    match outcome {
        Ok((status, _)) => format!("{tag} {method} {status}"),
        Err(error) => {
            let doubt = if error.maybe_done { "maybe" } else { "undone" };
            format!("{tag} {method} {doubt} {error:?}").replace('\n', " ")
        }
    }
}

/// What was done, from outside.
#[derive(Clone, Debug)]
pub struct Journal(pub PathBuf);

impl Journal {
    /// How often each tag was done.
    pub fn done(&self) -> HashMap<String, u32> {
        let mut done = HashMap::new();
        for line in fs::read_to_string(&self.0).unwrap_or_default().lines() {
            *done.entry(line.to_owned()).or_default() += 1;
        }
        done
    }

    /// How many daemons there were.
    pub fn launches(&self) -> usize {
        fs::read_to_string(self.0.with_extension("launches")).unwrap_or_default().lines().count()
    }
}

/// The sum of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Calls that were answered 200.
    pub answered: u32,
    /// Calls that failed and were certainly not done.
    pub undone: u32,
    /// Calls that failed and may have been done.
    pub maybe: u32,
    /// Of all calls, those that change something.
    pub posts: u32,
}

/// Holds what the clients were told against what was done: what was acknowledged is done once, what failed as undone never,
/// and nothing twice.
pub fn compare(told: &str, journal: &Journal) -> Books {
    let mut done = journal.done();
    let mut books = Books::default();
    for line in told.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let (tag, method, outcome) = (words[0], words[1], words[2]);
        let times = done.remove(tag).unwrap_or(0);
        let is_post = method == "POST";
        books.posts += u32::from(is_post);
        match outcome {
            "200" => {
                books.answered += 1;
                assert_eq!(times, u32::from(is_post), "acknowledged: {line}");
            }
            "undone" => {
                books.undone += 1;
                assert_eq!(times, 0, "done, though it is said that it was not: {line}");
            }
            "maybe" => {
                books.maybe += 1;
                assert!(times <= 1, "done {times} times: {line}");
            }
            _ => panic!("an answer that is none of ours: {line}"),
        }
    }
    assert!(done.is_empty(), "done, and nobody asked for it: {done:?}");
    books
}
