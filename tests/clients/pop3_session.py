"""Emptying a maildrop with POP3 by Python's poplib, in two sessions, for QUIT is what deletes."""

import base64
import poplib

from session import Transcript, arguments, tls_context

# One of the messages has a line longer than poplib takes by itself.
poplib._MAXLINE = 100_000


def connect(args):
    if args.tls == "implicit":
        return poplib.POP3_SSL(args.host, args.port, context=tls_context(args), timeout=20)
    client = poplib.POP3(args.host, args.port, timeout=20)
    if args.tls == "starttls":
        client.stls(tls_context(args))
    return client


def log_in(client, args):
    if args.auth == "login":
        client.user(args.user)
        return client.pass_(args.password)
    if args.auth == "apop":
        return client.apop(args.user, args.password)
    response = base64.b64encode(f"\0{args.user}\0{args.password}".encode()).decode()
    if args.auth == "plain-ir":
        return client._shortcmd(f"AUTH PLAIN {response}")
    client._shortcmd("AUTH PLAIN")
    return client._shortcmd(response)


def refused(action):
    try:
        return action()
    except poplib.error_proto as error:
        return ["refused", str(error)[:7]]


def look(client, seen):
    capabilities = client.capa()
    seen.add("capabilities both must have", [name in capabilities for name in ("TOP", "UIDL")])
    seen.add("stat", client.stat())
    seen.add("list", client.list())
    seen.add("list one", client.list(2))
    seen.add("uidl", client.uidl())
    seen.add("uidl one", client.uidl(1))
    for number in range(1, client.stat()[0] + 1):
        answer, lines, octets = client.retr(number)
        seen.add(f"message {number}", [answer, octets, b"\r\n".join(lines)])
    seen.add("top", client.top(2, 3))
    seen.add("header only", client.top(2, 0))
    seen.add("no such message", refused(lambda: client.retr(999)))
    seen.add("noop", client.noop())


def main():
    parser = arguments(__doc__)
    parser.add_argument("--short", action="store_true", help="log in, retrieve once, leave")
    args = parser.parse_args()
    seen = Transcript()
    client = connect(args)
    seen.add("log in", log_in(client, args)[:3])
    if args.short:
        seen.add("message 1", client.retr(1))
        seen.add("quit", client.quit())
        seen.print()
        return
    look(client, seen)
    seen.add("dele", client.dele(1))
    seen.add("dele twice", refused(lambda: client.dele(1)))
    seen.add("rset", client.rset())
    seen.add("dele after rset", [client.dele(1), client.dele(3)])
    seen.add("quit", client.quit())
    client = connect(args)
    log_in(client, args)
    seen.add("what is left", client.uidl())
    seen.add("quit again", client.quit())
    seen.print()


main()
