//! Wire octets as a person may read them.

use std::fmt::Write as _;

use crate::redact::MASK;

/// The longest text of one observation, in octets of the line.
const LONGEST: usize = 4096;

/// `octets` without CRLF, control characters and 8-bit escaped, cut at 4096 octets. The caller has
/// masked what is secret before; only the tokens of URLs, which servers make and repeat anywhere, are
/// masked here.
pub(crate) fn legible(octets: &[u8]) -> String {
    let line = octets.strip_suffix(b"\r\n").unwrap_or(octets);
    let shown = line.get(..LONGEST).unwrap_or(line);
    let mut text = String::with_capacity(shown.len());
    for octet in shown {
        match octet {
            b' '..=b'~' => text.push(char::from(*octet)),
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            _ => {
                // writing to a String cannot fail
                let _ = write!(text, "\\x{octet:02x}");
            }
        }
    }
    if shown.len() < line.len() {
        let _ = write!(text, "… ({} octets)", line.len());
    }
    if text.contains(';') { without_tokens(&text) } else { text }
}

/// `;URLAUTH=access:mechanism:token` grants what the URL names to whoever has it (RFC 4467 §3).
fn without_tokens(text: &str) -> String {
    // as long as the text, for only ASCII changes
    let (lower, mut masked, mut from) = (text.to_ascii_lowercase(), String::with_capacity(text.len()), 0);
    while let Some(found) = lower.get(from..).and_then(|rest| rest.find(URLAUTH)) {
        let token = from + found + URLAUTH.len();
        masked.push_str(text.get(from..token).unwrap_or_default());
        masked.push_str(MASK);
        let rest = text.get(token..).unwrap_or_default();
        from = token + rest.find([' ', '"', ')', ']']).unwrap_or(rest.len());
    }
    masked.push_str(text.get(from..).unwrap_or_default());
    masked
}

const URLAUTH: &str = ";urlauth=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_the_token_of_a_url_wherever_it_stands() {
        for (line, text) in [
            (
                &b"* GENURLAUTH \"imap://joe@h/x;UID=1;urlauth=user+joe:internal:91ab\" \"imap://h/y;URLAUTH=z:w:1\"\r\n"[..],
                "* GENURLAUTH \"imap://joe@h/x;UID=1;urlauth=‹secret›\" \"imap://h/y;URLAUTH=‹secret›\"",
            ),
            (b"a NO [BADURL /x;URLAUTH=a:b:91ab] no; never\r\n", "a NO [BADURL /x;URLAUTH=‹secret›] no; never"),
            (b"* URLFETCH imap://h/x;URLAUTH=a:b:91ab", "* URLFETCH imap://h/x;URLAUTH=‹secret›"),
            (b"* OK \xe9;", "* OK \\xe9;"),
        ] {
            assert_eq!(legible(line), text);
        }
    }

    #[test]
    fn escapes_what_a_terminal_would_act_on() {
        assert_eq!(legible(b"* OK \x1b[31m\0\xc3\xa9\ta\r\n"), "* OK \\x1b[31m\\x00\\xc3\\xa9\\ta");
        assert_eq!(legible(&[b'x'; 5000]).len(), 4096 + "… (5000 octets)".len());
    }
}
