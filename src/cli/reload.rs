//! `mailwarden reload`: the running proxy reads its configuration again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::terminal::{complain, say};
use super::{EXIT_NO, Globals};
use crate::admin::Token;
use crate::config::Loaded;

const AFTER_HELP: &str = "\
Rules, groups and hooks change without a restart, from each session's next command.
The running proxy is found by the [admin] section of the file. SIGHUP does the same.

Exit codes: 0 the file is in force, 1 it is not and nothing was changed, 3 no proxy was reached.

Examples:
  mailwarden reload --config /etc/mailwarden/mailwarden.toml
  mailwarden check --config mailwarden.toml && mailwarden reload --config mailwarden.toml";

/// A proxy that has to read many rules may take a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of an answer.
const LONGEST: u64 = 1 << 20;

/// Put the rules of the configuration in force without a restart
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Args {
    /// The configuration file that the running proxy was started with
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Args {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<ExitCode> {
        let loaded = match Loaded::read(&self.config) {
            Ok(loaded) => loaded,
            Err(errors) => {
                globals.refuse(&errors);
                complain("nothing was changed\n");
                return Ok(ExitCode::from(EXIT_NO));
            }
        };
        let Some(admin) = loaded.config.admin else {
            bail!("the file has no [admin] section, by which the running proxy would be found; send it SIGHUP");
        };
        let token = admin.token_file.as_deref().map(Token::read).transpose()?;
        let (status, body) = tokio::time::timeout(PATIENCE, post(reachable(admin.address), token.as_ref()))
            .await
            .context("the proxy did not answer in 30 s")?
            .with_context(|| format!("no proxy answers on {} ([admin] in the file)", admin.address))?;
        match status {
            200 => {
                say(&body)?;
                Ok(ExitCode::SUCCESS)
            }
            409 | 401 | 403 | 421 => {
                complain(&body);
                Ok(ExitCode::from(EXIT_NO))
            }
            other => bail!("what answers on {} is no proxy that reloads: status {other}", admin.address),
        }
    }
}

/// The address to connect to: one that stands for all of the machine's is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The status and the text of the answer.
async fn post(address: SocketAddr, token: Option<&Token>) -> anyhow::Result<(u16, String)> {
    let mut tcp = TcpStream::connect(address).await?;
    let request = format!(
        "POST /reload HTTP/1.1\r\nhost: {address}\r\nmailwarden-request: reload\r\ncontent-length: 0\r\n\
         connection: close\r\n"
    );
    tcp.write_all(request.as_bytes()).await?;
    if let Some(token) = token {
        for piece in [b"authorization: Bearer ", token.expose(), b"\r\n"] {
            tcp.write_all(piece).await?;
        }
    }
    tcp.write_all(b"\r\n").await?;
    let mut answer = String::new();
    tcp.take(LONGEST).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is none of HTTP")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("the answer has no status")?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_reached_by_loopback() {
        for (address, expected) in [("0.0.0.0:9", "127.0.0.1:9"), ("[::]:9", "[::1]:9"), ("192.0.2.1:9", "192.0.2.1:9")]
        {
            assert_eq!(reachable(address.parse().unwrap()), expected.parse().unwrap());
        }
    }
}
