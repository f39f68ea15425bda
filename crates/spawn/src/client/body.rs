//! The body of an answer, whole or piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::line::Line;

/// The body of an answer, as it comes. It has its connection for itself, which ends with it.
#[derive(Debug)]
pub struct ResponseBody {
    /// What was read already.
    ahead: Bytes,
    rest: Incoming,
    line: Line,
}

/// An answer broke off: the daemon, or the connection to it, ended in the middle.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct ResponseError(#[source] hyper::Error);

/// What came of reading a body whole.
pub(super) enum Collected {
    Whole(Bytes),
    TooLarge,
}

impl ResponseBody {
    pub(super) fn new(rest: Incoming, line: Line) -> Self {
        Self { ahead: Bytes::new(), rest, line }
    }

    /// The next piece; `None` at the end of a whole answer. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// When the answer breaks off before its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ResponseError> {
        while let Some(frame) = self.frame().await {
            // Trailers say nothing here.
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads up to `enough` bytes, or to the end, and leaves them to be read once more.
    pub(super) async fn look_ahead(&mut self, enough: usize) -> Result<&[u8], ResponseError> {
        let mut ahead = BytesMut::from(std::mem::take(&mut self.ahead));
        while ahead.len() < enough {
            match self.chunk().await? {
                Some(chunk) => ahead.extend_from_slice(&chunk),
                None => break,
            }
        }
        self.ahead = ahead.freeze();
        Ok(&self.ahead)
    }

    pub(super) async fn collect(&mut self, cap: usize) -> Result<Collected, ResponseError> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > cap {
                return Ok(Collected::TooLarge);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(Collected::Whole(whole.freeze()))
    }

    /// The connection of a body that was read to its end.
    pub(super) fn into_line(self) -> Line {
        self.line
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseError>>> {
        if self.ahead.has_remaining() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.ahead)))));
        }
        let frame = ready!(Pin::new(&mut self.rest).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(ResponseError)))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, ahead) = (self.rest.size_hint(), self.ahead.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }
}
