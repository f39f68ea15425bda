//! The world in which the release binary is driven from outside: homes, clients, daemons, the faults that befall them,
//! and an observer that believes nothing they say. `e2e` judges in it, `bench` measures in it.
//!
//! This program is a child subreaper here: what a client leaves becomes our child. Only processes that this program or
//! its clients started are ever signalled, and only through pidfds.

pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod daemon;
pub(crate) mod fault;
pub(crate) mod home;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod mounts;
pub(crate) mod observe;
pub(crate) mod paths;
pub(crate) mod process;
pub(crate) mod program;
