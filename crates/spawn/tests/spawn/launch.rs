//! What a launched process is given, and how its client hears of its end (P8, P10).

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aileron_spawn::{EnsureError, Launch, LaunchError, Program};

use crate::home::{Home, helper_args, is_gone, until};

/// A second: a hundred times what it takes, and a fifth of what a grandchild below holds the pipe for.
const AT_ONCE: Duration = Duration::from_secs(1);

fn script(text: &str) -> Launch {
    Launch {
        program: Program::File("/bin/sh".into()),
        args: vec!["-c".into(), text.into(), "sh".into()],
        env: Vec::new(),
    }
}

/// The end of a launch of `text`, and its last lines.
#[track_caller]
fn exit_of(home: &Home, text: &str) -> (String, String) {
    let began = Instant::now();
    match home.ensure(&script(text)) {
        Err(EnsureError::Launch(LaunchError::Exited { pid, end, tail, log, .. })) => {
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
            assert!(is_gone(pid), "reaped");
            assert!(log.ends_with("daemon.log"), "{}", log.display());
            (end.to_string(), tail)
        }
        other => panic!("{other:?}"),
    }
}

/// prime-agent#608, harness-anything#1267: "did not become ready", the cause lost.
#[test]
fn a_child_that_dies_is_reported_at_once_with_its_end_and_its_last_lines() {
    let home = Home::new();
    assert_eq!(
        exit_of(&home, "echo out; echo cannot open the valve >&2; exit 3"),
        ("exited with status 3".to_owned(), "out\ncannot open the valve".to_owned())
    );
    assert_eq!(exit_of(&home, "exit 0"), ("exited with status 0".to_owned(), String::new()));
    assert_eq!(exit_of(&home, "kill -KILL $$").0, "was ended by signal 9");
    let (_, tail) = exit_of(&home, "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 1");
    assert!(tail.len() <= 8 * 1024 && tail.ends_with("line 2999"), "{}", tail.len());
}

/// An end of file on the pipe does not come while a grandchild has it, and does not mean that the child is gone.
#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hide_the_end_of_the_child() {
    let home = Home::new();
    let (end, tail) = exit_of(&home, "sleep 5 & echo $!; exit 3");
    assert_eq!(end, "exited with status 3");
    Command::new("kill").arg(&tail).status().unwrap();
    let pid = tail.parse().unwrap();
    until("the grandchild is gone", || is_gone(pid));
}

#[test]
fn a_closed_pipe_alone_says_nothing() {
    let home = Home::new();
    match home.ensure(&home.daemon("shut")) {
        Err(EnsureError::Launch(LaunchError::Exited { end, elapsed, .. })) => {
            assert_eq!(end.to_string(), "exited with status 4");
            assert!(elapsed >= Duration::from_millis(100), "{elapsed:?}");
        }
        other => panic!("{other:?}"),
    }
    // And who has closed it is waited for no longer than others.
    let error = home.ensure_within(&home.daemon("shut"), Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, EnsureError::StartInProgress { pid: Some(_), .. }), "{error:?}");
}

#[test]
fn what_a_daemon_says_before_it_goes_is_the_cause() {
    let home = Home::new();
    match home.ensure(&home.daemon("fail")) {
        Err(EnsureError::Launch(LaunchError::Failed { failure, tail, .. })) => {
            assert_eq!((failure.step.as_str(), failure.message.as_str()), ("listen", "port in use"));
            assert!(tail.ends_with("the whole story"), "{tail}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_named() {
    let home = Home::new();
    let no_program = std::fs::canonicalize("/etc/passwd").unwrap();
    for program in [Path::new("/nowhere/daemon"), &no_program] {
        let launch = Launch { program: Program::File(program.to_owned()), ..script("") };
        let error = home.ensure(&launch).unwrap_err();
        let EnsureError::Launch(LaunchError::Spawn { program: named, .. }) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(named, program);
    }
}

/// An upgrade that is being written while a client comes is waited for, and not for long.
#[test]
fn a_program_that_is_still_being_written_is_waited_for() {
    let home = Home::new();
    let program = home.beside("program");
    std::fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let launch = Launch { program: Program::File(program.clone()), ..script("") };
    let write = || std::fs::File::options().append(true).open(&program).unwrap();
    let written = write();
    let installer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        drop(written);
    });
    let error = home.ensure(&launch).unwrap_err();
    assert!(matches!(error, EnsureError::Launch(LaunchError::Exited { .. })), "{error:?}");
    installer.join().unwrap();
    let _still_written = write();
    let began = Instant::now();
    let error = home.ensure(&launch).unwrap_err();
    assert!(matches!(error, EnsureError::Launch(LaunchError::Spawn { .. })), "{error:?}");
    assert!(began.elapsed() < 10 * AT_ONCE, "{:?}", began.elapsed());
}

/// A slow start is reported as slow, and nothing is ended for it.
#[test]
fn a_child_that_is_alive_at_the_deadline_is_named_and_left_alone() {
    let home = Home::new();
    let began = Instant::now();
    let error = home.ensure_within(&script("sleep 60 & wait"), Duration::from_millis(300)).unwrap_err();
    assert!(began.elapsed() < 10 * AT_ONCE, "{:?}", began.elapsed());
    let EnsureError::StartInProgress { pid: Some(pid), step, elapsed } = error else { panic!("{error:?}") };
    assert!(elapsed >= Duration::from_millis(300) && step.contains("ready"), "{step} {elapsed:?}");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let state = stat.rsplit_once(')').unwrap().1.trim_start();
    assert!(state.starts_with(['S', 'R']), "it lives: {stat}");
    // A session of its own, so its group is it and its child. Nobody reaped it, so the number is still its own.
    assert!(Command::new("kill").args(["-KILL", "--", &format!("-{pid}")]).status().unwrap().success());
    until("a caller that lives on has no zombie", || is_gone(pid));
}

/// BrowserSkill#55, mvnd#193, t3code#11872: what a daemon keeps of whoever started it, it keeps for life.
#[test]
fn a_launched_process_stands_free_of_its_launcher() {
    // The shell reports on itself, and with what is built into it: while it forks it has every signal blocked.
    let report = r#"while read -r line; do case $line in Sig*) echo "$line"; esac; done < /proc/$$/status
        read -r pid name state parent group session rest < /proc/$$/stat; echo stat: $group $session
        echo pipe: $2; echo pid: $$; echo cwd: $(pwd); echo umask: $(umask)
        echo in: $(readlink /proc/$$/fd/0); echo fds:; ls /proc/$$/fd; echo end; env; exit 3"#;
    let launcher = "trap '' HUP INT QUIT; umask 000; cd /tmp; exec 7</dev/null; exec \"$0\" \"$@\"";
    let output = Command::new("/bin/sh")
        .args(["-c", launcher])
        .arg(std::env::current_exe().unwrap())
        .args(helper_args("helper::client"))
        .env("SPAWN_TEST_SCRIPT", report)
        .env("HTTP_PROXY", "http://proxy.example")
        .env("LC_TEST", "kept")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
    };
    let (pid, pipe) = (value("pid:"), value("pipe:"));
    let descriptors = text.split("fds:\n").nth(1).unwrap().split("end\n").next().unwrap();
    assert_eq!(descriptors, format!("0\n1\n2\n{pipe}\n"), "nothing of the launcher's but the pipe");
    assert_eq!(value("stat:"), format!("{pid} {pid}"), "process group and session are its own");
    assert_eq!((value("cwd:"), value("umask:")), ("/".to_owned(), "0077".to_owned()));
    // 32 and 33 are the C library's own, which lets nobody set them.
    let ignored = u64::from_str_radix(&value("SigIgn:"), 16).unwrap() & !(0b11 << 31);
    assert_eq!((ignored, value("SigBlk:")), (0, "0".repeat(16)));
    assert_eq!(value("in:"), "/dev/null");
    assert_eq!((value("SPAWN_TEST_EXTRA="), value("LC_TEST=")), ("given".to_owned(), "kept".to_owned()));
    assert!(!text.contains("HTTP_PROXY") && !text.contains("SPAWN_TEST_SCRIPT"), "{text}");
}
