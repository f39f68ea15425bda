//! Somebody else on the advertised port: takes what it is sent, and answers as it likes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A listener that is no daemon.
#[derive(Debug)]
pub struct Stranger {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<String>>,
}

impl Stranger {
    /// Listens, and gives every connection the same answer.
    pub fn answering(answer: &'static str) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), answer)
    }

    /// The same at an address that nobody else has, or has any more.
    pub fn at(address: SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind(address).expect("the loopback port is to be had");
        let address = listener.local_addr().expect("a bound socket has an address");
        let heard = Arc::new(Mutex::new(String::new()));
        let ears = Arc::clone(&heard);
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut block = [0; 4096];
                if stream.set_read_timeout(Some(Duration::from_millis(300))).is_err() {
                    continue;
                }
                let count = stream.read(&mut block).unwrap_or(0);
                ears.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&block[..count]));
                if stream.write_all(answer.as_bytes()).is_err() {}
            }
        });
        Self { address, heard }
    }

    /// Everything that it was sent.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
