//! Random values: the instance id, the token, the nonce of a handshake.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;

const BYTES: usize = 32;

/// Why random bytes could not be had, or were not what they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The system gave no randomness (`getrandom(2)`).
    #[error("cannot draw random bytes: {0}")]
    NoRandomness(getrandom::Error),
    /// Not 64 lower-case hexadecimal digits.
    #[error("expected 64 hexadecimal digits")]
    NotHex,
}

fn draw<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(SecretError::NoRandomness)?;
    Ok(bytes)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

pub(crate) fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], SecretError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(SecretError::NotHex),
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return Err(SecretError::NotHex);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

/// Made at each start of a daemon; what the handshake proves. Not secret.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(String);

impl InstanceId {
    /// A fresh one: 16 random bytes.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub fn random() -> Result<Self, SecretError> {
        Ok(Self(to_hex(&draw::<16>()?)))
    }

    /// As it stands in the record.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One as it was read; any text serves, since it is only ever compared.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bearer token of a daemon: 32 random bytes in hexadecimal, new at each start. `Debug` does not show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A fresh one.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub fn random() -> Result<Self, SecretError> {
        Ok(Self(to_hex(&draw::<BYTES>()?)))
    }

    /// The text itself, for the header and the record alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this token, in time that does not depend on where they differ.
    pub fn matches(&self, presented: &[u8]) -> bool {
        let own = self.0.as_bytes();
        if own.len() != presented.len() {
            return false;
        }
        // Eight bytes at a time, and one barrier for all: `subtle` has one for each byte, which costs a request ten times this.
        let ((own, own_rest), (words, rest)) = (own.as_chunks::<8>(), presented.as_chunks::<8>());
        let words = own.iter().zip(words).map(|(a, b)| u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b));
        let rest = own_rest.iter().zip(rest).map(|(a, b)| u64::from(a ^ b));
        words.chain(rest).fold(0, std::ops::BitOr::bitor).ct_eq(&0).into()
    }

    /// A token as read. A reference daemon's may have any form; ours refuses what could break out of a header.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let fits = (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text)
            .ok_or_else(|| serde::de::Error::custom("a token of 1 to 512 visible characters expected"))
    }
}

/// What a client draws for one handshake, so that an answer cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce([u8; BYTES]);

impl Nonce {
    /// A fresh one.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub fn random() -> Result<Self, SecretError> {
        draw().map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_there_and_back() {
        let bytes: [u8; 4] = [0, 0x1f, 0xa0, 0xff];
        assert_eq!(to_hex(&bytes), "001fa0ff");
        assert_eq!(from_hex::<4>("001fa0ff").unwrap(), bytes);
        for bad in ["001fa0f", "001fa0fg", "001FA0FF", "001fa0ff0"] {
            assert!(from_hex::<4>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_compared_whole_and_never_printed() {
        let token = Token::random().unwrap();
        assert!(token.matches(token.expose().as_bytes()));
        assert!(!token.matches(&token.expose().as_bytes()[1..]));
        assert!(!format!("{token:?}").contains(token.expose()));
        assert!(Token::from_text("a\r\nX: y").is_none());
    }
}
