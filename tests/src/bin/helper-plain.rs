//! An embedder that gives a service of its own instead of a router.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    plain::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod plain {
    use std::convert::Infallible;
    use std::process::ExitCode;
    use std::time::Duration;

    use aileron_server::Plain;
    use aileron_tests::embedder::Embedder;
    use bytes::Bytes;
    use http::{Request, Response, StatusCode};
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;

    pub(super) fn main() -> ExitCode {
        Embedder::parse(std::env::args().skip(1)).serve(async |_| {
            Ok(Some(Plain(service_fn(|request: Request<Incoming>| {
                assert!(request.uri().path() != "/panic-at-once", "before there is anything to wait for");
                answer(request)
            }))))
        })
    }

    async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let body = match request.uri().path() {
            "/echo" => request.into_body().collect().await.expect("a whole body").to_bytes(),
            // More than the buffers of a connection hold, in one piece.
            "/large" => Bytes::from(vec![b'x'; 64 << 20]),
            "/lasting" => {
                tokio::time::sleep(Duration::from_mins(1)).await;
                Bytes::from_static(b"done")
            }
            "/panic" => {
                tokio::task::yield_now().await;
                panic!("while it is waited for")
            }
            _ => {
                let mut response = Response::default();
                *response.status_mut() = StatusCode::NOT_FOUND;
                return Ok(response);
            }
        };
        Ok(Response::new(Full::new(body)))
    }
}
