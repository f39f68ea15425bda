//! One connection to a daemon, kept between requests.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use aileron_discovery::Nonce;
use aileron_discovery::protocol::handshake::Challenge;
use aileron_discovery::protocol::launch::in_one_line;
use aileron_discovery::protocol::{LEASE, route};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::exchange::{MAX_PROOF, check_proof};
use crate::target::Target;

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    target: Arc<Target>,
    is_proved: bool,
    /// Before the challenge was sent that was answered with a proof; until something is asked, which uses it up.
    lease: Option<Instant>,
}

/// Why a request has no answer.
pub(super) enum Cut {
    /// No byte of it was sent.
    Unsent(String),
    /// It may have been.
    Sent(String),
}

/// Whether this can be a request to a daemon; if not, why.
pub(super) fn check(request: &Request<Bytes>) -> Result<(), &'static str> {
    let uri = request.uri();
    if uri.authority().is_some() || uri.scheme().is_some() {
        return Err("its target names a host, which is the client's to find");
    }
    if !uri.path().starts_with('/') {
        return Err("its target is no path");
    }
    if request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE) {
        return Err("a connection cannot be turned into something else");
    }
    Ok(())
}

impl Line {
    pub(super) async fn open(target: &Arc<Target>) -> io::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends with its sender, or with the connection; what of it matters is the answer's error as well.
        tokio::spawn(async move { if connection.await.is_err() {} });
        Ok(Self { sender, target: Arc::clone(target), is_proved: false, lease: None })
    }

    pub(super) fn is_of(&self, target: &Arc<Target>) -> bool {
        Arc::ptr_eq(&self.target, target)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// Whether a daemon that begins to leave still keeps this connection open for a request that is sent now.
    pub(super) fn has_lease(&self) -> bool {
        self.lease.is_some_and(|at| at.elapsed() < LEASE / 2)
    }

    /// Has whoever is at the other end prove that it is the recorded daemon, and means to stay. Nothing secret is sent.
    pub(super) async fn prove(&mut self) -> Result<(), String> {
        let target = Arc::clone(&self.target);
        let record = target.record.as_ref().ok_or("there is no record to prove")?;
        let challenge = Challenge { nonce: Nonce::random().map_err(|error| error.to_string())? };
        let body = serde_json::to_vec(&challenge).map_err(|error| error.to_string())?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(route::HANDSHAKE);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.is_proved = false;
        let asked_at = Instant::now();
        let answer = self.send(&request).await.map_err(|(Cut::Unsent(why) | Cut::Sent(why))| why)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_PROOF).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        check_proof(status, &body, record, &challenge)?;
        (self.is_proved, self.lease) = (true, Some(asked_at));
        Ok(())
    }

    /// Sends a request, with the token where the instance was proved on this connection.
    pub(super) async fn send(&mut self, request: &Request<Bytes>) -> Result<Response<Incoming>, Cut> {
        let unsent = |why: &dyn std::error::Error| Cut::Unsent(in_one_line(why));
        let mut out = Request::new(Full::new(request.body().clone()));
        *out.method_mut() = request.method().clone();
        *out.uri_mut() = request.uri().clone();
        *out.headers_mut() = request.headers().clone();
        let headers = out.headers_mut();
        headers.remove(CONNECTION);
        headers.remove(AUTHORIZATION);
        let host = HeaderValue::try_from(self.target.address.to_string()).map_err(|error| unsent(&error))?;
        headers.insert(HOST, host);
        if let Some(record) = self.target.record.as_ref().filter(|_| self.is_proved()) {
            let token = format!("Bearer {}", record.token.expose());
            let mut token = HeaderValue::try_from(token).map_err(|error| unsent(&error))?;
            token.set_sensitive(true);
            headers.insert(AUTHORIZATION, token);
        }
        self.lease = None;
        self.sender.ready().await.map_err(|error| unsent(&error))?;
        self.sender.try_send_request(out).await.map_err(|mut error| {
            // What comes back was not begun.
            let was_sent = error.take_message().is_none();
            let why = in_one_line(error.error());
            if was_sent { Cut::Sent(why) } else { Cut::Unsent(why) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_path_and_no_host() {
        let request = |method: &str, uri: &str| {
            Request::builder().method(method).uri(uri).body(Bytes::new()).expect("a request")
        };
        for uri in ["/", "/add?n=1", "/a/b"] {
            assert_eq!(check(&request("POST", uri)), Ok(()), "{uri}");
        }
        for (method, uri) in [("GET", "http://127.0.0.1:1/"), ("OPTIONS", "*"), ("CONNECT", "127.0.0.1:1")] {
            assert!(check(&request(method, uri)).is_err(), "{method} {uri}");
        }
        let mut upgrade = request("GET", "/");
        upgrade.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        assert!(check(&upgrade).is_err());
    }
}
