//! Where there are no pidfds: processes are waited for by asking, and strangers are sent no signal at all.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use aileron_discovery::Deadline;

use super::{Launched, Signal};

const TICK: Duration = Duration::from_millis(5);

/// A file that loses its name as soon as it is open.
pub(crate) fn nameless_file() -> io::Result<File> {
    let nonce = aileron_discovery::InstanceId::random().map_err(io::Error::other)?;
    let path = std::env::temp_dir().join(format!("launch-output-{nonce}"));
    let file = File::options().read(true).append(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// One by one: there is no `close_range` that marks.
#[cfg_attr(windows, expect(dead_code, reason = "Windows inherits nothing unasked"))]
pub(crate) fn mark_all_close_on_exec(first: u32) -> io::Result<()> {
    super::mark_one_by_one(first)
}

/// No system but Linux has such a score.
#[cfg_attr(windows, expect(dead_code, reason = "Windows launches in a way of its own"))]
pub(crate) fn reset_oom_score() {}

/// A process cannot be held on to here.
#[derive(Debug)]
pub(crate) struct ProcessHandle(std::convert::Infallible);

impl ProcessHandle {
    pub(crate) fn open(_pid: u32) -> io::Result<Option<Self>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn signal(&self, _signal: Signal) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn wait(&self, _deadline: &Deadline) -> bool {
        match self.0 {}
    }
}

/// What came first.
#[derive(Debug)]
pub(crate) enum Heard {
    /// More of a message.
    Bytes,
    /// The child has ended, and everything it had said was heard. `None`: how, was for others to hear.
    Gone(Option<std::process::ExitStatus>),
    /// Neither, in time.
    Deadline,
}

/// Reads the pipe, whose read blocks, in a thread of its own; asks for the child's end at short intervals.
pub(crate) fn hear(launched: &mut Launched, deadline: &Deadline, buffer: &mut Vec<u8>) -> Heard {
    let Launched { child, pipe, .. } = launched;
    let (sender, receiver) = mpsc::channel();
    if let Ok(mut pipe) = pipe.try_clone() {
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            if let Ok(count) = pipe.read(&mut block) {
                let _nobody_waits = sender.send(block[..count].to_vec());
            }
        });
    }
    let mut ended = None;
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(bytes) if !bytes.is_empty() => {
                buffer.extend_from_slice(&bytes);
                return Heard::Bytes;
            }
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            // The pipe is closed, and the child may live on: the channel no longer paces us.
            Err(RecvTimeoutError::Disconnected) => deadline.pause(TICK),
        }
        // Its end counts once one more tick has brought nothing that it said before it.
        if let Some(status) = ended {
            return Heard::Gone(status);
        }
        ended = match child.try_wait() {
            Ok(status) => status.map(Some),
            // ECHILD: it has ended, and not for us to hear.
            Err(_) => Some(None),
        };
        if deadline.passed() {
            return Heard::Deadline;
        }
    }
}
