//! What takes two processes to show.
//!
//! Each test has a [`Bench`]: a home, a state directory and an environment of its own. Whatever it starts it ends by a
//! handle (`pidfd_open(2)`), and what is left at the end is a failure. The test process is a *subreaper* (`prctl(2)`), so
//! daemons that clients started become its children, and their exit statuses can be had.
//!
//! A fact is waited for with a deadline that fails ([`until`]); nothing sleeps to let something happen. Deadlines are about
//! ten times the promise, so that a busy machine does not fail a test and a hang does.
//!
//! [`embedder`] is what the helper programs of `src/bin` are made of.
#![cfg(target_os = "linux")]

pub mod asker;
pub mod attack;
mod bench;
mod call;
mod daemon;
pub mod embedder;
mod facts;
mod files;
pub mod herd;
pub mod http;
pub mod load;
mod log;
mod logger;
mod mounts;
pub mod page;
#[path = "sys/pause.rs"]
pub mod pause;
pub mod pretence;
mod process;
mod receiver;
pub mod report;
mod rounds;
mod stranger;
pub mod sys;
pub mod user;

pub use bench::{Bench, FileSystem, Programs};
pub use call::{Call, Outcome, Running};
pub use daemon::Daemon;
pub use facts::{PROMPT, until};
pub use files::{Snapshot, Tree, copy_program, link_all, lock_file, put_fifo, says_nothing, set_mode};
pub use log::Log;
pub use mounts::{Mount, in_own_mounts};
pub use process::{Belongings, End, Process, processes_mentioning};
pub use receiver::{Receiver, Stale};
pub use rounds::{Round, each_round, rounds};
pub use rustix::process::Signal;
pub use stranger::{Manner, Stranger};

/// A [`Bench`] with the helper programs of this package, on the file system that is given or on any.
#[macro_export]
macro_rules! bench {
    () => {
        $crate::bench!($crate::FileSystem::Any)
    };
    ($file_system:expr) => {
        $crate::Bench::on(
            $file_system,
            $crate::Programs {
                aileron: env!("CARGO_BIN_EXE_helper-daemon").as_ref(),
                fenced: env!("CARGO_BIN_EXE_helper-fenced").as_ref(),
                service: env!("CARGO_BIN_EXE_helper-service").as_ref(),
                slow: env!("CARGO_BIN_EXE_helper-slow").as_ref(),
                stranger: env!("CARGO_BIN_EXE_helper-stranger").as_ref(),
                terminal: env!("CARGO_BIN_EXE_helper-terminal").as_ref(),
                acquire: env!("CARGO_BIN_EXE_helper-acquire").as_ref(),
                faults: env!("CARGO_BIN_EXE_helper-faults").as_ref(),
            },
        )
    };
}
