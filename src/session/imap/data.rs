//! Untagged data on its way down: followed, not held. It tells which messages the client got and which are
//! gone, and finds where each literal ends; the octets themselves pass in the runs of `server`.

use std::time::Instant;

use super::Imap;
use super::phase::Phase;
use super::server::{Fate, Progress};
use crate::session::legible::legible;
use crate::session::{Alteration, Extent, MessageRef, Observation, Outbox, Speaker, ViolationKind};
use crate::wire::Side;
use crate::wire::imap::{Announcement, DataKind, FetchScanner, FetchSummary, Tail, UrlExtent, UrlScanner};

/// Octets of a VANISHED set that are told.
const LONGEST_SET: usize = 1000;

/// Untagged data that is passing.
#[derive(Debug)]
pub(super) struct Data {
    fetch: Option<Box<Fetch>>,
    /// What follows the content of a URLFETCH response.
    urls: Option<Box<UrlScanner>>,
    /// It does not reach the client.
    drop: bool,
    /// Octets that a rule kept from the client, if it keeps them.
    hidden: Option<u64>,
    behind: Behind,
    /// Octets of parts that were not told yet.
    untold: u64,
    /// The last octet of the text that is not a space is `)`.
    closed: bool,
}

#[derive(Debug)]
struct Fetch {
    scanner: FetchScanner,
    number: u32,
    uid: bool,
}

/// What stands right before a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Text,
    Literal,
    /// A literal and one empty line, which some servers insert.
    EmptyLine,
}

impl Data {
    fn new() -> Self {
        let (fetch, urls, drop, hidden, behind) = (None, None, false, None, Behind::Text);
        Self { fetch, urls, drop, hidden, behind, untold: 0, closed: false }
    }

    /// Data in which nothing is looked for.
    pub(super) fn of_text() -> Self {
        Self::new()
    }

    /// The same, kept from the client by a rule.
    pub(super) fn hidden() -> Self {
        Self { drop: true, hidden: Some(0), ..Self::new() }
    }

    fn count_hidden(&mut self, octets: usize) {
        if let Some(hidden) = &mut self.hidden {
            *hidden = hidden.saturating_add(octets as u64);
        }
    }

    /// Octets of its literal passed; whether they reach the client.
    pub(super) fn pass_octets(&mut self, octets: usize, last: bool) -> Fate {
        self.count_hidden(octets);
        if last {
            self.behind = Behind::Literal;
        }
        if self.drop { Fate::Drop } else { Fate::Pass }
    }

    /// Text that is not a literal's.
    fn scan(&mut self, text: &[u8]) {
        if let Some(fetch) = &mut self.fetch {
            fetch.scanner.text(text);
        }
        if let Some(urls) = &mut self.urls {
            urls.text(text);
        }
    }

    fn note_end(&mut self, text: &[u8]) {
        if let Some(last) = text.iter().rev().find(|octet| !octet.is_ascii_whitespace()) {
            self.closed = *last == b')';
        }
    }
}

impl Imap {
    pub(super) fn first_data(
        &mut self,
        line: &[u8],
        kind: DataKind,
        end: Option<(Tail, bool)>,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        if kind == DataKind::Other
            && (self.looks.any() || !self.mapped.is_empty())
            && let Some(fate) = self.judge_data(line, end, now, out)
        {
            return fate;
        }
        if let Some((Tail::Plain, false)) = end
            && !matches!(self.phase, Phase::Detach(_))
            && self.whole_data(line, kind, now, out)
        {
            self.say(Speaker::Upstream, None, line, now, out);
            return Fate::Pass;
        }
        let mut data = Data::new();
        let mut from = 0;
        match kind {
            DataKind::Capability { list } => return self.pass_capabilities(line, list, end.is_some(), now, out),
            DataKind::Fetch { number, uid, body } => {
                let scanner = FetchScanner::default();
                data.fetch = Some(Box::new(Fetch { scanner, number, uid }));
                data.drop = matches!(self.phase, Phase::Detach(_));
                from = body;
            }
            DataKind::UrlFetch { urls } => {
                data.urls = Some(Box::default());
                from = urls;
            }
            // what the mailbox left behind says is not for a client that has left it
            DataKind::Size { .. } | DataKind::Expunge { .. } | DataKind::Vanished { .. }
                if matches!(self.phase, Phase::Detach(_)) =>
            {
                data.drop = true;
            }
            DataKind::Expunge { number } => self.expunged(number, now, out),
            DataKind::Vanished { set } => self.vanished(line.get(set..).unwrap_or_default(), now, out),
            DataKind::Enabled if end.is_some() => self.enabled(line),
            DataKind::Size { exists } => self.view.has(exists),
            DataKind::Enabled | DataKind::Other => {}
        }
        self.responses.progress = Progress::Data(data);
        match end {
            Some((tail, broken)) => self.data_segment(line, from, tail, broken, now, out),
            None => self.data_part_from(line, from, now, out),
        }
    }

    /// Data of which all that matters is where it ends, from its first line or the first part of that.
    pub(super) fn data_from(&mut self, line: &[u8], end: Option<(Tail, bool)>, now: Instant, out: &mut Outbox) -> Fate {
        match end {
            Some((tail, broken)) => self.data_segment(line, 0, tail, broken, now, out),
            None => self.data_part_from(line, 0, now, out),
        }
    }

    /// Untagged data that is one line without a literal: most of what servers say. Learns from it, unless it
    /// must be looked at more closely.
    fn whole_data(&mut self, line: &[u8], kind: DataKind, now: Instant, out: &mut Outbox) -> bool {
        match kind {
            DataKind::Capability { .. } | DataKind::Fetch { .. } | DataKind::UrlFetch { .. } => return false,
            DataKind::Expunge { number } => self.expunged(number, now, out),
            DataKind::Vanished { set } => self.vanished(line.get(set..).unwrap_or_default(), now, out),
            DataKind::Enabled => self.enabled(line),
            DataKind::Size { exists } => self.view.has(exists),
            DataKind::Other => {}
        }
        true
    }

    pub(super) fn data_line(&mut self, line: &[u8], tail: Tail, broken: bool, now: Instant, out: &mut Outbox) -> Fate {
        let Progress::Data(data) = &mut self.responses.progress else { return Fate::Drop };
        let fetch = data.fetch.is_some();
        let fits = match (data.behind, line.first()) {
            (Behind::Literal, Some(b'\r')) if fetch && line == b"\r\n" => {
                data.behind = Behind::EmptyLine;
                data.count_hidden(line.len());
                return if data.drop { Fate::Drop } else { Fate::Pass };
            }
            (Behind::Text, _) | (_, Some(b' ' | b')')) | (Behind::Literal, Some(b']')) => true,
            (Behind::Literal, Some(b'\r')) => line == b"\r\n",
            (Behind::Literal | Behind::EmptyLine, _) => false,
        };
        if !fits {
            // the count was too small, or the line is forged: what follows is mail text (RFC 9051 §4.3)
            return self.upstream_slip(ViolationKind::Framing, "A literal is longer than announced", now, out);
        }
        self.data_segment(line, 0, tail, broken, now, out)
    }

    pub(super) fn data_part(&mut self, part: &[u8], now: Instant, out: &mut Outbox) -> Fate {
        let Progress::Data(data) = &mut self.responses.progress else { return Fate::Drop };
        if data.behind != Behind::Text && !matches!(part.first(), Some(b' ' | b')' | b']')) {
            return self.upstream_slip(ViolationKind::Framing, "A literal is longer than announced", now, out);
        }
        self.data_part_from(part, 0, now, out)
    }

    fn data_part_from(&mut self, part: &[u8], from: usize, _now: Instant, _out: &mut Outbox) -> Fate {
        let Progress::Data(data) = &mut self.responses.progress else { return Fate::Drop };
        data.behind = Behind::Text;
        data.count_hidden(part.len());
        data.untold = data.untold.saturating_add(part.len() as u64);
        data.note_end(part);
        data.scan(part.get(from..).unwrap_or_default());
        if data.drop { Fate::Drop } else { Fate::Pass }
    }

    /// A segment of data to its line end; `from` is where its values begin.
    fn data_segment(
        &mut self,
        line: &[u8],
        from: usize,
        tail: Tail,
        broken: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Fate {
        let Progress::Data(mut data) = std::mem::take(&mut self.responses.progress) else { return Fate::Drop };
        let announced = match tail {
            Tail::Plain if !broken => None,
            Tail::Literal(announced) if announced.synchronizing && !broken => Some(announced),
            Tail::Plain | Tail::Literal(_) | Tail::Overflow { .. } => {
                self.responses.progress = Progress::Data(data);
                return self.upstream_slip(ViolationKind::Literal, "A literal that servers may not send", now, out);
            }
        };
        let speaker = if data.drop { Speaker::UpstreamHeld } else { Speaker::Upstream };
        if data.untold > 0 {
            let octets = std::mem::take(&mut data.untold) + line.len() as u64;
            self.say_text(speaker, None, format_args!("‹long line, {octets} octets›"), octets, now, out);
        } else {
            self.say(speaker, None, line, now, out);
        }
        data.count_hidden(line.len());
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        data.note_end(text);
        // of a line that came in parts, the announcement has passed already
        let announcement = announced.map_or(0, |announced| announced.len);
        let text = text.get(..text.len().saturating_sub(announcement)).unwrap_or_default();
        data.scan(text.get(from..).unwrap_or_default());
        let fate = if data.drop { Fate::Drop } else { Fate::Pass };
        match announced {
            Some(announced) => self.enter_literal(data, announced, now, out),
            None if data.fetch.is_some() && !data.closed => {
                self.responses.progress = Progress::Data(data);
                return self.upstream_slip(ViolationKind::Framing, "A FETCH response without its end", now, out);
            }
            None => {
                if let Some(removed) = data.hidden {
                    let (to, why) = (Side::Client, Alteration::Policy);
                    out.observe(now, Observation::Altered { to, why, removed, added: 0 });
                }
                if let Some(fetch) = data.fetch.filter(|_| !data.drop) {
                    self.report_retrieved(*fetch, now, out);
                }
                if let Some(urls) = data.urls {
                    self.report_by_url(*urls, now, out);
                }
            }
        }
        fate
    }

    fn enter_literal(&mut self, mut data: Data, announced: Announcement, now: Instant, out: &mut Outbox) {
        let octets = announced.octets;
        if let Some(fetch) = &mut data.fetch {
            fetch.scanner.literal(announced);
        }
        if let Some(urls) = &mut data.urls {
            urls.literal(announced);
        }
        let speaker = if data.drop { Speaker::UpstreamHeld } else { Speaker::Upstream };
        self.say_text(speaker, None, format_args!("‹literal, {octets} octets›"), octets, now, out);
        self.responses.framer.expect_octets(octets);
        data.behind = Behind::Literal;
        self.responses.progress = Progress::Data(data);
    }

    fn report_retrieved(&mut self, fetch: Fetch, now: Instant, out: &mut Outbox) {
        let FetchSummary { uid, items, size } = fetch.scanner.finish();
        if let Some(uid) = uid.filter(|_| !fetch.uid) {
            self.view.learn(fetch.number, uid);
        }
        if let Some(size) = size.filter(|_| !self.asks_no_arguments()) {
            let named = if fetch.uid { Some(fetch.number) } else { uid.or_else(|| self.view.uid_of(fetch.number)) };
            self.sizes.learn(fetch.number, named, size);
        }
        let id = self.fetching();
        for (item, octets) in items {
            let uid = uid.or_else(|| self.view.uid_of(fetch.number));
            let (number, uid) = if fetch.uid { (None, Some(fetch.number)) } else { (Some(fetch.number), uid) };
            let message = self.message(number, uid);
            out.observe(now, Observation::Retrieved { id, message, extent: extent_of(&item), octets });
        }
    }

    /// Content that was asked for by URL. Its mailbox is named by the command; a URL may hold a token.
    fn report_by_url(&mut self, urls: UrlScanner, now: Instant, out: &mut Outbox) {
        let id = self.fetching_urls();
        for (extent, octets) in urls.finish() {
            let extent = match extent {
                UrlExtent::Whole => Extent::Whole,
                UrlExtent::Section => Extent::Part,
                UrlExtent::Partial => Extent::Partial,
            };
            out.observe(now, Observation::Retrieved { id, message: MessageRef::default(), extent, octets });
        }
    }

    /// A message of the selected mailbox.
    fn message(&self, number: Option<u32>, uid: Option<u32>) -> MessageRef {
        let (uid_validity, mailbox) = (self.view.uid_validity(), self.selected.clone());
        MessageRef { number, uid, uid_validity, unique_id: None, mailbox }
    }

    fn expunged(&mut self, number: u32, now: Instant, out: &mut Outbox) {
        let uid = self.view.expunge(number);
        self.sizes.expunge(number, uid);
        let message = self.message(Some(number), uid);
        out.observe(now, Observation::Expunged { message });
    }

    /// `VANISHED`: with `(EARLIER)` they were never part of this view (RFC 7162 §3.2.10.1).
    fn vanished(&mut self, set: &[u8], now: Instant, out: &mut Outbox) {
        let set = set.strip_suffix(b"\r\n").unwrap_or(set);
        let uids = set.strip_prefix(b"(EARLIER) ").unwrap_or(set);
        if uids.len() == set.len() {
            self.view.vanish_set(uids);
            self.sizes.forget_numbers();
        }
        let uids = legible(uids.get(..LONGEST_SET).unwrap_or(uids));
        let (mailbox, uid_validity) = (self.selected.clone(), self.view.uid_validity());
        out.observe(now, Observation::Vanished { mailbox, uid_validity, uids });
    }
}

/// How much of a message a FETCH item is: `BODY[1.2.HEADER]<0>` and its like, in upper case.
fn extent_of(item: &str) -> Extent {
    let section = item.split_once('[').map_or("", |(_, rest)| rest.rsplit_once(']').map_or(rest, |(name, _)| name));
    if item.ends_with('>') {
        return Extent::Partial;
    }
    match section {
        "" if item == "RFC822.HEADER" => Extent::Headers,
        "" if item == "RFC822.TEXT" => Extent::Part,
        "" => Extent::Whole,
        _ if section.contains("HEADER") || section.ends_with("MIME") => Extent::Headers,
        _ => Extent::Part,
    }
}

#[cfg(test)]
mod tests {
    use super::{Extent, extent_of};

    #[test]
    fn knows_how_much_an_item_is() {
        for (item, extent) in [
            ("BODY[]", Extent::Whole),
            ("RFC822", Extent::Whole),
            ("BINARY[]", Extent::Whole),
            ("BODY[]<0>", Extent::Partial),
            ("BODY[HEADER.FIELDS (SUBJECT)]", Extent::Headers),
            ("BODY[1.MIME]", Extent::Headers),
            ("RFC822.HEADER", Extent::Headers),
            ("RFC822.TEXT", Extent::Part),
            ("BODY[TEXT]", Extent::Part),
            ("BODY[1.2]", Extent::Part),
        ] {
            assert_eq!(extent_of(item), extent, "{item}");
        }
    }
}
