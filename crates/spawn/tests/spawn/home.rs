//! A state directory of a test's own, and what it started there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use aileron_discovery::process::ProcessRecord;
use aileron_discovery::{
    Advertisement, Deadline, Endpoint, InstanceId, Reading, StateDir, StateFile, Token, Tool,
};
use aileron_spawn::{
    Autostart, EnsureError, EnsureOptions, Ensured, Force, Found, HoldRule, Launch, OnStop, StopOptions,
    VersionRule, ensure_running, stop,
};

/// Ten times what anything here should take: a test that reaches it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// The tool of these tests. Its daemon is this test binary, told to be one.
pub(crate) fn tool() -> Tool {
    tool_of("1.0.0")
}

/// The same tool in another version.
pub(crate) fn tool_of(version: &'static str) -> Tool {
    Tool::new("spawn-test", version).with_daemon_args(&[&["helper::daemon", "--exact"]])
}

/// What this test binary is told to execute its part of the helper.
pub(crate) fn helper_args(part: &str) -> [&str; 4] {
    [part, "--exact", "--nocapture", "--"]
}

/// A temporary directory with a state directory in it. What was started in it is ended on drop; what that misses, the helper
/// daemon does itself as soon as its lock is gone.
pub(crate) struct Home {
    temp: tempfile::TempDir,
    pub(crate) dir: StateDir,
}

impl Home {
    /// The state directory exists.
    pub(crate) fn new() -> Self {
        let home = Self::without_directory();
        home.dir.create().unwrap();
        home
    }

    pub(crate) fn without_directory() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = StateDir::resolve(&tool(), Some(&temp.path().join("state"))).unwrap();
        Self { temp, dir }
    }

    /// A path beside the state directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn write_record(&self, record: &Advertisement) {
        std::fs::write(self.dir.path(StateFile::Record), record.to_bytes()).unwrap();
    }

    pub(crate) fn record(&self) -> Advertisement {
        match Advertisement::read(&self.dir).unwrap() {
            Reading::Present(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    /// The names in the state directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.dir.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A launch of the helper daemon.
    pub(crate) fn daemon(&self, manner: &str) -> Launch {
        let args = helper_args("helper::daemon").map(Into::into).to_vec();
        Launch::of_this_program(args)
            .with_env("SPAWN_TEST_DIR", self.dir.root())
            .with_env("SPAWN_TEST_MANNER", manner)
            .with_env("SPAWN_TEST_LAUNCHES", self.beside("launches"))
    }

    /// The same daemon as a child of the test, below `shell` (a prefix that ends in executing its arguments).
    pub(crate) fn child(&self, manner: &str, shell: &str) -> Process {
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(helper_args("helper::daemon"))
            .env("SPAWN_TEST_DIR", self.dir.root())
            .env("SPAWN_TEST_MANNER", manner)
            .env("SPAWN_TEST_LAUNCHES", self.beside("launches"))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn();
        Process(child.unwrap())
    }

    /// How many helper daemons were launched so far.
    pub(crate) fn launches(&self) -> usize {
        std::fs::read_to_string(self.beside("launches")).map_or(0, |text| text.lines().count())
    }

    pub(crate) fn ensure(&self, launch: &Launch) -> Result<Ensured, EnsureError> {
        self.ensure_within(launch, PATIENCE)
    }

    pub(crate) fn ensure_within(&self, launch: &Launch, patience: Duration) -> Result<Ensured, EnsureError> {
        ensure_running(&self.dir, launch, &OBEY, Deadline::after(patience))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let options = StopOptions { force: Force::AtDeadline, on_stop: OnStop::LeaveStartsOn };
        // What cannot be proved or asked goes when the directory does.
        let _best_effort = stop(&self.dir, options, Deadline::after(Duration::from_millis(200)));
    }
}

/// A child of the test, which does not outlive it even where the test fails.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where it has ended and been waited for, which is as well.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// What `url` asks for.
pub(crate) const OBEY: EnsureOptions =
    EnsureOptions { autostart: Autostart::Allowed, hold: HoldRule::Obey, version: VersionRule::Any };

/// What `daemon start` asks for.
pub(crate) const CLEAR: EnsureOptions =
    EnsureOptions { autostart: Autostart::Allowed, hold: HoldRule::Clear, version: VersionRule::Any };

/// A record of a daemon in this process.
pub(crate) fn record_at(address: std::net::SocketAddr) -> Advertisement {
    Advertisement {
        url: Endpoint::new(address).unwrap(),
        pid: std::process::id(),
        version: "1.0.0".to_owned(),
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        token: Token::random().unwrap(),
        schema: 1,
        protocol: 1,
        instance: Some(InstanceId::random().unwrap()),
        name: "spawn-test".to_owned(),
        epoch: None,
        process: Some(ProcessRecord::of_this_process()),
        host: aileron_discovery::process::host_name(),
    }
}

/// An address at which nobody listens.
pub(crate) fn refusing() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Asks until it is so; fails when it never is.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process that is gone to the last entry of the process table.
pub(crate) fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[track_caller]
pub(crate) fn started(ensured: Ensured) -> Found {
    match ensured {
        Ensured::Started { daemon, .. } => daemon,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn found(ensured: Ensured) -> Found {
    match ensured {
        Ensured::Found(found) => found,
        other => panic!("{other:?}"),
    }
}
