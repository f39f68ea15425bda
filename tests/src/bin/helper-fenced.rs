//! An embedder that writes to a receiver of its own, with the fencing token: at once, or after a gap in which it is a stale
//! writer that does not know it.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    fenced::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod fenced {
    use std::process::ExitCode;
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use aileron_discovery::Epoch;
    use aileron_server::{Context, Fenced};
    use aileron_tests::embedder::Embedder;
    use aileron_tests::{Receiver, Stale};
    use axum::Router;
    use axum::extract::Path;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::post;

    pub(super) fn main() -> ExitCode {
        let embedder = Embedder::parse(std::env::args().skip(1));
        let receiver = Receiver::at(embedder.count.as_deref().expect("--count names the receiver"));
        let kept = Arc::new(OnceLock::new());
        let keep = Arc::clone(&kept);
        let ended = embedder.serve(async move |context: Context| {
            keep.set(context.clone()).expect("a service is built once");
            Ok(Some(routes(context, receiver)))
        });
        match kept.get() {
            Some(context) if !is_refused(context) => ExitCode::from(3),
            _ => ended,
        }
    }

    /// Who asks for an epoch when the daemon has ended is told so, and does not wait for an answer that nobody will give.
    fn is_refused(context: &Context) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let seen = Epoch::try_from(1).expect("a small number");
        let asked = async { tokio::time::timeout(Duration::from_secs(5), context.renew_epoch(seen)).await };
        matches!(runtime.expect("a runtime").block_on(asked), Ok(Err(_)))
    }

    fn routes(context: Context, receiver: Receiver) -> Router {
        let (stale_context, stale_receiver) = (context.clone(), receiver.clone());
        Router::new()
            .route("/write/{text}", post(async move |Path(text)| write(&context, &receiver, text).await))
            .route(
                "/write-after/{ms}/{text}",
                post(async move |Path((ms, text))| {
                    write_late(&stale_context, &stale_receiver, ms, text).await
                }),
            )
    }

    /// As an embedder should: ask, write, and where the receiver has seen a later owner, ask to be later than that.
    async fn write(context: &Context, receiver: &Receiver, text: String) -> Result<Response, Fenced> {
        let token = context.fence()?;
        let Err(Stale { seen }) = receiver.write(token.get(), &text) else {
            return Ok("written".into_response());
        };
        let seen = Epoch::try_from(seen).expect("the receiver has seen epochs only");
        let renewed = context.renew_epoch(seen).await?;
        Ok(answer(receiver.write(renewed.get(), &format!("{text} (again)"))))
    }

    /// The gap that no check can close: the answer is old when it is acted upon.
    async fn write_late(
        context: &Context,
        receiver: &Receiver,
        ms: u64,
        text: String,
    ) -> Result<Response, Fenced> {
        let token = context.fence()?;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(answer(receiver.write(token.get(), &text)))
    }

    fn answer(written: Result<(), Stale>) -> Response {
        match written {
            Ok(()) => "written".into_response(),
            Err(Stale { seen }) => (StatusCode::CONFLICT, seen.to_string()).into_response(),
        }
    }
}
