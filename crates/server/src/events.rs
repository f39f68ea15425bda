//! Lifecycle events, for whoever listens at `GET /v1/daemon/events` (server-sent events, WHATWG HTML §9.2).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use serde_json::Value;
use tokio::sync::mpsc;

/// How many events a listener may lag behind before its stream is ended.
const BACKLOG: usize = 64;

/// Those who listen. Once closed it stays closed: the streams end, and new ones end at once.
#[derive(Debug)]
pub(crate) struct EventHub(Mutex<Option<Vec<mpsc::Sender<Bytes>>>>);

impl EventHub {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// Tells everybody. Called from the keeper's thread; waits for nobody.
    pub(crate) fn tell(&self, event: &str, data: &Value) {
        let text = Bytes::from(format!("event: {event}\ndata: {data}\n\n"));
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listeners) = listeners.as_mut() {
            listeners.retain(|listener| listener.try_send(text.clone()).is_ok());
        }
    }

    /// Ends every stream after what it was told.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn listen(&self, first: &str, data: &Value) -> EventStream {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let greeting = Bytes::from(format!("event: {first}\ndata: {data}\n\n"));
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listeners) = listeners.as_mut()
            && sender.try_send(greeting).is_ok()
        {
            listeners.push(sender);
        }
        EventStream(receiver)
    }
}

/// The body of one listener's response.
#[derive(Debug)]
pub(crate) struct EventStream(mpsc::Receiver<Bytes>);

impl http_body::Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|text| Ok(Frame::data(text))))
    }
}
