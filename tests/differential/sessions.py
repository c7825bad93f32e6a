"""Client sessions, clean and dirty: hand-written classes and their variations.

A session is a name and steps. A step is sent in one write; then what comes is waited for. Tags that start
with `evil` are never meant as commands by the client's first reading of its own octets: they stand where a
literal, a quoted string or a refused line may be taken for the end of a command.
"""
from servers import PASSWORD, USER

LOGIN = f"l LOGIN {USER} {PASSWORD}\r\n".encode()
SELECT = b"s SELECT INBOX\r\n"
SMUGGLED = b"evil1 CREATE pwned\r\n"
END = b"end NOOP\r\n"


class Session:
    def __init__(self, kind, name, steps):
        self.kind, self.name, self.steps = kind, name, steps


def octets(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def selected(kind, name, *steps):
    return Session(kind, name, [LOGIN, SELECT, *map(octets, steps), END])


def literals():
    forms = ["{5}", "{5+}", "~{5}", "~{5+}", "{05}", "{5 }", "{ 5}", "{+5}", "{5-}", "{-5}", "{0x5}", "{5}}", "{{5}",
             "{}", "{+}", "{5+} ", "{5} ", "{5++}", "{4294967301}", "{4294967301+}", "{18446744073709551621}",
             "{18446744073709551621+}", "{2147483653+}", "{5", "5}", "x{5}", "x{5+}", "\"x{5}", "\"x{5+}", "\"x\"{5+}",
             "({5+}", "{5}\r", "{5+}\r", "{5}\0", "\\{5}", "%{5+}", "{\xb2}", "{5+}\x0b"]
    for form in forms:
        yield selected("literal", f"STATUS {form}, asked", f"t1 STATUS {form}\r\n", "INBOX (MESSAGES)\r\n")
        yield selected("literal", f"STATUS {form}, a command inside",
                       f"t1 STATUS {form}\r\n" + "evil1 CREATE pwned\r\nevil2 NOOP\r\n")
    for form in ("{5}", "{5+}", "~{5}", "~{5+}"):
        yield selected("literal", f"LF after {form}", f"t1 STATUS {form}\nINBOX (MESSAGES)\r\n")
        yield selected("literal", f"CR after {form}", f"t1 STATUS {form}\rINBOX (MESSAGES)\r\n")


def refused():
    inside = "evil1 CREATE pwned\r\n"
    size = len(inside)
    for verb in ("SELECT Nowhere", "FROB", "COPY 1", "STORE 1 FLAGS", "SEARCH SUBJECT", "SEARCH CHARSET FOO SUBJECT",
                 "FETCH", "LSUB", "CREATE", "UID FROB", "UID", "LOGIN", "AUTHENTICATE", "GETACL", "ID", "ENABLE",
                 "RENAME INBOX", "SETQUOTA", "X-FROB", "NOOP", "CHECK", "CLOSE", "EXPUNGE", "CAPABILITY", "IDLE",
                 "STARTTLS", "UNSELECT", "LOGOUT", "NAMESPACE", "FETCH 1 FLAGS", "SEARCH ALL", "COMPRESS DEFLATE"):
        for form in (f"{{{size}}}", f"{{{size}+}}"):
            yield selected("surplus", f"{verb} {form}", f"t1 {verb} {form}\r\n", inside, "\r\n")
        yield selected("surplus", f"{verb} {{{size}+}}, at once", f"t1 {verb} {{{size}+}}\r\n{inside}\r\n")


def spaces():
    for gap in ("  ", "\t", " \t", "\xa0", "\0", " \0", "\x0b", "\x1f", "\r"):
        shown = repr(gap)
        for line in (f"t1{gap}NOOP", f"t1 NOOP{gap}", f"{gap}t1 NOOP", f"t1 STATUS{gap}INBOX (MESSAGES)",
                     f"t1 STATUS INBOX{gap}(MESSAGES)", f"t1 STATUS INBOX ({gap}MESSAGES)",
                     f"t1 UID{gap}SEARCH ALL", f"t1 FETCH 1{gap}FLAGS"):
            yield selected("space", f"{shown} in {line!r}", line + "\r\n")
    for end in ("\n", "\r", "\r\r\n", "\n\r", "\n\n", "\r\n\r\n", "\0\r\n", "\x1a\r\n", "\r\0\n"):
        yield selected("line end", repr(end), f"t1 NOOP{end}evil1 CREATE pwned\r\n")
        yield selected("line end", f"{end!r} in quoted", f"t1 STATUS \"IN{end}BOX\" (MESSAGES)\r\n")
        yield selected("line end", f"{end!r} before a command", f"{end}t1 NOOP\r\n")


def quoted():
    for value in ("\"INBOX", "INBOX\"", "\"IN\\BOX\"", "\"\\INBOX\"", "\"IN\\\"BOX\"", "\"INBOX\\\"", "\"INBOX\"x",
                  "\"\"INBOX", "\"\"", "\"INBOX {20}", "\"INBOX {20+}", "\"INBOX\\", "'INBOX'", "\"INBOX\\\\\"",
                  "\"INB\xd6X\"", "\"INB\xc3\x96X\"", "\"IN\x7fBOX\"", "\"\\\r\"", "\"x\" {20+}", "NIL", "\"NIL\"",
                  "(INBOX)", "INBOX)", "[INBOX]", "INBOX[", "IN*BOX", "IN%BOX", "IN\\BOX", "IN{BOX", "IN}BOX", "IN]BOX"):
        yield selected("quoted", f"STATUS {value}", f"t1 STATUS {value} (MESSAGES)\r\nevil1 CREATE pwned\r\n")
        yield selected("quoted", f"STATUS {value} last", f"t1 SELECT {value}\r\nevil1 CREATE pwned\r\n")


def append():
    letter = "Subject: x\r\n\r\nevil1 CREATE pwned\r\nevil2 NOOP\r\n"
    size = len(letter)
    heads = ["INBOX", "\"INBOX\"", "Nowhere", "INBOX (\\Seen)", "INBOX (\\Seen \"x\")", "INBOX (\\Bogus)", "INBOX (\\Seen",
             "INBOX \\Seen", "INBOX \"05-Feb-2024 10:00:00 +0000\"", "INBOX \"99-Foo-2024 10:00:00 +0000\"",
             "INBOX \"nonsense\"", "INBOX ( )", "INBOX ()", "INBOX (\\Seen\t)", "INBOX NIL", "\"IN", "INBOX  ", "",
             "INBOX (\\Seen) (\\Seen)", "INBOX \"05-Feb-2024 10:00:00 +0000\" (\\Seen)", "INBOX UTF8 (",
             "INBOX CATENATE (TEXT", "INBOX CATENATE (URL \"/x\" TEXT", "INBOX CATENATE ((TEXT", "INBOX ~"]
    for head in heads:
        for form in (f"{{{size}}}", f"{{{size}+}}", f"~{{{size}}}"):
            close = ")" if "CATENATE" in head or "UTF8" in head else ""
            yield selected("append", f"APPEND {head} {form}", f"t1 APPEND {head} {form}\r\n", f"{letter}{close}\r\n")
    for tail in (" \r\n", " {5+}\r\nhello\r\n", " (\\Seen) {5}\r\n", " x\r\n", "evil3 NOOP\r\n", ")\r\n", " \"x\"\r\n", "\n", "\r\r\n"):
        yield selected("append", f"behind the message {tail!r}", f"t1 APPEND INBOX {{{size}+}}\r\n{letter}{tail}")
    for form in ("{0}", "{0+}", "~{0}"):
        yield selected("append", f"empty {form}", f"t1 APPEND INBOX {form}\r\n", "\r\n")
    yield selected("append", "NUL in the message", "t1 APPEND INBOX {5}\r\n", "a\0b\r\n\r\n")
    yield selected("append", "NUL in literal8", "t1 APPEND INBOX ~{5}\r\n", "a\0b\r\n\r\n")


def waiting():
    for line in ("DONE", "done", "DoNe", "DONE ", " DONE", "DONEX", "x DONE", "evil1 CREATE pwned", "evil1 NOOP",
                 "DONE {5}", "DONE {20+}", "", "{5+}", "\"DONE\"", "DONE\t", "DONE\0", "D\0ONE"):
        for end in ("\r\n", "\n"):
            yield selected("idle", f"{line!r} {end!r}", "t1 IDLE\r\n", line + end, "DONE\r\n")
    yield selected("idle", "all at once", "t1 IDLE\r\nDONE\r\nt2 NOOP\r\n")
    yield selected("idle", "a command behind IDLE", "t1 IDLE\r\nevil1 CREATE pwned\r\nDONE\r\n")
    yield selected("idle", "IDLE with a space", "t1 IDLE \r\n", "DONE\r\n")
    yield selected("idle", "DONE without IDLE", "DONE\r\n")
    yield selected("idle", "DONE in two", "t1 IDLE\r\n", "DO", "NE\r\nt2 NOOP\r\n")


def exchanges():
    good = "AGFkYQBjb3JyZWN0LWhvcnNlLTE4MTU="
    for line in (good, "*", "* ", " *", "", "=", "!!!!", f"{good} x", f" {good}", f"{good}=", good[:-1], "evil1 NOOP",
                 "evil1 LOGIN ada x", "{5}", "{5+}", f"\"{good}\"", f"{good}\t", f"{good}\0", "AGFkYQB4"):
        for end in ("\r\n", "\n"):
            yield Session("authenticate", f"{line!r} {end!r}",
                          [b"t1 AUTHENTICATE PLAIN\r\n", octets(line + end), b"t2 NOOP\r\n", SELECT, END])
    for rest in (good, "=", "", " ", "x x", "{5}", "{33+}", f"{good} x", f"\"{good}\"", f" {good}"):
        yield Session("authenticate", f"initial {rest!r}",
                      [octets(f"t1 AUTHENTICATE PLAIN {rest}\r\n"), b"*\r\n", b"t2 NOOP\r\n", SELECT, END])
    for mechanism in ("FROB", "plain", "\"PLAIN\"", "PLAIN ", "", "LOGIN", "{5+}\r\nPLAIN"):
        yield Session("authenticate", f"mechanism {mechanism!r}",
                      [octets(f"t1 AUTHENTICATE {mechanism}\r\n"), octets(good + "\r\n"), b"*\r\n", b"t2 NOOP\r\n", END])
    yield Session("authenticate", "all at once",
                  [octets(f"t1 AUTHENTICATE PLAIN\r\n{good}\r\nt2 NOOP\r\n"), SELECT, END])
    for name, steps in {
        "literals": ["t1 LOGIN {3}\r\n", "ada {18}\r\n", f"{PASSWORD}\r\n"],
        "literals at once": [f"t1 LOGIN {{3+}}\r\nada {{18+}}\r\n{PASSWORD}\r\n"],
        "literals unasked": [f"t1 LOGIN {{3}}\r\nada {{18}}\r\n{PASSWORD}\r\nevil1 NOOP\r\n"],
        "a surplus argument": [f"t1 LOGIN ada {PASSWORD} x\r\n"],
        "a surplus literal": [f"t1 LOGIN ada {PASSWORD} {{12+}}\r\nevil1 NOOP\r\n\r\n"],
        "escapes": ["t1 LOGIN \"a\\da\" \"correct-horse-1815\"\r\n"],
        "a trailing space": [f"t1 LOGIN ada {PASSWORD} \r\n"],
        "two spaces": [f"t1 LOGIN  ada  {PASSWORD}\r\n"],
        "LF": [f"t1 LOGIN ada {PASSWORD}\nevil1 CREATE pwned\r\n"],
        "quoted user": [f"t1 LOGIN \"ada\" \"{PASSWORD}\"\r\n"],
        "user in capitals": [f"t1 LOGIN ADA {PASSWORD}\r\n"],
        "command before login": ["t1 SELECT INBOX\r\n", "t2 CREATE {19+}\r\nevil1 CREATE pwned\r\n"],
        "all at once": [f"t1 LOGIN ada {PASSWORD}\r\nt2 SELECT INBOX\r\nt3 FETCH 1 FLAGS\r\nt4 NOOP\r\n"],
        "wrong, then right, at once": [f"t1 LOGIN ada x\r\nt2 LOGIN ada {PASSWORD}\r\nt3 NOOP\r\n"],
        "twice": [f"t1 LOGIN ada {PASSWORD}\r\n", f"t2 LOGIN ada {PASSWORD}\r\n", "t3 AUTHENTICATE PLAIN\r\n", "*\r\n"],
    }.items():
        yield Session("login", name, [*map(octets, steps), b"t8 NOOP\r\n", SELECT, END])


def commands():
    for line in ("UID UID FETCH 1 FLAGS", "UID  FETCH 1 FLAGS", "UID", "UID NOOP", "uid fetch 1 flags", "Uid Fetch 1 (Flags)",
                 "UID EXPUNGE 1", "UID STORE 1 FLAGS ()", "FETCH 1 UID FETCH", "noop", "NoOp", "FETCH 1 (FLAGS", "FETCH 1 FLAGS)",
                 "FETCH 1 BODY[", "FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "FETCH 1 BODY.PEEK[HEADER.FIELDS (\"SUBJECT\")]",
                 "FETCH 1 BODY.PEEK[HEADER.FIELDS ({7+}\r\nSUBJECT)]", "FETCH 1 BODY.PEEK[]<0.5>", "FETCH 1 BODY.PEEK[]<0.0>",
                 "FETCH 1 BODY.PEEK[1.MIME]", "FETCH * FLAGS", "FETCH 1:* FLAGS", "FETCH *:1 FLAGS", "FETCH 0 FLAGS",
                 "FETCH 99999999999 FLAGS", "FETCH 1,,2 FLAGS", "FETCH 1, FLAGS", "FETCH $ FLAGS", "FETCH -1 FLAGS", "FETCH 01 FLAGS",
                 "FETCH 1 ALL", "FETCH 1 (ALL)", "FETCH 1 (FLAGS FLAGS)", "FETCH 1 ()", "FETCH 1 RFC822.PEEK", "FETCH 1 ENVELOPE",
                 "STORE 1 +FLAGS (\\Seen)", "STORE 1 +FLAGS \\Seen", "STORE 1 +FLAGS \\Seen \\Answered", "STORE 1 FLAGS (\\*)",
                 "STORE 1 +flags.silent (\\Seen)", "SEARCH", "SEARCH ALL", "SEARCH NOT", "SEARCH ((ALL))", "SEARCH OR ALL",
                 "SEARCH SUBJECT x", "SEARCH SUBJECT \"x\" {1+}\r\nx", "SEARCH CHARSET UTF-8 SUBJECT {2+}\r\nx\xff", "SEARCH RETURN () ALL",
                 "LIST \"\" *", "LIST \"\" \"*\"", "LIST \"\" {1+}\r\n*", "LIST \"\" (\"*\" \"%\")", "LIST * *", "LIST \"\"", "LIST",
                 "LSUB \"\" %", "ENABLE CONDSTORE", "ENABLE", "ENABLE FROB", "ID NIL", "ID (\"a\" \"b\")", "ID (\"a\")", "ID",
                 "ID (\"name\" {4+}\r\ntest)", "NAMESPACE", "GETQUOTAROOT INBOX", "FROB", "FROB x", "X", "IDLE x", "EXAMINE INBOX",
                 "COPY 1 INBOX", "COPY 1 Nowhere", "MOVE 1 Nowhere", "SUBSCRIBE INBOX", "CREATE \"\"", "DELETE INBOX", "RENAME x y",
                 "STATUS INBOX ()", "STATUS INBOX MESSAGES", "STATUS INBOX (MESSAGES FROB)", "CHECK", "CLOSE", "UNSELECT",
                 "CAPABILITY x", "LOGOUT x", "LOGOUT", "UNAUTHENTICATE", "COMPRESS DEFLATE", "STARTTLS", "NOTIFY NONE", "PROXY x"):
        yield selected("command", line, f"t1 {line}\r\n")
    for tag in ("+", "*", "\"t\"", "{3+}\r\nabc", "", "t+", "+t", "]", "t{", "\xf6", "t)", "(t", "t%", "t*", "t\\", "a" * 200,
                "OK", "~{3+}\r\nabc", "{3}", "t1 t2", "\xef\xbb\xbft1", "t]"):
        yield selected("tag", f"{tag[:20]!r}", f"{tag} NOOP\r\n", SMUGGLED)
    yield selected("pipelining", "five at once", "t1 NOOP\r\nt2 FETCH 1 FLAGS\r\nt3 STATUS Nowhere (MESSAGES)\r\nt4 FROB\r\nt5 NOOP\r\n")
    yield selected("pipelining", "the same tag twice", "t1 NOOP\r\nt1 NOOP\r\n")
    yield selected("pipelining", "behind LOGOUT", "t1 LOGOUT\r\nevil1 CREATE pwned\r\n")
    yield selected("pipelining", "behind SELECT", "t1 SELECT Nowhere\r\nt2 FETCH 1 FLAGS\r\nt3 SELECT INBOX\r\nt4 FETCH 1 FLAGS\r\n")
    yield selected("pipelining", "a long line", "t1 SELECT \"" + "x" * 70000 + "\"\r\n", SMUGGLED)
    yield selected("pipelining", "many literals", "t1 SEARCH" + "".join(" SUBJECT {1+}\r\nx" for _ in range(70)) + "\r\n")
    yield selected("pipelining", "an unfinished line", "t1 NOOP\r\nevil1 CREATE pwned")


def spellings():
    """Ways to write the mailbox that the policy forbids; a message in it betrays the one that worked."""
    for name in ("Secret", "\"Secret\"", "{6}", "{6+}\r\nSecret", "\"S\\ecret\"", "\"\\Secret\"", "secret", "SECRET", "Secret/",
                 "Secret.", "/Secret", ".Secret", "./Secret", "INBOX/Secret", "INBOX.Secret", "inbox.Secret", "Inbox/Secret",
                 "iNbOx.Secret", "INBOX.Secret.", "\"INBOX.Secret\"", "&AFM-ecret", "&AFMAZQBjAHIAZQB0-", "Secre&AHQ-", "&AFM-&AGU-cret",
                 "Secret&-", "\"Secret \"", "\" Secret\"", "Secret\t", "Secret\0", "\"Sec\0ret\"", "Secret//", "INBOX//Secret",
                 "INBOX..Secret", "user.ada.Secret", "user/ada/Secret", "\"Other Users/ada/Secret\"", "~/Secret", "~ada/Secret",
                 "../Secret", "Secret/../Secret", "#Secret", "\"\\\"Secret\\\"\"", "\xd3ecret", "Secret%", "Secret*", "S\xcc\xadecret",
                 "\"Secret\"x", "Secret\"", "\xef\xbc\xb3ecret", "INBOX.INBOX.Secret", "INBOX/INBOX/Secret", "x/../Secret",
                 "Secret@localhost", "user/ada@localhost/Secret", "user/ada/INBOX/Secret", "\"Secret\\", "*Secret", "~{6+}\r\nSecret"):
        steps = [f"t1 SELECT {name}\r\n", "t2 FETCH 1 BODY.PEEK[]\r\n"]
        if name == "{6}":
            steps.insert(1, "Secret\r\n")
        yield Session("spelling", f"SELECT {name}", [LOGIN, *map(octets, steps), END])
    for line in ("EXAMINE Secret", "SELECT Secret (CONDSTORE)", "SELECT INBOX\r\nt2 SELECT Secret", "SELECT  Secret", "SELECT\tSecret",
                 "NOOP\nt2 SELECT Secret", "NOOP {19+}\r\nt2 SELECT Secret\r\n", "SELECT \"x\nt2 SELECT Secret\r\n\"",
                 "GENURLAUTH imap://ada@localhost/Secret", "FETCH 1 BODY[]\r\nt2 EXAMINE Secret"):
        yield Session("spelling", line, [LOGIN, octets(f"t1 {line}\r\n"), b"t3 FETCH 1 BODY.PEEK[]\r\n", END])


def imap():
    for group in (literals, refused, spaces, quoted, append, waiting, exchanges, commands, spellings):
        yield from group()


def logged_in(kind, name, *steps):
    return Session(kind, name, [f"USER {USER}\r\n".encode(), f"PASS {PASSWORD}\r\n".encode(), *map(octets, steps), b"NOOP\r\n"])


def pop3():
    for line in ("LIST ", "LIST  1", "LIST 1 ", "LIST\t1", "LIST\t", " LIST", "LIST 1 2", "LIST x", "LIST 0", "LIST -1", "LIST +1",
                 "LIST 01", "LIST 99999999999", "LIST 4294967297", "LIST 1\0", "LI\0ST", "LIST\0", "\0LIST", "LIST\r", "LI\rST",
                 "list", "LiSt", "LISTX", "LIST.", "RETR", "RETR ", "RETR 1", "RETR  1", "RETR 1 x", "RETR\t1", "RETR 01", "RETR 1\0",
                 "RETR 9", "retr 1", "TOP 1", "TOP 1 0", "TOP  1 0", "TOP 1  0", "TOP 1 0 ", "TOP 1 -1", "TOP 1 x", "TOP 1\t0",
                 "TOP 99 0", "top 1 0", "UIDL", "UIDL ", "UIDL  1", "UIDL 1", "UIDL x", "UIDL\t1", "uidl 1 ", "STAT", "STAT ", "STAT x",
                 "DELE 1", "DELE", "DELE x", "DELE 1 2", "DELE  2", "RSET", "RSET x", "NOOP x", "NOOP ", "CAPA", "CAPA ", "CAPA x", "capa",
                 "QUIT x", "QUIT ", "quit", "FROB", "FROB x", "LAST", "XTND XMIT", "AUTH", "AUTH PLAIN", "USER ada", "PASS x", "APOP x y",
                 "STLS", "UTF8", "LANG", "LANG *", "", " ", ".", "\xd6", "RETR\xa01", "HELP", "LIST 1\x0b", "LIST\x0c1", "\x1aLIST"):
        for end in ("\r\n", "\n"):
            yield logged_in("pop3", f"{line!r} {end!r}", line + end)
    for end in ("\r", "\r\r\n", "\n\r", "\0\n", "\r\0\n"):
        yield logged_in("pop3", f"line end {end!r}", f"STAT{end}DELE 1\r\n")
        yield logged_in("pop3", f"line end {end!r} behind an argument", f"LIST 1{end}DELE 1\r\n")
    many = "STAT\r\nLIST\r\nRETR 1\r\nLIST 9\r\nUIDL\r\nTOP 1 0\r\nFROB\r\nDELE 1\r\nRSET\r\n"
    yield logged_in("pop3", "nine at once", many)
    yield logged_in("pop3", "behind QUIT", "QUIT\r\nDELE 1\r\n")
    yield logged_in("pop3", "a long line", "LIST " + "1" * 5000 + "\r\n")
    good = "AGFkYQBjb3JyZWN0LWhvcnNlLTE4MTU="
    for name, steps in {
        "across PASS": [f"USER ada\r\nPASS {PASSWORD}\r\nSTAT\r\nLIST\r\n"],
        "across a wrong PASS": ["USER ada\r\nPASS x\r\nSTAT\r\nLIST\r\n"],
        "PASS with a trailing space": ["USER ada\r\n", f"PASS {PASSWORD} \r\n", "STAT\r\n"],
        "PASS with two spaces": ["USER ada\r\n", f"PASS  {PASSWORD}\r\n", "STAT\r\n"],
        "PASS with a TAB": ["USER ada\r\n", f"PASS\t{PASSWORD}\r\n", "STAT\r\n"],
        "USER with two words": ["USER ada x\r\n", f"PASS {PASSWORD}\r\n", "STAT\r\n"],
        "USER with two spaces": ["USER  ada\r\n", f"PASS {PASSWORD}\r\n", "STAT\r\n"],
        "USER with a space behind": ["USER ada \r\n", f"PASS {PASSWORD}\r\n", "STAT\r\n"],
        "USER with NUL": ["USER ada\0\r\n", f"PASS {PASSWORD}\r\n", "STAT\r\n"],
        "user in lower case": ["user ada\r\n", f"pass {PASSWORD}\r\n", "stat\r\n"],
        "PASS first": [f"PASS {PASSWORD}\r\n", "STAT\r\n"],
        "USER twice": ["USER x\r\n", "USER ada\r\n", f"PASS {PASSWORD}\r\n", "STAT\r\n"],
        "a command between": ["USER ada\r\n", "NOOP\r\n", f"PASS {PASSWORD}\r\n", "STAT\r\n"],
        "commands before login": ["STAT\r\n", "LIST\r\n", "CAPA\r\n", "RETR 1\r\n", "DELE 1\r\n", "FROB\r\n"],
        "LF line ends": [f"USER ada\nPASS {PASSWORD}\nDELE 1\n"],
        "AUTH": ["AUTH PLAIN\r\n", f"{good}\r\n", "STAT\r\n"],
        "AUTH given up": ["AUTH PLAIN\r\n", "*\r\n", "NOOP\r\n"],
        "AUTH, a command inside": ["AUTH PLAIN\r\n", "STAT\r\n", "CAPA\r\n"],
        "AUTH at once": [f"AUTH PLAIN\r\n{good}\r\nSTAT\r\n"],
        "AUTH initial": [f"AUTH PLAIN {good}\r\n", "STAT\r\n"],
        "AUTH initial with a space behind": [f"AUTH PLAIN {good} \r\n", "*\r\n", "STAT\r\n"],
        "AUTH empty initial": ["AUTH PLAIN =\r\n", f"{good}\r\n", "STAT\r\n"],
        "AUTH unknown": ["AUTH FROB\r\n", "STAT\r\n", f"{good}\r\n"],
        "AUTH in lower case": ["auth plain\r\n", f"{good}\r\n", "STAT\r\n"],
        "AUTH LF": [f"AUTH PLAIN\n{good}\nSTAT\n"],
        "AUTH alone": ["AUTH\r\n", "CAPA\r\n"],
        "AUTH, empty response": ["AUTH PLAIN\r\n", "\r\n", "CAPA\r\n"],
        "AUTH, response with a space": ["AUTH PLAIN\r\n", f"{good} x\r\n", "CAPA\r\n"],
    }.items():
        yield Session("pop3", name, [*map(octets, steps), b"CAPA\r\n"])
