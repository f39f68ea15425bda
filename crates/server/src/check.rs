//! Could a daemon start here, with this configuration? Asked before a good one is ended for it.

use std::io;
use std::net::{SocketAddr, TcpListener};

use aileron_discovery::{Advertisement, Reading, StateDir, preflight, probe_lock};

use crate::config::Config;
use crate::run::RunError;
use crate::serve::ServeError;

/// Checks everything that a start needs and that can be asked without being one: the configuration, the directory and its file
/// system, a runtime, the address. Creates nothing, takes no lock, and disturbs no daemon that runs.
///
/// A port that the directory's own daemon listens on is free for its successor, so any other is bound in its place. The log
/// needs no question of its own: what stands in its place makes way, if files can be created in the directory.
///
/// # Errors
///
/// What a start would fail with.
pub fn check(state_dir: &StateDir, config: &Config) -> Result<(), ServeError> {
    config.check().map_err(RunError::from)?;
    preflight(state_dir)?;
    // Closed at once: the address could be had a moment ago, and more cannot be known.
    drop(listen(state_dir, config.bind).map_err(|source| RunError::Bind { address: config.bind, source })?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|source| RunError::System { step: "start the runtime", source })?;
    Ok(())
}

fn listen(state_dir: &StateDir, address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_the_daemons(state_dir, address) => {
            TcpListener::bind(SocketAddr::new(address.ip(), 0))
        }
        bound => bound,
    }
}

fn is_the_daemons(state_dir: &StateDir, address: SocketAddr) -> bool {
    let recorded = match Advertisement::read(state_dir) {
        Ok(Reading::Present(record)) => record.url.address() == address,
        _ => false,
    };
    // A record that outlived its daemon vouches for nobody.
    recorded && probe_lock(state_dir).is_ok_and(|probe| probe.is_held())
}
