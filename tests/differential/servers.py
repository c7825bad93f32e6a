"""Dovecot, Cyrus IMAP and Courier on loopback ports, each with its own files and processes.

Cyrus and Courier conflict as packages with Dovecot and with one another, so they are not installed:
`install` unpacks them and all they need under `target/peers`, and they run in a copy of that tree
(`chroot`), which needs root. Nothing is started that does not end with the object that started it.

    servers.py cyrus DIRECTORY CHAIN KEY LETTERS

starts one with TLS and the files of LETTERS in its inbox, prints its ports as JSON, and ends it when its
standard input ends.
"""
import contextlib
import crypt
import imaplib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

USER = "ada"
PASSWORD = "correct-horse-1815"
NOBODY = 65534
PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../target/peers")


# What keeps the ports that were given from everybody else, as long as this program runs.
held = []


def free_port():
    """A port of loopback that the system gives to nobody else: bound, yet shared with a server told to listen on it."""
    held.append(socket.socket())
    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held[-1].bind(("127.0.0.1", 0))
    return held[-1].getsockname()[1]


def wait_open(port, process):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with {process.returncode}")
        time.sleep(0.02)
    raise SystemExit(f"{process.args} does not listen")


def letter(number):
    text = f"From: Ada <ada@example.com>\r\nSubject: letter {number}\r\n\r\nLetter number {number}.\r\n.\r\nend\r\n"
    return text.encode()


class Server:
    """What the three have in common: a directory, processes, and the end of both."""

    def __init__(self, directory, tls=None, letters=None):
        """`tls`: the files of a certificate and its key, or none for a server in clear. `letters`: a folder whose
        files are in the inbox from the start; the five of `letter` if it is none."""
        self.directory = directory
        self.processes = []
        self.tls, self.letters = tls, letters
        self.imap, self.pop3 = free_port(), free_port()
        self.imaps, self.pop3s = free_port(), free_port()

    def spawn(self, *args, **more):
        log = open(os.path.join(self.directory, "log"), "ab")
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True, **more)
        log.close()
        self.processes.append(process)
        return process

    def log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        """Ends each process by its id, and the session of processes that it leads."""
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def executed(self, mark):
        """What the server's own log says it executed since the mark; None where it keeps no such log."""
        return None

    def mark(self):
        return 0


class Dovecot(Server):
    name = "Dovecot"

    def __init__(self, directory):
        super().__init__(directory)
        os.chmod(directory, 0o755)
        mail = os.path.join(directory, "mail", USER)
        for folder in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(mail, folder))
        self.fill(os.path.join(mail, "new"))
        for path, _, files in os.walk(os.path.join(directory, "mail")):
            for name in [path] + [os.path.join(path, name) for name in files]:
                os.chown(name, NOBODY, NOBODY)
        with open(os.path.join(directory, "users"), "w") as file:
            file.write(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        config = os.path.join(directory, "dovecot.conf")
        with open(config, "w") as file:
            file.write(self.configuration())
        wait_open(self.imap, self.spawn("/usr/sbin/dovecot", "-F", "-c", config))

    @staticmethod
    def fill(folder):
        for number in range(1, 6):
            with open(os.path.join(folder, f"170406720{number}.M{number}.lab"), "wb") as file:
                file.write(letter(number).replace(b"\r\n", b"\n"))

    def configuration(self):
        d = self.directory
        text = f"""
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/log
listen = 127.0.0.1
protocols = imap pop3
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:{d}/mail/%u
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 1000
passdb {{
  driver = passwd-file
  args = {d}/users
}}
userdb {{
  driver = static
  args = uid={NOBODY} gid={NOBODY} home={d}/mail/%u
}}
event_exporter executed {{
  format = json
  format_args = time-rfc3339
  transport = log
}}
metric imap_executed {{
  exporter = executed
  filter = event=imap_command_finished
}}
metric pop3_executed {{
  exporter = executed
  filter = event=pop3_command_finished
}}
"""
        for name, port in (("imap", self.imap), ("pop3", self.pop3)):
            text += (f"service {name}-login {{\n inet_listener {name} {{\n  port = {port}\n }}\n"
                     f" inet_listener {name}s {{\n  port = 0\n }}\n}}\n")
        return text

    def mark(self):
        return len(self.log())

    def executed(self, mark):
        found = []
        for line in self.log()[mark:].splitlines():
            if '{"event":"imap_command_finished"' in line or '{"event":"pop3_command_finished"' in line:
                event = json.loads(line[line.index('{"event"'):])
                found.append({**event["fields"], "at": event["end_time"]})
        return found


class Chrooted(Server):
    """A server in a copy of its unpacked packages."""
    root = None

    def __init__(self, directory, tls=None, letters=None):
        super().__init__(directory, tls, letters)
        source = os.path.join(PEERS, self.tree)
        if not os.path.isdir(source):
            raise SystemExit(f"{source} is missing: run tests/differential/install")
        # Beside the source, for hard links do not go from one file system to another.
        self.root = os.path.join(PEERS, f"{self.tree}-{os.getpid()}-{secrets.token_hex(4)}")
        subprocess.run(["cp", "-al", source, self.root], check=True)

    def inside(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def write(self, path, text, mode=0o644):
        full = self.inside(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(full)  # a hard link into the common tree
        with open(full, "w") as file:
            file.write(text)
        os.chmod(full, mode)

    def copy_tls(self):
        """The certificate and its key in one file, where the server may read it."""
        texts = []
        for name in self.tls:
            with open(name, encoding="ascii") as file:
                texts.append(file.read())
        self.write("/etc/server.pem", "".join(texts))
        return "/etc/server.pem"

    def own_directory(self, path, mode=0o755, owner=NOBODY):
        os.makedirs(self.inside(path), exist_ok=True)
        os.chown(self.inside(path), owner, owner)
        os.chmod(self.inside(path), mode)

    def devices(self):
        os.makedirs(self.inside("/dev"), exist_ok=True)
        for name, minor, mode in (("null", 3, 0o666), ("urandom", 9, 0o666), ("random", 8, 0o666)):
            if not os.path.exists(self.inside(f"/dev/{name}")):
                os.mknod(self.inside(f"/dev/{name}"), 0o020000 | mode, os.makedev(1, minor))
                os.chmod(self.inside(f"/dev/{name}"), mode)

        # What goes to syslog goes to our log.
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        at = os.path.relpath(self.inside("/dev/log"))
        self.syslog.bind(at)
        os.chmod(at, 0o666)
        threading.Thread(target=self.keep_log, daemon=True).start()

    def keep_log(self):
        with open(os.path.join(self.directory, "log"), "ab", buffering=0) as file, contextlib.suppress(OSError):
            while line := self.syslog.recv(8192):
                file.write(line.rstrip(b"\n\0") + b"\n")

    def enter(self):
        os.chroot(self.root)
        os.chdir("/")

    def spawn(self, *args, **more):
        return super().spawn(*args, preexec_fn=self.enter, **more)

    def call(self, *args, **more):
        done = subprocess.run(args, preexec_fn=self.enter, capture_output=True, text=True, **more)
        if done.returncode:
            raise SystemExit(f"{args}: {done.returncode}\n{done.stdout}{done.stderr}")

    def stop(self):
        super().stop()
        if self.root:
            shutil.rmtree(self.root, ignore_errors=True)


class Cyrus(Chrooted):
    name, tree = "Cyrus", "cyrus"

    def __init__(self, directory, tls=None, letters=None):
        super().__init__(directory, tls, letters)
        self.devices()
        self.write("/etc/passwd", f"root:x:0:0::/:/bin/sh\ncyrus:x:{NOBODY}:{NOBODY}::/var/lib/cyrus:/bin/sh\n")
        self.write("/etc/group", f"root:x:0:\nmail:x:{NOBODY}:\nnogroup:x:{NOBODY}:\nsasl:x:45:\n")
        for path in ("/var/lib/cyrus", "/var/spool/cyrus/mail", "/run/cyrus", "/run/cyrus/proc",
                     "/run/cyrus/lock", "/run/cyrus/socket", f"/var/lib/cyrus/log/{USER}", "/tmp"):
            self.own_directory(path)
        self.write("/etc/imapd.conf", f"""
configdirectory: /var/lib/cyrus
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: /var/spool/cyrus/mail
cyrus_user: cyrus
cyrus_group: mail
admins: cyrus
servername: localhost
unixhierarchysep: yes
altnamespace: yes
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /etc/sasldb2
sasl_mech_list: PLAIN LOGIN
autocreate_quota: 0
autocreate_post: 1
popminpoll: 0
idlesocket: /run/cyrus/socket/idle
uidl_format: uidonly
allowapop: yes
""" + ("" if tls is None else f"tls_server_cert: {self.copy_tls()}\ntls_server_key: /etc/server.pem\n"))
        listen = "cmd=\"{0} -U 1000\" listen=\"127.0.0.1:{1}\" proto=\"tcp4\" prefork=0 maxchild=50"
        self.write("/etc/cyrus.conf", "START {\n recover cmd=\"/usr/lib/cyrus/bin/ctl_cyrusdb -r\"\n}\nSERVICES {\n"
                   f" imap {listen.format('imapd', self.imap)}\n pop3 {listen.format('pop3d', self.pop3)}\n"
                   + ("" if tls is None else f" imaps {listen.format('imapd -s', self.imaps)}\n"
                                             f" pop3s {listen.format('pop3d -s', self.pop3s)}\n")
                   + "}\nEVENTS {\n}\nDAEMON {\n idled cmd=\"/usr/lib/cyrus/bin/idled\"\n}\n")
        self.call("/usr/sbin/saslpasswd2", "-p", "-c", "-u", "localhost", "-f", "/etc/sasldb2", USER, input=PASSWORD)
        os.chmod(self.inside("/etc/sasldb2"), 0o644)
        for folder in ("db", "proc", "socket", "ptclient", "user", "quota", "msg", "sync", "lock", "rpm"):
            self.own_directory(f"/var/lib/cyrus/{folder}")
        wait_open(self.imap, self.spawn("/usr/lib/cyrus/bin/master", "-D"))
        if letters is not None:
            upload(self)


class Courier(Chrooted):
    name, tree = "Courier", "courier"

    def __init__(self, directory, tls=None, letters=None):
        super().__init__(directory, tls, letters)
        self.devices()
        self.write("/etc/passwd", f"root:x:0:0::/:/bin/sh\nnobody:x:{NOBODY}:{NOBODY}::/:/bin/sh\n"
                                  "courier:x:100:100::/:/bin/sh\n")
        self.write("/etc/group", f"root:x:0:\nnogroup:x:{NOBODY}:\ncourier:x:100:\n")
        for path in (f"/mail/{USER}", "/tmp"):
            self.own_directory(path)
        self.own_directory("/run/courier/authdaemon", owner=0)
        os.makedirs(self.inside("/var"), exist_ok=True)
        if not os.path.lexists(self.inside("/var/run")):
            os.symlink("/run", self.inside("/var/run"))
        self.call("/usr/bin/maildirmake.courier", f"/mail/{USER}/Maildir")
        new = self.inside(f"/mail/{USER}/Maildir/new")
        if letters is None:
            Dovecot.fill(new)
        else:
            deliver(letters, new)
        # Its unique-ids hold the time at which this file was made.
        self.write(f"/mail/{USER}/Maildir/courierpop3dsizelist", "/3 1 1704067200\n")
        for path, _, files in os.walk(self.inside(f"/mail/{USER}")):
            for name in [path] + [os.path.join(path, name) for name in files]:
                os.chown(name, NOBODY, NOBODY)
        hashed = crypt.crypt(PASSWORD, "$6$abcdefgh")
        self.write("/etc/courier/userdb", f"{USER}\tuid={NOBODY}|gid={NOBODY}|home=/mail/{USER}|"
                                          f"mail=/mail/{USER}/Maildir|systempw={hashed}\n", 0o600)
        self.write("/etc/courier/authdaemonrc", 'authmodulelist="authuserdb"\nauthmodulelistorig="authuserdb"\n'
                   'daemons=3\nauthdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\nDEFAULTOPTIONS=""\nLOGGEROPTS=""\n')
        self.call("/usr/sbin/makeuserdb")
        self.spawn("/usr/lib/courier/courier-authlib/authdaemond")
        common = {"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "MAILDIRPATH": "Maildir", "TCPDOPTS": ""}
        if tls is not None:
            common |= {"TLS_CERTFILE": self.copy_tls(), "COURIERTLS": "/usr/bin/couriertls", "TLS_VERIFYPEER": "NONE",
                       "IMAP_STARTTLS": "YES", "POP3_STARTTLS": "YES", "IMAP_IDLE_TIMEOUT": "1"}
        offered = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
        imap = {**common, "IMAP_CAPABILITY": offered, "IMAP_CAPABILITY_TLS": f"{offered} AUTH=PLAIN", "IMAP_KEYWORDS": "1", "IMAP_ACL": "1", "IMAP_TLS_REQUIRED": "0",
                "IMAP_EMPTYTRASH": "", "IMAP_USELOCKS": "1", "IMAP_UMASK": "022", "IMAPDSTART": "YES",
                "IMAP_SHAREDINDEXFILE": "/etc/courier/shared/index", "TLS_PROTOCOL": "TLS1.2+"}
        tcpd = ["/usr/sbin/couriertcpd", "-address=127.0.0.1", "-maxprocs=100", "-maxperip=100",
                "-nodnslookup", "-noidentlookup"]
        pop3 = {**common, "POP3AUTH": "LOGIN PLAIN"}
        programs = {
            "imap": ("/usr/lib/courier/courier/imaplogin", "/usr/bin/imapd", "Maildir"),
            "pop3": ("/usr/lib/courier/courier/courierpop3login", "/usr/lib/courier/courier/courierpop3d", "Maildir"),
        }
        waits = [(self.imap, self.spawn(*tcpd, str(self.imap), *programs["imap"], env=imap)),
                 (self.pop3, self.spawn(*tcpd, str(self.pop3), *programs["pop3"], env=pop3))]
        if tls is not None:
            inside = ("/usr/bin/couriertls", "-server", "-tcpd")
            waits += [(self.imaps, self.spawn(*tcpd, str(self.imaps), *inside, *programs["imap"],
                                              env={**imap, "IMAP_TLS": "1"})),
                      (self.pop3s, self.spawn(*tcpd, str(self.pop3s), *inside, *programs["pop3"],
                                              env={**pop3, "POP3_TLS": "1"}))]
        for port, process in waits:
            wait_open(port, process)


def start(name, directory, tls=None, letters=None):
    """A running server; one that does not start leaves nothing behind, and says what it logged."""
    kind = ALL[name]
    server = kind.__new__(kind)
    try:
        server.__init__(directory, **({} if tls is None else {"tls": tls, "letters": letters}))
    except BaseException:
        with contextlib.suppress(Exception):
            print(server.log())
        server.stop()
        raise
    return server


ALL = {"dovecot": Dovecot, "cyrus": Cyrus, "courier": Courier}


def letters_of(folder):
    """The files in the order of their names, each with the second in which it arrived: one comes each minute."""
    for number, name in enumerate(sorted(os.listdir(folder))):
        with open(os.path.join(folder, name), "rb") as file:
            yield file.read(), 1704067200 + 60 * number


def deliver(folder, new):
    """Puts the files of a folder into a Maildir, whose server has not seen it yet."""
    for text, arrived in letters_of(folder):
        path = os.path.join(new, f"{arrived}.M0.lab")
        with open(path, "wb") as file:
            file.write(text)
        os.utime(path, (arrived, arrived))


def upload(server):
    """The same for a server that has no Maildir."""
    client = imaplib.IMAP4("127.0.0.1", server.imap, timeout=20)
    client.login(USER, PASSWORD)
    for text, arrived in letters_of(server.letters):
        typ, answer = client.append("INBOX", None, imaplib.Time2Internaldate(arrived), text.replace(b"\n", b"\r\n"))
        if typ != "OK":
            raise SystemExit(f"{server.name} does not take a letter: {answer}")
    client.logout()


def main():
    name, directory, chain, key, letters = sys.argv[1:]
    server = start(name, directory, (chain, key), letters)
    try:
        print(json.dumps({"imap": server.imap, "pop3": server.pop3, "imaps": server.imaps, "pop3s": server.pop3s}),
              flush=True)
        sys.stdin.read()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
