"""What the scripted clients share: arguments, TLS, and results that two runs can be compared by."""

import argparse
import hashlib
import json
import os
import re
import ssl

# What differs between two servers that hold the same mail: times, and identities made from times.
VOLATILE = [
    (re.compile(r"\(\d+\.\d+ \+ [^)]*\)"), "(times)"),
    (re.compile(r"\d+\.\d+ sec"), "n sec"),
    (re.compile(r"UIDVALIDITY \d+"), "UIDVALIDITY n"),
    (re.compile(r"(APPENDUID|COPYUID) \d+"), r"\1 n"),
    (re.compile(r"HIGHESTMODSEQ \d+"), "HIGHESTMODSEQ n"),
    (re.compile(r"MODSEQ \(\d+\)"), "MODSEQ (n)"),
    (re.compile(r"MAILBOXID \(\w+\)"), "MAILBOXID (n)"),
]


def folder(name):
    """The name of a folder beside the inbox, where the server wants it."""
    return os.environ.get("MAILBOX_PREFIX", "") + name


def arguments(description):
    """--host --port --tls --ca --user --password, and --auth for the way to log in."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", choices=["implicit", "starttls", "none"], required=True)
    parser.add_argument("--ca", required=True, help="PEM file of the authority to trust")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--auth", default="login")
    return parser


def tls_context(args):
    return ssl.create_default_context(cafile=args.ca)


def normal(value):
    """Octets as text without what changes from run to run; long ones as their hash."""
    if isinstance(value, (list, tuple)):
        return [normal(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        if len(value) > 2000:
            return f"{len(value)} octets, sha256 {hashlib.sha256(value).hexdigest()}"
        value = bytes(value).decode("latin-1")
    if isinstance(value, str):
        for pattern, word in VOLATILE:
            value = pattern.sub(word, value)
    return value


class Transcript:
    """Steps with their normalised results, printed as one JSON document."""

    def __init__(self):
        self.steps = []

    def add(self, name, result):
        self.steps.append([name, normal(result)])
        return result

    def print(self):
        print(json.dumps(self.steps, indent=1, ensure_ascii=False))
