//! A pair of eyes on the lock's path and on the record, from a round's first step to its last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::scene::{Scene, holders_of};
use crate::e2e::timeline::{Lane, PathChange, Timeline};
use crate::world::observe::{FileId, describe_path};

/// Far below the 200 ms after which an owner mends its record, so that none is missed.
const PACE: Duration = Duration::from_millis(3);

/// Descriptor tables are read at every so manieth look: it takes a millisecond or two.
const HOLDERS: u32 = 12;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    at_path: Vec<(f64, String, Option<FileId>)>,
    /// By instance and epoch: an owner that was away writes its record again, under a new epoch.
    records: BTreeMap<(String, u64), Record>,
    /// Who held the exclusive flock of the file at the path when that was last looked at.
    holders: Vec<u32>,
    /// P1: more than one did, at two looks.
    two_owners: Vec<String>,
}

#[derive(Debug)]
struct Record {
    pid: u32,
    files: BTreeSet<FileId>,
    from_ms: f64,
    to_ms: f64,
    lock: Option<FileId>,
}

/// Looks until it is told that it is over.
pub(super) fn watch(scene: &Scene, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut looks = 0_u32;
    while !over.load(Ordering::Acquire) {
        seen.look(scene);
        looks += 1;
        if looks.is_multiple_of(HOLDERS) {
            seen.count_holders(scene);
        }
        sleep(PACE);
    }
    seen.look(scene);
    seen
}

impl Seen {
    fn look(&mut self, scene: &Scene) {
        let now = scene.epoch.now_ms();
        let lock = &scene.home.paths.lock;
        let (what, file) = (describe_path(lock), FileId::at(lock).ok().flatten());
        if self.at_path.last().is_none_or(|(_, last, id)| *last != what || *id != file) {
            self.at_path.push((now, what, file));
        }
        for record in self.records.values_mut() {
            if std::fs::exists(format!("/proc/{}", record.pid)).unwrap_or(false) {
                record.to_ms = now;
            }
        }
        // Half written, or not there: not advertised.
        let Some((id, who, pid)) = read_record(scene) else { return };
        let fresh = Record { pid, files: BTreeSet::new(), from_ms: now, to_ms: now, lock: file };
        self.records.entry(who).or_insert(fresh).files.insert(id);
    }

    /// The kernel grants the flock to one open file description; that no two processes have it for long is up to them. A child
    /// between `fork` and `exec` does, and is something else at the next look.
    fn count_holders(&mut self, scene: &Scene) {
        let Some(file) = FileId::at(&scene.home.paths.lock).ok().flatten() else { return };
        let holders = holders_of(file);
        if holders.len() > 1 && holders == self.holders && self.two_owners.is_empty() {
            self.two_owners
                .push(format!("P1: the lock at the path ({file}) is held by processes {holders:?}"));
        }
        self.holders = holders;
    }

    /// P1: what was seen of two holders at once.
    pub(super) fn two_owners(&self) -> &[String] {
        &self.two_owners
    }

    /// P4: nobody hurt a record in this round, so nobody had to write one twice under one epoch.
    pub(super) fn touched(&self) -> Vec<String> {
        let twice = self.records.iter().filter(|(_, record)| record.files.len() > 1);
        let tell = |(who, record): (&(String, u64), &Record)| {
            let (pid, files) = (record.pid, &record.files);
            format!(
                "P4: the record of instance and epoch {who:?} (process {pid}) was touched: it was {files:?}"
            )
        };
        twice.map(tell).collect()
    }

    /// As the report draws it.
    pub(super) fn draw(&self, timeline: &mut Timeline) {
        let mut files: Vec<FileId> = Vec::new();
        let mut number = |id: Option<FileId>| {
            let id = id?;
            Some(files.iter().position(|known| *known == id).unwrap_or_else(|| {
                files.push(id);
                files.len() - 1
            }))
        };
        for (at_ms, what, id) in &self.at_path {
            timeline.at_path.push(PathChange { at_ms: *at_ms, what: what.clone(), file: number(*id) });
        }
        for (record, name) in self.records.values().zip(NAMES) {
            timeline.lanes.push(Lane {
                name,
                pid: record.pid,
                inode: record.lock.map_or_else(|| "?".to_owned(), |id| id.ino.to_string()),
                file: number(record.lock),
                from_ms: record.from_ms,
                gone_ms: Some(record.to_ms),
                ended: None,
                said: Vec::new(),
            });
        }
    }
}

const NAMES: [&str; 16] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P"];

fn read_record(scene: &Scene) -> Option<(FileId, (String, u64), u32)> {
    let mut file = File::options().read(true).open(scene.record()).ok()?;
    let id = FileId::of(&file.metadata().ok().filter(std::fs::Metadata::is_file)?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let record: Value = serde_json::from_slice(&bytes).ok()?;
    let pid = u32::try_from(record.get("pid")?.as_u64()?).ok()?;
    let who = (record.get("instance")?.as_str()?.to_owned(), record.get("epoch")?.as_u64()?);
    Some((id, who, pid))
}
