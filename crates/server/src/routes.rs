//! What an embedder answers its own requests with.

use std::convert::Infallible;
use std::future::{Future, Ready};

use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::future::RouteFuture;
use axum::{BoxError, Router};
use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::Service;
use tower_service::Service as _;

/// What an embedder answers its own requests with: a [`Router`], or a [`Plain`] service where a router costs too much.
///
/// [`Infallible`] is for a daemon that has no routes of its own. All stand behind the same guard, and are counted, drained and
/// kept from panicking the daemon in the same way.
pub trait Routes: Clone + Send + Sealed + 'static {
    /// Of a response.
    #[doc(hidden)]
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
    /// Of one request.
    #[doc(hidden)]
    type Future: Future<Output = Result<Response<Self::Body>, Infallible>> + Send + 'static;

    /// Called once, before the first request.
    #[doc(hidden)]
    #[must_use]
    fn prepared(self) -> Self {
        self
    }

    /// Begins with one request.
    #[doc(hidden)]
    fn answer(&self, request: Request<Incoming>) -> Self::Future;
}

/// A service that is asked directly, without a router: for instance [`service_fn`](hyper::service::service_fn), which matches
/// method and path itself. It is given the request as hyper read it, and what it answers goes out as it is.
///
/// A router of axum makes boxes of each request's handler, body and future; this costs nothing but itself.
#[derive(Clone, Copy, Debug)]
pub struct Plain<S>(pub S);

/// Keeps the trait's methods ours to change.
pub trait Sealed {}

impl Sealed for Router {}

impl Routes for Router {
    type Body = Body;
    type Future = RouteFuture<Infallible>;

    /// Without a state of its own each handler is made ready for its requests here, and not again for each of them.
    fn prepared(self) -> Self {
        self.with_state(())
    }

    fn answer(&self, request: Request<Incoming>) -> Self::Future {
        self.clone().call(request.map(to_body))
    }
}

impl Sealed for Infallible {}

/// Of a daemon that has nothing but the control routes: `Ok(None::<Infallible>)`.
impl Routes for Infallible {
    type Body = Body;
    type Future = Ready<Result<Response<Body>, Self>>;

    fn answer(&self, _request: Request<Incoming>) -> Self::Future {
        match *self {}
    }
}

impl<S> Sealed for Plain<S> {}

impl<S, B> Routes for Plain<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
    type Future = S::Future;

    fn answer(&self, request: Request<Incoming>) -> Self::Future {
        self.0.call(request)
    }
}

/// A body that is empty needs no box.
fn to_body(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}
