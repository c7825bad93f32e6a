//! The body of a multi-line response: finds its end, and mends what would let a mail speak as the
//! server.
//!
//! Servers that byte-stuff only after CRLF pass a mail's `\n.\n` through as it is, and clients that
//! split at LF take it for the end and the rest of the mail for answers. So the body is decoded by
//! the strict automaton (lines end in CRLF and nothing else) and every bare CR or LF goes on as
//! CRLF, a dot behind it stuffed. A clean body is never copied: it is looked at once, by blocks,
//! and runs of it go on as slices of the input.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, i8x32, mask8x32, u8x32};
use memchr::memchr2;

/// Whether unclean line ends are mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// A bare CR or LF becomes CRLF, a dot that stuffs nothing is removed.
    Mend,
    /// All octets pass as they are; [`Body::is_dirty`] tells of it.
    Keep,
}

/// What became of the octets at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// Octets of input dealt with.
    pub taken: usize,
    /// What goes on in their place; `None`: they themselves.
    pub mended: Option<Vec<u8>>,
    /// The termination octet and its CRLF are the last of them.
    pub ended: bool,
}

/// The automaton. State lives across reads; at most two octets (`.` CR) are left in the input.
#[derive(Debug)]
pub struct Body {
    at: At,
    /// The vectors that the processor has.
    level: Level,
    repair: Repair,
    dirty: bool,
    lines: u64,
    removed: u64,
    added: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Behind a CRLF of the server.
    LineStart,
    /// Behind a line end that the server did not mean as one.
    MadeLineStart,
    Middle,
    /// Behind a CR.
    Cr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    NeedsMore,
    Unclean,
    Ended,
}

impl Body {
    /// The state behind a status line.
    #[must_use]
    pub fn new(repair: Repair) -> Self {
        Self { at: At::LineStart, level: Level::new(), repair, dirty: false, lines: 0, removed: 0, added: 0 }
    }

    /// Deals with the octets at the front of `input`, as many as can be told; `None` if more are needed.
    pub fn next(&mut self, input: &[u8]) -> Option<Passed> {
        let (mut taken, mut stop) = self.pass(input);
        if stop == Stop::Unclean && (taken == 0 || self.repair == Repair::Keep) {
            let mut mended = Vec::new();
            while stop == Stop::Unclean {
                taken += self.mend(input.get(taken..).unwrap_or_default(), &mut mended);
                let rest = input.get(taken..).unwrap_or_default();
                let (clean, next) = self.pass(rest);
                mended.extend_from_slice(rest.get(..clean).unwrap_or_default());
                taken += clean;
                stop = next;
            }
            let mended = (self.repair == Repair::Mend).then_some(mended);
            return Some(Passed { taken, mended, ended: stop == Stop::Ended });
        }
        (taken > 0).then_some(Passed { taken, mended: None, ended: stop == Stop::Ended })
    }

    /// Lines ended so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Something was, or would have been, mended.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Octets received and not handed on, and octets sent in their place.
    #[must_use]
    pub fn altered(&self) -> (u64, u64) {
        (self.removed, self.added)
    }

    /// How far `input` is clean, and why not further.
    fn pass(&mut self, input: &[u8]) -> (usize, Stop) {
        let mut done = 0;
        loop {
            let rest = input.get(done..).unwrap_or_default();
            match (self.at, rest) {
                (_, []) | (At::LineStart, [b'.'] | [b'.', b'\r']) => return (done, Stop::NeedsMore),
                (At::LineStart, [b'.', b'\r', b'\n', ..]) => return (done + 3, Stop::Ended),
                (At::LineStart, [b'.', b'.', ..]) => {
                    done += 2;
                    self.at = At::Middle;
                }
                (At::Cr, [b'\n', ..]) => {
                    done += 1;
                    self.lines += 1;
                    self.at = At::LineStart;
                }
                (At::LineStart | At::MadeLineStart, [b'.', ..]) | (At::Cr, _) => return (done, Stop::Unclean),
                (At::LineStart | At::MadeLineStart | At::Middle, _) => {
                    let passed = self.pass_blocks(rest);
                    if passed > 0 {
                        done += passed;
                        continue;
                    }
                    self.at = At::Middle;
                    match memchr2(b'\r', b'\n', rest) {
                        None => return (input.len(), Stop::NeedsMore),
                        Some(found) if rest.get(found) == Some(&b'\n') => return (done + found, Stop::Unclean),
                        Some(found) => {
                            done += found + 1;
                            self.at = At::Cr;
                        }
                    }
                }
            }
        }
    }

    /// How many octets at the front are whole blocks in which nothing needs a closer look: every line in them
    /// ends in CRLF, and none begins with a dot. Looked at by blocks, so that a body costs the same whatever the
    /// length of its lines; the first octet is in the middle of a line or begins one without a dot.
    fn pass_blocks(&mut self, input: &[u8]) -> usize {
        if input.len() < BLOCK + AHEAD || input.first() == Some(&b'\n') {
            return 0;
        }
        let (passed, line_feeds) = dispatch!(self.level, simd => clean_blocks(simd, input));
        let Some(last) = passed.checked_sub(1).and_then(|last| input.get(last)) else { return 0 };
        self.lines += line_feeds;
        self.at = match last {
            b'\r' => {
                // the LF behind it has been counted, and is still to pass
                self.lines -= 1;
                At::Cr
            }
            b'\n' => At::LineStart,
            _ => At::Middle,
        };
        passed
    }

    /// Mends what `pass` stopped at; says how many octets of input that took, which may be none.
    fn mend(&mut self, input: &[u8], mended: &mut Vec<u8>) -> usize {
        self.dirty = true;
        let (taken, sent, at): (usize, &[u8], At) = match (self.at, input) {
            // the CR has gone on already
            (At::Cr, _) => {
                self.lines += 1;
                (0, b"\n", At::MadeLineStart)
            }
            // a dot that stuffs nothing is dropped, as every client would (RFC 1939 §3)
            (At::LineStart, [b'.', b'\r', ..]) => {
                mended.push(b'\r');
                self.removed += 1;
                self.at = At::Cr;
                return 2;
            }
            (At::LineStart, _) => (1, b"", At::Middle),
            (At::MadeLineStart, [b'.', ..]) => {
                mended.extend_from_slice(b"..");
                self.added += 1;
                self.at = At::Middle;
                return 1;
            }
            (At::MadeLineStart | At::Middle, _) => {
                self.lines += 1;
                (1, b"\r\n", At::MadeLineStart)
            }
        };
        mended.extend_from_slice(sent);
        self.removed += taken as u64;
        self.added += sent.len() as u64;
        self.at = at;
        taken
    }
}

/// Octets that are looked at together; half of them at most are line feeds, so that one octet counts these.
const BLOCK: usize = 256;
/// Octets behind a block that tell whether its last ones are clean.
const AHEAD: usize = 2;
/// Octets of a block in one step: one vector of AVX2, two of SSE2 or NEON.
const LANES: usize = 32;

/// How many octets at the front are clean blocks, and the line feeds behind those octets.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the processor's vectors are only those of the function it becomes part of")]
fn clean_blocks<S: Simd>(simd: S, input: &[u8]) -> (usize, u64) {
    let (mut passed, mut line_feeds) = (0, 0);
    while let Some(octets) = input.get(passed..).and_then(<[u8]>::first_chunk)
        && let Some(found) = clean_block(simd, octets)
    {
        passed += BLOCK;
        line_feeds += found;
    }
    (passed, line_feeds)
}

/// How many octets of the block have LF behind them; `None`: one of them needs a closer look, for it is a CR
/// without, or no CR with it, or the line that begins there begins with a dot.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn clean_block<S: Simd>(simd: S, octets: &[u8; BLOCK + AHEAD]) -> Option<u64> {
    let [_, nexts @ ..] = octets;
    let [_, afters @ ..] = nexts;
    let is = |octets: &[u8; LANES], octet| u8x32::load_array_ref(simd, octets).simd_eq(u8x32::splat(simd, octet));
    let (mut unclean, mut minus) = (mask8x32::splat(simd, false), i8x32::splat(simd, 0));
    let steps = octets.as_chunks().0.iter().zip(nexts.as_chunks().0).zip(afters.as_chunks().0);
    for ((octets, nexts), afters) in steps {
        let line_feed = is(nexts, b'\n');
        unclean |= (is(octets, b'\r') ^ line_feed) | (is(afters, b'.') & line_feed);
        // a mask is -1 where it is set
        minus += line_feed.to_vector();
    }
    // each lane is at least -8, for a block has so many steps
    let count = || minus.to_array().iter().map(|lane| lane.unsigned_abs()).sum::<u8>();
    (!unclean.any_true()).then(|| u64::from(count()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What goes on of a body that arrives in pieces of `cut` octets, and how much of it was used.
    fn run(input: &[u8], cut: usize, repair: Repair) -> (Vec<u8>, Option<usize>, u64) {
        let (mut body, mut inbox, mut sent, mut used) = (Body::new(repair), Vec::new(), Vec::new(), 0);
        for piece in input.chunks(cut) {
            inbox.extend_from_slice(piece);
            while let Some(passed) = body.next(&inbox) {
                let octets: Vec<u8> = inbox.drain(..passed.taken).collect();
                used += octets.len();
                sent.extend(passed.mended.unwrap_or(octets));
                if passed.ended {
                    return (sent, Some(used), body.lines());
                }
            }
        }
        (sent, None, body.lines())
    }

    #[test]
    fn finds_the_end_and_mends_line_ends() {
        for (input, sent) in [
            (&b".\r\n"[..], &b".\r\n"[..]),
            (b"a\r\n.\r\n", b"a\r\n.\r\n"),
            (b"..\r\n.x\r\n. \r\n...\r\n.\r\n", b"..\r\nx\r\n \r\n...\r\n.\r\n"),
            (b"a\n.\r\n+OK fake\r\n.\r\n", b"a\r\n..\r\n+OK fake\r\n.\r\n"),
            (b"a\n.\nb\r\n.\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\r\nb\r\n\r.\r\n.\r\n", b"a\r\n..\r\nb\r\n\r\n..\r\n.\r\n"),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n.\r\n"),
            (b"a\r\r\n.\r\n", b"a\r\n\r\n.\r\n"),
            (b".\r.\r\n.\r\n", b"\r\n..\r\n.\r\n"),
            (b"\0\n\n\r\n.\r\n", b"\0\r\n\r\n\r\n.\r\n"),
        ] {
            for cut in 1..=input.len() {
                let (got, used, _) = run(input, cut, Repair::Mend);
                assert_eq!(
                    (got.escape_ascii().to_string(), used),
                    (sent.escape_ascii().to_string(), Some(input.len()))
                );
                assert_eq!(run(input, cut, Repair::Keep).0, input);
            }
        }
    }

    /// The automaton of the specification, an octet at a time, and the plain re-encoding.
    fn reference(input: &[u8]) -> (Vec<u8>, Option<usize>) {
        let (mut content, mut start) = (Vec::new(), 0);
        let end = loop {
            let Some(found) = memchr::memmem::find(&input[start..], b"\r\n") else {
                break None;
            };
            let line = &input[start..start + found];
            start += found + 2;
            if line == b"." {
                break Some(start);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            content.extend_from_slice(b"\r\n");
        };
        let mut sent = Vec::new();
        let mut rest = &content[..];
        while !rest.is_empty() {
            let line = rest.iter().position(|octet| b"\r\n".contains(octet)).expect("content ends in CRLF");
            if rest[0] == b'.' {
                sent.push(b'.');
            }
            sent.extend_from_slice(&rest[..line]);
            sent.extend_from_slice(b"\r\n");
            rest = &rest[line..];
            rest = rest.strip_prefix(b"\r\n").unwrap_or(&rest[1..]);
        }
        if end.is_some() {
            sent.extend_from_slice(b".\r\n");
        }
        (sent, end)
    }

    proptest! {
        /// Long enough for blocks, most of which are clean.
        #[test]
        fn agrees_with_the_reference_on_long_bodies(
            lines in proptest::collection::vec(
                ("[a-z .]{0,300}", proptest::sample::select(&["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n."][..])), 0..40),
            cut in 1usize..2000,
        ) {
            let text = lines.iter().flat_map(|(line, end)| [line.as_str(), *end]).collect::<String>() + "\r\n.\r\n";
            let whole = run(text.as_bytes(), 100_000, Repair::Mend);
            prop_assert_eq!(&run(text.as_bytes(), cut, Repair::Mend), &whole);
            prop_assert_eq!(&run(text.as_bytes(), cut, Repair::Keep).1, &whole.1);
            let (sent, end) = reference(text.as_bytes());
            prop_assert_eq!((sent.escape_ascii().to_string(), end), (whole.0.escape_ascii().to_string(), whole.1));
            prop_assert_eq!(whole.2, memchr::memchr_iter(b'\n', &sent).count() as u64 - 1);
        }

        #[test]
        fn agrees_with_the_reference_however_octets_arrive(
            octets in proptest::collection::vec(
                prop_oneof![4 => Just(b'\r'), 4 => Just(b'\n'), 4 => Just(b'.'), 2 => Just(b'a'), 1 => any::<u8>()], 0..120),
            cut in 1usize..12,
        ) {
            let whole = run(&octets, 1000, Repair::Mend);
            prop_assert_eq!(&run(&octets, cut, Repair::Mend), &whole);
            let (sent, end) = reference(&octets);
            prop_assert_eq!(end, whole.1);
            if end.is_some() {
                prop_assert_eq!(sent.escape_ascii().to_string(), whole.0.escape_ascii().to_string());
            }
        }
    }
}
