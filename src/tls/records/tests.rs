use rustls::CipherSuite;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls_pki_types::ServerName;
use tokio::io::ReadBuf;

use super::super::buffers::Waiting;
use super::super::engine::{Engine, Say};
use super::super::testing::configs;
use super::*;

/// Octets that tell their places apart.
fn pattern(len: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(len).collect()
}

/// Both ends of a connection whose handshake is done, records in place at each.
struct Pair {
    client: Records,
    server: Records,
}

/// Opens all of `records` with an engine that has not settled; what it answers comes back.
fn feed(engine: &mut Engine, records: &mut Vec<u8>) -> (Vec<u8>, Opened) {
    let (mut ahead, mut answer) = (Waiting::default(), Waiting::default());
    let mut nowhere = ReadBuf::new(&mut []);
    let mut plain = Plain { reader: &mut nowhere, ahead: &mut ahead };
    let (used, opened) = engine.open(records, &mut plain, &mut answer);
    records.drain(..used);
    (answer.octets().to_vec(), opened.unwrap())
}

fn pair(suite: CipherSuite) -> Pair {
    let (client, server) = configs(&rustls::version::TLS13, suite);
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = Engine::Client(Box::new(UnbufferedClientConnection::new(client, name).unwrap()));
    let mut server = Engine::Server(Box::new(UnbufferedServerConnection::new(server).unwrap()));
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut done = [false; 2];
    while done != [true; 2] {
        if !done[0] {
            let (said, opened) = feed(&mut client, &mut down);
            up.extend(said);
            done[0] = opened == Opened::Traffic;
        }
        let (said, opened) = feed(&mut server, &mut up);
        down.extend(said);
        done[1] = opened == Opened::Traffic;
    }
    client.settle().unwrap();
    server.settle().unwrap();
    let (Engine::InPlace(client), Engine::InPlace(server)) = (client, server) else { panic!("not in place") };
    let mut pair = Pair { client: *client, server: *server };
    // the server's tickets
    assert_eq!(opened(&mut pair.client, &mut down), (Vec::new(), Ok(Opened::Traffic)));
    assert!(down.is_empty());
    pair
}

fn fresh() -> Pair {
    pair(CipherSuite::TLS13_AES_128_GCM_SHA256)
}

/// What comes of records; those that were used are taken away.
fn opened(side: &mut Records, records: &mut Vec<u8>) -> (Vec<u8>, Result<Opened, Error>) {
    let mut room = vec![0; 1 << 20];
    let mut reader = ReadBuf::new(&mut room);
    let mut ahead = Waiting::default();
    let (used, opened) = side.open(records, &mut Plain { reader: &mut reader, ahead: &mut ahead });
    records.drain(..used);
    (reader.filled().to_vec(), opened)
}

fn sealed(side: &mut Records, content: &[u8]) -> Vec<u8> {
    let mut room = Room::of(content.len() + (content.len() / CONTENT + 3) * OVERHEAD);
    let slices = [std::io::IoSlice::new(content)];
    side.seal(&mut Parts::new(&slices), &mut room).unwrap();
    room.used().to_vec()
}

/// A record as no orderly peer makes it.
fn crafted(side: &mut Records, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![0; content.len() + OVERHEAD];
    seal_from(&mut side.tx, kind, content, &mut record).unwrap();
    record
}

fn refusal(side: &mut Records, mut records: Vec<u8>) -> Error {
    opened(side, &mut records).1.unwrap_err()
}

#[test]
fn content_comes_through_in_both_directions_with_both_ciphers() {
    for suite in [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS13_AES_256_GCM_SHA384] {
        let mut pair = pair(suite);
        let content = pattern(100_000);
        for _ in 0..3 {
            let mut up = sealed(&mut pair.client, &content);
            assert_eq!(opened(&mut pair.server, &mut up), (content.clone(), Ok(Opened::Traffic)));
            let mut down = sealed(&mut pair.server, &content);
            assert_eq!(opened(&mut pair.client, &mut down), (content.clone(), Ok(Opened::Traffic)));
        }
    }
}

#[test]
fn records_are_full_whatever_pieces_the_content_is_in() {
    let mut pair = fresh();
    let content = pattern(3 * CONTENT + 7);
    for piece in [1, 40, 1000, CONTENT - 1, CONTENT, CONTENT + 1, content.len()] {
        let slices: Vec<_> = content.chunks(piece).map(std::io::IoSlice::new).collect();
        let mut room = Room::of(content.len() + 4 * OVERHEAD);
        let mut parts = Parts::new(&slices);
        pair.client.seal(&mut parts, &mut room).unwrap();
        assert_eq!(parts.left(), 0);
        assert_eq!(room.used().len(), content.len() + 4 * OVERHEAD, "four records, of pieces of {piece}");
        assert_eq!(opened(&mut pair.server, &mut room.used().to_vec()).0, content);
    }
}

#[test]
fn what_has_no_room_stays_unsealed() {
    let mut pair = fresh();
    let content = vec![b'x'; 2 * CONTENT];
    let slices = [std::io::IoSlice::new(&content)];
    let mut parts = Parts::new(&slices);
    let mut room = Room::of(CONTENT + OVERHEAD + 100);
    pair.client.seal(&mut parts, &mut room).unwrap();
    assert_eq!(parts.left(), CONTENT);
    assert_eq!(opened(&mut pair.server, &mut room.used().to_vec()).0.len(), CONTENT);
}

#[test]
fn any_cut_of_the_records_opens_to_the_same() {
    let mut pair = fresh();
    let mut records = Vec::new();
    let mut content = Vec::new();
    for len in [1, 17, 300, CONTENT] {
        content.extend(pattern(len));
        records.extend(sealed(&mut pair.server, &pattern(len)));
    }
    let (mut got, mut held, mut cut) = (Vec::new(), Vec::new(), 1);
    while !records.is_empty() {
        let len = records.len().min(cut);
        held.extend(records.drain(..len));
        let (plain, result) = opened(&mut pair.client, &mut held);
        result.unwrap();
        got.extend(plain);
        cut = cut % 700 + 13;
    }
    assert!(held.is_empty());
    assert_eq!(got, content);
}

#[test]
fn a_changed_octet_anywhere_is_refused_and_nothing_of_the_record_comes_out() {
    for at in [0, 1, 3, 4, 5, 20, 60] {
        let mut pair = fresh();
        let mut record = sealed(&mut pair.client, &[b'x'; 40]);
        record[at] ^= 1;
        if at < 5 {
            // a length that says more waits for more
            record.extend([0; 300]);
        }
        let (plain, result) = opened(&mut pair.server, &mut record);
        assert!(plain.is_empty() && result.is_err(), "octet {at}: {result:?}");
    }
}

#[test]
fn a_record_that_is_repeated_left_out_or_out_of_order_is_refused() {
    let mut pair = fresh();
    let (first, second) = (sealed(&mut pair.client, b"one"), sealed(&mut pair.client, b"two"));
    assert_eq!(refusal(&mut pair.server, second.clone()), Error::DecryptError);
    let mut pair = fresh();
    let record = sealed(&mut pair.client, b"one");
    let mut twice = [record.clone(), record].concat();
    assert_eq!(opened(&mut pair.server, &mut twice), (b"one".to_vec(), Err(Error::DecryptError)));
    assert_ne!(first, second);
}

#[test]
fn a_record_of_the_other_direction_is_refused() {
    let mut pair = fresh();
    let record = sealed(&mut pair.client, b"back to you");
    assert_eq!(refusal(&mut pair.client, record), Error::DecryptError);
}

#[test]
fn what_is_not_protected_is_refused() {
    for kind in [20, 21, 22, 24, b'A'] {
        let mut pair = fresh();
        assert!(matches!(refusal(&mut pair.server, vec![kind, 3, 3, 0, 2, 1, 0]), Error::PeerMisbehaved(_)), "{kind}");
    }
}

#[test]
fn oversized_records_are_refused_before_they_have_come() {
    let mut pair = fresh();
    let [high, low] = 16_641_u16.to_be_bytes();
    assert_eq!(refusal(&mut pair.server, vec![23, 3, 3, high, low]), Error::PeerSentOversizedRecord);
    let long = crafted(&mut pair.client, APPLICATION_DATA, &vec![b'x'; CONTENT + 1]);
    assert_eq!(refusal(&mut pair.server, long), Error::PeerSentOversizedRecord);
}

#[test]
fn padding_is_taken_off_and_a_record_of_nothing_else_is_refused() {
    let mut pair = fresh();
    let mut padded = crafted(&mut pair.client, 0, b"mail\0\x17\0\0\0\0");
    assert_eq!(opened(&mut pair.server, &mut padded), (b"mail\0".to_vec(), Ok(Opened::Traffic)));
    let zeros = crafted(&mut pair.client, 0, &[0; 40]);
    assert!(matches!(refusal(&mut pair.server, zeros), Error::PeerMisbehaved(_)));
}

#[test]
fn an_alert_ends_the_connection_and_only_close_notify_ends_it_in_order() {
    for (alert, expected) in [
        (&[1, 0][..], Ok(Opened::Ended)),
        (&[2, 0], Ok(Opened::Ended)),
        (&[1, 90], Ok(Opened::Traffic)),
        (&[2, 40], Err(Error::AlertReceived(AlertDescription::HandshakeFailure))),
        (&[1, 40], Err(Error::AlertReceived(AlertDescription::HandshakeFailure))),
        (&[1], Err(Error::InvalidMessage(InvalidMessage::MessageTooShort))),
        (&[1, 0, 0], Err(Error::InvalidMessage(InvalidMessage::MessageTooShort))),
    ] {
        let mut pair = fresh();
        let mut record = crafted(&mut pair.client, ALERT, alert);
        assert_eq!(opened(&mut pair.server, &mut record).1, expected, "{alert:?}");
    }
}

#[test]
fn nothing_is_read_behind_close_notify() {
    let mut pair = fresh();
    let mut room = Room::of(100);
    pair.client.close_notify(&mut room).unwrap();
    let mut records = [room.used(), &sealed(&mut pair.client, b"late")].concat();
    assert_eq!(opened(&mut pair.server, &mut records), (Vec::new(), Ok(Opened::Ended)));
    assert!(!records.is_empty());
}

#[test]
fn keys_are_updated_when_the_peer_asks_and_content_goes_on() {
    let mut pair = fresh();
    for _ in 0..40 {
        let mut up = crafted(&mut pair.client, HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 1]);
        pair.client.tx = Key::new(pair.client.kernel.next_tx().unwrap()).unwrap();
        up.extend(sealed(&mut pair.client, b"with the new key"));
        assert_eq!(opened(&mut pair.server, &mut up), (b"with the new key".to_vec(), Ok(Opened::Traffic)));
        // the answer comes before what is said next
        let mut down = sealed(&mut pair.server, b"so do I");
        assert_eq!(opened(&mut pair.client, &mut down), (b"so do I".to_vec(), Ok(Opened::Traffic)));
        assert!(!pair.client.owes_update, "an answer asks for none");
    }
}

#[test]
fn a_key_is_changed_before_it_has_sealed_too_much() {
    let mut pair = fresh();
    pair.client.limit = pair.client.tx.sequence + 10;
    let mut got = Vec::new();
    for n in 0..100_u8 {
        let mut up = sealed(&mut pair.client, &[n; 10]);
        got.extend(opened(&mut pair.server, &mut up).0);
        assert!(pair.client.tx.sequence < 10 + 10);
    }
    assert_eq!(got.len(), 1000);
}

#[test]
fn updates_and_empty_records_without_content_are_bounded() {
    let mut pair = fresh();
    let mut last = Ok(Opened::Traffic);
    for _ in 0..=IDLE_RECORDS {
        let mut up = crafted(&mut pair.client, HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0]);
        pair.client.tx = Key::new(pair.client.kernel.next_tx().unwrap()).unwrap();
        last = opened(&mut pair.server, &mut up).1;
    }
    assert_eq!(last, Err(Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests)));
    for (kind, content) in [(APPLICATION_DATA, &b""[..]), (ALERT, &[1, 90])] {
        let mut pair = fresh();
        let mut up: Vec<u8> = (0..=IDLE_RECORDS).flat_map(|_| crafted(&mut pair.client, kind, content)).collect();
        let error = opened(&mut pair.server, &mut up).1.unwrap_err();
        assert_eq!(error, Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments));
    }
}

#[test]
fn handshake_messages_that_may_not_come_are_refused() {
    let request = [13, 0, 0, 0];
    let ticket = [NEW_SESSION_TICKET, 0, 0, 0];
    for (messages, why) in [
        (&request[..], "a certificate request that was not offered"),
        (&ticket, "a ticket to a server"),
        (&[KEY_UPDATE, 0, 0, 1, 2], "a key update of another kind"),
        (&[KEY_UPDATE, 0, 0, 2, 0, 0], "a key update that is too long"),
        (&[KEY_UPDATE, 0, 0, 1, 0, KEY_UPDATE], "a message that begins before the change of keys"),
        (&[KEY_UPDATE, 1, 0, 1], "a message that is longer than any"),
        (&[], "nothing"),
    ] {
        let mut pair = fresh();
        let record = crafted(&mut pair.client, HANDSHAKE, messages);
        let error = refusal(&mut pair.server, record);
        assert!(matches!(error, Error::InvalidMessage(_) | Error::PeerMisbehaved(_)), "{why}: {error:?}");
    }
}

#[test]
fn a_message_may_come_in_several_records_but_nothing_between_them() {
    let mut pair = fresh();
    let mut up = crafted(&mut pair.client, HANDSHAKE, &[KEY_UPDATE, 0]);
    up.extend(crafted(&mut pair.client, HANDSHAKE, &[0, 1, 0]));
    pair.client.tx = Key::new(pair.client.kernel.next_tx().unwrap()).unwrap();
    up.extend(sealed(&mut pair.client, b"on"));
    assert_eq!(opened(&mut pair.server, &mut up), (b"on".to_vec(), Ok(Opened::Traffic)));

    let mut up = crafted(&mut pair.client, HANDSHAKE, &[KEY_UPDATE, 0]);
    up.extend(sealed(&mut pair.client, b"between"));
    let error = opened(&mut pair.server, &mut up).1.unwrap_err();
    assert_eq!(error, Error::PeerMisbehaved(PeerMisbehaved::MessageInterleavedWithHandshakeMessage));
}

#[test]
fn a_message_in_pieces_is_bounded() {
    let mut pair = fresh();
    // 16 MiB announced
    let error = refusal(&mut pair.server, crafted(&mut pair.client, HANDSHAKE, &[KEY_UPDATE, 255, 255, 255]));
    assert_eq!(error, Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate));
    let mut pair = fresh();
    // a ticket of 16 MiB, to a client
    let error = refusal(&mut pair.client, crafted(&mut pair.server, HANDSHAKE, &[NEW_SESSION_TICKET, 255, 255, 255]));
    assert_eq!(error, Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge));
    // nothing, while a message is under way (RFC 8446 §5.1)
    let mut pair = fresh();
    let pieces = [
        crafted(&mut pair.server, HANDSHAKE, &[NEW_SESSION_TICKET, 0, 1, 0]),
        crafted(&mut pair.server, HANDSHAKE, b""),
    ];
    let error = refusal(&mut pair.client, pieces.concat());
    assert_eq!(error, Error::InvalidMessage(InvalidMessage::InvalidEmptyPayload));
}

#[test]
fn no_nonce_is_used_twice() {
    let mut pair = fresh();
    let key = &mut pair.client.tx;
    let seen: std::collections::HashSet<[u8; NONCE_LEN]> = (0..1000).map(|_| *key.nonce().unwrap().as_ref()).collect();
    assert_eq!(seen.len(), 1000);
    key.sequence = u64::MAX;
    assert!(key.nonce().is_err());
}

#[test]
fn a_failed_engine_says_and_opens_nothing_more() {
    let Pair { mut client, server } = fresh();
    let mut record = sealed(&mut client, b"mail");
    record[10] ^= 1;
    let mut engine = Engine::InPlace(Box::new(server));
    let (mut ahead, mut answer, mut room) = (Waiting::default(), Waiting::default(), Room::of(100));
    let mut nowhere = [0; 100];
    let mut reader = ReadBuf::new(&mut nowhere);
    let mut plain = Plain { reader: &mut reader, ahead: &mut ahead };
    assert!(engine.open(&mut record, &mut plain, &mut answer).1.is_err());
    // it tells the peer why
    let mut told = answer.octets().to_vec();
    let alert = Error::AlertReceived(AlertDescription::BadRecordMac);
    assert_eq!(opened(&mut client, &mut told).1, Err(alert));
    let mut more = sealed(&mut client, b"more");
    assert!(engine.open(&mut more, &mut plain, &mut answer).1.is_err());
    let slices = [std::io::IoSlice::new(b"content")];
    let mut parts = Parts::new(&slices);
    assert!(engine.say(Say::Content(&mut parts), &mut room, &mut [], &mut plain, &mut answer).1.is_err());
    assert_eq!(engine.say(Say::CloseNotify, &mut room, &mut [], &mut plain, &mut answer).1, Ok(false));
    assert!(room.used().is_empty());
}
