//! Messages that are awkward for whoever carries them, the same in every run.

use std::fmt::Write as _;

/// As a Maildir keeps them, with bare LF; servers send CRLF.
pub(crate) fn awkward() -> Vec<Vec<u8>> {
    let lines_of_dots = ".\n..\n. \n...text\n.\n";
    let long_line = "x".repeat(5_000);
    vec![
        message("plain", "Hello,\n\nnothing special here.\n"),
        message("dots at line starts", lines_of_dots),
        message("looks like protocol", "* OK IMAP4rev1\na1 OK done\n+ go on\n{10}\n+OK\n-ERR\n)\n"),
        message("a long line", &format!("{long_line}\n")),
        message("empty body", ""),
        message("eight bits", "Grüße aus Köln, 1 €, \u{feff}\u{1f4ec}\n"),
        multipart(),
        message("some hundred KiB", &base64_lines(300 << 10)),
    ]
}

/// A message of about this many octets.
pub(crate) fn of_size(octets: usize) -> Vec<u8> {
    message("large", &base64_lines(octets))
}

fn message(subject: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Charles <charles@example.com>\nTo: Ada <ada@example.com>\nSubject: {subject}\n\
         Date: Mon, 01 Jan 2024 00:00:00 +0000\nMessage-ID: <{}@example.com>\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}",
        subject.replace(' ', ".")
    )
    .into_bytes()
}

fn multipart() -> Vec<u8> {
    format!(
        "From: Charles <charles@example.com>\nTo: Ada <ada@example.com>\nSubject: =?utf-8?q?Pl=C3=A4ne?=\n\
         Date: Mon, 01 Jan 2024 00:06:00 +0000\nMessage-ID: <plans@example.com>\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=\"=_b\"\n\n--=_b\nContent-Type: text/html\n\n<p>See the \
         attached plans.\n--=_b\nContent-Type: application/pdf; name=\"plans.pdf\"\n\
         Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"plans.pdf\"\n\n{}--=_b--\n",
        base64_lines(20_000)
    )
    .into_bytes()
}

/// Lines of 76 letters that do not repeat soon, so that a lost or doubled block shows.
fn base64_lines(octets: usize) -> String {
    let mut text = String::with_capacity(octets + 100);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while text.len() < octets {
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            write!(text, "{state:019x}").unwrap();
        }
        text.push('\n');
    }
    text
}
