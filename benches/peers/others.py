"""The peers that are not bare relays: a login proxy, a pair of tunnels, two interceptors."""

import subprocess
import sys

from machine import Failed, free_port
from peers import DESCRIPTORS, SESSIONS, Peer, apt, find, first_line


class Dovecot(Peer):
    """As login proxy: it logs in on both sides, then relays."""

    name = "dovecot"

    def start(self, lab):
        certificates, directory = lab.certificates, lab.directory / "dovecot"
        directory.mkdir(exist_ok=True)
        logins = "".join(f"""
service {name}-login {{
 inet_listener {name} {{
  port = 0
 }}
 inet_listener {name}s {{
  port = {port}
  ssl = yes
 }}
 # Outside, where the file of authorities can be read.
 chroot =
 service_count = 0
 process_min_avail = {lab.workers}
 process_limit = {lab.workers}
 client_limit = {SESSIONS}
 vsz_limit = 0
}}""" for name, port, _ in self.routes())
        file = self.write("dovecot.conf", f"""protocols = imap pop3
base_dir = {directory}
log_path = /dev/stderr
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificates.chain}
ssl_key = <{certificates.key}
ssl_min_protocol = TLSv1.2
ssl_require_crl = no
ssl_ca = <{certificates.ca}
mail_max_userip_connections = {SESSIONS}
auth_cache_size = 1M
auth_cache_ttl = 1 hour
passdb {{
 driver = static
 args = nopassword=y proxy=y host=localhost hostip=127.0.0.1 port=%{{if;%s;eq;imap;{lab.server.imap};{lab.server.pop3}}} ssl=yes
}}
userdb {{
 driver = static
 args = uid=nobody gid=nogroup home=/nonexistent
}}
service anvil {{
 client_limit = {DESCRIPTORS}
}}
service auth {{
 client_limit = {DESCRIPTORS}
}}
{logins}
""")
        self.run(find("dovecot"), "-F", "-c", file)

    @classmethod
    def install(cls, lab):
        apt("dovecot", "dovecot-imapd", "dovecot-pop3d")

    @classmethod
    def version(cls, lab):
        return first_line(find("dovecot"), "--version")


class Stunnel(Peer):
    """Two processes: TLS to plain text, and plain text to TLS."""

    name = "stunnel"
    workers = "a thread for each session; it cannot be bounded"

    def start(self, lab):
        common = ("foreground = yes\npid =\ndebug = 3\nsyslog = no\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
                  "sslVersionMin = TLSv1.3\nciphersuites = TLS_AES_128_GCM_SHA256\n")
        certificates, plain = lab.certificates, {name: free_port() for name, _, _ in self.routes()}
        server, client = common, common + "client = yes\n"
        for name, port, target in self.routes():
            server += (f"[{name}]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{plain[name]}\n"
                       f"cert = {certificates.chain}\nkey = {certificates.key}\n")
            client += (f"[{name}]\naccept = 127.0.0.1:{plain[name]}\nconnect = 127.0.0.1:{target}\nverifyChain = yes\n"
                       f"CAfile = {certificates.ca}\ncheckHost = localhost\nsni = localhost\n")
        self.run(find("stunnel4"), self.write("stunnel-client.conf", client), name="stunnel-client")
        self.run(find("stunnel4"), self.write("stunnel-server.conf", server), name="stunnel-server")

    @classmethod
    def install(cls, lab):
        apt("stunnel4", "stunnel4")

    @classmethod
    def version(cls, lab):
        return first_line(find("stunnel4"), "-version", start="stunnel")


class Sslsplit(Peer):
    """An interceptor that decrypts, and by default writes nothing down. It does not verify the server; its group is P-256."""

    name = "sslsplit"
    workers = "two threads for each processor; it cannot be bounded"

    def start(self, lab):
        routes = [text for _, port, target in self.routes() for text in ("ssl", "127.0.0.1", port, "127.0.0.1", target)]
        certificates = lab.certificates
        self.run(find("sslsplit"), "-u", "root", "-k", certificates.ca_key, "-c", certificates.ca, "-A", certificates.both,
                 *routes)

    @classmethod
    def install(cls, lab):
        apt("sslsplit", "sslsplit")

    @classmethod
    def version(cls, lab):
        return first_line(find("sslsplit"), "-V")


class Mitmproxy(Peer):
    """An interceptor in Python, which keeps all that passes."""

    name = "mitmproxy"
    workers = "one thread"

    def start(self, lab):
        modes = [text for _, port, target in self.routes() for text in ("--mode", f"reverse:tls://127.0.0.1:{target}@127.0.0.1:{port}")]
        certificates = lab.certificates
        self.run(lab.cache / "mitmproxy/bin/mitmdump", "--quiet", *modes, "--certs", f"*={certificates.both}",
                 "--set", f"ssl_verify_upstream_trusted_ca={certificates.ca}", "--set", f"confdir={lab.directory}/mitmproxy",
                 "--set", "tcp_hosts=.*", "--set", "tls_version_client_min=TLS1_3", "--set", "tls_version_server_min=TLS1_3")

    @classmethod
    def install(cls, lab):
        folder = lab.cache / "mitmproxy"
        if (folder / "bin/mitmdump").exists():
            return
        print("installing mitmproxy", file=sys.stderr, flush=True)
        for command in ([sys.executable, "-m", "venv", folder], [folder / "bin/pip", "install", "--quiet", "mitmproxy"]):
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if done.returncode:
                raise Failed(f"mitmproxy cannot be installed: {done.stderr.strip()[-300:]}")

    @classmethod
    def version(cls, lab):
        return first_line(str(lab.cache / "mitmproxy/bin/mitmdump"), "--version")
