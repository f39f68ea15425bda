//! One handler at three distances from the network, for `cargo xtask bench server`: what each layer costs a request.
//!
//! * `echo bare [FILE]`: hyper alone, which is the limit. With a file it has the file's bytes ready for `GET /v1/daemon`.
//! * `echo router`: the same behind the router of axum that an embedder writes, still without a layer of ours.
//! * `echo daemon DIR`: the same router given to [`serve`], as an embedder gives it: every layer on.
//! * `echo plain DIR`: the first handler given to [`serve`] without a router: every layer on.
//!
//! The first two print their port and serve until they are killed; the others are found through their record. All have a
//! runtime of one thread. An example of this crate, so that profile, linkage and versions are the product's.
//! `bench idle` runs the first as a daemon that does nothing.

use std::error::Error;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use aileron_discovery::{StateDir, Tool};
use aileron_server::{Config, Context, Plain, Routes, Terminal, serve};
use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare"] => on_a_runtime(bare(Bytes::new())),
        ["bare", file] => on_a_runtime(bare(std::fs::read(file)?.into())),
        ["router"] => on_a_runtime(router()),
        // The control route for health is the product's own; nobody else's is ever asked.
        ["daemon", directory] => daemon(Path::new(directory), routes()),
        ["plain", directory] => {
            let answer =
                async |request| Ok(answer(request, Bytes::new()).await.unwrap_or_else(|_| cut_short()));
            daemon(Path::new(directory), Plain(service_fn(answer)))
        }
        _ => Err("usage: echo bare [FILE] | router | daemon DIR | plain DIR".into()),
    }
}

/// The same kind of runtime as the product's.
fn on_a_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?.block_on(work)
}

fn routes() -> Router {
    Router::new().route("/echo", post(async |body: Bytes| body)).route("/healthz", get(async || "ok"))
}

/// What nobody will hear: the body of the request has not come whole.
fn cut_short() -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn daemon(directory: &Path, routes: impl Routes) -> Result<(), Failure> {
    let state_dir = StateDir::resolve(&Tool::new("aileron", env!("CARGO_PKG_VERSION")), Some(directory))?;
    state_dir.create()?;
    let app = async |_: Context| Ok(Some(routes));
    let ended = serve(&state_dir, &Config::new(), Terminal::Detached, app, |_| {})?;
    if ended.reason.exit_status() == 0 { Ok(()) } else { Err(ended.reason.name().into()) }
}

fn listen() -> Result<TcpListener, Failure> {
    // 1,000 clients connect at once.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(4096)?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    Ok(listener)
}

async fn next(listener: &TcpListener) -> Result<TokioIo<TcpStream>, Failure> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

async fn bare(document: Bytes) -> Result<(), Failure> {
    let listener = listen()?;
    loop {
        let (io, document) = (next(&listener).await?, document.clone());
        let service = service_fn(move |request| answer(request, document.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(io, service));
    }
}

async fn answer(request: Request<Incoming>, document: Bytes) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let found = match (request.method(), request.uri().path()) {
        (&Method::POST, "/echo") => Some(request.into_body().collect().await?.to_bytes()),
        (&Method::GET, "/healthz") => Some(Bytes::from_static(b"ok")),
        (&Method::GET, "/v1/daemon") => Some(document),
        _ => None,
    };
    let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::new(found.unwrap_or_default()));
    *response.status_mut() = status;
    Ok(response)
}

async fn router() -> Result<(), Failure> {
    // As `axum::serve` does: handlers are made ready for their requests once.
    let (listener, routes): (_, Router) = (listen()?, routes().with_state(()));
    loop {
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(http1::Builder::new().serve_connection(next(&listener).await?, service));
    }
}
