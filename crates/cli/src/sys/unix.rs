//! What POSIX says of standard output.

use rustix::event::{PollFd, PollFlags, Timespec};

/// Whether standard output is a pipe or socket whose other end is closed (`poll(2)`: `POLLERR`, which is told unasked), or
/// a terminal that was hung up.
pub(crate) fn is_reader_gone() -> bool {
    let stdout = std::io::stdout();
    let mut sources = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Where it cannot be asked, the next write will tell.
    rustix::event::poll(&mut sources, Some(&at_once)).is_ok()
        && sources[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}
