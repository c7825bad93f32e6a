//! Which capabilities a client may see, and so use (RFC 9051 §7.2.2).
//!
//! A name is shown if this program understands all that it brings; others would let commands,
//! content or a security layer past the policy. What is hidden is refused as a command too
//! ([`Rules::satisfied`]), for clients try what they were not offered. A list is filtered by
//! cutting names out: the octets and the order of the rest stay. The operator can allow by name what
//! is hidden for caution, but not what could not work or would end the inspection ([`never()`]).

use std::collections::BTreeSet;

/// What is done with one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It stays.
    Pass,
    /// It is cut out.
    Hide,
    /// It is the proxy's own to say: cut out, and put in where the proxy means it.
    Own,
}

/// What is done with names that no row of the table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Cut out (posture enforce).
    Hide,
    /// Left in (posture observe).
    Pass,
}

/// TLS towards the client, as far as a capability list depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientTls {
    /// It is up.
    Up,
    /// It is not yet up and must be before a login: STARTTLS and LOGINDISABLED are shown, mechanisms
    /// are not.
    Required,
    /// In clear, by the operator's choice.
    None,
}

/// What the filter depends on beside the list.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// For names that are not known.
    pub unknown: Unknown,
    /// TLS towards the client.
    pub client_tls: ClientTls,
    /// Names the operator hides, in any case; `XOAUTH2` hides `AUTH=XOAUTH2` too.
    pub hide: &'a [String],
    /// Names the operator allows, in any case, although they would be hidden; a mechanism is written
    /// with its `AUTH=`. Nothing here outweighs `hide` or [`never()`].
    pub allow: &'a [String],
    /// Whether any list of this server had a SCRAM mechanism with channel binding. A client that
    /// can bind and is not offered it takes a plain SCRAM login for a downgrade attack, and so does
    /// the server (RFC 5802 §6): once one is seen, no SCRAM is shown.
    pub scram_plus: bool,
    /// Whether the proxy offers COMPRESS=DEFLATE now (RFC 4978), which the operator may hide.
    pub compress: bool,
}

/// A filtered list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// The names to show, separated as they were.
    pub octets: Vec<u8>,
    /// Whether `octets` differ from what was received.
    pub changed: bool,
    /// The names cut out and not put back, as received.
    pub removed: Vec<String>,
    /// Whether the list had a SCRAM mechanism with channel binding; see [`Rules::scram_plus`].
    pub scram_plus: bool,
}

/// The one name for literals that is shown: the proxy receives them, whatever the server can.
const LITERALS: &str = "LITERAL+";
/// The one compression there is; the proxy serves it, whatever the server can.
const DEFLATE: &str = "COMPRESS=DEFLATE";

/// Known and understood; `*` at the end stands for any rest.
#[rustfmt::skip]
const PASS: &[&str] = &[
    "ACL", "APPENDLIMIT", "APPENDLIMIT=*", "AUTH=CRAM-MD5", "AUTH=LOGIN", "AUTH=OAUTHBEARER", "AUTH=PLAIN",
    "AUTH=PLAIN-CLIENTTOKEN", "AUTH=SCRAM-*", "AUTH=XOAUTH2", "BINARY", "CHILDREN", "CONDSTORE",
    "CREATE-SPECIAL-USE", "ENABLE", "ESEARCH", "ESORT", "I18NLEVEL=*", "ID", "IDLE", "IMAP4", "IMAP4REV1",
    "IMAP4REV2", "INPROGRESS", "LANGUAGE", "LIST-EXTENDED", "LIST-METADATA", "LIST-MYRIGHTS", "LIST-STATUS",
    "MESSAGELIMIT=*", "METADATA", "METADATA-SERVER", "MOVE", "MULTIAPPEND", "NAMESPACE", "NOTIFY", "OBJECTID",
    "PARTIAL", "PREVIEW", "PREVIEW=FUZZY", "QRESYNC", "QUOTA", "QUOTA=*", "QUOTASET", "REPLACE", "RIGHTS=*",
    "SASL-IR", "SAVEDATE", "SAVELIMIT=*", "SEARCH=FUZZY", "SEARCHRES", "SNIPPET=FUZZY", "SORT", "SORT=DISPLAY",
    "SPECIAL-USE", "STATUS=SIZE", "THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS", "UIDPLUS",
    "UNSELECT", "UTF8=ACCEPT", "UTF8=ONLY", "WITHIN", "X-GM-EXT-1", "XLIST", "XYMHIGHESTMODSEQ",
];

/// Known and never shown, whatever the posture and the operator say, by the reason.
#[rustfmt::skip]
const NEVER: &[(&str, &[&str])] = &[
    ("its proof is, or can be, of a TLS connection, and that ends here", &["AUTH=*-PLUS", "AUTH=EXTERNAL", "AUTH=GS2-*"]),
    ("it can put a layer over the connection that cannot be read here", &[
        "AUTH=DIGEST-MD5", "AUTH=GSS-SPNEGO", "AUTH=GSSAPI", "AUTH=KERBEROS_V4", "AUTH=NTLM", "COMPRESS=*",
    ]),
    ("it leads clients past this program", &["LOGIN-REFERRALS", "MAILBOX-REFERRALS"]),
    ("it changes who is logged in behind this program's back", &["UNAUTHENTICATE", "X-UNAUTHENTICATE"]),
];

/// Known and hidden, whatever the posture, unless the operator allows it: a path past the proxy, or a way
/// to content that is not told of.
#[rustfmt::skip]
const HIDE: &[&str] = &[
    "CATENATE", "CONTEXT=*", "CONVERT", "FILTERS", "IMAPSIEVE=*", "JMAPACCESS", "MULTISEARCH", "UIDONLY", "URLAUTH",
    "URLAUTH=*", "URL-PARTIAL", "X-NETSCAPE", "XAPPLEPUSHSERVICE",
];

const OWN: &[&str] = &["STARTTLS", "LOGINDISABLED", "LITERAL+", "LITERAL-"];

/// Why a name cannot be allowed by the operator, if it cannot; in any case.
#[must_use]
pub fn never(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    if listed(OWN, &upper) {
        return Some("this program says it for itself: TLS and literals are its own");
    }
    if upper == DEFLATE {
        return Some("this program serves it itself, on each side: `compress` of listener and upstream say where");
    }
    NEVER.iter().find(|(_, names)| listed(names, &upper)).map(|(why, _)| *why)
}

/// Whether a name is shown without being allowed; in any case.
#[must_use]
pub fn is_common(name: &str) -> bool {
    listed(PASS, &name.to_ascii_uppercase())
}

fn listed(names: &[&str], upper: &str) -> bool {
    names.iter().any(|pattern| matches(pattern, upper))
}

impl Rules<'_> {
    /// What is done with a name, in any case. `AUTH=` names are hidden while login needs TLS.
    #[must_use]
    pub fn show(&self, name: &str) -> Shown {
        let upper = name.to_ascii_uppercase();
        let mechanism = upper.strip_prefix("AUTH=");
        let asked = |hidden: &String| {
            hidden.eq_ignore_ascii_case(&upper) || mechanism.is_some_and(|name| hidden.eq_ignore_ascii_case(name))
        };
        if listed(OWN, &upper) {
            return Shown::Own;
        }
        let scram = mechanism.is_some_and(|name| name.starts_with("SCRAM-"));
        let too_early = mechanism.is_some() && self.client_tls == ClientTls::Required;
        let own = self.compress && upper == DEFLATE;
        if (never(&upper).is_some() && !own) || self.hide.iter().any(asked) || too_early || (scram && self.scram_plus) {
            return Shown::Hide;
        }
        if own {
            return Shown::Own;
        }
        let passes_unknown = self.unknown == Unknown::Pass && !listed(HIDE, &upper);
        if listed(PASS, &upper) || passes_unknown || self.allows(&upper) { Shown::Pass } else { Shown::Hide }
    }

    /// Whether the operator allows a command or capability by this name, in any case.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|listed| listed.eq_ignore_ascii_case(name));
        named(self.allow) && !named(self.hide) && never(name).is_none()
    }

    /// Filters the names of a capability list: all behind `CAPABILITY` and its SP, without the end
    /// of the line or the `]`. The proxy's own names are put where the server's stood, or at the end.
    #[must_use]
    pub fn filter(&self, list: &[u8]) -> Filtered {
        let scram_plus = self.scram_plus || has_scram_plus(list);
        let rules = Self { scram_plus, ..*self };
        let names = list.trim_ascii();
        let padding = list.get(names.len()..).filter(|_| list.starts_with(names)).unwrap_or_default();
        let mut octets = Vec::with_capacity(list.len() + LITERALS.len() + 1);
        let mut removed = Vec::new();
        let mut own = rules.own_names();
        for name in names.split(|octet| *octet == b' ') {
            let text = String::from_utf8_lossy(name);
            match rules.show(&text) {
                // an empty name is the second of two spaces, and not ours to mend
                _ if name.is_empty() => add(&mut octets, name),
                Shown::Pass => add(&mut octets, name),
                Shown::Own if own.remove(own_name(&text)) => add(&mut octets, own_name(&text).as_bytes()),
                Shown::Own | Shown::Hide => removed.push(text.into_owned()),
            }
        }
        for name in own {
            add(&mut octets, name.as_bytes());
        }
        // Quirk: Yahoo sends a SP before the end of the line
        octets.extend_from_slice(padding);
        Filtered { changed: octets != list, octets, removed, scram_plus }
    }

    /// Whether `offered` and these rules let a client use what needs one of `group` in each of
    /// `needs`. IMAP4rev2 includes many extensions (RFC 9051 appendix E); where it is one of a group,
    /// a name of that group that is hidden is refused although IMAP4rev2 is shown.
    #[must_use]
    pub fn satisfied(&self, needs: &[&[&str]], offered: &Offered) -> bool {
        needs.iter().all(|group| {
            let hidden = |name: &&str| self.show(name) == Shown::Hide;
            let is_rev2 = |name: &str| name.eq_ignore_ascii_case("IMAP4rev2");
            let by_itself = group.iter().any(|name| !is_rev2(name) && offered.has(name) && !hidden(name));
            let by_rev2 = group.iter().any(|name| is_rev2(name) && offered.has(name) && !hidden(name));
            by_itself || (by_rev2 && !group.iter().any(|name| !is_rev2(name) && hidden(name)))
        })
    }

    /// What the proxy says for itself, in this state.
    fn own_names(&self) -> BTreeSet<&'static str> {
        let clear: &[&str] = if self.client_tls == ClientTls::Required { &["STARTTLS", "LOGINDISABLED"] } else { &[] };
        let compress = (self.show(DEFLATE) == Shown::Own).then_some(DEFLATE);
        clear.iter().copied().chain([LITERALS]).chain(compress).collect()
    }
}

/// What a server offered and a client was shown: a set of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offered(BTreeSet<String>);

impl Offered {
    /// The names of a list, separated by SP.
    #[must_use]
    pub fn read(list: &[u8]) -> Self {
        let names = list.split(|octet| *octet == b' ').filter_map(|name| std::str::from_utf8(name).ok());
        Self(names.filter(|name| !name.is_empty()).map(str::to_ascii_uppercase).collect())
    }

    /// Whether `name` is among them, in any case.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(&name.to_ascii_uppercase())
    }

    /// Whether there are any: before the first list nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn has_scram_plus(list: &[u8]) -> bool {
    let plus = |name: &[u8]| matches("AUTH=SCRAM-*-PLUS", &String::from_utf8_lossy(name).to_ascii_uppercase());
    list.split(|octet| *octet == b' ').any(plus)
}

/// `*` stands for one or more octets.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            let rest = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
            rest.is_some_and(|rest| !rest.is_empty())
        }
    }
}

/// The proxy's spelling of a name of its own.
fn own_name(name: &str) -> &'static str {
    let literals =
        name.len() == LITERALS.len() && name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("LITERAL"));
    let others = ["STARTTLS", "LOGINDISABLED", DEFLATE].into_iter();
    if literals { LITERALS } else { others.into_iter().find(|own| own.eq_ignore_ascii_case(name)).unwrap_or_default() }
}

fn add(octets: &mut Vec<u8>, name: &[u8]) {
    if !octets.is_empty() {
        octets.push(b' ');
    }
    octets.extend_from_slice(name);
}

#[cfg(test)]
mod tests;
