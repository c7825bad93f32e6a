//! Certificates for one test: an authority, and a leaf for `localhost` and 127.0.0.1.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Files in PEM, readable by every user, for servers give up their rights before they read them.
pub(crate) struct Authority {
    /// What clients and the proxy are told to trust.
    pub(crate) ca: PathBuf,
    /// The leaf of every server in the test.
    pub(crate) chain: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

impl Authority {
    /// Makes the three files in `directory`.
    pub(crate) fn create(directory: &Path) -> Self {
        Self::create_for(directory, &["localhost", "127.0.0.1"], None)
    }

    /// The same for a leaf with other names, or one that ends at a certain time.
    pub(crate) fn create_for(directory: &Path, names: &[&str], ended: Option<SystemTime>) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Mailwarden test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        if let Some(ended) = ended {
            params.not_after = ended.into();
        }
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        Self {
            ca: write(directory, "ca.pem", &issuer.pem()),
            chain: write(directory, "leaf.pem", &leaf.pem()),
            key: write(directory, "leaf.key", &key.serialize_pem()),
        }
    }
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}
