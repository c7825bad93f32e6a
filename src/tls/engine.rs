//! The TLS engine of one connection, without I/O: records in, content out, and the reverse.
//!
//! rustls does the handshake and, with TLS 1.2 or `ChaCha20`, all that follows. With TLS 1.3 and AES-GCM the
//! records are opened and sealed in place once nothing of the handshake is left (`records`).

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CipherSuite, CommonState, Error, ProtocolVersion};

use super::buffers::{Parts, Plain, Room, Waiting};
use super::records::{CONTENT, OVERHEAD, Records};

/// How far opening came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// The handshake needs more from the peer.
    Handshake,
    /// All whole records are opened.
    Traffic,
    /// The reader has no room for more.
    Full,
    /// The peer has said that nothing follows.
    Ended,
}

/// A connection's engine.
pub(super) enum Engine {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
    InPlace(Box<Records>),
    /// Its first error was its end.
    Failed,
}

/// What is said of our own.
pub(super) enum Say<'p, 'a> {
    Nothing,
    Content(&'p mut Parts<'a>),
    CloseNotify,
}

impl Engine {
    /// Works on records from the front: content goes to `plain`, what must be answered to `answer`. Says how
    /// many octets were used, also where it fails.
    pub(super) fn open(
        &mut self,
        records: &mut [u8],
        plain: &mut Plain<'_, '_>,
        answer: &mut Waiting,
    ) -> (usize, Result<Opened, Error>) {
        let (used, opened) = match self {
            Self::Server(connection) => turn(connection.as_mut(), records, plain, answer, Say::Nothing),
            Self::Client(connection) => turn(connection.as_mut(), records, plain, answer, Say::Nothing),
            Self::InPlace(connection) => connection.open(records, plain),
            Self::Failed => (0, Err(already_failed())),
        };
        if let Err(error) = &opened {
            if let Self::InPlace(connection) = self {
                let mut room = Room::of(2 + OVERHEAD);
                // the error that is told of is the first one
                let _second = connection.fatal(error, &mut room);
                answer.push(room.used());
            }
            *self = Self::Failed;
        }
        (used, opened)
    }

    /// Seals what is said, as far as there is room: into `out`, or into `answer` where rustls does it. Only
    /// then `records`, those received and not opened, are looked at, and what they hold goes to `plain`; `true`:
    /// the peer has said in them that nothing follows.
    pub(super) fn say(
        &mut self,
        say: Say<'_, '_>,
        out: &mut Room,
        records: &mut [u8],
        plain: &mut Plain<'_, '_>,
        answer: &mut Waiting,
    ) -> (usize, Result<bool, Error>) {
        let (used, opened) = match self {
            Self::Server(connection) => turn(connection.as_mut(), records, plain, answer, say),
            Self::Client(connection) => turn(connection.as_mut(), records, plain, answer, say),
            Self::InPlace(connection) => {
                let done = match say {
                    Say::Nothing => Ok(()),
                    Say::Content(parts) => connection.seal(parts, out),
                    Say::CloseNotify => connection.close_notify(out),
                };
                (0, done.map(|()| Opened::Traffic))
            }
            // the error was the end of it, and the peer was told
            Self::Failed if matches!(say, Say::CloseNotify) => (0, Ok(Opened::Traffic)),
            Self::Failed => (0, Err(already_failed())),
        };
        if opened.is_err() {
            *self = Self::Failed;
        }
        (used, opened.map(|opened| opened == Opened::Ended))
    }

    /// From here on records are opened and sealed in place, if they are of the kind that can be. Nothing may
    /// be left of what was received or is to be sent.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        let can_be = self.common().is_some_and(|common| {
            let suite = common.negotiated_cipher_suite().map(|suite| suite.suite());
            common.protocol_version() == Some(ProtocolVersion::TLSv1_3)
                && matches!(suite, Some(CipherSuite::TLS13_AES_128_GCM_SHA256 | CipherSuite::TLS13_AES_256_GCM_SHA384))
        });
        if !can_be {
            return Ok(());
        }
        let records = match std::mem::replace(self, Self::Failed) {
            Self::Server(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                Records::server(secrets, kernel)?
            }
            Self::Client(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                Records::client(secrets, kernel)?
            }
            other @ (Self::InPlace(_) | Self::Failed) => {
                *self = other;
                return Ok(());
            }
        };
        *self = Self::InPlace(Box::new(records));
        Ok(())
    }

    /// What rustls knows of the connection, as long as it has it.
    pub(super) fn common(&self) -> Option<&CommonState> {
        match self {
            Self::Server(connection) => Some(connection),
            Self::Client(connection) => Some(connection),
            Self::InPlace(_) | Self::Failed => None,
        }
    }
}

fn already_failed() -> Error {
    Error::General("the connection has failed before".to_owned())
}

/// Both of rustls's connections.
trait Unbuffered {
    type Data;
    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Unbuffered for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }
}

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }
}

/// Lets rustls work on records until it needs more, or may say what is to be said and has.
fn turn<C: Unbuffered>(
    connection: &mut C,
    records: &mut [u8],
    plain: &mut Plain<'_, '_>,
    answer: &mut Waiting,
    mut say: Say<'_, '_>,
) -> (usize, Result<Opened, Error>) {
    let mut used = 0;
    let mut ended = false;
    loop {
        let UnbufferedStatus { mut discard, state } = connection.process(records.get_mut(used..).unwrap_or_default());
        let opened = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        discard += record.discard;
                        plain.put(record.payload);
                    }
                    Some(Err(error)) => break Some(Err(error)),
                    None => break None,
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                match grow(answer, |room| data.encode(room).map_err(|error| required(&error))) {
                    Ok(()) => None,
                    Err(error) => Some(Err(error)),
                }
            }
            // it is in `answer`, which goes out before all else
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                None
            }
            Ok(ConnectionState::BlockedHandshake) => Some(Ok(Opened::Handshake)),
            Ok(ConnectionState::WriteTraffic(traffic)) => {
                let written = write(traffic, std::mem::replace(&mut say, Say::Nothing), answer);
                Some(written.map(|()| if ended { Opened::Ended } else { Opened::Traffic }))
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) if matches!(say, Say::Nothing) => {
                Some(Ok(Opened::Ended))
            }
            // rustls tells of it once
            Ok(ConnectionState::PeerClosed) => {
                ended = true;
                None
            }
            Ok(_) => Some(Err(Error::General("rustls is in a state that was not asked for".to_owned()))),
            Err(error) => {
                // messages that follow in the same record are still looked at, where they lie
                last_words(connection, records.get_mut(used + discard..).unwrap_or_default(), answer);
                Some(Err(error))
            }
        };
        used += discard;
        if let Some(opened) = opened {
            return (used, opened);
        }
    }
}

/// Takes the alert that tells the peer of an error, if there is one: it is the one thing that waits to be
/// sent, and rustls may not be asked twice, for it would find the error anew.
fn last_words<C: Unbuffered>(connection: &mut C, records: &mut [u8], answer: &mut Waiting) {
    if let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process(records).state {
        // the error that is told of is the first one
        let _second = grow(answer, |room| data.encode(room).map_err(|error| required(&error)));
    }
}

fn write<Data>(mut traffic: WriteTraffic<'_, Data>, say: Say<'_, '_>, answer: &mut Waiting) -> Result<(), Error> {
    match say {
        Say::Nothing => Ok(()),
        Say::CloseNotify => grow(answer, |room| traffic.queue_close_notify(room).map_err(|error| needed(&error))),
        Say::Content(parts) => {
            let mut content = zeroize::Zeroizing::new(vec![0; parts.left().min(4 * CONTENT)]);
            parts.copy_to(&mut content);
            grow(answer, |room| traffic.encrypt(&content, room).map_err(|error| needed(&error)))
        }
    }
}

/// Lets `fill` write behind what waits, with the room it says it needs.
fn grow(answer: &mut Waiting, mut fill: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) -> Result<(), Error> {
    let mut size = 0;
    loop {
        match answer.extend(size, &mut fill) {
            Ok(()) => return Ok(()),
            Err(Some(required)) if required > size => size = required,
            Err(_) => return Err(Error::EncryptError),
        }
    }
}

fn required(error: &EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
        EncodeError::AlreadyEncoded => None,
    }
}

fn needed(error: &EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
        EncryptError::EncryptExhausted => None,
    }
}
