//! A daemon of a version that nobody knows: it holds the lock and advertises itself, and what it says on its port no client of
//! today understands. It knows no request to stop either, and ends at a signal.

#[cfg(target_os = "linux")]
fn main() {
    use std::io::{Read as _, Write as _};

    use aileron_discovery::process::{ProcessRecord, host_name};
    use aileron_discovery::{Advertisement, Endpoint, InstanceId, OwnerLock, StateDir, Token};

    let state = std::env::args_os().nth(1).expect("a state directory");
    let tool = aileron_cli::tool();
    let state_dir = StateDir::resolve(&tool, Some(state.as_ref())).expect("a state directory");
    state_dir.create().expect("a directory");
    let lock = OwnerLock::acquire(&state_dir).expect("the lock is free");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let record = Advertisement {
        url: Endpoint::new(address).expect("a loopback address"),
        pid: std::process::id(),
        version: "99.0.0".to_owned(),
        started_at: "2099-01-01T00:00:00Z".to_owned(),
        token: Token::random().expect("a token"),
        schema: 99,
        protocol: 99,
        instance: Some(InstanceId::random().expect("an instance")),
        name: tool.name().to_owned(),
        epoch: None,
        process: Some(ProcessRecord::of_this_process()),
        host: host_name(),
    };
    lock.publish(&record).expect("it can be published");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        // Whoever is gone already is told nothing.
        let _told = stream
            .read(&mut [0; 4096])
            .and_then(|_| stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
