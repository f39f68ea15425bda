//! Somebody who listens in this process, and remembers every byte that was sent.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use aileron_discovery::Advertisement;
use aileron_discovery::protocol::control::{DaemonState, Problem, ProblemCode};
use aileron_discovery::protocol::handshake::{Challenge, Proof};
use aileron_discovery::protocol::route;

/// How it answers.
#[derive(Clone)]
pub(crate) enum Manner {
    /// As the daemon of this record would, doing this.
    Prove(Box<Advertisement>, DaemonState),
    /// As a displaced daemon would.
    IdentityLost,
    /// Never.
    Silent,
    /// With these bytes, whatever is asked.
    Say(Vec<u8>),
    /// With what it was sent.
    Echo,
    /// A header without an end, one byte at a time.
    Drip,
}

/// It ends when this is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// `manner` is given the address, which a record needs.
    pub(crate) fn start(manner: impl FnOnce(SocketAddr) -> Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (seen, over, manner) = (Arc::clone(&seen), Arc::clone(&over), manner(address));
            move || serve(&listener, &manner, &seen, &over)
        });
        Self { address, seen, over, thread: Some(thread) }
    }

    /// The requests, one per connection.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Wakes the accept.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(listener: &TcpListener, manner: &Manner, seen: &Mutex<Vec<String>>, over: &AtomicBool) {
    let mut kept = Vec::new();
    for stream in listener.incoming() {
        if over.load(Ordering::Acquire) {
            return;
        }
        let mut stream = stream.unwrap();
        let request = read_request(&mut stream);
        seen.lock().unwrap().push(request.clone());
        match manner {
            Manner::Silent => kept.push(stream),
            Manner::Drip => {
                let mut answer = b"HTTP/1.1 200 OK\r\nx: ".iter().chain(std::iter::repeat(&b'x'));
                while !over.load(Ordering::Acquire)
                    && answer.next().is_some_and(|byte| stream.write_all(&[*byte]).is_ok())
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            manner => {
                // The client may be gone already, which is its right.
                let _gone = stream.write_all(&answer(manner, &request));
            }
        }
    }
}

fn answer(manner: &Manner, request: &str) -> Vec<u8> {
    match manner {
        Manner::Prove(record, state) => prove(record, *state, request),
        Manner::IdentityLost => {
            let problem = Problem { status: 503, code: ProblemCode::IdentityLost, title: String::new() };
            http(503, &serde_json::to_string(&problem).unwrap())
        }
        Manner::Say(bytes) => bytes.clone(),
        Manner::Echo => request.as_bytes().to_vec(),
        Manner::Silent | Manner::Drip => Vec::new(),
    }
}

/// What a daemon answers on the handshake route, and on the health route.
pub(crate) fn prove(record: &Advertisement, state: DaemonState, request: &str) -> Vec<u8> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    if head.starts_with(&format!("GET {} ", route::HEALTH)) {
        return http(200, "ok");
    }
    if !head.starts_with(&format!("POST {} ", route::HANDSHAKE)) {
        return http(404, "");
    }
    let challenge: Challenge = serde_json::from_str(body).unwrap();
    let instance = record.instance.as_ref().unwrap();
    let proof = Proof::new(&record.token, &challenge, instance, state, record.url.address());
    http(200, &serde_json::to_string(&proof).unwrap())
}

pub(crate) fn http(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// One request, head and body; what there is of it if the client goes away.
pub(crate) fn read_request(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        match stream.read(&mut block) {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&block[..count]),
        }
    }
}
