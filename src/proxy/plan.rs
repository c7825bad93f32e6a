//! From a configuration to what runs: every reference is resolved and every file is read before
//! anything is bound, so that a bad configuration never starts half.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::settings::ListenerSettings;
use super::upstream::Upstream;
use crate::admin::Token;
use crate::config::Config;
use crate::fault::{Code, Fault};
use crate::hook::{HookSet, Hooks};
use crate::policy::{Policy, PolicyHandle};
use crate::session::{Compression, Places, Terms, TlsMode};
use crate::tls::{Acceptor, Authority, AuthoritySettings, CertificateSettings};
use crate::traces::Collector;
use crate::wire::Protocol;

/// What runs.
pub(super) struct Plan {
    pub(super) listeners: Vec<PlannedListener>,
    pub(super) admin: Option<SocketAddr>,
    /// What whoever asks the admin endpoint must know.
    pub(super) token: Option<Token>,
    /// Present where certificates are minted.
    pub(super) authority: Option<Arc<Authority>>,
    pub(super) policy: PolicyHandle,
    pub(super) hooks: Hooks,
    /// Sides that may be compressed at a time, and the places for them.
    pub(super) compression: (usize, Places),
    /// Whoever takes traces, if there is one.
    pub(super) collector: Option<Collector>,
}

/// One listener with all it needs.
pub(super) struct PlannedListener {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) terms: Arc<Terms>,
    pub(super) acceptor: Option<Acceptor>,
    pub(super) upstream: Arc<Upstream>,
}

/// Whether an authority that is not there is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Leave,
}

/// Looks at everything a configuration names, without binding or making anything.
///
/// # Errors
/// All that is wrong with it.
pub fn check(config: &Config) -> Result<(), Vec<Fault>> {
    build(config.clone(), false, Missing::Leave).map(drop)
}

/// Makes the plan, and the authority if it is needed and not there. `transcript`: whether a witness
/// wants what is said.
pub(super) fn plan(config: Config, transcript: bool) -> Result<Plan, Vec<Fault>> {
    build(config, transcript, Missing::Make)
}

fn build(config: Config, transcript: bool, missing: Missing) -> Result<Plan, Vec<Fault>> {
    let mut faults = names(&config);
    let upstreams = upstreams(&config, &mut faults);
    let minting =
        config.listeners.iter().any(|listener| matches!(listener.certificate, Some(CertificateSettings::Mint(_))));
    let authority = match config.authority.as_ref().filter(|_| minting).map(|settings| authority(settings, missing)) {
        None => None,
        Some(Ok(authority)) => authority,
        Some(Err(fault)) => {
            faults.push(fault);
            return Err(faults);
        }
    };
    let unmade = config.authority.is_some() && authority.is_none() && missing == Missing::Leave;
    let hooks = Hooks::new(noted(HookSet::new(&config.hooks), &mut faults).unwrap_or_default());
    let collector = config.tracing.as_ref().and_then(|tracing| noted(Collector::new(tracing), &mut faults));
    let policy = PolicyHandle::new(policy(&config));
    let compressed_sides = config.limits.compressed_sides;
    let places = Places::new(compressed_sides);
    let mut listeners = Vec::new();
    for settings in config.listeners {
        let Some((upstream, server_name)) = upstreams.iter().find(|(upstream, _)| *upstream.name == *settings.upstream)
        else {
            continue;
        };
        let acceptor = acceptor(&settings, authority.as_ref(), server_name, unmade)
            .map_err(|fault| in_listener(&settings.name, fault));
        let Some(acceptor) = noted(acceptor, &mut faults) else { continue };
        let terms = Terms {
            posture: settings.posture,
            client_tls: settings.tls,
            upstream_tls: upstream.tls,
            hide: settings.hide,
            allow: settings.allow,
            compression: Compression { client: settings.compress, upstream: upstream.compress, places: places.clone() },
            limits: config.limits.clone(),
            policy: policy.clone(),
            transcript,
        };
        listeners.push(PlannedListener {
            name: settings.name,
            address: settings.address,
            protocol: settings.protocol,
            terms: Arc::new(terms),
            acceptor,
            upstream: Arc::clone(upstream),
        });
    }
    let admin = config.admin.as_ref().map(|admin| admin.address);
    let token_file = config.admin.and_then(|admin| admin.token_file);
    let token = token_file.and_then(|path| noted(Token::read(&path), &mut faults));
    let compression = (compressed_sides, places);
    let plan = Plan { listeners, admin, token, authority, policy, hooks, compression, collector };
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

/// What was made; or the fault is noted, and the rest is looked at too.
fn noted<T>(made: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    made.map_err(|fault| faults.push(fault)).ok()
}

/// Each upstream, and the name that its certificate must have.
fn upstreams(config: &Config, faults: &mut Vec<Fault>) -> Vec<(Arc<Upstream>, String)> {
    let made = config.upstreams.iter().map(|settings| {
        let name = settings.trust().name()?;
        Ok((Arc::new(Upstream::new(settings)?), name.to_str().into_owned()))
    });
    made.filter_map(|made| noted(made, faults)).collect()
}

/// The policy of a configuration.
pub(super) fn policy(config: &Config) -> Policy {
    config.make_policy()
}

fn authority(settings: &AuthoritySettings, missing: Missing) -> Result<Option<Arc<Authority>>, Fault> {
    match missing {
        Missing::Make => Authority::open_or_create(settings).map(|made| Some(Arc::new(made))),
        Missing::Leave => Authority::open(settings).map(|found| found.map(Arc::new)),
    }
}

/// `unmade`: there will be an authority, which this check is not to make.
fn acceptor(
    settings: &ListenerSettings,
    authority: Option<&Arc<Authority>>,
    upstream_name: &str,
    unmade: bool,
) -> Result<Option<Acceptor>, Fault> {
    match (settings.tls, &settings.certificate) {
        (TlsMode::None, _) => Ok(None),
        (TlsMode::Implicit | TlsMode::Starttls, Some(CertificateSettings::Mint(_))) if unmade => Ok(None),
        (TlsMode::Implicit | TlsMode::Starttls, Some(certificate)) => {
            let clients = settings.clients.as_deref();
            Acceptor::new(certificate, authority, upstream_name, settings.protocol, clients).map(Some)
        }
        (TlsMode::Implicit | TlsMode::Starttls, None) => Err(Fault::new(
            Code::NoCertificate,
            "it speaks TLS and has no certificate",
            "add certificate = \"mint\", or certificate = { chain = \"cert.pem\", key = \"key.pem\" }",
        )),
    }
}

fn in_listener(name: &str, fault: Fault) -> Fault {
    Fault { sentence: format!("listener `{name}`: {}", fault.sentence), ..fault }
}

/// What is wrong with the names alone.
fn names(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    if config.listeners.is_empty() {
        faults.push(Fault::new(Code::NoListener, "there is no [[listener]]", "add one: there is nothing to listen on"));
    }
    let mut seen = HashSet::new();
    for (kind, name) in (config.listeners.iter().map(|listener| ("listener", &listener.name)))
        .chain(config.upstreams.iter().map(|upstream| ("upstream", &upstream.name)))
    {
        if !seen.insert((kind, name)) {
            let sentence = format!("two [[{kind}]] tables have the name `{name}`");
            faults.push(Fault::new(Code::NameTaken, sentence, "give each a name of its own"));
        }
    }
    for listener in &config.listeners {
        if !config.upstreams.iter().any(|upstream| upstream.name == listener.upstream) {
            let known: Vec<_> = config.upstreams.iter().map(|upstream| format!("`{}`", upstream.name)).collect();
            let help = if known.is_empty() {
                format!("add an [[upstream]] with name = \"{}\"", listener.upstream)
            } else {
                format!("name one of {}, or add it", known.join(", "))
            };
            let sentence = format!("listener `{}`: there is no [[upstream]] `{}`", listener.name, listener.upstream);
            faults.push(Fault::new(Code::UnknownUpstream, sentence, help));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<Code> {
        let config: Config = toml::from_str(text).unwrap();
        check(&config).err().unwrap_or_default().iter().map(|fault| fault.code).collect()
    }

    const UPSTREAM: &str = "[[upstream]]\nname = \"u\"\naddress = \"127.0.0.1:1\"\ntls = \"none\"\n";

    fn listener(more: &str) -> String {
        format!(
            "[[listener]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\nprotocol = \"imap\"\nupstream = \"u\"\n{more}\n{UPSTREAM}"
        )
    }

    #[test]
    fn says_all_that_is_wrong_before_anything_is_bound() {
        assert_eq!(codes(""), [Code::NoListener]);
        assert_eq!(codes(&listener("tls = \"none\"")), []);
        assert_eq!(codes(&listener("tls = \"implicit\"")), [Code::NoCertificate]);
        assert_eq!(codes(&listener("tls = \"implicit\"\ncertificate = \"mint\"")), [Code::NoAuthority]);
        assert_eq!(codes(&listener(&format!("tls = \"none\"\n{UPSTREAM}"))), [Code::NameTaken]);
        let missing = "tls = \"starttls\"\ncertificate = { chain = \"no.pem\", key = \"no.pem\" }";
        assert_eq!(codes(&listener(missing)), [Code::FileUnreadable]);
        let unknown = listener("tls = \"none\"").replace("upstream = \"u\"", "upstream = \"v\"");
        assert_eq!(codes(&unknown), [Code::UnknownUpstream]);
    }

    #[test]
    fn a_check_makes_no_authority() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca");
        let text = listener("tls = \"implicit\"\ncertificate = \"mint\"");
        assert_eq!(codes(&format!("{text}\n[authority]\ndirectory = {path:?}")), []);
        assert!(!path.exists());
    }
}
