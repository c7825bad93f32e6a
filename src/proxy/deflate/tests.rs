use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::metrics::Metrics;
use crate::tls::CHUNK;
use crate::wire::Side;

fn tally() -> Tally {
    let metrics = Metrics::new(&[], &[]).unwrap();
    let counter = |flow, form| metrics.compressed(Side::Client, flow, form);
    Tally {
        received_plain: counter("received", "plain"),
        received_deflated: counter("received", "deflated"),
        sent_plain: counter("sent", "plain"),
        sent_deflated: counter("sent", "deflated"),
    }
}

fn layer(left: &[u8]) -> (Deflated<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(16 << 10);
    (Deflated::new(Stream::Clear(near), left, tally()), far)
}

fn deflated(octets: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut deflater = Compress::new(Compression::best(), false);
    let mut all = Vec::with_capacity(octets.len() + 1024);
    deflater.compress_vec(octets, &mut all, flush).unwrap();
    assert_eq!(deflater.total_in(), octets.len() as u64);
    all
}

fn inflated(octets: &[u8], most: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(most);
    Decompress::new(false).decompress_vec(octets, &mut all, FlushDecompress::Sync).unwrap();
    all
}

#[tokio::test]
async fn what_was_read_too_far_is_inflated_first() {
    let all = deflated(b"a NOOP\r\nb NOOP\r\n", FlushCompress::Sync);
    for at in 0..=all.len() {
        let (left, rest) = all.split_at(at);
        let (mut layer, mut far) = layer(left);
        far.write_all(rest).await.unwrap();
        let mut got = [0; 16];
        layer.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"a NOOP\r\nb NOOP\r\n");
        assert_eq!(layer.ahead.capacity(), 0);
    }
}

#[tokio::test]
async fn each_flush_makes_what_was_written_readable() {
    let (mut layer, mut far) = layer(b"");
    let mut came = Vec::new();
    let mut told = Vec::new();
    for line in [&b"* OK hi\r\n"[..], b"a OK done\r\n"] {
        layer.write_all(line).await.unwrap();
        layer.flush().await.unwrap();
        // nothing was written since: nothing is sent
        layer.flush().await.unwrap();
        far.read_buf(&mut came).await.unwrap();
        told.extend_from_slice(line);
        assert_eq!(inflated(&came, 100), told);
    }
    assert_eq!(layer.behind.capacity(), 0, "a quiet side holds a buffer");
}

#[tokio::test]
async fn a_write_takes_no_more_than_a_record_would_bring() {
    let (mut layer, _far) = layer(b"");
    let octets = vec![b'x'; 3 * PORTION];
    let slices = [IoSlice::new(&octets[..10]), IoSlice::new(&octets)];
    assert_eq!(layer.write_vectored(&slices).await.unwrap(), PORTION);
}

#[tokio::test]
async fn a_bomb_is_read_no_faster_than_it_is_asked_for() {
    let bomb = deflated(&vec![0; 8 << 20], FlushCompress::Sync);
    assert!(bomb.len() < 16 << 10);
    let (mut layer, mut far) = layer(b"");
    far.write_all(&bomb).await.unwrap();
    let mut got = 0;
    while got < 8 << 20 {
        let mut room = [1; 1000];
        let count = layer.read(&mut room).await.unwrap();
        assert!(count > 0 && room[..count].iter().all(|octet| *octet == 0));
        assert!(layer.ahead.capacity() <= CHUNK);
        got += count;
    }
    assert_eq!(got, 8 << 20);
    assert_eq!((layer.tally.received_plain.get(), layer.tally.received_deflated.get()), (8 << 20, bomb.len() as u64));
}

#[tokio::test]
async fn octets_that_are_not_deflated_are_an_error_of_their_own() {
    for garbage in [&b"a NOOP\r\nb NOOP\r\n"[..], b"\xff\xff\xff\xff", b"\x06\x00\x00"] {
        let (mut layer, _far) = layer(garbage);
        let error = layer.read_u8().await.unwrap_err();
        assert!(Undeflatable::caused(&error), "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_that_its_peer_ends_says_nothing_more() {
    let mut all = deflated(b"a LOGOUT\r\n", FlushCompress::Finish);
    all.extend_from_slice(b"b NOOP\r\n");
    let (mut layer, _far) = layer(&all);
    let mut got = Vec::new();
    layer.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"a LOGOUT\r\n");
}

#[tokio::test]
async fn octets_without_pattern_pass_both_ways_at_once() {
    let (near, far) = duplex(4 << 10);
    let one = Deflated::new(Stream::Clear(near), b"", tally());
    let two = Deflated::new(Stream::Clear(far), b"", tally());
    let mut seed = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(1 << 20)
    .collect();
    let talk = |layer: Deflated<DuplexStream>, told: Vec<u8>| async move {
        let (mut from, mut to) = tokio::io::split(layer);
        let mut got = Vec::new();
        let sent = async {
            to.write_all(&told).await.unwrap();
            to.shutdown().await.unwrap();
        };
        tokio::join!(sent, async { from.read_to_end(&mut got).await.unwrap() });
        got == told
    };
    let (one, two) = tokio::join!(talk(one, noise.clone()), talk(two, noise));
    assert!(one && two);
}
