//! Closed sets whose values have one word each: for rules, metric labels, log fields and records.

/// Declares an enum whose every variant has a word, with `ALL`, `as_label` and `from_label`.
macro_rules! labelled {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $label)] $variant,)+ }

        impl $name {
            /// Every value, in the order of its documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its place in [`ALL`](Self::ALL).
            #[must_use]
            pub fn index(self) -> usize {
                self as usize
            }

            /// The word for rules, labels and records.
            #[must_use]
            pub fn as_label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// The value a word stands for.
            #[must_use]
            pub fn from_label(label: &str) -> Option<Self> {
                match label { $($label => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

pub(crate) use labelled;
