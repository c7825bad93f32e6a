//! The mail of the demo: a few messages such as people have, made in code, the same every time.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};

use super::Message;

/// Mailboxes and messages for a demo: plain text, HTML with a text alternative, an attachment, some MB,
/// encoded and 8-bit headers, and a thread.
#[must_use]
pub fn samples() -> Vec<(String, Vec<Message>)> {
    let inbox = vec![
        welcome(),
        newsletter(),
        thread(0, "Where shall we have lunch?", "The new place at the canal, or the usual one?"),
        thread(1, "Re: Where shall we have lunch?", "The canal. They have soup.\r\n.\r\nAnd a terrace."),
        thread(2, "Re: Where shall we have lunch?", "..and cake, I hear.\r\n..\r\n. See you at noon."),
        invoice(),
        international(),
        forwarded(),
        photographs(),
    ];
    let sent = vec![thread(3, "Re: Where shall we have lunch?", "I am on my way.").with_flag("\\Seen")];
    ["INBOX", "Archive", "Drafts", "Projects", "Projects/2026", "Entw&APw-rfe", "Sent", "Trash"]
        .into_iter()
        .map(|name| {
            let messages = match name {
                "INBOX" => inbox.clone(),
                "Sent" => sent.clone(),
                "Archive" => (10..14).map(|n| thread(n, "Minutes of the meeting", "Nothing was decided.")).collect(),
                _ => Vec::new(),
            };
            (name.to_owned(), messages)
        })
        .collect()
}

/// A message of about `octets` octets whose body is one base64 attachment, for tests of size.
#[must_use]
pub fn large(subject: &str, octets: usize) -> Message {
    let mut text = header(40, "Marta <marta@example.org>", subject);
    text.push_str("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_photos\"\r\n\r\n");
    text.push_str("--=_photos\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe pictures of Saturday.\r\n");
    text.push_str("--=_photos\r\nContent-Type: image/jpeg; name=\"saturday.jpg\"\r\n");
    text.push_str("Content-Transfer-Encoding: base64\r\n");
    text.push_str("Content-Disposition: attachment; filename=\"saturday.jpg\"\r\n\r\n");
    // 57 octets make a line of 76 characters and CRLF
    let lines = octets.saturating_sub(text.len()) / 78;
    let mut noise = Noise(1);
    text.reserve(lines * 78 + 32);
    for _ in 0..lines {
        push_base64(&mut text, &std::array::from_fn::<u8, 57, _>(|_| noise.octet()));
    }
    text.push_str("--=_photos--\r\n");
    message(40, text)
}

/// In lines of 76 characters (RFC 2045 §6.8).
fn push_base64(text: &mut String, octets: &[u8]) {
    for line in octets.chunks(57) {
        BASE64_STANDARD.encode_string(line, text);
        text.push_str("\r\n");
    }
}

fn welcome() -> Message {
    let mut text = header(0, "Mailwarden <postmaster@example.org>", "Welcome to the sandbox");
    text.push_str("Content-Type: text/plain; charset=us-ascii\r\n\r\n");
    text.push_str("Hello Ann,\r\n\r\nthis mailbox lives in memory. Read, flag, move and delete as you like:\r\n");
    text.push_str("it is gone when the program ends.\r\n\r\n-- \r\nThe sandbox\r\n");
    message(0, text).with_flag("\\Seen")
}

fn newsletter() -> Message {
    let mut text = header(3, "Harbour News <news@harbour.example>", "Ten boats you should see");
    text.push_str("List-Unsubscribe: <https://harbour.example/unsubscribe>\r\nMIME-Version: 1.0\r\n");
    text.push_str("Content-Type: multipart/alternative;\r\n boundary=\"=_alternative\"\r\n\r\n");
    text.push_str("A message in two forms.\r\n");
    text.push_str("--=_alternative\r\nContent-Type: text/plain; charset=utf-8\r\n");
    text.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\nTen boats =E2=80=93 in plain words.\r\n\r\n");
    text.push_str("--=_alternative\r\nContent-Type: text/html; charset=utf-8\r\n");
    text.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    text.push_str("<html><body><h1 style=3D\"color:navy\">Ten boats</h1><p>In colour.</p></body></html>\r\n");
    text.push_str("--=_alternative--\r\n");
    message(3, text)
}

fn thread(number: i64, subject: &str, body: &str) -> Message {
    let from =
        ["Ben <ben@example.org>", "=?utf-8?q?Clara=2C_n=C3=A9e_Ost?= <clara@example.org>", "Ann <ann@example.org>"];
    let from = from.into_iter().cycle().nth(usize::try_from(number).unwrap_or_default()).unwrap_or_default();
    let mut text = header(5 + number, from, subject);
    if (1..10).contains(&number) {
        let parent = message_id(4 + number);
        let _infallible = write!(text, "In-Reply-To: {parent}\r\nReferences: {parent}\r\n");
    }
    let _infallible = write!(text, "Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n");
    message(5 + number, text)
}

fn invoice() -> Message {
    let mut text = header(20, "Accounts <accounts@supplier.example>", "Invoice 2026-0117");
    text.push_str("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_invoice\"\r\n\r\n");
    text.push_str("--=_invoice\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
    text.push_str("Please find the invoice attached.\r\n\r\n");
    text.push_str("--=_invoice\r\nContent-Type: application/pdf; name=\"invoice-2026-0117.pdf\"\r\n");
    text.push_str("Content-Transfer-Encoding: base64\r\nContent-Description: The invoice\r\n");
    text.push_str("Content-Disposition: attachment; filename=\"invoice-2026-0117.pdf\"; size=3000\r\n\r\n");
    let mut noise = Noise(7);
    let mut pdf = b"%PDF-1.4\n".to_vec();
    pdf.extend(std::iter::repeat_with(|| noise.octet()).take(3000 - pdf.len() - 6));
    pdf.extend(b"%%EOF\n");
    push_base64(&mut text, &pdf);
    text.push_str("--=_invoice--\r\n");
    message(20, text).with_flag("\\Flagged")
}

fn international() -> Message {
    let from = "=?utf-8?b?SsO8cmdlbiBHcsO8bg==?= <juergen@example.org>";
    let mut text = header(22, from, "=?iso-8859-1?q?Gr=FC=DFe_aus_K=F6ln?=");
    text.push_str("X-Note: Grüße, unencoded (RFC 6532)\r\nMIME-Version: 1.0\r\n");
    text.push_str("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    text.push_str("Schöne Grüße vom Rhein – und ein Gruß an alle.\r\n");
    message(22, text)
}

fn forwarded() -> Message {
    let mut text = header(24, "Ben <ben@example.org>", "Fwd: Minutes of the meeting");
    text.push_str("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=fwd\r\n\r\n");
    text.push_str("--fwd\r\nContent-Type: text/plain\r\n\r\nFor your files.\r\n");
    text.push_str("--fwd\r\nContent-Type: message/rfc822\r\n\r\n");
    text.push_str(&header(10, "Clara <clara@example.org>", "Minutes of the meeting"));
    text.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\nNothing was decided.\r\n");
    text.push_str("--fwd--\r\n");
    message(24, text)
}

fn photographs() -> Message {
    large("The pictures of Saturday", 3 << 20)
}

/// The fields every message has. `hour` counts from the sandbox's first day.
fn header(hour: i64, from: &str, subject: &str) -> String {
    let date = received(hour).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
    format!(
        "Return-Path: <bounce@example.org>\r\nDate: {date}\r\nFrom: {from}\r\nTo: Ann <ann@example.org>\r\n\
         Subject: {subject}\r\nMessage-ID: {}\r\n",
        message_id(hour)
    )
}

fn message_id(hour: i64) -> String {
    format!("<{hour}.sandbox@example.org>")
}

fn received(hour: i64) -> Timestamp {
    // Monday, 2 November 2026, 08:00 UTC
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_793_606_400 + hour * 3600)
}

fn message(hour: i64, text: String) -> Message {
    Message::new(text, received(hour))
}

/// Octets that look random and are the same in every run (a linear congruential generator).
struct Noise(u64);

impl Noise {
    fn octet(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0.to_be_bytes()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_same_mail_every_time() {
        assert_eq!(samples(), samples());
    }

    #[test]
    fn makes_only_clean_line_ends() {
        for (mailbox, messages) in samples() {
            for message in messages {
                let content = &message.content;
                let bare = memchr::memchr_iter(b'\n', content).any(|at| at == 0 || content[at - 1] != b'\r');
                let lone = memchr::memchr_iter(b'\r', content).any(|at| content.get(at + 1) != Some(&b'\n'));
                assert!(!bare && !lone && content.ends_with(b"\r\n"), "{mailbox}");
            }
        }
    }

    #[test]
    fn dates_the_first_day_right() {
        assert!(header(0, "a", "b").contains("\r\nDate: Mon, 02 Nov 2026 08:00:00 +0000\r\n"));
        let sizes = [large("x", 1 << 20).content.len(), 1 << 20];
        assert!(sizes[0].abs_diff(sizes[1]) < 200, "{sizes:?}");
    }
}
