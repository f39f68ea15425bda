//! Gives a command a terminal: a session with a controlling terminal of its own, in whose foreground the command runs. Then
//! it ends, and the terminal hangs up.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    terminal::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod terminal {
    use std::process::{Command, ExitCode};

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::OpenptFlags;

    pub(super) fn main() -> ExitCode {
        let controller = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        rustix::pty::grantpt(&controller).expect("a terminal of ours");
        rustix::pty::unlockpt(&controller).expect("a terminal of ours");
        let name = rustix::pty::ptsname(&controller, Vec::new()).expect("a terminal has a name");
        // A session leader's fork is one, so a process group leader, as a test's child may be, is no hindrance here.
        rustix::process::setsid().expect("a session of our own: started by a test, we lead no process group");
        let terminal = rustix::fs::open(&name, OFlags::RDWR, Mode::empty()).expect("the terminal opens");
        rustix::process::ioctl_tiocsctty(&terminal).expect("the terminal is ours to control");
        let mut args = std::env::args_os().skip(1);
        let status = Command::new(args.next().expect("a program")).args(args).status();
        drop(controller);
        let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
        ExitCode::from(code.unwrap_or(99))
    }
}
