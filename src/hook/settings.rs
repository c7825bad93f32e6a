//! The `[[hook]]` section.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use serde::Deserialize;

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
pub struct HookUrl {
    /// The request's host, as it stands in the address.
    pub(super) authority: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Path and query.
    pub(super) path: String,
}

/// Not the address of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookUrlError {
    /// It is no URL of the form `https://host/path`.
    #[error("expected `https://host/path`, without a user name")]
    Form,
    /// Whoever is on the way could decide.
    #[error("`http` is only for this machine (127.0.0.1, [::1], localhost): use `https`")]
    Clear,
}

impl TryFrom<String> for HookUrl {
    type Error = HookUrlError;

    fn try_from(text: String) -> Result<Self, HookUrlError> {
        let uri: Uri = text.parse().map_err(|_| HookUrlError::Form)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(HookUrlError::Form),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(HookUrlError::Form)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let local = match host.parse::<std::net::IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        if host.is_empty() {
            return Err(HookUrlError::Form);
        }
        if !tls && !local {
            return Err(HookUrlError::Clear);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { authority: authority.to_string(), host, port, tls, path })
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_nobody_on_the_way_can_answer_for_are_taken() {
        for (text, expected) in [
            ("https://policy.example.com/mail?x=1", Ok(("policy.example.com", 443, "/mail?x=1"))),
            ("http://127.0.0.1:8080", Ok(("127.0.0.1", 8080, "/"))),
            ("http://[::1]:8080/a", Ok(("::1", 8080, "/a"))),
            ("http://localhost/a", Ok(("localhost", 80, "/a"))),
            ("http://policy.example.com/", Err(HookUrlError::Clear)),
            ("https://joe:secret@example.com/", Err(HookUrlError::Form)),
            ("ftp://example.com/", Err(HookUrlError::Form)),
            ("/mail", Err(HookUrlError::Form)),
            ("", Err(HookUrlError::Form)),
        ] {
            let read = HookUrl::try_from(text.to_owned());
            let read =
                read.as_ref().map(|url| (url.host.as_str(), url.port, url.path.as_str())).map_err(|error| *error);
            assert_eq!(read, expected, "{text}");
        }
    }
}
