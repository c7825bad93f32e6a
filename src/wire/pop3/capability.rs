//! What a client may see of CAPA (RFC 2449 §5) and of the mechanism list of a bare AUTH.
//!
//! What is hidden here is refused as a command too, by [`is_offered`] and the session.

use super::text_of;

/// What becomes of a capability or mechanism that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is hidden.
    Hide,
    /// It is shown.
    Show,
}

/// What the operator says of names; compared without regard to case.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// Names that are hidden; a mechanism with or without `AUTH=`.
    pub hide: &'a [String],
    /// Names that are let through although they would be hidden; a mechanism with its `AUTH=`. Nothing here
    /// outweighs `hide` or [`never()`].
    pub allow: &'a [String],
}

impl Names<'_> {
    /// Whether a command or capability of this name is let through by name.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        named(self.allow, name) && !named(self.hide, name) && never(name).is_none()
    }
}

fn named(names: &[String], name: &str) -> bool {
    names.iter().any(|named| named.eq_ignore_ascii_case(name))
}

/// Why a name cannot be allowed by the operator, if it cannot; in any case.
#[must_use]
pub fn never(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    match upper.as_str() {
        "STLS" => Some("this program says it for itself: TLS is its own"),
        // servers believe what these say of the client's address, from a proxy of theirs
        "XCLIENT" | "XOIP" => Some("with it a client could claim to be another"),
        _ => upper.strip_prefix("AUTH=").and_then(why_never),
    }
}

/// Why a mechanism, in upper case, cannot pass a proxy that ends TLS, if it cannot.
fn why_never(mechanism: &str) -> Option<&'static str> {
    match mechanism {
        "GSSAPI" | "GSS-SPNEGO" | "NTLM" | "DIGEST-MD5" | "KERBEROS_V4" => {
            Some("it can put a layer over the connection that cannot be read here")
        }
        _ if mechanism == "EXTERNAL" || mechanism.starts_with("GS2-") || binds(mechanism.as_bytes()) => {
            Some("its proof is, or can be, of a TLS connection, and that ends here")
        }
        _ => None,
    }
}

/// Whether a name is shown without being allowed; in any case.
#[must_use]
pub fn is_common(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    COMMON.contains(&upper.as_str()) || upper.strip_prefix("AUTH=").is_some_and(|name| MECHANISMS.contains(&name))
}

/// Capabilities that are understood, beside those that depend on the state.
const COMMON: &[&str] = &[
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "LOGIN-DELAY",
    "EXPIRE",
    "IMPLEMENTATION",
    "LANG",
    "PIPELINING",
    "UTF8",
];

/// Mechanisms that are understood, beside SCRAM without channel binding.
const MECHANISMS: &[&str] = &["PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5", "PLAIN-CLIENTTOKEN"];

/// By what a list is filtered.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// What becomes of the unknown.
    pub unknown: Unknown,
    /// What the operator says.
    pub names: Names<'a>,
    /// A login is possible on this connection as it is; otherwise USER and SASL are hidden.
    pub login: bool,
    /// STLS is the proxy's to offer here and now.
    pub stls: bool,
}

/// A list as the client gets it: whole lines, without the terminating one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// The lines.
    pub octets: Vec<u8>,
    /// Octets received that are not among them.
    pub removed: u64,
    /// Octets among them that were not received.
    pub added: u64,
}

/// What a list told of the server, before anything was hidden.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Advertised {
    /// Commands may be sent without waiting for answers (RFC 2449 §6.6).
    pub pipelining: bool,
    /// A mechanism that binds to the channel is listed.
    pub channel_binding: bool,
}

impl Filter<'_> {
    /// Filters the lines of a CAPA answer, each with its CRLF.
    #[must_use]
    pub fn capabilities(&self, lines: &[u8]) -> (Filtered, Advertised) {
        let mut advertised = Advertised::default();
        for line in lines.split_inclusive(|octet| *octet == b'\n') {
            let mut words = words(line);
            match words.next() {
                Some(name) if is(name, "PIPELINING") => advertised.pipelining = true,
                Some(name) if is(name, "SASL") => advertised.channel_binding |= words.any(binds),
                Some(_) | None => {}
            }
        }
        let mut filtered = Filtered::default();
        for line in lines.split_inclusive(|octet| *octet == b'\n') {
            match self.capability(line, advertised) {
                Shown::AsIs => filtered.octets.extend_from_slice(line),
                Shown::Not => filtered.removed += line.len() as u64,
                Shown::As(other) => {
                    filtered.removed += line.len() as u64;
                    filtered.added += other.len() as u64;
                    filtered.octets.extend(other);
                }
            }
        }
        let mut own = |line: &[u8]| {
            filtered.octets.extend_from_slice(line);
            filtered.added += line.len() as u64;
        };
        if self.stls {
            own(b"STLS\r\n");
        }
        // the proxy queues, whatever the server can do
        if !advertised.pipelining && self.unknown == Unknown::Hide && !self.is_hidden("PIPELINING") {
            own(b"PIPELINING\r\n");
        }
        (filtered, advertised)
    }

    /// Filters the lines of a bare AUTH's answer, each with its CRLF.
    #[must_use]
    pub fn mechanisms(&self, lines: &[u8]) -> (Filtered, Advertised) {
        let each = || lines.split_inclusive(|octet| *octet == b'\n');
        let channel_binding = each().any(|line| binds(text_of(line)));
        let mut filtered = Filtered::default();
        for line in each() {
            if self.login && is_offered(text_of(line), channel_binding, self.unknown, self.names) {
                filtered.octets.extend_from_slice(line);
            } else {
                filtered.removed += line.len() as u64;
            }
        }
        (filtered, Advertised { pipelining: false, channel_binding })
    }

    fn capability(&self, line: &[u8], advertised: Advertised) -> Shown {
        let mut words = words(line);
        let name = match words.next().and_then(|name| std::str::from_utf8(name).ok()) {
            Some(name) => name.to_ascii_uppercase(),
            None => return self.of_unknown(),
        };
        if self.is_hidden(&name) {
            return Shown::Not;
        }
        match name.as_str() {
            name if COMMON.contains(&name) => Shown::AsIs,
            "USER" if self.login => Shown::AsIs,
            "SASL" if self.login => self.sasl(words, advertised),
            // STLS is between the two ends of one connection, so it is never the server's to offer
            "USER" | "SASL" | "STLS" => Shown::Not,
            name if self.names.allows(name) => Shown::AsIs,
            _ => self.of_unknown(),
        }
    }

    fn sasl<'a>(&self, names: impl Iterator<Item = &'a [u8]> + Clone, advertised: Advertised) -> Shown {
        let offered = |name: &&[u8]| is_offered(name, advertised.channel_binding, self.unknown, self.names);
        if names.clone().all(|name| offered(&name)) {
            return Shown::AsIs;
        }
        let mut line = b"SASL".to_vec();
        for name in names.filter(offered) {
            line.push(b' ');
            line.extend_from_slice(name);
        }
        if line.len() == 4 {
            return Shown::Not;
        }
        line.extend_from_slice(b"\r\n");
        Shown::As(line)
    }

    fn of_unknown(&self) -> Shown {
        match self.unknown {
            Unknown::Hide => Shown::Not,
            Unknown::Show => Shown::AsIs,
        }
    }

    fn is_hidden(&self, name: &str) -> bool {
        named(self.names.hide, name)
    }
}

enum Shown {
    AsIs,
    Not,
    As(Vec<u8>),
}

/// Whether a SASL mechanism can pass a proxy that ends TLS.
///
/// Those that bind to the channel cannot, and where a server lists one, the same mechanism without
/// binding fails too: the client's "I could have bound" flag is read as a downgrade (RFC 5802 §6).
/// Those that may put a security layer of their own over the connection would blind the proxy.
/// EXTERNAL speaks of a client certificate, which ends here.
#[must_use]
pub fn is_offered(mechanism: &[u8], channel_binding_listed: bool, unknown: Unknown, names: Names<'_>) -> bool {
    let Ok(name) = std::str::from_utf8(mechanism) else { return false };
    let name = name.to_ascii_uppercase();
    let hidden = |entry: &String| {
        let entry =
            entry.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("AUTH=")).map_or(&**entry, |_| &entry[5..]);
        entry.eq_ignore_ascii_case(&name)
    };
    if binds(mechanism) || names.hide.iter().any(hidden) {
        return false;
    }
    match name.as_str() {
        name if MECHANISMS.contains(&name) => true,
        _ if name.starts_with("SCRAM-") || name.starts_with("GS2-") => {
            !channel_binding_listed && (name.starts_with("SCRAM-") || unknown == Unknown::Show)
        }
        _ if why_never(&name).is_some() => false,
        _ => unknown == Unknown::Show || names.allows(&format!("AUTH={name}")),
    }
}

fn binds(mechanism: &[u8]) -> bool {
    mechanism.len() > 5 && mechanism.last_chunk::<5>().is_some_and(|tail| tail.eq_ignore_ascii_case(b"-PLUS"))
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    text_of(line).split(|octet| *octet == b' ').filter(|word| !word.is_empty())
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: Filter<'_> =
        Filter { unknown: Unknown::Hide, names: Names { hide: &[], allow: &[] }, login: true, stls: false };
    const LIST: &[u8] =
        b"TOP\r\nUSER\r\nSTLS\r\nSASL PLAIN SCRAM-SHA-1-PLUS SCRAM-SHA-1 GSSAPI\r\nXCLIENT\r\nEXPIRE 60\r\n";

    fn shown(filter: &Filter<'_>, list: &[u8]) -> String {
        String::from_utf8(filter.capabilities(list).0.octets).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn hides_what_cannot_pass() {
        assert_eq!(shown(&TLS, LIST), "TOP|USER|SASL PLAIN|EXPIRE 60|PIPELINING|");
        assert_eq!(shown(&TLS, b"SASL SCRAM-SHA-1 PLAIN\r\n"), "SASL SCRAM-SHA-1 PLAIN|PIPELINING|");
        assert_eq!(shown(&TLS, b"SASL NTLM\r\n"), "PIPELINING|");
    }

    #[test]
    fn offers_stls_and_no_login_in_clear() {
        assert_eq!(shown(&Filter { login: false, stls: true, ..TLS }, LIST), "TOP|EXPIRE 60|STLS|PIPELINING|");
    }

    #[test]
    fn shows_the_unknown_to_an_observed_client_but_not_what_would_break_it() {
        let filter = Filter { unknown: Unknown::Show, ..TLS };
        assert_eq!(shown(&filter, LIST), "TOP|USER|SASL PLAIN|XCLIENT|EXPIRE 60|");
    }

    #[test]
    fn hides_what_the_operator_hides() {
        let hide = ["top".to_owned(), "AUTH=PLAIN".to_owned()];
        assert_eq!(
            shown(&Filter { names: Names { hide: &hide, allow: &[] }, ..TLS }, b"TOP\r\nUIDL\r\nSASL PLAIN LOGIN\r\n"),
            "UIDL|SASL LOGIN|PIPELINING|"
        );
        assert_eq!(
            TLS.mechanisms(b"PLAIN\r\nNTLM\r\n").0,
            Filtered { octets: b"PLAIN\r\n".to_vec(), removed: 6, added: 0 }
        );
    }

    #[test]
    fn shows_what_the_operator_allows_but_not_what_cannot_pass() {
        let allow = ["xtnd", "AUTH=X-OWN", "AUTH=NTLM", "XCLIENT", "X-BOTH"].map(str::to_owned);
        let hide = ["X-BOTH".to_owned()];
        let filter = Filter { names: Names { hide: &hide, allow: &allow }, ..TLS };
        let list = b"XTND XLST\r\nXOTHER\r\nXCLIENT\r\nX-BOTH\r\nSASL PLAIN X-OWN X-OTHER NTLM\r\n";
        assert_eq!(shown(&filter, list), "XTND XLST|SASL PLAIN X-OWN|PIPELINING|");
        assert!(never("auth=gs2-krb5").is_some() && never("stls").is_some() && never("XTND").is_none());
        assert!(is_common("Top") && is_common("AUTH=PLAIN") && !is_common("XTND"));
    }

    #[test]
    fn counts_what_it_changes() {
        let (filtered, advertised) = TLS.capabilities(b"PIPELINING\r\nSASL PLAIN X-Y\r\nSTLS\r\n");
        assert_eq!((filtered.removed, filtered.added), (22, 12));
        assert_eq!(advertised, Advertised { pipelining: true, channel_binding: false });
    }
}
