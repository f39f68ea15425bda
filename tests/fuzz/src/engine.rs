//! The loop: take, damage, hand over, keep what is new.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::corpus::Corpus;
use crate::mutate::mutate;
use crate::targets::Target;

/// The corpus of a run grows to this; what is found after that is counted and not kept.
const MOST_KEPT: usize = 2_000;

/// How much a run does.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Executions of the parser.
    pub executions: u64,
    /// All that is left to chance follows from it.
    pub seed: u64,
    /// An execution that takes longer than this hangs.
    pub hang: Duration,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Executions done.
    pub executions: u64,
    /// Different outcomes seen.
    pub outcomes: usize,
    /// How many inputs were accepted: a run in which none is tests the first check alone.
    pub accepted: u64,
    /// How long it took.
    pub took: Duration,
}

/// An input that a target did not survive.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// Which execution it was, from 0.
    pub execution: u64,
    /// What the panic said, or that it hung.
    pub why: String,
}

/// Runs a target. The kept inputs come first, as they are.
///
/// # Errors
///
/// The first input that made it panic. One that hangs cannot be taken back: it is printed, and the process is ended with
/// status 101.
pub fn run(target: &Target, mut corpus: Corpus, limits: Limits) -> Result<Report, Failure> {
    let watch = Watch::default();
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(limits.seed);
    let mut seen = HashSet::new();
    let mut accepted = 0;
    let kept: Vec<Vec<u8>> = corpus.inputs().to_vec();
    std::thread::scope(|scope| {
        scope.spawn(|| watch.over(target.name, limits));
        let _over = EndOf(&watch.over);
        for execution in 0..limits.executions {
            let kept = usize::try_from(execution).ok().and_then(|number| kept.get(number));
            let input = kept.cloned().unwrap_or_else(|| {
                let mut input = corpus.any(&mut random).to_vec();
                mutate(&mut input, &corpus, &mut random);
                input
            });
            watch.begun.store(execution + 1, Ordering::Release);
            let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)))
                .map_err(|panic| Failure { input: input.clone(), execution, why: said(&*panic) })?;
            accepted += u64::from(outcome.accepted);
            if seen.insert(outcome.what) && seen.len() < MOST_KEPT {
                corpus.add(&input);
            }
        }
        Ok(())
    })?;
    Ok(Report { executions: limits.executions, outcomes: seen.len(), accepted, took: began.elapsed() })
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

/// Sees whether executions go on.
#[derive(Default)]
struct Watch {
    /// The number of the last execution that began, from 1.
    begun: AtomicU64,
    over: AtomicBool,
}

impl Watch {
    fn over(&self, target: &str, limits: Limits) {
        let (mut last, mut since) = (0, Instant::now());
        while !self.over.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(2));
            let now = self.begun.load(Ordering::Acquire);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if now > 0 && since.elapsed() > limits.hang {
                // The thread that hangs cannot be ended from here, and a test that waits for it would hang as well.
                die(target, now - 1, limits);
            }
        }
    }
}

/// Says which execution hangs and ends the process: its number and the seed give the input again.
#[expect(clippy::print_stderr, reason = "the last words of a process that cannot go on")]
fn die(target: &str, execution: u64, limits: Limits) -> ! {
    eprintln!(
        "{target}: execution {execution} of seed {} takes longer than {} ms",
        limits.seed,
        limits.hang.as_millis()
    );
    std::process::exit(101)
}

/// Ends the watch, also where the run ends early.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
