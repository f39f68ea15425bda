//! Who may ask what: decided before routing, on the request's head alone.
//!
//! In this order: is the request addressed to us and not sent by a foreign page (403), does it have the token (401), are we
//! still the daemon (503). A browser attaches `Host`, `Origin` and `Sec-Fetch-Site` by itself and lets no page change them
//! (Fetch Standard, "forbidden request-header"), so a page that had our address resolved for its own name (DNS rebinding),
//! or posts across sites, is seen here on every path.

use std::net::SocketAddr;

use aileron_discovery::Verdict;
use aileron_discovery::protocol::control::{Problem, ProblemCode};
use aileron_discovery::protocol::route;
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};

use crate::shared::{Message, Shared};

/// Which rules a path is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    /// `GET /healthz`: no token, no fence.
    Health,
    /// The handshake: no token, fenced, so that nobody is handed an orphan.
    Handshake,
    /// What must be answered by a displaced daemon too: token, no fence.
    Control,
    /// Everything else, the embedder's routes included: token and fence.
    App,
}

impl Area {
    pub(crate) fn of(path: &str) -> Self {
        match path {
            route::HEALTH => Self::Health,
            route::HANDSHAKE => Self::Handshake,
            route::DAEMON | route::STOP | route::EVENTS => Self::Control,
            _ => Self::App,
        }
    }
}

/// Admits the request to its area, or says why not.
pub(crate) fn admit(shared: &Shared, head: &Parts) -> Result<Area, Problem> {
    let address =
        *shared.address.get().expect("the address is known before the first connection is accepted");
    check_origin(address, head)?;
    let area = Area::of(head.uri.path());
    if matches!(area, Area::Control | Area::App) && !has_token(shared, &head.headers) {
        return Err(problem(StatusCode::UNAUTHORIZED, ProblemCode::Unauthorized, "no token, or a wrong one"));
    }
    if matches!(area, Area::Handshake | Area::App) {
        check_fence(shared)?;
    }
    Ok(area)
}

/// One `lstat(2)` per request, no lock, no allocation.
fn check_fence(shared: &Shared) -> Result<(), Problem> {
    if shared.ownership.verify() == Verdict::Owner {
        return Ok(());
    }
    shared.inbox.send(Message::LookNow);
    Err(identity_lost())
}

/// What a request is told that came to the wrong daemon.
pub(crate) fn identity_lost() -> Problem {
    let why = "this daemon is no longer the daemon of its directory; look for the present one";
    problem(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::IdentityLost, why)
}

fn has_token(shared: &Shared, headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|token| shared.token.matches(token))
}

/// The token that a request shows.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    only(headers, AUTHORIZATION.as_str())?.as_bytes().strip_prefix(b"Bearer ")
}

pub(crate) fn check_origin(address: SocketAddr, head: &Parts) -> Result<(), Problem> {
    let refuse = |what| Err(problem(StatusCode::FORBIDDEN, ProblemCode::Forbidden, what));
    let headers = &head.headers;
    if !only(headers, HOST.as_str()).is_some_and(|host| is_own(address, host.as_bytes())) {
        return refuse("a `Host` that is not this daemon's address");
    }
    // An absolute-form target overrides `Host` (RFC 9112, section 3.2.2).
    if head.uri.authority().is_some_and(|authority| !is_own(address, authority.as_str().as_bytes())) {
        return refuse("a target that is not this daemon's address");
    }
    if headers.contains_key(ORIGIN) {
        let own =
            only(headers, ORIGIN.as_str()).and_then(|origin| origin.as_bytes().strip_prefix(b"http://"));
        if !own.is_some_and(|authority| is_own(address, authority)) {
            return refuse("a foreign `Origin`");
        }
    }
    // A page on another port of localhost is same-*site*, so only same-origin, or no page at all, will do.
    if headers.contains_key("sec-fetch-site") {
        let site = only(headers, "sec-fetch-site").map(HeaderValue::as_bytes);
        if !matches!(site, Some(b"same-origin" | b"none")) {
            return refuse("a foreign `Sec-Fetch-Site`");
        }
    }
    Ok(())
}

/// The one value of a header: none, or two, are nobody's honest request.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether `authority` is the bound address, or `localhost`, with the port.
fn is_own(address: SocketAddr, authority: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(authority) else { return false };
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse() == Ok(address.port()) && port.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.parse() == Ok(address),
    }
}

pub(crate) fn problem(status: StatusCode, code: ProblemCode, title: &str) -> Problem {
    Problem { status: status.as_u16(), code, title: title.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

    fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn our_own_names_pass() {
        for headers in [
            vec![("host", "127.0.0.1:4711")],
            vec![("host", "localhost:4711"), ("origin", "http://localhost:4711")],
            vec![("host", "127.0.0.1:4711"), ("sec-fetch-site", "none")],
            vec![
                ("host", "127.0.0.1:4711"),
                ("origin", "http://127.0.0.1:4711"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert!(check_origin(ADDRESS, &head("/x", &headers)).is_ok(), "{headers:?}");
        }
    }

    #[test]
    fn foreign_names_are_refused() {
        let own = ("host", "127.0.0.1:4711");
        for headers in [
            vec![],
            vec![own, own],
            vec![("host", "evil.example:4711")],
            vec![("host", "127.0.0.1")],
            vec![("host", "127.0.0.1:4712")],
            vec![("host", "localhost:+4711")],
            vec![("host", "localhost.evil.example:4711")],
            vec![own, ("origin", "null")],
            vec![own, ("origin", "http://evil.example")],
            vec![own, ("origin", "https://127.0.0.1:4711")],
            vec![own, ("origin", "http://localhost:9000")],
            vec![own, ("sec-fetch-site", "cross-site")],
            vec![own, ("sec-fetch-site", "same-site")],
            vec![own, ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        ] {
            let refused = check_origin(ADDRESS, &head("/x", &headers)).unwrap_err();
            assert_eq!(refused.status, 403, "{headers:?}");
        }
        assert!(check_origin(ADDRESS, &head("http://evil.example/x", &[own])).is_err());
        assert!(check_origin(ADDRESS, &head("http://127.0.0.1:4711/x", &[own])).is_ok());
    }

    #[test]
    fn only_the_control_routes_are_outside_the_fence() {
        assert_eq!(Area::of("/v1/daemon/stop"), Area::Control);
        for path in ["/", "/v1/daemon/", "/v1/daemon/stop/", "/v1/other", "//healthz", "/healthz/x"] {
            assert_eq!(Area::of(path), Area::App, "{path}");
        }
    }
}
