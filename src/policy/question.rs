//! What a hook is asked: the facts as a JSON document. It holds no time and no number of the session, so that the same
//! question is the same document.

use std::sync::Arc;

use serde::Serialize;

use super::facts::Facts;
use super::verdict::{Denial, Question};

/// The document; its keys are a contract (`docs/policy.md`).
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    rule: &'a str,
    listener: &'a str,
    protocol: &'a str,
    client: String,
    tls: &'a str,
    server_name: Option<&'a str>,
    certificate: Option<&'a str>,
    user: Option<&'a str>,
    command: &'a str,
    operation: &'a str,
    effect: &'a str,
    mailboxes: &'a [String],
    selected: Option<&'a str>,
    message: Option<u32>,
    nth_message: Option<u32>,
    flags: &'a [String],
    items: Vec<&'a str>,
    search_keys: &'a [&'static str],
    messages: Option<u64>,
    size: Option<u64>,
}

pub(super) fn ask(rule: &Arc<str>, hook: &Arc<str>, facts: &Facts<'_>, refusal: Denial) -> Question {
    let (session, arguments) = (&facts.session, &facts.arguments);
    let document = Document {
        version: 1,
        rule,
        listener: &session.connection.listener,
        protocol: session.connection.protocol.as_label(),
        client: session.connection.client.to_canonical().to_string(),
        tls: session.tls.map_or("none", |tls| tls.version),
        server_name: session.tls.and_then(|tls| tls.server_name.as_deref()),
        certificate: session.tls.and_then(|tls| tls.subject.as_deref()),
        user: session.user,
        command: facts.command,
        operation: facts.operation.as_label(),
        effect: facts.effect.as_label(),
        mailboxes: facts.mailboxes,
        selected: facts.selected,
        message: facts.message,
        nth_message: facts.nth_message,
        flags: arguments.flags,
        items: arguments.items.iter().map(|item| item.name.as_str()).collect(),
        search_keys: arguments.keys,
        messages: arguments.messages,
        size: arguments.size,
    };
    // texts and numbers can always be written; if not, the hook says no to what it cannot read
    let document = serde_json::to_string(&document).unwrap_or_default();
    Question { rule: Arc::clone(rule), hook: Arc::clone(hook), document, refusal }
}
