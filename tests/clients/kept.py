"""What a server keeps, seen by IMAP in clear: JSON of `folder/flags hash` and how often. Arguments: port user password."""

import collections
import hashlib
import imaplib
import json
import re
import sys

imaplib._MAXLINE = 10_000_000
# As the file name of a Maildir has them.
LETTERS = {"\\answered": "R", "\\deleted": "T", "\\draft": "D", "\\flagged": "F", "\\seen": "S"}


def main():
    port, user, password = sys.argv[1:]
    client = imaplib.IMAP4("127.0.0.1", int(port), timeout=20)
    client.login(user, password)
    found = collections.Counter()
    for line in client.list()[1]:
        flags, name = re.fullmatch(rb'\(([^)]*)\) (?:"[^"]*"|NIL) (.*)', line).groups()
        if b"\\noselect" in flags.lower():
            continue
        client.select(name.decode(), readonly=True)
        place = name.decode().strip('"')
        place = "" if place.upper() == "INBOX" else "." + place.removeprefix("INBOX.")
        # Without messages the range is an error.
        answer = client.fetch("1:*", "(FLAGS BODY.PEEK[])") if client.response("EXISTS")[1] != [b"0"] else (None, [])
        for item in answer[1]:
            if isinstance(item, tuple):
                found[describe(place, *item)] += 1
    client.logout()
    print(json.dumps(found))


def describe(place, head, text):
    flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1).decode().lower().split()
    letters = "".join(sorted(LETTERS[flag] for flag in flags if flag in LETTERS))
    # The random mark that mbsync puts into what it copies.
    kept = b"".join(line for line in text.splitlines(True) if not line.startswith(b"X-TUID: "))
    return f"{place}/{letters} {hashlib.sha256(kept).hexdigest()}"


main()
