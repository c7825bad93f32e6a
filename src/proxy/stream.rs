//! One side's octets, in clear or in TLS, deflated or not, whichever it has come to.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsAcceptor, client, server};

use super::deflate::Deflated;
use super::leg::Leg;
use crate::fault::Fault;
use crate::tls::{Connector, client_fault, client_timeout};
use crate::wire::Protocol;
use crate::witness::TlsFacts;

/// A side's transport.
#[derive(Debug)]
pub(super) enum Stream<IO> {
    Clear(Leg<IO>),
    /// We are the TLS server.
    Client(Box<server::TlsStream<Leg<IO>>>),
    /// We are the TLS client.
    Upstream(Box<client::TlsStream<Leg<IO>>>),
    /// DEFLATE over one of the others.
    Deflated(Box<Deflated<IO>>),
    /// There is no connection: it was never made, or its handshake failed.
    Gone,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream<IO> {
    pub(super) fn clear(io: IO) -> Self {
        Self::Clear(Leg::new(io))
    }

    /// Does the handshake as a server.
    pub(super) async fn accept(
        leg: Leg<IO>,
        config: Arc<ServerConfig>,
        limit: Duration,
    ) -> Result<(Self, TlsFacts), Fault> {
        let handshake = TlsAcceptor::from(config).accept(leg);
        let done = tokio::time::timeout(limit, handshake).await.map_err(|_| client_timeout(limit))?;
        let stream = done.map_err(|error| client_fault(&error))?;
        let session = stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        let facts = facts(session, session.server_name(), resumed);
        Ok((Self::Client(Box::new(stream)), facts))
    }

    /// Does the handshake as a client, the certificate's verification included.
    pub(super) async fn connect(
        leg: Leg<IO>,
        connector: &Connector,
        protocol: Protocol,
        limit: Duration,
    ) -> Result<(Self, TlsFacts), Fault> {
        let stream = connector.connect(leg, protocol, limit).await?;
        let session = stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        let facts = facts(session, Some(&connector.server_name()), resumed);
        Ok((Self::Upstream(Box::new(stream)), facts))
    }
}

fn facts<Data>(session: &rustls::ConnectionCommon<Data>, server_name: Option<&str>, resumed: bool) -> TlsFacts {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = session.negotiated_cipher_suite().map_or_else(String::new, |suite| format!("{:?}", suite.suite()));
    TlsFacts { version, cipher, server_name: server_name.map(ToOwned::to_owned), resumed }
}

macro_rules! each {
    ($self:expr, $stream:ident => $body:expr, $gone:expr) => {
        match $self.get_mut() {
            Stream::Clear($stream) => $body,
            Stream::Client($stream) => {
                let $stream = $stream.as_mut();
                $body
            }
            Stream::Upstream($stream) => {
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
