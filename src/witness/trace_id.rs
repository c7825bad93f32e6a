//! The name of a trace.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names a trace (W3C Trace Context §3.2.2.3): 16 octets, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceId([u8; 16]);

/// Not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trace has 32 hexadecimal digits")]
pub struct TraceIdError;

impl TraceId {
    /// A new one; `None` if the system has no chance to give.
    pub(crate) fn random() -> Option<Self> {
        let mut octets = [0; 16];
        aws_lc_rs::rand::fill(&mut octets).ok()?;
        // all zeros names none
        octets.iter().any(|octet| *octet != 0).then_some(Self(octets))
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Its first eight octets as a number.
    pub(crate) fn half(self) -> u64 {
        self.0.iter().take(8).fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    /// Its last seven octets as a number, by which others sample too (W3C Trace Context level 2, §5.1).
    pub(crate) fn chance(self) -> u64 {
        self.0.iter().skip(9).fold(0, |number, octet| number << 8 | u64::from(*octet))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TraceId {
    type Error = TraceIdError;

    fn try_from(text: String) -> Result<Self, TraceIdError> {
        text.parse()
    }
}

impl FromStr for TraceId {
    type Err = TraceIdError;

    fn from_str(text: &str) -> Result<Self, TraceIdError> {
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(TraceIdError);
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| TraceIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        let id: TraceId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.chance(), 0x48_eb21_1c80_319c);
        assert_eq!(serde_json::from_str::<TraceId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for text in ["", "0af7651916cd43dd8448eb211c80319", "+af7651916cd43dd8448eb211c80319c"] {
            assert_eq!(text.parse::<TraceId>(), Err(TraceIdError), "{text}");
        }
        assert_ne!(TraceId::random(), TraceId::random());
    }
}
