//! Where the process begins: a `main` of the C library's, with what std does before a `main` of Rust where that matters here.
//!
//! A client lives for less than a millisecond, and std spends a fifth of that on being able to name a stack that overflows:
//! it reads and parses `/proc/self/maps`, and maps a stack for the handler. Without it such a program dies of `SIGSEGV`
//! without these words, and a panic of this thread names it `<unnamed>`. What is kept: the standard streams are open, whatever the caller closed, so that no file of ours gets
//! their numbers; a reader that goes away is an error of a write and not the end (`SIGPIPE`, signal(7)); a panic ends with
//! status 101; and what is in std's buffers is written at the end.

use std::ffi::OsString;

/// What std says of a panic in a `main` of its own.
const PANICKED: i32 = 101;

/// What the C library calls (C11, section 5.1.2.2.1).
///
/// The words are taken from here and not from std, which is given them everywhere by a `main` of its own alone.
#[expect(unsafe_code, reason = "the C library looks for this very name")]
#[unsafe(no_mangle)]
extern "C" fn main(count: core::ffi::c_int, words: *const *const core::ffi::c_char) -> core::ffi::c_int {
    // A panic may not leave a function of C.
    let ended = std::panic::catch_unwind(|| {
        begin();
        aileron_cli::run(&to_words(count, words))
    });
    std::process::exit(ended.map_or(PANICKED, |status| i32::from(status.code())))
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "pointers from the C library")]
fn to_words(count: core::ffi::c_int, words: *const *const core::ffi::c_char) -> Vec<OsString> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt as _;

    let word = |at| {
        // SAFETY: `words` has `count` pointers to strings that end in a zero and live as long as the process (execve(2)).
        let word = unsafe { CStr::from_ptr(*words.add(at)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    };
    (0..usize::try_from(count).unwrap_or_default()).map(word).collect()
}

/// The C library's are not in Unicode.
#[cfg(not(unix))]
fn to_words(_count: core::ffi::c_int, _words: *const *const core::ffi::c_char) -> Vec<OsString> {
    std::env::args_os().collect()
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "descriptors by number, and signal(2) is not in rustix")]
fn begin() {
    // SAFETY: numbers and a string that ends in a zero are handed over. No other thread runs yet that could open anything.
    unsafe {
        for stream in 0..=2 {
            if libc::fcntl(stream, libc::F_GETFD) == -1
                && libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) == -1
            {
                // As std has it: better no program than one whose messages go into its files.
                libc::abort();
            }
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

#[cfg(not(unix))]
fn begin() {}
