//! Requests, to the byte.

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    /// Where it is from.
    pub(crate) origin: &'static str,
    pub(crate) bytes: &'static [u8],
    /// The status of each answer on the connection.
    pub(crate) expected: &'static str,
}

/// A whole stop with the token, where it must be nobody's request: whoever reads it as one has been tricked.
macro_rules! smuggled {
    () => {
        "POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    };
}

/// Its length once port (5 digits) and token (64) are filled in does not matter where the framing is refused.
macro_rules! attempt {
    ($name:literal, $origin:literal, $expected:literal, $($part:expr),+ $(,)?) => {
        Attempt { name: $name, origin: $origin, bytes: concat!($($part),+).as_bytes(), expected: $expected }
    };
}

macro_rules! own {
    () => {
        "Host: 127.0.0.1:{port}\r\n"
    };
}

macro_rules! token {
    () => {
        "Authorization: Bearer {token}\r\n"
    };
}

/// A row a line. An answer of 400 is hyper's own and has no body.
#[rustfmt::skip]
pub(crate) const ATTEMPTS: &[Attempt] = &[
    // Two lengths. The stop behind is whatever the other reading leaves over.
    attempt!("CL.TE", "RFC 9112, 6.1; CWE-444", "401", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("CL.TE, with the token", "RFC 9112, 6.1; CWE-444", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), token!(), "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", smuggled!()),
    attempt!("TE.CL", "RFC 9112, 6.1; CWE-444", "401", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n", smuggled!()),
    attempt!("TE.TE, two headers", "CWE-444", "400", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("TE: xchunked", "CWE-444", "400", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("TE: identity", "RFC 9112, 7", "400", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", smuggled!()),
    attempt!("TE: chunked, gzip", "RFC 9112, 6.1", "400", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("TE with a space before the colon", "RFC 9112, 5.1", "400", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("TE after a vertical tab", "CWE-444", "400", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("TE folded", "RFC 9112, 5.2", "400", "POST /count HTTP/1.1\r\n", own!(), "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("TE in HTTP/1.0", "RFC 9112, 6.1", "400", "POST /count HTTP/1.0\r\n", own!(), "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", smuggled!()),
    attempt!("two lengths that differ", "RFC 9112, 6.3", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 0\r\nContent-Length: 9\r\n\r\n", smuggled!()),
    attempt!("a list of lengths", "RFC 9112, 6.3", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 0, 0\r\n\r\n", smuggled!()),
    attempt!("a length with a plus", "RFC 9110, 8.6", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: +0\r\n\r\n", smuggled!()),
    attempt!("a length with a minus", "RFC 9110, 8.6", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: -1\r\n\r\n", smuggled!()),
    attempt!("a length in hex", "RFC 9110, 8.6", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 0x0\r\n\r\n", smuggled!()),
    attempt!("a length with a space in it", "RFC 9110, 8.6", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 0 0\r\n\r\n", smuggled!()),
    attempt!("an empty length", "RFC 9110, 8.6", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: \r\n\r\n", smuggled!()),
    attempt!("a length beyond 64 bits", "RFC 9110, 8.6", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 18446744073709551616\r\n\r\n", smuggled!()),
    attempt!("the largest length there is", "RFC 9110, 8.6", "431", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 18446744073709551615\r\n\r\n", smuggled!()),
    attempt!("a length with a space before the colon", "RFC 9112, 5.1", "400", "POST /count HTTP/1.1\r\n", own!(), "Content-Length : 0\r\n\r\n", smuggled!()),
    attempt!("a chunk size that is none", "RFC 9112, 7.1", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Transfer-Encoding: chunked\r\n\r\nzz\r\n", smuggled!()),
    attempt!("a chunk size beyond 64 bits", "RFC 9112, 7.1", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", smuggled!()),
    attempt!("a chunk with a bare LF in its extension", "RFC 9112, 7.1.1; CVE-2025-22871", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Transfer-Encoding: chunked\r\n\r\n2;x\n{}\r\n0\r\n\r\n"),
    // The body is an honest one in chunks, and no challenge.
    attempt!("a chunk with an extension", "RFC 9112, 7.1.1", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\n{}\r\n0\r\n\r\n"),
    attempt!("a trailer with a token", "RFC 9110, 6.5", "401", "POST /count HTTP/1.1\r\n", own!(), "Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\n", token!(), "\r\n"),
    // Lines.
    attempt!("bare LF for CRLF, no token", "RFC 9112, 2.2", "401", "POST /v1/daemon/stop HTTP/1.1\nHost: 127.0.0.1:{port}\n\n"),
    attempt!("bare CR in a value", "RFC 9112, 2.2", "400", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "X: a\rb\r\n\r\n"),
    attempt!("obs-fold", "RFC 9112, 5.2", "400", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), "X: a\r\n b\r\n", token!(), "\r\n"),
    attempt!("a folded first header", "RFC 9112, 2.2", "400", "POST /v1/daemon/stop HTTP/1.1\r\n Host: 127.0.0.1:{port}\r\n", token!(), "\r\n"),
    attempt!("NUL in a value", "RFC 9110, 5.5", "400", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "X: a\0b\r\n\r\n"),
    attempt!("NUL in a name", "RFC 9110, 5.1", "400", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "X\0: a\r\n\r\n"),
    attempt!("a header without a name", "RFC 9110, 5.1", "400", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), ": a\r\n\r\n"),
    attempt!("a header without a colon", "RFC 9112, 5", "400", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "nothing\r\n\r\n"),
    Attempt { name: "a name that is no UTF-8", origin: "RFC 9110, 5.1", bytes: b"POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX\xff: a\r\n\r\n", expected: "400" },
    Attempt { name: "a value that is no UTF-8", origin: "RFC 9110, 5.5", bytes: b"POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: \xff\xfe\r\nConnection: close\r\n\r\n", expected: "401" },
    Attempt { name: "a token that is no UTF-8", origin: "RFC 9110, 5.5", bytes: b"POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer \xff\xfe{token}\r\n\r\n", expected: "401" },
    Attempt { name: "a Host that is no UTF-8", origin: "RFC 9112, 3.2", bytes: b"POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\xff\r\n\r\n", expected: "403" },
    Attempt { name: "a path that is no UTF-8", origin: "RFC 3986, 2", bytes: b"POST /v1/daemon/stop\xff HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n", expected: "400" },
    attempt!("a NUL in the path", "RFC 3986, 2", "400", "POST /v1/daemon/stop\0 HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("a space in the path", "RFC 9112, 3.2", "400", "POST /v1/daemon/stop x HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    // Who is asked.
    attempt!("no Host", "RFC 9112, 3.2", "403", "POST /v1/daemon/stop HTTP/1.1\r\n", token!(), "\r\n"),
    attempt!("an empty Host", "RFC 9112, 3.2", "403", "POST /v1/daemon/stop HTTP/1.1\r\nHost:\r\n", token!(), "\r\n"),
    attempt!("Host twice, a foreign one last", "RFC 9112, 3.2", "403", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), "Host: evil.example\r\n", token!(), "\r\n"),
    attempt!("Host twice, a foreign one first", "RFC 9112, 3.2", "403", "POST /v1/daemon/stop HTTP/1.1\r\nHost: evil.example\r\n", own!(), token!(), "\r\n"),
    attempt!("Host twice, the same", "RFC 9112, 3.2", "403", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), own!(), token!(), "\r\n"),
    attempt!("X-Forwarded-Host", "CWE-348", "403", "POST /v1/daemon/stop HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: 127.0.0.1:{port}\r\n", token!(), "\r\n"),
    attempt!("a token in a cookie and an address", "CWE-598", "401", "POST /v1/daemon/stop?token={token}&access_token={token} HTTP/1.1\r\n", own!(), "Cookie: token={token}\r\n\r\n"),
    attempt!("a token twice", "CWE-444", "401", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), token!(), "\r\n"),
    attempt!("a token and a wrong one", "CWE-444", "401", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "Authorization: Bearer 0\r\n\r\n"),
    attempt!("X-HTTP-Method-Override", "CWE-650", "405", "GET /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "X-HTTP-Method-Override: POST\r\n\r\n"),
    // What is asked for.
    attempt!("absolute form, foreign", "RFC 9112, 3.2.2", "403", "POST http://evil.example/v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("absolute form, foreign port", "RFC 9112, 3.2.2", "403", "POST http://127.0.0.1:1/v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("absolute form, ours behind a user", "RFC 9110, 4.2.4", "403", "POST http://user@127.0.0.1:{port}/v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("absolute form, ours as a user", "RFC 9110, 4.2.4", "403", "POST http://127.0.0.1:{port}@evil.example/v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("absolute form, ours, no token", "RFC 9112, 3.2.2", "401", "POST http://127.0.0.1:{port}/v1/daemon/stop HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("absolute form, ours, Host foreign", "RFC 9112, 3.2.2", "403", "POST http://127.0.0.1:{port}/v1/daemon/stop HTTP/1.1\r\nHost: evil.example\r\n", token!(), "\r\n"),
    attempt!("absolute form, a file", "RFC 3986", "400", "GET file:///etc/passwd HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("CONNECT to elsewhere", "RFC 9112, 3.2.3", "403", "CONNECT evil.example:443 HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("CONNECT to us", "RFC 9112, 3.2.3", "404", "CONNECT 127.0.0.1:{port} HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("asterisk form", "RFC 9112, 3.2.4", "404", "OPTIONS * HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("asterisk form, no token", "RFC 9112, 3.2.4", "401", "OPTIONS * HTTP/1.1\r\n", own!(), "\r\n"),
    // Another protocol.
    attempt!("HTTP/0.9", "RFC 1945, 4.1", "400", "GET /v1/daemon\r\n\r\n"),
    attempt!("HTTP/1.0 without Host", "RFC 9112, 3.2", "403", "POST /v1/daemon/stop HTTP/1.0\r\n", token!(), "\r\n"),
    attempt!("HTTP/1.0 without a token", "RFC 1945", "401", "POST /v1/daemon/stop HTTP/1.0\r\n", own!(), "\r\n"),
    attempt!("HTTP/1.2", "RFC 9112, 2.3", "400", "POST /v1/daemon/stop HTTP/1.2\r\n", own!(), token!(), "\r\n"),
    attempt!("HTTP/9.9", "RFC 9112, 2.3", "400", "POST /v1/daemon/stop HTTP/9.9\r\n", own!(), token!(), "\r\n"),
    attempt!("http/1.1", "RFC 9112, 2.3", "400", "POST /v1/daemon/stop http/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("HTTP/2 preface", "RFC 9113, 3.4", "closed", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    attempt!("Upgrade: h2c", "RFC 7540, 3.2", "401", "GET /v1/daemon HTTP/1.1\r\n", own!(), "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"),
    Attempt { name: "a TLS hello", origin: "RFC 8446, 4.1.2", bytes: b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x00\x01\x02\x03\x04\x05\r\n\r\n", expected: "400" },
    attempt!("an SSH greeting", "RFC 4253, 4.2", "400", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    attempt!("a Redis command", "CWE-918", "400", "*1\r\n$8\r\nFLUSHALL\r\n\r\n"),
    attempt!("RTSP", "RFC 7826", "400", "POST /v1/daemon/stop RTSP/1.0\r\n", own!(), token!(), "\r\n"),
    attempt!("Expect: 100-continue without a token", "RFC 9110, 10.1.1", "401", "POST /count HTTP/1.1\r\n", own!(), "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"),
    attempt!("Expect: something else", "RFC 9110, 10.1.1", "401", "POST /count HTTP/1.1\r\n", own!(), "Expect: the-unexpected\r\nContent-Length: 0\r\n\r\n"),
    // Methods.
    attempt!("TRACE", "RFC 9110, 9.3.8; CWE-693", "405", "TRACE /v1/daemon HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("HEAD of a stop", "RFC 9110, 9.3.2", "405", "HEAD /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("post in small letters", "RFC 9110, 9.1", "405", "post /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("a method of nobody's", "RFC 9110, 9.1", "405", "STOP /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("a method that is no token", "RFC 9110, 9.1", "400", "PO(ST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("a space before the method", "RFC 9112, 3", "400", " POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    // Paths that somebody may take for `/healthz`, which asks for no token, or for a stop, which is not fenced.
    attempt!("//healthz", "RFC 3986, 6.2", "401", "GET //healthz HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/healthz/../v1/daemon", "RFC 3986, 5.2.4", "401", "GET /healthz/../v1/daemon HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/healthz/../v1/daemon/stop", "RFC 3986, 5.2.4", "401", "POST /healthz/../v1/daemon/stop HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/healthz%2f..%2fv1%2fdaemon", "CWE-22", "401", "GET /healthz%2f..%2fv1%2fdaemon HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/healthz;/v1/daemon", "CWE-22", "401", "GET /healthz;/v1/daemon HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/healthz?/v1/daemon/stop", "CWE-22", "405", "POST /healthz?/v1/daemon/stop HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/healthz#/v1/daemon/stop", "RFC 9112, 3.2", "405", "POST /healthz#/v1/daemon/stop HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/HEALTHZ", "RFC 3986, 6.2", "401", "GET /HEALTHZ HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("/v1/handshake/", "CWE-22", "401", "POST /v1/handshake/ HTTP/1.1\r\n", own!(), "\r\n"),
    attempt!("//v1/daemon/stop", "RFC 3986, 6.2", "404", "POST //v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("//evil.example/v1/daemon/stop", "RFC 3986, 4.2", "404", "POST //evil.example/v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("/v1/./daemon/stop", "RFC 3986, 5.2.4", "404", "POST /v1/./daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("/v1/x/../daemon/stop", "RFC 3986, 5.2.4", "404", "POST /v1/x/../daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("/v1/%2e/daemon/stop", "RFC 3986, 6.2.2", "404", "POST /v1/%2e/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("/v1/daemon%2fstop", "CWE-22", "404", "POST /v1/daemon%2fstop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("/v1/daemon/%73top", "RFC 3986, 6.2.2", "404", "POST /v1/daemon/%73top HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("/v1/daemon/stop;x", "CWE-22", "404", "POST /v1/daemon/stop;x HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("/v1/daemon/stop/", "CWE-22", "404", "POST /v1/daemon/stop/ HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("\\v1\\daemon\\stop", "CWE-22", "400", "POST \\v1\\daemon\\stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("an empty path", "RFC 9112, 3.2", "400", "POST  HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    attempt!("a relative path", "RFC 9112, 3.2", "400", "POST v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "\r\n"),
    // Pipelining: each is judged by its own head, whatever came before it on the connection.
    attempt!("a stop behind a refused request", "RFC 9112, 9.3.2", "401 401", "POST /echo HTTP/1.1\r\n", own!(), "Content-Length: 0\r\n\r\nPOST /v1/daemon/stop HTTP/1.1\r\n", own!(), "Content-Length: 0\r\n\r\n"),
    attempt!("a stop without a token behind a request with it", "RFC 9112, 9.3.2", "200 401", "GET /v1/daemon HTTP/1.1\r\n", own!(), token!(), "\r\nPOST /v1/daemon/stop HTTP/1.1\r\n", own!(), "Content-Length: 0\r\n\r\n"),
    attempt!("a stop of another Host behind a request of ours", "RFC 9112, 9.3.2", "200 403", "GET /v1/daemon HTTP/1.1\r\n", own!(), token!(), "\r\nPOST /v1/daemon/stop HTTP/1.1\r\nHost: evil.example\r\n", token!(), "Content-Length: 0\r\n\r\n"),
    attempt!("a stop behind a proved handshake", "RFC 9112, 9.3.2", "200 401", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Content-Length: 76\r\n\r\n{\"nonce\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), "Content-Length: 0\r\n\r\n"),
    attempt!("a stop behind ten pictures", "RFC 9112, 9.3.2", "200 200 200 403", "GET /healthz HTTP/1.1\r\n", own!(), "\r\nGET /healthz HTTP/1.1\r\n", own!(), "\r\nGET /healthz HTTP/1.1\r\n", own!(), "\r\nPOST /v1/daemon/stop HTTP/1.1\r\n", own!(), "Origin: http://evil.example\r\n", token!(), "Content-Length: 0\r\n\r\n"),
    attempt!("a stop behind a request that closes", "RFC 9112, 9.6", "200", "GET /healthz HTTP/1.1\r\n", own!(), "Connection: close\r\n\r\n", smuggled!()),
    attempt!("a stop in the body of a refused request", "CWE-444", "401", "POST /count HTTP/1.1\r\n", own!(), "Content-Length: 100000\r\n\r\n", smuggled!()),
    // Bodies of control requests.
    attempt!("a handshake that is no JSON", "failure 25", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Content-Length: 4\r\n\r\nnone"),
    attempt!("a handshake with a short nonce", "failure 25", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Content-Length: 14\r\n\r\n{\"nonce\":\"00\"}"),
    attempt!("a handshake nested deeply", "CWE-674", "400", "POST /v1/handshake HTTP/1.1\r\n", own!(), "Content-Length: 20\r\n\r\n[[[[[[[[[[[[[[[[[[[["),
    attempt!("a stop with a lie for a wish", "failure 25", "400", "POST /v1/daemon/stop HTTP/1.1\r\n", own!(), token!(), "Content-Length: 15\r\n\r\n{\"if_idle\":\"x\"}"),
];

/// A request whose sender goes in the middle of its body.
pub(crate) const CUT_SHORT: &[u8] =
    b"POST /v1/daemon/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Length: 15\r\n\r\n{\"if_";

/// What is too large to be written down.
pub(crate) fn large() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let own = "Host: 127.0.0.1:{port}\r\n";
    let token = "Authorization: Bearer {token}\r\n";
    let text = |text: String| text.into_bytes();
    let many = "X: a\r\n".repeat(200);
    let a = |count| "a".repeat(count);
    vec![
        ("a path of 70 kB", text(format!("GET /{} HTTP/1.1\r\n{own}{token}\r\n", a(70_000))), "414"),
        ("a path of 1 MB", text(format!("GET /{} HTTP/1.1\r\n{own}{token}\r\n", a(1 << 20))), "431"),
        ("a method of 1 MB", text(format!("{} / HTTP/1.1\r\n{own}{token}\r\n", a(1 << 20))), "431"),
        (
            "a header of 1 MB",
            text(format!("GET /echo HTTP/1.1\r\n{own}{token}X: {}\r\n\r\n", a(1 << 20))),
            "431",
        ),
        ("200 headers", text(format!("GET /echo HTTP/1.1\r\n{own}{token}{many}\r\n")), "431"),
        ("a head without an end", text("X: a\r\n".repeat(200_000)), "400"),
        (
            "a declared body of 1 TB",
            text(format!("POST /count HTTP/1.1\r\n{own}Content-Length: 1099511627776\r\n\r\n")),
            "401",
        ),
        (
            "a body of 4 MB without a token",
            text(format!("POST /count HTTP/1.1\r\n{own}Content-Length: 4194304\r\n\r\n{}", a(4 << 20))),
            "401",
        ),
        (
            "a handshake of 1 MB",
            text(format!(
                "POST /v1/handshake HTTP/1.1\r\n{own}Content-Length: 1048576\r\n\r\n{}",
                a(1 << 20)
            )),
            "413",
        ),
        (
            "a stop of 1 MB",
            text(format!(
                "POST /v1/daemon/stop HTTP/1.1\r\n{own}{token}Content-Length: 1048576\r\n\r\n{}",
                a(1 << 20)
            )),
            "413",
        ),
        (
            "a handshake of 20,000 brackets",
            text(format!(
                "POST /v1/handshake HTTP/1.1\r\n{own}Content-Length: 16000\r\n\r\n{}",
                "[".repeat(16_000)
            )),
            "400",
        ),
        (
            "chunks without an end",
            text(format!(
                "POST /v1/handshake HTTP/1.1\r\n{own}Transfer-Encoding: chunked\r\n\r\n{}",
                "1\r\na\r\n".repeat(100_000)
            )),
            "413",
        ),
    ]
}
