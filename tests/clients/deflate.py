"""COMPRESS=DEFLATE (RFC 4978) for imaplib, which has none: raw deflate, flushed after each write."""

import imaplib
import io
import zlib

imaplib.Commands["COMPRESS"] = ("AUTH", "SELECTED")


class Inflated(io.RawIOBase):
    """What a socket brings, inflated."""

    def __init__(self, sock):
        self.sock = sock
        self.inflater = zlib.decompressobj(-15)

    def readable(self):
        return True

    def readinto(self, room):
        octets = b""
        while not octets:
            came = self.inflater.unconsumed_tail or self.sock.recv(16384)
            if not came:
                return 0
            octets = self.inflater.decompress(came, len(room))
        room[:len(octets)] = octets
        return len(octets)


def compress(client):
    """Asks for it and speaks it from then on; says what the server answered."""
    answer = client._simple_command("COMPRESS", "DEFLATE")
    if answer[0] == "OK":
        deflater = zlib.compressobj(wbits=-15)
        sock = client.sock
        client.file = io.BufferedReader(Inflated(sock))
        client.send = lambda octets: sock.sendall(deflater.compress(octets) + deflater.flush(zlib.Z_SYNC_FLUSH))
    return answer
