"""What is compared. Each peer takes TLS on both sides, with the same certificate, and starts as an operator would start it."""

import os
import pathlib
import shutil
import subprocess
import sys

from machine import Failed, Program, cpu_seconds, free_port

SBIN = "/usr/sbin:/usr/local/sbin:/sbin"
# Sessions that every peer must be able to hold.
SESSIONS = 8000
DESCRIPTORS = 20000


def find(name):
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


class Peer:
    """Running programs that lead from `imap` and `pop3` to the server."""

    name = ""
    # Why a workload cannot be shown for it, by the beginning of the workload's name.
    cannot = {}
    # Measured only when it is named.
    on_request = False
    # What `--workers` means to it.
    workers = "as many as asked for"

    def __init__(self, lab):
        self.lab = lab
        self.imap, self.pop3 = free_port(), free_port()
        self.programs = []
        try:
            self.start(lab)
            for program in self.programs:
                program.wait_for([self.imap, self.pop3])
        except BaseException:
            self.stop()
            raise

    def routes(self):
        return (("imap", self.imap, self.lab.server.imap), ("pop3", self.pop3, self.lab.server.pop3))

    def run(self, *command, name=None):
        log = self.lab.directory / f"{name or self.name}.log"
        self.programs.append(Program(self.name, command, log))

    def write(self, name, text):
        file = self.lab.directory / name
        file.write_text(text)
        return file

    def pids(self):
        return [pid for program in self.programs for pid in program.pids()]

    def cpu(self):
        return cpu_seconds(self.pids())

    def stop(self):
        for program in self.programs:
            program.stop()

    @classmethod
    def install(cls, lab):
        """Brings the program onto the machine where it is missing."""

    @classmethod
    def version(cls, lab):
        return "?"


def apt(program, *packages):
    if find(program):
        return
    print(f"installing {' '.join(packages)}", file=sys.stderr, flush=True)
    # At this run level packages do not start the services they bring.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")


def first_line(*command, start=""):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    lines = (line.strip() for line in (done.stdout + done.stderr).splitlines())
    return next((line for line in lines if line and line.startswith(start)), "?")


class Direct(Peer):
    """Nothing in between: the bound that client and server set."""

    name = "direct"

    def start(self, lab):
        self.imap, self.pop3 = lab.server.imap, lab.server.pop3

    @classmethod
    def version(cls, lab):
        return "of this tree"


class Mailwarden(Peer):
    name = "mailwarden"
    metered = True

    @staticmethod
    def rules():
        return []

    def start(self, lab):
        self.admin = free_port()
        tables = [f'[process]\nworkers = {lab.workers}\n']
        if self.metered:
            tables.append(f'[admin]\naddress = "127.0.0.1:{self.admin}"\n')
        for name, port, target in self.routes():
            tables.append(f'[[listener]]\nname = "{name}"\naddress = "127.0.0.1:{port}"\nprotocol = "{name}"\n'
                          f'tls = "implicit"\nposture = "enforce"\nupstream = "{name}-server"\n'
                          f'certificate = {{ chain = "{lab.certificates.chain}", key = "{lab.certificates.key}" }}\n\n'
                          f'[[upstream]]\nname = "{name}-server"\naddress = "127.0.0.1:{target}"\ntls = "implicit"\n'
                          f'server_name = "localhost"\nroots = "{lab.certificates.ca}"\n')
        tables += self.rules()
        file = self.write(f"{self.name}.toml", "\n".join(tables))
        self.run(lab.binary, "run", "--config", file)

    @classmethod
    def version(cls, lab):
        return first_line(str(lab.binary), "--version")


class Unmetered(Mailwarden):
    """Without `[admin]`: what nobody can ask for is not measured."""

    name = "unmetered"
    metered = False
    on_request = True


def thousand_rules(condition):
    """Rules for all commands, for a few and for all that read, each with this condition for its number."""
    kinds = ["", 'command = ["FETCH", "NOOP", "RETR"]\n', 'effect = "read"\n']
    return [f'[[rule]]\nname = "rule {n}"\naction = "deny"\n{condition(n)}\n{kinds[n % 3]}' for n in range(1000)]


class MailboxRules(Mailwarden):
    """The same with 1,000 rules on mailboxes that the sessions do not use."""

    name = "mailbox-rules"
    on_request = True

    @staticmethod
    def rules():
        return thousand_rules(lambda n: f'mailbox = "Projects/{n}"')


class UserRules(Mailwarden):
    """The same with 1,000 rules on other users."""

    name = "user-rules"
    on_request = True

    @staticmethod
    def rules():
        return thousand_rules(lambda n: f'user = "user{n}@example.org"')


class Relay(Peer):
    name = "relay"

    def start(self, lab):
        routes = [text for _, port, target in self.routes() for text in ("--route", f"127.0.0.1:{port}=127.0.0.1:{target}")]
        certificates = lab.certificates
        self.run(lab.relay, *routes, "--chain", certificates.chain, "--key", certificates.key, "--ca", certificates.ca,
                 "--workers", lab.workers)

    @classmethod
    def version(cls, lab):
        return "of this tree"


class HAProxy(Peer):
    name = "haproxy"

    def start(self, lab):
        sections = [f"global\n nbthread {lab.workers}\n maxconn {SESSIONS}\n"
                    " ssl-default-bind-options ssl-min-ver TLSv1.3\n ssl-default-server-options ssl-min-ver TLSv1.3\n"
                    " ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256\n"
                    " ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256\n",
                    f"defaults\n mode tcp\n maxconn {SESSIONS}\n timeout connect 10s\n timeout client 31m\n timeout server 31m\n"]
        for name, port, target in self.routes():
            sections.append(f"listen {name}\n bind 127.0.0.1:{port} backlog 4096 ssl crt {lab.certificates.both}\n"
                            f" server upstream 127.0.0.1:{target} ssl verify required ca-file {lab.certificates.ca}"
                            " verifyhost localhost sni str(localhost)\n")
        self.run(find("haproxy"), "-db", "-f", self.write("haproxy.cfg", "\n".join(sections)))

    @classmethod
    def install(cls, lab):
        apt("haproxy", "haproxy")

    @classmethod
    def version(cls, lab):
        return first_line(find("haproxy"), "-v")


class Nginx(Peer):
    name = "nginx"
    MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def start(self, lab):
        certificates = lab.certificates
        servers = "".join(f" server {{ listen 127.0.0.1:{port} ssl backlog=4096; proxy_pass 127.0.0.1:{target}; }}\n"
                          for _, port, target in self.routes())
        file = self.write("nginx.conf", f"""load_module {self.MODULE};
daemon off;
worker_processes {lab.workers};
worker_rlimit_nofile {DESCRIPTORS};
pid {lab.directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {2 * SESSIONS}; }}
stream {{
 ssl_certificate {certificates.chain};
 ssl_certificate_key {certificates.key};
 ssl_protocols TLSv1.3;
 ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
 ssl_session_cache shared:sessions:10m;
 proxy_ssl on;
 proxy_ssl_protocols TLSv1.3;
 proxy_ssl_verify on;
 proxy_ssl_trusted_certificate {certificates.ca};
 proxy_ssl_name localhost;
 proxy_ssl_server_name on;
 proxy_timeout 31m;
{servers}}}
""")
        self.run(find("nginx"), "-e", "stderr", "-c", file)

    @classmethod
    def install(cls, lab):
        apt("nginx", "nginx-light", "libnginx-mod-stream")
        if not pathlib.Path(cls.MODULE).exists():
            raise Failed("nginx has no stream module: apt-get install libnginx-mod-stream")

    @classmethod
    def version(cls, lab):
        return first_line(find("nginx"), "-v")
