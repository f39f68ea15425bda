//! A daemon under test, and everything about it that its files may not tell any more.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::facts::{PROMPT, until};
use crate::http::{self, Answer};
use crate::log::Log;
use crate::process::Process;

/// The body of a handshake.
const CHALLENGE: &str = r#"{"nonce":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}"#;

/// A daemon that was ready.
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub process: Arc<Process>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its token.
    pub token: String,
    /// Its instance.
    pub instance: String,
    /// Its record, as it was.
    pub record: Value,
    /// The inode of the lock it holds.
    pub lock: u64,
    /// Its log, opened while it was there.
    pub log: Log,
}

impl Daemon {
    /// Waits until the record of `state` names this process, and it serves: the record is there a moment before its writer has
    /// read it back, and one that loses its directory in between has not started.
    pub(crate) fn of(process: Arc<Process>, state: &Path) -> Self {
        let record = until("the daemon is ready", PROMPT, || {
            assert!(process.is_alive(), "the daemon ended at its start: {:?}", process.wait(PROMPT));
            let text = fs::read_to_string(state.join("daemon.json")).ok()?;
            let record: Value = serde_json::from_str(&text).ok()?;
            // The pid file is written after the record.
            let pid = fs::read_to_string(state.join("daemon.pid")).ok()?;
            (record["pid"] == process.pid() && pid.trim() == process.pid().to_string()).then_some(record)
        });
        let text = |name: &str| record[name].as_str().expect("a text").to_owned();
        let address =
            text("url").strip_prefix("http://").expect("an HTTP address").parse().expect("an address");
        let health = http::request(address, "GET", "/healthz", &[], "");
        until("the daemon serves", PROMPT, || {
            assert!(process.is_alive(), "the daemon ended at its start: {:?}", process.wait(PROMPT));
            http::raw(address, &health).ok().filter(|answer| answer.status == 200)
        });
        let lock = fs::metadata(state.join("daemon.lock")).expect("the lock is there").ino();
        let log = Log::open(&state.join("daemon.log"));
        Self { process, address, token: text("token"), instance: text("instance"), lock, log, record }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `Authorization` header.
    pub fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    /// A request with the token, as bytes.
    pub fn request(&self, method: &str, path: &str) -> Vec<u8> {
        http::request(self.address, method, path, &[&self.authorization()], "")
    }

    /// A request with the token.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn ask(&self, method: &str, path: &str) -> std::io::Result<Answer> {
        http::raw(self.address, &self.request(method, path))
    }

    /// A handshake; whether its proof is right is the product's business.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn handshake(&self) -> std::io::Result<Answer> {
        http::raw(self.address, &http::request(self.address, "POST", "/v1/handshake", &[], CHALLENGE))
    }

    /// What it says of itself.
    pub fn view(&self) -> Value {
        let answer = self.ask("GET", "/v1/daemon").unwrap_or_else(|error| {
            let end = self.process.ends_within(PROMPT).then(|| self.process.wait(PROMPT));
            panic!("it gives no answer: {error}; its end: {end:?}")
        });
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Waits until the keeper has looked at the lock three times from now on.
    pub fn three_looks(&self) {
        let looked = || {
            let view = self.view();
            let number = |value: &Value| value.as_u64().expect("a number of milliseconds");
            number(&view["uptime_ms"]) - number(&view["watcher"]["last_look_ms"])
        };
        let mut last = looked();
        for _ in 0..3 {
            // The two numbers are read a moment apart, so a step of a few milliseconds is no look.
            last = until("the keeper looks", PROMPT, || Some(looked()).filter(|now| *now > last + 50));
        }
    }
}
