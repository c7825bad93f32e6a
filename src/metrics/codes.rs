//! Response codes of refusals, by what they say. A code that a server invents is `other`.

/// The classes, `none` first: a refusal without a code.
pub(super) const CLASSES: &[&str] = &[
    "none",
    "login",
    "permission",
    "absent",
    "exists",
    "in_use",
    "limit",
    "unavailable",
    "request",
    "server",
    "other",
];

/// The position in [`CLASSES`] of a code (RFC 5530 §3, RFC 9051 §7.1, RFC 2449 §8, RFC 3206 §4).
pub(super) fn class(code: Option<&str>) -> usize {
    let Some(code) = code else { return 0 };
    let upper = code.to_ascii_uppercase();
    let class = match upper.as_str() {
        "AUTHENTICATIONFAILED" | "AUTHORIZATIONFAILED" | "EXPIRED" | "PRIVACYREQUIRED" | "AUTH" => "login",
        "NOPERM" | "CONTACTADMIN" => "permission",
        "NONEXISTENT" | "TRYCREATE" | "NOTSAVED" => "absent",
        "ALREADYEXISTS" => "exists",
        "INUSE" | "IN-USE" => "in_use",
        "LIMIT" | "OVERQUOTA" | "TOOBIG" | "LOGIN-DELAY" | "TOOMANY" | "MESSAGELIMIT" => "limit",
        "UNAVAILABLE" | "SYS/TEMP" => "unavailable",
        "CLIENTBUG" | "CANNOT" | "BADCHARSET" | "PARSE" | "BADURL" | "BADEVENT" | "BADCOMPARATOR" | "UTF8"
        | "UNKNOWN-CTE" => "request",
        "SERVERBUG" | "CORRUPTION" | "SYS/PERM" | "EXPUNGEISSUED" => "server",
        _ => "other",
    };
    CLASSES.iter().position(|known| *known == class).unwrap_or(CLASSES.len() - 1)
}

/// The code as a word of a closed set: in upper case if it is one that mail servers are known to use, else `other`.
pub(crate) fn word(code: &str) -> &'static str {
    KNOWN.iter().find(|known| known.eq_ignore_ascii_case(code)).unwrap_or(&"other")
}

/// RFC 9051 §7.1 and the registry it began, RFC 2449 §8, RFC 3206 §4.
const KNOWN: &[&str] = &[
    "ALERT",
    "ALREADYEXISTS",
    "APPENDUID",
    "AUTH",
    "AUTHENTICATIONFAILED",
    "AUTHORIZATIONFAILED",
    "BADCHARSET",
    "BADCOMPARATOR",
    "BADEVENT",
    "BADURL",
    "CANNOT",
    "CAPABILITY",
    "CLIENTBUG",
    "CLOSED",
    "COMPRESSIONACTIVE",
    "CONTACTADMIN",
    "COPYUID",
    "CORRUPTION",
    "EXPIRED",
    "EXPUNGEISSUED",
    "HASCHILDREN",
    "HIGHESTMODSEQ",
    "IN-USE",
    "INUSE",
    "LIMIT",
    "LOGIN-DELAY",
    "MAILBOXID",
    "MAXCONVERTMESSAGES",
    "MESSAGELIMIT",
    "METADATA",
    "MODIFIED",
    "NOMODSEQ",
    "NONEXISTENT",
    "NOPERM",
    "NOTIFICATIONOVERFLOW",
    "NOTSAVED",
    "NOUPDATE",
    "OVERQUOTA",
    "PARSE",
    "PERMANENTFLAGS",
    "PRIVACYREQUIRED",
    "READ-ONLY",
    "READ-WRITE",
    "REFERRAL",
    "SERVERBUG",
    "SYS/PERM",
    "SYS/TEMP",
    "TOOBIG",
    "TOOMANY",
    "TRYCREATE",
    "UIDNEXT",
    "UIDNOTSTICKY",
    "UIDREQUIRED",
    "UIDVALIDITY",
    "UNAVAILABLE",
    "UNKNOWN-CTE",
    "UNSEEN",
    "URLMECH",
    "USEATTR",
    "UTF8",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_by_its_meaning_whatever_its_case() {
        for (code, expected) in [
            (None, "none"),
            (Some("AUTHENTICATIONFAILED"), "login"),
            (Some("nonexistent"), "absent"),
            (Some("SYS/TEMP"), "unavailable"),
            (Some("IN-USE"), "in_use"),
            (Some("XINVENTED"), "other"),
        ] {
            assert_eq!(CLASSES[class(code)], expected, "{code:?}");
        }
    }

    #[test]
    fn only_known_codes_are_words() {
        assert_eq!((word("NoPerm"), word("hunter2")), ("NOPERM", "other"));
        assert!(KNOWN.is_sorted());
        // what has a class is known
        for code in KNOWN.iter().filter(|code| CLASSES[class(Some(code))] != "other") {
            assert_eq!(word(code), *code);
        }
    }
}
