//! Short words of the wire (tags, response codes), held without an allocation: there are several to
//! each command, and a session makes thousands in a second.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest text that is held in place; with it the whole value takes 24 octets.
const IN_PLACE: usize = 22;

/// A text that is short as a rule. Up to 22 octets are held in place, a longer one is shared.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ShortText(Text);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// Valid UTF-8 in the first `len ≤ IN_PLACE` octets, zeros behind them.
    InPlace { len: u8, octets: [u8; IN_PLACE] },
    /// Longer than that, so that equal texts are held alike.
    Shared(Arc<str>),
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
    pub(crate) fn leading(octets: &[u8], most: usize, wanted: impl Fn(u8) -> bool) -> Option<Self> {
        // nearly always it is short, and more stands behind it
        if let Some(window) = octets.first_chunk::<IN_PLACE>()
            && let Some(len) = window.iter().position(|octet| !wanted(*octet))
        {
            return Self::first_of(window, len);
        }
        let len = octets.iter().take(most + 1).position(|octet| !wanted(*octet))?;
        Self::from_ascii(octets.get(..len)?).filter(|text| !text.is_empty())
    }

    /// The first `len` octets of these, if they are ASCII and not none.
    fn first_of(window: &[u8; IN_PLACE], len: usize) -> Option<Self> {
        let mut place = [0; IN_PLACE];
        // most are so short that one number holds them
        if let (1..=8, Some(from), Some(to)) = (len, window.first_chunk(), place.first_chunk_mut()) {
            *to = (u64::from_le_bytes(*from) & (u64::MAX >> (64 - 8 * len))).to_le_bytes();
        } else {
            place.get_mut(..len)?.copy_from_slice(window.get(..len)?);
        }
        let len = u8::try_from(len).ok().filter(|len| *len > 0)?;
        place.is_ascii().then_some(Self(Text::InPlace { len, octets: place }))
    }

    /// What stands behind this text at the start of `octets`, if it stands there.
    pub(crate) fn strip_from<'a>(&self, octets: &'a [u8]) -> Option<&'a [u8]> {
        match (self.word(), octets.first_chunk()) {
            (Some((len, word)), Some(there)) => {
                // the octets of the word that are the text's
                let mask = u64::MAX.checked_shl(64 - 8 * u32::from(len)).unwrap_or(0);
                if (u64::from_be_bytes(*there) ^ word) & mask == 0 { octets.get(usize::from(len)..) } else { None }
            }
            _ => octets.strip_prefix(self.as_bytes()),
        }
    }

    /// Its length, and the text as one number with its first octet on top: of two that are as long, the one that
    /// comes behind the other is the greater.
    pub(crate) fn word(&self) -> Option<(u8, u64)> {
        match &self.0 {
            Text::InPlace { len, octets } if *len <= 8 => Some((*len, u64::from_be_bytes(*octets.first_chunk()?))),
            _ => None,
        }
    }

    /// Of valid UTF-8 that is short enough.
    fn in_place(text: &[u8]) -> Option<Self> {
        let mut octets = [0; IN_PLACE];
        let (len, place) = (u8::try_from(text.len()).ok()?, octets.get_mut(..text.len())?);
        place.copy_from_slice(text);
        Some(Self(Text::InPlace { len, octets }))
    }

    /// The octets of the text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::InPlace { len, octets } => octets.get(..usize::from(*len)).unwrap_or_default(),
            Text::Shared(text) => text.as_bytes(),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::InPlace { .. } => {
                // it was made from a text
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }
            Text::Shared(text) => text,
        }
    }
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
        fn is_compared_as_its_octets_are(one in "[ab]{0,10}", other in "[ab]{0,10}", behind in "[a-c]{0,12}") {
            let (short, octets) = (ShortText::from(one.as_str()), format!("{other}{behind}"));
            prop_assert_eq!(short.strip_from(octets.as_bytes()), octets.as_bytes().strip_prefix(one.as_bytes()));
            if let (Some(own), Some(theirs)) = (short.word(), ShortText::from(other.as_str()).word()) {
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
