use std::os::unix::fs::PermissionsExt;

use x509_parser::extensions::GeneralName;

use super::*;

fn settings(directory: &Path) -> AuthoritySettings {
    AuthoritySettings { directory: directory.join("ca") }
}

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn is_made_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    assert!(Authority::open(&settings).unwrap().is_none());
    let first = Authority::open_or_create(&settings).unwrap();
    let second = Authority::open_or_create(&settings).unwrap();
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.fingerprint().len(), 95);
    assert!(first.subject().contains("Mailwarden local authority (interception), "), "{}", first.subject());
    let mode = |name: &str| fs::metadata(settings.directory.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca.key"), mode("."), fs::read_dir(&settings.directory).unwrap().count()), (0o600, 0o700, 2));
}

#[test]
fn a_certificate_lost_in_a_crash_is_made_again_from_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let first = Authority::open_or_create(&settings).unwrap();
    fs::remove_file(first.path()).unwrap();
    Authority::open_or_create(&settings).unwrap();
}

#[test]
fn leaves_carry_the_names_and_are_cached_until_the_last_third() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&settings(directory.path())).unwrap();
    let now = SystemTime::now();
    let asked = names(&["imap.example.com", "127.0.0.1"]);
    let leaf = authority.leaf_at(&asked, now).unwrap();
    let der = leaf.end_entity_cert().unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(der).unwrap();
    let san = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        san.value.general_names,
        [GeneralName::DNSName("imap.example.com"), GeneralName::IPAddress(&[127, 0, 0, 1])]
    );
    assert!(parsed.extended_key_usage().unwrap().unwrap().value.server_auth);
    assert!(!parsed.is_ca());
    assert_eq!(parsed.issuer().to_string(), authority.subject());
    let same = authority.leaf_at(&asked, now + DAY * 19).unwrap();
    assert!(Arc::ptr_eq(&leaf, &same));
    let renewed = authority.leaf_at(&asked, now + DAY * 21).unwrap();
    assert!(!Arc::ptr_eq(&leaf, &renewed));
    assert!(authority.leaf(&names(&["no name at all \u{7f}ä"])).is_err());
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    drop(Authority::open_or_create(&settings).unwrap());
    fs::set_permissions(settings.directory.join("ca.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let fault = Authority::open_or_create(&settings).unwrap_err();
    assert_eq!(fault.code, Code::AuthorityMode);
    assert!(fault.help.contains("chmod 600"), "{}", fault.help);
}

#[test]
fn files_that_are_no_authority_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let first = Authority::open_or_create(&settings).unwrap();
    let key = KeyPair::from_pem(&fs::read_to_string(settings.directory.join("ca.key")).unwrap()).unwrap();
    let stranger = KeyPair::generate().unwrap();
    let code_with = |params: CertificateParams, key: &KeyPair| {
        fs::write(first.path(), params.self_signed(key).unwrap().pem()).unwrap();
        Authority::open(&settings).unwrap_err().code
    };
    assert_eq!(code_with(CertificateParams::new(names(&["leaf.example"])).unwrap(), &key), Code::AuthorityKind);
    assert_eq!(code_with(parameters(SystemTime::now()), &stranger), Code::AuthorityKey);
    assert_eq!(code_with(parameters(SystemTime::now() - AUTHORITY_LIFE * 2), &key), Code::AuthorityDates);
}

#[test]
fn debug_output_holds_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&settings(directory.path())).unwrap();
    let shown = format!("{authority:?}");
    assert!(shown.starts_with("Authority { path: ") && !shown.contains("issuer"), "{shown}");
}
