//! What system calls do to names, files and descriptors.

use crate::state::{Busy, Dir, Ino, Record, State, Where};

impl State {
    /// The lowest lock file number that neither a name nor a descriptor refers to.
    pub fn free_lock(&self) -> Ino {
        let names = [self.here.lock, self.here.moved_lock, self.aside.lock, self.aside.moved_lock];
        lowest_free(|number| {
            names.contains(&number)
                || self.daemons.iter().any(|daemon| daemon.fd == number)
                || self.clients.iter().any(|client| client.probe == number)
        })
    }

    /// The same for gates.
    pub fn free_gate(&self) -> Ino {
        lowest_free(|number| {
            [self.here.gate, self.aside.gate].contains(&number)
                || self.clients.iter().any(|client| client.gate == number)
        })
    }

    /// `openat(dir, "daemon.lock", O_RDWR | O_CREAT)`; `None` is `ENOENT`.
    pub fn open_lock(&mut self, handle: Where) -> Option<Ino> {
        let fresh = self.free_lock();
        let dir = self.dir(handle)?;
        if dir.lock == 0 {
            dir.lock = fresh;
        }
        Some(dir.lock)
    }

    /// `openat(dir, "start.lock", O_RDWR | O_CREAT)`; `None` is `ENOENT`.
    pub fn open_gate(&mut self, handle: Where) -> Option<Ino> {
        let fresh = self.free_gate();
        let dir = self.dir(handle)?;
        if dir.gate == 0 {
            dir.gate = fresh;
        }
        Some(dir.gate)
    }

    /// `mkdir(2)` of the path; a directory that is there is left alone.
    pub fn make_dir(&mut self) {
        self.here.there = true;
    }

    /// Open handles of `from` are of `to` from now on.
    fn rebind(&mut self, from: Where, to: Where) {
        let handles = self.daemons.iter_mut().map(|daemon| &mut daemon.dir);
        let handles = handles.chain(self.clients.iter_mut().map(|client| &mut client.dir));
        for handle in handles.filter(|handle| **handle == from) {
            *handle = to;
        }
        if let Busy::Removing { dir, .. } = &mut self.outside.busy
            && *dir == from
        {
            *dir = to;
        }
    }

    /// `rmdir(2)` of an empty directory.
    pub fn remove_dir(&mut self, which: Where) {
        if let Some(dir) = self.dir(which) {
            *dir = Dir::default();
        }
        self.rebind(which, Where::Removed);
    }

    /// `rename(2)` of the directory to a name beside it.
    pub fn move_away(&mut self) {
        self.aside = std::mem::take(&mut self.here);
        self.rebind(Where::AtPath, Where::Aside);
    }

    /// `rename(2)` of the directory back to the path; over an empty directory, which is then removed.
    pub fn move_back(&mut self) {
        if self.here.there {
            self.rebind(Where::AtPath, Where::Removed);
        }
        self.here = std::mem::take(&mut self.aside);
        self.rebind(Where::Aside, Where::AtPath);
    }

    /// The end of a daemon process, whatever it was doing: the kernel closes its descriptors, and so frees its locks. What it
    /// has written stays.
    pub fn bury(&mut self, slot: usize) {
        self.daemons[slot] = crate::state::Daemon::default();
        let dead = Record::Of(u8::try_from(slot).expect("there are few slots"));
        let dirs = [&mut self.here, &mut self.aside];
        let records = dirs.into_iter().flat_map(|dir| [&mut dir.record, &mut dir.temporary]);
        for record in records.chain(self.clients.iter_mut().map(|client| &mut client.of)) {
            if *record == dead {
                *record = Record::Stale;
            }
        }
    }
}

fn lowest_free(taken: impl Fn(Ino) -> bool) -> Ino {
    (1..Ino::MAX).find(|number| !taken(*number)).expect("there are more numbers than processes")
}
