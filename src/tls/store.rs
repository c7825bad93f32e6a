//! Reads certificates and keys from PEM files, and says which file is wrong, how, and what to do.
//! A private key goes from the file into the TLS library; it is never shown.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::{CertificateFiles, Roots};
use crate::fault::{Code, Fault};

/// The one crypto provider of both legs: aws-lc-rs, the post-quantum hybrid group first.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Reads a chain and its key, and holds them against each other.
pub(super) fn certified_key(files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, Fault> {
    let chain = certificates(&files.chain)?;
    let key = private_key(&files.key)?;
    let shown = files.key.display();
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        Fault::new(
            Code::KeyUnusable,
            format!("the private key in {shown} cannot be used: {error}"),
            "use an ECDSA P-256 or P-384, Ed25519 or RSA key of 2048 bits or more, not encrypted with a password",
        )
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err(Fault::new(
            Code::KeyMismatch,
            format!("the key in {shown} does not belong to the first certificate in {}", files.chain.display()),
            "put the server's own certificate first in the chain file, or name the key it was made with",
        )),
    }
}

/// Reads all certificates of a file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let octets = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(content(path, "holds no certificate")),
        Err(error) => Err(content(path, &format!("is not sound PEM: {error}"))),
    }
}

/// When a certificate expires, in seconds since 1970.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let octets = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&octets).map_err(|error| {
        let shown = path.display();
        let (sentence, help) = if octets.windows(9).any(|window| window == b"ENCRYPTED") {
            (format!("the private key in {shown} is encrypted with a password"), "decrypt it: openssl pkey -in FILE")
        } else {
            (format!("{shown} holds no private key: {error}"), "name a file with a `-----BEGIN PRIVATE KEY-----` block")
        };
        Fault::new(Code::KeyUnusable, sentence, help)
    })
}

/// Collects the roots an upstream is verified with.
pub(super) fn roots(roots: &Roots) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            let loaded = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(loaded.certs);
            if store.is_empty() {
                let why = loaded.errors.first().map_or_else(String::new, |error| format!(": {error}"));
                return Err(Fault::new(
                    Code::Roots,
                    format!("the system's trust store holds no usable certificate{why}"),
                    "install the package `ca-certificates`, or name a file: roots = \"ca.pem\"",
                ));
            }
        }
        Roots::File(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| {
                    Fault::new(
                        Code::Roots,
                        format!("a certificate in {} cannot be a root: {error}", path.display()),
                        "leave only certificates of authorities in the file",
                    )
                })?;
            }
        }
    }
    Ok(store)
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|error| {
        Fault::new(
            Code::FileUnreadable,
            format!("{} cannot be read: {error}", path.display()),
            "check the path, and that the user the proxy runs as may read the file",
        )
    })
}

fn content(path: &Path, what: &str) -> Fault {
    Fault::new(
        Code::FileContent,
        format!("{} {what}", path.display()),
        "name a file with `-----BEGIN CERTIFICATE-----` blocks, the server's own first",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(names: &[&str]) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn code_of(chain: &str, key: &str) -> Result<(), Code> {
        let directory = tempfile::tempdir().unwrap();
        let files = CertificateFiles { chain: directory.path().join("c.pem"), key: directory.path().join("k.pem") };
        std::fs::write(&files.chain, chain).unwrap();
        std::fs::write(&files.key, key).unwrap();
        certified_key(&files, &provider()).map(drop).map_err(|fault| fault.code)
    }

    #[test]
    fn tells_what_is_wrong_with_a_pair_of_files() {
        let (chain, key) = pair(&["mail.example.com"]);
        let (_, stranger) = pair(&["mail.example.com"]);
        assert_eq!(code_of(&chain, &key), Ok(()));
        assert_eq!(code_of(&chain, &stranger), Err(Code::KeyMismatch));
        assert_eq!(code_of("", &key), Err(Code::FileContent));
        assert_eq!(code_of(&key, &chain), Err(Code::FileContent));
        assert_eq!(code_of(&chain, ""), Err(Code::KeyUnusable));
        assert_eq!(
            code_of("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &key),
            Err(Code::FileContent)
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let fault = certificates(Path::new("no/such/file.pem")).unwrap_err();
        assert_eq!(fault.code, Code::FileUnreadable);
        assert!(fault.sentence.contains("no/such/file.pem"), "{fault}");
    }
}
