//! `helper-pause NAME PROGRAM ARGS…` executes the program and stops it wherever it is about to unlink a file of this name:
//! says `paused NAME` on standard output, and goes on at the next line of standard input, or at its end.
//!
//! The program keeps the process; a child of it is the supervisor, and ends when there is nobody left to supervise.

#[cfg(target_os = "linux")]
fn main() {
    pause::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod pause {
    use std::io::{BufRead as _, PipeReader, Read as _, Write as _};
    use std::os::fd::{AsRawFd as _, OwnedFd};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use aileron_tests::pause;
    use rustix::process::{PidfdFlags, PidfdGetfdFlags};

    pub(super) fn main() {
        let mut args = std::env::args_os().skip(1);
        let name = args.next().and_then(|name| name.into_string().ok()).expect("a name");
        let program = args.next().expect("a program");
        let (number_out, number_in) = std::io::pipe().expect("a pipe");
        let (taken_out, taken_in) = std::io::pipe().expect("a pipe");
        if pause::fork().expect("a child") {
            drop(number_in);
            let listener = take_listener(number_out);
            drop(taken_in);
            return supervise(&listener, &name);
        }
        drop(taken_in);
        let listener = pause::listen().expect("a filter of our own");
        let mut number_in = number_in;
        number_in.write_all(&listener.as_raw_fd().to_ne_bytes()).expect("the child reads");
        // Ends when the child has the listener and closes its end.
        { taken_out }.read_to_end(&mut Vec::new()).expect("a pipe can be read");
        let error = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).exec();
        panic!("cannot execute the program: {error}");
    }

    /// Takes the listener of our parent, by its number.
    fn take_listener(mut number: PipeReader) -> OwnedFd {
        let mut bytes = [0; 4];
        number.read_exact(&mut bytes).expect("the parent has a listener");
        let parent = rustix::process::getppid().expect("the parent waits for us");
        let parent =
            rustix::process::pidfd_open(parent, PidfdFlags::empty()).expect("the parent waits for us");
        rustix::process::pidfd_getfd(parent, i32::from_ne_bytes(bytes), PidfdGetfdFlags::empty())
            .expect("pidfd_getfd(2): run this as root")
    }

    fn supervise(listener: &OwnedFd, name: &str) {
        let mut told = std::io::stdin().lock().lines();
        while let Some(call) = pause::next(listener).expect("the listener is ours") {
            if call.path.rsplit('/').next() == Some(name) {
                writeln!(std::io::stdout(), "paused {name}").expect("the test reads");
                told.next().transpose().expect("standard input can be read");
            }
            pause::go_on(listener, &call).expect("the listener is ours");
        }
    }
}
