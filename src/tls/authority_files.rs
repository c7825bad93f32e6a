//! The authority's two files: made so that a crash or a second proxy leaves them whole, and looked
//! at before they are trusted.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::fault::{Code, Fault};

pub(super) fn make_directory(directory: &Path) -> Result<(), Fault> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| failed(directory, "cannot be made", &error))
}

/// Makes a file that is whole from its first moment and never replaces another: a name beside it is
/// written, synced and linked. If the name is taken by then, the other file stands.
pub(super) fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), Fault> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let linked = write_whole(&beside, content, mode).and_then(|()| fs::hard_link(&beside, path));
    let removed = fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, "cannot be made", &error)),
        Ok(()) | Err(_) => removed.map_err(|error| failed(&beside, "cannot be removed", &error)),
    }
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // a file left by a crash of an earlier process with this id
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

pub(super) fn read_key(path: &Path) -> Result<KeyPair, Fault> {
    let mode = fs::metadata(path).map_err(|error| failed(path, "cannot be read", &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(Fault::new(
            Code::AuthorityMode,
            format!("{shown} can be used by others than its owner (mode {:04o})", mode & 0o7777),
            format!(
                "whoever could read it can impersonate any server to your clients: make a new authority, or run `chmod 600 {shown}` if you are sure that nobody did"
            ),
        ));
    }
    let pem = fs::read_to_string(path).map_err(|error| failed(path, "cannot be read", &error))?;
    KeyPair::from_pem(&Zeroizing::new(pem)).map_err(|error| {
        Fault::new(
            Code::AuthorityKey,
            format!("{} holds no usable private key: {error}", path.display()),
            "restore the file, or make a new authority: name an empty directory in [authority]",
        )
    })
}

/// Looks at what rcgen does not: that the certificate is an authority's, in date, and of this key.
/// Says until when it is valid.
pub(super) fn check(path: &Path, certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<SystemTime, Fault> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|_| not_an_authority(path, "cannot be understood"))?;
    let authority = parsed.basic_constraints().ok().flatten().is_some_and(|found| found.value.ca);
    let signs = parsed.key_usage().ok().flatten().is_none_or(|found| found.value.key_cert_sign());
    if !authority || !signs {
        return Err(not_an_authority(path, "is not the certificate of an authority"));
    }
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(Fault::new(
            Code::AuthorityKey,
            format!("ca.key does not belong to {}", path.display()),
            "restore the pair, or make a new authority: name an empty directory in [authority]",
        ));
    }
    let validity = parsed.validity();
    let now = x509_parser::time::ASN1Time::now();
    if !validity.is_valid_at(now) {
        return Err(Fault::new(
            Code::AuthorityDates,
            format!("{} is valid from {} to {}", path.display(), validity.not_before, validity.not_after),
            "check the clock; if it is right, name an empty directory in [authority], and have clients trust the new authority",
        ));
    }
    let until = u64::try_from(validity.not_after.timestamp()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(until))
}

pub(super) fn not_an_authority(path: &Path, what: &str) -> Fault {
    Fault::new(
        Code::AuthorityKind,
        format!("{} {what}", path.display()),
        "a certificate with basicConstraints CA:TRUE and keyCertSign is needed; one is made when [authority] names an empty directory",
    )
}

pub(super) fn failed(path: &Path, what: &str, error: &io::Error) -> Fault {
    Fault::new(
        Code::AuthorityFile,
        format!("{} {what}: {error}", path.display()),
        "the user the proxy runs as must own the directory of the authority and be able to write there",
    )
}

/// This machine's name, at most 49 characters.
pub(super) fn host_name() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    let name: String = crate::fault::plain(read.unwrap_or_default().trim()).chars().take(49).collect();
    if name.is_empty() { "this machine".to_owned() } else { name }
}
