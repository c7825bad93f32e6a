//! TLS on both legs: the acceptor towards clients, the connector towards servers, the local
//! authority that mints certificates.

mod settings;

pub use settings::{AuthoritySettings, CertificateFiles, CertificateSettings, Pin, PinError, Roots};
