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
}
