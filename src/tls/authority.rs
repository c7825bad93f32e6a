//! The local certificate authority: made once per installation, it mints the leaves that listeners
//! show where the operator has no certificate of their own.
//!
//! Its key never leaves its file but into the signer; the file is readable by its owner alone, and
//! a file that others can read is refused. Two proxies that start at the same moment end up with
//! the same authority: each file appears whole, or not at all, and the first one stands.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::authority_files::{self as files, host_name};
use super::settings::AuthoritySettings;
use super::store;
use crate::fault::{Code, Fault};

const DAY: Duration = Duration::from_hours(24);
const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 365 * 5);
/// How far a certificate's start lies back, for clients whose clock is behind.
const BACK_DATED: Duration = DAY;
const LEAF_LIFE: Duration = Duration::from_hours(24 * 30);
/// A leaf is minted anew in the last third of its life.
const LEAF_RENEWAL: Duration = Duration::from_hours(24 * 10);
/// Leaves kept; a leaf takes about 1 KiB.
const LEAVES: usize = 1024;

/// The authority, ready to mint.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    path: PathBuf,
    not_after: SystemTime,
    leaf_key: KeyPair,
    leaf_signer: Arc<dyn rustls::sign::SigningKey>,
    leaves: Cache<String, Leaf>,
    minted: AtomicU64,
    hits: AtomicU64,
}

#[derive(Clone)]
struct Leaf {
    key: Arc<CertifiedKey>,
    renew_after: SystemTime,
}

impl Authority {
    /// Opens the authority in its directory, or makes it there if there is none.
    ///
    /// # Errors
    /// When a file cannot be read or made, others could read the key, or the certificate is not one
    /// of an authority, not in date, or not of this key.
    pub fn open_or_create(settings: &AuthoritySettings) -> Result<Self, Fault> {
        let directory = &settings.directory;
        files::make_directory(directory)?;
        let key_path = directory.join("ca.key");
        if !key_path.exists() {
            let key = KeyPair::generate().map_err(|error| library(&error))?;
            files::create(&key_path, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
        }
        let key = files::read_key(&key_path)?;
        let path = directory.join("ca.pem");
        if !path.exists() {
            let params = parameters(SystemTime::now());
            let certificate = params.self_signed(&key).map_err(|error| library(&error))?;
            files::create(&path, certificate.pem().as_bytes(), 0o644)?;
        }
        Self::load(path, key)
    }

    /// Opens the authority if it is there; makes nothing.
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create).
    pub fn open(settings: &AuthoritySettings) -> Result<Option<Self>, Fault> {
        let (path, key_path) = (settings.directory.join("ca.pem"), settings.directory.join("ca.key"));
        if !path.exists() && !key_path.exists() {
            return Ok(None);
        }
        let key = files::read_key(&key_path)?;
        Self::load(path, key).map(Some)
    }

    fn load(path: PathBuf, key: KeyPair) -> Result<Self, Fault> {
        let certificate =
            store::certificates(&path)?.into_iter().next().ok_or_else(|| files::not_an_authority(&path, "is empty"))?;
        let not_after = files::check(&path, &certificate, &key)?;
        let pem = fs::read_to_string(&path).map_err(|error| files::failed(&path, "cannot be read", &error))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| library(&error))?;
        let leaf_key = KeyPair::generate().map_err(|error| library(&error))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let leaf_signer = store::provider().key_provider.load_private_key(der).map_err(|error| library(&error))?;
        Ok(Self {
            issuer,
            certificate,
            pem,
            path,
            not_after,
            leaf_key,
            leaf_signer,
            leaves: Cache::new(LEAVES),
            minted: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        })
    }

    /// The authority's certificate in PEM, for clients that are to trust it.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// The file of [`ca_pem`](Self::ca_pem).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last moment the authority's certificate is valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// How many leaves were minted, and how often one was there already.
    #[must_use]
    pub fn minting(&self) -> (u64, u64) {
        (self.minted.load(Ordering::Relaxed), self.hits.load(Ordering::Relaxed))
    }

    /// SHA-256 of the authority's certificate, as browsers and mail clients show it: `AB:CD:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// The subject of the authority's certificate, as a person looks for it in a trust store.
    #[must_use]
    pub fn subject(&self) -> String {
        x509_parser::parse_x509_certificate(&self.certificate)
            .map_or_else(|_| String::new(), |(_, parsed)| crate::fault::plain(&parsed.subject().to_string()))
    }

    /// A leaf for these names (DNS names or IP addresses), from the cache or minted now.
    ///
    /// # Errors
    /// When a name is not one, or the signer fails.
    pub fn leaf(&self, names: &[String]) -> Result<Arc<CertifiedKey>, Fault> {
        self.leaf_at(names, SystemTime::now())
    }

    fn leaf_at(&self, names: &[String], now: SystemTime) -> Result<Arc<CertifiedKey>, Fault> {
        let cached = names.join(" ");
        if let Some(leaf) = self.leaves.get(&cached)
            && now < leaf.renew_after
        {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(leaf.key);
        }
        let leaf = self.mint(names, now)?;
        self.minted.fetch_add(1, Ordering::Relaxed);
        self.leaves.insert(cached, leaf.clone());
        Ok(leaf.key)
    }

    fn mint(&self, names: &[String], now: SystemTime) -> Result<Leaf, Fault> {
        let mut params = CertificateParams::new(names.to_vec()).map_err(|error| library(&error))?;
        let not_after = (now + LEAF_LIFE).min(self.not_after);
        params.not_before = (now - BACK_DATED).into();
        params.not_after = not_after.into();
        params.distinguished_name = rcgen::DistinguishedName::new();
        // a longer common name is malformed (RFC 5280 appendix A); clients look at the SAN alone
        if let Some(name) = names.first().filter(|name| name.len() <= 64) {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(serial()?);
        let leaf = params.signed_by(&self.leaf_key, &self.issuer).map_err(|error| library(&error))?;
        let key = CertifiedKey::new(vec![leaf.into()], Arc::clone(&self.leaf_signer));
        Ok(Leaf { key: Arc::new(key), renew_after: not_after - LEAF_RENEWAL })
    }
}

/// SHA-256 of a certificate, `AB:CD:…`.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

fn parameters(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (now - BACK_DATED).into();
    params.not_after = (now + AUTHORITY_LIFE).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    let host = host_name();
    let date =
        jiff::Timestamp::try_from(now).map_or_else(|_| String::new(), |now| now.strftime("%Y-%m-%d").to_string());
    params.distinguished_name.push(DnType::OrganizationName, format!("Mailwarden on {host}"));
    // at most 64 characters (RFC 5280 appendix A): a long host name is cut here and whole above
    let (head, tail) = ("Mailwarden local authority (interception), ", format!(", {date}"));
    let host: String = host.chars().take(64 - head.len() - tail.len()).collect();
    params.distinguished_name.push(DnType::CommonName, format!("{head}{host}{tail}"));
    params
}

/// 127 random bits, positive and never zero (RFC 5280 §4.1.2.2).
fn serial() -> Result<rcgen::SerialNumber, Fault> {
    let mut octets = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut octets).map_err(|error| library(&error))?;
    octets[0] = (octets[0] & 0x7f) | 0x40;
    Ok(rcgen::SerialNumber::from_slice(&octets))
}

fn library(error: &dyn fmt::Display) -> Fault {
    Fault::new(
        Code::AuthorityFile,
        format!("the authority cannot make a certificate: {error}"),
        "make a new authority: name an empty directory in [authority]",
    )
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("path", &self.path)
            .field("leaves", &self.leaves.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
