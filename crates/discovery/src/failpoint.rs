//! Points at which a test has this process killed or stopped: a crash at exactly one step, and not at whichever step some
//! delay happens to hit.
//!
//! Only in builds with the feature `failpoints`, which nothing that is shipped has; everywhere else [`failpoint!`](crate::failpoint!)
//! is nothing, its argument included.

/// A step at which a test may end or stop the process, by name: `AILERON_FAILPOINT=lock_opened=kill`. Names are unique in the
/// whole of a client and a daemon; a process has the one variable.
#[cfg(feature = "failpoints")]
#[doc(hidden)]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        $crate::failpoint::reach($name)
    };
}

/// Nothing, without the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[doc(hidden)]
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {};
}

/// Does what the variable asks for if it names this point.
///
/// # Panics
///
/// When the variable asks for something that there is not: a test that misspells it would show nothing.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    let Some(wish) = std::env::var_os("AILERON_FAILPOINT") else { return };
    let wish = wish.to_string_lossy();
    match wish.split_once('=') {
        Some((point, _)) if point != name => {}
        Some((_, "kill")) => crate::sys::kill_this_process(),
        Some((_, "stop")) => crate::sys::stop_this_process(),
        _ => panic!("`AILERON_FAILPOINT={wish}` is not POINT=kill or POINT=stop"),
    }
}
