//! Short words of the wire (tags, response codes), held without an allocation: there are several to
//! each command, and a session makes thousands in a second.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest text that is held in place; with it the whole value takes 24 octets. It is one number's worth, so that
/// texts are made, compared and handed on in registers: octets that are written one by one and read together cost more
/// than all else that is done with them.
const IN_PLACE: usize = 16;

/// A text that is short as a rule. Up to 16 octets are held in place, a longer one is shared.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ShortText(Text);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// Valid UTF-8 in the first octets, zeros behind them.
    InPlace(Len, Place),
    /// Longer than that, so that equal texts are held alike.
    Shared(Arc<str>),
}

/// Where numbers stand, so that it is written and read as one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(align(8))]
struct Place([u8; IN_PLACE]);

/// A length up to [`IN_PLACE`]. It takes a word, of which it leaves most values to say that a text is shared or not there:
/// so a text is three words, without octets between them that are copied by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u64)]
#[rustfmt::skip]
enum Len { L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15, L16 }

impl Len {
    #[rustfmt::skip]
    const ALL: [Self; IN_PLACE + 1] = [
        Self::L0, Self::L1, Self::L2, Self::L3, Self::L4, Self::L5, Self::L6, Self::L7, Self::L8,
        Self::L9, Self::L10, Self::L11, Self::L12, Self::L13, Self::L14, Self::L15, Self::L16,
    ];

    fn of(len: usize) -> Option<Self> {
        Self::ALL.get(len).copied()
    }
}

impl ShortText {
    /// The text that these octets are, if they are ASCII.
    #[must_use]
    pub fn from_ascii(octets: &[u8]) -> Option<Self> {
        if !octets.is_ascii() {
            return None;
        }
        Self::in_place(octets).or_else(|| std::str::from_utf8(octets).ok().map(Self::from))
    }

    /// The text of the octets at the start of these that are `wanted`, to the first that is not; of at most `most`
    /// octets, all ASCII, and not empty.
    #[inline]
    pub(crate) fn leading(octets: &[u8], most: usize, wanted: impl Fn(u8) -> bool) -> Option<Self> {
        // nearly always it is short, and more stands behind it
        if let Some(window) = octets.first_chunk::<IN_PLACE>()
            && let Some(len) = window.iter().position(|octet| !wanted(*octet))
        {
            const HIGH: u128 = u128::from_ne_bytes([0x80; IN_PLACE]);
            let octets = u128::from_be_bytes(*window) & first(len);
            let is_text = len > 0 && octets & HIGH == 0;
            return Len::of(len).filter(|_| is_text).map(|len| Self(Text::InPlace(len, Place(octets.to_be_bytes()))));
        }
        let len = octets.iter().take(most + 1).position(|octet| !wanted(*octet))?;
        Self::from_ascii(octets.get(..len)?).filter(|text| !text.is_empty())
    }

    /// What stands behind this text at the start of `octets`, if it stands there.
    pub(crate) fn strip_from<'a>(&self, octets: &'a [u8]) -> Option<&'a [u8]> {
        match (self.number(), octets.first_chunk()) {
            (Some((len, number)), Some(there)) => {
                if (u128::from_be_bytes(*there) ^ number) & first(len) == 0 {
                    octets.get(len..)
                } else {
                    None
                }
            }
            _ => octets.strip_prefix(self.as_bytes()),
        }
    }

    /// Of a text that is held in place its length and its octets as one number, the first on top: of two texts the
    /// greater is the longer, or of as many octets the one that comes behind.
    pub(crate) fn number(&self) -> Option<(usize, u128)> {
        match &self.0 {
            Text::InPlace(len, octets) => Some((*len as usize, u128::from_be_bytes(octets.0))),
            Text::Shared(_) => None,
        }
    }

    /// Of valid UTF-8 that is short enough.
    fn in_place(text: &[u8]) -> Option<Self> {
        let mut octets = [0; IN_PLACE];
        let (len, place) = (Len::of(text.len())?, octets.get_mut(..text.len())?);
        place.copy_from_slice(text);
        Some(Self(Text::InPlace(len, Place(octets))))
    }

    /// The octets of the text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::InPlace(len, octets) => octets.0.get(..*len as usize).unwrap_or_default(),
            Text::Shared(text) => text.as_bytes(),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::InPlace(..) => {
                // it was made from a text
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }
            Text::Shared(text) => text,
        }
    }
}

/// The bits of the first `len` octets of a number, `len ≤ IN_PLACE`.
fn first(len: usize) -> u128 {
    let others = u32::try_from(IN_PLACE.saturating_sub(len)).unwrap_or(0);
    u128::MAX.checked_shl(8 * others).unwrap_or(0)
}

impl Deref for ShortText {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for ShortText {
    fn from(text: &str) -> Self {
        Self::in_place(text.as_bytes()).unwrap_or_else(|| Self(Text::Shared(text.into())))
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for ShortText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ShortText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ShortText;

    #[test]
    fn takes_no_more_room_than_a_string() {
        assert_eq!(size_of::<ShortText>(), size_of::<String>());
        assert_eq!(size_of::<Option<ShortText>>(), size_of::<String>());
    }

    proptest! {
        #[test]
        fn begins_with_what_is_wanted(text in "[ab]{0,30}[ a-cä]{0,3}") {
            let end = text.find(|letter| !matches!(letter, 'a' | 'b'));
            let expected = end.filter(|end| (1..=25).contains(end)).map(|end| ShortText::from(&text[..end]));
            let wanted = |octet| matches!(octet, b'a' | b'b');
            prop_assert_eq!(ShortText::leading(text.as_bytes(), 25, wanted), expected);
        }

        #[test]
        fn is_compared_as_its_octets_are(one in "[ab]{0,18}", other in "[ab]{0,18}", behind in "[a-c]{0,18}") {
            let (short, octets) = (ShortText::from(one.as_str()), format!("{other}{behind}"));
            prop_assert_eq!(short.strip_from(octets.as_bytes()), octets.as_bytes().strip_prefix(one.as_bytes()));
            if let (Some(own), Some(theirs)) = (short.number(), ShortText::from(other.as_str()).number()) {
                let order = one.len().cmp(&other.len()).then(one.cmp(&other));
                prop_assert_eq!(own.cmp(&theirs), order);
            }
        }

        #[test]
        fn is_the_text_it_was_made_from(one in "\\PC{0,30}", other in "[a-c]{0,30}") {
            let (short, different) = (ShortText::from(one.as_str()), ShortText::from(other.as_str()));
            prop_assert_eq!(short.as_str(), one.as_str());
            prop_assert_eq!(short.as_bytes(), one.as_bytes());
            prop_assert_eq!(short == different, one == other);
            prop_assert_eq!(ShortText::from_ascii(one.as_bytes()), one.is_ascii().then(|| short.clone()));
            let written = serde_json::to_string(&short).unwrap();
            prop_assert_eq!(&written, &serde_json::to_string(&one).unwrap());
            prop_assert_eq!(serde_json::from_str::<ShortText>(&written).unwrap(), short);
        }
    }
}
