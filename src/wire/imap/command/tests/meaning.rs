//! What a command is for, what it can do, and what it names.

use super::*;

#[test]
fn arguments_decide_operation_and_effect() {
    use Operation::{Delete, Download, Flag, Headers, Part};
    for (text, operation, effect) in [
        ("FETCH 1 (UID FLAGS ENVELOPE BODYSTRUCTURE)", Headers, Effect::Read),
        ("FETCH 1 BODY.PEEK[HEADER]", Headers, Effect::Read),
        ("FETCH 1 BODY[1.MIME]", Headers, Effect::Read),
        ("FETCH 1 BINARY.SIZE[]", Headers, Effect::Read),
        ("FETCH 1 FULL", Headers, Effect::Read),
        ("FETCH 1 BODY[]<0.10>", Part, Effect::Read),
        ("FETCH 1 (FLAGS BODY[1])", Part, Effect::Read),
        ("FETCH 1 BODY.PEEK[TEXT]", Part, Effect::Read),
        ("FETCH 1 PREVIEW", Part, Effect::Read),
        ("UID FETCH 1 (BODY[1] BODY[])", Download, Effect::Read),
        ("FETCH 1 RFC822", Download, Effect::Read),
        ("FETCH 1 BINARY.PEEK[]", Download, Effect::Read),
        ("STORE 1 +FLAGS (\\Seen)", Flag, Effect::Flag),
        ("STORE 1 -FLAGS (\\Deleted)", Flag, Effect::Flag),
        ("STORE 1 +FLAGS.SILENT (\\Seen \\deleted)", Delete, Effect::Destroy),
        ("UID STORE 1 FLAGS \\Deleted", Delete, Effect::Destroy),
        ("STORE 1 +X-GM-LABELS (\\Trash)", Delete, Effect::Destroy),
        ("STORE 1 +X-GM-LABELS (x)", Flag, Effect::File),
        ("CLOSE", Delete, Effect::Destroy),
        ("UNSELECT", Operation::Select, Effect::Session),
        ("MOVE 1 x", Operation::Move, Effect::Destroy),
        ("COPY 1 x", Operation::Copy, Effect::File),
        ("DELETE x", Operation::Folder, Effect::Destroy),
        ("SETACL x y r", Operation::Acl, Effect::Share),
        ("SETQUOTA \"\" ()", Operation::Quota, Effect::Admin),
        ("GETMETADATA \"\" /shared/x", Operation::Metadata, Effect::Read),
    ] {
        let command = accepted(&format!("a {text}"));
        assert_eq!((command.operation, command.effect), (operation, effect), "{text}");
    }
}

#[test]
fn fetching_content_without_peek_sets_seen() {
    for (item, expected) in [
        ("BODY[HEADER]", true),
        ("BODY[]", true),
        ("BINARY[1]", true),
        ("RFC822", true),
        ("RFC822.TEXT", true),
        ("(FLAGS BODY[1])", true),
        ("RFC822.HEADER", false),
        ("BODY", false),
        ("(BODY.PEEK[] BINARY.PEEK[1] BINARY.SIZE[1])", false),
    ] {
        let Details::Fetch { sets_seen, .. } = accepted(&format!("a FETCH 1 {item}")).details else {
            panic!("{item}");
        };
        assert_eq!(sets_seen, expected, "{item}");
    }
}

#[test]
fn mailboxes_are_the_same_in_every_spelling() {
    for text in ["inBOX", "\"INBOX\"", "{5+}\r\nInbox", "{5}\r\niNBOX"] {
        assert_eq!(accepted(&format!("a SELECT {text}")).mailboxes, ["INBOX"]);
    }
    for (text, mailboxes) in [
        ("RENAME a \"b \\\"c\\\"\"", &["a", "b \"c\""][..]),
        ("COPY 1 Entw&APw-rfe", &["Entwürfe"]),
        ("COPY 1 \"Entwürfe\"", &["Entwürfe"]),
        ("LIST \"\" INBOX", &["INBOX"]),
        ("LIST a/ b", &["a/b"]),
        ("LIST \"\" (a b* \"c\")", &["a", "c"]),
        ("LIST \"\" *", &[]),
        ("LIST \"\" \"\"", &[]),
        ("GETMETADATA \"\" /shared/x", &[]),
        ("NOTIFY SET (mailboxes (a b) NONE)", &["a", "b"]),
        ("ESEARCH IN (subtree a) ALL", &["a"]),
        ("SELECT foo]", &["foo]"]),
    ] {
        assert_eq!(accepted(&format!("a {text}")).mailboxes, mailboxes, "{text}");
    }
    assert_eq!(parse_with(b"a SELECT \"Q&A\"\r\n", Names::Utf8).expect("UTF-8 is enabled").mailboxes, ["Q&A"]);
}

#[test]
fn the_password_is_the_only_secret_of_a_login() {
    for (text, user, password) in [
        ("joe x", "joe", "x"),
        ("\"jo\\\"e\" \"p\\\\w\"", "jo\"e", "p\\\\w"),
        ("\"x{5}\" y", "x{5}", "y"),
        ("{3+}\r\njoe {12+}\r\npw\r\nb NOOP\r\n", "joe", "pw\r\nb NOOP\r\n"),
    ] {
        let input = line(&format!("a LOGIN {text}"));
        let command = parse(&input).expect("valid");
        assert_eq!(command.details, Details::Login { user: user.to_owned() });
        let secrets: Vec<&[u8]> = command.secrets.iter().map(|span| &input[span.clone()]).collect();
        assert_eq!(secrets, [password.as_bytes()]);
        assert!(!format!("{command:?}").contains("NOOP"));
    }
}

#[test]
fn the_initial_response_is_a_secret() {
    let input = b"a authenticate plain AGoAcA==\r\n";
    let command = parse(input).expect("valid");
    let [secret] = &command.secrets[..] else { panic!("one secret") };
    assert_eq!(&input[secret.clone()], b"AGoAcA==");
    assert_eq!(
        command.details,
        Details::Authenticate { mechanism: "PLAIN".to_owned(), initial_response: Some(secret.clone()) }
    );
    let empty = accepted("a AUTHENTICATE OAUTHBEARER =");
    assert!(matches!(empty.details, Details::Authenticate { initial_response: Some(span), .. } if span.len() == 1));
}

#[test]
fn the_values_of_private_id_keys_are_kept_from_sight() {
    let input = line("a ID (\"name\" \"x\" \"X-originating-ip\" \"1.2.3.4\" \"os\" NIL)");
    let command = parse(&input).expect("valid");
    let field = |key: &str, value: Option<&str>| IdField { key: key.into(), value: value.map(Into::into) };
    let fields = vec![field("name", Some("x")), field("X-originating-ip", None), field("os", None)];
    assert_eq!(fields.iter().map(IdField::is_private).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(command.details, Details::Id { fields: Some(fields) });
    assert_eq!(&input[command.secrets[0].clone()], b"1.2.3.4");
    assert_eq!(accepted("a ID NIL").details, Details::Id { fields: None });
    refused(&line(&format!("a ID ({})", ["\"k\" \"v\""; 31].join(" "))));
    refused(&line(&format!("a ID (\"k\" \"{}\")", "v".repeat(1025))));
}

#[test]
fn other_details_are_kept() {
    assert_eq!(
        accepted("a ENABLE CONDSTORE x").details,
        Details::Enable { capabilities: vec!["CONDSTORE".to_owned(), "x".to_owned()] }
    );
    assert_eq!(accepted("a EXAMINE x").details, Details::Select { read_only: true });
    assert_eq!(accepted("a SEARCH RETURN (SAVE) ALL").details, Details::Search { saves: true });
    assert_eq!(
        accepted("a LIST in (box \"box*\")").details,
        Details::List { patterns: vec!["INBOX".to_owned(), "inbox*".to_owned()] }
    );
}

#[test]
fn extensions_used_by_arguments_are_noted() {
    for (text, needs) in [
        ("a NOOP", &[][..]),
        ("a MOVE 1 x", &[&["MOVE", "IMAP4rev2"][..]][..]),
        ("a UID MOVE $ x", &[&["MOVE", "IMAP4rev2"], &["SEARCHRES", "IMAP4rev2"]]),
        ("a SELECT x (QRESYNC (1 2))", &[&["QRESYNC"]]),
        ("a UID FETCH 1 (X-GM-LABELS) (CHANGEDSINCE 1)", &[&["X-GM-EXT-1"], &["CONDSTORE", "QRESYNC"]]),
        ("a COMPRESS DEFLATE", &[&["COMPRESS=DEFLATE"]]),
        ("a URLFETCH \"imap://x/y\"", &[&["URLAUTH"]]),
    ] {
        assert_eq!(accepted(text).needs, needs, "{text}");
    }
}

#[test]
fn literals_are_listed_with_their_form() {
    let input = line("a LOGIN {3+}\r\njoe {4}\r\npass");
    let literals = parse(&input).expect("valid").literals;
    let spans: Vec<_> = literals
        .iter()
        .map(|literal| (&input[literal.announcement.clone()], &input[literal.octets.clone()], literal.sync))
        .collect();
    assert_eq!(spans, [(&b"{3+}\r\n"[..], &b"joe"[..], false), (b"{4}\r\n", b"pass", true)]);
}

#[test]
fn a_message_is_announced_with_all_that_stands_before_it() {
    let head = head("t APPEND {5+}\r\ninbox (\\Seen $x) \"17-Jul-1996 02:44:25 -0700\" {310}");
    assert_eq!(
        (head.command.name, head.command.operation, head.command.effect),
        ("APPEND", Operation::Append, Effect::File)
    );
    assert_eq!(head.command.mailboxes, ["INBOX"]);
    assert_eq!(head.command.literals.len(), 1);
    assert_eq!(head.message.flags, ["\\Seen", "$x"]);
    assert_eq!(head.message.enclosure, Enclosure::None);
    let Announced { size, literal8, sync, .. } = head.message.announced;
    assert_eq!((size, literal8, sync), (310, false, true));
}

#[test]
fn a_message_may_be_enclosed() {
    for (text, enclosure, needs) in [
        ("t APPEND x ~{3+}", Enclosure::None, Some("BINARY")),
        ("t APPEND x UTF8 (~{3+}", Enclosure::Utf8, Some("UTF8=ACCEPT")),
        ("t APPEND x CATENATE (URL \"/o;UID=1\" TEXT {3+}", Enclosure::Catenate, Some("CATENATE")),
        ("t REPLACE 4 x (\\Seen) {3}", Enclosure::None, Some("REPLACE")),
        ("t UID REPLACE 4 x {0}", Enclosure::None, Some("REPLACE")),
        ("t APPEND x {3}", Enclosure::None, None),
    ] {
        let head = head(text);
        assert_eq!(head.message.enclosure, enclosure, "{text}");
        assert_eq!(head.command.needs.first().and_then(|group| group.first()).copied(), needs, "{text}");
    }
    let catenate = head("t APPEND x CATENATE (URL \"/o;UID=1\" TEXT {3+}").command;
    assert_eq!(catenate.mailboxes, ["x", "o"]);
    assert!(matches!(parse(b"t APPEND x CATENATE (URL {8}\r\n"), Err(Stop::Literal)));
    assert_eq!(accepted("t APPEND x CATENATE (URL \"/o;UID=1\")").mailboxes, ["x", "o"]);
}

#[test]
fn a_message_is_followed_by_the_end_or_by_one_more() {
    let next = |input: &[u8], enclosure| parse_append_more(input, enclosure);
    let end = || AppendMore::End(Between::default());
    assert_eq!(next(b"\r\n", Enclosure::None).expect("end"), end());
    assert_eq!(next(b")\r\n", Enclosure::Utf8).expect("end"), end());
    assert_eq!(next(b")\r\n", Enclosure::Catenate).expect("end"), end());
    for (input, enclosure, expected) in [
        (&b" (\\Seen) {3+}\r\n"[..], Enclosure::None, &[&["MULTIAPPEND"][..]][..]),
        (b") \" 7-Jul-1996 02:44:25 -0700\" ~{3+}\r\n", Enclosure::Utf8, &[&["MULTIAPPEND"], &["BINARY"]]),
        (b" URL \"/o;UID=1\" TEXT {3+}\r\n", Enclosure::Catenate, &[]),
    ] {
        let AppendMore::Message(message, Between { needs, .. }) = next(input, enclosure).expect("one more") else {
            panic!("{input:?}")
        };
        assert_eq!((message.announced.size, message.announced.sync), (3, false));
        assert_eq!(needs, expected);
    }
    for (input, enclosure) in [
        (&b"\r\n"[..], Enclosure::Utf8),
        (b")\r\n", Enclosure::None),
        (b"x\r\n", Enclosure::None),
        (b" \r\n", Enclosure::None),
        (b" (\\Bogus) {3+}\r\n", Enclosure::None),
        (b"{3+}\r\n", Enclosure::None),
        (b"\n", Enclosure::None),
    ] {
        assert!(matches!(next(input, enclosure), Err(Stop::Syntax(_))), "{input:?}");
    }
}
