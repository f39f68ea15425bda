//! Executes a program for which some system calls do nothing: `helper-faults flock=0 inotify_init1=EMFILE -- PROGRAM ARGS…`.
//! `NAME=ERRNO` has the call fail, `NAME=0` has it say that all is well. Whatever the program starts inherits it.

#[cfg(target_os = "linux")]
fn main() {
    use std::os::unix::process::CommandExt as _;

    let mut args = std::env::args_os().skip(1);
    let before = args.by_ref().take_while(|arg| arg != "--");
    let fault = |arg: std::ffi::OsString| aileron_tests::sys::Fault::parse(arg.to_str()?);
    let faults: Vec<_> = before
        .map(|arg| fault(arg.clone()).unwrap_or_else(|| panic!("no such fault: {}", arg.display())))
        .collect();
    let mut command = std::process::Command::new(args.next().expect("a program"));
    command.args(args);
    aileron_tests::sys::install(&faults).expect("a filter can be installed");
    let error = command.exec();
    panic!("{}: {error}", command.get_program().display());
}

#[cfg(not(target_os = "linux"))]
fn main() {}
