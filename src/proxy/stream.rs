//! One side's octets, in clear or in TLS, deflated or not, whichever it has come to.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deflate::Deflated;
use crate::fault::Fault;
use crate::policy::ClientTls;
use crate::tls::{Connector, Shaken, TlsStream, client_fault, client_timeout};
use crate::wire::Protocol;
use crate::witness::TlsFacts;

/// A side's transport.
#[derive(Debug)]
pub(super) enum Stream<IO> {
    Clear(IO),
    Tls(Box<TlsStream<IO>>),
    /// DEFLATE over one of the others.
    Deflated(Box<Deflated<IO>>),
    /// There is no connection: it was never made, or its handshake failed.
    Gone,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream<IO> {
    /// Does the handshake as a server. `before` was read from the socket already.
    pub(super) async fn accept(
        io: IO,
        before: &[u8],
        config: Arc<ServerConfig>,
        limit: Duration,
    ) -> Result<(Self, TlsFacts), Fault> {
        let handshake = TlsStream::accept(io, before, config);
        let done = tokio::time::timeout(limit, handshake).await.map_err(|_| client_timeout(limit))?;
        let mut shaken = done.map_err(|error| client_fault(&error))?;
        let asked = shaken.asked.take();
        Ok(Self::shaken(shaken, asked))
    }

    /// Does the handshake as a client, the certificate's verification included. `before` was read from the
    /// socket already.
    pub(super) async fn connect(
        io: IO,
        before: &[u8],
        connector: &Connector,
        protocol: Protocol,
        limit: Duration,
    ) -> Result<(Self, TlsFacts), Fault> {
        let shaken = connector.connect(io, before, protocol, limit).await?;
        Ok(Self::shaken(shaken, Some(connector.server_name())))
    }

    fn shaken(shaken: Shaken<IO>, server_name: Option<String>) -> (Self, TlsFacts) {
        let version = match shaken.version {
            Some(ProtocolVersion::TLSv1_3) => TLS13.to_owned(),
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = shaken.suite.map_or_else(String::new, |suite| format!("{suite:?}"));
        let facts =
            TlsFacts { version, cipher, server_name, subject: shaken.subject.map(Into::into), resumed: shaken.resumed };
        (Self::Tls(Box::new(shaken.stream)), facts)
    }
}

/// What rules may ask of a client's handshake.
pub(super) fn for_rules(facts: &TlsFacts) -> ClientTls {
    ClientTls {
        version: if facts.version == TLS13 { "1.3" } else { "1.2" },
        server_name: facts.server_name.as_deref().map(str::to_ascii_lowercase),
        subject: facts.subject.as_deref().map(str::to_owned),
    }
}

const TLS13: &str = "TLSv1.3";

macro_rules! each {
    ($self:expr, $stream:ident => $body:expr, $gone:expr) => {
        match $self.get_mut() {
            Stream::Clear($stream) => $body,
            Stream::Tls($stream) => {
                let $stream = $stream.as_mut();
                $body
            }
            Stream::Deflated($stream) => {
                let $stream = $stream.as_mut();
                $body
            }
            Stream::Gone => $gone,
        }
    };
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf), Poll::Ready(Ok(())))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf), Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs), Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx), Poll::Ready(Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx), Poll::Ready(Ok(())))
    }
}
