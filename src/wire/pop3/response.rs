//! A server's status line and greeting (RFC 1939 §3 and §7, RFC 2449 §8).

use memchr::memchr;

/// What a status line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indicator {
    /// `+OK`.
    Ok,
    /// `-ERR`.
    Err,
    /// `+`: the server waits for a SASL line (RFC 5034 §4).
    Continue,
}

/// A status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// What it begins with.
    pub indicator: Indicator,
    /// The text behind the indicator and its space.
    pub text: &'a [u8],
}

impl<'a> Status<'a> {
    /// Reads a line without its end; `None` if it is no status line.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        for (word, indicator) in [("+OK", Indicator::Ok), ("-ERR", Indicator::Err), ("+", Indicator::Continue)] {
            match line.strip_prefix(word.as_bytes()) {
                Some([]) => return Some(Self { indicator, text: b"" }),
                Some([b' ', text @ ..]) => return Some(Self { indicator, text }),
                Some(_) | None => {}
            }
        }
        None
    }

    /// The response code that the text begins with, without brackets and arguments (RFC 2449 §8).
    #[must_use]
    pub fn code(&self) -> Option<&'a str> {
        let inside = self.text.strip_prefix(b"[")?;
        let code = inside.get(..memchr(b']', inside)?)?;
        let name = code.get(..memchr(b' ', code).unwrap_or(code.len()))?;
        let sound = (1..=64).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
        if sound { std::str::from_utf8(name).ok() } else { None }
    }
}

/// Whether a line without its end has a CR or LF in it: peers that split there read two lines.
#[must_use]
pub fn has_bare_line_end(line: &[u8]) -> bool {
    memchr::memchr2(b'\r', b'\n', line).is_some()
}

/// The line without a `[REFERRAL/…]` code: followed, it would lead the client past the proxy.
/// `None`: there is none.
#[must_use]
pub fn without_referral(line: &[u8]) -> Option<Vec<u8>> {
    let code = Status::parse(line)?.code()?;
    let refers = code.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("REFERRAL"));
    if refers { without_code(line) } else { None }
}

fn without_code(line: &[u8]) -> Option<Vec<u8>> {
    let (open, close) = (memchr(b'[', line)?, memchr(b']', line)?);
    let (before, behind) = (line.get(..open)?, line.get(close + 1..)?);
    Some([before, behind.strip_prefix(b" ").unwrap_or(behind)].concat())
}

/// The greeting as the client may see it, and whether APOP is offered by it.
///
/// A timestamp stays to the octet or goes: one that is no msg-id lets whoever made it up work out
/// the password from the digest (CVE-2007-1558). `[XCLIENT]` offers what only a trusted proxy may use.
/// `None`: it stays as it is.
#[must_use]
pub fn mended_greeting(line: &[u8], apop_hidden: bool) -> (Option<Vec<u8>>, bool) {
    let mut mended = None;
    let code = Status::parse(line).and_then(|status| status.code());
    if code.is_some_and(|name| name.eq_ignore_ascii_case("XCLIENT")) {
        mended = without_code(line);
    }
    let current = mended.as_deref().unwrap_or(line);
    let (open, close) = (memchr(b'<', current), memchr::memrchr(b'>', current));
    let (Some(open), close) = (open, close) else { return (mended, false) };
    let close = close.filter(|close| *close > open).unwrap_or(current.len());
    let inside = current.get(open + 1..close).unwrap_or_default();
    if !apop_hidden && close < current.len() && is_msg_id(inside) {
        return (mended, true);
    }
    let before = current.get(..open).unwrap_or_default();
    let behind = current.get(close + 1..).unwrap_or_default();
    let before = if behind.is_empty() { before.trim_ascii_end() } else { before };
    (Some([before, behind].concat()), false)
}

/// `local@domain` of a msg-id (RFC 5322 §3.6.4), without white space, comments or 8-bit octets.
fn is_msg_id(inside: &[u8]) -> bool {
    let at = memchr::memchr_iter(b'@', inside).count();
    let sound = |octet: &u8| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>');
    at == 1 && inside.first() != Some(&b'@') && inside.last() != Some(&b'@') && inside.iter().all(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_indicator_and_code() {
        let read = |line| Status::parse(line).map(|status| (status.indicator, status.code()));
        for (line, expected) in [
            (&b"+OK"[..], Some((Indicator::Ok, None))),
            (b"+OK 1 5", Some((Indicator::Ok, None))),
            (b"-ERR [SYS/TEMP] later", Some((Indicator::Err, Some("SYS/TEMP")))),
            (b"-ERR [LOGIN-DELAY 5]", Some((Indicator::Err, Some("LOGIN-DELAY")))),
            (b"+ Zm9v", Some((Indicator::Continue, None))),
            (b"+", Some((Indicator::Continue, None))),
            (b"+ok", None),
            (b"+OKAY", None),
            (b"1 5", None),
            (b"", None),
        ] {
            assert_eq!(read(line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn keeps_a_sound_timestamp_to_the_octet() {
        for line in [&b"+OK hi <1.2@x>"[..], b"+OK [code] <1896.697@dbc.mtview.ca.us> ready"] {
            assert_eq!(mended_greeting(line, false), (None, true));
        }
        assert_eq!(mended_greeting(b"+OK Dovecot ready.", false), (None, false));
    }

    #[test]
    fn removes_what_a_client_may_not_use() {
        for (line, mended) in [
            (&b"+OK [XCLIENT] Dovecot ready."[..], &b"+OK Dovecot ready."[..]),
            (b"+OK hi <nothing>", b"+OK hi"),
            (b"+OK <a@b <c@d> x", b"+OK  x"),
            (b"+OK <a\xff@b> x", b"+OK  x"),
            (b"+OK x <a@b", b"+OK x"),
        ] {
            let (got, apop) = mended_greeting(line, false);
            assert_eq!((got.as_deref(), apop), (Some(mended), false), "{}", line.escape_ascii());
        }
        assert_eq!(mended_greeting(b"+OK hi <1.2@x>", true), (Some(b"+OK hi".to_vec()), false));
    }

    #[test]
    fn removes_a_referral() {
        assert_eq!(without_referral(b"-ERR [REFERRAL/pop://x/] moved"), Some(b"-ERR moved".to_vec()));
        assert_eq!(without_referral(b"-ERR [AUTH] no"), None);
    }
}
