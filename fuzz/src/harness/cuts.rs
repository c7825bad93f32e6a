//! Framers give the same pieces however octets arrive.

use std::fmt::Write;

use mailwarden::wire::imap::{FetchScanner, Framer, Piece, Tail};
use mailwarden::wire::pop3::{self, Body, LineEnd, LineFramer, Repair};

/// The first octet is the limit of a line.
pub fn imap_framer(octets: &[u8]) {
    let [limit, stream @ ..] = octets else { return };
    let limit = usize::from(*limit) + 2;
    let whole = imap_pieces(stream, limit, usize::MAX);
    for step in [1, 2, 7] {
        let cut = imap_pieces(stream, limit, step);
        // a line that is too long and still open stops at another place
        assert!(whole == cut || [&whole, &cut].into_iter().any(|text| text.ends_with("part")), "{whole}\n{cut}");
    }
}

fn imap_pieces(stream: &[u8], limit: usize, step: usize) -> String {
    let (mut framer, mut scanner) = (Framer::default(), FetchScanner::default());
    let (mut inbox, mut told) = (Vec::new(), String::new());
    let mut octets = 0;
    for chunk in stream.chunks(step.min(stream.len()).max(1)) {
        inbox.extend_from_slice(chunk);
        while let Some(piece) = framer.next(&inbox, limit) {
            let (Piece::Line { len, .. } | Piece::Part { len } | Piece::Octets { len, .. }) = piece;
            assert!(0 < len && len <= inbox.len());
            match piece {
                Piece::Octets { last, .. } => {
                    octets += len;
                    if last {
                        write!(told, "\noctets {}", std::mem::take(&mut octets)).expect("memory");
                    }
                }
                Piece::Part { .. } if told.ends_with("part") => scanner.text(&inbox[..len]),
                Piece::Part { .. } => {
                    told.push_str("\npart");
                    scanner.text(&inbox[..len]);
                }
                Piece::Line { tail, broken, .. } => {
                    assert!(len <= limit && inbox[..len].ends_with(b"\r\n"));
                    write!(told, "\nline {len} {tail:?} {broken}").expect("memory");
                    if let Tail::Literal(literal) = tail {
                        framer.expect_octets(literal.octets);
                        scanner.literal(literal);
                    } else {
                        write!(told, "\n{:?}", std::mem::take(&mut scanner).finish()).expect("memory");
                    }
                }
            }
            inbox.drain(..len);
        }
        assert!(inbox.len() <= limit + 1, "{} octets are held", inbox.len());
    }
    told
}

/// The first octet is the limit of a line and the kind of its end.
pub fn pop3_framers(octets: &[u8]) {
    let [limit, stream @ ..] = octets else { return };
    let end = if limit & 1 == 0 { LineEnd::Strict } else { LineEnd::Lenient };
    let limit = usize::from(*limit / 2) + 3;
    let lines = pop3_lines(stream, end, limit, usize::MAX);
    let bodies = [Repair::Mend, Repair::Keep].map(|repair| body(stream, repair, usize::MAX));
    for step in [1, 2, 7] {
        let cut = pop3_lines(stream, end, limit, step);
        assert!(lines == cut || [&lines, &cut].into_iter().any(|text| text.ends_with("part")), "{lines}\n{cut}");
        for (whole, repair) in bodies.iter().zip([Repair::Mend, Repair::Keep]) {
            assert_eq!(*whole, body(stream, repair, step));
        }
    }
    if let [Some(mended), _] = &bodies {
        // what was mended is clean: its lines end in CRLF only, and it ends where every reader thinks so
        assert!(!pop3::has_bare_line_end(&without_line_ends(mended)));
        assert_eq!(body(mended, Repair::Keep, usize::MAX).as_ref(), Some(mended));
    }
}

fn pop3_lines(stream: &[u8], end: LineEnd, limit: usize, step: usize) -> String {
    let (mut framer, mut inbox, mut told) = (LineFramer::default(), Vec::new(), String::new());
    for chunk in stream.chunks(step.min(stream.len()).max(1)) {
        inbox.extend_from_slice(chunk);
        while let Some(piece) = framer.next(&inbox, end, limit) {
            let (pop3::Piece::Line(len) | pop3::Piece::Part(len) | pop3::Piece::Tail(len)) = piece;
            assert!(0 < len && len <= inbox.len());
            match piece {
                pop3::Piece::Line(len) => write!(told, "\nline {len}").expect("memory"),
                pop3::Piece::Part(_) if told.ends_with("part") => {}
                pop3::Piece::Part(_) => told.push_str("\npart"),
                pop3::Piece::Tail(_) => told.push_str(" tail"),
            }
            inbox.drain(..len);
        }
    }
    told
}

fn without_line_ends(mut body: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    while let [first, behind @ ..] = body {
        body = body.strip_prefix(b"\r\n").unwrap_or_else(|| {
            rest.push(*first);
            behind
        });
    }
    rest
}

/// The body as it goes on; none while it has no end.
fn body(stream: &[u8], repair: Repair, step: usize) -> Option<Vec<u8>> {
    let (mut body, mut inbox, mut passed) = (Body::new(repair), Vec::new(), Vec::new());
    let mut taken = 0;
    for chunk in stream.chunks(step.min(stream.len()).max(1)) {
        inbox.extend_from_slice(chunk);
        while let Some(piece) = body.next(&inbox) {
            assert!(0 < piece.taken && piece.taken <= inbox.len());
            let octets: Vec<u8> = inbox.drain(..piece.taken).collect();
            taken += piece.taken as u64;
            passed.extend(piece.mended.unwrap_or(octets));
            if piece.ended {
                let (removed, added) = body.altered();
                // where it is kept, these say what would have been
                let counted = repair == Repair::Keep || taken - removed + added == passed.len() as u64;
                assert!(counted, "what was changed is counted");
                return Some(passed);
            }
        }
        assert!(inbox.len() <= 3, "{} octets are held", inbox.len());
    }
    None
}
