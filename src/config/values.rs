//! What may stand behind each kind of key, and what is said where something else does.

use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use rustls_pki_types::ServerName;
use toml::de::DeValue;

use super::code::Code;
use super::document::{Node, check_table};
use super::near::{alias, list, nearest};
use super::problem::Problem;
use super::schema::{CERTIFICATE, Key, Kind};
use super::{conditions, details, schema};
use crate::proxy::UpstreamAddress;
use crate::tls::Pin;

/// Tells what is wrong with the value of `key`, if anything is.
pub(super) fn check(key: &Key, node: Node<'_, '_>, problems: &mut Vec<Problem>) {
    match key.kind {
        Kind::Certificate => certificate(key, node, problems),
        Kind::Capabilities => capabilities(key, node, problems),
        Kind::Patterns => conditions::each(key, node, problems, conditions::pattern),
        Kind::Commands => conditions::each(key, node, problems, conditions::command),
        Kind::Operations => conditions::each(key, node, problems, |text, node| {
            conditions::label(Code::Operation, "an operation", &schema::operations(), text, node)
        }),
        Kind::Effects => conditions::each(key, node, problems, |text, node| {
            conditions::label(Code::Effect, "an effect", &schema::effects(), text, node)
        }),
        Kind::Networks => conditions::each(key, node, problems, details::network),
        Kind::Times => conditions::each(key, node, problems, details::time),
        Kind::Flags => conditions::each(key, node, problems, details::flag),
        Kind::Items => conditions::each(key, node, problems, details::item),
        Kind::SearchKeys => conditions::each(key, node, problems, details::search_key),
        Kind::Words(words) => {
            conditions::each(key, node, problems, |text, node| details::word(key.name, words, text, node));
        }
        Kind::Texts | Kind::Paths => {
            conditions::each(key, node, problems, |text, node| details::text(key, text, node));
        }
        Kind::Counts(least, most) => details::counts(node, problems, |node| count(key, node, least, most)),
        Kind::Answer => details::answer(key, node, problems),
        Kind::Table(section) => details::table(key, section, node, problems),
        Kind::Size(least, most) => problems.extend(size(key, node, least, most)),
        Kind::Count(least, most) => problems.extend(count(key, node, least, most)),
        Kind::Switch => problems.extend(switch(key, node)),
        Kind::Share => problems.extend(details::share(key, node)),
        Kind::Duration(least, most) => problems.extend(duration(key, node, least, most)),
        Kind::Name
        | Kind::SocketAddress
        | Kind::HostPort
        | Kind::Word(_)
        | Kind::Upstream
        | Kind::ServerName
        | Kind::Path
        | Kind::Pin
        | Kind::Text
        | Kind::Expression
        | Kind::Reply => match node.get_ref().as_str() {
            Some(text) => problems.extend(text_value(key, text, node)),
            None => problems.push(wrong_type(key.name, "a text", "a text stands in quotes", node)),
        },
    }
}

pub(super) fn wrong_type(key: &str, expected: &str, help: &str, node: Node<'_, '_>) -> Problem {
    let found = match node.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::new(Code::WrongType, node.span(), format!("`{key}` must be {expected}"))
        .label(format!("this is {found}"))
        .help(help)
}

fn text_value(key: &Key, text: &str, node: Node<'_, '_>) -> Option<Problem> {
    match key.kind {
        Kind::Name | Kind::Upstream => name(key, text, node),
        Kind::SocketAddress => socket_address(text, node),
        Kind::HostPort => host_port(text, node),
        Kind::Word(words) => word(key, words, text, node),
        Kind::ServerName => server_name(text, node),
        Kind::Path => path(key, text, node),
        Kind::Pin => Pin::try_from(text.to_owned()).err().map(|error| {
            Problem::new(Code::Pin, node.span(), "this is not a pin").label(error.to_string()).help(
                "leave `pin` out, try to connect, and paste the line the error shows; \
                 it looks like `pin = \"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"`",
            )
        }),
        Kind::Reply => conditions::reply(text, node),
        Kind::Text => details::text(key, text, node),
        // the others are no single texts
        _ => None,
    }
}

fn name(key: &Key, text: &str, node: Node<'_, '_>) -> Option<Problem> {
    let good = !text.is_empty() && text.chars().count() <= 64 && !text.chars().any(char::is_control);
    (!good).then(|| {
        Problem::new(Code::Name, node.span(), format!("`{}` cannot be this text", key.name))
            .label("a name has 1 to 64 characters, none of them a control character")
            .help(format!("write a short word that logs will show, such as `\"{}\"`", "office"))
    })
}

fn socket_address(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    if text.parse::<SocketAddr>().is_ok() {
        return None;
    }
    let problem = Problem::new(Code::SocketAddress, node.span(), format!("`{text}` is not an address to listen on"));
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let number: Option<u16> = port.parse().ok();
    // `::1:1993` could be an address without a port, but nobody writes one like that
    if host.parse::<std::net::Ipv6Addr>().is_ok()
        && let Some(number) = number.filter(|number| *number > 99)
    {
        return Some(
            problem.label("an IPv6 address stands in brackets").help(format!("write `\"[{host}]:{number}\"`")),
        );
    }
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        let whole = SocketAddr::new(ip, 993);
        return Some(problem.label("the port is missing").help(format!("write address and port: `\"{whole}\"`")));
    }
    let Some(number) = number else {
        return Some(
            problem
                .label("a port is a number from 0 to 65535")
                .help("write address and port, for example `\"127.0.0.1:1993\"`"),
        );
    };
    let ip = if host == "localhost" { "127.0.0.1" } else { "0.0.0.0" };
    if host.is_empty() || host == "*" || host == "localhost" {
        let label = if host.is_empty() { "the address is missing" } else { "an address is digits, not a name" };
        return Some(problem.label(label).help(format!("write `\"{ip}:{number}\"`")));
    }
    Some(
        problem.label("an address is digits, not a name").help(format!(
            "write the address of one of this machine's interfaces, or all of them: `\"0.0.0.0:{number}\"`"
        )),
    )
}

fn host_port(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    UpstreamAddress::try_from(text.to_owned()).err()?;
    let problem = Problem::new(Code::HostPort, node.span(), format!("`{text}` is not the address of a server"));
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let bracketed = bare.rsplit_once(':').map_or_else(String::new, |(host, port)| format!("[{host}]:{port}"));
    let candidates = [
        (bare.to_owned(), "only host and port are written"),
        (format!("[{bare}]:993"), "an IPv6 address stands in brackets, and has a port"),
        (bracketed, "an IPv6 address stands in brackets"),
        (format!("{bare}:993"), "the port is missing"),
    ];
    for (candidate, label) in candidates {
        if UpstreamAddress::try_from(candidate.clone()).is_ok() {
            return Some(problem.label(label).help(format!("write host and port: `\"{candidate}\"`")));
        }
    }
    Some(
        problem
            .label("expected `host:port`, with a port from 1 to 65535")
            .help("write host and port, for example `\"imap.example.com:993\"`"),
    )
}

fn word(key: &Key, words: &[&'static str], text: &str, node: Node<'_, '_>) -> Option<Problem> {
    if words.contains(&text) {
        return None;
    }
    let problem = Problem::new(Code::Word, node.span(), format!("`{}` cannot be `{text}`", key.name))
        .label(format!("expected one of {}", list(words)));
    Some(match alias(text, words).or_else(|| nearest(text, words.iter().copied())) {
        Some(meant) => problem.help(format!("did you mean `\"{meant}\"`?")),
        None => problem.help(format!(
            "write one of {}",
            words.iter().map(|w| format!("`\"{w}\"`")).collect::<Vec<_>>().join(", ")
        )),
    })
}

fn server_name(text: &str, node: Node<'_, '_>) -> Option<Problem> {
    if ServerName::try_from(text).is_ok() {
        return None;
    }
    let problem = Problem::new(Code::ServerName, node.span(), format!("`{text}` is not a host name"));
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    if ServerName::try_from(host).is_ok() {
        return Some(problem.label("a name has no port").help(format!("write `\"{host}\"`")));
    }
    Some(
        problem
            .label("this is neither a host name nor an address")
            .help("write the name in the server's certificate, for example `\"imap.example.com\"`"),
    )
}

fn path(key: &Key, text: &str, node: Node<'_, '_>) -> Option<Problem> {
    if !text.is_empty() {
        return None;
    }
    let line = if key.name == "roots" { "\"system\"" } else { "\"/etc/mailwarden/file.pem\"" };
    Some(
        Problem::new(Code::Path, node.span(), format!("`{}` is empty", key.name))
            .label("a path is expected")
            .help(format!("write a path, absolute or from this file's folder, for example `{line}`")),
    )
}

fn size(key: &Key, node: Node<'_, '_>, least: u64, most: u64) -> Option<Problem> {
    let text = match node.get_ref() {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            return Some(wrong_type(
                key.name,
                "a size",
                "write a number with its unit, for example `\"64 KiB\"`",
                node,
            ));
        }
    };
    let Ok(size) = text.trim().replace('_', "").parse::<ByteSize>() else {
        return Some(
            Problem::new(Code::Size, node.span(), format!("`{text}` is not a size"))
                .label("a number and one of `B`, `KiB`, `MiB`, `GiB`")
                .help("write for example `\"64 KiB\"`"),
        );
    };
    range(key, node, size.as_u64() < least, size.as_u64() > most, exact(least), exact(most))
}

/// A size as it can be written, without rounding.
pub(super) fn exact(octets: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = |(unit, _): &(u64, &str)| octets > 0 && octets.is_multiple_of(*unit);
    match units.into_iter().find(fits) {
        Some((unit, name)) => format!("{} {name}", octets / unit),
        None => format!("{octets} B"),
    }
}

fn count(key: &Key, node: Node<'_, '_>, least: u64, most: u64) -> Option<Problem> {
    let DeValue::Integer(number) = node.get_ref() else {
        let help = "write a number without quotes, for example";
        let example = node.get_ref().as_str().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(least.max(1));
        return Some(wrong_type(key.name, "a whole number", &format!("{help} `{example}`"), node));
    };
    let negative = number.as_str().starts_with('-');
    let parsed = u64::from_str_radix(number.as_str(), number.radix()).ok();
    let (low, high) = (negative || parsed.is_some_and(|n| n < least), !negative && parsed.is_none_or(|n| n > most));
    range(key, node, low, high, least.to_string(), most.to_string())
}

fn switch(key: &Key, node: Node<'_, '_>) -> Option<Problem> {
    let help = "write `true` or `false`, without quotes";
    (!matches!(node.get_ref(), DeValue::Boolean(_))).then(|| wrong_type(key.name, "true or false", help, node))
}

fn duration(key: &Key, node: Node<'_, '_>, least: Duration, most: Duration) -> Option<Problem> {
    let text = match node.get_ref() {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) => {
            let help = format!("give it a unit: `\"{}s\"`", number.as_str());
            return Some(wrong_type(key.name, "a duration in quotes, with a unit", &help, node));
        }
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Some(wrong_type(
                key.name,
                "a duration",
                "write a number with its unit, for example `\"30s\"`",
                node,
            ));
        }
    };
    let Ok(duration) = humantime_serde::re::humantime::parse_duration(text) else {
        let example = match text.trim().parse::<u64>() {
            Ok(seconds) => format!("{seconds}s"),
            Err(_) => "30s".to_owned(),
        };
        return Some(
            Problem::new(Code::Duration, node.span(), format!("`{text}` is not a duration"))
                .label("whole numbers, each with one of `ms`, `s`, `m`, `h`, `d`")
                .help(format!("write for example `\"{example}\"`")),
        );
    };
    let shown = |duration: Duration| humantime_serde::re::humantime::format_duration(duration).to_string();
    range(key, node, duration < least, duration > most, shown(least), shown(most))
}

fn range(key: &Key, node: Node<'_, '_>, low: bool, high: bool, least: String, most: String) -> Option<Problem> {
    let (label, bound) = match (low, high) {
        (true, _) => (format!("too small, the least is {least}"), least),
        (_, true) => (format!("too big, the most is {most}"), most),
        _ => return None,
    };
    let bound = if matches!(key.kind, Kind::Count(..)) { bound } else { format!("\"{bound}\"") };
    Some(
        Problem::new(Code::Range, node.span(), format!("`{}` is out of the range that makes sense", key.name))
            .label(label)
            .help(format!("leave it out for the default, or write `{bound}`")),
    )
}

fn certificate(key: &Key, node: Node<'_, '_>, problems: &mut Vec<Problem>) {
    let files = "`{ chain = \"cert.pem\", key = \"key.pem\" }`";
    match node.get_ref() {
        DeValue::String(text) if text == "mint" => {}
        DeValue::String(text) => {
            let problem = Problem::new(Code::Word, node.span(), format!("`certificate` cannot be `{text}`"))
                .label("the only word that can stand here is `mint`");
            problems.push(match nearest(text, ["mint"]) {
                Some(_) => problem.help("did you mean `\"mint\"`?"),
                None => problem.help(format!("for a certificate of your own write both files: {files}")),
            });
        }
        DeValue::Table(table) => check_table(&CERTIFICATE, node.span(), table, &[], problems),
        DeValue::Array(list) if list.is_empty() => problems.push(
            Problem::new(Code::NoCertificate, node.span(), "the list of certificates is empty")
                .label("at least one is needed")
                .help(format!("write `[{}]`", files.trim_matches('`'))),
        ),
        DeValue::Array(list) => {
            for item in list {
                match item.get_ref().as_table() {
                    Some(table) => check_table(&CERTIFICATE, item.span(), table, &[], problems),
                    None => problems.push(wrong_type(key.name, "a list of tables", &format!("write {files}"), item)),
                }
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            let help = format!("write `\"mint\"`, or {files}");
            problems.push(wrong_type(key.name, "\"mint\" or a table of files", &help, node));
        }
    }
}

fn capabilities(key: &Key, node: Node<'_, '_>, problems: &mut Vec<Problem>) {
    let DeValue::Array(list) = node.get_ref() else {
        let help = match node.get_ref().as_str() {
            Some(text) => format!("put it into a list: `[\"{text}\"]`"),
            None => "write a list of capabilities: `[\"QRESYNC\"]`".to_owned(),
        };
        problems.push(wrong_type(key.name, "a list", &help, node));
        return;
    };
    for item in list {
        let Some(text) = item.get_ref().as_str() else {
            problems.push(wrong_type(
                key.name,
                "a list of texts",
                "write each capability in quotes: `\"QRESYNC\"`",
                item,
            ));
            continue;
        };
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
            let squeezed: String = text.chars().filter(char::is_ascii_graphic).collect();
            let example = if squeezed.is_empty() { "QRESYNC" } else { &squeezed };
            problems.push(
                Problem::new(Code::Capability, item.span(), format!("`{text}` is not a capability"))
                    .label("a capability is one word of printable ASCII")
                    .help(format!("write each as the server lists it, for example `\"{example}\"`")),
            );
        }
    }
}
