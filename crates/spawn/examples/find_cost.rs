//! What finding a daemon costs a program that is running already: `find_cost DIR` times [`find`] in the state directory of a
//! daemon that runs, in turns with the bare system calls against the same daemon, and prints one JSON document with
//! microseconds per call.
//!
//! * `proved`: `find` as it is.
//! * `unproved`: `find` in a twin directory whose record has no instance, as a reference daemon's has none: no handshake, a
//!   request for `/healthz` and a look at the lock, which this program holds. The twin is made beside `DIR`, and removed.
//! * `raw`: open and read the record, connect, one request for `/healthz` and its answer, close.
//!
//! `cargo xtask bench client` runs this.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aileron_discovery::{Advertisement, Deadline, OwnerLock, Reading, StateDir, StateFile, Tool};
use aileron_spawn::{Finding, find};
use serde_json::{Value, json};

/// How often each of the three is done, where no other number is given.
const CALLS: usize = 2000;
/// How often before anything is timed.
const REHEARSALS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: find_cost DIR [CALLS]")?);
    let calls = match arguments.next() {
        Some(number) => number.to_string_lossy().parse()?,
        None => CALLS,
    };
    let state_dir = StateDir::resolve(&tool(), Some(&directory))?;
    let twin = Twin::make(&state_dir)?;
    let document = measure(&state_dir, &twin, calls)?;
    writeln!(std::io::stdout(), "{document}")?;
    Ok(())
}

fn tool() -> Tool {
    Tool::new("aileron", env!("CARGO_PKG_VERSION"))
}

fn measure(state_dir: &StateDir, twin: &Twin, calls: usize) -> Result<Value, Box<dyn Error>> {
    let record = state_dir.path(StateFile::Record);
    let address = address(state_dir)?;
    let question = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let (mut proved, mut unproved, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for call in 0..calls + REHEARSALS {
        let times = [
            time(|| found(state_dir, true))?,
            time(|| found(&twin.state_dir, false))?,
            time(|| round_trip(&record, address, &question))?,
        ];
        if call >= REHEARSALS {
            proved.push(times[0]);
            unproved.push(times[1]);
            raw.push(times[2]);
        }
    }
    Ok(json!({
        "schema": 1,
        "calls": calls,
        "proved_us": spread(proved),
        "unproved_us": spread(unproved),
        "raw_us": spread(raw),
    }))
}

/// Microseconds.
fn time(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}

/// One find, which must come to the good answer, or something else is timed.
fn found(state_dir: &StateDir, proved: bool) -> Result<(), Box<dyn Error>> {
    match find(state_dir, Deadline::after(PATIENCE))? {
        Finding::Found(found) if found.proved() == proved => Ok(()),
        other => Err(format!("found {other:?}").into()),
    }
}

fn round_trip(record: &Path, address: SocketAddr, question: &str) -> Result<(), Box<dyn Error>> {
    let mut bytes = [0; 4096];
    let length = std::fs::File::open(record)?.read(&mut bytes)?;
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(question.as_bytes())?;
    let count = stream.read(&mut bytes)?;
    if length > 0 && bytes[..count].starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err("no healthy answer".into())
    }
}

fn address(state_dir: &StateDir) -> Result<SocketAddr, Box<dyn Error>> {
    match Advertisement::read(state_dir)? {
        Reading::Present(record) => Ok(record.url.address()),
        other => Err(format!("no record: {other:?}").into()),
    }
}

/// A directory with a record of the same daemon that names no instance, under a lock of our own.
struct Twin {
    state_dir: StateDir,
    _lock: OwnerLock,
}

impl Twin {
    fn make(original: &StateDir) -> Result<Self, Box<dyn Error>> {
        let path = original.root().with_extension("twin");
        let state_dir = StateDir::resolve(&tool(), Some(&path))?;
        state_dir.create()?;
        let lock = OwnerLock::acquire(&state_dir)?;
        let twin = Self { state_dir, _lock: lock };
        let mut record: Value = serde_json::from_slice(&std::fs::read(original.path(StateFile::Record))?)?;
        record.as_object_mut().ok_or("a record is an object")?.remove("instance");
        std::fs::write(twin.state_dir.path(StateFile::Record), record.to_string())?;
        Ok(twin)
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        // It lies in a home that whoever runs this removes as a whole.
        let _left_to_the_home = std::fs::remove_dir_all(self.state_dir.root());
    }
}

fn spread(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    // The smallest that so many percent do not exceed.
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
    json!({
        "n": times.len(),
        "min": times[0],
        "median": at(50),
        "p95": at(95),
        "p99": at(99),
        "max": times[times.len() - 1],
    })
}
