//! The protocol of lock, gate and record as a finite model, and a search of everything it can do.
//!
//! A [`state::State`] is one moment: directories, files by inode, processes. [`world::World`] says what may happen next, each step one
//! system call, with each [`rules::Rule`] of the protocol in force or not. A step that breaks a [`property::Property`] says so in the
//! state it leads to. [`search::search`] visits everything that can be reached, and [`trace::tell`] puts a way into words.
//!
//! It is independent of the crates: it models what `docs/design` and the code say, and shares nothing with them. What is modelled, and
//! what is not, stands on the [`page`].

pub mod canon;
pub mod cases;
mod client;
mod daemon;
mod fs;
mod launch;
mod outside;
pub mod page;
pub mod process;
pub mod property;
pub mod rules;
pub mod search;
mod section;
pub mod state;
mod stop;
pub mod trace;
pub mod world;
