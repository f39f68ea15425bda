//! An embedder that takes its time, or fails, and its own client: `helper-slow ensure MS ARGS…` has `helper-slow ARGS…`
//! launched and waits for it; `helper-slow again ROUNDS ARGS…` starts and stops it that often in one process, which must then
//! have what it had before; `helper-slow restart MS CHECK ARGS…` has it take the old one's place if `helper-slow check CHECK`
//! says that it could start (`ok`), and not if that fails (`fail`) or goes on and on (`hang`). Each launch is counted in the
//! file that `--count` names, before anything else is done.
//!
//! What `DAEMON_FAILPOINT` says is the launched daemon's `AILERON_FAILPOINT`. `CLOSED_STREAMS` has the client close its
//! standard streams first, and speak on a duplicate.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    slow::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod slow {
    use std::convert::Infallible;
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::process::ExitCode;
    use std::time::Duration;

    use aileron_discovery::protocol::launch::in_one_line;
    use aileron_discovery::{Deadline, StateDir};
    use aileron_server::AppError;
    use aileron_spawn::{
        Autostart, EnsureOptions, Ensured, Force, HoldRule, Launch, OnStop, Predecessor, RestartError,
        RestartOptions, StopOptions, Successor, VersionRule, ensure_running, restart, stop,
    };
    use aileron_tests::embedder::{Embedder, count_line, count_one};
    use aileron_tests::{Belongings, PROMPT, sys, until};

    const OPTIONS: EnsureOptions =
        EnsureOptions { autostart: Autostart::Allowed, hold: HoldRule::Obey, version: VersionRule::Any };

    pub(super) fn main() -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).collect();
        match args.split_first() {
            Some((first, rest)) if first == "ensure" => client(rest),
            Some((first, rest)) if first == "again" => again(rest),
            Some((first, rest)) if first == "restart" => restarter(rest),
            Some((first, rest)) if first == "check" => check(rest),
            _ => daemon(args),
        }
    }

    fn daemon(args: Vec<String>) -> ExitCode {
        let embedder = Embedder::parse(args);
        if let Some(file) = &embedder.count {
            count_one(file);
        }
        let (init, fault, count) = (embedder.init, embedder.fault.clone(), embedder.count.clone());
        embedder.serve(async move |_| {
            tokio::time::sleep(init).await;
            match fault.as_deref() {
                None => Ok(None::<Infallible>),
                Some("fail") => Err(AppError::from("the well is dry")),
                Some("panic") => panic!("the well is poisoned"),
                Some("exit") => std::process::exit(0),
                Some("child") => {
                    // While it starts, and so while it has the launch pipe.
                    let child = std::process::Command::new("sleep").arg("600").spawn()?;
                    count_line(&count.expect("--count"), &child.id().to_string());
                    Ok(None)
                }
                Some(other) => panic!("no such fault: {other}"),
            }
        })
    }

    fn check(args: &[String]) -> ExitCode {
        match args.first().map(String::as_str) {
            Some("ok") => ExitCode::SUCCESS,
            Some("fail") => {
                writeln!(std::io::stderr(), "the well is dry").expect("somebody reads");
                ExitCode::from(3)
            }
            Some("hang") => loop {
                std::thread::park();
            },
            other => panic!("no such check: {other:?}"),
        }
    }

    /// Prints `restarted URL`, or what went wrong.
    fn restarter(args: &[String]) -> ExitCode {
        let [patience, check, args @ ..] = args else { panic!("a time and a check") };
        let patience = Duration::from_millis(patience.parse().expect("milliseconds"));
        let state_dir = StateDir::resolve(&aileron_cli::tool(), None).expect("a state directory");
        let successor = |_: Option<&Predecessor>| Successor {
            launch: launch(&state_dir, args),
            check: ["check", check].map(OsString::from).to_vec(),
        };
        let options = RestartOptions { force: Force::Never, stop_within: patience };
        let restarted = restart(&state_dir, successor, options, Deadline::after(patience));
        let (text, status) = match restarted.map(|restarted| restarted.ensured) {
            Ok(Ensured::Started { daemon, .. }) => (format!("restarted {}", daemon.url()), 0),
            Ok(other) => (format!("{other:?}"), 1),
            Err(RestartError::Check { said, .. }) => (format!("check failed: {said}"), 1),
            Err(error) => (in_one_line(&error), 1),
        };
        writeln!(std::io::stdout(), "{text}").expect("the test reads");
        ExitCode::from(status)
    }

    /// Prints `found URL` or `started URL`, or what went wrong.
    fn client(args: &[String]) -> ExitCode {
        let (patience, args) = args.split_first().expect("a time in milliseconds");
        let deadline = Deadline::after(Duration::from_millis(patience.parse().expect("milliseconds")));
        let out = std::io::stdout().as_fd().try_clone_to_owned().expect("a descriptor");
        if std::env::var_os("CLOSED_STREAMS").is_some() {
            (0..3).for_each(sys::close_stream);
        }
        let state_dir = StateDir::resolve(&aileron_cli::tool(), None).expect("a state directory");
        let launch = launch(&state_dir, args);
        let (text, status) = match ensure_running(&state_dir, &launch, &OPTIONS, deadline) {
            Ok(Ensured::Found(found)) => (format!("found {}", found.url()), 0),
            Ok(Ensured::Started { daemon, .. }) => (format!("started {}", daemon.url()), 0),
            Ok(other) => (format!("{other:?}"), 1),
            Err(error) => (format!("{error:?}"), 1),
        };
        writeln!(File::from(out), "{text}").expect("the test reads");
        ExitCode::from(status)
    }

    fn launch(state_dir: &StateDir, args: &[String]) -> Launch {
        let mut all = vec![OsString::from("--state-dir"), state_dir.root().into()];
        all.extend(["daemon", "serve"].map(OsString::from));
        all.extend(args.iter().map(OsString::from));
        let launch = Launch::of_this_program(all);
        match std::env::var_os("DAEMON_FAILPOINT") {
            Some(wish) => launch.with_env("AILERON_FAILPOINT", wish),
            None => launch,
        }
    }

    /// A client that lives on: starts and stops, and now and then a start that fails.
    fn again(args: &[String]) -> ExitCode {
        let (rounds, args) = args.split_first().expect("a number of rounds");
        let rounds: u32 = rounds.parse().expect("a number of rounds");
        let state_dir = StateDir::resolve(&aileron_cli::tool(), None).expect("a state directory");
        let good = launch(&state_dir, args);
        let bad = launch(&state_dir, &[args, &["--fault".to_owned(), "fail".to_owned()]].concat());
        let wait = || Deadline::after(Duration::from_secs(30));
        let before = Belongings::of_this_process();
        for round in 0..rounds {
            if round % 10 == 9 {
                ensure_running(&state_dir, &bad, &OPTIONS, wait()).expect_err("it fails to start");
                continue;
            }
            let ensured = ensure_running(&state_dir, &good, &OPTIONS, wait()).expect("it starts");
            assert!(matches!(ensured, Ensured::Started { .. }), "round {round}: {ensured:?}");
            let options = StopOptions { force: Force::Never, on_stop: OnStop::LeaveStartsOn };
            stop(&state_dir, options, wait()).expect("it stops");
        }
        // The thread that waits for a child ends a moment after the child.
        let after = || Some(Belongings::of_this_process());
        until(&format!("again {before:?}"), PROMPT, || after().filter(|after| *after == before));
        writeln!(std::io::stdout(), "{before:?}").expect("the test reads");
        ExitCode::SUCCESS
    }
}
