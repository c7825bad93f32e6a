//! Writes `docs/metrics.md` from the table of families.

use std::fmt::Write as _;

use super::families::{FAMILIES, Family, PROCESS_SERIES, most_series};
use super::histogram::Buckets;
use super::labels::{Dimension, Names};
use crate::wire::Protocol;

const HEAD: &str = "# Metrics

This page is made from the table in `src/metrics/families.rs`, and a test compares the two; to write it anew, run the
tests with `MAILWARDEN_WRITE_DOCS=1`.

`GET /metrics` on the admin endpoint (`[admin]` in the configuration) answers in the text format of Prometheus, or in
OpenMetrics 1.0 where the scraper prefers it (`Accept: application/openmetrics-text`); there a bound of a bucket is always
written with a point (`le=\"1.0\"`). Without `[admin]` nobody can ask, and sessions are not counted.

Names follow Prometheus: base units (seconds, bytes), `_total` for counters. Label values come from the closed sets below or
from names in the configuration, never from a peer: an unknown command is `other`. Every series is there from the start with a
zero, expiries excepted, which are absent until they are known. A session never waits for a scrape: what it counts is an atomic
addition, and a scrape runs on a thread of its own. (The first decision of a rule makes its series, and that waits while the
rules' series are read.)

Users, mailboxes and client addresses are never labels. Who does most is kept apart, in a fixed number of places: see
[Heavy hitters](#heavy-hitters).

";

const TAIL: &str = "## Of the process

`process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_virtual_memory_bytes`,
`process_resident_memory_bytes`, `process_start_time_seconds` and `process_threads`, as every Prometheus client has them (Linux
only). Memory per session is `process_resident_memory_bytes / sum(mailwarden_sessions_active)`.

## What is measured how

- *Upstream time* is from the moment a command's end (or a message's announcement) was read to its answer. *Proxy time* is
  measured by turns, not by commands: a turn may answer a hundred commands, or pass a piece of one message. Time in which a
  peer does not take what is sent is neither.
- How long a server delays what it pushes during IDLE cannot be told from outside; what the proxy adds to it is proxy time.
- `limits_hit_total{limit=\"compressed_sides\"}` counts clients whose COMPRESS was declined. The side of a server goes on
  without compression and asks again: that is not counted; `compressed_sides` at its limit tells of it.
- No limit is over all listeners but that of file descriptors: compare `process_open_fds` with `process_max_fds`.
- `sent_bytes_total` counts what the sockets took. What is queued when a session breaks off was received and is never sent.

## Heavy hitters

`GET /api/top?by=users&of=octets&n=20` on the admin endpoint answers with JSON. `by` is `users` (default), `clients` (addresses)
or `mailboxes` (of a user); `of` is `octets` (of message content, default), `messages`, `commands` or `failures`
(commands that server, policy or syntax refused, logins among them; of a login that failed only the client is known); `n` is 1 to 100, 20 if not given.

Each of the twelve lists has 512 places (the space-saving algorithm): whoever makes more than 1/512 of the sum is in it for
certain. `value` is never too small; it is too large by `error` at most. Lists cover the hour that is going on and the one
before, from `since` on. Sessions hand on what they counted about once a second. Names are cut to 128 characters.

The answer names people. It is given to this machine only, and only to who asks for `127.0.0.1`, `[::1]` or `localhost` (421
otherwise: a page in a browser may be asking under a name of its own); or, with `token_file` of `[admin]`, to everybody who
has the token: `curl -H \"authorization: Bearer $(cat admin.token)\" http://127.0.0.1:9469/api/top`.
";

/// The page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&budget());
    page.push_str("## Families\n\n");
    for family in FAMILIES {
        section(family, &mut page);
    }
    page.push_str(TAIL);
    page
}

/// The number of series grows with listeners and upstreams alone.
fn budget() -> String {
    let names = |listeners: usize, upstreams: usize| Names {
        listeners: (0..listeners).map(|number| (format!("l{number}"), Protocol::Imap)).collect(),
        upstreams: (0..upstreams).map(|number| format!("u{number}")).collect(),
    };
    let none = most_series(&names(0, 0));
    let (listener, upstream) = (most_series(&names(1, 0)) - none, most_series(&names(0, 1)) - none);
    format!(
        "There are at most **{none} series, {listener} more per listener and {upstream} more per upstream**, whatever \
         peers do ({PROCESS_SERIES} are of the process). A test sends 10,000 invented commands, users, mailboxes, \
         mechanisms and response codes and counts again. Rules have one series more for each action and mode with \
         which they decided.\n\n"
    )
}

fn section(family: &Family, page: &mut String) {
    let name = family.full_name();
    // a String takes all that is written to it
    let _written = write!(page, "### `{name}`\n\n{}. {}\n\n", capitalised(family.kind.as_str()), family.help);
    for dimension in family.dimensions {
        page.push_str(&labels(dimension));
    }
    if let Some(buckets) = family.buckets {
        page.push_str(&bounds(buckets, &name));
    }
    if !family.dimensions.is_empty() || family.buckets.is_some() {
        page.push('\n');
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn labels(dimension: &Dimension) -> String {
    let names = dimension.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    if let Some(configured) = dimension.configured {
        return format!("- {names}: {configured}\n");
    }
    let rows = (dimension.rows)(&Names::default());
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let Some((last, first)) = row.split_last() else { continue };
        let group = first.join(", ");
        match groups.last_mut() {
            Some((known, words)) if *known == group => words.push(format!("`{last}`")),
            _ => groups.push((group, vec![format!("`{last}`")])),
        }
    }
    let group = |(first, words): &(String, Vec<String>)| {
        let words = words.join(", ");
        if first.is_empty() { words } else { format!("with `{first}`: {words}") }
    };
    format!("- {names}: {}\n", groups.iter().map(group).collect::<Vec<_>>().join("; "))
}

fn bounds(buckets: &Buckets, name: &str) -> String {
    let unit = if name.ends_with("_seconds") { "seconds" } else { "bytes" };
    let bounds = buckets.bounds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("- buckets ({unit}): {bounds}. {}\n", buckets.why)
}
