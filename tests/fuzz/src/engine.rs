//! The loop: take, damage, hand over, keep what is new.

use std::collections::HashSet;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::corpus::Corpus;
use crate::mutate::mutate;
use crate::targets::Target;

/// The corpus of a run grows to this; what is found after that is counted and not kept.
const MOST_KEPT: usize = 2_000;

/// The stack of the thread that executes, in bytes: a quarter of what a daemon's threads have, so that a parser which takes
/// some for each level of an input runs out of it here. The process then dies with the name of the target on its lips.
const STACK: usize = 512 * 1024;

/// By how much the memory of the process may grow in a run, in KiB: the corpus of a run is 16 MiB at most.
const MOST_GROWTH: u64 = 64 * 1024;

/// After how many executions it is looked how much that was.
const LOOK_EACH: u64 = 256;

/// How much a run does.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Executions of the parser.
    pub executions: u64,
    /// All that is left to chance follows from it.
    pub seed: u64,
    /// An execution that takes longer than this hangs.
    pub hang: Duration,
    /// Whether each execution is named before it is begun, for one that takes the process along.
    pub aloud: bool,
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
    /// By how much the most memory that the process ever had has grown, in KiB. `None` where the platform does not tell.
    pub growth: Option<u64>,
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
/// The first input that made it panic. One that hangs, overflows the stack or eats the memory cannot be taken back: the
/// process says which it is and dies.
///
/// # Panics
///
/// When there is no thread to be had.
pub fn run(target: &Target, corpus: Corpus, limits: Limits) -> Result<Report, Failure> {
    let watch = Watch { most: peak(), ..Watch::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| watch.over(target.name, limits));
        let _over = EndOf(&watch.over);
        let executing = std::thread::Builder::new().name(target.name.to_owned()).stack_size(STACK);
        let executing = executing.spawn_scoped(scope, || execute(target, corpus, limits, &watch));
        executing.expect("a thread").join().expect("the panics of a target are caught")
    })
}

fn execute(target: &Target, mut corpus: Corpus, limits: Limits, watch: &Watch) -> Result<Report, Failure> {
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(limits.seed);
    let mut seen = HashSet::new();
    let mut accepted = 0;
    let kept: Vec<Vec<u8>> = corpus.inputs().to_vec();
    for execution in 0..limits.executions {
        let kept = usize::try_from(execution).ok().and_then(|number| kept.get(number));
        let input = kept.cloned().unwrap_or_else(|| {
            let mut input = corpus.any(&mut random).to_vec();
            mutate(&mut input, target.tokens, &corpus, &mut random);
            input
        });
        if limits.aloud {
            say(target.name, execution, &input);
        }
        watch.begun.store(execution + 1, Ordering::Release);
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(&input))).map_err(|panic| Failure {
            input: input.clone(),
            execution,
            why: said(&*panic),
        })?;
        accepted += u64::from(outcome.accepted);
        if execution % LOOK_EACH == 0 || execution + 1 == limits.executions {
            watch.bound_growth(target.name, execution, limits);
        }
        if seen.insert(outcome.what) && seen.len() < MOST_KEPT {
            corpus.add(&input);
        }
    }
    let growth = watch.growth();
    Ok(Report {
        executions: limits.executions,
        outcomes: seen.len(),
        accepted,
        took: began.elapsed(),
        growth,
    })
}

#[expect(clippy::print_stderr, reason = "what is asked for to see what the process dies of")]
fn say(target: &str, execution: u64, input: &[u8]) {
    eprintln!("{target}: execution {execution}: {}", input.escape_ascii());
}

/// The most memory that this process ever had, in KiB (`proc_pid_status(5)`).
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
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
    /// The most memory that the process had before.
    most: Option<u64>,
}

impl Watch {
    fn growth(&self) -> Option<u64> {
        Some(peak()?.saturating_sub(self.most?))
    }

    fn bound_growth(&self, target: &str, execution: u64, limits: Limits) {
        if let Some(growth) = self.growth()
            && growth > MOST_GROWTH
        {
            let which = format!("execution {execution} or one of the {LOOK_EACH} before it");
            die(target, &which, limits, &format!("the memory has grown by {growth} KiB"));
        }
    }

    fn over(&self, target: &str, limits: Limits) {
        let (mut last, mut since) = (0, Instant::now());
        while !self.over.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(2));
            let now = self.begun.load(Ordering::Acquire);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if now > 0 && since.elapsed() > limits.hang {
                // The thread that hangs cannot be ended from here, and a test that waits for it would hang as well.
                let why = format!("takes longer than {} ms", limits.hang.as_millis());
                die(target, &format!("execution {}", now - 1), limits, &why);
            }
        }
    }
}

/// Says what is wrong and ends the process. The number of an execution and the seed give its input again.
fn die(target: &str, which: &str, limits: Limits, why: &str) -> ! {
    // Not by `eprintln!`, which a test captures, and which is then lost with the process.
    let said = writeln!(std::io::stderr(), "{target}: {which} of seed {}: {why}", limits.seed);
    std::process::exit(if said.is_ok() { 101 } else { 102 })
}

/// Ends the watch, also where the run ends early.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
