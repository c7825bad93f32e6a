//! Who may ask the admin endpoint what.
//!
//! - `/livez` and `/readyz`: everybody.
//! - With a token (`token_file`): all else only with `authorization: Bearer TOKEN` (RFC 6750 §2.1).
//! - Without one: `/metrics` everybody; `/api/…`, whose answers name people, and `/reload` only from this machine, and
//!   only under its own name. A page in a browser of this machine reaches loopback too, but under the name it came from
//!   (DNS rebinding).

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::uri::Authority;
use hyper::{Request, StatusCode};

use crate::fault::{Code, Fault};
use crate::redact::Redacted;

/// Octets of a token: fewer can be guessed, more is another file.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=512;

/// The word that whoever asks must know.
#[derive(Clone)]
pub(crate) struct Token(Arc<Redacted<Vec<u8>>>);

impl Token {
    /// The one line of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds another thing than one word of 16 to 512 printable ASCII characters.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let unusable = |why: &str| {
            let sentence = format!("the token of [admin] cannot be used: {} {why}", path.display());
            Fault::new(Code::AdminToken, sentence, "make one with: openssl rand -hex 32")
        };
        let mut word = std::fs::read(path).map_err(|error| unusable(&format!("cannot be read: {error}")))?;
        word.truncate(word.trim_ascii_end().len());
        let word = Redacted::new(word);
        if !LENGTHS.contains(&word.expose().len()) || !word.expose().iter().all(u8::is_ascii_graphic) {
            return Err(unusable("must hold one word of 16 to 512 printable ASCII characters"));
        }
        Ok(Self(Arc::new(word)))
    }

    /// The octets, for the header of a request.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// Whether the value of a header has it; how long that takes tells nothing of the token.
    fn is_in(&self, header: &[u8]) -> bool {
        let (scheme, word) = header.split_at_checked(7).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"bearer ")
            && aws_lc_rs::constant_time::verify_slices_are_equal(word.trim_ascii(), self.expose()).is_ok()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::redact::MASK)
    }
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is a token, and the request does not have it.
    NoToken,
    /// It comes from another machine.
    Elsewhere,
    /// It asks for a host that this machine is not called by.
    OtherName,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::Elsewhere => StatusCode::FORBIDDEN,
            Self::OtherName => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::NoToken => {
                "the token of this endpoint is needed: `authorization: Bearer TOKEN`, see token_file of [admin]\n"
            }
            Self::Elsewhere => "only from this machine, or with a token: see token_file of [admin]\n",
            Self::OtherName => {
                "ask for 127.0.0.1, [::1] or localhost: under another name a page in a browser may be asking. \
                 Behind a server that keeps its own name use a token: see token_file of [admin]\n"
            }
        }
    }
}

/// Whether a request may be answered; `local`: it comes from this machine.
pub(super) fn check<B>(request: &Request<B>, local: bool, token: Option<&Token>) -> Result<(), Refusal> {
    let path = request.uri().path();
    if matches!(path, "/livez" | "/readyz") {
        return Ok(());
    }
    if let Some(token) = token {
        let has = request.headers().get(AUTHORIZATION).is_some_and(|header| token.is_in(header.as_bytes()));
        return if has { Ok(()) } else { Err(Refusal::NoToken) };
    }
    let is_open = !path.starts_with("/api/") && path != "/reload";
    if is_open {
        Ok(())
    } else if !local {
        Err(Refusal::Elsewhere)
    } else if !asks_for_loopback(request) {
        Err(Refusal::OtherName)
    } else {
        Ok(())
    }
}

/// Whether the host that is asked for (RFC 9110 §7.2) can only be this machine.
fn asks_for_loopback<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let header = hosts.next().and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let (Some(host), None) = (request.uri().authority().or(header.as_ref()), hosts.next()) else { return false };
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    !host.as_str().contains('@')
        && (name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, Fault> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Token::read(file.path())
    }

    fn asked(path: &str, headers: &[(&str, &str)]) -> Request<()> {
        headers
            .iter()
            .fold(Request::get(path), |request, (name, value)| request.header(*name, *value))
            .body(())
            .unwrap()
    }

    #[test]
    fn without_a_token_people_are_named_to_this_machine_under_its_own_name_only() {
        for (host, expected) in [
            ("127.0.0.1:9469", Ok(())),
            ("127.8.8.8", Ok(())),
            ("[::1]:9469", Ok(())),
            ("[::ffff:127.0.0.1]", Ok(())),
            ("LocalHost:9469", Ok(())),
            ("evil.example:9469", Err(Refusal::OtherName)),
            ("127.0.0.1.evil.example", Err(Refusal::OtherName)),
            ("localhost.evil.example", Err(Refusal::OtherName)),
            ("192.0.2.1:9469", Err(Refusal::OtherName)),
            ("evil.example@127.0.0.1", Err(Refusal::OtherName)),
            ("::1", Err(Refusal::OtherName)),
            ("", Err(Refusal::OtherName)),
        ] {
            for path in ["/api/top", "/reload"] {
                assert_eq!(check(&asked(path, &[("host", host)]), true, None), expected, "{path} at {host}");
                assert_eq!(check(&asked(path, &[("host", host)]), false, None), Err(Refusal::Elsewhere), "{host}");
            }
            for path in ["/metrics", "/livez", "/readyz", "/"] {
                assert_eq!(check(&asked(path, &[("host", host)]), false, None), Ok(()), "{path} at {host}");
            }
        }
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check(&asked("/api/top", &twice), true, None), Err(Refusal::OtherName));
        assert_eq!(check(&asked("/api/top", &[]), true, None), Err(Refusal::OtherName));
        let whole = asked("http://evil.example/api/top", &[("host", "localhost")]);
        assert_eq!(check(&whole, true, None), Err(Refusal::OtherName), "the target counts, not the header");
    }

    #[test]
    fn with_a_token_all_but_health_needs_it() {
        let token = token("0123456789abcdef\n").unwrap();
        for (value, expected) in [
            ("Bearer 0123456789abcdef", Ok(())),
            ("bearer 0123456789abcdef", Ok(())),
            ("Bearer 0123456789abcde", Err(Refusal::NoToken)),
            ("Bearer 0123456789abcdef0", Err(Refusal::NoToken)),
            ("Basic 0123456789abcdef", Err(Refusal::NoToken)),
            ("0123456789abcdef", Err(Refusal::NoToken)),
            ("", Err(Refusal::NoToken)),
        ] {
            for path in ["/api/top", "/metrics", "/reload", "/"] {
                let request = asked(path, &[("host", "mail.example"), ("authorization", value)]);
                assert_eq!(check(&request, false, Some(&token)), expected, "{path} with {value}");
            }
        }
        assert_eq!(check(&asked("/api/top", &[("host", "localhost")]), true, Some(&token)), Err(Refusal::NoToken));
        assert_eq!(check(&asked("/readyz", &[]), false, Some(&token)), Ok(()));
        assert_eq!(format!("{token:?}"), crate::redact::MASK);
    }

    #[test]
    fn a_token_that_can_be_guessed_or_is_none_is_refused_without_being_shown() {
        for text in ["", "\n", "short-word", "two words that are long", "0123456789abcde\u{e9}", &"x".repeat(513)] {
            let fault = token(text).unwrap_err();
            assert_eq!(fault.code, Code::AdminToken, "{text}");
            assert!(text.trim().is_empty() || !fault.to_string().contains(text.trim()), "{fault}");
        }
        assert_eq!(Token::read(Path::new("/nowhere/token")).unwrap_err().code, Code::AdminToken);
    }
}
