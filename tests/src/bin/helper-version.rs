//! A tool of any version, and its own client: `helper-version ensure VERSION RULE STATE-DIR [autostart-off]` has a daemon of
//! that version, by the rule `any`, `compatible` or `exact`. Its daemon has one route, which lasts.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    version::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod version {
    use std::ffi::OsString;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::ExitCode;
    use std::time::Duration;

    use aileron_discovery::{Deadline, StateDir, Tool};
    use aileron_spawn::{
        Autostart, EnsureError, EnsureOptions, Ensured, HoldRule, Launch, VersionRule, ensure_running,
    };
    use aileron_tests::embedder::Embedder;
    use axum::Router;
    use axum::routing::get;

    pub(super) fn main() -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["ensure", version, rule, state, rest @ ..] => {
                client(version, rule, Path::new(state), rest.is_empty())
            }
            _ => daemon(args),
        }
    }

    fn daemon(args: Vec<String>) -> ExitCode {
        let lasting = async || {
            tokio::time::sleep(Duration::from_mins(1)).await;
            "done"
        };
        Embedder::parse(args).serve(async move |_| Ok(Some(Router::new().route("/lasting", get(lasting)))))
    }

    /// Prints what came of it.
    fn client(version: &str, rule: &str, state: &Path, autostart: bool) -> ExitCode {
        let tool = Tool::new(aileron_cli::tool().name(), version);
        let state_dir = StateDir::resolve(&tool, Some(state)).expect("a state directory");
        let args = ["--as-version", version, "--state-dir"].map(OsString::from).into_iter();
        let args = args.chain([state.into()]).chain(["daemon", "serve"].map(OsString::from));
        let launch = Launch::of_this_program(args.collect());
        let variable = tool.env_var("NO_AUTOSTART");
        let autostart = if autostart { Autostart::Allowed } else { Autostart::Forbidden { variable } };
        let version = match rule {
            "any" => VersionRule::Any,
            "compatible" => VersionRule::Compatible,
            "exact" => VersionRule::Exact,
            other => panic!("no such rule: {other}"),
        };
        let options = EnsureOptions { autostart, hold: HoldRule::Obey, version };
        let deadline = Deadline::after(Duration::from_secs(30));
        let (text, status) = match ensure_running(&state_dir, &launch, &options, deadline) {
            Ok(Ensured::Found(found)) => (format!("found {}", found.record().version), 0),
            Ok(Ensured::Started { daemon, reason, .. }) => {
                (format!("started {} {reason:?}", daemon.record().version), 0)
            }
            Ok(other) => (format!("{other:?}"), 1),
            Err(EnsureError::Incompatible { theirs, misfit, .. }) => (format!("{misfit:?} {theirs}"), 6),
            Err(error) => (format!("{error:?}"), 1),
        };
        writeln!(std::io::stdout(), "{text}").expect("the test reads");
        ExitCode::from(status)
    }
}
