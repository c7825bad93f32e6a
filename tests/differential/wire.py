"""The client that plays a session, the relay that records what passes before a server, and their readers."""
import asyncio
import contextlib
import re
import time

QUIET = 0.12     # seconds without an octet after which the other side has said all
PATIENCE = 1.0   # seconds in which a first octet must come


class Recorded:
    """One connection: what went to the server and what it answered."""

    def __init__(self):
        self.up, self.down = bytearray(), bytearray()
        self.local, self.times = None, [time.time(), time.time()]


class Relay:
    """A port that passes all to a server and keeps each connection's octets."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.recorded = []

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        kept = Recorded()
        self.recorded.append(kept)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            writer.transport.abort()
            return
        kept.local = up_writer.get_extra_info("sockname")[1]
        await asyncio.gather(self.pump(reader, up_writer, kept.up), self.pump(up_reader, writer, kept.down))
        kept.times[1] = time.time() + 0.5  # a server logs a command that the close ended

    @staticmethod
    async def pump(reader, writer, kept):
        with contextlib.suppress(ConnectionError, OSError):
            while octets := await reader.read(65536):
                kept += octets
                writer.write(octets)
                await writer.drain()
        with contextlib.suppress(Exception):
            writer.close()

    async def take(self, slower=1):
        """The connection since the last call."""
        await asyncio.sleep(0.02 * slower)
        taken, self.recorded = self.recorded, []
        return taken[0] if taken else Recorded()


async def listen(reader, first, quiet):
    """All that comes until it is quiet; and whether the other side has closed."""
    came, wait = b"", first
    while True:
        try:
            octets = await asyncio.wait_for(reader.read(65536), wait)
        except TimeoutError:
            return came, False
        except ConnectionError:
            return came, True
        if not octets:
            return came, True
        came, wait = came + octets, quiet


async def play(port, session, slower=1):
    """Plays a session and gives what came back, and this side's port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    own = writer.get_extra_info("sockname")[1]
    came, closed = await listen(reader, 10 * slower, QUIET * slower)
    for step in session.steps:
        if closed:
            break
        with contextlib.suppress(ConnectionError):
            writer.write(step)
            await writer.drain()
        more, closed = await listen(reader, PATIENCE * slower, QUIET * slower)
        came += more
    with contextlib.suppress(Exception):
        writer.close()
        await writer.wait_closed()
    return came, own


LITERAL = re.compile(rb"\{(\d+)\}$")
COMPLETION = re.compile(rb"(\S+) (OK|NO|BAD)\b", re.I)


def imap_lines(octets):
    """Logical lines of a server: literals belong to the line that announces them."""
    at = 0
    while at < len(octets):
        start = at
        while True:
            end = octets.find(b"\n", at)
            if end < 0:
                yield bytes(octets[start:])
                return
            announced = LITERAL.search(octets[at:end].rstrip(b"\r"))
            at = end + 1
            if not announced:
                break
            at += int(announced[1])
        yield bytes(octets[start:at])


def completions(octets):
    """Tag and status of each completion result a server gave; `*` for an untagged BAD."""
    found = []
    for line in imap_lines(octets):
        match = COMPLETION.match(line)
        if match and match[1] != b"+" and (match[1] != b"*" or match[2].upper() == b"BAD"):
            found.append((match[1].decode("latin-1"), match[2].decode().upper()))
    return found


def pop3_answers(octets, commands):
    """The status of each answer to these commands in order, and what is left when all are answered."""
    at, found = 0, []
    octets = bytes(octets)
    for command in ["greeting", *commands]:
        end = octets.find(b"\n", at)
        if end < 0:
            break
        status = octets[at:end].split()[:1]
        status = status[0].decode("latin-1") if status else ""
        at = end + 1
        found.append(status)
        if status == "+OK" and is_multi_line(command):
            while True:
                end = octets.find(b"\n", at)
                if end < 0:
                    at = len(octets)
                    break
                line, at = octets[at:end].rstrip(b"\r"), end + 1
                if line == b".":
                    break
    return found[1:], octets[at:]


def is_multi_line(command):
    words = command.upper().split()
    if not words:
        return False
    return words[0] in ("RETR", "TOP", "CAPA", "AUTH-LIST") or (words[0] in ("LIST", "UIDL", "LANG") and len(words) == 1)
