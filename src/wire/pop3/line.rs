//! Cuts lines, for both directions. It must never look at what a line says.

use memchr::memchr;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// CRLF and nothing else (RFC 1939 §3): a bare CR or LF is part of the line.
    Strict,
    /// LF, with or without a CR before it: how lenient peers read.
    Lenient,
}

/// What stands at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A whole line of this many octets, its end included.
    Line(usize),
    /// So many octets of a line that is longer than its limit. The first such piece of a line is
    /// always two octets shorter than the limit, however the input was cut.
    Part(usize),
    /// The last octets of such a line, its end included.
    Tail(usize),
}

/// Finds line ends incrementally: any split of the input gives the same lines.
#[derive(Debug, Default)]
pub struct LineFramer {
    /// Octets at the front of the input that hold no line end; never more than the input's length.
    scanned: usize,
    /// Inside a line that is longer than its limit.
    overlong: bool,
}

impl LineFramer {
    /// The next piece of `input`, which starts where the last piece ended; `None` if more octets are
    /// needed. `limit` counts octets with the line end and is at least 3.
    pub fn next(&mut self, input: &[u8], end: LineEnd, limit: usize) -> Option<Piece> {
        if let Some(length) = self.find(input, end) {
            self.scanned = 0;
            if self.overlong {
                self.overlong = false;
                return Some(Piece::Tail(length));
            }
            if length <= limit {
                return Some(Piece::Line(length));
            }
        } else if self.overlong {
            self.scanned = 0;
            // a CR is left behind: its LF may follow
            let whole = input.len() - usize::from(input.last() == Some(&b'\r'));
            return (whole > 0).then_some(Piece::Part(whole));
        } else if input.len() < limit {
            return None;
        }
        self.scanned = 0;
        self.overlong = true;
        Some(Piece::Part(limit.saturating_sub(2).max(1)))
    }

    fn find(&mut self, input: &[u8], end: LineEnd) -> Option<usize> {
        loop {
            let at = self.scanned
                + memchr(b'\n', input.get(self.scanned..)?).or_else(|| {
                    self.scanned = input.len();
                    None
                })?;
            let after_cr = at.checked_sub(1).and_then(|before| input.get(before)) == Some(&b'\r');
            if end == LineEnd::Lenient || after_cr {
                return Some(at + 1);
            }
            self.scanned = at + 1;
        }
    }
}

/// A cut line without its end.
#[must_use]
pub fn text_of(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All whole lines, with those too long as `None`, from input that arrives in pieces.
    fn lines(pieces: &[&[u8]], end: LineEnd, limit: usize) -> Vec<Option<Vec<u8>>> {
        let (mut framer, mut inbox, mut found) = (LineFramer::default(), Vec::new(), Vec::new());
        for piece in pieces {
            inbox.extend_from_slice(piece);
            while let Some(piece) = framer.next(&inbox, end, limit) {
                let (Piece::Line(length) | Piece::Part(length) | Piece::Tail(length)) = piece;
                let octets: Vec<u8> = inbox.drain(..length).collect();
                match piece {
                    Piece::Line(_) => found.push(Some(octets)),
                    Piece::Part(_) => {}
                    Piece::Tail(_) => found.push(None),
                }
            }
        }
        found
    }

    #[test]
    fn ends_a_strict_line_at_crlf_only() {
        assert_eq!(
            lines(&[b"a\nb\rc\r\nd\r\n"], LineEnd::Strict, 99),
            [Some(b"a\nb\rc\r\n".to_vec()), Some(b"d\r\n".to_vec())]
        );
        assert_eq!(lines(&[b"a\nb\r\n"], LineEnd::Lenient, 99), [Some(b"a\n".to_vec()), Some(b"b\r\n".to_vec())]);
    }

    #[test]
    fn reads_on_after_an_overlong_line() {
        assert_eq!(lines(&[b"123456789\r\nok\r\n"], LineEnd::Strict, 8), [None, Some(b"ok\r\n".to_vec())]);
        assert_eq!(lines(&[b"123456\r\n"], LineEnd::Strict, 8), [Some(b"123456\r\n".to_vec())]);
    }

    proptest! {
        #[test]
        fn does_not_depend_on_how_octets_arrive(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200),
            cut in 1usize..9,
            limit in 3usize..20,
        ) {
            for end in [LineEnd::Strict, LineEnd::Lenient] {
                let pieces: Vec<&[u8]> = octets.chunks(cut).collect();
                prop_assert_eq!(lines(&pieces, end, limit), lines(&[&octets], end, limit));
            }
        }
    }
}
