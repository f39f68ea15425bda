//! The client handshake: a stale record's port may be anybody's, so the daemon proves its instance before it is told the
//! token.
//!
//! The client draws a nonce and sends it. The daemon answers with its instance, its state and
//! HMAC-SHA-256 (RFC 2104) keyed by the token over label, nonce, instance, state and address. Who does not have the token
//! cannot make it; who replays an old one has the wrong nonce; who relays to another daemon has the wrong address.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::control::DaemonState;
use crate::secret::{from_hex, to_hex};
use crate::{Advertisement, InstanceId, Nonce, Token};

const LABEL: &[u8] = b"aileron handshake 1";

/// What the client sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// Fresh for each handshake.
    pub nonce: Nonce,
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proof {
    /// Its instance.
    pub instance: InstanceId,
    /// What it is doing.
    pub state: DaemonState,
    /// The MAC, 64 hexadecimal digits.
    pub mac: String,
}

/// Why a proof is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotProved {
    /// Another instance than the record names.
    #[error("it is another instance than the record names")]
    OtherInstance,
    /// The MAC is wrong: it does not have the token.
    #[error("it does not know the record's token")]
    WrongMac,
}

impl Proof {
    /// The daemon's answer.
    pub fn new(
        token: &Token,
        challenge: &Challenge,
        instance: &InstanceId,
        state: DaemonState,
        address: SocketAddr,
    ) -> Self {
        let mac = keyed(token, &challenge.nonce, instance, state, address).finalize().into_bytes();
        Self { instance: instance.clone(), state, mac: to_hex(&mac) }
    }

    /// The client's check, in constant time where it matters.
    ///
    /// # Errors
    ///
    /// Why whoever answered is not the daemon that wrote `record`.
    pub fn check(&self, record: &Advertisement, challenge: &Challenge) -> Result<(), NotProved> {
        if record.instance.as_ref() != Some(&self.instance) {
            return Err(NotProved::OtherInstance);
        }
        let given: [u8; 32] = from_hex(&self.mac).map_err(|_| NotProved::WrongMac)?;
        keyed(&record.token, &challenge.nonce, &self.instance, self.state, record.url.address())
            .verify_slice(&given)
            .map_err(|_| NotProved::WrongMac)
    }
}

fn keyed(
    token: &Token,
    nonce: &Nonce,
    instance: &InstanceId,
    state: DaemonState,
    address: SocketAddr,
) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()).expect("HMAC takes a key of any length");
    let address = address.to_string();
    // Each part behind its length, so that no two sets of parts give the same bytes.
    for part in
        [LABEL, nonce.bytes(), instance.as_str().as_bytes(), state.as_str().as_bytes(), address.as_bytes()]
    {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reading;

    fn record(token: &Token) -> Advertisement {
        let text = format!(
            r#"{{"url":"http://127.0.0.1:4711","pid":1,"version":"1","started_at":"","token":"{}","instance":"i"}}"#,
            token.expose()
        );
        match Advertisement::parse(text.as_bytes()) {
            Reading::Present(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_the_token_the_nonce_the_instance_the_state_and_the_address_together_prove() {
        let token = Token::random().unwrap();
        let record = record(&token);
        let challenge = Challenge { nonce: Nonce::random().unwrap() };
        let instance = InstanceId::from_text("i");
        let address = record.url.address();
        let good = Proof::new(&token, &challenge, &instance, DaemonState::Ready, address);
        assert_eq!(good.check(&record, &challenge), Ok(()));

        let other_token =
            Proof::new(&Token::random().unwrap(), &challenge, &instance, DaemonState::Ready, address);
        let other_address =
            Proof::new(&token, &challenge, &instance, DaemonState::Ready, ([127, 0, 0, 1], 1).into());
        let other_state = Proof { state: DaemonState::Draining, ..good.clone() };
        let no_hex = Proof { mac: "x".repeat(64), ..good.clone() };
        for bad in [other_token, other_address, other_state, no_hex] {
            assert_eq!(bad.check(&record, &challenge), Err(NotProved::WrongMac));
        }
        assert_eq!(
            good.check(&record, &Challenge { nonce: Nonce::random().unwrap() }),
            Err(NotProved::WrongMac)
        );
        let stranger =
            Proof::new(&token, &challenge, &InstanceId::from_text("j"), DaemonState::Ready, address);
        assert_eq!(stranger.check(&record, &challenge), Err(NotProved::OtherInstance));
    }
}
