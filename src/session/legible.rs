//! Wire octets as a person may read them.

use std::fmt::Write as _;

/// The longest text of one observation, in octets of the line.
const LONGEST: usize = 4096;

/// `octets` without CRLF, control characters and 8-bit escaped, cut at 4096 octets. The caller has
/// masked what is secret before.
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
    text
}

#[cfg(test)]
mod tests {
    use super::legible;

    #[test]
    fn escapes_what_a_terminal_would_act_on() {
        assert_eq!(legible(b"* OK \x1b[31m\0\xc3\xa9\ta\r\n"), "* OK \\x1b[31m\\x00\\xc3\\xa9\\ta");
        assert_eq!(legible(&[b'x'; 5000]).len(), 4096 + "… (5000 octets)".len());
    }
}
