//! What is wrong, where, and what to do about it: the form of every error a person must act on.
//!
//! A fault has a code that stays the same between versions (`MW-1xxx` configuration, `MW-2xxx`
//! reaching and trusting peers), so that a log line, the farewell a mail client shows and the
//! manual all lead to the same paragraph.

use std::fmt;

/// One problem, said to a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence} ({code})")]
pub struct Fault {
    /// Which kind.
    pub code: Code,
    /// What is wrong and where, in one sentence without a full stop.
    pub sentence: String,
    /// What to do, in one sentence; may name a line to add to the configuration.
    pub help: String,
}

impl Fault {
    /// A fault from its three parts.
    pub fn new(code: Code, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), help: help.into() }
    }

    /// The sentence and code as one line of printable ASCII, for a farewell to a mail client.
    #[must_use]
    pub fn farewell(&self) -> String {
        self.to_string().chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
    }
}

/// Text of a peer or a file, cut to 200 characters of printable ASCII, safe to show and to log.
pub(crate) fn plain(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// Declares an enum of kinds, each with its code (`MW-` and four digits) and one more property.
macro_rules! codes {
    (
        $(#[$about:meta])* enum Code with $(#[$told:meta])* $property:ident: $type:ty;
        $($(#[$doc:meta])* $variant:ident = $code:literal $value:expr,)+
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)+ }

        impl Code {
            /// Every kind, in the order of the manual.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// What is printed: `MW-` and four digits.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            $(#[$told])*
            #[must_use]
            pub fn $property(self) -> $type {
                match self { $(Self::$variant => $value,)+ }
            }
        }
    };
}
pub(crate) use codes;

codes! {
    /// The kinds of fault; each has a code for people and a word for metrics.
    enum Code with
    /// The word for metric labels and log fields.
    as_label: &'static str;

    /// Two listeners or two upstreams have the same name.
    NameTaken = "MW-1301" "name_taken",
    /// A listener names an upstream that is not there.
    UnknownUpstream = "MW-1302" "unknown_upstream",
    /// A listener with TLS has no certificate.
    NoCertificate = "MW-1303" "no_certificate",
    /// The roots of an upstream cannot be used.
    Roots = "MW-2025" "roots",
    /// Certificates are to be minted, and there is no `[authority]`.
    NoAuthority = "MW-1305" "no_authority",
    /// Nothing to listen on.
    NoListener = "MW-1307" "no_listener",
    /// A server name is neither a DNS name nor an IP address.
    ServerName = "MW-1209" "server_name",
    /// The upstream's name cannot be resolved.
    UpstreamUnknown = "MW-2001" "name_unknown",
    /// The upstream refuses connections.
    UpstreamRefused = "MW-2002" "refused",
    /// The upstream does not answer in time.
    UpstreamTimeout = "MW-2003" "connect_timeout",
    /// The upstream cannot be reached for another reason.
    UpstreamUnreachable = "MW-2004" "unreachable",
    /// The client's TLS handshake failed.
    ClientHandshake = "MW-2011" "handshake",
    /// The client's TLS handshake took too long.
    ClientTimeout = "MW-2012" "timeout",
    /// The client does not trust the certificate it was shown.
    ClientDistrusts = "MW-2013" "certificate_refused",
    /// The client does not speak TLS.
    ClientNotTls = "MW-2014" "not_tls",
    /// The client and the proxy share no version, no cipher suite or no protocol.
    ClientIncompatible = "MW-2015" "incompatible",
    /// A PEM file cannot be read.
    FileUnreadable = "MW-2021" "file_unreadable",
    /// A PEM file does not hold what it should.
    FileContent = "MW-2022" "file_content",
    /// A private key cannot be used.
    KeyUnusable = "MW-2023" "key_unusable",
    /// A private key belongs to another certificate.
    KeyMismatch = "MW-2024" "key_mismatch",
    /// The token of the admin endpoint cannot be used.
    AdminToken = "MW-2026" "admin_token",
    /// The authority's files cannot be read or made.
    AuthorityFile = "MW-2031" "authority_file",
    /// The authority's key can be read by others.
    AuthorityMode = "MW-2032" "authority_mode",
    /// The authority's certificate is not one of an authority.
    AuthorityKind = "MW-2033" "authority_kind",
    /// The authority's key and certificate do not belong together.
    AuthorityKey = "MW-2034" "authority_key",
    /// The authority's certificate is not valid today.
    AuthorityDates = "MW-2035" "authority_dates",
    /// The upstream's certificate has expired.
    Expired = "MW-2041" "expired",
    /// The upstream's certificate is not valid yet.
    NotYetValid = "MW-2042" "not_yet_valid",
    /// The upstream's certificate is for other names.
    NameMismatch = "MW-2043" "name_mismatch",
    /// The issuer of the upstream's certificate is not among the roots.
    Untrusted = "MW-2044" "untrusted",
    /// The upstream's certificate is its own issuer.
    SelfSigned = "MW-2045" "self_signed",
    /// An authority's certificate is used as a server's.
    AuthorityAsServer = "MW-2046" "authority_as_server",
    /// The upstream's certificate is not for servers.
    Purpose = "MW-2047" "purpose",
    /// The upstream's certificate was revoked.
    Revoked = "MW-2048" "revoked",
    /// A signature in the upstream's chain is wrong, or made in a way that is no longer trusted.
    Signature = "MW-2049" "signature",
    /// The upstream's certificate cannot be understood, or breaks another rule of its issuer.
    Malformed = "MW-2050" "malformed",
    /// The upstream's key is not the pinned one.
    PinMismatch = "MW-2051" "pin_mismatch",
    /// The TLS handshake with the upstream failed for another reason than its certificate.
    UpstreamHandshake = "MW-2061" "handshake",
    /// The TLS handshake with the upstream took too long.
    UpstreamHandshakeTimeout = "MW-2062" "timeout",
    /// The upstream does not speak TLS on this port.
    UpstreamNotTls = "MW-2063" "not_tls",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_its_own() {
        let codes: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
    }

    #[test]
    fn a_farewell_is_one_line_of_printable_ascii() {
        let fault = Fault::new(Code::Expired, "certificate of “bad”\r\nexpired", "renew it");
        assert_eq!(fault.farewell(), "certificate of ?bad???expired (MW-2041)");
    }
}
