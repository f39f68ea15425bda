//! Asking what may never answer: a dead file server, a process table that hangs. The question is asked in a thread of its
//! own, which is left behind where no answer comes; it ends with this process.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use aileron_discovery::Deadline;

/// An answer of whatever kind. A channel for each kind, with its thread, is 15 kB of the program, and `doctor` asks fifteen.
type Answer = Box<dyn Any + Send>;

/// An answer that may come.
pub(crate) struct Pending<T>(Receiver<Answer>, PhantomData<T>);

impl<T: Send + 'static> Pending<T> {
    pub(crate) fn ask(question: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(ask(Box::new(move || Box::new(question()))), PhantomData)
    }

    /// The answer, or why there is none by the deadline.
    pub(crate) fn by(self, deadline: &Deadline) -> Result<T, String> {
        let answer = self.0.recv_timeout(deadline.remaining().unwrap_or_default());
        let answer = answer.map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no answer within {} ms", deadline.elapsed().as_millis()),
            RecvTimeoutError::Disconnected => "looking at it failed".to_owned(),
        })?;
        Ok(*answer.downcast().expect("the answer is of the question's kind"))
    }
}

fn ask(question: Box<dyn FnOnce() -> Answer + Send>) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let _nobody_waits_any_more = sender.send(question());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_never_answers_is_not_waited_for() {
        let (_never, silent) = channel::<()>();
        let pending = Pending::ask(move || silent.recv());
        let why = pending.by(&Deadline::after(Duration::from_millis(20))).unwrap_err();
        assert!(why.starts_with("no answer within"), "{why}");
        assert_eq!(Pending::ask(|| 7).by(&Deadline::after(Duration::from_secs(10))), Ok(7));
    }
}
