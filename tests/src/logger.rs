//! An embedder's logger that panics: in the line of an event that it was told, on the thread that says it.

use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Panics on events whose `event` field is one of these, and says nothing of any other.
#[derive(Debug)]
pub(crate) struct PanickyLogger(Vec<String>);

impl PanickyLogger {
    /// Installs it for the whole process; `events` are separated by commas.
    pub(crate) fn install(events: &str) {
        let events = events.split(',').map(String::from).collect();
        tracing::subscriber::set_global_default(Self(events)).expect("the first subscriber of the process");
    }
}

impl Subscriber for PanickyLogger {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut name = EventName(String::new());
        event.record(&mut name);
        assert!(!self.0.contains(&name.0), "this logger panics on `{}`", name.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct EventName(String);

impl Visit for EventName {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "event" {
            write!(self.0, "{value:?}").expect("a string can be written");
        }
    }
}
