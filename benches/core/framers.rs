//! Times what cuts and reads lines, alone, and imap-codec on the same octets.
//!
//! `cargo bench --package mailwarden-core --bench framers`

#![allow(missing_docs, unreachable_pub, reason = "a program; criterion's macros make public functions")]

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use imap_codec::decode::Decoder;
use imap_codec::fragmentizer::Fragmentizer;
use imap_codec::{CommandCodec, ResponseCodec};
use mailwarden::wire::imap::{Framer, Piece, ResponseHead, Tail, parse, response_head};
use mailwarden::wire::pop3::{Body, LineEnd, LineFramer, Repair};

/// No line is longer.
const LIMIT: usize = 64 << 10;

/// What a client or server says, line by line, without literals.
fn lines(line: impl Fn(usize) -> String) -> Vec<u8> {
    (1..=100).map(line).collect::<String>().into_bytes()
}

fn commands() -> Vec<u8> {
    lines(|number| format!("b{number:03} FETCH {number} (FLAGS)\r\n"))
}

fn answers() -> Vec<u8> {
    lines(|number| format!("* {number} FETCH (FLAGS (\\Seen))\r\nb{number:03} OK Fetch completed.\r\n"))
}

fn literal() -> Vec<u8> {
    let size = 1 << 20;
    let mut octets = format!("* 7 FETCH (UID 17 BODY[] {{{size}}}\r\n").into_bytes();
    octets.extend(text(size));
    octets.extend_from_slice(b")\r\n");
    octets
}

/// Text in lines of 78 octets, cut at `size`.
fn text(size: usize) -> Vec<u8> {
    let line = "The quick brown fox jumps over the lazy dog and runs away from all the others\r\n";
    line.bytes().cycle().take(size).collect()
}

/// Cuts all of `input`; counts the pieces.
fn cut(input: &[u8]) -> usize {
    let (mut framer, mut rest, mut pieces) = (Framer::default(), input, 0);
    while let Some(piece) = framer.next(rest, LIMIT) {
        let (Piece::Line { len, .. } | Piece::Part { len } | Piece::Octets { len, .. }) = piece;
        if let Piece::Line { tail: Tail::Literal(literal), .. } = piece {
            framer.expect_octets(literal.octets);
        }
        rest = rest.get(len..).unwrap_or_default();
        pieces += 1;
    }
    pieces
}

/// The same by imap-codec.
fn their_cut(input: &[u8]) -> usize {
    let (mut fragmentizer, mut pieces) = (Fragmentizer::without_max_message_size(), 0);
    fragmentizer.enqueue_bytes(input);
    while fragmentizer.progress().is_some() {
        pieces += 1;
    }
    pieces
}

/// Lines of at most a screen's width with their CRLF.
fn each_line(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split_inclusive(|octet| *octet == b'\n')
}

fn time(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, input: &[u8], work: impl Fn(&[u8]) -> usize) {
    group.throughput(Throughput::Bytes(input.len() as u64));
    group.bench_function(name, |bencher| bencher.iter(|| black_box(work(black_box(input)))));
}

fn imap(criterion: &mut Criterion) {
    let (commands, answers, literal) = (commands(), answers(), literal());
    let mut group = criterion.benchmark_group("cut");
    for (what, input) in [("100 commands", &commands), ("200 answers", &answers), ("a literal of 1 MiB", &literal)] {
        assert!(cut(input) > 1 && their_cut(input) > 1, "{what}");
        time(&mut group, what, input, cut);
        time(&mut group, &format!("{what}, imap-codec"), input, their_cut);
    }
    group.finish();

    let mut group = criterion.benchmark_group("read");
    let ours = |input: &[u8]| each_line(input).filter(|line| parse(line).is_ok()).count();
    let theirs = |input: &[u8]| each_line(input).filter(|line| CommandCodec::new().decode(line).is_ok()).count();
    assert_eq!((ours(&commands), theirs(&commands)), (100, 100));
    time(&mut group, "100 commands", &commands, ours);
    time(&mut group, "100 commands, imap-codec", &commands, theirs);
    let ours = |input: &[u8]| each_line(input).filter(|line| response_head(line) != ResponseHead::Garbage).count();
    let theirs = |input: &[u8]| each_line(input).filter(|line| ResponseCodec::new().decode(line).is_ok()).count();
    assert_eq!((ours(&answers), theirs(&answers)), (200, 200));
    time(&mut group, "200 answers", &answers, ours);
    time(&mut group, "200 answers, imap-codec", &answers, theirs);
    let whole = |input: &[u8]| usize::from(ResponseCodec::new().decode(input).is_ok());
    assert_eq!(whole(&literal), 1);
    time(&mut group, "a literal of 1 MiB, imap-codec", &literal, whole);
}

fn pop3(criterion: &mut Criterion) {
    let mut body = text(1 << 20);
    body.extend_from_slice(b"\r\n.\r\n");
    let mut group = criterion.benchmark_group("pop3");
    let pass = |input: &[u8]| Body::new(Repair::Mend).next(input).map_or(0, |passed| passed.taken);
    assert_eq!(pass(&body), body.len());
    time(&mut group, "a body of 1 MiB", &body, pass);
    let lines = |input: &[u8]| {
        let (mut framer, mut at, mut count) = (LineFramer::default(), 0, 0);
        while let Some(mailwarden::wire::pop3::Piece::Line(length)) =
            framer.next(input.get(at..).unwrap_or_default(), LineEnd::Strict, LIMIT)
        {
            at += length;
            count += 1;
        }
        count
    };
    time(&mut group, "lines of a list", &lines_of_a_list(), lines);
}

fn lines_of_a_list() -> Vec<u8> {
    lines(|number| format!("{number} {:08x}66a1b2c3\r\n", number * 7))
}

criterion_group!(benches, imap, pop3);
criterion_main!(benches);
