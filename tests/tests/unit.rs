//! The units that `daemon unit` prints, as their service managers read them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a step that fails is the failure of the test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use aileron_tests::{Bench, End, Outcome, PROMPT, Signal, Tree, bench, copy_program};

/// What must survive being written down: spaces, specifiers, variables, quotes, and what XML knows.
const ODD: &str = r#"a b 100%n $HOME ${HOME} "q" 'r' \x & <b> ;"#;

/// `systemd-analyze verify` of this text, for a user's own manager.
fn verify(bench: &Bench, text: &str, level: &str) -> Outcome {
    let unit = bench.beside("aileron.service");
    fs::write(&unit, text).unwrap();
    fs::create_dir_all(bench.beside("run")).unwrap();
    let analyze = Path::new("/usr/bin/systemd-analyze");
    assert!(analyze.exists(), "systemd-analyze is missing: install the package `systemd`");
    bench
        .call(analyze)
        .args(["verify", "--user", "--man=no"])
        .arg(&unit)
        .env("XDG_RUNTIME_DIR", bench.beside("run"))
        .env("SYSTEMD_LOG_LEVEL", level)
        .env("SYSTEMD_LOG_TARGET", "console")
        .run()
}

/// What systemd has to say of the unit; of other units of this machine it may say what it likes.
fn complaints(bench: &Bench, text: &str) -> Vec<String> {
    let verified = verify(bench, text, "notice");
    let lines = verified.stdout.lines().chain(verified.stderr.lines());
    lines.filter(|line| line.contains("aileron.service")).map(String::from).collect()
}

/// The command as systemd has understood it, which it says in its debug log.
fn command(bench: &Bench, text: &str) -> String {
    let verified = verify(bench, text, "debug");
    let mut lines = verified.stdout.lines().chain(verified.stderr.lines());
    let line = lines.find_map(|line| line.trim().strip_prefix("Command Line: "));
    line.unwrap_or_else(|| panic!("no command: {verified:#?}")).to_owned()
}

fn unit(bench: &Bench, args: &[&str]) -> String {
    bench.aileron(args).succeed().stdout
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let bench = bench!();
    let odd = bench.beside(ODD);
    let odd = odd.to_str().unwrap();
    let all = [
        &["daemon", "unit", "systemd"][..],
        &["--state-dir", odd, "daemon", "unit", "systemd", "--idle-timeout", "10m", "--no-lock-events"],
    ];
    for args in all {
        let text = bench.aileron(args).env("AILERON_LOG", "aileron=debug,info").succeed().stdout;
        assert_eq!(complaints(&bench, &text), Vec::<String>::new());
    }
    // The check can fail.
    let text = unit(&bench, all[0]);
    for (right, wrong) in [
        ("Type=notify", "Type=notfy"),
        ("KillMode=", "KilMode="),
        ("ExecStart=/", "ExecStart=/nowhere/"),
        ("RestartPreventExitStatus=2", "RestartPreventExitStatus=two"),
    ] {
        assert!(text.contains(right));
        assert!(!complaints(&bench, &text.replace(right, wrong)).is_empty(), "{wrong}");
    }
}

#[test]
fn systemd_gets_the_arguments_that_were_meant() {
    let bench = bench!();
    let program = bench.programs().aileron.to_str().unwrap();
    let plain = unit(&bench, &["daemon", "unit", "systemd"]);
    assert_eq!(command(&bench, &plain), format!("{program} daemon run"));

    // Its dump quotes for a shell, and `$$` is replaced only when the command is run.
    let odd = bench.beside(r#"a b 100%n $HOME "q" \x"#);
    let args =
        ["--state-dir", odd.to_str().unwrap(), "daemon", "unit", "systemd", "--drain-timeout", "1500ms"];
    let text = unit(&bench, &args);
    let shown = odd.to_str().unwrap().replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$\$");
    let expected = format!("{program} --state-dir \"{shown}\" daemon run --drain-timeout 1500ms");
    assert_eq!(command(&bench, &text), expected);
    assert!(text.contains("\nTimeoutStopSec=7\n"), "the drain, rounded up, and 5 s: {text}");
}

/// A program with a name that needs care; and one that is found by another name in `PATH`, which an upgrade leaves in place.
#[test]
fn the_program_is_named_so_that_it_is_found_again() {
    let bench = bench!();
    let odd = bench.beside("a b 100%n $HOME");
    fs::create_dir(&odd).unwrap();
    let program = odd.join("aileron");
    copy_program(bench.programs().aileron, &program);
    let text = bench.call(&program).args(["daemon", "unit", "systemd"]).succeed().stdout;
    assert_eq!(complaints(&bench, &text), Vec::<String>::new(), "{text}");

    let stable = bench.beside("bin");
    fs::create_dir(&stable).unwrap();
    symlink(&program, stable.join("aileron")).unwrap();
    let call = bench.call(&program).args(["daemon", "unit", "systemd"]).env("PATH", &stable);
    let expected = format!("ExecStart={}/aileron daemon run\n", stable.display());
    assert!(call.succeed().stdout.contains(&expected));

    let quoted = bench.beside("it's");
    fs::create_dir(&quoted).unwrap();
    copy_program(&program, &quoted.join("aileron"));
    let refused = bench.call(quoted.join("aileron")).args(["--json", "daemon", "unit", "systemd"]).fail(1);
    assert_eq!(refused.error()["kind"], "unit");
    bench.call(quoted.join("aileron")).args(["daemon", "unit", "launchd"]).succeed();
}

/// An element of a plist: its name, its text, and what is in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    within: Vec<Element>,
}

impl Element {
    /// Parses what stands before the end of `parent`; any form that is not well is a panic.
    fn parse(rest: &mut &str, parent: &str) -> Self {
        let mut element = Self { name: parent.to_owned(), ..Self::default() };
        loop {
            let (text, after) = rest.split_once('<').unwrap_or((*rest, ""));
            assert!(!text.contains('>'), "a `>` in text: {text}");
            element.text += text;
            if after.is_empty() {
                assert_eq!(parent, "", "`{parent}` is not closed");
                return element;
            }
            if let Some(comment) = after.strip_prefix("!--") {
                let (comment, after) = comment.split_once("-->").expect("a comment ends");
                assert!(!comment.contains("--"), "XML has no `--` in a comment: {comment}");
                *rest = after;
                continue;
            }
            let (tag, after) = after.split_once('>').expect("a tag ends");
            *rest = after;
            match tag.strip_prefix('/') {
                Some(name) => {
                    assert_eq!(name, parent, "what is closed was opened last");
                    element.text = unescape(&element.text);
                    return element;
                }
                None if tag.starts_with(['?', '!']) => {}
                None => {
                    let name = tag.trim_end_matches('/').split(' ').next().unwrap();
                    let is_empty = tag.ends_with('/');
                    let empty = || Self { name: name.to_owned(), ..Self::default() };
                    element.within.push(if is_empty { empty() } else { Self::parse(rest, name) });
                }
            }
        }
    }

    /// What a dictionary has under this key.
    fn get(&self, key: &str) -> &Self {
        let mut entries = self.within.chunks_exact(2);
        let found = entries.find(|entry| entry[0].name == "key" && entry[0].text == key);
        &found.unwrap_or_else(|| panic!("no `{key}` in {self:#?}"))[1]
    }
}

fn unescape(text: &str) -> String {
    for (at, _) in text.match_indices('&') {
        assert!(
            ["&amp;", "&lt;", "&gt;"].iter().any(|name| text[at..].starts_with(name)),
            "a bare `&`: {text}"
        );
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn plist(text: &str) -> Element {
    let mut rest = text;
    let mut document = Element::parse(&mut rest, "");
    let mut plist = document.within.remove(0);
    assert_eq!((plist.name.as_str(), plist.within.len()), ("plist", 1));
    plist.within.remove(0)
}

/// Parsed, and its command run: a daemon; and where one runs already status 0, or launchd would try for ever.
#[test]
fn the_plist_is_well_formed_and_its_command_is_a_daemon() {
    let bench = bench!();
    let odd = bench.beside(ODD);
    let args = ["--state-dir", odd.to_str().unwrap(), "daemon", "unit", "launchd", "--drain-timeout", "90s"];
    let text = bench.aileron(&args).env("AILERON_LOG", "debug").succeed().stdout;
    let plist = plist(&text);
    assert_eq!(plist.get("KeepAlive").get("SuccessfulExit").name, "false");
    assert_eq!(plist.get("RunAtLoad").name, "true");
    assert_eq!(plist.get("ExitTimeOut").text, "95");
    assert_eq!(plist.get("Umask").text, 0o77.to_string());
    assert_eq!(plist.get("EnvironmentVariables").get("AILERON_LOG").text, "debug");
    assert!(plist.get("Label").text.ends_with(".daemon"));
    let words: Vec<&str> =
        plist.get("ProgramArguments").within.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words[2], odd.to_str().unwrap());

    let call = || bench.call(words[0]).args(&words[1..]);
    let first = call().start();
    let daemon = aileron_tests::until("there is a record", PROMPT, || fs::read(odd.join("daemon.json")).ok());
    assert!(String::from_utf8_lossy(&daemon).contains(&first.process.pid().to_string()));
    call().succeed();
    first.process.signal(Signal::TERM);
    assert_eq!(first.process.wait(PROMPT), End::Status(0));
}

/// The unit's own command, where a client has started a daemon: the status that it lists as no reason to try again.
#[test]
fn where_a_client_has_started_one_the_unit_does_not_try_again() {
    let bench = bench!();
    let daemon = bench.start(&[]);
    let text = unit(&bench, &["daemon", "unit", "systemd"]);
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let End::Status(status) = bench.call(words[0]).args(&words[1..]).run().end else { panic!("a status") };
    let listed = text.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    assert!(listed.split(' ').any(|listed| listed == status.to_string()), "{status} is not among {listed}");
    assert!(text.contains("\nRestart=on-failure\n"), "and not on status 0");
    bench.only(&daemon);
}

/// The two commands, run by a shell, put the file where they say, and the file is the one that was printed.
#[test]
fn the_first_of_the_two_commands_puts_the_unit_in_place() {
    let bench = bench!();
    let bin = bench.beside("bin");
    fs::create_dir(&bin).unwrap();
    symlink(bench.programs().aileron, bin.join("aileron")).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let odd = bench.beside(ODD);
    for manager in ["systemd", "launchd"] {
        let args = ["--json", "--state-dir", odd.to_str().unwrap(), "daemon", "unit", manager];
        let call = bench.aileron(&args).env("PATH", &path).args(["--idle-timeout", "10m"]);
        let document = call.succeed().json();
        let command = document["install"][0].as_str().unwrap();
        let shell = bench.call("/bin/sh").args(["-c", command]).env("PATH", &path).succeed();
        let home_path = document["path"].as_str().unwrap().strip_prefix("~/").unwrap();
        assert_eq!(fs::read_to_string(bench.home().join(home_path)).unwrap(), document["text"], "{command}");
        // On standard error, where it is read and not written to the file.
        assert!(shell.stderr.contains(document["install"][1].as_str().unwrap()), "{shell:#?}");
    }
}

#[test]
fn printing_a_unit_touches_nothing() {
    let bench = bench!();
    let before = Tree::of(bench.root());
    for manager in ["systemd", "launchd"] {
        unit(&bench, &["daemon", "unit", manager]);
    }
    assert_eq!(Tree::of(bench.root()), before);
}

/// No half-right unit: what cannot be written down is refused, with the path.
#[test]
fn what_cannot_be_written_into_a_unit_is_refused() {
    let bench = bench!();
    for name in [&b"not utf-8 \xff"[..], b"new\nline", b"escape \x1b[31m"] {
        for manager in ["systemd", "launchd"] {
            let path = bench.home().join(Path::new(OsStr::from_bytes(name)));
            let call = bench.aileron(&["--json", "--state-dir"]).arg(&path).args(["daemon", "unit", manager]);
            let refused = call.fail(1);
            assert_eq!(refused.stdout, "");
            assert_eq!(refused.error()["kind"], "unit");
        }
    }
}
