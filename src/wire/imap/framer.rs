//! Cuts one direction of an IMAP stream into lines and runs of literal octets.
//!
//! Framing alone decides where things end: the framer finds CRLF and counts octets, in one pass,
//! whatever the input's chunks. It does not decide whether an announcement at the end of a line is
//! a literal, for that depends on what the line is (RFC 9051 §7.1: the text of a status response
//! may end in `{10}`); its user says so by [`Framer::expect_octets`]. It copies nothing but the last
//! few octets of a line that is longer than its limit.

use memchr::memchr;

use super::literal::{Tail, WINDOW};

/// The framer of one direction.
#[derive(Debug, Default)]
pub struct Framer {
    /// Octets of the input known to hold no line end. `scanned <= input.len()`.
    scanned: usize,
    /// Literal octets still to come.
    octets: u64,
    /// The end of a line of which parts were handed out; empty while a line is whole.
    window: Vec<u8>,
    /// A bare LF right behind `}` was seen in the current line.
    broken: bool,
}

/// A piece of the stream; `len` octets at the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A line to its CRLF, or the end of one of which parts were handed out.
    Line {
        /// Octets, CRLF included.
        len: usize,
        /// What the end of the line says.
        tail: Tail,
        /// `}` was followed by a bare LF: one peer may read a literal where another reads text.
        broken: bool,
    },
    /// A part of a line that is longer than the limit; its end follows as a `Line`.
    Part {
        /// Octets.
        len: usize,
    },
    /// Literal octets.
    Octets {
        /// Octets.
        len: usize,
        /// The literal ends here.
        last: bool,
    },
}

impl Framer {
    /// The next piece at the start of `input`, or none until more octets have come. The user removes
    /// a piece's octets from the input before the next call. A line of at most `limit` octets is
    /// handed out whole.
    pub fn next(&mut self, input: &[u8], limit: usize) -> Option<Piece> {
        if self.octets > 0 {
            return self.literal(input);
        }
        match self.line_end(input) {
            Some(end) if self.window.is_empty() && end <= limit => {
                let tail = Tail::of(input.get(..end - 2).unwrap_or_default());
                Some(self.line(end, tail))
            }
            Some(end) if end > 2 => Some(self.part(input, end - 2)),
            Some(end) => {
                let tail = Tail::of(&self.window);
                self.window = Vec::new();
                Some(self.line(end, tail))
            }
            None if input.len() <= limit && self.window.is_empty() => None,
            // a CR at the end may be the first half of a CRLF
            None => match input.len() - usize::from(input.ends_with(b"\r")) {
                0 => None,
                len => Some(self.part(input, len)),
            },
        }
    }

    /// The next `count` octets are a literal's.
    pub fn expect_octets(&mut self, count: u64) {
        self.octets = count;
    }

    /// Nothing of a line or literal has been handed out that is still unfinished.
    #[must_use]
    pub fn at_line_start(&self) -> bool {
        self.octets == 0 && self.window.is_empty()
    }

    /// Nothing of what comes next has been looked at: lines may be taken from the input without asking here.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.scanned == 0 && self.at_line_start()
    }

    fn literal(&mut self, input: &[u8]) -> Option<Piece> {
        let len = usize::try_from(self.octets).map_or(input.len(), |octets| octets.min(input.len()));
        if len == 0 {
            return None;
        }
        self.octets -= len as u64;
        Some(Piece::Octets { len, last: self.octets == 0 })
    }

    fn line(&mut self, len: usize, tail: Tail) -> Piece {
        self.scanned = 0;
        let broken = std::mem::take(&mut self.broken);
        Piece::Line { len, tail, broken }
    }

    fn part(&mut self, input: &[u8], len: usize) -> Piece {
        let part = input.get(..len).unwrap_or_default();
        self.window.extend_from_slice(part.get(len.saturating_sub(WINDOW + 4)..).unwrap_or_default());
        let surplus = self.window.len().saturating_sub(WINDOW + 4);
        self.window.drain(..surplus);
        self.scanned = 0;
        Piece::Part { len }
    }

    /// The index behind the first CRLF; remembers how far it has looked.
    fn line_end(&mut self, input: &[u8]) -> Option<usize> {
        debug_assert!(self.scanned <= input.len());
        while let Some(found) = memchr(b'\n', input.get(self.scanned..)?) {
            let at = self.scanned + found;
            let before = at.checked_sub(1).and_then(|before| input.get(before)).or(self.window.last());
            self.scanned = at + 1;
            match before {
                Some(b'\r') if at > 0 => return Some(at + 1),
                Some(b'}') => self.broken = true,
                Some(_) | None => {}
            }
        }
        self.scanned = input.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `stream` in chunks that end at `cuts` and joins what belongs together.
    fn cut(stream: &[u8], cuts: &[usize], limit: usize, literals: bool) -> Vec<(String, Vec<u8>)> {
        let mut framer = Framer::default();
        let (mut inbox, mut pieces, mut from) = (Vec::new(), Vec::<(String, Vec<u8>)>::new(), 0);
        for to in cuts.iter().copied().chain([stream.len()]) {
            inbox.extend_from_slice(&stream[from..to.max(from)]);
            from = to.max(from);
            while let Some(piece) = framer.next(&inbox, limit) {
                let (kind, len) = describe(piece);
                let announced =
                    if let Piece::Line { tail: Tail::Literal(literal), .. } = piece { literal.octets } else { 0 };
                if literals && announced > 0 {
                    framer.expect_octets(announced);
                }
                let octets: Vec<u8> = inbox.drain(..len).collect();
                match pieces.last_mut() {
                    Some((last, run)) if *last == "part" && kind == "part" => run.extend(octets),
                    Some((last, run)) if *last == "octets false" && kind.starts_with("octets") => {
                        *last = kind;
                        run.extend(octets);
                    }
                    _ => pieces.push((kind, octets)),
                }
            }
        }
        pieces
    }

    fn describe(piece: Piece) -> (String, usize) {
        match piece {
            Piece::Line { len, tail, broken } => (format!("line {tail:?} {broken}"), len),
            Piece::Part { len } => ("part".to_owned(), len),
            Piece::Octets { len, last } => (format!("octets {last}"), len),
        }
    }

    #[test]
    fn a_line_ends_at_crlf_only() {
        let pieces = cut(b"a\nb\rc\r\r\nd\r\n", &[], 100, true);
        let lines: Vec<_> = pieces.iter().map(|(_, octets)| octets.as_slice()).collect();
        assert_eq!(lines, [&b"a\nb\rc\r\r\n"[..], b"d\r\n"]);
    }

    #[test]
    fn a_line_over_the_limit_comes_in_parts_and_keeps_its_tail() {
        let pieces = cut(b"aaaaaaaaaaaa {3}\r\nxyz\r\n", &[4, 9, 17], 8, true);
        let kinds: Vec<_> = pieces.iter().map(|(kind, _)| kind.split(' ').next().unwrap()).collect();
        assert_eq!(kinds, ["part", "line", "octets", "line"]);
        assert_eq!(pieces[2].1, b"xyz");
    }

    #[test]
    fn marks_a_bare_lf_behind_a_brace() {
        assert!(cut(b"x {5}\nhello\r\n", &[], 100, true)[0].0.ends_with("true"));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            stream in proptest::collection::vec(prop_oneof![
                Just(b'\r'), Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'1'), Just(b'+'), Just(b'a'), Just(b' ')], 0..80),
            mut cuts in proptest::collection::vec(0usize..80, 0..8),
            limit in 2usize..20,
        ) {
            cuts.retain(|cut| *cut <= stream.len());
            cuts.sort_unstable();
            let every: Vec<usize> = (0..=stream.len()).collect();
            let whole = cut(&stream, &[], limit, true);
            let mut by_octet = cut(&stream, &every, limit, true);
            let mut in_chunks = cut(&stream, &cuts, limit, true);
            // what is not decided yet (an open part or literal) may stop at another place
            for pieces in [&mut by_octet, &mut in_chunks] {
                let open = pieces.last().is_some_and(|(kind, _)| kind == "part" || kind == "octets false");
                prop_assert!(*pieces == whole || open || whole.last().is_some_and(|(kind, _)| kind == "part"));
            }
        }
    }
}
