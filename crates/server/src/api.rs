//! The control routes, and how a request finds its way to them or to the embedder's.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use aileron_discovery::protocol::control::{DaemonView, Problem, ProblemCode, StopRequest};
use aileron_discovery::protocol::handshake::{Challenge, Proof};
use aileron_discovery::protocol::{PROTOCOL, SCHEMA, route};
use aileron_discovery::{Look, protocol};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use hyper::body::Incoming;
use tower_service::Service as _;

use crate::activity::InFlight;
use crate::guard::{Area, admit, problem};
use crate::shared::{Message, Shared};

/// No control request has a longer body, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// How long the body of a control request may take to come. The handshake needs no token, and whoever keeps a body back
/// keeps a connection's place.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

/// As good as none.
const NO_LIMIT: Duration = Duration::from_hours(24 * 365);

/// The routers of one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    shared: Arc<Shared>,
    control: Router,
    app: Router,
}

impl Api {
    pub(crate) fn new(shared: Arc<Shared>, app: Router) -> Self {
        let control = Router::new()
            .route(route::HEALTH, get(async || "ok"))
            .route(route::HANDSHAKE, post(handshake))
            .route(route::DAEMON, get(daemon))
            .route(route::STOP, post(stop))
            .route(route::EVENTS, get(events))
            .method_not_allowed_fallback(async || {
                Refused(problem(
                    StatusCode::METHOD_NOT_ALLOWED,
                    ProblemCode::MethodNotAllowed,
                    "wrong method",
                ))
            })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&shared));
        Self { shared, control, app }
    }

    /// Answers one request, whatever it is and whatever the handler does. `is_known` is called if it came with the token.
    pub(crate) async fn answer(
        self,
        request: Request<Incoming>,
        is_known: impl FnOnce(),
    ) -> Result<Response<Tracked>, Infallible> {
        let (head, body) = request.into_parts();
        let area = match admit(&self.shared, &head.uri, &head.headers) {
            Ok(area) => area,
            Err(refusal) => return Ok(Tracked::without(Refused(refusal).into_response())),
        };
        if matches!(area, Area::Control | Area::App) {
            is_known();
        }
        let is_use = area == Area::App || head.uri.path() == route::EVENTS;
        let in_flight = is_use.then(|| self.shared.activity.begin());
        let mut router = if area == Area::App { self.app } else { self.control };
        let request = Request::from_parts(head, Body::new(body));
        // The embedder's handlers take the time they need; a control route's takes what its body takes to come.
        let limit = if area == Area::App { NO_LIMIT } else { CONTROL_TIMEOUT };
        let response = match tokio::time::timeout(limit, catch_panic(router.call(request))).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_)) => {
                refused(StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal, "a handler panicked")
            }
            Err(_) => {
                refused(StatusCode::REQUEST_TIMEOUT, ProblemCode::BadRequest, "the body did not come in time")
            }
        };
        Ok(Tracked::with(response, in_flight))
    }
}

/// What an embedder without routes of its own serves.
pub(crate) fn nothing_here() -> Router {
    Router::new()
        .fallback(async || Refused(problem(StatusCode::NOT_FOUND, ProblemCode::NotFound, "no such route")))
}

/// Polls `work`; a panic in it is its end and nobody else's.
async fn catch_panic<F: Future>(work: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        // What a panicking handler leaves behind is dropped with it; nothing of ours is shared with it unguarded.
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

async fn handshake(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Proof>, Refused> {
    let challenge: Challenge = parse(&body)?;
    shared.activity.touch();
    let address = shared.address.get().expect("bound before it is served").get();
    Ok(Json(Proof::new(&shared.token, &challenge, &shared.instance, shared.state(), address)))
}

async fn daemon(State(shared): State<Arc<Shared>>) -> Json<DaemonView> {
    Json(view(&shared))
}

async fn stop(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<StatusCode, Refused> {
    let wish: StopRequest = if body.is_empty() { StopRequest::default() } else { parse(&body)? };
    if wish.if_idle && shared.activity.in_flight() > 0 {
        return Err(Refused(problem(StatusCode::CONFLICT, ProblemCode::NotIdle, "requests are in flight")));
    }
    shared.inbox.send(Message::StopRequested);
    Ok(StatusCode::ACCEPTED)
}

async fn events(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let stream = shared.events.listen("state", &serde_json::json!({ "state": shared.state() }));
    ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")], Body::new(stream))
}

fn view(shared: &Shared) -> DaemonView {
    let tool = shared.state_dir.tool();
    let held = shared.ownership.lock_id();
    let at_path = match shared.ownership.look() {
        Look::Same => Some(held),
        Look::Other(other) => Some(other),
        Look::Nothing { .. } | Look::Unknown(_) => None,
    };
    let mut watcher = shared.watcher.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    watcher.last_look_ms =
        shared.uptime_ms().saturating_sub(shared.last_look.load(std::sync::atomic::Ordering::Acquire));
    let idle_exit_ms = shared.options.idle_timeout_ms.map(|timeout| {
        let idle = shared.activity.idle_since().map_or(0, |since| since.elapsed().as_millis());
        timeout.saturating_sub(u64::try_from(idle).unwrap_or(u64::MAX))
    });
    DaemonView {
        schema: SCHEMA,
        name: tool.name().to_owned(),
        version: tool.version().to_owned(),
        protocol: PROTOCOL,
        pid: std::process::id(),
        instance: shared.instance.clone(),
        epoch: Some(shared.ownership.epoch()),
        state: shared.state(),
        started_at: shared.started_at.clone(),
        uptime_ms: shared.uptime_ms(),
        idle_exit_ms,
        in_flight: shared.activity.in_flight(),
        held,
        at_path,
        watcher,
        record_fault: shared.record_fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
        options: shared.options.clone(),
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| {
        Refused(problem(StatusCode::BAD_REQUEST, ProblemCode::BadRequest, &error.to_string()))
    })
}

fn refused(status: StatusCode, code: ProblemCode, title: &str) -> Response<Body> {
    Refused(problem(status, code, title)).into_response()
}

/// A refusal as it goes over the wire: a problem document (RFC 9457).
pub(crate) struct Refused(pub(crate) protocol::control::Problem);

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let Self(Problem { status, .. }) = self;
        let body = serde_json::to_vec(&self.0).expect("a problem document is JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// A response body that counts as in flight until its last byte is handed over or its connection is gone.
pub(crate) struct Tracked {
    body: Body,
    _in_flight: Option<InFlight>,
}

impl Tracked {
    fn with(response: Response<Body>, in_flight: Option<InFlight>) -> Response<Self> {
        response.map(|body| Self { body, _in_flight: in_flight })
    }

    fn without(response: Response<Body>) -> Response<Self> {
        Self::with(response, None)
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
