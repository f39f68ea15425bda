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
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::{HeaderValue, StatusCode, Uri};

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

/// The daemon's own address, as a request names it.
#[derive(Clone, Debug)]
pub(crate) struct OwnAddress {
    address: SocketAddr,
    /// As nearly every client writes it.
    text: String,
}

impl OwnAddress {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, text: address.to_string() }
    }

    pub(crate) fn get(&self) -> SocketAddr {
        self.address
    }

    /// Whether `authority` is the bound address, or `localhost`, with the port.
    fn is(&self, authority: &[u8]) -> bool {
        if authority == self.text.as_bytes() {
            return true;
        }
        let Ok(text) = std::str::from_utf8(authority) else { return false };
        match text.strip_prefix("localhost:") {
            Some(port) => {
                port.parse() == Ok(self.address.port()) && port.bytes().all(|byte| byte.is_ascii_digit())
            }
            None => text.parse() == Ok(self.address),
        }
    }
}

/// How often a header was sent. Two values are nobody's honest request.
#[derive(Clone, Copy, Debug)]
enum Sent<'a> {
    Never,
    Once(&'a [u8]),
    Often,
}

impl<'a> Sent<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = if matches!(self, Self::Never) { Self::Once(value.as_bytes()) } else { Self::Often };
    }
}

/// What a request is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credentials<'a> {
    host: Sent<'a>,
    origin: Sent<'a>,
    site: Sent<'a>,
    authorization: Sent<'a>,
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl<'a> Credentials<'a> {
    /// Looks at each header once: they are few, and to look one up by its name costs as much as five of them.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let [host, origin, site, authorization] = [Sent::Never; 4];
        let mut found = Self { host, origin, site, authorization };
        for (name, value) in headers {
            if name == HOST {
                found.host.add(value);
            } else if name == AUTHORIZATION {
                found.authorization.add(value);
            } else if name == ORIGIN {
                found.origin.add(value);
            } else if name == SEC_FETCH_SITE {
                found.site.add(value);
            }
        }
        found
    }

    /// The token that a request shows.
    pub(crate) fn bearer(&self) -> Option<&'a [u8]> {
        let Sent::Once(value) = self.authorization else { return None };
        value.strip_prefix(b"Bearer ")
    }
}

/// Admits the request to its area, or says why not.
pub(crate) fn admit(shared: &Shared, target: &Uri, headers: &HeaderMap) -> Result<Area, Problem> {
    let own = shared.address.get().expect("the address is known before the first connection is accepted");
    let credentials = Credentials::of(headers);
    check_origin(own, target, &credentials)?;
    let area = Area::of(target.path());
    if matches!(area, Area::Control | Area::App) && !has_token(shared, &credentials) {
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

fn has_token(shared: &Shared, credentials: &Credentials<'_>) -> bool {
    credentials.bearer().is_some_and(|token| shared.token.matches(token))
}

pub(crate) fn check_origin(
    own: &OwnAddress,
    target: &Uri,
    credentials: &Credentials<'_>,
) -> Result<(), Problem> {
    let refuse = |what| Err(problem(StatusCode::FORBIDDEN, ProblemCode::Forbidden, what));
    if !matches!(credentials.host, Sent::Once(host) if own.is(host)) {
        return refuse("a `Host` that is not this daemon's address");
    }
    // An absolute-form target overrides `Host` (RFC 9112, section 3.2.2).
    if target.authority().is_some_and(|authority| !own.is(authority.as_str().as_bytes())) {
        return refuse("a target that is not this daemon's address");
    }
    match credentials.origin {
        Sent::Never => {}
        Sent::Once(origin) if origin.strip_prefix(b"http://").is_some_and(|it| own.is(it)) => {}
        Sent::Once(_) | Sent::Often => return refuse("a foreign `Origin`"),
    }
    // A page on another port of localhost is same-*site*, so only same-origin, or no page at all, will do.
    match credentials.site {
        Sent::Never | Sent::Once(b"same-origin" | b"none") => Ok(()),
        Sent::Once(_) | Sent::Often => refuse("a foreign `Sec-Fetch-Site`"),
    }
}

pub(crate) fn problem(status: StatusCode, code: ProblemCode, title: &str) -> Problem {
    Problem { status: status.as_u16(), code, title: title.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use axum::http::request::Parts;

    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

    fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn judge(target: &str, headers: &[(&str, &str)]) -> Result<(), Problem> {
        let head = head(target, headers);
        check_origin(&OwnAddress::new(ADDRESS), &head.uri, &Credentials::of(&head.headers))
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
            assert!(judge("/x", &headers).is_ok(), "{headers:?}");
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
            let refused = judge("/x", &headers).unwrap_err();
            assert_eq!(refused.status, 403, "{headers:?}");
        }
        assert!(judge("http://evil.example/x", &[own]).is_err());
        assert!(judge("http://127.0.0.1:4711/x", &[own]).is_ok());
    }

    #[test]
    fn only_the_control_routes_are_outside_the_fence() {
        assert_eq!(Area::of("/v1/daemon/stop"), Area::Control);
        for path in ["/", "/v1/daemon/", "/v1/daemon/stop/", "/v1/other", "//healthz", "/healthz/x"] {
            assert_eq!(Area::of(path), Area::App, "{path}");
        }
    }
}
