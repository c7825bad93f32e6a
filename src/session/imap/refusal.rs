//! Why a command is answered by the proxy, and with what.

use std::sync::Arc;
use std::time::Instant;

use super::phase::{Answer, Completing};
use crate::policy::{Canned, Denial};
use crate::session::{Answered, CloseReason, CommandId, Completion, Speaker};
use crate::wire::ShortText;

/// What is said in place of the server's answer.
#[derive(Debug)]
pub(super) struct Refusal {
    word: &'static str,
    code: Option<ShortText>,
    sentence: String,
    by: Answered,
    /// Untagged data before it, without `* `.
    lines: Option<Arc<[Arc<str>]>>,
    /// The session ends behind it.
    closes: bool,
}

impl Refusal {
    fn new(word: &'static str, code: Option<ShortText>, sentence: String, by: Answered) -> Self {
        Self { word, code, sentence, by, lines: None, closes: false }
    }

    pub(super) fn bad(sentence: &str) -> Self {
        Self::new("BAD", None, sentence.to_owned(), Answered::Syntax)
    }

    /// A command that may carry a secret, in clear where TLS is to be started first.
    pub(super) fn privacy_required(sentence: &str) -> Self {
        Self::new("NO", Some("PRIVACYREQUIRED".into()), sentence.to_owned(), Answered::Syntax)
    }

    /// A message that is larger than the limit.
    pub(super) fn too_big(sentence: &str) -> Self {
        Self::new("NO", Some("TOOBIG".into()), sentence.to_owned(), Answered::Syntax)
    }

    /// What a rule denies.
    pub(super) fn denied(denial: &Denial) -> Self {
        let code = (!denial.code.is_empty()).then(|| denial.code.as_ref().into());
        Self::new("NO", code, denial.reply.as_ref().to_owned(), Answered::Policy)
    }

    /// What a rule denies without a code of its own.
    pub(super) fn refused(sentence: &str) -> Self {
        Self::new("NO", None, sentence.to_owned(), Answered::Policy)
    }

    /// What a rule denies and ends the session for.
    pub(super) fn disconnected(denial: &Denial) -> Self {
        Self { closes: true, ..Self::denied(denial) }
    }

    /// What a rule answers with success.
    pub(super) fn canned(canned: &Canned) -> Self {
        let lines = (!canned.lines.is_empty()).then(|| Arc::clone(&canned.lines));
        Self { lines, ..Self::done(canned.reply.as_ref().to_owned()) }
    }

    /// A success that a rule has the proxy claim where nobody but the server can give it.
    pub(super) fn unclaimed(canned: &Canned) -> Self {
        Self::new("NO", Some("NOPERM".into()), canned.reply.as_ref().to_owned(), Answered::Policy)
    }

    /// There is nothing left that had to be done.
    pub(super) fn done(sentence: String) -> Self {
        Self::new("OK", None, sentence, Answered::Policy)
    }

    /// What a rule requires of the command cannot be had.
    pub(super) fn cannot(sentence: &str) -> Self {
        Self::new("NO", Some("CANNOT".into()), sentence.to_owned(), Answered::Policy)
    }

    /// What the client is told.
    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// What the client is told, with the response code.
    pub(super) fn text(&self) -> String {
        let code = self.code.as_ref().map_or_else(String::new, |code| format!("[{code}] "));
        format!("{code}{}", self.sentence)
    }

    /// The client did what it may not do here.
    pub(super) fn is_bad(&self) -> bool {
        self.word == "BAD"
    }

    /// It is success.
    pub(super) fn is_ok(&self) -> bool {
        self.word == "OK"
    }

    /// Who refuses.
    pub(super) fn by(&self) -> Answered {
        self.by
    }

    pub(super) fn answer(self, tag: &str, id: CommandId, begun: Instant) -> Answer {
        // an empty line is none of a response; it can be one of a message (POP3)
        let data = self
            .lines
            .iter()
            .flat_map(|lines| lines.iter())
            .filter(|line| !line.is_empty())
            .map(|line| format!("* {line}\r\n"));
        let line = format!("{}{tag} {} {}\r\n", data.collect::<String>(), self.word, self.text());
        let completion = match self.word {
            "OK" => Completion::Ok,
            "NO" => Completion::No,
            _ => Completion::Bad,
        };
        let completing = Completing { completion, code: self.code, by: self.by, begun };
        Answer {
            line: line.into(),
            speaker: Speaker::ProxyToClient,
            completes: Some((id, completing)),
            starts: None,
            close: self.closes.then(|| (CloseReason::Policy, self.sentence.into())),
        }
    }
}
