//! The `[[hook]]` section.

use std::time::Duration;

use serde::Deserialize;

use crate::service::{ServiceUrl, ServiceUrlError};
use crate::tls::Roots;

/// A service that rules with `action = "ask"` ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// The name that rules give as `hook`.
    pub name: String,
    /// Where the document is posted.
    pub url: HookUrl,
    /// How long an answer may take, the connection and its TLS included.
    #[serde(default = "two_seconds", with = "humantime_serde")]
    pub timeout: Duration,
    /// For how long an answer holds for the same document; zero asks each time.
    #[serde(default, with = "humantime_serde")]
    pub cache: Duration,
    /// What counts where no answer comes.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The authorities by which an `https` service is verified.
    #[serde(default)]
    pub roots: Roots,
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

/// What counts where a service gives no answer, or none that is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// As if it had said no.
    #[default]
    Deny,
    /// As if it had said yes.
    Allow,
}

/// An address of a service: `https`, or `http` on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HookUrl(pub(super) ServiceUrl);

/// Not the address of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookUrlError {
    /// It is no URL of the form `https://host/path`.
    #[error("{0}")]
    Form(ServiceUrlError),
    /// Whoever is on the way could decide.
    #[error("`http` is only for this machine (127.0.0.1, [::1], localhost): use `https`")]
    Clear,
}

impl TryFrom<String> for HookUrl {
    type Error = HookUrlError;

    fn try_from(text: String) -> Result<Self, HookUrlError> {
        let url = ServiceUrl::try_from(text).map_err(HookUrlError::Form)?;
        if url.is_open() { Err(HookUrlError::Clear) } else { Ok(Self(url)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_nobody_on_the_way_can_answer_for_are_taken() {
        for (text, expected) in [
            ("https://policy.example.com/mail", None),
            ("http://localhost/a", None),
            ("http://policy.example.com/", Some(HookUrlError::Clear)),
            ("/mail", Some(HookUrlError::Form(ServiceUrlError))),
        ] {
            assert_eq!(HookUrl::try_from(text.to_owned()).err(), expected, "{text}");
        }
    }
}
