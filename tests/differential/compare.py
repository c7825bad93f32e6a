#!/usr/bin/env python3
"""Plays the sessions of `sessions.py` against a real server, direct and through the proxy, and holds the
server's view against the proxy's: exactly the commands that the proxy judged and let up may be executed.

    MAILWARDEN_BIN=target/debug/mailwarden tests/differential/compare.py --servers dovecot,cyrus,courier
    … --table docs/differential-servers.md    # the table of octets, servers and proxy
    … --only 'APPEND.*CATENATE' -v             # some sessions, with what was said

Exit code 0: no difference; 1: there are some.
"""
import argparse
import asyncio
import datetime
import imaplib
import os
import re
import signal
import subprocess
import sys
import tempfile

import servers
import sessions
import table
import views
import wire

# Differences that were looked into, by server and session, with the reason why they do no harm.
EXPLAINED = [
    ("Cyrus", r"append: empty ~?\{0\+?\}", "the server answered '*' BAD, which was not let up",
     "it refuses a message of no octets before its line ends, and takes the line end for an empty command"),
    ("Cyrus", r'spelling: SELECT "Other Users/ada/Secret"', "the forbidden mailbox was read",
     "a second name of the mailbox: the operator must name it (docs/configuration.md)"),
]
CANARY = "the-canary-1815-sings"
WORKERS = 12
# So many sessions of one protocol with a difference are no accident of time any more.
PLAYED_AGAIN = 40


def program():
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../target/debug/mailwarden")
    return os.environ.get("MAILWARDEN_BIN", default)


class Proxy:
    """The proxy with one listener and one upstream for each relay."""

    def __init__(self, directory, relays):
        self.log_file = os.path.join(directory, "mailwarden.log")
        self.ports = [servers.free_port() for _ in relays]
        text = f'[admin]\naddress = "127.0.0.1:{servers.free_port()}"\n'
        text += '[limits]\nerrors_before_login = 100\nerrors = 100\ndrain_timeout = "2s"\n'
        for number, ((protocol, relay), port) in enumerate(zip(relays, self.ports)):
            text += (f'[[listener]]\nname = "l{number}"\naddress = "127.0.0.1:{port}"\nprotocol = "{protocol}"\n'
                     f'tls = "none"\nposture = "enforce"\nupstream = "u{number}"\n'
                     f'[[upstream]]\nname = "u{number}"\naddress = "127.0.0.1:{relay.port}"\ntls = "none"\n')
        text += ('[[rule]]\nname = "secret"\nmailbox = ["Secret", "INBOX.Secret", "INBOX/Secret"]\naction = "deny"\n'
                 'reply = "This mailbox is secret"\n')
        file = os.path.join(directory, "mailwarden.toml")
        with open(file, "w") as out:
            out.write(text)
        log = open(self.log_file, "ab")
        self.process = subprocess.Popen([program(), "--log-format", "json", "run", "--config", file], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env={**os.environ, "RUST_LOG": "mailwarden=debug"})
        log.close()

    async def start(self):
        for port in self.ports:
            await asyncio.to_thread(servers.wait_open, port, self.process)
        await asyncio.sleep(1)  # until the servers have seen these probes come and go
        return self

    def judged(self):
        with open(self.log_file, encoding="utf-8") as file:
            return views.read_log(file.read())

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def furnish(server):
    """Letters in INBOX where there are none, and one in the secret mailbox."""
    client = imaplib.IMAP4("127.0.0.1", server.imap)
    client.login(servers.USER, servers.PASSWORD)
    if client.select("INBOX")[1] == [b"0"]:
        for number in range(1, 6):
            client.append("INBOX", None, None, servers.letter(number))
    name = "Secret"
    if client.create(name)[0] != "OK":
        name = "INBOX.Secret"
        client.create(name)
    done = client.append(name, None, None, f"Subject: {CANARY}\r\n\r\n{CANARY}\r\n".encode())
    assert done[0] == "OK", done
    client.logout()


class Played:
    """What one session came to, direct or proxied."""

    def __init__(self, worker, session, came, own, recorded):
        self.worker, self.session, self.came, self.own, self.recorded = worker, session, came, own, recorded


async def play_all(chosen, relays, ports, slower=1):
    """Plays them with as many workers as there are ports; each takes the next session."""
    queue, done = list(reversed(chosen)), []

    async def work(number, relay, port):
        while queue:
            session = queue.pop()
            await relay.take(slower)
            came, own = await wire.play(port, session, slower)
            done.append(Played(number, session, came, own, await relay.take(slower)))

    await asyncio.gather(*(work(number, *pair) for number, pair in enumerate(zip(relays, ports))))
    return done


def own_log(entries, recorded):
    """What the server logged as executed in one connection. Ports come again, so the time counts too."""
    if entries is None:
        return None
    began, ended = (datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat() for at in recorded.times)
    return [entry for entry in entries
            if entry.get("remote_port") == recorded.local and began <= entry["at"] <= ended]


def pair(proxied, by_listener):
    """Gives each session what the proxy judged in it: a worker plays one after the other at its own listener."""
    for number in {played.worker for played in proxied}:
        mine = [played for played in proxied if played.worker == number]
        for played, judged in zip(mine, by_listener[f"l{number}"][-len(mine):], strict=True):
            assert played.own == judged.client, "a session is missing in the proxy's log"
            played.judged = judged


def is_explained(server, session, sentence):
    return any(server == name and sentence == what and re.fullmatch(pattern, f"{session.kind}: {session.name}")
               for name, pattern, what, _ in EXPLAINED)


def judge(server, protocol, played, entries):
    """Differences of one session, and how many of them are explained."""
    view = played.judged
    log = own_log(entries, played.recorded)
    if protocol == "pop3":
        found = views.pop3_differences(view, played.recorded, log)
    else:
        executed = wire.completions(played.recorded.down)
        found = views.imap_differences(view, executed, log)
    if CANARY.encode() in bytes(played.recorded.down):
        found.append("the forbidden mailbox was read")
    left = [sentence for sentence in found if not is_explained(server, played.session, sentence)]
    return left, len(found) - len(left)


async def play_proxied(server, directory, protocol, chosen, relays, slower=1):
    """Plays them through the proxy: each session with its differences, and how many of those are explained."""
    proxy = await Proxy(directory, [(protocol, relay) for relay in relays]).start()
    mark = server.mark()
    try:
        proxied = await play_all(chosen, relays, proxy.ports, slower)
        await asyncio.sleep(0.5 * slower)
    finally:
        await asyncio.to_thread(proxy.stop)
    pair(proxied, proxy.judged())
    os.rename(proxy.log_file, f"{proxy.log_file}.{protocol}.{slower}")
    entries = server.executed(mark)
    return [(played, *judge(server.name, protocol, played, entries)) for played in proxied]


async def judge_all(server, directory, protocol, chosen, relays):
    """The same; what differs is played once more with all patience, for a busy machine answers late and looks as if
    it did not answer. A difference that is one is there again."""
    judged = await play_proxied(server, directory, protocol, chosen, relays)
    differing = [played.session for played, found, _ in judged if found]
    if not 0 < len(differing) <= PLAYED_AGAIN:
        return judged
    print(f"{server.name}: {len(differing)} sessions of {protocol} are played again, slowly", flush=True)
    again = await play_proxied(server, directory, protocol, differing, relays, 10)
    return [one for one in judged if not one[1]] + again


async def compare(name, args, rows):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        server = await asyncio.to_thread(servers.start, name, directory)
        try:
            await asyncio.to_thread(furnish, server)
            return await compare_with(server, directory, args, rows)
        finally:
            server.stop()


async def compare_with(server, directory, args, rows):
    wanted = re.compile(args.only)
    differences, explained, count = 0, 0, 0
    for protocol, all_sessions in (("imap", sessions.imap), ("pop3", sessions.pop3)):
        chosen = [session for session in all_sessions() if wanted.search(f"{session.kind}: {session.name}")][::args.every]
        server_port = getattr(server, protocol)
        workers = 1 if protocol == "pop3" and server.name == "Cyrus" else WORKERS
        relays = [await wire.Relay(server_port).start() for _ in range(workers)]
        direct = []
        if args.table:
            direct = await play_all(chosen, relays, [relay.port for relay in relays])
        judged = await judge_all(server, directory, protocol, chosen, relays)
        for played, found, harmless in judged:
            explained += harmless
            count += 1
            differences += bool(found)
            show(server, played, found, args.verbose)
        table.add(rows, server.name, protocol, direct, [played for played, *_ in judged])
    print(f"{server.name}: {count} sessions, {differences} with a difference, {explained} explained", flush=True)
    return count, differences


def show(server, played, found, verbose):
    if found or verbose:
        print(f"{server.name} {played.session.kind}: {played.session.name}")
        print("".join(f"    {sentence}\n" for sentence in found), end="")
    if verbose:
        print(f"    client {played.session.steps}\n    up     {bytes(played.recorded.up)}\n"
              f"    down   {bytes(played.recorded.down)}\n    came   {played.came}")
        print(f"    judged {vars(played.judged)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="dovecot,cyrus,courier")
    parser.add_argument("--only", default="")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth session")
    parser.add_argument("--table")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    # Asked to end, it ends as after an error: with all that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    rows = {}
    found = asyncio.run(compare_all(args, rows))
    if args.table:
        table.write(args.table, rows)
    return 1 if any(differences for _, differences in found) else 0


async def compare_all(args, rows):
    """All at the same time: they mostly wait."""
    return await asyncio.gather(*(compare(name, args, rows) for name in args.servers.split(",")))


if __name__ == "__main__":
    sys.exit(main())
