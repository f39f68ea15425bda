//! Whom a call goes to: a proved daemon, or an address that the environment names.

use std::net::SocketAddr;

use aileron_discovery::{Advertisement, Endpoint, Reading, StateDir};

use crate::ensure::Ensured;
use crate::find::Found;

/// What a resolver comes back with; [`Found`] and [`Ensured`] are such.
#[derive(Debug)]
#[non_exhaustive]
pub enum Resolved {
    /// A daemon.
    Found(Found),
    /// An address that `PREFIX_API_URL` names. Nobody has looked at it.
    Explicit(String),
}

impl From<Found> for Resolved {
    fn from(found: Found) -> Self {
        Self::Found(found)
    }
}

impl From<Ensured> for Resolved {
    fn from(ensured: Ensured) -> Self {
        match ensured {
            Ensured::Explicit(url) => Self::Explicit(url),
            Ensured::Found(found) | Ensured::Started { daemon: found, .. } => Self::Found(found),
        }
    }
}

/// Why nothing may be sent to what was resolved.
#[derive(Debug)]
pub(crate) enum NoTarget {
    /// It proves nothing: a reference daemon.
    Unproved,
    /// An explicit address that is not of the form `http://ADDRESS:PORT`.
    Explicit(String),
}

/// Where a call goes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Whose proof gets the token. Without it, none is sent.
    pub(crate) record: Option<Box<Advertisement>>,
    /// Whether it goes there without a proof too: the user has named the address.
    pub(crate) is_explicit: bool,
}

impl Target {
    /// Nothing secret goes to an explicit address but where the record names the same one, and the proof succeeds.
    pub(crate) fn of(state_dir: &StateDir, resolved: Resolved) -> Result<Self, NoTarget> {
        let url = match resolved {
            Resolved::Found(found) if found.instance().is_none() => return Err(NoTarget::Unproved),
            Resolved::Found(found) => {
                let record = found.into_record();
                return Ok(Self { address: record.url.address(), record: Some(record), is_explicit: false });
            }
            Resolved::Explicit(url) => url,
        };
        let address = literal(&url).ok_or(NoTarget::Explicit(url))?;
        let record = match Advertisement::read(state_dir) {
            Ok(Reading::Present(record)) if record.instance.is_some() => Some(record),
            _ => None,
        };
        let named = Endpoint::new(address).ok();
        let record = record.filter(|record| Some(record.url) == named);
        Ok(Self { address, record, is_explicit: true })
    }
}

/// The address in a URL that has nothing but one: no name to look up, no path.
pub(crate) fn literal(url: &str) -> Option<SocketAddr> {
    let rest = url.strip_prefix("http://")?;
    rest.strip_suffix('/').unwrap_or(rest).parse().ok()
}
