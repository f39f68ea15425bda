//! The notes of a round: what was seen, the figures, and the timeline.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::Result;

use super::super::outcome::{Figure, Promise};
use super::super::timeline::{Call, Lane, Mark, PathChange, Said, Timeline};
use crate::world::client::Answer;
use crate::world::clock::Epoch;
use crate::world::daemon::Daemon;
use crate::world::log::Line;
use crate::world::observe::{FileId, describe_path};
use crate::world::process::Ended;

/// What is written down while a round is under way.
#[derive(Debug, Default)]
pub(in crate::e2e) struct Notes {
    pub(in crate::e2e) seen: Vec<String>,
    pub(in crate::e2e) figures: Vec<Figure>,
    pub(in crate::e2e) timeline: Timeline,
    /// The files that were at the lock's path so far.
    files: Vec<(FileId, Option<SystemTime>)>,
}

/// Who changed what stands at the path: we, a moment ago, or a client or its daemon since that client began.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Deed,
    Client { begun_ms: f64 },
}

impl Notes {
    pub(super) fn figure(&mut self, what: &'static str, ms: f64, promise: Promise) {
        self.figures.push(Figure { what, ms, promise_ms: promise.0, bound_ms: promise.bound_ms() });
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        self.timeline.marks.push(mark);
    }

    pub(super) fn call(&mut self, epoch: Epoch, answer: &Answer) {
        self.timeline.calls.push(Call {
            from_ms: epoch.ms_at(answer.begun),
            to_ms: epoch.ms_at(answer.ended),
            text: answer.shown.clone(),
            status: answer.status,
        });
    }

    /// Notes what stands at the lock's path, if that has changed.
    pub(super) fn path(&mut self, epoch: Epoch, lock: &Path, by: By) {
        let (what, file) = (describe_path(lock), self.file_number(lock));
        let last = self.timeline.at_path.last();
        if last.is_some_and(|change| change.what == what && change.file == file) {
            return;
        }
        let now = epoch.now_ms();
        let at_ms = match by {
            By::Deed => now,
            By::Client { begun_ms } => {
                let born = fs::symlink_metadata(lock).and_then(|metadata| metadata.created());
                let birth = born.map_or(now, |time| epoch.ms_at_wall(time));
                // The kernel dates births by its coarse clock, which lags by a tick: then the middle of what is possible.
                if birth > begun_ms { birth.min(now) } else { f64::midpoint(begun_ms, now) }
            }
        };
        self.timeline.at_path.push(PathChange { at_ms, what, file });
    }

    /// Tells files apart whose inodes have the same number, by when they were born.
    fn file_number(&mut self, path: &Path) -> Option<usize> {
        let metadata = fs::symlink_metadata(path).ok().filter(Metadata::is_file)?;
        let key = (FileId::of(&metadata), metadata.created().ok());
        let known = self.files.iter().position(|file| *file == key);
        Some(known.unwrap_or_else(|| {
            self.files.push(key);
            self.files.len() - 1
        }))
    }

    /// Opens a lane for a daemon that has just been seen.
    pub(super) fn lane(&mut self, epoch: Epoch, daemon: &Daemon, lock: &Path) -> Result<()> {
        let file = self.file_number(lock);
        let said = said(epoch, &daemon.log.lines()?);
        let ready = said.iter().find(|said| said.event == "ready").map(|said| said.at_ms);
        self.timeline.lanes.push(Lane {
            name: daemon.name,
            pid: daemon.pid(),
            inode: daemon.held.ino.to_string(),
            file,
            from_ms: ready.unwrap_or_else(|| epoch.now_ms()),
            gone_ms: None,
            ended: None,
            said,
        });
        Ok(())
    }

    /// Closes a daemon's lane.
    pub(super) fn end_of_lane(
        &mut self,
        epoch: Epoch,
        daemon: &Daemon,
        moment: Instant,
        ended: Ended,
        lines: &[Line],
    ) {
        let pid = daemon.pid();
        if let Some(lane) = self.timeline.lanes.iter_mut().find(|lane| lane.pid == pid) {
            lane.gone_ms = Some(epoch.ms_at(moment));
            lane.ended = Some(ended.to_string());
            lane.said = said(epoch, lines);
        }
    }
}

fn said(epoch: Epoch, lines: &[Line]) -> Vec<Said> {
    let lines = lines.iter().map(|line| Said {
        at_ms: epoch.ms_at_wall(line.time),
        event: line.event.clone(),
        text: line.message.clone(),
    });
    lines.collect()
}
