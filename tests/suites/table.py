#!/usr/bin/env python3
"""The table of suites, servers and modes, from the lines that the tests left. Arguments: their files."""

import collections
import sys

SERVERS = ("dovecot", "cyrus", "courier")
MODES = {"implicit": "implicit", "starttls": "STARTTLS", "none": "clear"}
# The beginning of a test's name, and the suite that it is of.
SUITES = {
    "aioimaplib": "aioimaplib (IMAP)", "async_imap": "async-imap (IMAP)", "curl_does_imap": "curl (IMAP)",
    "curl_does_pop3": "curl (POP3)", "fetchmail": "fetchmail (IMAP, POP3)", "getmail": "getmail (IMAP, POP3)",
    "imap_tools": "imap_tools (IMAP)", "imapclient": "IMAPClient (IMAP)", "imapflow": "imapflow (IMAP)",
    "imaplib": "imaplib (IMAP)", "interimap": "interimap (IMAP)", "javamail": "JavaMail (IMAP, POP3)",
    "mbsync": "mbsync (IMAP)", "mpop": "mpop (POP3)", "neomutt": "neomutt (IMAP)",
    "outside_offlineimap": "offlineimap (IMAP)", "perl_mail_imapclient": "Mail::IMAPClient (IMAP)",
    "poplib_logs": "poplib (POP3, APOP)", "poplib_sees": "poplib (POP3)",
}
# How a direct run that fails is told apart: what stands in the client's words, and what it comes from.
CAUSES = (
    ("QRESYNC", "the server has no QRESYNC"),
    ("support ID capability", "the server has no ID"),
    ("it copied a message", "the server takes no folder outside `INBOX.`"),
    ("apop", "the server has no APOP"),
    ("no acceptable authentication", "the client sends no password in clear, the server has nothing else there"),
)


def cell(outcomes):
    """`same 2/2`, with what failed alike."""
    if not outcomes:
        return "–"
    equal = sum(outcome != "differs" for outcome, _ in outcomes)
    failed = sum(outcome == "same failure" for outcome, _ in outcomes)
    word = "same" if equal == len(outcomes) else "**differs**"
    return f"{word} {equal}/{len(outcomes)}" + (f", {failed} fail alike" if failed else "")


def why(reason):
    cause = next((cause for word, cause in CAUSES if word.lower() in reason.lower()), None)
    return cause or "`" + reason[-160:] + "`"


def main():
    found = collections.defaultdict(list)
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            for line in file:
                test, server, mode, outcome, reason = line.rstrip("\n").split("\t")
                start = max((start for start in SUITES if test.startswith(start)), key=len)
                found[SUITES[start], server, mode].append((outcome, reason))
    columns = [(server, mode) for server in SERVERS for mode in MODES]
    columns = [column for column in columns if any(key[1:] == column for key in found)]
    print("| suite |" + "".join(f" {server.title()}, {MODES[mode]} |" for server, mode in columns))
    print("| --- |" + " --- |" * len(columns))
    for suite in sorted({key[0] for key in found}, key=str.lower):
        print(f"| {suite} |" + "".join(f" {cell(found[suite, *column])} |" for column in columns))
    everything = [outcome for outcomes in found.values() for outcome in outcomes]
    count = collections.Counter(outcome for outcome, _ in everything)
    print(f"\n{len(everything)} runs: {count['same']} same as direct, {count['same failure']} fail as they do direct, "
          f"{count['differs']} differ.")
    alike = {(suite, server, why(reason)) for (suite, server, _), outcomes in found.items()
             for outcome, reason in outcomes if outcome == "same failure"}
    if alike:
        print("\nWhat fails alike:\n")
    for suite, server, cause in sorted(alike):
        print(f"- {suite}, {server.title()}: {cause}.")


main()
