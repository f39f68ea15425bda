//! A daemon that withdraws its record as one would at first write it: asks whether it is the owner, and unlinks by name. It
//! holds the lock, publishes, and leaves at the first connection to its port.

#[cfg(target_os = "linux")]
fn main() {
    naive::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod naive {
    use std::fs;
    use std::net::TcpListener;
    use std::path::PathBuf;

    use aileron_discovery::{OwnerLock, StateDir, Verdict};

    pub(super) fn main() {
        let path = PathBuf::from(std::env::args_os().nth(1).expect("a state directory"));
        let state_dir = StateDir::resolve(&aileron_cli::tool(), Some(&path)).expect("a state directory");
        let lock = OwnerLock::acquire(&state_dir).expect("the lock is free");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is to be had");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (record, pid) = (path.join("daemon.json"), path.join("daemon.pid"));
        let json = serde_json::json!({
            "url": format!("http://{address}"),
            "pid": std::process::id(),
            "version": "0.1.0",
            "started_at": "2026-01-01T00:00:00Z",
            "token": "00",
        });
        let fresh = path.join("naive.new");
        fs::write(&fresh, json.to_string()).expect("the record can be written");
        fs::write(&pid, format!("{}\n", std::process::id())).expect("the pid can be written");
        fs::rename(fresh, &record).expect("the record can be published");
        drop(listener.accept().expect("somebody ends this"));
        drop(listener);
        if lock.ownership().verify() == Verdict::Owner {
            // Whatever may happen here.
            fs::remove_file(record).expect("the record can be removed");
            fs::remove_file(pid).expect("the pid can be removed");
        }
    }
}
