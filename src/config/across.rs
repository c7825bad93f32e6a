//! What only shows when parts of the file are held against each other.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::{DeTable, DeValue};

use super::allowance;
use super::code::Code;
use super::document::{Node, tables, value};
use super::near::{list, nearest};
use super::problem::Problem;
use super::values::exact;
use crate::proxy::UpstreamAddress;
use crate::session::Limits;

/// Everything that can be said of a document by comparing its parts. Values that are wrong in
/// themselves are passed over: they have their own problem.
pub(super) fn check(root: &DeTable<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for section in ["listener", "upstream"] {
        duplicate_names(root, section, &mut problems);
    }
    addresses(root, &mut problems);
    for (header, table) in tables(root, "listener") {
        listener(root, &header, table, &mut problems);
    }
    if tables(root, "listener").is_empty() {
        problems.push(
            Problem::whole(Code::NoListener, "there is no [[listener]], so there is nothing to do")
                .help("add a `[[listener]]` section; `examples/mailwarden.toml` shows a complete one"),
        );
    }
    for (_, table) in tables(root, "upstream") {
        upstream(root, table, &mut problems);
    }
    authority(root, &mut problems);
    tracing(root, &mut problems);
    limits(root, &mut problems);
    problems
}

/// The text of one key and where it stands.
pub(super) fn text<'a>(table: &'a DeTable<'_>, key: &str) -> Option<(&'a str, Range<usize>)> {
    let node = value(table, key)?;
    node.get_ref().as_str().map(|text| (text, node.span()))
}

/// How a report speaks of one section among several.
pub(super) fn called(what: &str, table: &DeTable<'_>) -> String {
    match text(table, "name") {
        Some((name, _)) => format!("{what} `{name}`"),
        None => format!("this {what}"),
    }
}

pub(super) fn word<'a>(table: &'a DeTable<'_>, key: &str) -> &'a str {
    text(table, key).map_or("", |(text, _)| text)
}

fn duplicate_names(root: &DeTable<'_>, section: &str, problems: &mut Vec<Problem>) {
    let mut seen: Vec<&str> = Vec::new();
    for (_, table) in tables(root, section) {
        let Some((name, span)) = text(table, "name") else { continue };
        if seen.contains(&name) {
            problems.push(duplicate(section, name, span, &seen));
        }
        seen.push(name);
    }
}

/// The second of two that have one name; `seen` are the names before it.
pub(super) fn duplicate(section: &str, name: &str, span: Range<usize>, seen: &[&str]) -> Problem {
    let free = |candidate: &String| !seen.contains(&candidate.as_str());
    // one more candidate than there are names cannot all be taken
    let free = (2..seen.len() + 3).map(|n| format!("{name}-{n}")).find(free).unwrap_or_default();
    Problem::new(Code::DuplicateName, span, format!("two [[{section}]] sections are named `{name}`"))
        .label("an earlier one has this name")
        .help(format!("give each a name of its own, for example `\"{free}\"`"))
}

fn addresses(root: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    for section in ["admin", "listener"] {
        for (_, table) in tables(root, section) {
            let Some((written, span)) = text(table, "address") else { continue };
            let Ok(address) = written.parse::<SocketAddr>() else { continue };
            let owner =
                if section == "admin" { "[admin]".into() } else { format!("listener `{}`", word(table, "name")) };
            // port 0 asks the system for any free one
            if let Some((_, other)) = taken.iter().find(|(other, _)| address.port() != 0 && clash(*other, address)) {
                let free = SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(1993));
                problems.push(
                    Problem::new(Code::AddressTaken, span.clone(), format!("{owner} and {other} want one address"))
                        .label(format!("{other} listens there"))
                        .help(format!("give each an address of its own, for example `\"{free}\"`")),
                );
            }
            if section == "admin" && !address.ip().is_loopback() && value(table, "token_file").is_none() {
                problems.push(
                    Problem::new(Code::OpenAdmin, span, "the metrics are open to other machines")
                        .label("whoever reaches this address reads them, without a password")
                        .help(format!("unless a firewall guards it, write `\"127.0.0.1:{}\"`", address.port())),
                );
            }
            taken.push((address, owner));
        }
    }
}

/// Whether both cannot be bound at once.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn listener(root: &DeTable<'_>, header: &Range<usize>, table: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let listener = called("listener", table);
    let upstreams = tables(root, "upstream");
    if let Some((wanted, span)) = text(table, "upstream") {
        let mut names: Vec<&str> = upstreams.iter().map(|(_, upstream)| word(upstream, "name")).collect();
        names.dedup();
        match upstreams.iter().find(|(_, upstream)| word(upstream, "name") == wanted) {
            Some((_, upstream)) => problems.extend(own_upstream(table, upstream, &span)),
            None => problems.push(unknown_upstream(&listener, wanted, span, &names)),
        }
    }
    allowance::check(table, problems);
    let certificate = value(table, "certificate");
    match (word(table, "tls"), certificate) {
        ("implicit" | "starttls", None) => problems.push(no_certificate(root, &listener, header.clone(), table)),
        ("none", Some(node)) => problems.push(
            Problem::new(Code::UselessCertificate, node.span(), format!("{listener} shows no certificate"))
                .label("with `tls = \"none\"` it is never used")
                .help("remove this line, or encrypt the connection with `tls = \"implicit\"`"),
        ),
        _ => {}
    }
    if let Some(node) = certificate
        && node.get_ref().as_str() == Some("mint")
        && value(root, "authority").is_none()
    {
        problems.push(
            Problem::new(Code::NoAuthority, node.span(), "there is no authority to mint certificates")
                .label("this needs an [authority] section")
                .help("add the section `[authority]` with the line `directory = \"/var/lib/mailwarden/ca\"`"),
        );
    }
    if word(table, "tls") == "none"
        && let Some((written, span)) = text(table, "address")
        && written.parse::<SocketAddr>().is_ok_and(|address| !address.ip().is_loopback())
    {
        problems.push(
            Problem::new(Code::ClearLogin, span, format!("{listener} takes passwords without encryption"))
                .label("whoever is on the way can read and change everything")
                .help("unless that network is trusted, set `tls = \"implicit\"`"),
        );
    }
}

fn unknown_upstream(listener: &str, wanted: &str, span: Range<usize>, names: &[&str]) -> Problem {
    let problem =
        Problem::new(Code::UnknownUpstream, span, format!("{listener} wants an upstream that does not exist"))
            .label("no [[upstream]] has this name");
    match (nearest(wanted, names.iter().copied()), names) {
        (Some(meant), _) => problem.help(format!("did you mean `\"{meant}\"`?")),
        (None, []) => problem.help(format!("add an `[[upstream]]` section with the line `name = \"{wanted}\"`")),
        (None, [only]) => problem.help(format!("write the one that is there: `\"{only}\"`")),
        (None, _) => problem.help(format!("write one of {}", list(names))),
    }
}

/// A listener that would connect to itself, again and again.
fn own_upstream(listener: &DeTable<'_>, upstream: &DeTable<'_>, span: &Range<usize>) -> Option<Problem> {
    let (bound, _) = text(listener, "address")?;
    let (target, _) = text(upstream, "address")?;
    let bound: SocketAddr = bound.parse().ok()?;
    let target = UpstreamAddress::try_from(target.to_owned()).ok()?;
    let same_host = target.host.parse() == Ok(bound.ip()) || (target.host == "localhost" && bound.ip().is_loopback());
    (same_host && target.port == bound.port()).then(|| {
        Problem::new(Code::Loop, span.clone(), "this listener would connect to itself")
            .label(format!("this upstream's address is the listener's own, {bound}"))
            .help("set the upstream's `address` to the mail server's")
    })
}

fn no_certificate(root: &DeTable<'_>, listener: &str, header: Range<usize>, table: &DeTable<'_>) -> Problem {
    let span = text(table, "tls").map_or(header, |(_, span)| span);
    let files = "`certificate = { chain = \"cert.pem\", key = \"key.pem\" }`";
    let mint = "`certificate = \"mint\"`";
    let help = if value(root, "authority").is_some() {
        format!("add {files}, or one made by the local authority: {mint}")
    } else {
        format!("add {mint} and an [authority] section, or your own files: {files}")
    };
    Problem::new(Code::NoCertificate, span, format!("{listener} has no certificate")).label("TLS needs one").help(help)
}

fn upstream(root: &DeTable<'_>, table: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let Some((name, name_span)) = text(table, "name") else { return };
    if word(table, "tls") == "none" {
        for key in ["pin", "roots", "server_name"] {
            let Some(node) = value(table, key) else { continue };
            problems.push(
                Problem::new(Code::UselessVerification, node.span(), format!("upstream `{name}` is not verified"))
                    .label(format!("with `tls = \"none\"` nothing is held against `{key}`"))
                    .help("remove this line, or encrypt the connection with `tls = \"implicit\"`"),
            );
        }
        problems.extend(clear_upstream(name, table));
    }
    // `server_name` is still what the server is asked for, so that it shows the pinned certificate
    if value(table, "pin").is_some()
        && let Some(node) = value(table, "roots")
    {
        problems.push(
            Problem::new(Code::NoEffect, node.span(), "`roots` is not looked at where there is a `pin`")
                .label("the pinned key alone decides")
                .help("remove this line, or the pin"),
        );
    }
    if !tables(root, "listener").iter().any(|(_, listener)| word(listener, "upstream") == name) {
        problems.push(
            Problem::new(Code::Unused, name_span, format!("no listener uses upstream `{name}`"))
                .label("nothing will connect to it")
                .help(format!("remove it, or name it in a [[listener]]: `upstream = \"{name}\"`")),
        );
    }
}

fn clear_upstream(name: &str, table: &DeTable<'_>) -> Option<Problem> {
    let (written, span) = text(table, "address")?;
    let address = UpstreamAddress::try_from(written.to_owned()).ok()?;
    let local = match address.host.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => address.host == "localhost",
    };
    (!local).then(|| {
        Problem::new(Code::ClearUpstream, span, format!("upstream `{name}` is sent passwords without encryption"))
            .label("whoever is on the way can read and change everything")
            .help("unless that network is trusted, set `tls = \"implicit\"`")
    })
}

fn authority(root: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let mints = |table: &DeTable<'_>| word(table, "certificate") == "mint";
    if tables(root, "listener").iter().any(|(_, table)| mints(table)) {
        return;
    }
    for (header, _) in tables(root, "authority") {
        problems.push(
            Problem::new(Code::Unused, header, "no listener uses the authority")
                .label("nothing will be minted")
                .help("remove it, or use it in a [[listener]]: `certificate = \"mint\"`"),
        );
    }
}

/// Headers of a collector are mostly a token.
fn tracing(root: &DeTable<'_>, problems: &mut Vec<Problem>) {
    for (_, table) in tables(root, "tracing") {
        let headers = ["headers_file", "headers_env"].into_iter().find(|key| value(table, key).is_some());
        if let (Some(headers), Some((endpoint, span))) = (headers, text(table, "endpoint"))
            && crate::service::ServiceUrl::try_from(endpoint.to_owned()).is_ok_and(|url| url.is_open())
        {
            problems.push(
                Problem::new(
                    Code::ClearHeaders,
                    span,
                    format!("what `{headers}` holds would be sent without encryption"),
                )
                .label("whoever is on the way could read it")
                .help("use `https`, or a collector on this machine that knows the secret"),
            );
        }
    }
}

fn limits(root: &DeTable<'_>, problems: &mut Vec<Problem>) {
    const HALF_HOUR: Duration = Duration::from_mins(30);
    for (_, table) in tables(root, "limits") {
        if let Some((written, span)) = text(table, "idle_timeout")
            && humantime_serde::re::humantime::parse_duration(written).is_ok_and(|time| time < HALF_HOUR)
        {
            problems.push(
                Problem::new(Code::ShortIdle, span, "idle clients are cut off too early")
                    .label("clients may be silent for 29 minutes (RFC 9051, section 5.4)")
                    .help("write `\"31m\"`"),
            );
        }
        reversed_limits(table, problems);
    }
}

fn reversed_limits(table: &DeTable<'_>, problems: &mut Vec<Problem>) {
    let defaults = Limits::default();
    let pairs = [
        ("command_line_before_login", defaults.command_line_before_login, "command_line", defaults.command_line),
        ("literal_before_login", defaults.literal_before_login, "literal", defaults.literal),
    ];
    for (before, default_before, after, default_after) in pairs {
        let size = |key| octets(value(table, key)?);
        let (early, late) = (size(before), size(after));
        let Some((_, span)) = late.clone().or_else(|| early.clone()) else { continue };
        let early = early.map_or(default_before as u64, |(octets, _)| octets);
        let late = late.map_or(default_after as u64, |(octets, _)| octets);
        if early > late {
            problems.push(
                Problem::new(Code::LimitsReversed, span, format!("`{after}` is smaller than `{before}`"))
                    .label(format!("{} after login, {} before", exact(late), exact(early)))
                    .help(format!("set `{after}` to at least `\"{}\"`", exact(early))),
            );
        }
    }
}

fn octets(node: Node<'_, '_>) -> Option<(u64, Range<usize>)> {
    let size = match node.get_ref() {
        DeValue::String(text) => text.parse().ok()?,
        DeValue::Integer(number) => ByteSize(number.as_str().parse().ok()?),
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return None;
        }
    };
    Some((size.as_u64(), node.span()))
}
