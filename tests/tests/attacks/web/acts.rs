//! What a page has its browser do.

/// What a page has its browser do.
#[derive(Clone, Copy)]
pub(crate) struct Act {
    pub(crate) name: &'static str,
    /// Method and path.
    pub(crate) line: &'static str,
    pub(crate) host: &'static str,
    /// Empty: the browser sends none, as for a `GET` in mode `no-cors` and for navigation.
    pub(crate) origin: &'static str,
    /// `Sec-Fetch-Site`, `-Mode` and `-Dest`; empty: an address that does not count as trustworthy.
    pub(crate) fetch: [&'static str; 3],
    pub(crate) accept: &'static str,
    /// Headers of this act alone.
    pub(crate) extra: &'static [&'static str],
    pub(crate) body: &'static str,
    /// From a browser that says where the request comes from, and from one that does not.
    pub(crate) expected: [&'static str; 2],
}

pub(crate) const LOOPBACK: &str = "127.0.0.1:{port}";
const LOCALHOST: &str = "localhost:{port}";
const PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const IMAGE: &str = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5";
const FORM: [&str; 3] = ["cross-site", "navigate", "document"];
const NO_CORS: [&str; 3] = ["cross-site", "no-cors", "empty"];
pub(crate) const CORS: [&str; 3] = ["cross-site", "cors", "empty"];
const EVIL: &str = "https://evil.example";

/// What the rest is made from: a page of another site that has its browser post.
pub(crate) const POST: Act = Act {
    name: "",
    line: "POST /v1/daemon/stop",
    host: LOOPBACK,
    origin: EVIL,
    fetch: NO_CORS,
    accept: "*/*",
    extra: &["Content-Type: text/plain;charset=UTF-8"],
    body: "{}",
    expected: ["403", "403"],
};

/// The same where it has it fetch something, for which no origin is given. An old browser says nothing at all of the page
/// then; the token is asked for, which no picture and no frame can send.
const GET: Act =
    Act { line: "GET /v1/daemon", origin: "", extra: &[], body: "", expected: ["403", "401"], ..POST };

const PREFLIGHT: Act = Act {
    line: "OPTIONS /v1/daemon/stop",
    fetch: CORS,
    extra: &[
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,content-type",
    ],
    body: "",
    ..POST
};

pub(crate) const SOCKET: &[&str] = &[
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
];

/// A row a line.
#[rustfmt::skip]
pub(crate) const ACTS: [Act; 41] = [
    // The page's own name has been made to mean 127.0.0.1, so to the browser all of this is same-origin.
    Act { name: "DNS rebinding, fetch", host: "evil.example:{port}", fetch: [""; 3], expected: ["403"; 2], ..GET },
    Act { name: "DNS rebinding, healthz", line: "GET /healthz", host: "evil.example:{port}", fetch: [""; 3], expected: ["403"; 2], ..GET },
    Act { name: "DNS rebinding, handshake", line: "POST /v1/handshake", host: "evil.example:{port}", origin: "http://evil.example:{port}", fetch: [""; 3], ..POST },
    Act { name: "DNS rebinding, stop", host: "evil.example:{port}", origin: "http://evil.example:{port}", fetch: [""; 3], ..POST },
    Act { name: "DNS rebinding to a name that begins like ours", host: "localhost.evil.example:{port}", fetch: [""; 3], expected: ["403"; 2], ..GET },
    Act { name: "DNS rebinding, WebSocket", line: "GET /v1/daemon/events", host: "evil.example:{port}", origin: "http://evil.example:{port}", fetch: [""; 3], extra: SOCKET, expected: ["403"; 2], ..GET },
    Act { name: "form, urlencoded", fetch: FORM, accept: PAGE, extra: &["Content-Type: application/x-www-form-urlencoded", "Upgrade-Insecure-Requests: 1"], body: "if_idle=false", ..POST },
    Act { name: "form, multipart", fetch: FORM, accept: PAGE, extra: &["Content-Type: multipart/form-data; boundary=----x", "Upgrade-Insecure-Requests: 1"], body: "------x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n------x--\r\n", ..POST },
    Act { name: "form, text/plain that is JSON", fetch: FORM, accept: PAGE, extra: &["Content-Type: text/plain", "Upgrade-Insecure-Requests: 1"], body: "{\"if_idle\":false,\"x\":\"=\"}\r\n", ..POST },
    Act { name: "form to the embedder", line: "POST /count", fetch: FORM, accept: PAGE, extra: &["Content-Type: text/plain"], body: "a=b\r\n", ..POST },
    // A form whose text is a request with the token: the body of a refused request is nobody's next request.
    Act { name: "form whose body is a request", fetch: FORM, accept: PAGE, extra: &["Content-Type: text/plain"], body: "POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n", ..POST },
    Act { name: "form, GET", line: "GET /v1/daemon/stop?if_idle=false", fetch: FORM, accept: PAGE, ..GET },
    Act { name: "form from a page without a referrer", origin: "null", fetch: FORM, accept: PAGE, extra: &["Content-Type: application/x-www-form-urlencoded"], ..POST },
    Act { name: "fetch, no-cors", ..POST },
    Act { name: "fetch, no-cors, embedder", line: "POST /count", ..POST },
    Act { name: "fetch, no-cors, handshake", line: "POST /v1/handshake", ..POST },
    Act { name: "fetch, cors without a preflight", line: "GET /v1/daemon", fetch: CORS, extra: &[], body: "", ..POST },
    Act { name: "fetch, credentials in the address", line: "GET /v1/daemon", fetch: CORS, extra: &["Cookie: token={token}"], body: "", ..POST },
    Act { name: "preflight of a stop", ..PREFLIGHT },
    Act { name: "preflight of a handshake", line: "OPTIONS /v1/handshake", ..PREFLIGHT },
    Act { name: "preflight to the embedder", line: "OPTIONS /echo", ..PREFLIGHT },
    Act { name: "private network preflight", extra: &["Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true"], ..PREFLIGHT },
    Act { name: "private network preflight, healthz", line: "OPTIONS /healthz", extra: &["Access-Control-Request-Method: GET", "Access-Control-Request-Private-Network: true"], ..PREFLIGHT },
    // No `Sec-Fetch-*` from most: `Origin` alone gives it away.
    Act { name: "WebSocket", line: "GET /v1/daemon/events", origin: EVIL, fetch: [""; 3], extra: SOCKET, expected: ["403"; 2], ..GET },
    Act { name: "WebSocket to the embedder", line: "GET /echo", origin: EVIL, fetch: ["cross-site", "websocket", "empty"], extra: SOCKET, expected: ["403"; 2], ..GET },
    Act { name: "EventSource", line: "GET /v1/daemon/events", origin: EVIL, fetch: CORS, accept: "text/event-stream", extra: &["Cache-Control: no-cache"], expected: ["403"; 2], ..GET },
    Act { name: "sendBeacon", ..POST },
    Act { name: "<img>", fetch: ["cross-site", "no-cors", "image"], accept: IMAGE, ..GET },
    Act { name: "<img> of a stop", line: "GET /v1/daemon/stop", fetch: ["cross-site", "no-cors", "image"], accept: IMAGE, ..GET },
    // An old browser is told `ok`: that something listens, which a page can find out by a connection as well.
    Act { name: "<img> of healthz", line: "GET /healthz", fetch: ["cross-site", "no-cors", "image"], accept: IMAGE, expected: ["403", "200"], ..GET },
    Act { name: "<script>", line: "GET /v1/daemon/events", fetch: ["cross-site", "no-cors", "script"], ..GET },
    Act { name: "<iframe>", fetch: ["cross-site", "navigate", "iframe"], accept: PAGE, ..GET },
    Act { name: "navigation by a link", fetch: FORM, accept: PAGE, extra: &["Upgrade-Insecure-Requests: 1"], ..GET },
    // Somebody types the address: no page is behind it, and without the token there is nothing to see.
    Act { name: "navigation by hand", fetch: ["none", "navigate", "document"], accept: PAGE, expected: ["401"; 2], ..GET },
    Act { name: "page on another port of localhost", host: LOCALHOST, origin: "http://localhost:3000", fetch: ["same-site", "no-cors", "empty"], ..POST },
    Act { name: "page on another port of 127.0.0.1", origin: "http://127.0.0.1:3000", fetch: ["same-site", "no-cors", "empty"], ..POST },
    Act { name: "page on another port, <img>", fetch: ["same-site", "no-cors", "image"], accept: IMAGE, ..GET },
    Act { name: "page on localhost's port 80", host: LOCALHOST, origin: "http://localhost", fetch: ["same-site", "cors", "empty"], ..POST },
    Act { name: "page of our port by https", origin: "https://127.0.0.1:{port}", fetch: CORS, ..POST },
    Act { name: "sandboxed frame", origin: "null", ..POST },
    Act { name: "page from a file", origin: "null", fetch: CORS, ..POST },
];
