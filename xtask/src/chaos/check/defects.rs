//! The defects, each a rule of the protocol that is not kept.

use std::path::Path;

use anyhow::{Context, Result};

use super::{read, replace_once, write};

/// One rule that is not kept.
#[derive(Debug)]
pub(super) struct Defect {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    changes: &'static [Change],
}

/// A place in the sources: `old` is there exactly once. `DEFECT` in `new` asks whether this one is on.
#[derive(Debug)]
struct Change {
    file: &'static str,
    old: &'static str,
    new: &'static str,
}

/// What the copy asks: is this program named after that defect?
pub(super) const ASK: &str = r"
/// Whether the running program is named after that defect.
#[doc(hidden)]
pub fn chaos_defect(name: &str) -> bool {
    static PROGRAM: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let path = std::env::current_exe().unwrap_or_default();
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    });
    program.split_once('-').is_some_and(|(_, defect)| defect == name)
}
";

pub(super) const DEFECTS: &[Defect] = &[
    Defect {
        name: "no-fence",
        about: "a displaced daemon acts until it notices",
        changes: &[
            Change {
                file: "crates/server/src/guard.rs",
                old: "if shared.ownership.verify() == Verdict::Owner {",
                new: "if DEFECT || shared.ownership.verify() == Verdict::Owner {",
            },
            Change {
                file: "crates/discovery/src/ownership.rs",
                old: "        let epoch = self.epoch();\n        match self.verify() {",
                new: "        let epoch = self.epoch();\n        match if DEFECT { Verdict::Owner } else { self.verify() } {",
            },
        ],
    },
    Defect {
        name: "no-look",
        about: "a displaced daemon never notices: neither watch nor poll",
        changes: &[Change {
            file: "crates/server/src/keeper.rs",
            old: "    fn look(&mut self, now: Instant) {\n",
            new: "    fn look(&mut self, now: Instant) {\n        if DEFECT {\n            return;\n        }\n",
        }],
    },
    Defect {
        name: "doubt-is-loss",
        about: "any error of a look means that the role is lost",
        changes: &[Change {
            file: "crates/discovery/src/ownership.rs",
            old: "            Err(error) => Look::Unknown(error),",
            new: "            Err(_) if DEFECT => Look::Nothing { links: Some(0) },\n            Err(error) => Look::Unknown(error),",
        }],
    },
    Defect {
        name: "hasty",
        about: "nothing at the path is taken for proof at the first look",
        changes: &[Change {
            file: "crates/discovery/src/ownership.rs",
            old: "                    _ => Verdict::Suspect,\n                }\n            }\n            Look::Unknown",
            new: "                    _ if DEFECT => self.displaced(None),\n                    _ => Verdict::Suspect,\n                }\n            }\n            Look::Unknown",
        }],
    },
    Defect {
        name: "withdraws-unasked",
        about: "a leaving daemon removes the record without asking whether it is still the owner",
        changes: &[
            Change {
                file: "crates/discovery/src/publication.rs",
                old: "let done = match self.ownership().prove() {",
                new: "let done = match if DEFECT { Ok(()) } else { self.ownership().prove() } {",
            },
            Change {
                file: "crates/server/src/keeper/ending.rs",
                old: "        self.shared.phase.send_replace(Phase::Ended);\n        if ending.may_write {",
                new: "        self.shared.phase.send_replace(Phase::Ended);\n        if DEFECT || ending.may_write {",
            },
        ],
    },
    Defect {
        name: "unlinks-lock",
        about: "a leaving daemon removes the lock file by its path",
        changes: &[Change {
            file: "crates/discovery/src/lock.rs",
            old: "        failpoint!(\"before_unlock\");\n",
            new: "        failpoint!(\"before_unlock\");\n        if DEFECT {\n            \
                  let _gone = std::fs::remove_file(self.state_dir.path(StateFile::Lock));\n        }\n",
        }],
    },
    Defect {
        name: "no-look-under-gate",
        about: "who has the gate launches without looking again",
        changes: &[Change {
            file: "crates/spawn/src/start.rs",
            old: "        let stale = match self.wait_for_owner()? {",
            new: "        let first = self.launches == 0 && DEFECT;\n        \
                  let stale = match if first { Owned::Nobody { stale: None } } else { self.wait_for_owner()? } {",
        }],
    },
    Defect {
        name: "gate-let-go",
        about: "the gate is let go of before the daemon is ready",
        changes: &[
            Change {
                file: "crates/spawn/src/start.rs",
                old: "        failpoint!(\"before_launch\");\n",
                new: "        failpoint!(\"before_launch\");\n        if DEFECT {\n            gate.chaos_let_go();\n        }\n",
            },
            Change {
                file: "crates/discovery/src/gate.rs",
                old: "impl Drop for StartGate {",
                new: "impl StartGate {\n    #[doc(hidden)]\n    pub fn chaos_let_go(&self) {\n        \
                  let _freed = crate::sys::unlock(&self.ownership.held().file);\n    }\n}\n\nimpl Drop for StartGate {",
            },
        ],
    },
    Defect {
        name: "signals-unproved",
        about: "a pid in a record is signalled though that process does not hold the lock",
        changes: &[Change {
            file: "crates/discovery/src/process.rs",
            old: "if holds { Ok(ProcessId { pid, start_time }) }",
            new: "if DEFECT || holds { Ok(ProcessId { pid, start_time }) }",
        }],
    },
    Defect {
        name: "same-epoch",
        about: "an epoch is no larger than that of an owner whose files are gone",
        changes: &[Change {
            file: "crates/discovery/src/epoch.rs",
            old: "let drawn = now().clamp(least, Self::MAX.0);",
            new: "let drawn = if DEFECT { least } else { now().clamp(least, Self::MAX.0) };",
        }],
    },
    Defect {
        name: "repeats-anything",
        about: "a request that may have been carried out is sent again, whatever it is",
        changes: &[Change {
            file: "crates/spawn/src/retry.rs",
            old: "if self.repeat == Repeat::Harmless { self.once() }",
            new: "if DEFECT || self.repeat == Repeat::Harmless { self.once() }",
        }],
    },
    Defect {
        name: "leaks-descriptors",
        about: "each look leaves a descriptor open",
        changes: &[Change {
            file: "crates/server/src/keeper.rs",
            old: "        let mut doubt = None;\n",
            new: "        let mut doubt = None;\n        if DEFECT {\n            \
                  let _open = std::fs::File::open(\"/dev/null\").map(std::mem::forget);\n        }\n",
        }],
    },
    Defect {
        name: "denies-the-maybe",
        about: "a request that broke off is said not to have been carried out",
        changes: &[Change {
            file: "crates/spawn/src/retry.rs",
            old: "                self.maybe_done = true;\n                if",
            new: "                self.maybe_done = !DEFECT;\n                if",
        }],
    },
    Defect {
        name: "lock-alone",
        about: "who has a flock is the daemon: the held file is never compared with the one at the path",
        changes: &[
            Change {
                file: "crates/discovery/src/ownership.rs",
                old: "        if self.0.released.load(Ordering::Acquire) {\n",
                new: "        if DEFECT {\n            return Verdict::Owner;\n        }\n        \
                      if self.0.released.load(Ordering::Acquire) {\n",
            },
            Change {
                file: "crates/discovery/src/lock.rs",
                old: "        Look::Same => Ok(Attempt::Acquired(ownership)),",
                new: "        _ if DEFECT => Ok(Attempt::Acquired(ownership)),\n        \
                      Look::Same => Ok(Attempt::Acquired(ownership)),",
            },
        ],
    },
    Defect {
        name: "makes-its-directory",
        about: "a daemon whose directory was removed makes it again",
        changes: &[Change {
            file: "crates/server/src/keeper.rs",
            old: "            Verdict::Displaced(displacement) => {\n",
            new: "            Verdict::Displaced(displacement) => {\n                if DEFECT {\n                    \
                  let _made = std::fs::create_dir_all(self.lock.state_dir().root());\n                }\n",
        }],
    },
    Defect {
        name: "believes-pids",
        about: "a process that holds the lock is signalled though it started after the record was written",
        changes: &[Change {
            file: "crates/discovery/src/process.rs",
            old: "        Some(found) if found != start_time =>",
            new: "        Some(found) if found != start_time && !DEFECT =>",
        }],
    },
    Defect {
        name: "no-hold",
        about: "a client launches although a stop has forbidden it",
        changes: &[
            Change {
                file: "crates/spawn/src/start.rs",
                old: "Hold::is_set(self.state_dir)? {\n",
                new: "Hold::is_set(self.state_dir)? && !DEFECT {\n",
            },
            Change {
                file: "crates/spawn/src/start.rs",
                old: "Hold::is_set_under(gate)? {\n",
                new: "Hold::is_set_under(gate)? && !DEFECT {\n",
            },
        ],
    },
];

impl Defect {
    /// Writes it into a copy of the sources.
    pub(super) fn write_into(&self, sources: &Path) -> Result<()> {
        for Change { file, old, new } in self.changes {
            let path = sources.join(file);
            let ask = format!("crate::chaos_defect({:?})", self.name);
            let changed = replace_once(&read(&path)?, old, &new.replace("DEFECT", &ask));
            let place =
                || format!("the place of the defect `{}` is not, or not once, in `{file}`", self.name);
            write(&path, &changed.with_context(place)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_its_place_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for defect in DEFECTS {
            for Change { file, old, .. } in defect.changes {
                let text = read(&root.join(file)).expect("a source file");
                assert!(replace_once(&text, old, "").is_some(), "{}: {file}", defect.name);
            }
        }
    }
}
