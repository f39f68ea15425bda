//! An embedder that takes its time, or fails, and its own client: `helper-slow ensure MS ARGS…` has `helper-slow ARGS…`
//! launched and waits for it. Each launch is counted in the file that `--count` names, before anything else is done.

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

    use aileron_discovery::{Deadline, StateDir};
    use aileron_server::AppError;
    use aileron_spawn::{Autostart, EnsureOptions, Ensured, HoldRule, Launch, VersionRule, ensure_running};
    use aileron_tests::embedder::{Embedder, count_one};

    pub(super) fn main() -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).collect();
        match args.split_first() {
            Some((first, rest)) if first == "ensure" => client(rest),
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

    /// Prints `found URL` or `started URL`, or what went wrong.
    fn client(args: &[String]) -> ExitCode {
        let (patience, args) = args.split_first().expect("a time in milliseconds");
        let deadline = Deadline::after(Duration::from_millis(patience.parse().expect("milliseconds")));
        let state_dir = StateDir::resolve(&aileron_cli::tool(), None).expect("a state directory");
        let mut all = vec![OsString::from("--state-dir"), state_dir.root().into()];
        all.extend(["daemon", "serve"].map(OsString::from));
        all.extend(args.iter().map(OsString::from));
        let launch = Launch::of_this_program(all);
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
