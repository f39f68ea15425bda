//! Somebody else on the advertised port: takes what it is sent, and answers as it likes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a stranger does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Takes what comes, answers this, and closes.
    Answers(&'static [u8]),
    /// Takes what comes, and says nothing for as long as the other is there.
    Silent,
    /// Sends back what it is sent.
    Echoes,
    /// Closes at once.
    Closes,
    /// Begins an answer whose head has no end.
    EndlessHead,
}

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
        Self::with(Manner::Answers(answer.as_bytes()))
    }

    /// The same at an address that nobody else has, or has any more.
    pub fn at(address: SocketAddr, answer: &'static str) -> Self {
        Self::listening(address, Manner::Answers(answer.as_bytes()))
    }

    /// Listens, and treats every connection in the same manner.
    pub fn with(manner: Manner) -> Self {
        Self::listening(([127, 0, 0, 1], 0).into(), manner)
    }

    fn listening(address: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).expect("the loopback port is to be had");
        let address = listener.local_addr().expect("a bound socket has an address");
        let heard = Arc::new(Mutex::new(String::new()));
        let ears = Arc::clone(&heard);
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ears = Arc::clone(&ears);
                // Its end is the peer's, who may break off at any time.
                std::thread::spawn(move || drop(treat(stream, manner, &ears)));
            }
        });
        Self { address, heard }
    }

    /// Everything that it was sent.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn treat(mut stream: TcpStream, manner: Manner, ears: &Mutex<String>) -> std::io::Result<()> {
    let mut block = [0; 4096];
    let mut hear = |stream: &mut TcpStream| {
        let count = stream.read(&mut block)?;
        let text = String::from_utf8_lossy(&block[..count]);
        ears.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        std::io::Result::Ok(block[..count].to_vec())
    };
    match manner {
        Manner::Closes => Ok(()),
        Manner::Answers(answer) => {
            stream.set_read_timeout(Some(Duration::from_millis(300)))?;
            // It answers also whom it has not heard.
            let _heard = hear(&mut stream);
            stream.write_all(answer)
        }
        Manner::Silent => {
            while !hear(&mut stream)?.is_empty() {}
            Ok(())
        }
        Manner::Echoes => loop {
            let heard = hear(&mut stream)?;
            if heard.is_empty() {
                return Ok(());
            }
            stream.write_all(&heard)?;
        },
        Manner::EndlessHead => {
            hear(&mut stream)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"X-Padding: and so on and so forth\r\n")?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
