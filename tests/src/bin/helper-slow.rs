//! An embedder that takes its time, or fails, and its own client: `helper-slow ensure MS ARGS…` has `helper-slow ARGS…`
//! launched and waits for it, `helper-slow restart MS CHECK ARGS…` has it take the old one's place if `helper-slow check CHECK`
//! says that it could start (`ok`), and not if that fails (`fail`) or goes on and on (`hang`). Each launch is counted in the file that `--count` names, before anything else is done.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    slow::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod slow {
    use std::ffi::OsString;
    use std::io::Write as _;
    use std::process::ExitCode;
    use std::time::Duration;

    use aileron_discovery::protocol::launch::in_one_line;
    use aileron_discovery::{Deadline, StateDir};
    use aileron_server::AppError;
    use aileron_spawn::{
        Autostart, EnsureOptions, Ensured, Force, HoldRule, Launch, Predecessor, RestartError,
        RestartOptions, Successor, VersionRule, ensure_running, restart,
    };
    use aileron_tests::embedder::{Embedder, count_one};

    pub(super) fn main() -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).collect();
        match args.split_first() {
            Some((first, rest)) if first == "ensure" => client(rest),
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
        let (init, fault) = (embedder.init, embedder.fault.clone());
        embedder.serve(async move |_| {
            tokio::time::sleep(init).await;
            match fault.as_deref() {
                None => Ok(None),
                Some("fail") => Err(AppError::from("the well is dry")),
                Some("panic") => panic!("the well is poisoned"),
                Some("exit") => std::process::exit(0),
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

    fn launch(state_dir: &StateDir, args: &[String]) -> Launch {
        let mut all = vec![OsString::from("--state-dir"), state_dir.root().into()];
        all.extend(["daemon", "serve"].map(OsString::from));
        all.extend(args.iter().map(OsString::from));
        Launch::of_this_program(all)
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
        let state_dir = StateDir::resolve(&aileron_cli::tool(), None).expect("a state directory");
        let launch = launch(&state_dir, args);
        let options =
            EnsureOptions { autostart: Autostart::Allowed, hold: HoldRule::Obey, version: VersionRule::Any };
        let (text, status) = match ensure_running(&state_dir, &launch, &options, deadline) {
            Ok(Ensured::Found(found)) => (format!("found {}", found.url()), 0),
            Ok(Ensured::Started { daemon, .. }) => (format!("started {}", daemon.url()), 0),
            Ok(other) => (format!("{other:?}"), 1),
            Err(error) => (format!("{error:?}"), 1),
        };
        writeln!(std::io::stdout(), "{text}").expect("the test reads");
        ExitCode::from(status)
    }
}
