//! What may stand at a path of the state directory, put there before a start or under a live daemon.
//!
//! Whatever it is: no command hangs, nothing is followed, what is behind a link keeps its bytes, and the command either does what
//! it is for or names the path that is in its way.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use aileron_tests::attack::Page;
use aileron_tests::{Bench, End, Outcome, PROMPT, Signal, bench, put_fifo, set_mode, until};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

/// A hang is what is feared; the commands' own deadline is 30 s.
const NO_HANG: Duration = Duration::from_secs(10);

/// A file is mended after 200 ms, or after 2 s in which no name went, or after 20 s in any case.
const MENDED: Duration = Duration::from_mins(1);

/// Each file of the directory and each temporary name.
const FILES: [&str; 11] = [
    "daemon.lock",
    "start.lock",
    "daemon.json",
    "daemon.pid",
    "daemon.log",
    "daemon.log.1",
    "daemon.exit.json",
    "hold",
    ".daemon.json.new",
    ".daemon.pid.new",
    ".daemon.exit.json.new",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Symlink,
    SymlinkToNothing,
    SymlinkToItself,
    SymlinkToDirectory,
    HardLink,
    Fifo,
    Socket,
    Device,
    EmptyDirectory,
    FullDirectory,
}

use Kind::{
    Device, EmptyDirectory, Fifo, FullDirectory, HardLink, Socket, Symlink, SymlinkToDirectory,
    SymlinkToItself, SymlinkToNothing,
};

impl Kind {
    fn is_directory(self) -> bool {
        matches!(self, EmptyDirectory | FullDirectory)
    }
}

const KINDS: [Kind; 10] = [
    Symlink,
    SymlinkToNothing,
    SymlinkToItself,
    SymlinkToDirectory,
    HardLink,
    Fifo,
    Socket,
    Device,
    EmptyDirectory,
    FullDirectory,
];

/// The state directory, where its parent is what was planted: an ancestor may be a link.
const BELOW: &str = "state";

/// A file with something in it that is nobody's business here.
const PRECIOUS: &str = "precious";

fn victim(bench: &Bench) -> std::path::PathBuf {
    bench.beside("victim")
}

/// A private directory with as much in it.
fn elsewhere(bench: &Bench) -> std::path::PathBuf {
    bench.beside("elsewhere")
}

fn clear(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// In one step, since a live owner mends what is missing for a moment.
fn plant(bench: &Bench, kind: Kind, path: &Path) {
    let staged = bench.beside("staged");
    make(bench, kind, &staged, path);
    until("nothing has come in between", PROMPT, || {
        // A directory goes where nothing is, and nothing goes where a directory is.
        if kind.is_directory() || path.is_dir() {
            clear(path);
        }
        fs::rename(&staged, path).ok()
    });
    // Two names of one file stay two (`rename(2)`).
    clear(&staged);
}

fn make(bench: &Bench, kind: Kind, at: &Path, path: &Path) {
    match kind {
        Symlink => symlink(victim(bench), at).unwrap(),
        SymlinkToNothing => symlink(bench.beside("nothing"), at).unwrap(),
        SymlinkToItself => symlink(path, at).unwrap(),
        SymlinkToDirectory => symlink(elsewhere(bench), at).unwrap(),
        HardLink => fs::hard_link(victim(bench), at).unwrap(),
        Fifo => put_fifo(at),
        Socket => drop(bind(at)),
        // `/dev/zero`, which has no end.
        Device => mknodat(CWD, at, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, makedev(1, 5))
            .expect("this test must be run as root: it makes a device"),
        EmptyDirectory => fs::create_dir(at).unwrap(),
        FullDirectory => {
            fs::create_dir(at).unwrap();
            fs::write(at.join("somebody's"), PRECIOUS).unwrap();
        }
    }
}

/// By a name that is short enough for `sun_path` (`unix(7)`: 108 bytes), whatever the path is.
fn bind(path: &Path) -> UnixListener {
    let short =
        std::env::temp_dir().join(format!("s{}-{:?}", std::process::id(), std::thread::current().id()));
    let listener = UnixListener::bind(&short).unwrap();
    fs::rename(&short, path).unwrap();
    listener
}

fn is_in_the_way_of_a_lock(kind: Kind) -> bool {
    kind != HardLink
}

/// Done, or refused with the path named, or what it leads to; in time.
fn summary(bench: &Bench, outcome: &Outcome, path: &Path) -> String {
    if outcome.took >= NO_HANG {
        return format!("a hang: {outcome:?}");
    }
    match outcome.end {
        End::Status(0) => "done".to_owned(),
        End::Status(1)
            if [path, &victim(bench)].iter().any(|path| outcome.stderr.contains(path.to_str().unwrap())) =>
        {
            "refused by name".to_owned()
        }
        End::Status(3) => "not running".to_owned(),
        End::Status(8) => "held".to_owned(),
        _ => format!("{outcome:?}"),
    }
}

/// What was damaged, if anything: what the links lead to, and what lay in a directory.
fn damage(bench: &Bench, kind: Kind) -> Option<String> {
    let behind = fs::read_to_string(victim(bench)).unwrap_or_default();
    if behind != PRECIOUS {
        return Some(format!("the victim now says {behind:?}"));
    }
    if bench.beside("nothing").exists() {
        return Some("something was made behind a link to nothing".to_owned());
    }
    let names: Vec<_> =
        fs::read_dir(elsewhere(bench)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    if names.iter().any(|name| name != "theirs" && name != BELOW) {
        return Some(format!("behind a link to a directory there is now {names:?}"));
    }
    (kind == FullDirectory && !somebodys_is_kept(bench.home()))
        .then(|| "a directory's content is gone".to_owned())
}

/// Wherever it was moved aside to.
fn somebodys_is_kept(root: &Path) -> bool {
    fs::read_dir(root).into_iter().flatten().flatten().any(|entry| {
        let kept = entry.file_name() == "somebody's" && fs::read_to_string(entry.path()).unwrap() == PRECIOUS;
        kept || entry.file_type().is_ok_and(|kind| kind.is_dir()) && somebodys_is_kept(&entry.path())
    })
}

fn judged(bench: &Bench, kind: Kind, what: &str) -> String {
    damage(bench, kind).map_or_else(|| what.to_owned(), |damage| format!("{what}; DAMAGE: {damage}"))
}

fn with_victim() -> Bench {
    let bench = bench!();
    fs::write(victim(&bench), PRECIOUS).unwrap();
    fs::create_dir(elsewhere(&bench)).unwrap();
    set_mode(&elsewhere(&bench), 0o700);
    fs::write(elsewhere(&bench).join("theirs"), PRECIOUS).unwrap();
    bench
}

/// Runs each kind on a thread of its own: most of a row is waiting for processes.
fn each_kind(title: &'static str, row: impl Fn(Kind, &mut Page) + Sync) -> Page {
    let mut page = Page::new(title);
    std::thread::scope(|scope| {
        let row = &row;
        let runs = KINDS.map(|kind| {
            scope.spawn(move || {
                let mut page = Page::new(title);
                row(kind, &mut page);
                page
            })
        });
        for run in runs {
            page.append(run.join().unwrap());
        }
    });
    page
}

/// No daemon: `url` starts one, or says what is in its way; and what was started can be stopped.
#[test]
fn p11_nothing_that_was_planted_before_a_start_is_followed() {
    let page = each_kind("planted before a start", |kind, page| {
        for file in FILES {
            let bench = with_victim();
            bench.make_state();
            plant(&bench, kind, &bench.file(file));
            let expected = match file {
                "daemon.lock" | "start.lock" if is_in_the_way_of_a_lock(kind) => "refused by name",
                "hold" => "held",
                _ => "done",
            };
            let url = bench.aileron(&["url"]).run();
            let got = judged(&bench, kind, &summary(&bench, &url, &bench.file(file)));
            page.note(format!("{kind:?} at {file}, url"), "design, files", expected, got);
            if file == "hold" {
                // A full directory is not ours to remove.
                let expected = if kind == FullDirectory { "refused by name" } else { "done" };
                let start = bench.aileron(&["daemon", "start"]).run();
                let got = judged(&bench, kind, &summary(&bench, &start, &bench.file(file)));
                page.note(format!("{kind:?} at {file}, start"), "design, files", expected, got);
            }
            if file != "start.lock" || !is_in_the_way_of_a_lock(kind) {
                let expected = if file == "daemon.lock" { expected } else { "done" };
                let stop = bench.aileron(&["stop"]).run();
                let got = judged(&bench, kind, &summary(&bench, &stop, &bench.file(file)));
                page.note(format!("{kind:?} at {file}, stop"), "design, files", expected, got);
            }
        }
    });
    page.finish(KINDS.len() * FILES.len());
}

/// A live daemon: it is found as before, by whoever comes meanwhile, and it can be stopped. What stands at its lock displaces it.
#[test]
fn p11_nothing_that_is_planted_under_a_live_daemon_is_followed() {
    let page = each_kind("planted under a live daemon", |kind, page| {
        let bench = with_victim();
        let daemon = bench.start(&[]);
        for file in FILES.into_iter().filter(|file| *file != "daemon.lock") {
            plant(&bench, kind, &bench.file(file));
            let url = bench.aileron(&["url"]).run();
            let same = url.stdout.trim() == daemon.url() && daemon.process.is_alive();
            let what = if same { summary(&bench, &url, &bench.file(file)) } else { format!("{url:?}") };
            let got = judged(&bench, kind, &what);
            page.note(format!("{kind:?} at {file}, live"), "design, files", "done", got);
            if file == "daemon.log" {
                let is_a_log = |found: fs::Metadata| (found.is_file() && found.nlink() == 1).then_some(());
                until("the log is begun anew", MENDED, || {
                    is_a_log(fs::symlink_metadata(bench.file(file)).ok()?)
                });
            }
            // What only clients use nobody mends; with the others in their places it would be in the way of the next row.
            if matches!(file, "start.lock" | "hold") {
                if kind == FullDirectory {
                    fs::rename(bench.file(file), bench.beside(&format!("kept-{file}"))).unwrap();
                } else {
                    clear(&bench.file(file));
                }
            }
        }
        plant(&bench, kind, &bench.file("daemon.lock"));
        let end = daemon.process.wait(PROMPT);
        page.note(
            format!("{kind:?} at daemon.lock, live"),
            "promise 2",
            "Status(0)",
            judged(&bench, kind, &format!("{end:?}")),
        );
    });
    page.finish(KINDS.len() * FILES.len());
}

/// Under a daemon that is about to leave, and writes why: into no file of somebody else's.
#[test]
fn p4_nothing_that_is_planted_before_a_stop_is_written_to() {
    let files = ["daemon.exit.json", "daemon.json", "daemon.pid", "daemon.log"];
    let page = each_kind("planted before a stop", |kind, page| {
        for file in files {
            let bench = with_victim();
            let daemon = bench.start(&[]);
            plant(&bench, kind, &bench.file(file));
            daemon.process.signal(Signal::TERM);
            let end = daemon.process.wait(PROMPT);
            let got = judged(&bench, kind, &format!("{end:?}"));
            page.note(format!("{kind:?} at {file}, TERM"), "design, endings", "Status(0)", got);
        }
    });
    page.finish(KINDS.len() * files.len());
}

/// In the place of the log's predecessor, when the log is full.
#[test]
fn p4_nothing_that_is_planted_for_a_rotation_is_followed() {
    let page = each_kind("planted for a rotation", |kind, page| {
        let bench = with_victim();
        let daemon = bench.service(&["--log-max", "2000"]);
        plant(&bench, kind, &bench.file("daemon.log.1"));
        let is_rotated = |found: fs::Metadata| (found.is_file() && found.nlink() == 1).then_some(());
        until("the log is rotated", PROMPT, || {
            assert_eq!(daemon.ask("GET", "/say/0/20").unwrap().status, 200);
            is_rotated(fs::symlink_metadata(bench.file("daemon.log.1")).ok()?)
        });
        let got = judged(&bench, kind, "rotated");
        page.note(format!("{kind:?} at daemon.log.1, log full"), "design, log", "rotated", got);
    });
    page.finish(KINDS.len());
}

/// The directory itself, and its parent.
#[test]
fn p11_nothing_that_is_planted_for_the_directory_is_followed() {
    let page = each_kind("planted for the directory", |kind, page| {
        for (what, below) in [("the directory", ""), ("its parent", BELOW)] {
            let bench = with_victim();
            let place = bench.beside("place");
            plant(&bench, kind, &place);
            let is_directory = kind.is_directory();
            if is_directory {
                set_mode(&place, 0o700);
            }
            let state = if below.is_empty() { place.clone() } else { place.join(below) };
            for command in [&["url"][..], &["daemon", "status"], &["stop"]] {
                let outcome = bench.aileron(&["--state-dir"]).arg(&state).args(command).run();
                // A parent that is a link to nothing is none: there is no daemon, and none can be started.
                let is_nowhere = kind == SymlinkToNothing && !below.is_empty();
                let expected = match command[0] {
                    _ if is_directory || kind == SymlinkToDirectory && !below.is_empty() => "done",
                    "daemon" if is_nowhere => "not running",
                    "stop" if is_nowhere => "done",
                    _ => "refused by name",
                };
                let got = judged(&bench, kind, &summary(&bench, &outcome, &place));
                page.note(format!("{kind:?} for {what}, {command:?}"), "design, files", expected, got);
            }
        }
    });
    page.finish(KINDS.len() * 6);
}
