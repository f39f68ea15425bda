//! One daemon, from the held lock to its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use aileron_discovery::process::{ProcessRecord, host_name};
use aileron_discovery::protocol::{PROTOCOL, SCHEMA};
use aileron_discovery::{
    Advertisement, Endpoint, InstanceId, OwnerLock, PublishError, SecretError, Token, failpoint,
};
use tokio::net::TcpListener;

use crate::api::Api;
use crate::config::{Config, ConfigError};
use crate::connections;
use crate::context::Context;
use crate::guard::OwnAddress;
use crate::keeper::{Keeper, Kept};
use crate::log::LogFile;
use crate::notify::Notifier;
use crate::reason::ShutdownReason;
use crate::routes::Routes;
use crate::shared::{Inbox, Message, Phase, Shared, SharedParts};
use crate::sys::Bell;

/// How long the keeper may take to publish: far more than it does, and less than a client waits.
const PUBLICATION: Duration = Duration::from_secs(5);

/// How many clients may have connected before the first is accepted. They come by the thousand when a build starts, and who
/// finds the queue full is not told: the kernel drops what it says, and says it again a second later (`tcp(7)`,
/// `tcp_abort_on_overflow`). The runtime asks for 128.
const BACKLOG: i32 = 4096;

/// Why an embedder's initialisation failed.
pub type AppError = Box<dyn std::error::Error + Send + Sync>;

/// Why a daemon could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No token and instance can be drawn.
    #[error("cannot make the daemon's secrets")]
    Secret(#[from] SecretError),
    /// A thread, a signal handler or the runtime cannot be had.
    #[error("cannot {step}")]
    System {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The embedder's own initialisation failed.
    #[error("cannot initialise the service")]
    App(#[source] AppError),
    /// The record cannot be published.
    #[error("cannot publish the record")]
    Publish(#[from] PublishError),
}

impl RunError {
    /// What to do where an address cannot be bound.
    pub fn bind_advice(address: SocketAddr, source: &io::Error) -> String {
        match source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "see what listens there (`ss -ltnp`), or name another port: 0 has a free one chosen (`--bind {}`)",
                SocketAddr::new(address.ip(), 0)
            ),
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 are for root: name another, or port 0 to have a free one chosen".to_owned()
            }
            _ => "name another address: port 0 of 127.0.0.1 has a free one chosen".to_owned(),
        }
    }
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: ShutdownReason,
    /// Whether it ever was ready; if not, whoever launched it should look again.
    pub was_ready: bool,
}

/// Serves until something ends the daemon, on the calling thread. `app` builds the embedder's routes once the lock is held
/// and the address bound; `None` serves the control routes alone. `ready` is told the published record.
///
/// The order: bind, the slow work of `app`, the record, `ready`. A loss or a signal in between ends the start.
///
/// # Errors
///
/// Why it could not serve. An end for a [`ShutdownReason`] is no error.
///
/// # Platform notes
///
/// Installs handlers for `SIGTERM`, `SIGINT` and `SIGHUP` (Unix), and may end the process itself: work that is still open
/// one second after the drain does not keep it.
pub fn run<A, F, R>(
    lock: OwnerLock,
    config: &Config,
    log: Option<LogFile>,
    app: A,
    ready: impl FnOnce(&Advertisement),
) -> Result<Ended, RunError>
where
    A: FnOnce(Context) -> F,
    F: Future<Output = Result<Option<R>, AppError>>,
    R: Routes,
{
    config.check()?;
    let notifier = Notifier::of(config);
    run_telling(lock, config, log, app, ready, notifier)
}

/// [`run`], with the way to a service manager.
pub(crate) fn run_telling<A, F, R>(
    lock: OwnerLock,
    config: &Config,
    log: Option<LogFile>,
    app: A,
    ready: impl FnOnce(&Advertisement),
    notifier: Notifier,
) -> Result<Ended, RunError>
where
    A: FnOnce(Context) -> F,
    F: Future<Output = Result<Option<R>, AppError>>,
    R: Routes,
{
    notifier.say_fault();
    let system = |step| move |source| RunError::System { step, source };
    let bell = Bell::new().map_err(system("make the keeper's bell"))?;
    let shared = Arc::new(Shared::new(SharedParts {
        state_dir: lock.state_dir().clone(),
        ownership: lock.ownership().clone(),
        token: Token::random()?,
        instance: InstanceId::random()?,
        options: config.to_options(),
        notifier,
        inbox: Arc::new(Inbox::new(bell)),
    }));
    if let Some(log) = &log {
        log.report_to(Arc::clone(&shared.inbox));
    }
    let keeper = Keeper::start(lock, Arc::clone(&shared), config, log).map_err(system("start the keeper"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let served = runtime.map_err(system("start the runtime")).and_then(|runtime| {
        let lived = std::panic::AssertUnwindSafe(|| runtime.block_on(live(&shared, config, app, ready)));
        let served =
            std::panic::catch_unwind(lived).unwrap_or_else(|panic| Err(RunError::App(what(&*panic).into())));
        // What is still open is dropped here, on the thread that owns it; the watchdog is for what cannot be.
        drop(runtime);
        served
    });
    conclude(&shared, keeper, served)
}

/// What a panic in the embedder's initialisation said.
fn what(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}

/// Lets the keeper finish, which frees the lock, and puts the two accounts together.
fn conclude(
    shared: &Shared,
    keeper: JoinHandle<Kept>,
    served: Result<bool, RunError>,
) -> Result<Ended, RunError> {
    shared.inbox.send(Message::RuntimeGone);
    let kept = keeper.join().expect("the keeper catches its own panics");
    match (kept, served) {
        (Kept::Ended(reason), Ok(was_ready)) => Ok(Ended { reason, was_ready }),
        // The service broke off, and this is why.
        (Kept::GivenUp | Kept::Ended(ShutdownReason::ServeError), Err(error)) => Err(error),
        // A start that failed because an end was decided meanwhile has that end as its reason.
        (Kept::Ended(reason), Err(_)) => Ok(Ended { reason, was_ready: false }),
        (Kept::GivenUp, Ok(_)) => unreachable!("a service that returns was told to by a decided end"),
    }
}

/// The runtime's side: returns whether it ever was ready.
async fn live<A, F, R>(
    shared: &Arc<Shared>,
    config: &Config,
    app: A,
    ready: impl FnOnce(&Advertisement),
) -> Result<bool, RunError>
where
    A: FnOnce(Context) -> F,
    F: Future<Output = Result<Option<R>, AppError>>,
    R: Routes,
{
    let bind = |source| RunError::Bind { address: config.bind, source };
    let listener = TcpListener::bind(config.bind).await.map_err(bind)?;
    crate::sys::widen_backlog(&listener, BACKLOG).map_err(bind)?;
    failpoint!("bound");
    let address = listener.local_addr().map_err(bind)?;
    let endpoint = Endpoint::new(address).map_err(|_| ConfigError::NotLoopback(address))?;
    shared.address.set(OwnAddress::new(address)).expect("a daemon binds once");

    let mut phase = shared.phase.subscribe();
    let app = tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return Ok(false),
        app = app(Context::new(Arc::clone(shared))) => app.map_err(RunError::App)?,
    };
    failpoint!("initialised");
    let record = publish(shared, record(shared, endpoint))?;
    failpoint!("before_ready");
    let (url, pid, held) = (endpoint, record.pid, shared.ownership.lock_id());
    tracing::info!(event = "ready", %url, pid, instance = %shared.instance, %held, "ready");
    ready(&record);
    shared.notifier.ready(&record);
    failpoint!("ready_said");

    let api = Api::new(Arc::clone(shared), app);
    let served = connections::serve(listener, api, Arc::clone(shared));
    tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase == Phase::Ended) => {}
        () = served => shared.inbox.send(Message::Drained),
        never = beat(shared) => match never {},
    }
    Ok(true)
}

/// Has the keeper tell the service manager that both threads are at work, for as long as this one is.
async fn beat(shared: &Shared) -> Infallible {
    let Some(pulse) = shared.notifier.pulse() else { return std::future::pending().await };
    loop {
        shared.inbox.send(Message::Pulse);
        tokio::time::sleep(pulse).await;
    }
}

fn record(shared: &Shared, url: Endpoint) -> Advertisement {
    let tool = shared.state_dir.tool();
    Advertisement {
        url,
        pid: std::process::id(),
        version: tool.version().to_owned(),
        started_at: shared.started_at.clone(),
        token: shared.token.clone(),
        schema: SCHEMA,
        protocol: PROTOCOL,
        instance: Some(shared.instance.clone()),
        name: tool.name().to_owned(),
        epoch: Some(shared.ownership.epoch()),
        process: Some(ProcessRecord::of_this_process()),
        host: host_name(),
    }
}

/// Has the keeper publish, and waits: nothing is served before. Returns the record as it was published.
fn publish(shared: &Shared, record: Advertisement) -> Result<Advertisement, RunError> {
    let (answer, published) = sync_channel(1);
    shared.inbox.send(Message::Publish(Box::new(record), answer));
    match published.recv_timeout(PUBLICATION) {
        Ok(published) => published.map_err(RunError::Publish),
        Err(_) => Err(RunError::System {
            step: "publish the record in time",
            source: io::Error::from(io::ErrorKind::TimedOut),
        }),
    }
}
