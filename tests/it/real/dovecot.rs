//! A Dovecot on loopback ports, all its files under one directory, with one user.
//!
//! Started by root it gives its processes to `nobody`, `dovecot` and `dovenull`; started by anyone
//! else it runs whole as that user.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::authority::Authority;
use super::command::{Daemon, free_port, is_root};
use super::lab::{PASSWORD, Ports, Tls, USER};

/// `nobody` and `nogroup` of Debian: who owns the mail when root runs the tests.
const NOBODY: u32 = 65_534;
/// 2024-01-01 00:00:00 UTC: when the first message arrived; one more each minute.
const FIRST_ARRIVAL: u64 = 1_704_067_200;

/// A running server.
pub(crate) struct Dovecot {
    clear: Ports,
    implicit: Ports,
    mail: PathBuf,
    log: PathBuf,
    _daemon: Daemon,
}

impl Dovecot {
    /// Starts it with these messages in the inbox.
    pub(crate) fn start(directory: &Path, authority: &Authority, messages: &[Vec<u8>]) -> Self {
        let home = directory.join("dovecot");
        fs::create_dir(&home).unwrap();
        let mail = home.join("mail").join(USER);
        deliver(&mail, messages);
        fs::write(home.join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}\n")).unwrap();
        let log = home.join("log");
        let clear = Ports { imap: free_port(), pop3: free_port() };
        let implicit = Ports { imap: free_port(), pop3: free_port() };
        let file = home.join("dovecot.conf");
        fs::write(&file, configuration(&home, authority, clear, implicit)).unwrap();
        let mut daemon = Daemon::spawn(Command::new(program()).args(["-F", "-c"]).arg(&file));
        let listens = daemon.listens(&[clear.imap, clear.pop3, implicit.imap, implicit.pop3]);
        assert!(listens, "Dovecot does not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
        Self { clear, implicit, mail, log, _daemon: daemon }
    }

    /// Where a client that does TLS in this way connects.
    pub(crate) fn ports(&self, tls: Tls) -> Ports {
        if tls == Tls::Implicit { self.implicit } else { self.clear }
    }

    /// The user's Maildir, to look at what the server kept.
    pub(crate) fn maildir(&self) -> &Path {
        &self.mail
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Debian keeps it where only root's PATH looks.
fn program() -> &'static str {
    if Path::new("/usr/sbin/dovecot").exists() { "/usr/sbin/dovecot" } else { "dovecot" }
}

fn deliver(mail: &Path, messages: &[Vec<u8>]) {
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(mail.join(folder)).unwrap();
    }
    for (number, message) in (0_u64..).zip(messages) {
        let path = mail.join("new").join(format!("{}.M{number}.lab", FIRST_ARRIVAL + number));
        fs::write(&path, message).unwrap();
        let arrived = SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST_ARRIVAL + number * 60);
        File::options().append(true).open(&path).unwrap().set_modified(arrived).unwrap();
    }
    if is_root() {
        give_away(mail.parent().expect("joined by the caller"));
    }
}

/// Makes `nobody` the owner of all below `path`; only root can.
pub(crate) fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

fn configuration(home: &Path, authority: &Authority, clear: Ports, implicit: Ports) -> String {
    let us = fs::metadata("/proc/self").unwrap();
    let (uid, gid) = if is_root() { (NOBODY, NOBODY) } else { (us.uid(), us.gid()) };
    let home = home.display();
    let mut text = format!(
        "base_dir = {home}/run\nstate_dir = {home}/state\nlog_path = {home}/log\nlisten = 127.0.0.1\n\
         protocols = imap pop3\nssl = yes\nssl_cert = <{}\nssl_key = <{}\ndisable_plaintext_auth = no\n\
         auth_mechanisms = plain login apop\nmail_plugins = zlib\nauth_failure_delay = 0\nmail_location = maildir:{home}/mail/%u\n\
         first_valid_uid = 1\nfirst_valid_gid = 1\nmail_max_userip_connections = 100\npop3_uidl_format = %g\n\
         protocol imap {{\n mail_plugins = zlib imap_zlib\n}}\n\
         passdb {{\n driver = passwd-file\n args = {home}/users\n}}\n\
         userdb {{\n driver = static\n args = uid={uid} gid={gid} home={home}/mail/%u\n}}\n",
        authority.chain.display(),
        authority.key.display(),
    );
    for (name, clear, implicit) in [("imap", clear.imap, implicit.imap), ("pop3", clear.pop3, implicit.pop3)] {
        write!(
            text,
            "service {name}-login {{\n{}\n inet_listener {name} {{\n port = {clear}\n }}\n \
             inet_listener {name}s {{\n port = {implicit}\n ssl = yes\n }}\n}}\n",
            if is_root() { "" } else { " chroot =" }
        )
        .unwrap();
    }
    if !is_root() {
        let (user, group) = (name_of("-un"), name_of("-gn"));
        write!(
            text,
            "default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}\n\
             service anvil {{\n chroot =\n}}\nservice stats {{\n chroot =\n}}\n"
        )
        .unwrap();
    }
    text
}

fn name_of(what: &str) -> String {
    let out = Command::new("id").arg(what).output().unwrap().stdout;
    String::from_utf8(out).unwrap().trim().to_owned()
}

/// Lets the processes of other users look into a directory made for one.
pub(crate) fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
}
