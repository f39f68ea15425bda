//! An embedder whose daemon keeps a journal, and its clients.
//!
//! `helper-client ask MANNER STATE JOURNAL METHOD PATH [BODY]` asks once. `helper-client work MANNER STATE JOURNAL NAME MS
//! IDLE` asks again and again for MS milliseconds, every second time a `POST`; with an IDLE above zero at the edge of that
//! idle time-out, else as fast as it can. Every call is a line on standard output. Anything else is the daemon.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    client::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod client {
    use std::convert::Infallible;
    use std::fs;
    use std::io::Write as _;
    use std::path::{Path as FilePath, PathBuf};
    use std::pin::Pin;
    use std::process::ExitCode;
    use std::sync::Arc;
    use std::task::{Context as TaskContext, Poll, ready};
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use aileron_server::{Context, Fenced};
    use aileron_tests::asker::{Asker, line_of};
    use aileron_tests::embedder::{Embedder, count_line};
    use axum::Router;
    use axum::body::Body;
    use axum::extract::{Path, State};
    use axum::routing::{any, get, post};
    use bytes::Bytes;
    use http_body::Frame;
    use tokio::time::{Interval, interval};

    pub(super) fn main() -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["ask", manner, state, journal, method, path, body @ ..] => {
                let asker = asker(manner, state, journal, 0);
                let answer = asker.ask(method, path, &body.concat());
                say(&line_of("-", method, &answer));
                if let Ok((_, body)) = answer {
                    say(&String::from_utf8_lossy(&body));
                }
            }
            ["work", manner, state, journal, name, millis, idle] => {
                let idle = idle.parse().expect("milliseconds");
                let work = Work { name, asker: asker(manner, state, journal, idle), idle };
                work.until(Duration::from_millis(millis.parse().expect("milliseconds")));
            }
            _ => return daemon(args),
        }
        ExitCode::SUCCESS
    }

    fn asker(manner: &str, state: &str, journal: &str, idle: u64) -> Asker {
        let program = std::env::current_exe().expect("this program");
        let idle = idle.to_string();
        let mut options = vec!["--count", journal];
        if idle != "0" {
            options.extend(["--idle", &idle]);
        }
        Asker::new(manner.parse().expect("a client"), &program, FilePath::new(state), &options)
    }

    fn say(line: &str) {
        writeln!(std::io::stdout(), "{line}").expect("the test reads");
    }

    struct Work<'a> {
        name: &'a str,
        asker: Asker,
        /// In milliseconds.
        idle: u64,
    }

    impl Work<'_> {
        fn until(&self, time: Duration) {
            let began = Instant::now();
            let mut number = 0_u64;
            while began.elapsed() < time {
                if self.idle > 0 {
                    std::thread::sleep(self.to_the_edge(number));
                }
                let tag = format!("{}-{number}", self.name);
                let (method, path, body) = if number.is_multiple_of(2) {
                    ("POST", "/add", tag.as_str())
                } else {
                    ("GET", "/count", "")
                };
                let outcome = self.asker.ask(method, path, body);
                say(&line_of(&tag, method, &outcome));
                number += 1;
            }
        }

        /// All clients call at about the same time, so that the gap between two such times is about the idle time-out.
        fn to_the_edge(&self, number: u64) -> Duration {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
            let now = u64::try_from(now.as_micros()).expect("this century");
            let idle = 1000 * self.idle;
            // SplitMix64's multiplier: the low bits of a clock and a number, spread.
            let luck = (now ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let period = idle + 3 * idle / 10;
            Duration::from_micros(period - now % period + luck % (idle / 2))
        }
    }

    fn daemon(args: Vec<String>) -> ExitCode {
        let embedder = Embedder::parse(args);
        let journal = embedder.count.clone();
        embedder.serve(async move |context| {
            let journal = journal.unwrap_or_else(|| PathBuf::from("/dev/null"));
            count_line(&journal.with_extension("launches"), &std::process::id().to_string());
            Ok(Some(routes(Service { context, journal: Arc::new(journal) })))
        })
    }

    #[derive(Clone)]
    struct Service {
        context: Context,
        journal: Arc<PathBuf>,
    }

    fn routes(service: Service) -> Router {
        let slow = async |Path(ms): Path<u64>| {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            "done"
        };
        Router::new()
            .route("/add", post(add))
            .route("/late/{ms}", post(late))
            .route("/count", get(async || std::process::id().to_string()))
            .route("/hang-once/{tag}", any(hang_once))
            .route("/slow/{ms}", any(slow))
            .route("/large/{bytes}", get(async |Path(bytes): Path<usize>| "x".repeat(bytes)))
            .route("/ticks/{count}", get(ticks))
            .route("/unavailable", any(unavailable))
            .with_state(service)
    }

    async fn add(State(service): State<Service>, tag: String) -> Result<String, Fenced> {
        service.context.fence()?;
        count_line(&service.journal, &tag);
        Ok(std::process::id().to_string())
    }

    /// Asks whether it is still the daemon once more, after some time.
    async fn late(
        State(service): State<Service>,
        Path(ms): Path<u64>,
        tag: String,
    ) -> Result<String, Fenced> {
        count_line(&service.journal.with_extension("begun"), &tag);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        add(State(service), tag).await
    }

    /// Does what it is asked and says nothing for a minute; the second time it answers.
    async fn hang_once(State(service): State<Service>, Path(tag): Path<String>) -> &'static str {
        let journal = fs::read_to_string(&*service.journal).unwrap_or_default();
        let is_first = !journal.lines().any(|line| line == tag);
        count_line(&service.journal, &tag);
        if is_first {
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        "done"
    }

    /// A problem of the embedder's own: an answer, and no reason to ask anybody else.
    async fn unavailable(State(service): State<Service>) -> axum::http::Response<Body> {
        count_line(&service.journal, "unavailable");
        let problem = r#"{"status":503,"code":"database_down","title":"come back later"}"#;
        axum::http::Response::builder()
            .status(503)
            .header("content-type", "application/problem+json")
            .body(Body::from(problem))
            .expect("a response")
    }

    /// So many pieces, one every 10 ms; then nothing, and no end.
    async fn ticks(Path(count): Path<u32>) -> Body {
        Body::new(Ticks { every: interval(Duration::from_millis(10)), left: count })
    }

    struct Ticks {
        every: Interval,
        left: u32,
    }

    impl http_body::Body for Ticks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut TaskContext<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Pending;
            }
            ready!(self.every.poll_tick(cx));
            self.left -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"tick\n")))))
        }
    }
}
