//! What must not frighten a daemon: the lock's inode is still the one at the path, or nobody can tell.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::super::stage::{NOBODY, Stage};
use super::super::timeline::Deed;
use crate::world::daemon::Daemon;
use crate::world::home::Watch;
use crate::world::observe::Snapshot;

/// Longer than an event, a second look and an end take together.
const WINDOW: Duration = Duration::from_millis(250);

type Act = fn(&Path) -> std::io::Result<()>;

/// What is done to the lock, and how it is undone.
const DEEDS: [(&str, Act, Act); 4] = [
    ("touched", touch, touch),
    (
        "chmod-ed",
        |lock| fs::set_permissions(lock, Permissions::from_mode(0o644)),
        |lock| fs::set_permissions(lock, Permissions::from_mode(0o600)),
    ),
    (
        "hard-linked",
        |lock| fs::hard_link(lock, lock.with_extension("link")),
        |lock| fs::remove_file(lock.with_extension("link")),
    ),
    ("overwritten in place", |lock| overwrite(lock, b"123\n"), |lock| overwrite(lock, b"")),
];

pub(super) fn play(stage: &mut Stage, watch: Watch) -> Result<()> {
    let a = stage.start("A")?;
    let before = Snapshot::take(&stage.home.paths.state, &["daemon.lock", "daemon.log"])?;
    let lock = stage.home.paths.lock.clone();
    for (name, act, undo) in DEEDS {
        let text = format!("the lock is {name}");
        for (text, act) in [(text.clone(), act), (format!("{text}, undone"), undo)] {
            stage.strike(Deed::Harmless, &text, || act(&lock).with_context(|| text.clone()))?;
            expect_calm(stage, &a, watch).context(text)?;
        }
    }
    let after = Snapshot::take(&stage.home.paths.state, &["daemon.lock", "daemon.log"])?;
    before.expect_same(&after)?;
    expect_no_doubt(stage, &a)?;
    stage.stop(&a)
}

/// `lstat` fails with `EACCES`: nothing is known, so the last answer stays in force. As root it never would.
pub(super) fn unsearchable(stage: &mut Stage, watch: Watch) -> Result<()> {
    let a = stage.start("A")?;
    let (grand, lock) = (stage.home.paths.grand.clone(), stage.home.paths.lock.clone());
    let mode = move |mode| {
        fs::set_permissions(&grand, Permissions::from_mode(mode)).context("cannot change a directory's mode")
    };
    ensure!(nobody_finds(&lock)?, "nobody cannot look at the lock even now: this shows nothing");
    stage.strike(Deed::Harmless, "a directory above is made unsearchable", || mode(0o000))?;
    ensure!(!nobody_finds(&lock)?, "nobody can still look at the lock: this shows nothing");
    expect_calm(stage, &a, watch).context("while the lock could not be looked at")?;
    stage.strike(Deed::Repair, "searchable again", || mode(0o755))?;
    expect_calm(stage, &a, watch)?;
    expect_no_doubt(stage, &a)?;
    stage.expect_found(&a)?;
    stage.stop(&a)
}

/// Nothing happens for some looks: same process, still the owner, still serving.
fn expect_calm(stage: &Stage, daemon: &Daemon, watch: Watch) -> Result<()> {
    let gone = daemon.process.wait_gone(WINDOW + watch.interval())?;
    ensure!(!gone, "{} is gone, and its last words are {}", daemon.name, last_words(daemon)?);
    daemon.expect_owner(&stage.home.paths)?;
    daemon.expect_service()
}

fn expect_no_doubt(stage: &mut Stage, daemon: &Daemon) -> Result<()> {
    let lines = daemon.log.lines()?;
    let doubt = lines.iter().find(|line| matches!(line.event.as_str(), "suspect" | "displaced"));
    if let Some(line) = doubt {
        bail!("{} was frightened: {line}", daemon.name);
    }
    stage.saw(format!("{} stayed the owner with one pid and one instance", daemon.name));
    Ok(())
}

fn last_words(daemon: &Daemon) -> Result<String> {
    let lines = daemon.log.lines()?;
    Ok(lines.last().map_or_else(|| "none".to_owned(), ToString::to_string))
}

fn nobody_finds(lock: &Path) -> Result<bool> {
    let mut command = Command::new("/bin/ls");
    command.arg("-d").arg(lock).uid(NOBODY).gid(NOBODY).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status().context("cannot run `/bin/ls` as nobody")?.success())
}

fn touch(lock: &Path) -> std::io::Result<()> {
    File::open(lock)?.set_times(FileTimes::new().set_modified(SystemTime::now()))
}

fn overwrite(lock: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(lock)?;
    std::io::Write::write_all(&mut file, bytes)
}
