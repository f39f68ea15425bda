//! An embedder with routes that a daemon has to survive: they count, block, hang, stream, panic, and talk.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    service::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod service {
    use std::convert::Infallible;
    use std::path::PathBuf;
    use std::pin::Pin;
    use std::process::ExitCode;
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    use aileron_server::Context;
    use aileron_tests::embedder::{Embedder, count_line, count_one};
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Path;
    use axum::routing::{any, get, post};
    use bytes::Bytes;
    use http_body::Frame;
    use tokio::sync::Notify;

    pub(super) fn main() -> ExitCode {
        let embedder = Embedder::parse(std::env::args().skip(1));
        let (count, init) = (embedder.count.clone(), embedder.init);
        embedder.serve(async move |context| {
            tokio::time::sleep(init).await;
            Ok(Some(routes(&context, count)))
        })
    }

    fn routes(context: &Context, count: Option<PathBuf>) -> Router {
        let (end_it, hurt_it) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (ended, hurt) = (Arc::clone(&end_it), Arc::clone(&hurt_it));
        context.spawn_vital("heart", async move { ended.notified().await });
        context.spawn_vital("liver", async move {
            hurt.notified().await;
            panic!("this vital task panics")
        });
        // A body is the request's own tag, and is noted as a line.
        let counted = async move |tag: String| {
            match &count {
                Some(file) if tag.is_empty() => count_one(file),
                Some(file) => count_line(file, &tag),
                None => {}
            }
            "counted"
        };
        Router::new()
            .route("/count", post(counted))
            .route("/echo", any(async |body: String| body))
            .route("/hang/{ms}", get(hang))
            .route("/block/{ms}", get(block))
            .route("/stream", get(async || Body::new(Endless)))
            .route("/spawn-blocking/{ms}", get(spawn_blocking))
            .route("/panic", get(panicking))
            .route("/panic/{ms}", get(panicking_after))
            .route("/say/{from}/{lines}", get(say))
            .route("/child", get(child))
            .route("/fork", get(fork))
            .route("/child-signals", get(child_signals))
            .route("/environment", get(environment))
            .route("/vital-after/{ms}", post(async move |path: Path<u64>| notify_after(path, &end_it).await))
            .route("/vital-panic/{ms}", post(async move |path: Path<u64>| notify_after(path, &hurt_it).await))
    }

    async fn hang(Path(ms): Path<u64>) -> &'static str {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        "done"
    }

    /// Has a vital task end, after some time.
    async fn notify_after(Path(ms): Path<u64>, task: &Notify) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        task.notify_one();
    }

    /// What a careless handler does to the whole runtime.
    async fn block(Path(ms): Path<u64>) -> &'static str {
        std::thread::sleep(Duration::from_millis(ms));
        "done"
    }

    /// The same where the runtime keeps threads for it, which its end waits for.
    async fn spawn_blocking(Path(ms): Path<u64>) -> &'static str {
        let blocked = tokio::task::spawn_blocking(move || std::thread::sleep(Duration::from_millis(ms)));
        blocked.await.expect("it only sleeps");
        "done"
    }

    async fn panicking() -> &'static str {
        panic!("this handler panics")
    }

    async fn panicking_after(Path(ms): Path<u64>) -> &'static str {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        panic!("this handler panics late")
    }

    /// The descriptors of a child.
    async fn child() -> String {
        let output = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output();
        String::from_utf8_lossy(&output.expect("ls(1) is there").stdout).into_owned()
    }

    /// A child that does not get to its `exec`. It does nothing but wait, for it has one thread of its parent's.
    async fn fork() -> String {
        let before = std::process::id();
        if aileron_tests::pause::fork().expect("fork(2)") {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        let path = format!("/proc/{before}/task/{before}/children");
        let children = std::fs::read_to_string(path).expect("the children of a thread");
        children.split_ascii_whitespace().last().expect("the one that was just made").to_owned()
    }

    /// What a child is told about signals.
    async fn child_signals() -> String {
        let output = std::process::Command::new("cat").arg("/proc/self/status").output();
        String::from_utf8_lossy(&output.expect("cat(1) is there").stdout).into_owned()
    }

    /// The environment of a child.
    async fn environment() -> String {
        let output = std::process::Command::new("env").output();
        String::from_utf8_lossy(&output.expect("env(1) is there").stdout).into_owned()
    }

    /// Lines of about 200 bytes.
    async fn say(Path((from, lines)): Path<(u32, u32)>) -> &'static str {
        let filler = "x".repeat(80);
        for line in from..from + lines {
            tracing::info!(event = "said", line, filler, "said");
            tokio::task::yield_now().await;
        }
        "said"
    }

    /// A body that goes on for as long as somebody reads.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])))))
        }
    }
}
