//! Values that can be carried but not shown.
//!
//! A password, a SASL payload or a token is marked where it is framed, by being put into
//! [`Redacted`]. From there on no `Debug`, `Display` or serialisation shows it, in any build,
//! and its memory is wiped when it is dropped. It must never gain a `Deref` or a `Serialize`:
//! whoever needs the octets says so by calling [`Redacted::expose`].

use std::fmt;

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

/// What stands in place of a secret wherever one would have been shown.
pub const MASK: &str = "‹secret›";

/// A value that cannot be printed and is wiped on drop.
pub struct Redacted<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Redacted<T> {
    /// Marks `value` as secret.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The secret itself, for the one place that must use it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl Redacted<Vec<u8>> {
    /// Hands the octets on as [`Bytes`] for the wire; the last holder's drop wipes them.
    #[must_use]
    pub fn into_wire(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Redacted<Vec<u8>> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<T: Zeroize> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_mask_in_every_format() {
        let secret = Redacted::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?} {secret} {secret:#?}"), format!("{MASK} {MASK} {MASK}"));
        assert_eq!(secret.expose(), b"hunter2");
        assert_eq!(&secret.into_wire()[..], b"hunter2");
    }
}
