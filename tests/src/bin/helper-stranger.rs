//! Holds the exclusive `flock` of the file it is given, and is nobody's daemon. Says `held`, and goes on until it is ended.

use std::io::Write as _;

fn main() {
    let path = std::env::args_os().nth(1).expect("a file");
    let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.expect("the file can be opened");
    file.try_lock().expect("the lock is free");
    writeln!(std::io::stderr(), "held").expect("the test reads");
    loop {
        std::thread::park();
    }
}
