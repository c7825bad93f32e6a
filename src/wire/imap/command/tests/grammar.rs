//! Each command, as its RFC writes it and as it must not be.

use super::*;

#[rustfmt::skip]
const VALID: &[&str] = &[
    "CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "noop",
    "ID NIL", "ID ()", "ID (\"name\" \"x\" \"version\" NIL)", "ID (\"name\" {3+}\r\nfoo)",
    "LOGIN joe secret", "LOGIN \"jo\\\"e\" \"p\\\\w\"", "LOGIN {3+}\r\njoe {4}\r\npass", "LOGIN joe \"p\u{e4}ss\"", "LOGIN joe \"\"",
    "AUTHENTICATE PLAIN", "AUTHENTICATE plain AGoAcA==", "AUTHENTICATE OAUTHBEARER =", "AUTHENTICATE SCRAM-SHA-256 biws",
    "ENABLE CONDSTORE", "ENABLE UTF8=ACCEPT X-GOOD",
    "SELECT x", "SELECT \"\"", "SELECT {0003}\r\nfoo", "SELECT {0}\r\n", "SELECT x (CONDSTORE)",
    "SELECT x (QRESYNC (67890007 20050715194045000))", "SELECT x (QRESYNC (1 2 41,43:211,214:541))",
    "SELECT x (QRESYNC (1 2 1:9 (1,5 10,50)))", "SELECT x (QRESYNC (1 2 (1,5 10,50)))", "EXAMINE x (CONDSTORE)",
    "CREATE a/b/", "CREATE x (USE (\\Sent \\Drafts))", "DELETE x", "RENAME a b", "SUBSCRIBE x", "UNSUBSCRIBE x",
    "LIST \"\" *", "LIST \"\" \"\"", "LIST a/ %", "LIST \"\" {1+}\r\n*", "LIST () \"\" *", "LIST (SUBSCRIBED REMOTE) \"\" (INBOX \"a*\" {1}\r\n%)",
    "LIST \"\" * RETURN ()", "LIST \"\" % RETURN (CHILDREN STATUS (MESSAGES UNSEEN) SPECIAL-USE)", "LIST (SPECIAL-USE) \"\" *",
    "LIST \"\" * RETURN (METADATA (/shared/comment))", "LIST \"\" * RETURN (MYRIGHTS)", "LSUB \"\" *", "XLIST \"\" %", "NAMESPACE",
    "STATUS x (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT SIZE HIGHESTMODSEQ)",
    "IDLE", "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "UID EXPUNGE 1:3", "uid expunge *",
    "SEARCH ALL", "SEARCH 1:* UNSEEN", "SEARCH $", "SEARCH RETURN () ALL", "SEARCH RETURN (MIN MAX COUNT SAVE) CHARSET UTF-8 SUBJECT {3+}\r\nfoo",
    "SEARCH OR FROM a NOT (TO b SINCE 1-Feb-1994)", "SEARCH HEADER Message-ID \"<x@y>\" BEFORE \"01-Feb-1994\"", "SEARCH UID 1,3:5 LARGER 1000 KEYWORD $Junk",
    "SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338", "SEARCH MODSEQ 1", "SEARCH X-GM-RAW \"has:attachment\"", "SEARCH FUZZY BODY x", "SEARCH OLDER 3600",
    "SEARCH XFOO \"bar\" 17 XBAZ", "SEARCH RETURN (PARTIAL -1:-100) ALL", "UID SEARCH ((ALL))", "SEARCH CHARSET \"UTF-8\" TEXT \"\u{e4}\"",
    "SORT (REVERSE DATE SUBJECT) UTF-8 ALL", "UID SORT RETURN (COUNT) (ARRIVAL) US-ASCII UNDELETED", "THREAD REFERENCES UTF-8 ALL", "UID THREAD REFS UTF-8 ALL",
    "ESEARCH IN (mailboxes (\"a\" b) subtree c) RETURN (MIN) UNSEEN", "CANCELUPDATE \"a1\" \"a2\"",
    "FETCH 1 FLAGS", "FETCH 1:*,5 ALL", "FETCH * FAST", "fetch 1 full", "FETCH $ UID", "FETCH 4294967295 BODY",
    "FETCH 1 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (Date \"From\" {2+}\r\nTo)])", "FETCH 1 BODY[]", "FETCH 1 BODY[]<0.100>", "FETCH 1 BODY.PEEK[1.2.MIME]",
    "FETCH 1 BODY[1.HEADER.FIELDS.NOT (A)]<5.1>", "FETCH 1 BODY[TEXT]", "FETCH 1 RFC822", "FETCH 1 (RFC822.HEADER RFC822.TEXT)", "FETCH 1 BINARY.PEEK[1.1]<0.9>",
    "FETCH 1 BINARY[]", "FETCH 1 BINARY.SIZE[1]", "FETCH 1 (ENVELOPE BODYSTRUCTURE INTERNALDATE MODSEQ EMAILID THREADID SAVEDATE)", "FETCH 1 PREVIEW (LAZY)",
    "FETCH 1 (PREVIEW (LAZY) UID)", "FETCH 1 SNIPPET (LAZY=FUZZY)", "FETCH 1 (X-GM-MSGID X-GM-THRID X-GM-LABELS)", "FETCH 1 FLAGS (CHANGEDSINCE 12345)",
    "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)", "UID FETCH 1:* UID (PARTIAL 1:500)", "UID FETCH 1 BODY.PEEK[]",
    "STORE 1 +FLAGS (\\Seen $Forwarded)", "STORE 1 -FLAGS \\Seen", "STORE 1 FLAGS ()", "STORE 1 FLAGS.SILENT \\Seen \\Deleted", "UID STORE 1:2 (UNCHANGEDSINCE 0) +FLAGS.SILENT (a)",
    "STORE 1 +X-GM-LABELS (\\Inbox \"My Label\" x)",
    "COPY 1:2 x", "UID COPY 1 \"a b\"", "MOVE 1 x", "UID MOVE $ {1}\r\nx",
    "GETQUOTA \"\"", "GETQUOTAROOT x", "SETQUOTA \"\" (STORAGE 512 MESSAGE 9)", "SETQUOTA \"\" ()",
    "GETACL x", "SETACL x fred +rwipslda", "SETACL x fred \"\"", "DELETEACL x fred", "LISTRIGHTS x fred", "MYRIGHTS x",
    "GETMETADATA \"\" /shared/comment", "GETMETADATA (DEPTH infinity MAXSIZE 1024) x (/shared/a /private/b)", "GETMETADATA x (MAXSIZE 1024) (/shared/a)",
    "SETMETADATA x (/private/comment \"mine\")", "SETMETADATA x (/shared/a NIL /shared/b ~{3+}\r\na\0b /shared/c {1}\r\nx)",
    "COMPRESS DEFLATE", "UNAUTHENTICATE", "LANGUAGE", "LANGUAGE de fr",
    "NOTIFY NONE", "NOTIFY SET STATUS (selected (MessageNew (uid body.peek[]) MessageExpunge))", "NOTIFY SET (selected (MessageNew (UID) MessageExpunge)) (subtree a NONE) (mailboxes (b c) (FlagChange))",
    "GENURLAUTH \"imap://joe@x/INBOX/;uid=20;urlauth=anonymous\" INTERNAL", "RESETKEY", "RESETKEY INBOX INTERNAL", "URLFETCH \"imap://joe@x/INBOX/;uid=20\" \"/b;uid=1\"",
];

#[test]
fn accepts_each_command_as_its_rfc_writes_it() {
    for text in VALID {
        let command = accepted(&format!("a1 {text}"));
        assert_eq!(command.tag.as_str(), "a1");
        assert!(text.to_ascii_uppercase().starts_with(command.name), "{text}");
    }
}

#[test]
fn every_command_of_the_table_is_among_the_valid_ones() {
    for spec in Spec::all() {
        let literal = ["APPEND", "REPLACE", "UID REPLACE"].contains(&spec.name);
        let shown = VALID.iter().any(|text| {
            let name = text.to_ascii_uppercase();
            name == spec.name || name.starts_with(&format!("{} ", spec.name))
        });
        // the UID forms share their grammar with the plain ones
        assert!(literal || shown || spec.name.starts_with("UID "), "{} has no example", spec.name);
    }
}

#[test]
fn refuses_every_valid_command_with_one_argument_more() {
    for text in VALID {
        // these take any number of arguments, or read the surplus as one that may follow
        let open =
            ["LANGUAGE", "ENABLE", "SEARCH", "UID SEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD", "ESEARCH"];
        let open = open.iter().any(|name| text.starts_with(name)) || text.starts_with("RESETKEY");
        let surplus: &[&str] =
            if open { &[" )", "  ", " "] } else { &[" x", " \"x\"", " (x)", " {3+}\r\nfoo", " )", "  ", " ", "\t"] };
        for more in surplus.iter().filter(|more| !could_follow(text, more)) {
            refused(&line(&format!("a {text}{more}")));
        }
    }
}

/// An argument that the command may have, and has not.
fn could_follow(text: &str, more: &str) -> bool {
    let unparenthesised_flags = text.ends_with("\\Seen") || text.ends_with("\\Deleted");
    more == " x" && unparenthesised_flags
        || text.starts_with("URLFETCH") && !more.trim().is_empty() && more != " )" && more != " (x)"
        || text.starts_with("CANCELUPDATE") && more == " \"x\""
}

#[rustfmt::skip]
const INVALID: &[&str] = &[
    "NOOP x", "CAPABILITY IMAP4rev1", "IDLE x", "LOGOUT now", "CLOSE x", "EXPUNGE 1", "NAMESPACE x", "CHECK x",
    "ID", "ID (\"name\")", "ID (name x)", "ID (\"a\" \"b\" )", "ID nil nil",
    "LOGIN", "LOGIN joe", "LOGIN joe ", "LOGIN joe (x)", "LOGIN \"joe\"x y", "LOGIN \"jo\\e\" x", "LOGIN joe \"x", "LOGIN j\u{e4} x",
    "AUTHENTICATE", "AUTHENTICATE \"PLAIN\"", "AUTHENTICATE PLAIN \"AGoAcA==\"", "AUTHENTICATE PLAIN A=B", "AUTHENTICATE PLAIN ", "AUTHENTICATE PLAIN = =",
    "AUTHENTICATE ABCDEFGHIJKLMNOPQRSTU", "AUTHENTICATE PLAIN {8+}\r\nAGoAcA==",
    "ENABLE", "ENABLE (x)", "SELECT", "SELECT x y", "SELECT (x)", "SELECT x ()", "SELECT x (FOO)", "SELECT x (QRESYNC)", "SELECT x (QRESYNC (0 1))", "SELECT a\tb",
    "SELECT x (QRESYNC (1 2 3 4))", "SELECT *", "SELECT a%", "SELECT ~{1+}\r\nx", "CREATE x (USE)", "RENAME a", "RENAME a b c",
    "LIST \"\"", "LIST * *", "LIST \"\" ()", "LIST (FOO) \"\" *", "LIST \"\" * RETURN", "LIST \"\" * RETURN (FOO)", "LIST \"\" * (CHILDREN)",
    "STATUS x", "STATUS x ()", "STATUS x (FOO)", "STATUS x MESSAGES", "UID EXPUNGE", "UID EXPUNGE 0",
    "SEARCH", "SEARCH ()", "SEARCH (ALL", "SEARCH NOT", "SEARCH OR ALL", "SEARCH FROM", "SEARCH SINCE yesterday", "SEARCH LARGER x", "SEARCH \"x\"", "SEARCH RETURN ALL",
    "SEARCH CHARSET UTF-8", "SEARCH RETURN (FOO) ALL", "SEARCH UID x", "SEARCH 0", "SEARCH ALL  ALL",
    "SORT DATE UTF-8 ALL", "SORT () UTF-8 ALL", "SORT (REVERSE) UTF-8 ALL", "SORT (DATE) UTF-8", "THREAD FOO UTF-8 ALL", "THREAD REFS UTF-8",
    "FETCH 1", "FETCH 0 FLAGS", "FETCH 01 FLAGS", "FETCH 4294967296 FLAGS", "FETCH 1: FLAGS", "FETCH 1,,2 FLAGS", "FETCH 1;2 FLAGS", "FETCH 1 ()", "FETCH 1 (ALL)", "FETCH 1 FOO",
    "FETCH 1 UID BODY.PEEK[]", "FETCH 1 (FLAGS", "FETCH 1 (FLAGS )", "FETCH 1 BODY[", "FETCH 1 BODY[1.]", "FETCH 1 BODY[0]", "FETCH 1 BODY[MIME]", "FETCH 1 BODY[FOO]",
    "FETCH 1 BODY[HEADER.FIELDS]", "FETCH 1 BODY[HEADER.FIELDS ()]", "FETCH 1 BODY[]<0>", "FETCH 1 BODY[]<0.0>", "FETCH 1 BODY.PEEK", "FETCH 1 BINARY[TEXT]", "FETCH 1 BINARY[1.]",
    "FETCH 1 FLAGS (VANISHED)", "FETCH 1 FLAGS (CHANGEDSINCE 0)", "FETCH 1 FLAGS ()", "FETCH 1 FLAGS (FOO)", "FETCH 1 RFC822.PEEK", "FETCH 1 PREVIEW (FOO)", "FETCH 1 UID (PARTIAL 1:-5)",
    "STORE 1 FLAGS", "STORE 1 FOO (x)", "STORE 1 + FLAGS (x)", "STORE 1 FLAGS (\\Recent)", "STORE 1 FLAGS (\\*)", "STORE 1 FLAGS (\\Foo)", "STORE 1 FLAGS (a b", "STORE 1 FLAGS (\"a\")",
    "STORE 1 (FOO 1) FLAGS (a)", "STORE 1 +-FLAGS (a)", "COPY 1", "COPY x 1", "COPY 1 a b", "MOVE 1 (a)",
    "GETQUOTA", "SETQUOTA x", "SETQUOTA x (STORAGE)", "SETACL x y", "SETACL x y RW", "GETACL", "GETMETADATA x", "GETMETADATA x comment", "GETMETADATA x (/a*)", "SETMETADATA x ()",
    "SETMETADATA x (/a)", "SETMETADATA x (/a b)", "COMPRESS", "COMPRESS GZIP", "COMPRESS DEFLATE2", "UNAUTHENTICATE x", "NOTIFY", "NOTIFY SET", "NOTIFY SET (FOO NONE)", "NOTIFY SET (SELECTED)", "NOTIFY NONE x",
    "NOTIFY SET STATUS (selected MessageNew)", "URLFETCH", "GENURLAUTH \"imap://x/y\"", "CANCELUPDATE a1", "APPEND x", "APPEND x hello", "APPEND x \"hello\"",
];

#[test]
fn refuses_what_no_rfc_writes() {
    for text in INVALID {
        let malformed = refused(&line(&format!("a1 {text}")));
        assert_eq!(malformed.tag.as_ref().map(Tag::as_str), Some("a1"), "{text}");
        assert!(malformed.command.is_some_and(|name| text.starts_with(name)), "{text}: {malformed:?}");
    }
}

pub(super) fn valid() -> &'static [&'static str] {
    VALID
}
