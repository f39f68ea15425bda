//! What the fence costs: `fence_cost DIR` takes the lock in a directory and times [`Ownership::verify`] against the bare
//! system call that it is made of, in batches that alternate, and prints one JSON document with nanoseconds per call.
//!
//! The directory is made if it is missing, and the lock file stays in it. `cargo xtask bench detect` runs this.

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aileron_discovery::{OwnerLock, Ownership, StateDir, Tool, Verdict};
use serde_json::{Value, json};

/// How often each of the two is called in all.
const CALLS: u32 = 200_000;
/// How often between two looks at the clock, which costs a hundredth of that.
const BATCH: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args_os().nth(1).ok_or("usage: fence_cost DIR")?;
    let state_dir = StateDir::resolve(
        &Tool::new("fence-cost", env!("CARGO_PKG_VERSION")),
        Some(&PathBuf::from(argument)),
    )?;
    state_dir.create()?;
    let lock = OwnerLock::acquire(&state_dir)?;
    let document = measure(lock.ownership())?;
    writeln!(std::io::stdout(), "{document}")?;
    Ok(())
}

fn measure(ownership: &Ownership) -> Result<Value, Box<dyn Error>> {
    let path = ownership.lock_path();
    let (mut verify, mut lstat) = (Vec::new(), Vec::new());
    for _ in 0..CALLS / BATCH {
        verify.push(time(|| black_box(ownership).verify() == Verdict::Owner)?);
        lstat.push(time(|| black_box(path).symlink_metadata().is_ok())?);
    }
    let (verify, lstat) = (Spread::of(verify), Spread::of(lstat));
    Ok(json!({
        "schema": 1,
        "calls": CALLS,
        "batch": BATCH,
        "path_depth": depth(path),
        "verify_ns": verify.document(),
        "lstat_ns": lstat.document(),
        "ratio": verify.median / lstat.median,
    }))
}

/// One batch, in nanoseconds per call. Every call must give the good answer, or something else is timed.
fn time(mut call: impl FnMut() -> bool) -> Result<f64, Box<dyn Error>> {
    let begun = Instant::now();
    let good = (0..BATCH).all(|_| call());
    let took: Duration = begun.elapsed();
    if good {
        Ok(took.as_secs_f64() * 1e9 / f64::from(BATCH))
    } else {
        Err("the lock was lost meanwhile".into())
    }
}

/// How many components the kernel walks.
fn depth(path: &Path) -> usize {
    path.components().count() - 1
}

/// Sorted batches, summed up.
struct Spread {
    min: f64,
    median: f64,
    p95: f64,
    p99: f64,
}

impl Spread {
    fn of(mut batches: Vec<f64>) -> Self {
        batches.sort_by(f64::total_cmp);
        let at = |percent: usize| batches[(batches.len() * percent / 100).min(batches.len() - 1)];
        Self { min: at(0), median: at(50), p95: at(95), p99: at(99) }
    }

    fn document(&self) -> Value {
        json!({ "min": self.min, "median": self.median, "p95": self.p95, "p99": self.p99 })
    }
}
