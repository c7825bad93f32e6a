//! Why the two differ, and who is right.

use super::view::{Cut, NO_NAME, View};

/// A command that the two read differently.
pub(crate) struct Difference<'a> {
    pub(crate) command: &'a [u8],
    pub(crate) ours: View,
    pub(crate) theirs: View,
}

struct Class {
    name: &'static str,
    /// Who accepts what the other refuses.
    accepts: Accepts,
    holds: fn(&Command<'_>) -> bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepts {
    Ours,
    Theirs,
}

/// A command as a class looks at it.
struct Command<'a> {
    octets: &'a [u8],
    /// Name in upper case, without UID.
    name: String,
    /// The words behind it, as written.
    words: Vec<String>,
    theirs: &'a View,
}

/// Each is explained in `docs/differential.md`, under this name.
const CLASSES: &[Class] = &[
    // they are too lenient
    Class { name: "leading zero in a sequence number", accepts: Accepts::Theirs, holds: has_leading_zero },
    Class { name: "list of nothing", accepts: Accepts::Theirs, holds: is_list_of_nothing },
    Class {
        name: "flag that cannot be set",
        accepts: Accepts::Theirs,
        holds: |it| it.has_flag(|flag| flag == "\\RECENT"),
    },
    Class { name: "mailbox name read in two ways", accepts: Accepts::Theirs, holds: has_doubtful_name },
    Class { name: "name that is no SASL mechanism", accepts: Accepts::Theirs, holds: is_no_mechanism },
    Class { name: "empty initial response without `=`", accepts: Accepts::Theirs, holds: is_empty_response },
    Class {
        name: "metadata entry without `/`",
        accepts: Accepts::Theirs,
        holds: |it| it.name.ends_with("METADATA") && !it.text().contains(" /") && !it.text().contains("(/"),
    },
    // we are stricter on purpose
    Class {
        name: "tag with a bracket",
        accepts: Accepts::Theirs,
        holds: |it| it.octets.split(|octet| *octet == b' ').next().is_some_and(|tag| tag.contains(&b']')),
    },
    Class {
        name: "flag that no RFC names",
        accepts: Accepts::Theirs,
        holds: |it| it.has_flag(|flag| !KNOWN_FLAGS.contains(&flag)),
    },
    Class { name: "threading algorithm that no RFC names", accepts: Accepts::Theirs, holds: is_unknown_threading },
    // we know more
    Class { name: "command of an extension", accepts: Accepts::Ours, holds: is_of_extension },
    Class { name: "saved search result", accepts: Accepts::Ours, holds: |it| it.words.iter().any(|word| word == "$") },
    Class { name: "data item of an extension", accepts: Accepts::Ours, holds: has_item_of_extension },
    Class {
        name: "several patterns",
        accepts: Accepts::Ours,
        holds: |it| it.name == "LIST" && it.text().contains("(a b)"),
    },
    Class { name: "search key of an extension", accepts: Accepts::Ours, holds: has_unknown_key },
    Class {
        name: "leap second",
        accepts: Accepts::Ours,
        holds: |it| it.name == "APPEND" && it.text().contains(":60 "),
    },
    // we do not look
    Class {
        name: "quoted string that is not UTF-8",
        accepts: Accepts::Ours,
        holds: |it| std::str::from_utf8(it.octets).is_err(),
    },
    Class {
        name: "NUL in a message",
        accepts: Accepts::Ours,
        holds: |it| it.name == "APPEND" && it.octets.contains(&0),
    },
    Class { name: "base64 with bits left over", accepts: Accepts::Ours, holds: |it| it.name == "AUTHENTICATE" },
];

const KNOWN_FLAGS: &[&str] = &["\\SEEN", "\\ANSWERED", "\\FLAGGED", "\\DELETED", "\\DRAFT", "\\RECENT"];
const EXTENSIONS: &[&str] = &[
    "DELETEACL",
    "ESEARCH",
    "GENURLAUTH",
    "GETACL",
    "LISTRIGHTS",
    "MYRIGHTS",
    "NOTIFY",
    "REPLACE",
    "RESETKEY",
    "SETACL",
    "UNAUTHENTICATE",
    "URLFETCH",
    "XLIST",
];
const SEARCHES: &[&str] = &["SEARCH", "SORT", "THREAD"];
const KNOWN_KEYS: &[&str] = &[
    "ALL",
    "NOT",
    "OR",
    "SEEN",
    "NEW",
    "FROM",
    "SINCE",
    "BEFORE",
    "HEADER",
    "UID",
    "LARGER",
    "SMALLER",
    "KEYWORD",
    "MODSEQ",
    "YOUNGER",
    "OLDER",
    "SUBJECT",
    "OLD",
    "DRAFT",
    "UNDELETED",
    "CHARSET",
    "UTF-8",
    "US-ASCII",
    "REFERENCES",
    "DATE",
    "REVERSE",
];

impl<'a> Command<'a> {
    fn new(octets: &'a [u8], theirs: &'a View) -> Self {
        let text = String::from_utf8_lossy(octets).replace("\r\n", " ");
        let mut words: Vec<String> = text.split(' ').skip(1).map(str::to_owned).collect();
        let mut name = if words.is_empty() { String::new() } else { words.remove(0).to_ascii_uppercase() };
        if name == "UID" && !words.is_empty() {
            name = words.remove(0).to_ascii_uppercase();
        }
        Self { octets, name, words, theirs }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.octets).into_owned()
    }

    /// Whether a word with a backslash in front is such a flag; given in upper case.
    fn has_flag(&self, is: fn(&str) -> bool) -> bool {
        let flags = self.words.iter().map(|word| word.trim_matches(['(', ')']).to_ascii_uppercase());
        matches!(self.name.as_str(), "STORE" | "APPEND")
            && flags.filter(|word| word.starts_with('\\')).any(|flag| is(&flag))
    }
}

fn is_of_extension(it: &Command<'_>) -> bool {
    EXTENSIONS.contains(&it.name.as_str())
        || (it.name == "APPEND" && it.text().contains(" CATENATE ("))
        || (it.name == "LIST" && it.text().contains(" RETURN ("))
}

fn has_leading_zero(it: &Command<'_>) -> bool {
    let numbers = it.words.iter().flat_map(|word| word.split([',', ':', '(', ')']));
    numbers
        .filter(|number| number.bytes().all(|octet| octet.is_ascii_digit()))
        .any(|it| it.len() > 1 && it.starts_with('0'))
}

fn is_list_of_nothing(it: &Command<'_>) -> bool {
    matches!(it.name.as_str(), "FETCH" | "STATUS") && it.words.iter().any(|word| word == "()")
}

fn has_doubtful_name(it: &Command<'_>) -> bool {
    let named = it.theirs.as_ref().is_some_and(|(_, _, mailboxes, _)| mailboxes.iter().any(|name| name == NO_NAME));
    let pattern =
        matches!(it.name.as_str(), "LIST" | "LSUB") && (it.text().contains('&') || it.text().contains("{4+}\r\na\r"));
    named || pattern
}

fn is_no_mechanism(it: &Command<'_>) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    it.name == "AUTHENTICATE" && it.words.first().is_some_and(|name| !name.bytes().all(allowed))
}

fn is_empty_response(it: &Command<'_>) -> bool {
    it.name == "AUTHENTICATE" && it.octets.ends_with(b" \r\n")
}

fn is_unknown_threading(it: &Command<'_>) -> bool {
    it.name == "THREAD" && it.words.first().is_some_and(|name| name != "REFERENCES")
}

fn has_item_of_extension(it: &Command<'_>) -> bool {
    let items = ["PREVIEW", "EMAILID", "X-GM-", "MAILBOXID", "APPENDLIMIT", "MODSEQ", "DELETED-STORAGE"];
    matches!(it.name.as_str(), "FETCH" | "STORE" | "STATUS") && items.iter().any(|item| it.text().contains(item))
}

/// A word that is no key of RFC 9051: at the end, or longer than the values of the generator.
fn has_unknown_key(it: &Command<'_>) -> bool {
    let words = it.words.iter().map(|word| word.trim_matches(['(', ')']).to_ascii_uppercase());
    let words: Vec<String> = words.filter(|word| word.bytes().all(|octet| octet.is_ascii_graphic())).collect();
    let last = words.iter().rfind(|word| !word.is_empty());
    let mut judged = words.iter().filter(|word| word.len() > 1).chain(last);
    SEARCHES.contains(&it.name.as_str()) && judged.any(|word| !KNOWN_KEYS.contains(&word.as_str()))
}

/// Why the framers differ, in the order of the alphabet.
///
/// - *a bare LF*: to imap-codec it ends a line. RFC 9051 §2.2 has lines end in CRLF; a peer that is
///   lenient reads two commands where a strict one reads one, so we see one and refuse it.
/// - *a count of 32 digits or more*: leading zeros are allowed (`1*DIGIT`, RFC 9051 §9), so imap-codec is
///   right; we look at the last 32 octets of a line only, and refuse.
/// - *a count over 32 bits*: `number64` since RFC 9051 §9 and RFC 7888 §4. We count to 2^63 - 1;
///   imap-codec takes such a line for one without a literal.
pub(crate) const CUTS: &[&str] = &["a bare LF", "a count of 32 digits or more", "a count over 32 bits"];

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|class| class.name)
}

/// The first class it belongs to.
pub(crate) fn explain(difference: &Difference<'_>) -> Option<&'static str> {
    let accepts = match (&difference.ours, &difference.theirs) {
        (Some(_), None) => Accepts::Ours,
        (None, Some(_)) => Accepts::Theirs,
        // read by both, and differently: never explained
        _ => return None,
    };
    let command = Command::new(difference.command, &difference.theirs);
    let class = CLASSES.iter().find(|class| class.accepts == accepts && (class.holds)(&command));
    class.map(|class| class.name)
}

/// Why the two cut the front of `stream` at different places.
pub(crate) fn explain_cut(stream: &[u8], ours: Option<&Cut>, theirs: Option<&Cut>) -> Option<&'static str> {
    let Some(Cut::Line { len, announced }) = theirs else { return None };
    let line = stream.get(..*len)?;
    match (ours, announced) {
        _ if !line.ends_with(b"\r\n") => Some("a bare LF"),
        (Some(Cut::Line { announced: Some((count, _)), .. }), None) if *count > u64::from(u32::MAX) => {
            Some("a count over 32 bits")
        }
        (Some(Cut::Line { announced: None, len: same }), Some(_)) if same == len => {
            let digits = line.iter().rev().skip_while(|octet| !octet.is_ascii_digit());
            (digits.take_while(|octet| octet.is_ascii_digit()).count() >= 32).then_some("a count of 32 digits or more")
        }
        _ => None,
    }
}
