//! The control routes, and how a request finds its way to them or to the embedder's.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aileron_discovery::protocol::control::{DaemonView, Problem, ProblemCode, StopRequest};
use aileron_discovery::protocol::handshake::{Challenge, Proof};
use aileron_discovery::protocol::{PROTOCOL, SCHEMA, route};
use aileron_discovery::{Look, protocol};
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::future::RouteFuture;
use axum::routing::{get, post};
use axum::{BoxError, Json, Router};
use bytes::Bytes;
use http_body_util::Either;
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::connections::Busy;
use crate::guard::{Area, admit, problem};
use crate::routes::Routes;
use crate::shared::{Message, Shared};

/// No control request has a longer body, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// How long the body of a control request may take to come. The handshake needs no token, and whoever keeps a body back
/// keeps a connection's place.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

/// The routers of one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Api<R> {
    shared: Arc<Shared>,
    control: Router,
    /// `None`: there is nothing but the control routes.
    app: Option<R>,
}

impl<R: Routes> Api<R> {
    pub(crate) fn new(shared: Arc<Shared>, app: Option<R>) -> Self {
        let control = Router::new()
            .route(route::HEALTH, get(async || health()))
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
        Self { shared, control: control.prepared(), app: app.map(Routes::prepared) }
    }

    /// Answers one request, whatever it is and whatever the handler does.
    pub(crate) fn answer(&self, request: Request<Incoming>, mut busy: Busy) -> Answering<R> {
        let work = catch_unwind(AssertUnwindSafe(|| self.begin(request, &mut busy)));
        Answering { work: work.unwrap_or_else(|_| Work::made(panicked())), busy: Some(busy) }
    }

    fn begin(&self, request: Request<Incoming>, busy: &mut Busy) -> Work<R::Future> {
        let path = request.uri().path();
        let area = match admit(&self.shared, request.uri(), request.headers()) {
            Ok(area) => area,
            Err(refusal) => return Work::made(Refused(refusal).into_response()),
        };
        if matches!(area, Area::Control | Area::App) {
            busy.load().note_token();
        }
        if area == Area::App || path == route::EVENTS {
            busy.note_use();
        }
        if area == Area::App {
            let Some(app) = &self.app else { return Work::made(nothing_here()) };
            return Work::App { answer: app.answer(request) };
        }
        match (request.method(), path) {
            // What is asked most often, and needs no router.
            (&Method::GET, route::HEALTH) => Work::made(health().into_response()),
            (&Method::GET, route::DAEMON) => Work::made(Json(view(&self.shared)).into_response()),
            _ => {
                let is_proof = area == Area::Handshake;
                let answer = within_limit(self.control.answer(request));
                Work::Control { answer: Box::pin(answer), is_proof }
            }
        }
    }
}

pin_project! {
    /// A request that is being answered.
    pub(crate) struct Answering<R: Routes> {
        #[pin]
        work: Work<R::Future>,
        // `None` once there is a response, which has it.
        busy: Option<Busy>,
    }
}

pin_project! {
    #[project = WorkNow]
    enum Work<F> {
        // `None` once it was given away.
        Made { response: Option<Response<Body>> },
        // The embedder's handlers take the time they need.
        App { #[pin] answer: F },
        // A control route's takes what its body takes to come.
        Control { answer: Pin<Box<dyn Future<Output = Response<Body>> + Send>>, is_proof: bool },
    }
}

impl<F> Work<F> {
    fn made(response: Response<Body>) -> Self {
        Self::Made { response: Some(response) }
    }
}

impl<R: Routes> Future for Answering<R> {
    type Output = Result<Response<Tracked<R::Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut work = this.work;
        // What a panicking handler leaves behind is dropped with it; nothing of ours is shared with it unguarded.
        let polled = catch_unwind(AssertUnwindSafe(|| match work.as_mut().project() {
            WorkNow::App { answer } => answer.poll(cx).map(|Ok(response)| response.map(Either::Right)),
            WorkNow::Made { response } => {
                Poll::Ready(response.take().expect("a response is made once").map(Either::Left))
            }
            WorkNow::Control { answer, .. } => {
                answer.as_mut().poll(cx).map(|response| response.map(Either::Left))
            }
        }));
        let response = ready!(polled.unwrap_or_else(|_| Poll::Ready(panicked().map(Either::Left))));
        let busy = this.busy.take().expect("a response is made once");
        if let WorkNow::Control { is_proof: true, .. } = work.project()
            && response.status() == StatusCode::OK
        {
            busy.load().note_proof();
        }
        Poll::Ready(Ok(response.map(|body| Tracked { body, busy })))
    }
}

async fn within_limit(route: RouteFuture<Infallible>) -> Response<Body> {
    match tokio::time::timeout(CONTROL_TIMEOUT, route).await {
        Ok(Ok(response)) => response,
        Err(_) => {
            refused(StatusCode::REQUEST_TIMEOUT, ProblemCode::BadRequest, "the body did not come in time")
        }
    }
}

/// What an embedder without routes of its own serves.
fn nothing_here() -> Response<Body> {
    refused(StatusCode::NOT_FOUND, ProblemCode::NotFound, "no such route")
}

fn health() -> &'static str {
    "ok"
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

fn panicked() -> Response<Body> {
    refused(StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal, "a handler panicked")
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

pin_project! {
    /// A response body that counts as in flight until its last byte is handed over or its connection is gone.
    pub(crate) struct Tracked<B> {
        #[pin]
        body: Either<Body, B>,
        busy: Busy,
    }
}

impl<B: http_body::Body<Data = Bytes, Error: Into<BoxError>>> http_body::Body for Tracked<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
