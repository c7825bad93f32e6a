//! TLS 1.3 records, opened and sealed in the buffers they are read into and written from (RFC 8446 §5).
//!
//! rustls does the handshake, derives every key and keeps the tickets; what is left for this module is the
//! record protection with AES-GCM and the three messages that may still come: `NewSessionTicket`,
//! `KeyUpdate`, alerts. It is what rustls would do, less its copies. Everything else, TLS 1.2 and
//! `ChaCha20` included, stays with rustls (`engine`).
//!
//! What holds, and where: a nonce is the IV and a sequence number that is only ever counted up, in
//! [`Key::nonce`], and ends the connection before it could wrap; no octet leaves [`open`] whose tag
//! did not verify; the first error is final, for the engine is dropped with it.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, Error, ExtractedSecrets, InvalidMessage, PeerMisbehaved,
    SupportedCipherSuite,
};

use super::buffers::{Parts, Plain, Room};
use super::engine::Opened;

/// Octets of a record's header.
pub(super) const HEADER: usize = 5;
/// Octets of content a record carries at most (RFC 8446 §5.1).
pub(super) const CONTENT: usize = 1 << 14;
/// Octets of a protected record's body at most (RFC 8446 §5.2).
const BODY: usize = CONTENT + 256;
/// Octets a sealed record takes beside its content: header, inner type, tag.
pub(super) const OVERHEAD: usize = HEADER + 1 + MAX_TAG_LEN;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// Octets of a ticket's message at most; a session ticket itself is shorter than that (RFC 8446 §4.6.1).
const TICKET: usize = 1 << 17;
/// Key updates, and records without content, in a row: more do nothing but cost.
const IDLE_RECORDS: u8 = 32;

/// What rustls keeps of a connection: it derives the next keys and stores tickets.
enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Kernel {
    fn next_tx(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_tx_secret(),
            Self::Server(kernel) => kernel.update_tx_secret(),
        }
    }

    fn next_rx(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_rx_secret(),
            Self::Server(kernel) => kernel.update_rx_secret(),
        }
    }

    fn suite(&self) -> SupportedCipherSuite {
        match self {
            Self::Client(kernel) => kernel.negotiated_cipher_suite(),
            Self::Server(kernel) => kernel.negotiated_cipher_suite(),
        }
    }
}

/// One direction's traffic key and how often it was used.
struct Key {
    aead: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
}

impl Key {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            _ => return Err(Error::General("these keys are not for AES-GCM".to_owned())),
        };
        let unusable = || Error::General("rustls gave a key of another length".to_owned());
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unusable())?;
        let iv = iv.as_ref().try_into().map_err(|_| unusable())?;
        Ok(Self { aead: LessSafeKey::new(key), iv, sequence })
    }

    /// The nonce of the next record (RFC 8446 §5.3), once.
    fn nonce(&mut self) -> Result<Nonce, Error> {
        let mut nonce = self.iv;
        for (octet, count) in nonce.iter_mut().rev().zip(self.sequence.to_le_bytes()) {
            *octet ^= count;
        }
        self.sequence = self.sequence.checked_add(1).ok_or(Error::EncryptError)?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // the key itself is wiped by its library
        zeroize::Zeroize::zeroize(&mut self.iv);
    }
}

/// A record's content and its true type.
struct Content<'r> {
    kind: u8,
    octets: &'r [u8],
}

/// A protected record as it came.
struct Record<'r> {
    header: [u8; HEADER],
    body: &'r mut [u8],
}

/// The record at the front, once it is whole.
fn first(records: &mut [u8]) -> Result<Option<Record<'_>>, Error> {
    let Some((header, rest)) = records.split_first_chunk_mut::<HEADER>() else { return Ok(None) };
    let header = *header;
    let [kind, _, _, high, low] = header;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if kind != APPLICATION_DATA {
        // all is protected now, alerts and the end included (RFC 8446 §5.1)
        return Err(Error::PeerMisbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext));
    }
    if len > BODY {
        return Err(Error::PeerSentOversizedRecord);
    }
    Ok(rest.get_mut(..len).map(|body| Record { header, body }))
}

/// Opens a body in place. What comes back is authentic.
fn open<'r>(key: &mut Key, record: Record<'r>) -> Result<Content<'r>, Error> {
    let Record { header, body } = record;
    let nonce = key.nonce().map_err(|_| Error::DecryptError)?;
    let inner = key.aead.open_in_place(nonce, Aad::from(header), body).map_err(|_| Error::DecryptError)?;
    // TLSInnerPlaintext: content, type, zeros (RFC 8446 §5.2), all of which are bounded together (§5.4)
    if inner.len() > CONTENT + 1 {
        return Err(Error::PeerSentOversizedRecord);
    }
    let end = inner.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    let inner = inner.get(..end).unwrap_or_default();
    let Some((kind, octets)) = inner.split_last() else {
        return Err(Error::PeerMisbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext));
    };
    Ok(Content { kind: *kind, octets })
}

/// Both directions of a connection after its handshake.
pub(super) struct Records {
    kernel: Kernel,
    tx: Key,
    rx: Key,
    /// Records a key may seal before it is changed.
    limit: u64,
    /// A handshake message of which a record brought the start.
    partial: Vec<u8>,
    /// The peer asked for our next key; it goes before what is sealed next.
    owes_update: bool,
    /// Key updates since there was content.
    updates: u8,
    /// Empty records since there was content.
    empty: u8,
}

impl Records {
    pub(super) fn client(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ClientConnectionData>,
    ) -> Result<Self, Error> {
        Self::new(secrets, Kernel::Client(kernel))
    }

    pub(super) fn server(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ServerConnectionData>,
    ) -> Result<Self, Error> {
        Self::new(secrets, Kernel::Server(kernel))
    }

    fn new(secrets: ExtractedSecrets, kernel: Kernel) -> Result<Self, Error> {
        let limit = match kernel.suite() {
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
            SupportedCipherSuite::Tls12(_) => return Err(Error::General("these records are of TLS 1.3".to_owned())),
        };
        let (tx, rx) = (Key::new(secrets.tx)?, Key::new(secrets.rx)?);
        Ok(Self { kernel, tx, rx, limit, partial: Vec::new(), owes_update: false, updates: 0, empty: 0 })
    }

    /// Opens records from the front until there is no whole one, no room, or no more to come.
    pub(super) fn open(&mut self, records: &mut [u8], plain: &mut Plain<'_, '_>) -> (usize, Result<Opened, Error>) {
        let mut used = 0;
        loop {
            if plain.is_full() {
                return (used, Ok(Opened::Full));
            }
            let rest = records.get_mut(used..).unwrap_or_default();
            match self.open_first(rest, plain) {
                Ok(Some((len, Opened::Traffic))) => used += len,
                Ok(Some((len, opened))) => return (used + len, Ok(opened)),
                Ok(None) => return (used, Ok(Opened::Traffic)),
                Err(error) => return (used, Err(error)),
            }
        }
    }

    fn open_first(&mut self, records: &mut [u8], plain: &mut Plain<'_, '_>) -> Result<Option<(usize, Opened)>, Error> {
        let Some(record) = first(records)? else { return Ok(None) };
        let len = HEADER + record.body.len();
        let content = open(&mut self.rx, record)?;
        if !self.partial.is_empty() && content.kind != HANDSHAKE {
            return Err(Error::PeerMisbehaved(PeerMisbehaved::MessageInterleavedWithHandshakeMessage));
        }
        let opened = match content.kind {
            APPLICATION_DATA if content.octets.is_empty() => {
                self.without_content()?;
                Opened::Traffic
            }
            APPLICATION_DATA => {
                (self.updates, self.empty) = (0, 0);
                plain.put(content.octets);
                Opened::Traffic
            }
            HANDSHAKE => {
                self.handshake(content.octets)?;
                Opened::Traffic
            }
            ALERT => {
                self.without_content()?;
                alert(content.octets)?
            }
            _ => return Err(Error::PeerMisbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext)),
        };
        Ok(Some((len, opened)))
    }

    /// Counts a record that brings nothing.
    fn without_content(&mut self) -> Result<(), Error> {
        self.empty += 1;
        if self.empty > IDLE_RECORDS {
            return Err(Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments));
        }
        Ok(())
    }

    /// Acts on the whole handshake messages that have come (RFC 8446 §4.6). What may not come is refused by its
    /// header, so that of one in pieces no more is kept than a ticket's.
    fn handshake(&mut self, content: &[u8]) -> Result<(), Error> {
        if content.is_empty() {
            // RFC 8446 §5.1
            return Err(Error::InvalidMessage(InvalidMessage::InvalidEmptyPayload));
        }
        let mut messages = std::mem::take(&mut self.partial);
        messages.extend_from_slice(content);
        let mut done = 0;
        while let Some(([kind, a, b, c], after)) = messages.get(done..).and_then(<[u8]>::split_first_chunk) {
            let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            match (*kind, &self.kernel) {
                (KEY_UPDATE, _) if len == 1 => {}
                (KEY_UPDATE, _) => return Err(Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate)),
                (NEW_SESSION_TICKET, Kernel::Client(_)) if len <= TICKET => {}
                (NEW_SESSION_TICKET, Kernel::Client(_)) => {
                    return Err(Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge));
                }
                _ => return Err(Error::InvalidMessage(InvalidMessage::UnexpectedMessage("after the handshake"))),
            }
            let Some((body, after)) = after.split_at_checked(len) else { break };
            match &mut self.kernel {
                Kernel::Client(kernel) if *kind == NEW_SESSION_TICKET => kernel.handle_new_session_ticket(body)?,
                _ => self.key_update(body, after.is_empty())?,
            }
            done = messages.len() - after.len();
        }
        messages.drain(..done);
        if !messages.is_empty() {
            self.partial = messages;
        }
        Ok(())
    }

    /// The peer's records are sealed with its next key from here on (RFC 8446 §4.6.3).
    fn key_update(&mut self, body: &[u8], is_last: bool) -> Result<(), Error> {
        let [requested @ (0 | 1)] = body else {
            return Err(Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate));
        };
        if !is_last {
            // a message may not go on across a change of keys (RFC 8446 §5.1)
            return Err(Error::PeerMisbehaved(PeerMisbehaved::KeyEpochWithPendingFragment));
        }
        self.updates += 1;
        if self.updates > IDLE_RECORDS {
            return Err(Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests));
        }
        self.rx = Key::new(self.kernel.next_rx()?)?;
        self.owes_update |= *requested == 1;
        Ok(())
    }

    /// Seals what `parts` has into `out`, in full records, as far as there is room.
    pub(super) fn seal(&mut self, parts: &mut Parts<'_>, out: &mut Room) -> Result<(), Error> {
        if self.owes_update || self.tx.sequence >= self.limit - 1 {
            self.send_key_update(out)?;
        }
        while parts.left() > 0 {
            let len = parts.left().min(CONTENT);
            let Some(body) = out.next(len + OVERHEAD) else { break };
            match parts.take(len) {
                Some(whole) => seal_from(&mut self.tx, APPLICATION_DATA, whole, body)?,
                None => seal_in(&mut self.tx, APPLICATION_DATA, |content| parts.copy_to(content), body)?,
            }
            if self.tx.sequence >= self.limit - 1 {
                self.send_key_update(out)?;
            }
        }
        Ok(())
    }

    /// Says that our next records are sealed with the next key, then takes it (RFC 8446 §4.6.3).
    fn send_key_update(&mut self, out: &mut Room) -> Result<(), Error> {
        // not requested: the peer's key is its own affair
        let message = [KEY_UPDATE, 0, 0, 1, 0];
        let Some(record) = out.next(message.len() + OVERHEAD) else { return Ok(()) };
        seal_from(&mut self.tx, HANDSHAKE, &message, record)?;
        self.tx = Key::new(self.kernel.next_tx()?)?;
        self.owes_update = false;
        Ok(())
    }

    /// Seals the end of what we say (RFC 8446 §6.1).
    pub(super) fn close_notify(&mut self, out: &mut Room) -> Result<(), Error> {
        self.alert([WARNING, u8::from(AlertDescription::CloseNotify)], out)
    }

    /// Seals the reason why the connection ends here (RFC 8446 §6.2).
    pub(super) fn fatal(&mut self, error: &Error, out: &mut Room) -> Result<(), Error> {
        let description = match error {
            // the peer has given up already
            Error::AlertReceived(_) => return Ok(()),
            Error::DecryptError => AlertDescription::BadRecordMac,
            Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
            Error::InvalidMessage(_) => AlertDescription::DecodeError,
            Error::PeerMisbehaved(_) => AlertDescription::UnexpectedMessage,
            _ => AlertDescription::InternalError,
        };
        self.alert([FATAL, u8::from(description)], out)
    }

    fn alert(&mut self, alert: [u8; 2], out: &mut Room) -> Result<(), Error> {
        match out.next(alert.len() + OVERHEAD) {
            Some(record) => seal_from(&mut self.tx, ALERT, &alert, record),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Records {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("sent", &self.tx.sequence)
            .field("received", &self.rx.sequence)
            .finish_non_exhaustive()
    }
}

/// What an alert means here: an orderly end, nothing, or the end at once (RFC 8446 §6).
fn alert(octets: &[u8]) -> Result<Opened, Error> {
    let [_, description] = octets else {
        return Err(Error::InvalidMessage(InvalidMessage::MessageTooShort));
    };
    match AlertDescription::from(*description) {
        AlertDescription::CloseNotify => Ok(Opened::Ended),
        // a close_notify follows it (RFC 8446 §6.1)
        AlertDescription::UserCanceled => Ok(Opened::Traffic),
        other => Err(Error::AlertReceived(other)),
    }
}

/// The room of a record to be sealed, its header written.
struct Unsealed<'r> {
    header: [u8; HEADER],
    content: &'r mut [u8],
    /// For the inner type and the tag.
    tail: &'r mut [u8],
}

impl<'r> Unsealed<'r> {
    /// `record` is [`OVERHEAD`] longer than the content.
    fn new(record: &'r mut [u8]) -> Result<Self, Error> {
        let (start, rest) = record.split_first_chunk_mut::<HEADER>().ok_or(Error::EncryptError)?;
        let [high, low] = u16::try_from(rest.len()).map_err(|_| Error::EncryptError)?.to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        *start = header;
        let (content, tail) = rest.split_last_chunk_mut::<{ OVERHEAD - HEADER }>().ok_or(Error::EncryptError)?;
        Ok(Self { header, content, tail })
    }
}

/// Seals `content` into a record's room.
fn seal_from(key: &mut Key, kind: u8, content: &[u8], record: &mut [u8]) -> Result<(), Error> {
    let room = Unsealed::new(record)?;
    let (nonce, aad) = (key.nonce()?, Aad::from(room.header));
    let sealed = key.aead.seal_out_of_place_scatter(nonce, aad, content, room.content, &[kind], room.tail);
    sealed.map_err(|_| Error::EncryptError)
}

/// Seals what `fill` puts into a record's room.
fn seal_in(key: &mut Key, kind: u8, fill: impl FnOnce(&mut [u8]), record: &mut [u8]) -> Result<(), Error> {
    let room = Unsealed::new(record)?;
    fill(room.content);
    let (nonce, aad) = (key.nonce()?, Aad::from(room.header));
    let sealed = key.aead.seal_in_place_scatter(nonce, aad, room.content, &[kind], room.tail);
    sealed.map_err(|_| Error::EncryptError)
}

#[cfg(test)]
mod tests;
