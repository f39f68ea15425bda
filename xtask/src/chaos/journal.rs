//! The journal: every increment that was acted upon, by whom, under which epoch and when. It is what the daemons *did*,
//! beside what the clients were told and what the adversary knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::asker::Asked;
use super::scene::Lost;

/// One line: `EPOCH PID INSTANCE NANOSECONDS ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    epoch: u64,
    pid: u32,
    instance: String,
    at: SystemTime,
    id: String,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut next = || words.next();
        let (epoch, pid, instance) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.to_owned());
        let at = UNIX_EPOCH + Duration::from_nanos(next()?.parse().ok()?);
        let id = next()?.to_owned();
        words.next().is_none().then_some(Self { epoch, pid, instance, at, id })
    }
}

/// Reads a journal, and holds it against what was asked and who had lost its path when.
pub(super) fn judge(text: &str, asked: &[Asked], lost: &[Lost]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut entries = Vec::new();
    for line in text.lines() {
        match Entry::parse(line) {
            Some(entry) => entries.push(entry),
            None => wrong.push(format!("the journal has a line that is none: {line:?}")),
        }
    }
    wrong.extend(order(&entries));
    wrong.extend(accounts(&entries, asked));
    wrong.extend(entries.iter().filter_map(|entry| late(entry, asked, lost)));
    wrong
}

/// Epochs never go back, and no two owners share one: the receiver refuses a smaller one, so an owner whose epoch is smaller
/// than its predecessor's would be refused, and one whose epoch is the same would not.
fn order(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut of: BTreeMap<u64, &str> = BTreeMap::new();
    for pair in entries.windows(2).filter(|pair| pair[1].epoch < pair[0].epoch) {
        wrong.push(format!("epochs went back: {:?} was written after {:?}", pair[1], pair[0]));
    }
    for entry in entries {
        let first = of.entry(entry.epoch).or_insert(&entry.instance);
        if *first != entry.instance {
            wrong.push(format!("instances {first} and {} share the epoch {}", entry.instance, entry.epoch));
        }
    }
    wrong
}

/// None acknowledged and lost, none refused and done, none done twice.
fn accounts(entries: &[Entry], asked: &[Asked]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for entry in entries.iter().filter(|entry| !done.insert(&entry.id)) {
        wrong.push(format!("increment {} was done twice", entry.id));
    }
    for (asked, id) in asked.iter().filter_map(|asked| Some((asked, asked.id.as_deref()?))) {
        if asked.acknowledged() && !done.contains(id) {
            wrong.push(format!("increment {id} was acknowledged and is lost"));
        }
        if asked.refused() && done.contains(id) {
            wrong.push(format!("increment {id} was said not to be done and is: {}", asked.said));
        }
    }
    wrong
}

/// P3: what was sent after the daemon had lost its path, it did before it had the path back.
///
/// What was sent before may be done after: no check closes that gap, and the epoch is there for it.
fn late(entry: &Entry, asked: &[Asked], lost: &[Lost]) -> Option<String> {
    let sent = match asked.iter().find(|asked| asked.id.as_deref() == Some(&entry.id)) {
        Some(asked) => asked.begun,
        // A probe is sent after the loss; any other increment that nobody asked for is odd enough to be told.
        None => entry.at,
    };
    let lost = lost.iter().find(|lost| {
        lost.pid == entry.pid && sent > lost.since && lost.until.is_none_or(|until| entry.at < until)
    })?;
    Some(format!("P3: {entry:?} was asked for after that process had lost its path ({lost:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::plan::{By, Step, What};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn line(epoch: u64, pid: u32, seconds: u64, id: &str) -> String {
        format!("{epoch} {pid} instance-{pid} {} {id}\n", seconds * 1_000_000_000)
    }

    fn asked(id: &str, begun: u64, status: Option<i32>) -> Asked {
        let what = What::Add(Duration::ZERO);
        Asked {
            step: Step { after: Duration::ZERO, what, by: By::Journal, killed_after: None },
            id: Some(id.to_owned()),
            begun: at(begun),
            ended: at(begun + 1),
            status,
            took: Duration::ZERO,
            said: String::new(),
        }
    }

    #[test]
    fn a_good_account_is_no_violation() {
        let text = [line(5, 1, 10, "a"), line(5, 1, 11, "b"), line(9, 2, 12, "c")].concat();
        let all =
            [asked("a", 9, Some(0)), asked("b", 10, None), asked("c", 11, Some(10)), asked("d", 1, Some(1))];
        let lost = [Lost { pid: 1, since: at(11), until: None }];
        assert_eq!(judge(&text, &all, &lost), Vec::<String>::new(), "b was sent before the loss");
    }

    #[test]
    fn each_violation_is_found() {
        let cases = [
            (line(5, 1, 10, "a") + &line(4, 2, 11, "b"), vec![], vec![]),
            (line(5, 1, 10, "a") + &line(5, 2, 11, "b"), vec![], vec![]),
            (line(5, 1, 10, "a") + &line(5, 1, 11, "a"), vec![], vec![]),
            ("nonsense\n".to_owned(), vec![], vec![]),
            (String::new(), vec![asked("a", 1, Some(0))], vec![]),
            (line(5, 1, 10, "a"), vec![asked("a", 9, Some(1))], vec![]),
            (
                line(5, 1, 10, "a"),
                vec![asked("a", 9, Some(0))],
                vec![Lost { pid: 1, since: at(8), until: None }],
            ),
            (line(5, 1, 10, "probe-1"), vec![], vec![Lost { pid: 1, since: at(8), until: Some(at(11)) }]),
        ];
        for (text, all, lost) in cases {
            assert_eq!(judge(&text, &all, &lost).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_was_done_when_the_path_was_back_is_right() {
        let lost = [Lost { pid: 1, since: at(8), until: Some(at(9)) }];
        assert_eq!(judge(&line(5, 1, 10, "a"), &[asked("a", 8, Some(0))], &lost).len(), 0);
    }
}
