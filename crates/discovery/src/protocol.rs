//! What `server` and `spawn` say to each other, who otherwise do not know each other: types and codecs only.

pub mod control;
pub mod handshake;
pub mod launch;

/// Version of the control protocol.
pub const PROTOCOL: u32 = 1;

/// Version of every JSON document.
pub const SCHEMA: u32 = 1;

/// How long a daemon that begins to leave keeps a connection open for whoever has just had it prove its instance there, at
/// least; a shorter drain ends it sooner. So a client that asks on the connection of the proof, within half of this time by
/// its own clock, is answered, even where the end was decided in between: by a displaced daemon with `identity_lost`.
/// Without it the client of an idle daemon could not tell a request that came too late from one that was carried out.
///
/// Half of it is what a client may be held up by a busy machine between two of its own steps.
pub const LEASE: std::time::Duration = std::time::Duration::from_millis(500);

/// The control routes.
pub mod route {
    /// `GET`, no token: `ok`, nothing else.
    pub const HEALTH: &str = "/healthz";
    /// `POST`, no token, fenced: proves the instance.
    pub const HANDSHAKE: &str = "/v1/handshake";
    /// `GET`: what the daemon says of itself.
    pub const DAEMON: &str = "/v1/daemon";
    /// `POST`: ask it to end.
    pub const STOP: &str = "/v1/daemon/stop";
    /// `GET`: server-sent lifecycle events.
    pub const EVENTS: &str = "/v1/daemon/events";
}
