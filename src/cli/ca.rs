//! `mailwarden ca`: the local authority, and how programs come to trust it. Only its certificate
//! is read, never its key.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use aws_lc_rs::digest;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Globals;
use super::terminal::{complain, say};
use crate::config::Config;

const AFTER_HELP: &str = "\
Examples:
  mailwarden ca show --config mailwarden.toml
  mailwarden ca export --config mailwarden.toml --out mailwarden-ca.pem";

const SHOW_HELP: &str = "\
Examples:
  mailwarden ca show --config /etc/mailwarden/mailwarden.toml
  mailwarden ca show --directory /var/lib/mailwarden/ca";

const EXPORT_HELP: &str = "\
Only the certificate is written, never the key.

Examples:
  mailwarden ca export --config mailwarden.toml > mailwarden-ca.pem
  mailwarden ca export --directory ca --out mailwarden-ca.pem
  mailwarden ca export --directory ca --der --out mailwarden-ca.der";

/// Show or export the certificate that mail programs must trust
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show what it is, until when it is valid, and how to trust it
    #[command(after_long_help = SHOW_HELP)]
    Show(Place),
    /// Write the certificate to a file or to standard output
    #[command(after_long_help = EXPORT_HELP)]
    Export {
        #[command(flatten)]
        place: Place,
        /// Write to this file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Write binary DER instead of PEM text
        #[arg(long)]
        der: bool,
    },
}

/// Where the authority is.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The configuration file that names the authority
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The authority's own directory
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Show(place) => match place.directory(globals)? {
                Ok(directory) => show(&directory),
                Err(refused) => Ok(refused),
            },
            Action::Export { place, out, der } => match place.directory(globals)? {
                Ok(directory) => export(&directory, out.as_deref(), der),
                Err(refused) => Ok(refused),
            },
        }
    }
}

impl Place {
    /// The authority's directory; or the exit code of a configuration that was refused.
    fn directory(self, globals: &Globals) -> anyhow::Result<Result<PathBuf, ExitCode>> {
        let Some(path) = self.config else {
            return self.directory.map(Ok).context("neither --config nor --directory was given");
        };
        match Config::load(&path) {
            Ok(config) => match config.authority {
                Some(authority) => Ok(Ok(authority.directory)),
                None => bail!("{} has no [authority] section, so there is no authority to show", path.display()),
            },
            Err(errors) => Ok(Err(globals.refuse(&errors))),
        }
    }
}

/// Reads `ca.pem`.
fn certificate(directory: &Path) -> anyhow::Result<(PathBuf, Pem)> {
    let path = directory.join("ca.pem");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "there is no authority in {} yet; it is made when `mailwarden run` starts \
                 with `certificate = \"mint\"` in a listener",
                directory.display()
            )
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let pem = Pem::iter_from_buffer(&text)
        .find_map(|pem| pem.ok().filter(|pem| pem.label == "CERTIFICATE"))
        .ok_or_else(|| anyhow!("{} holds no certificate in PEM form", path.display()))?;
    Ok((path, pem))
}

fn export(directory: &Path, out: Option<&Path>, der: bool) -> anyhow::Result<ExitCode> {
    use std::io::Write;

    let (path, pem) = certificate(directory)?;
    let octets = if der {
        pem.contents
    } else {
        fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?
    };
    if let Some(out) = out {
        fs::write(out, &octets).with_context(|| format!("{} cannot be written", out.display()))?;
        complain(&format!("the certificate is in {}\n", out.display()));
    } else {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&octets)?;
        stdout.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(directory: &Path) -> anyhow::Result<ExitCode> {
    let (path, pem) = certificate(directory)?;
    let shown = fs::canonicalize(&path).unwrap_or(path);
    say(&describe(&pem, &shown)?)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(pem: &Pem, path: &Path) -> anyhow::Result<String> {
    let (_, parsed) = X509Certificate::from_der(&pem.contents)
        .map_err(|error| anyhow!("{} holds no readable certificate: {error}", path.display()))?;
    let key = path.with_file_name("ca.key");
    let mut out = String::new();
    writeln!(out, "subject       {}", parsed.subject())?;
    writeln!(out, "valid from    {}", date(parsed.validity().not_before.timestamp()))?;
    writeln!(out, "valid until   {}", date(parsed.validity().not_after.timestamp()))?;
    let fingerprint = fingerprint(&pem.contents);
    let (first, second) = fingerprint.split_at(fingerprint.len().min(48));
    writeln!(out, "SHA-256       {first}\n              {second}")?;
    writeln!(out, "certificate   {}", path.display())?;
    let readers = if key.exists() { "whoever reads it can be any server to your programs" } else { "not here" };
    writeln!(out, "key           {}\n              ({readers})", key.display())?;
    out.push('\n');
    out.push_str(&trust(&quoted(path)));
    Ok(out)
}

/// Colon-separated pairs of hexadecimal digits, as every certificate viewer shows them.
fn fingerprint(der: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, der);
    digest.as_ref().iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

fn date(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

/// As one word of a shell's command line.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn trust(file: &str) -> String {
    format!(
        "\
To trust it (compare the SHA-256 first):

curl          curl --cacert {file} …
Python        ssl.create_default_context(cafile={file})
              or, for a whole program: SSL_CERT_FILE={file}
Firefox       Settings, Privacy & Security, View Certificates, Authorities,
              Import: choose the file, tick “identify websites”
Thunderbird   Settings, Privacy & Security, Manage Certificates, Authorities,
              Import: choose the file, tick “identify websites”
Debian        sudo cp {file} \\
                /usr/local/share/ca-certificates/mailwarden.crt
              sudo update-ca-certificates
macOS         sudo security add-trusted-cert -d -r trustRoot \\
                -k /Library/Keychains/System.keychain {file}
Windows       certutil -addstore Root <file>   (as administrator)
Java          keytool -importcert -cacerts -alias mailwarden \\
                -file {file}

To trust it no longer, remove it in the same place.
"
    )
}
