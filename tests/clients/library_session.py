"""IMAPClient, imap_tools and aioimaplib: each logs in, looks, files, waits and tidies up."""

import asyncio

from session import Transcript, arguments, folder, tls_context

LETTER = b"From: Ada <ada@example.com>\r\nSubject: letter\r\n\r\nA letter.\r\n.\r\n"


def imapclient(args, seen):
    import imapclient

    context = tls_context(args)
    client = imapclient.IMAPClient(args.host, args.port, ssl=args.tls == "implicit", ssl_context=context, timeout=20)
    if args.tls == "starttls":
        client.starttls(context)
    client.login(args.user, args.password)
    seen.add("id", repr(client.id_({"name": "test"})))
    seen.add("select", sorted((str(key), str(value)) for key, value in client.select_folder("INBOX").items()
                              if key not in (b"UIDVALIDITY", b"HIGHESTMODSEQ", b"MAILBOXID")))
    seen.add("search", list(client.search(["NOT", "DELETED"])))
    seen.add("search text", list(client.search(["SUBJECT", "plain"])))
    messages = client.search()
    drafts = folder("Entwürfe & mehr")
    for uid, data in sorted(client.fetch(messages, ["FLAGS", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"]).items()):
        seen.add(f"message {uid}", [data[b"BODY[]"], str(data[b"RFC822.SIZE"]), repr(data[b"ENVELOPE"]), repr(data[b"BODYSTRUCTURE"])])
    client.create_folder(drafts)
    seen.add("folders", sorted(repr(each) for each in client.list_folders()))
    seen.add("append", client.append(drafts, LETTER, flags=[b"\\Seen"]))
    seen.add("copy", client.copy(messages[:2], drafts))
    seen.add("flags", repr(sorted(client.add_flags(messages[:1], [b"\\Flagged"]).items())))
    client.idle()
    seen.add("idle", client.idle_done()[0])
    seen.add("status", repr(sorted(client.folder_status(drafts, ["MESSAGES", "UNSEEN"]).items())))
    seen.add("delete", client.delete_folder(drafts))
    seen.add("logout", client.logout())


def imap_tools(args, seen):
    from imap_tools import AND, MailBox, MailBoxStartTls, MailBoxUnencrypted

    context = tls_context(args)
    if args.tls == "implicit":
        box = MailBox(args.host, args.port, ssl_context=context)
    elif args.tls == "starttls":
        box = MailBoxStartTls(args.host, args.port, ssl_context=context)
    else:
        box = MailBoxUnencrypted(args.host, args.port)
    with box.login(args.user, args.password):
        for message in box.fetch(mark_seen=False):
            seen.add(f"message {message.uid}", [message.obj.as_bytes(), message.subject, str(message.date), str(message.size)])
        seen.add("bulk", [message.uid for message in box.fetch(AND(all=True), mark_seen=False, bulk=True, headers_only=True)])
        box.folder.create(folder("Work"))
        seen.add("folders", sorted(each.name for each in box.folder.list()))
        seen.add("append", box.append(LETTER, folder("Work"), dt=None, flag_set=["\\Seen"])[0])
        seen.add("move", [part[0] for part in box.move(["1"], folder("Work"))])
        seen.add("flag", [part[0] for part in box.flag(["2"], ["\\Flagged"], True)])
        seen.add("idle", box.idle.wait(timeout=1))
        seen.add("status", repr(sorted(box.folder.status(folder("Work"), ["MESSAGES", "UNSEEN"]).items())))


async def aioimaplib_session(args, seen):
    import aioimaplib

    kind = aioimaplib.IMAP4_SSL if args.tls == "implicit" else aioimaplib.IMAP4
    more = {"ssl_context": tls_context(args)} if args.tls == "implicit" else {}
    client = kind(host=args.host, port=args.port, timeout=20, **more)
    await client.wait_hello_from_server()
    seen.add("login", (await client.login(args.user, args.password)).result)
    seen.add("select", (await client.select("INBOX")).result)
    seen.add("search", [bytes(line) for line in (await client.uid_search("ALL")).lines])
    seen.add("fetch", [bytes(line) for line in (await client.uid("fetch", "1:*", "(FLAGS BODY.PEEK[])")).lines])
    idle = await client.idle_start(timeout=15)
    other = kind(host=args.host, port=args.port, timeout=20, **more)
    await other.wait_hello_from_server()
    await other.login(args.user, args.password)
    seen.add("append", (await other.append(LETTER, mailbox="INBOX")).result)
    await other.logout()
    seen.add("news", any(b"EXISTS" in line for line in await client.wait_server_push(timeout=15)))
    client.idle_done()
    await asyncio.wait_for(idle, 10)
    seen.add("copy", (await client.copy("1", "INBOX")).result)
    seen.add("logout", (await client.logout()).result)


def main():
    args = arguments(__doc__)
    args.add_argument("--library", choices=["imapclient", "imap_tools", "aioimaplib"], required=True)
    args = args.parse_args()
    seen = Transcript()
    if args.library == "aioimaplib":
        asyncio.run(aioimaplib_session(args, seen))
    else:
        {"imapclient": imapclient, "imap_tools": imap_tools}[args.library](args, seen)
    seen.print()


main()
