"""A working day with IMAP by Python's imaplib: log in, look, file, mark, wait, tidy up, leave."""

import imaplib
import time

from deflate import compress
from session import Transcript, arguments, folder, tls_context

LETTER = b"From: Ada <ada@example.com>\r\nSubject: letter %d\r\n\r\nLetter number %d.\r\n.\r\n"
ARRIVED = '"05-Feb-2024 10:00:00 +0000"'


def connect(args):
    if args.tls == "implicit":
        return imaplib.IMAP4_SSL(args.host, args.port, ssl_context=tls_context(args), timeout=20)
    client = imaplib.IMAP4(args.host, args.port, timeout=20)
    if args.tls == "starttls":
        client.starttls(tls_context(args))
    return client


def log_in(client, args):
    if args.auth == "login":
        return client.login(args.user, args.password)
    if args.auth == "plain":
        return client.authenticate("PLAIN", lambda _: f"\0{args.user}\0{args.password}".encode())
    answers = iter([args.user.encode(), args.password.encode()])
    return client.authenticate("LOGIN", lambda _: next(answers))


def look(client, seen):
    seen.add("list", sorted(client.list()[1]))
    seen.add("status", client.status("INBOX", "(MESSAGES UIDNEXT UNSEEN)"))
    seen.add("select", client.select("INBOX"))
    seen.add("search all", client.search(None, "ALL"))
    seen.add("search subject", client.uid("SEARCH", "SUBJECT", '"plain"'))
    seen.add("search a literal", search_with_literal(client, "Köln".encode()))
    seen.add("envelopes", client.fetch("1:*", "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE)"))
    seen.add("structures", client.fetch("1:*", "(BODYSTRUCTURE)"))
    seen.add("headers", client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT MESSAGE-ID)])"))
    seen.add("one part", client.fetch("7", "(BODY.PEEK[2])"))
    seen.add("a range of octets", client.fetch("8", "(BODY.PEEK[]<1000.1500>)"))
    for number in client.search(None, "ALL")[1][0].split():
        seen.add(f"message {number.decode()}", client.fetch(number, "(BODY[])"))
    seen.add("all at once", client.fetch("1:*", "(UID RFC822)"))


def search_with_literal(client, word):
    client.literal = word
    return client.search("UTF-8", "BODY")


def file_and_mark(client, seen):
    seen.add("create", client.create(folder("Work")))
    seen.add("create a name beyond ASCII", client.create(folder("Entw&APw-rfe")))
    seen.add("create twice", client.create(folder("Work")))
    for number in range(3):
        letter = LETTER % (number, number)
        seen.add("append", client.append(folder("Work"), r"(\Seen)", ARRIVED, letter))
    seen.add("append nowhere", client.append(folder("Nowhere"), None, ARRIVED, LETTER % (9, 9)))
    seen.add("copy", client.copy("1:3", folder("Work")))
    seen.add("store", client.store("2", "+FLAGS", r"(\Flagged \Answered)"))
    seen.add("store silently", client.uid("STORE", "3", "FLAGS.SILENT", r"(\Deleted)"))
    seen.add("expunge", client.expunge())
    seen.add("a command the server refuses", client.copy("1", folder("Nowhere")))
    seen.add("close", client.close())
    seen.add("examine", client.select('"' + folder("Work") + '"', readonly=True))
    seen.add("copies", client.fetch("1:*", "(FLAGS BODY.PEEK[])"))
    seen.add("unselect", client.unselect())


def wait_for_news(client, args, seen):
    """IDLE by hand, for imaplib of Python 3.11 has none, while a second session appends."""
    client.select("INBOX")
    tag = client._new_tag()
    client.send(tag + b" IDLE\r\n")
    seen.add("idle begins", client.readline()[:2])
    other = connect(args)
    log_in(other, args)
    other.append("INBOX", None, ARRIVED, LETTER % (7, 7))
    other.logout()
    news = b""
    limit = time.monotonic() + 20
    while b"EXISTS" not in news and time.monotonic() < limit:
        news = client.readline()
    seen.add("news", news)
    client.send(b"DONE\r\n")
    line = client.readline()
    while not line.startswith(tag):
        line = client.readline()
    seen.add("idle ends", line[len(tag):])


def main():
    parser = arguments(__doc__)
    parser.add_argument("--short", action="store_true", help="log in, fetch once, leave")
    parser.add_argument("--compress", action="store_true", help="use COMPRESS=DEFLATE after login")
    args = parser.parse_args()
    seen = Transcript()
    client = connect(args)
    seen.add("login", log_in(client, args)[0])
    if args.compress:
        seen.add("compress", compress(client)[0])
        seen.add("compress twice", compress(client)[0])
    if args.short:
        seen.add("select", client.select("INBOX"))
        seen.add("fetch", client.fetch("1:*", "(BODY[])"))
    else:
        look(client, seen)
        file_and_mark(client, seen)
        wait_for_news(client, args, seen)
        seen.add("noop", client.noop())
        seen.add("delete folder", client.delete(folder("Work")))
    seen.add("logout", client.logout())
    seen.print()


main()
