"""What is measured: the proxy, HAProxy doing TLS on both sides, and nothing in between."""

import pathlib
import shutil
import socket
import subprocess
import sys
import time

SERVER_EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Certificates:
    """An authority and a leaf for localhost, P-256, made with openssl."""

    def __init__(self, directory):
        self.ca, self.chain, self.key = (directory / name for name in ("ca.pem", "leaf.pem", "leaf.key"))
        ca_key, request, extensions = (directory / name for name in ("ca.key", "leaf.csr", "leaf.ext"))
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-subj", "/CN=measure", "-days", 7,
                "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost")
        extensions.write_text(SERVER_EXTENSIONS)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-days", 7, "-out", self.chain,
                "-extfile", extensions)
        self.both = directory / "both.pem"
        self.both.write_text(self.chain.read_text() + self.key.read_text())


class Server:
    """A program that listens on `imap` and `pop3`, ended by its own process id."""

    def __init__(self, name, command, log):
        self.name, self.log = name, log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.pid = self.process.pid

    def wait(self, *ports):
        limit = time.monotonic() + 20
        for port in ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > limit:
                        self.stop()
                        sys.exit(f"{self.name} does not start:\n{self.log.read_text()[-2000:]}")
                    time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def upstream(load, directory, certificates, size):
    imap, pop3 = free_port(), free_port()
    command = [load, "upstream", "--imap", f"127.0.0.1:{imap}", "--pop3", f"127.0.0.1:{pop3}",
               "--chain", certificates.chain, "--key", certificates.key, "--size", size]
    server = Server("upstream", command, directory / "upstream.log")
    server.wait(imap, pop3)
    server.imap, server.pop3 = imap, pop3
    return server


def haproxy(directory, certificates, server, sessions):
    imap, pop3 = free_port(), free_port()
    if not shutil.which("haproxy") and not pathlib.Path("/usr/sbin/haproxy").exists():
        sys.exit("haproxy is missing: apt-get install haproxy")
    sections = [f"global\n nbthread 2\n maxconn {2 * sessions + 100}\n",
                "defaults\n mode tcp\n timeout connect 10s\n timeout client 30m\n timeout server 30m\n"]
    for name, port, target in (("imap", imap, server.imap), ("pop3", pop3, server.pop3)):
        sections.append(f"listen {name}\n bind 127.0.0.1:{port} ssl crt {certificates.both}\n"
                        f" server upstream 127.0.0.1:{target} ssl verify required ca-file {certificates.ca}"
                        f" verifyhost localhost sni str(localhost)\n")
    file = directory / "haproxy.cfg"
    file.write_text("\n".join(sections))
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    peer = Server("haproxy", [program, "-db", "-f", file], directory / "haproxy.log")
    peer.wait(imap, pop3)
    peer.imap, peer.pop3 = imap, pop3
    return peer


def mailwarden(binary, directory, certificates, server):
    imap, pop3, admin = free_port(), free_port(), free_port()
    tables = [f'[admin]\naddress = "127.0.0.1:{admin}"\n']
    for name, port, target in (("imap", imap, server.imap), ("pop3", pop3, server.pop3)):
        tables.append(f'[[listener]]\nname = "{name}"\naddress = "127.0.0.1:{port}"\nprotocol = "{name}"\n'
                      f'tls = "implicit"\nupstream = "{name}-server"\n'
                      f'certificate = {{ chain = "{certificates.chain}", key = "{certificates.key}" }}\n\n'
                      f'[[upstream]]\nname = "{name}-server"\naddress = "127.0.0.1:{target}"\ntls = "implicit"\n'
                      f'server_name = "localhost"\nroots = "{certificates.ca}"\n')
    file = directory / "mailwarden.toml"
    file.write_text("\n".join(tables))
    peer = Server("mailwarden", [binary, "run", "--config", file], directory / "mailwarden.log")
    peer.wait(imap, pop3)
    peer.imap, peer.pop3 = imap, pop3
    return peer
