//! The configuration file: the root `Config`, put together from the sections that live beside what
//! they configure. Unknown keys are refused; a bad configuration never starts half.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::policy::Rule;
use crate::proxy::{ListenerSettings, UpstreamSettings};
use crate::session::Limits;
use crate::tls::AuthoritySettings;

/// All that a configuration file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[admin]`: the endpoint of metrics and health; none if absent.
    #[serde(default)]
    pub admin: Option<AdminSettings>,
    /// `[authority]`: needed by listeners with `certificate = "mint"`.
    #[serde(default)]
    pub authority: Option<AuthoritySettings>,
    /// `[[listener]]` tables.
    #[serde(rename = "listener", default)]
    pub listeners: Vec<ListenerSettings>,
    /// `[[upstream]]` tables.
    #[serde(rename = "upstream", default)]
    pub upstreams: Vec<UpstreamSettings>,
    /// `[limits]`.
    #[serde(default)]
    pub limits: Limits,
    /// `[[rule]]` tables, in order.
    #[serde(rename = "rule", default)]
    pub rules: Vec<Rule>,
}

/// The `[admin]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// `address:port` of `/metrics`, `/livez`, `/readyz`; loopback unless you know better.
    pub address: SocketAddr,
}
