//! Log lines on a terminal: through a queue, so that who stops reading (a paused terminal, a stuck collector at the other end
//! of a pipe) holds up neither the keeper nor the runtime.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// How many lines may wait; more are dropped, here and not in the file.
const QUEUE: usize = 1024;

/// How long the end of a daemon waits for its last lines to be taken.
const LAST_LINES: Duration = Duration::from_millis(200);

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// Everything before this has been written.
    Mark(SyncSender<()>),
}

/// The near end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct TerminalWriter(SyncSender<Item>);

impl TerminalWriter {
    /// Starts the thread that writes to standard error, the only one that may block in it.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new().name("terminal".to_owned()).spawn(move || write_all(&receiver))?;
        Ok(Self(sender))
    }

    /// Waits, for a moment, until what was said is on the terminal.
    pub(crate) fn finish(&self) {
        let (sender, receiver) = sync_channel(1);
        if self.0.try_send(Item::Mark(sender)).is_ok() && receiver.recv_timeout(LAST_LINES).is_err() {
            // Nobody reads; the lines are in the file.
        }
    }
}

fn write_all(items: &Receiver<Item>) {
    for item in items {
        let done = match item {
            Item::Line(line) => io::stderr().write_all(&line).is_ok(),
            Item::Mark(sender) => sender.send(()).is_ok(),
        };
        if !done { /* standard error is closed: the next line may be luckier */ }
    }
}

impl Write for TerminalWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Item::Line(line.to_vec())).is_err() { /* dropped: the file has it */ }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
