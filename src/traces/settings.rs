//! The `[tracing]` section.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::fault::{Code, Fault};
use crate::redact::Redacted;
use crate::service::ServiceUrl;
use crate::tls::Roots;
use crate::witness::TraceId;

/// Where traces go, and of which sessions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracingSettings {
    /// Where spans are posted (OTLP over HTTP, protobuf); without a path it is `/v1/traces`.
    pub endpoint: ServiceUrl,
    /// The share of sessions that are traced.
    pub sample: Share,
    /// A file with headers that the collector wants, one `Name: value` a line.
    #[serde(default)]
    pub headers_file: Option<PathBuf>,
    /// A variable of the environment with such lines.
    #[serde(default)]
    pub headers_env: Option<String>,
    /// How long the collector may take for one delivery, the connection included.
    #[serde(default = "ten_seconds", with = "humantime_serde")]
    pub timeout: Duration,
    /// The authorities by which an `https` collector is verified.
    #[serde(default)]
    pub roots: Roots,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// A share of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share(f64);

/// Not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is a number from 0 to 1")]
pub struct ShareError;

impl TryFrom<f64> for Share {
    type Error = ShareError;

    fn try_from(share: f64) -> Result<Self, ShareError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(ShareError) }
    }
}

impl Share {
    /// Whether a trace is in it. What is in a share is in every larger one, so that proxies with different shares agree.
    #[expect(clippy::cast_precision_loss, reason = "no share is so fine that the last of 56 digits would matter")]
    pub(super) fn holds(self, id: TraceId) -> bool {
        (id.chance() as f64) < self.0 * (1_u64 << 56) as f64
    }
}

/// Headers whose values are secrets.
pub(super) type Headers = Vec<(HeaderName, Redacted<Vec<u8>>)>;

impl TracingSettings {
    /// What the collector wants to be told.
    ///
    /// # Errors
    /// When the file or variable is not there, or holds something else than headers.
    pub(super) fn headers(&self) -> Result<Headers, Fault> {
        let mut headers = Vec::new();
        if let Some(path) = &self.headers_file {
            let text = Redacted::new(std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?);
            read(text.expose(), &format!("`headers_file` {}", path.display()), &mut headers)?;
        }
        if let Some(name) = &self.headers_env {
            let text = std::env::var(name).map_err(|_| {
                let sentence = format!("[tracing]: there is no text in the environment's `{name}`");
                Fault::new(Code::FileUnreadable, sentence, "set it for the program, or remove `headers_env`")
            });
            read(Redacted::new(text?).expose(), &format!("`headers_env` {name}"), &mut headers)?;
        }
        Ok(headers)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let sentence = format!("[tracing]: {} cannot be read: {error}", path.display());
    Fault::new(Code::FileUnreadable, sentence, "check the path of `headers_file` and its permissions")
}

/// Lines of `Name: value`; empty ones and comments are passed over. A fault never shows what is in a line.
fn read(text: &str, what: &str, headers: &mut Headers) -> Result<(), Fault> {
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let header = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::try_from(name.trim()).ok()?;
            HeaderValue::from_str(value.trim()).ok()?;
            Some((name, Redacted::new(value.trim().as_bytes().to_vec())))
        });
        headers.push(header.ok_or_else(|| {
            let sentence = format!("[tracing]: line {} of {what} is not a header", number + 1);
            Fault::new(Code::FileContent, sentence, "write `Name: value`, one a line, as `Authorization: Bearer …`")
        })?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(text: &str) -> Result<Headers, Fault> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("headers");
        std::fs::write(&path, text).unwrap();
        let settings = format!("endpoint = 'https://otel.example.com'\nsample = 1\nheaders_file = {path:?}");
        toml::from_str::<TracingSettings>(&settings).unwrap().headers()
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let headers = headers_of("# of the vendor\nAuthorization: Bearer hunter2\n\nx-team: mail\n").unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[0].0, "authorization");
        assert_eq!(headers[0].1.expose(), b"Bearer hunter2");
        assert!(!format!("{headers:?}").contains("hunter2"));
        let fault = headers_of("x-team: mail\nhunter2\n").unwrap_err();
        assert_eq!(fault.code, Code::FileContent);
        assert!(fault.sentence.contains("line 2") && !format!("{fault:?}").contains("hunter2"), "{fault:?}");
        assert!(headers_of("a b: c").is_err());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let settings = |more: &str| {
            let text = format!("endpoint = 'https://otel.example.com'\nsample = 0.5\n{more}");
            toml::from_str::<TracingSettings>(&text).unwrap()
        };
        let fault = settings("headers_file = '/nowhere/headers'").headers().unwrap_err();
        assert!(fault.sentence.contains("/nowhere/headers"), "{fault}");
        let fault = settings("headers_env = 'MAILWARDEN_NO_SUCH_VARIABLE'").headers().unwrap_err();
        assert!(fault.sentence.contains("MAILWARDEN_NO_SUCH_VARIABLE"), "{fault}");
        assert!(settings("").headers().unwrap().is_empty());
    }

    #[test]
    fn a_share_holds_its_part_of_all_traces() {
        let ids: Vec<TraceId> = (0..4000).filter_map(|_| TraceId::random()).collect();
        let held = |share: f64| ids.iter().filter(|id| Share::try_from(share).unwrap().holds(**id)).count();
        assert_eq!((held(0.0), held(1.0)), (0, ids.len()));
        // 20 standard deviations around a quarter
        assert!((450..1550).contains(&held(0.25)), "{}", held(0.25));
        for share in [-0.1, 1.1, f64::NAN] {
            assert_eq!(Share::try_from(share), Err(ShareError));
        }
    }
}
