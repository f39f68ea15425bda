//! What `server` and `spawn` say to each other, who otherwise do not know each other: types and codecs only.

pub mod control;
pub mod handshake;
pub mod launch;

/// Version of the control protocol.
pub const PROTOCOL: u32 = 1;

/// Version of every JSON document.
pub const SCHEMA: u32 = 1;

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
