//! File events: `inotify(7)` on the lock, its directory and each ancestor, and `/proc/self/mountinfo` for what inotify does
//! not see: a mount put over the directory (`proc(5)`: `POLLERR | POLLPRI` at each change).

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::{FileNews, Targets};

mod notify;
pub(crate) use notify::{NotifySocket, take_variables};

/// The watches that could be placed.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: OwnedFd,
    mounts: Option<File>,
    /// The watches on lock, directory and ancestors. Those on records go with their files.
    placed: Vec<i32>,
    /// The lock's name, as the directory's events tell it.
    name: CString,
}

impl Watcher {
    /// Places every watch that can be placed and says what could not be: with an empty list, it is armed.
    ///
    /// The lock is watched through its descriptor, so that it is *that* inode which is watched, whatever became of the path
    /// since. An ancestor needs a watch of its own: moving a grandparent gives no event on anything below it.
    ///
    /// An instance that is there already is used again: closing one waits for a grace period of the kernel's, in which the
    /// keeper would hear nothing.
    pub(crate) fn arm(present: Option<Self>, targets: &Targets<'_>) -> (Option<Self>, Vec<String>) {
        let mut missing = Vec::new();
        let mut watcher = match present.map_or_else(|| Self::open(targets.name), Ok) {
            Ok(watcher) => watcher,
            Err(error) => return (None, vec![format!("no inotify instance: {error}")]),
        };
        if watcher.mounts.is_none() {
            watcher.mounts = open_mounts(&mut missing);
        }
        missing.extend(why_events_may_miss(targets.directory));
        let before = std::mem::take(&mut watcher.placed);
        let held = PathBuf::from(format!("/proc/self/fd/{}", targets.lock.as_raw_fd()));
        let mut must =
            |path: &Path, shown: &Path, flags| match inotify::add_watch(&watcher.inotify, path, flags) {
                Ok(watch) => watcher.placed.push(watch),
                Err(error) => {
                    missing.push(format!("cannot watch `{}`: {}", shown.display(), io::Error::from(error)));
                }
            };
        must(&held, Path::new("the held lock"), WatchFlags::ATTRIB | WatchFlags::MOVE_SELF);
        let there = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW | WatchFlags::MOVE_SELF;
        let inside = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        must(targets.directory, targets.directory, there | inside);
        for ancestor in targets.directory.ancestors().skip(1) {
            must(ancestor, ancestor, there);
        }
        watcher.remove_stale(&before);
        watcher.watch_records(&targets.records);
        (Some(watcher), missing)
    }

    fn open(name: &str) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let name = CString::new(name).map_err(io::Error::other)?;
        Ok(Self { inotify, mounts: None, placed: Vec::new(), name })
    }

    /// Removes watches on what is no longer in the path. One that the kernel has removed already is EINVAL.
    fn remove_stale(&self, before: &[i32]) {
        for watch in before.iter().filter(|watch| !self.placed.contains(watch)) {
            if inotify::remove_watch(&self.inotify, *watch).is_err() {}
        }
    }

    /// Watches the record and the pid file as they are now. A record that is not there yet is no gap: the directory tells.
    pub(crate) fn watch_records(&self, records: &[PathBuf]) {
        let changes = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB;
        let flags = changes | WatchFlags::DONT_FOLLOW;
        for record in records {
            if inotify::add_watch(&self.inotify, record, flags).is_err() {}
        }
    }

    /// Gives the watches up without waiting for the kernel to have forgotten them.
    ///
    /// Whoever closes the last reference to an inotify instance waits until its marks are gone, which takes a grace period of
    /// SRCU: milliseconds, spent in the middle of the process's end (design note 5).
    pub(crate) fn let_go(self) {
        if close_later(self.inotify).is_err() { /* closed at once, which takes its time */ }
    }

    pub(crate) fn add_to<'a>(&'a self, sources: &mut Vec<PollFd<'a>>) {
        sources.push(super::poll_on(self.inotify.as_fd(), PollFlags::IN));
        if let Some(mounts) = &self.mounts {
            sources.push(super::poll_on(mounts.as_fd(), PollFlags::PRI));
        }
    }

    /// What has happened, given what `poll` said of the sources that [`add_to`](Self::add_to) added.
    pub(crate) fn take_news(&mut self, rung: &[PollFlags]) -> FileNews {
        let mut news = FileNews::default();
        if rung.first().is_some_and(|flags| !flags.is_empty()) {
            news = self.drain_inotify();
        }
        if rung.get(1).is_some_and(|flags| flags.intersects(PollFlags::PRI | PollFlags::ERR)) {
            // A mount may have put other directories where the ancestors were.
            news = FileNews { any: true, rearm: true, ..news };
        }
        news
    }

    fn drain_inotify(&self) -> FileNews {
        let mut news = FileNews { any: true, ..FileNews::default() };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        // Bounded: somebody who makes events faster than they are read must not keep the keeper here.
        for _ in 0..10_000 {
            match reader.next() {
                Ok(event) => self.hear(&event, &mut news),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        news
    }

    fn hear(&self, event: &inotify::Event<'_>, news: &mut FileNews) {
        let flags = event.events();
        // A watch on a record goes with its file, which says nothing about the others.
        let ours = self.placed.contains(&event.wd());
        let overflowed = flags.contains(ReadFlags::QUEUE_OVERFLOW);
        let moved = ours && flags.contains(ReadFlags::MOVE_SELF);
        let names = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        let renamed = flags.intersects(names) && event.file_name() == Some(self.name.as_c_str());
        let voids = ReadFlags::IGNORED | ReadFlags::UNMOUNT;
        news.overflowed |= overflowed;
        // What was lost with the queue may have been a move.
        news.moved |= moved || renamed || overflowed;
        news.rearm |= moved || overflowed || (ours && flags.intersects(voids));
    }
}

/// Leaves a descriptor to the kernel's garbage collector, which closes it on a thread of its own.
///
/// A descriptor in flight in a `unix(7)` socket is a reference (`SCM_RIGHTS`). A socket that is in flight in its own queue can
/// be received by nobody; once the last descriptor of the pair is closed, the collector finds both and closes what was with
/// them. Kernels before 6.9 collect within that last `close(2)`: there it takes as long as it would have anyway.
fn close_later(fd: OwnedFd) -> io::Result<()> {
    let (door, cell) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let inmates = [fd.as_fd(), cell.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    message.push(SendAncillaryMessage::ScmRights(&inmates));
    rustix::net::sendmsg(&door, &[IoSlice::new(&[0])], &mut message, SendFlags::empty())?;
    // The door last: closing it is what sets the collector going.
    drop((fd, cell));
    drop(door);
    Ok(())
}

fn open_mounts(missing: &mut Vec<String>) -> Option<File> {
    match File::open("/proc/self/mountinfo") {
        Ok(mounts) => Some(mounts),
        Err(error) => {
            missing.push(format!("cannot watch mounts: {error}"));
            None
        }
    }
}

/// On some file systems another host, or a server in user space, changes files without an event here. One that cannot be told
/// may be any of them. Numbers: `statfs(2)`, linux/magic.h.
fn why_events_may_miss(directory: &Path) -> Option<String> {
    let shown = directory.display();
    let kind = match rustix::fs::statfs(directory) {
        Ok(facts) => facts.f_type,
        // Gone: the look says what that means, and there is nothing to watch.
        Err(Errno::NOENT | Errno::NOTDIR) => return None,
        Err(error) => {
            let error = io::Error::from(error);
            return Some(format!("cannot tell the file system of `{shown}`: {error}"));
        }
    };
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "magic numbers have 32 bits")]
    let name = match kind as u32 {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x00C3_6400 => "Ceph",
        _ => return None,
    };
    Some(format!("file events on `{shown}` miss what is changed behind it: it is {name}"))
}

/// Has this thread wake when its time has come, and not up to 50 µs later (`PR_SET_TIMERSLACK(2const)`): it sleeps for seconds,
/// and is waited for where it sleeps for less.
pub(crate) fn wake_punctually() {
    if rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).is_err() { /* as exact as others */
    }
}
