//! Fuzzing of every parser that reads what others wrote, on a stable compiler.
//!
//! # Theory of operation
//!
//! Each [`Target`] has a corpus: inputs that its parser has to deal with, kept in `corpus/NAME/` and embedded in no program.
//! An execution takes one of them, damages it a few times ([`mutate`](fn@mutate)), and hands it to the target, which parses
//! and then checks what must hold of whatever came out. A panic in there is a failure; so is an execution that takes longer
//! than [`Limits::hang`].
//!
//! Coverage-guided fuzzers need a nightly compiler. What stands in for coverage here is the *outcome*: each target says in a
//! few words what the parser made of an input (the error it gave, its positions left out, or which optional parts were
//! there), and an input whose outcome was never seen before joins the corpus of the run. So an input that gets one check
//! further is built upon.
//!
//! All that is left to chance follows from the seed, which every report prints.

mod corpus;
mod engine;
mod mutate;
mod targets;

pub use corpus::{Corpus, CorpusError};
pub use engine::{Failure, Limits, Report, run};
pub use mutate::mutate;
pub use targets::{Outcome, TARGETS, Target};
