//! A round's world and what is written down in it while it is under way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};

use super::Programs;
use super::allowance::Namespace;
use super::asker::Asked;
use super::decoy::Decoy;
use super::plan::{Kind, Plan};
use crate::e2e::timeline::{Call, Deed as Colour, Mark};
use crate::world::client::Setting;
use crate::world::clock::Epoch;
use crate::world::home::{Home, Watch};
use crate::world::observe::{FileId, descendants, held_flocks};

/// A round under way.
pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) epoch: Epoch,
    pub(super) aileron: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) helper: PathBuf,
    /// Innocent processes.
    decoys: Mutex<Vec<Decoy>>,
    /// Where clients and daemons live, if not beside us.
    pub(super) namespace: Option<Namespace>,
    notes: Mutex<Notes>,
}

/// What was done and seen.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) violations: Vec<String>,
    pub(super) asked: Vec<Asked>,
    pub(super) lost: Vec<Lost>,
    pub(super) marks: Vec<Mark>,
    pub(super) calls: Vec<Call>,
    /// Somebody may rightly have found that it is the daemon no more.
    pub(super) displacing: bool,
    pub(super) deeds_done: BTreeMap<String, u32>,
    /// There was nobody, or nothing, to do them to.
    pub(super) deeds_passed_over: u32,
}

/// A daemon that had published and lost its path.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) pid: u32,
    /// After the system call that took the path from it.
    pub(super) since: SystemTime,
    /// Before the one that gave it back.
    pub(super) until: Option<SystemTime>,
}

/// Who holds the lock at the path and is advertised there.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) pid: u32,
    pub(super) held: FileId,
    pub(super) token: String,
    pub(super) port: u16,
}

impl Scene {
    /// Makes an empty home with programs of its own, so that what is written beside them is this round's.
    pub(super) fn set(below: &Path, programs: &Programs, plan: &Plan) -> Result<Self> {
        let mut home = Home::make(below, &programs.aileron, Watch::Events)?;
        let bin = home.paths.root.join("bin");
        let lay = |program: &Path| -> Result<PathBuf> {
            let name = program.file_name().context("a program has a name")?;
            let copy = bin.join(name);
            let step = || format!("cannot link `{}`", program.display());
            fs::hard_link(program, &copy).with_context(step)?;
            Ok(copy)
        };
        fs::create_dir(&bin).context("cannot make a directory for the programs")?;
        let (aileron, journal) = (lay(&programs.aileron)?, lay(&programs.journal)?);
        home.setting.binary.clone_from(&journal);
        home.setting.variables.clone_from(&plan.variables);
        let timeout = format!("{}ms", plan.timeout.as_millis());
        home.setting.variables.push(("AILERON_TIMEOUT", timeout));
        if let Some(slow) = plan.slow {
            fs::write(bin.join("slow"), slow.as_millis().to_string())
                .context("cannot slow the starts down")?;
        }
        if plan.kind == Kind::Space {
            fs::create_dir(&home.paths.state).context("cannot make a mount point")?;
            let small = c"size=128k,mode=0700";
            mount("aileron-xtask", &home.paths.state, "tmpfs", MountFlags::empty(), Some(small))
                .context("cannot mount a small file system")?;
        }
        let decoys = [Decoy::start()?, Decoy::start()?];
        Ok(Self {
            home,
            epoch: Epoch::begin(),
            aileron,
            journal,
            helper: programs.helper.clone(),
            decoys: Mutex::new(decoys.into()),
            namespace: plan.allowance.map(Namespace::make).transpose()?,
            notes: Mutex::default(),
        })
    }

    pub(super) fn decoys(&self) -> MutexGuard<'_, Vec<Decoy>> {
        self.decoys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes below us that are neither client nor daemon.
    pub(super) fn is_ours(&self, pid: u32) -> bool {
        self.namespace.as_ref().is_some_and(|keeper| keeper.pid() == pid)
            || self.decoys().iter().any(|decoy| decoy.pid() == pid)
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        // Whoever panicked has ended the round; what was noted is still true.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn violation(&self, what: impl Into<String>) {
        self.notes().violations.push(what.into());
    }

    pub(super) fn mark(&self, colour: Colour, text: impl Into<String>) {
        let at_ms = self.epoch.now_ms();
        self.notes().marks.push(Mark { at_ms, deed: colour, text: text.into() });
    }

    pub(super) fn setting(&self, program: &Path) -> Setting {
        Setting { binary: program.to_path_buf(), ..self.home.setting.clone() }
    }

    pub(super) fn record(&self) -> PathBuf {
        self.home.paths.state.join("daemon.json")
    }

    /// What the daemons' service wrote beside its program. None, where it was never asked for anything.
    pub(super) fn written(&self, name: &str) -> String {
        fs::read_to_string(self.journal.with_file_name(name)).unwrap_or_default()
    }

    /// Who holds the lock at the path, advertised or not.
    pub(super) fn holder(&self) -> Option<(u32, FileId)> {
        let held = FileId::at(&self.home.paths.lock).ok()??;
        let pid = holders_of(held).into_iter().next()?;
        Some((pid, held))
    }

    /// The holder, if the record at the path is its own.
    pub(super) fn owner(&self) -> Option<Owner> {
        let (pid, held) = self.holder()?;
        let record: serde_json::Value = serde_json::from_slice(&fs::read(self.record()).ok()?).ok()?;
        let port = record.get("url")?.as_str()?.rsplit(':').next()?.parse().ok()?;
        let token = record.get("token")?.as_str()?.to_owned();
        (record.get("pid")?.as_u64()? == u64::from(pid)).then_some(Owner { pid, held, token, port })
    }
}

/// The processes below us that hold the exclusive flock of a file.
pub(super) fn holders_of(file: FileId) -> Vec<u32> {
    let below = descendants().unwrap_or_default().into_iter().filter(|entry| !entry.zombie);
    let holds = |pid: &u32| {
        let held = held_flocks(*pid).unwrap_or_default();
        held.iter().any(|lock| lock.exclusive && lock.file == file)
    };
    below.map(|entry| entry.pid).filter(holds).collect()
}
