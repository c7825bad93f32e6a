//! TLS on both legs: the acceptor towards clients, the connector towards servers, the local
//! authority that mints certificates.

mod acceptor;
mod asked;
mod authority;
mod authority_files;
mod buffers;
mod connector;
mod engine;
mod records;
mod settings;
mod store;
mod stream;
mod subject;
#[cfg(test)]
mod testing;
mod verify;

pub use acceptor::{Acceptor, client_fault, client_timeout};
pub use authority::{Authority, fingerprint};
pub(crate) use buffers::{CHUNK, give_back, take_buffer};
pub(crate) use connector::client_config;
pub use connector::{Connector, Trust};
pub use settings::{AuthoritySettings, CertificateFiles, CertificateSettings, Pin, PinError, Roots};
pub(crate) use stream::{Shaken, TlsStream};
