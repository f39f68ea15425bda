//! One person at a shell: what is typed, what is said, and what of it differs from run to run.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use aileron_tests::{Bench, Call, Daemon, End, Outcome, PROMPT, Running, http, until};
use serde_json::Value;

use crate::redaction::redacted;

/// A person who types commands, and what came of them.
pub(crate) struct Scene<'a> {
    bench: &'a Bench,
    user: Option<u32>,
    text: String,
}

/// What a command said.
pub(crate) struct Said(pub(crate) Outcome);

impl<'a> Scene<'a> {
    /// With `aileron` in the `PATH`.
    pub(crate) fn of(bench: &'a Bench) -> Self {
        let bin = bench.beside("bin");
        if !bin.exists() {
            fs::create_dir_all(&bin).unwrap();
            symlink(bench.programs().aileron, bin.join("aileron")).unwrap();
        }
        Self { bench, user: None, text: String::new() }
    }

    /// By a user whom nobody else on this machine is, for what is said of all daemons of one.
    pub(crate) fn of_lone_user(bench: &'a Bench) -> Self {
        Self::of_user(bench, bench.lone_user())
    }

    /// By this user.
    pub(crate) fn of_user(bench: &'a Bench, user: u32) -> Self {
        Self { user: Some(user), ..Self::of(bench) }
    }

    /// What has happened before, for who reads the snapshot.
    pub(crate) fn tell(&mut self, what: &str) -> &mut Self {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        writeln!(self.text, "{gap}# {what}").unwrap();
        self
    }

    /// A line as a shell takes it.
    pub(crate) fn types(&mut self, line: &str) -> Said {
        let call = self.shell(line);
        self.sees(line, call)
    }

    /// The call that a line is.
    pub(crate) fn shell(&self, line: &str) -> Call {
        self.within(self.bench.call("/bin/sh")).args(["-c", line])
    }

    fn within(&self, call: Call) -> Call {
        let call = match self.user {
            Some(user) => call.user(user),
            None => call,
        };
        call.env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.bench.beside("bin").display()),
        )
    }

    /// A call that cannot be typed as it is shown.
    pub(crate) fn sees(&mut self, shown: &str, call: Call) -> Said {
        let outcome = call.run();
        self.heard(shown, outcome)
    }

    /// A command that was started before.
    pub(crate) fn heard(&mut self, shown: &str, outcome: Outcome) -> Said {
        writeln!(self.text, "$ {shown}").unwrap();
        for line in readable(&outcome.stdout).lines() {
            writeln!(self.text, "{line}").unwrap();
        }
        for line in readable(&outcome.stderr).lines() {
            writeln!(self.text, "! {line}").unwrap();
        }
        match outcome.end {
            End::Status(status) => writeln!(self.text, "= {status}").unwrap(),
            other => writeln!(self.text, "= {other:?}").unwrap(),
        }
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        Said(outcome)
    }

    /// Types a command of the advice that was given.
    pub(crate) fn follows(&mut self, said: &Said, number: usize) -> Said {
        let command =
            said.commands().get(number).unwrap_or_else(|| panic!("no advice: {:?}", said.0)).clone();
        self.types(&command)
    }

    /// A daemon can be had: the trouble is gone.
    pub(crate) fn is_well(&mut self) -> Daemon {
        self.types("aileron url").is(0);
        self.bench.daemon()
    }

    /// The text with what belongs to this run taken out, kept under this name.
    pub(crate) fn keep(self, name: &str) {
        let text = redacted(self.bench, &self.text);
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

impl Said {
    /// The exit status.
    pub(crate) fn is(self, status: i32) -> Self {
        assert_eq!(self.0.end, End::Status(status), "{:?}", self.0);
        self
    }

    /// What to do next.
    pub(crate) fn advice(&self) -> String {
        let line = self.0.stderr.lines().find_map(|line| line.trim().strip_prefix("next: "));
        line.unwrap_or_else(|| panic!("no advice: {:?}", self.0)).to_owned()
    }

    /// The commands that the advice has.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.advice().split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }
}

/// A document as one would look at it.
fn readable(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(document @ Value::Object(_)) => format!("{document:#}"),
        _ => text.to_owned(),
    }
}

/// What a daemon that was killed has left behind.
pub(crate) fn killed(bench: &Bench) -> Value {
    let daemon = bench.start(&[]);
    daemon.process.kill();
    daemon.process.wait(PROMPT);
    daemon.record
}

/// Writes a record in the place of what is there.
pub(crate) fn write_record(bench: &Bench, record: &Value) {
    fs::write(bench.file("daemon.json"), record.to_string()).unwrap();
    fs::write(bench.file("daemon.pid"), format!("{}\n", record["pid"])).unwrap();
}

/// Somebody who holds a lock file and is no daemon.
pub(crate) fn holder_of(bench: &Bench, path: &Path) -> Running {
    let holder = bench.call(bench.programs().stranger).arg(path).start();
    until("the stranger holds the lock", PROMPT, || {
        let numbers = holder.process.descriptors().into_iter();
        numbers
            .map(|(number, _)| holder.process.proc(&format!("fdinfo/{number}")))
            .find(|info| info.contains("FLOCK"))
    });
    holder
}

impl Scene<'_> {
    /// What `doctor` says of some checks. The others, and how lines are broken, are the machine's business.
    pub(crate) fn doctor(&mut self, names: &[&str]) {
        let outcome = self.shell("aileron --json daemon doctor").run();
        let document = outcome.json();
        writeln!(self.text, "$ aileron daemon doctor").unwrap();
        let checks = document["checks"].as_array().unwrap().iter();
        for check in checks.filter(|check| names.iter().any(|name| check["name"] == *name)) {
            let word = |field: &str| check[field].as_str().unwrap_or("-").to_owned();
            writeln!(self.text, "{} {}: {}", word("result"), word("name"), word("evidence")).unwrap();
            writeln!(self.text, "  next: {}", word("remedy")).unwrap();
        }
    }

    /// What `status` comes to, as programs read it: its text for people has tests of its own.
    pub(crate) fn status(&mut self, state: &str) {
        let outcome = self.shell("aileron --json daemon status").run();
        let document = outcome.json();
        assert_eq!(document["state"], state, "{document}");
        let why = document["why"].as_str().unwrap_or("-");
        let hold = if document["hold"] == true { ", on hold" } else { "" };
        let End::Status(status) = outcome.end else { panic!("{outcome:?}") };
        writeln!(self.text, "$ aileron daemon status\n{state}{hold}: {why}\n= {status}").unwrap();
    }
}

impl Scene<'_> {
    /// A request, as `curl -i` has it.
    pub(crate) fn asks(&mut self, daemon: &Daemon, method: &str, path: &str, headers: &[&str]) {
        let answer =
            http::raw(daemon.address, &http::request(daemon.address, method, path, headers, "")).unwrap();
        self.asked(&format!("{method} {path}"), &answer);
    }

    /// What a request was told.
    pub(crate) fn asked(&mut self, shown: &str, answer: &http::Answer) {
        writeln!(self.text, "{shown}\n{}\n{}", answer.status, readable(&answer.body)).unwrap();
    }
}
