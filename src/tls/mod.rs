//! TLS on both legs: the acceptor towards clients, the connector towards servers, the local
//! authority that mints certificates.

mod acceptor;
mod authority;
mod authority_files;
mod connector;
mod settings;
mod store;
mod verify;

pub use acceptor::{Acceptor, client_fault, client_timeout};
pub use authority::{Authority, fingerprint};
pub use connector::Connector;
pub(crate) use connector::server_name;
pub use settings::{AuthoritySettings, CertificateFiles, CertificateSettings, Pin, PinError, Roots};
