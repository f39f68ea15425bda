//! `logs -f`: on for as long as somebody reads, over rotation, restart and displacement (another file at the path).

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _};
use std::time::Duration;

use aileron_discovery::{FileId, StateDir, StateFile, file_identity, held_identity};

use super::view::View;
use super::{open, shown, unreadable};
use crate::failure::Failure;
use crate::sys;

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// An open log that is read as it grows.
pub(super) struct Follower<'a> {
    dir: &'a StateDir,
    current: Option<File>,
    /// That of the file that is open, not of what stands at its path by now.
    identity: Option<FileId>,
    /// The predecessor as it was last seen; open, or its number could come back as another file's.
    old: Option<File>,
    /// The beginning of a line that is not whole yet.
    rest: Vec<u8>,
}

/// Whether anybody still reads what is printed.
type IsRead = bool;

impl<'a> Follower<'a> {
    /// Goes on at the present position of `current`, the log; `old` is its predecessor.
    pub(super) fn new(dir: &'a StateDir, current: Option<File>, old: Option<File>) -> Self {
        let identity = identity_of(current.as_ref());
        Self { dir, current, identity, old, rest: Vec::new() }
    }

    /// Prints what comes, until nobody reads it any more.
    pub(super) fn follow(mut self, view: &mut View) -> Result<(), Failure> {
        // A reader that is gone is noticed also while there is nothing to print: a shell waits for us in `logs -f | head -1`.
        while !sys::is_reader_gone() {
            if !self.read(view)? || !self.go_on_to_the_next(view)? {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Prints the whole lines that are there.
    fn read(&mut self, view: &mut View) -> Result<IsRead, Failure> {
        let Some(file) = &mut self.current else { return Ok(true) };
        // Cut off at its path (`> daemon.log`): its writer goes on from the start.
        let length = file.metadata().map_or(u64::MAX, |found| found.len());
        if file.stream_position().is_ok_and(|position| position > length) && file.rewind().is_ok() {
            self.rest.clear();
        }
        drain(file, &mut self.rest, view).map_err(|error| unreadable(self.dir, &error))
    }

    /// Where another file stands at the path: the rest of the present one, the one in between if there was one, and on.
    fn go_on_to_the_next(&mut self, view: &mut View) -> Result<IsRead, Failure> {
        let there = file_identity(&self.dir.path(StateFile::Log)).ok();
        if there.is_none() || there == self.identity {
            return Ok(true);
        }
        // What was written to it between the last read and the rotation.
        if !self.read(view)? {
            return Ok(false);
        }
        let Ok(Some(next)) = open(self.dir, StateFile::Log) else { return Ok(true) };
        // Two rotations in one pause: the predecessor is not the file that was read, and not the one before it.
        let between = open(self.dir, StateFile::OldLog).ok().flatten();
        let found = identity_of(between.as_ref());
        let is_known = found == self.identity || found == identity_of(self.old.as_ref());
        let unread = between.as_ref().filter(|_| !is_known && self.identity.is_some());
        let unread = unread.and_then(|file| file.try_clone().ok());
        self.old = between;
        if let Some(file) = unread
            && !self.go_on_with(file, view)?
        {
            return Ok(false);
        }
        self.go_on_with(next, view)
    }

    fn go_on_with(&mut self, file: File, view: &mut View) -> Result<IsRead, Failure> {
        self.identity = identity_of(Some(&file));
        self.current = Some(file);
        self.rest.clear();
        self.read(view)
    }
}

fn identity_of(file: Option<&File>) -> Option<FileId> {
    file.and_then(|file| held_identity(file).ok())
}

fn drain(file: &mut File, rest: &mut Vec<u8>, view: &mut View) -> io::Result<IsRead> {
    let mut reader = BufReader::new(file);
    while reader.read_until(b'\n', rest)? > 0 {
        if rest.ends_with(b"\n") {
            rest.pop();
            if !rest.is_empty() && !view.print(&shown(rest)) {
                return Ok(false);
            }
            rest.clear();
        }
    }
    Ok(true)
}
