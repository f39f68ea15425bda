//! Another user of the machine: may connect to the port like anybody, and that is all.
//!
//! As root nothing is ever refused, so both users here are unprivileged and live ones: one owns the daemon, the other attacks
//! it by ordinary programs.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use aileron_tests::attack::Page;
use aileron_tests::{Bench, Call, Daemon, End, Outcome, PROMPT, Snapshot, bench, set_mode, until};

/// What is tried, as a shell script (`$1` the state directory, `$2` the daemon's pid, `$3` its port, `$4` the product, `$5` a
/// directory of the attacker's), and what its last line of output has to contain.
struct Try {
    name: &'static str,
    script: &'static str,
    expected: &'static str,
}

const DENIED: &str = "Permission denied";
const FORBIDDEN: &str = "Operation not permitted";

/// A row a line.
#[rustfmt::skip]
const TRIES: &[Try] = &[
    Try { name: "read the record", script: "cat \"$1/daemon.json\"", expected: DENIED },
    Try { name: "read the log", script: "cat \"$1/daemon.log\"", expected: DENIED },
    Try { name: "read the pid file", script: "cat \"$1/daemon.pid\"", expected: DENIED },
    Try { name: "list the directory", script: "ls -la \"$1/\"", expected: DENIED },
    Try { name: "enter the directory", script: "cd \"$1\"", expected: DENIED },
    Try { name: "write the record", script: "echo '{}' > \"$1/daemon.json\"", expected: DENIED },
    Try { name: "create a hold", script: ": > \"$1/hold\"", expected: DENIED },
    Try { name: "delete the lock", script: "rm -f \"$1/daemon.lock\"", expected: DENIED },
    Try { name: "delete the directory", script: "rm -rf \"$1\"", expected: DENIED },
    Try { name: "move the directory away", script: "mv \"$1\" \"$1.moved\"", expected: DENIED },
    Try { name: "put a directory over it", script: "mv -T \"$5\" \"$1\"", expected: DENIED },
    Try { name: "open it to all", script: "chmod 777 \"$1\"", expected: FORBIDDEN },
    Try { name: "take it", script: "chown $(id -u) \"$1\"", expected: FORBIDDEN },
    Try { name: "take the flock of the lock", script: "flock -n \"$1/daemon.lock\" true", expected: DENIED },
    Try { name: "take the flock of the gate", script: "flock -n \"$1/start.lock\" true", expected: DENIED },
    Try { name: "take the flock of the directory", script: "flock -n \"$1\" true", expected: DENIED },
    Try { name: "a second name for the record", script: "ln \"$1/daemon.json\" \"$5/record\"", expected: DENIED },
    Try { name: "the record by way of procfs", script: "cat /proc/$2/cwd/\"$1\"/daemon.json", expected: DENIED },
    Try { name: "its descriptors", script: "ls /proc/$2/fd/", expected: DENIED },
    Try { name: "its environment", script: "cat /proc/$2/environ", expected: DENIED },
    Try { name: "its memory", script: "cat /proc/$2/mem", expected: DENIED },
    Try { name: "its memory map", script: "cat /proc/$2/maps", expected: DENIED },
    Try { name: "TERM", script: "kill -TERM $2", expected: FORBIDDEN },
    Try { name: "KILL", script: "kill -KILL $2", expected: FORBIDDEN },
    Try { name: "STOP", script: "kill -STOP $2", expected: FORBIDDEN },
    Try { name: "HUP", script: "kill -HUP $2", expected: FORBIDDEN },
    Try { name: "a handshake: a proof that only who knows the token can check", script: "ask POST /v1/handshake 76 '{\"nonce\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}'", expected: "HTTP/1.1 200 OK" },
    Try { name: "GET /healthz", script: "ask GET /healthz 0 ''", expected: "HTTP/1.1 200 OK" },
    Try { name: "GET /v1/daemon", script: "ask GET /v1/daemon 0 ''", expected: "HTTP/1.1 401 Unauthorized" },
    Try { name: "GET /v1/daemon/events", script: "ask GET /v1/daemon/events 0 ''", expected: "HTTP/1.1 401 Unauthorized" },
    Try { name: "POST /v1/daemon/stop", script: "ask POST /v1/daemon/stop 0 ''", expected: "HTTP/1.1 401 Unauthorized" },
    Try { name: "POST to the embedder", script: "ask POST /count 0 ''", expected: "HTTP/1.1 401 Unauthorized" },
    Try { name: "a guess at the token", script: "ask POST /v1/daemon/stop 0 '' \"Authorization: Bearer $(printf '0%.0s' $(seq 64))\"", expected: "HTTP/1.1 401 Unauthorized" },
    Try { name: "the proof for a token", script: "mac=$(ask_all POST /v1/handshake 76 '{\"nonce\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}' | grep -o '\"mac\":\"[^\"]*' | cut -d'\"' -f4); ask POST /v1/daemon/stop 0 '' \"Authorization: Bearer $mac\"", expected: "HTTP/1.1 401 Unauthorized" },
    Try { name: "our own `url`", script: "\"$4\" --state-dir \"$1\" url; echo status $?", expected: "status 1" },
    Try { name: "our own `status`", script: "\"$4\" --state-dir \"$1\" daemon status; echo status $?", expected: "status 1" },
    Try { name: "our own `stop --force`", script: "\"$4\" --state-dir \"$1\" stop --force; echo status $?", expected: "status 1" },
    Try { name: "our own `stop --hold`", script: "\"$4\" --state-dir \"$1\" stop --hold; echo status $?", expected: "status 1" },
    Try { name: "our own `restart`", script: "\"$4\" --state-dir \"$1\" daemon restart; echo status $?", expected: "status 1" },
    Try { name: "our own `run`", script: "\"$4\" --state-dir \"$1\" daemon run; echo status $?", expected: "status 1" },
    Try { name: "our own `doctor --fix`", script: "\"$4\" --state-dir \"$1\" daemon doctor --fix; echo status $?", expected: "status 1" },
    Try { name: "our own `ps --reap`: none of theirs, so nothing to do", script: "\"$4\" daemon ps --reap; echo status $?", expected: "status 0" },
];

/// A request over bash's own sockets, so that it is this user's; prints the status line, or all.
const ASK: &str = r#"
ask_all() {
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\nContent-Length: %s\r\n%s\r\n%s' "$1" "$2" "$port" "$3" "${5:+$5$'\r\n'}" "$4" >&3
  cat <&3
}
ask() { ask_all "$@" | head -n 1 | tr -d '\r'; }
port=$3
"#;

struct Users {
    bench: Bench,
    owner: u32,
    attacker: u32,
    /// Where the attacker may write.
    lair: std::path::PathBuf,
}

impl Users {
    fn new() -> Self {
        let bench = bench!();
        let attacker = bench.lone_user();
        let owner = bench.lone_user();
        let lair = bench.root().join("lair");
        fs::create_dir(&lair).unwrap();
        chown(&lair, Some(attacker), Some(attacker)).unwrap();
        Self { bench, owner, attacker, lair }
    }

    fn daemon(&self) -> Daemon {
        let counted = self.bench.beside("counted");
        let options = ["--count", counted.to_str().unwrap()];
        let running = self.bench.embedder(self.bench.programs().service, &options).user(self.owner).start();
        self.bench.ready(&running)
    }

    fn attack(&self, script: &str, daemon: &Daemon) -> Outcome {
        let script = format!("{ASK}\n{script}");
        self.call(script)
            .arg(self.bench.state())
            .arg(daemon.process.pid().to_string())
            .arg(daemon.address.port().to_string())
            .arg(self.bench.programs().aileron)
            .arg(&self.lair)
            .run()
    }

    fn call(&self, script: String) -> Call {
        let bash = self.bench.call("/bin/bash").args(["-c".to_owned(), script, "bash".to_owned()]);
        bash.user(self.attacker).env("HOME", &self.lair).env("LC_ALL", "C")
    }
}

/// multica#8476, seafile#262, podscape#99.
#[test]
fn p12_another_user_gets_nothing_but_a_proof() {
    let users = Users::new();
    let daemon = users.daemon();
    assert!(daemon.process.status_line("Uid").starts_with(&users.owner.to_string()), "it runs unprivileged");
    let (before, view) = (Snapshot::of(&users.bench.state()), daemon.view());
    let mut page = Page::new("neighbour: files, process, port");
    for Try { name, script, expected } in TRIES {
        let outcome = users.attack(script, &daemon);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        let now = daemon.view();
        let unharmed = now["instance"] == view["instance"]
            && now["state"] == view["state"]
            && Snapshot::of(&users.bench.state()) == before
            && !users.bench.beside("counted").exists()
            && daemon.log.events("draining").is_empty();
        let got = if said.contains(&daemon.token) {
            "the token".to_owned()
        } else if !unharmed {
            format!("harm: {now}")
        } else if said.contains(expected) {
            (*expected).to_owned()
        } else {
            said
        };
        page.note(*name, "another uid", expected, got);
    }
    // The same by its owner: the scripts work where they may.
    let owner = users.bench.call("/bin/bash").args(["-c", "cat \"$1/daemon.json\" && kill -TERM $2", "bash"]);
    let owner =
        owner.arg(users.bench.state()).arg(daemon.process.pid().to_string()).user(users.owner).succeed();
    assert!(owner.stdout.contains(&daemon.token));
    assert_eq!(daemon.process.wait(PROMPT), End::Status(0));
    page.finish(TRIES.len());
}

/// What the other has on their own is their own: a lock held for ever, and a daemon.
#[test]
fn p12_another_users_own_lock_and_daemon_are_nobody_elses() {
    let users = Users::new();
    let mut page = Page::new("neighbour: on their own");
    let state = users.lair.join(".aileron");
    fs::create_dir(&state).unwrap();
    set_mode(&state, 0o700);
    chown(&state, Some(users.attacker), Some(users.attacker)).unwrap();
    let holder = users.bench.call(users.bench.programs().stranger).arg(state.join("daemon.lock"));
    let holder = holder.user(users.attacker).start();
    until("they hold their lock", PROMPT, || {
        let held = holder.process.descriptors().into_iter();
        held.map(|(number, _)| holder.process.proc(&format!("fdinfo/{number}")))
            .find(|info| info.contains("FLOCK"))
    });
    let daemon = users.daemon();
    let url = users.bench.aileron(&["url"]).user(users.owner).succeed();
    page.note("a lock held on their own copy", "another uid", &daemon.url(), url.stdout.trim());
    holder.process.kill();
    holder.process.wait(PROMPT);
    let theirs = users.call("\"$1\" url".to_owned()).arg(users.bench.programs().aileron).succeed();
    let differs = theirs.stdout.trim() != daemon.url();
    page.note("a daemon of their own beside ours", "another uid", "true", differs.to_string());
    let reaped = users.bench.aileron(&["daemon", "ps", "--reap"]).user(users.owner).succeed();
    page.note(
        "ours lists and ends none of theirs",
        "another uid",
        "true",
        (!reaped.stdout.contains("lair")).to_string(),
    );
    users.call("\"$1\" stop".to_owned()).arg(users.bench.programs().aileron).succeed();
    page.note(
        "and their stop ends none of ours",
        "another uid",
        "true",
        daemon.process.is_alive().to_string(),
    );
    page.finish(4);
}

/// The home is a directory like `/tmp`, in which the other came first.
#[test]
fn p12_a_state_directory_that_another_user_made_is_refused() {
    let users = Users::new();
    let mut page = Page::new("neighbour: came first");
    let (home, state) = (users.bench.home(), users.bench.state());
    set_mode(home, 0o1777);
    let elsewhere = users.lair.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    set_mode(&elsewhere, 0o777);
    let plants: [(&str, &str, &dyn Fn()); 5] = [
        ("a directory of theirs", "belongs to uid", &|| fs::create_dir(&state).unwrap()),
        ("a directory of theirs, open to all", "belongs to uid", &|| {
            fs::create_dir(&state).unwrap();
            set_mode(&state, 0o777);
        }),
        ("a symlink to a directory of theirs", "is a symlink", &|| symlink(&elsewhere, &state).unwrap()),
        ("a symlink to nothing", "is a symlink", &|| symlink("/nowhere/at/all", &state).unwrap()),
        ("a file of theirs", "is not a directory", &|| fs::write(&state, "theirs").unwrap()),
    ];
    for (name, expected, plant) in plants {
        plant();
        rustix::fs::chownat(
            rustix::fs::CWD,
            &state,
            Some(rustix::fs::Uid::from_raw(users.attacker)),
            None,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        for command in [&["url"][..], &["daemon", "status"], &["stop", "--force"], &["daemon", "run"]] {
            let outcome = users.bench.aileron(command).user(users.owner).run();
            let said = outcome.end == End::Status(1) && outcome.stderr.contains(expected);
            let empty = fs::read_dir(&elsewhere).unwrap().next().is_none();
            let got = if said && empty { expected.to_owned() } else { format!("{outcome:?}") };
            page.note(format!("{name}, {command:?}"), "CWE-379", expected, got);
        }
        if fs::symlink_metadata(&state).unwrap().is_dir() {
            fs::remove_dir(&state).unwrap();
        } else {
            fs::remove_file(&state).unwrap();
        }
    }
    page.finish(20);
}
