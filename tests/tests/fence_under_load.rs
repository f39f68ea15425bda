//! P3 under load: the gap between losing the lock and noticing it is where an orphan acts once too often. Each request
//! carries a tag, its sender notes the moment before it sends, and what was sent after the displacing system call had
//! returned must be in nobody's count.
//!
//! `AILERON_TEST_ROUNDS=200` is the run that counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use aileron_tests::load::{Load, Sent};
use aileron_tests::{Bench, End, PROMPT, Round, bench, each_round, until};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// One system call that takes the lock from its path.
type Fault = fn(&Bench);

/// Each begins with what the one system call needs, prepared by [`prepare`].
const FAULTS: [(&str, Fault); 5] = [
    ("lock deleted", |bench| fs::remove_file(bench.file("daemon.lock")).unwrap()),
    ("lock replaced", |bench| fs::rename(bench.file("fresh"), bench.file("daemon.lock")).unwrap()),
    ("lock renamed", |bench| fs::rename(bench.file("daemon.lock"), bench.file("aside")).unwrap()),
    ("directory renamed", |bench| fs::rename(bench.state(), bench.beside("moved")).unwrap()),
    ("directory exchanged", |bench| {
        renameat_with(CWD, bench.state(), CWD, bench.beside("other"), RenameFlags::EXCHANGE).unwrap();
    }),
];

/// Longer than it takes a daemon to go that has noticed, and short enough for one that never does.
const GRACE: Duration = Duration::from_millis(700);

fn prepare(bench: &Bench) {
    fs::write(bench.file("fresh"), "").unwrap();
    fs::create_dir(bench.beside("other")).unwrap();
    aileron_tests::set_mode(&bench.beside("other"), 0o700);
}

fn lines(file: &Path) -> BTreeSet<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(String::from).collect()
}

/// What was seen in a round.
#[derive(Default)]
struct Tally {
    acted_before: usize,
    sent_after: usize,
}

fn play(round: &mut Round, options: &[&str], tally: &mut Tally) {
    let (what, fault) = FAULTS[round.number() % FAULTS.len()];
    let (pause, successor, lasting) = (round.within(Duration::from_millis(20)), round.coin(), round.coin());
    round.tell(format!("{what} after {pause:?}, successor: {successor}, drain held open: {lasting}"));
    let bench = bench!();
    let count = bench.beside("count");
    let options = [options, &["--drain", "300", "--count", count.to_str().unwrap()]].concat();
    let old = bench.service(&options);
    prepare(&bench);
    // Something in flight keeps the displaced daemon, and the connections that it has, a while longer.
    let hanging =
        lasting.then(|| aileron_tests::http::send(old.address, &old.request("GET", "/hang/600000")).unwrap());
    let load = Load::on(&old, "/count");
    until("the load is on", PROMPT, || (lines(&count).len() > 50).then_some(()));
    std::thread::sleep(pause);

    fault(&bench);
    let displaced = Instant::now();
    let successor = successor.then(|| {
        let other = bench.beside("other-count");
        bench.service(&["--count", other.to_str().unwrap()])
    });
    let ended = old.process.ends_within(GRACE);
    let sent = load.end();
    judge(&sent, &lines(&count), displaced, tally);
    assert!(ended || lasting, "it was still there {GRACE:?} after the loss");
    assert_eq!(old.process.wait(PROMPT), End::Status(0));
    drop(hanging);

    let new = successor.unwrap_or_else(|| bench.start(&[]));
    assert_eq!(new.handshake().unwrap().status, 200);
    assert_eq!(lines(&bench.beside("other-count")), BTreeSet::new(), "the load was the old one's alone");
    bench.only(&new);
}

fn judge(sent: &[Sent], acted: &BTreeSet<String>, displaced: Instant, tally: &mut Tally) {
    let (after, before): (Vec<&Sent>, Vec<&Sent>) = sent.iter().partition(|sent| sent.at >= displaced);
    let acted_after: Vec<_> = after
        .iter()
        .filter(|sent| acted.contains(&sent.tag))
        .map(|sent| (sent, sent.at - displaced))
        .collect();
    assert!(acted_after.is_empty(), "acted on what was sent after the loss: {acted_after:?}");
    let answered = after.iter().filter(|sent| sent.status.is_some_and(|status| status != 503)).count();
    assert_eq!(answered, 0, "a displaced daemon answers 503 or nothing");
    let unanswered = |sent: &&&Sent| sent.status == Some(200) && !acted.contains(&sent.tag);
    assert_eq!(before.iter().filter(unanswered).count(), 0, "what was answered was acted on");
    tally.acted_before += before.iter().filter(|sent| acted.contains(&sent.tag)).count();
    tally.sent_after += after.len();
}

#[expect(clippy::print_stdout, reason = "the figures of a closing run")]
fn under_load(options: &[&str]) {
    let mut tally = Tally::default();
    each_round(20, |round| play(round, options, &mut tally));
    let Tally { acted_before, sent_after } = tally;
    println!("acted on before the losses: {acted_before}; sent after: {sent_after}, of which acted on: 0");
    assert!(acted_before > 0 && sent_after > 0, "this showed nothing");
}

#[test]
fn p3_nothing_sent_after_the_loss_is_acted_on_with_the_watcher_on() {
    under_load(&[]);
}

#[test]
fn p3_nothing_sent_after_the_loss_is_acted_on_with_the_watcher_off() {
    under_load(&["--no-lock-events", "--poll", "30000"]);
}
