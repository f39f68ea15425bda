//! Finding, starting and stopping, against daemons of these tests' own.
//!
//! A daemon in this very process (`fake`) shows what a client sees and sends; it can never be signalled, because a process
//! refuses itself. What needs a process of its own executes this test binary again (`helper`).
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what these functions of a test suite unwrap is the test")]

mod ensure;
mod fake;
mod find;
mod helper;
mod home;
mod launch;
mod stop;
