//! Makes commands up: from patterns whose places are filled with what may stand there, and with what
//! nearly may.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// `%` and a letter is a place, filled from the list of that letter.
#[rustfmt::skip]
const PATTERNS: &[&str] = &[
    "CAPABILITY", "noop", "LOGOUT", "STARTTLS", "LOGIN %a %a", "AUTHENTICATE PLAIN", "AUTHENTICATE %A", "SELECT %m", "EXAMINE %m",
    "SELECT %m (CONDSTORE)", "SELECT %m (QRESYNC (1 2 1:9))", "CREATE %m", "DELETE %m", "RENAME %m %m", "SUBSCRIBE %m", "UNSUBSCRIBE %m",
    "LIST %m %l", "LSUB %m %l", "STATUS %m %i", "APPEND %m %M", "APPEND %m %g %M", "APPEND %m %d %M", "APPEND %m %g %d %M",
    "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "UID EXPUNGE %s", "SEARCH %k", "SEARCH %k %k", "SEARCH CHARSET UTF-8 %k", "UID SEARCH %k",
    "SORT (DATE) UTF-8 %k", "UID SORT (REVERSE SUBJECT) US-ASCII %k", "THREAD REFERENCES UTF-8 %k", "FETCH %s %f", "UID FETCH %s %f",
    "FETCH %s (%f %f)", "FETCH %s %f (CHANGEDSINCE 5)", "STORE %s +FLAGS %g", "STORE %s FLAGS.SILENT %g", "UID STORE %s -FLAGS %g",
    "STORE %s (UNCHANGEDSINCE 5) FLAGS %g", "COPY %s %m", "UID COPY %s %m", "MOVE %s %m", "UID MOVE %s %m", "IDLE", "ENABLE %e", "COMPRESS DEFLATE",
    "GETQUOTA %a", "GETQUOTAROOT %m", "SETQUOTA %a (STORAGE 5)", "ID NIL", "ID (\"name\" %n)", "NAMESPACE", "GETMETADATA %m /shared/comment",
    "SETMETADATA %m (/private/comment %n)", "XFOO %a",
];

#[rustfmt::skip]
const FILLINGS: &[(char, &[&str])] = &[
    ('a', &["joe", "\"jo e\"", "\"j\\\"o\"", "\"\"", "{3+}\r\njoe", "{3}\r\nj e", "~{3+}\r\njoe", "j]oe", "[x", "j%", "(x)", "\"j\\o\"", "j\u{e4}", "\"j\u{e4}\"", "{0}\r\n", "{03}\r\njoe", "+x", "a\\b", "{4+}\r\na\r\nb"]),
    ('A', &["plain", "PLAIN =", "PLAIN AGoAcA==", "PLAIN AGo", "SCRAM-SHA-256", "\"PLAIN\"", "X-FOO bar=", "LOGIN"]),
    ('m', &["inbox", "INBOX", "\"INBOX\"", "a/b", "\"a b\"", "\"\"", "{3+}\r\nfoo", "{3}\r\nf o", "~{3+}\r\nfoo", "&AOk-", "\"&AOk-\"", "&AEk-NBOX", "a&b", "a]", "[x", "a*", "\"\u{e9}\"", "\u{e9}", "{5+}\r\ninbox", "iNBOX", "x\\y", "{4+}\r\na\r\nb"]),
    ('M', &["{5}\r\nhello", "{5+}\r\nhello", "{0}\r\n", "~{5+}\r\nhe\0lo", "\"hello\"", "hello", "{5+}\r\nhe\0lo", "{6+}\r\na\r\nb\r\n", "{3+}\r\none {3+}\r\ntwo", "UTF8 (~{3+}\r\none)"]),
    ('l', &["*", "%", "\"\"", "\"a*\"", "a.%", "{1+}\r\n*", "(a b)", "a\\", "\"a\\\\\"", "b]"]),
    ('i', &["(MESSAGES)", "(UIDNEXT UNSEEN)", "(RECENT UIDVALIDITY)", "(SIZE)", "(HIGHESTMODSEQ)", "(DELETED)", "()", "MESSAGES", "(messages)", "(FOO)", "(MAILBOXID)", "(APPENDLIMIT)", "(DELETED-STORAGE)"]),
    ('s', &["1", "1:*", "*", "1,2:4", "4:2", "*:3", "0", "01", "$", "1:", "4294967295", "4294967296", "1,,2", "1 2", "-1", "1:2:3"]),
    ('f', &["ALL", "FAST", "FULL", "FLAGS", "flags", "UID", "(FLAGS UID)", "BODY", "BODY[]", "BODY[1]", "BODY.PEEK[]", "BODY[HEADER.FIELDS (A \"b\")]", "BODY[header]", "BODY[1.2.MIME]", "BODY[MIME]", "BODY[]<0.10>", "BODY[]<0>", "BODY[]<0.0>", "BODY[0]", "RFC822", "RFC822.SIZE", "(ALL)", "()", "BINARY[1]", "BINARY.PEEK[]<0.3>", "BINARY.SIZE[1]", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "MODSEQ", "FOO", "X-GM-MSGID", "EMAILID", "BODY[HEADER.FIELDS ({1+}\r\nA)]", "BODY[TEXT", "PREVIEW", "BODY[HEADER.FIELDS (A])]"]),
    ('k', &["ALL", "1:*", "NOT SEEN", "OR ALL NEW", "FROM x", "FROM \"x y\"", "FROM {1+}\r\nx", "SINCE 1-Feb-1994", "BEFORE \"01-Feb-1994\"", "SINCE 32-Feb-1994", "SINCE 30-Feb-1994", "SINCE 001-Feb-1994", "HEADER A b", "HEADER A \"\"", "UID 1", "(ALL)", "(ALL NEW)", "()", "LARGER 1", "SMALLER 0", "LARGER 4294967296", "KEYWORD $x", "KEYWORD \\Seen", "MODSEQ 1", "YOUNGER 3", "OLDER 0", "$", "SUBJECT \u{e4}", "SUBJECT \"\u{e4}\"", "FOO", "all", "OR ALL", "NOT", "EMAILID x", "SAVEDSINCE 1-Feb-1994", "FUZZY ALL", "X-GM-RAW x", "OLD", "DRAFT UNDELETED"]),
    ('g', &["(\\Seen)", "\\Seen", "()", "(a \\Deleted)", "(\\Recent)", "(\\*)", "\\Seen \\Deleted", "(\"a\")", "(\\foo)", "(\\Seen \\Seen)", "($a ]b)", "(a  b)", "(\\SEEN)", "\\Recent", "(\\Seen"]),
    ('d', &["\"17-Jul-1996 02:44:25 -0700\"", "\" 7-Jul-1996 02:44:25 -0700\"", "\"07-jul-1996 02:44:25 +0000\"", "\"7-Jul-1996 02:44:25 +0000\"", "\"32-Jul-1996 02:44:25 +0000\"", "\"17-Jul-1996 25:44:25 +0000\"", "\"17-Jul-1996 02:44:60 +0000\"", "\"17-Jul-1996 02:44:25 +9999\"", "17-Jul-1996", "\"30-Feb-1996 02:44:25 +0000\"", "\"17-Jul-0000 02:44:25 +0000\"", "{26+}\r\n17-Jul-1996 02:44:25 -0700"]),
    ('e', &["CONDSTORE", "QRESYNC UTF8=ACCEPT", "X", "\"x\"", "(x)", "IMAP4rev2", ""]),
    ('n', &["NIL", "\"x\"", "{1+}\r\nx", "x", "\"\"", "nil", "~{1+}\r\nx", "\"\u{e9}\""]),
];

/// A command, whole, its literals inline.
pub(crate) fn command(runner: &mut TestRunner) -> Vec<u8> {
    value(&commands(), runner)
}

/// Commands and noise, for the framers.
pub(crate) fn stream(runner: &mut TestRunner) -> Vec<u8> {
    let noise = select(vec![
        "\n",
        "\r",
        "\r\n",
        "a NOOP\n",
        "{3}\r\n",
        "{3+}\r\nabc\r\n",
        "~{2}\r\n",
        "x {1}\n",
        "{4294967296}\r\n",
        "{4294967295}\r\n",
        "{00002+}\r\n",
        "{99999999999999999999}\r\n",
        "{+}\r\n",
        "{{1}\r\n",
        "{1}}\r\n",
        "{1 }\r\n",
        "{1}\r\r\n",
        "{000000000000000000000000000000000002}\r\n",
        "{9999999999999999999999999999999999999}\r\n",
        "{1++}\r\n",
        "{}\r\n",
        "1}\r\n",
    ]);
    let noise = noise.prop_map(|text| text.as_bytes().to_vec());
    let part = prop_oneof![2 => commands(), 1 => noise];
    value(&proptest::collection::vec(part, 1..5).prop_map(|parts| parts.concat()), runner)
}

fn value<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, runner: &mut TestRunner) -> T {
    strategy.new_tree(runner).expect("nothing is filtered").current()
}

fn commands() -> impl Strategy<Value = Vec<u8>> {
    let end =
        prop_oneof![30 => Just("\r\n"), 1 => select(vec!["\n", " \r\n", "\r\r\n", " x\r\n", "\0\r\n", ")\r\n", ""])];
    let tag = prop_oneof![30 => Just("a1"), 1 => select(vec!["a+", "*", "", "\"a\"", "a]", "[", "a\\b", "+", "a.b:c", "a\u{e9}"])];
    let choices = proptest::collection::vec(any::<prop::sample::Index>(), 4);
    (tag, select(PATTERNS), choices, end, slip()).prop_map(|(tag, pattern, choices, end, slip)| {
        let mut octets = format!("{tag} {}{end}", fill(pattern, &choices)).into_bytes();
        slip.make(&mut octets);
        octets
    })
}

fn fill(pattern: &str, choices: &[prop::sample::Index]) -> String {
    let (mut filled, mut parts, mut choices) = (String::new(), pattern.split('%'), choices.iter());
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let letter = part.chars().next().expect("a place has a letter");
        let (_, list) = FILLINGS.iter().find(|(known, _)| *known == letter).expect("and a list");
        filled.push_str(list[choices.next().expect("four places at most").index(list.len())]);
        filled.push_str(&part[1..]);
    }
    filled
}

/// One octet that is not as it should be.
#[derive(Debug, Clone)]
enum Slip {
    None,
    Removed(prop::sample::Index),
    Inserted(prop::sample::Index, u8),
    Changed(prop::sample::Index, u8),
}

fn slip() -> impl Strategy<Value = Slip> {
    let octet = || select(b" \t\r\n\0(){}\"\\%*+~]a0\xff".to_vec());
    prop_oneof![
        8 => Just(Slip::None),
        1 => any::<prop::sample::Index>().prop_map(Slip::Removed),
        1 => (any::<prop::sample::Index>(), octet()).prop_map(|(at, octet)| Slip::Inserted(at, octet)),
        1 => (any::<prop::sample::Index>(), octet()).prop_map(|(at, octet)| Slip::Changed(at, octet)),
    ]
}

impl Slip {
    fn make(self, octets: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Removed(at) => drop(octets.remove(at.index(octets.len()))),
            Self::Inserted(at, octet) => octets.insert(at.index(octets.len()), octet),
            Self::Changed(at, octet) => {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
        }
    }
}
