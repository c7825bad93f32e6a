"""What Linux knows: processes, their processor time and memory, free ports, certificates."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time

SERVER_EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"


class Failed(Exception):
    """A peer, a client or a tool did not do what was asked; the text says what."""


# What keeps the ports that were given from everybody else, as long as this program runs.
held = []


def free_port():
    """A port of loopback that the system gives to nobody else: bound, yet shared with a server told to listen on it."""
    held.append(socket.socket())
    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held[-1].bind(("127.0.0.1", 0))
    return held[-1].getsockname()[1]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Certificates:
    """An authority and a leaf for localhost, ECDSA P-256, made with openssl."""

    def __init__(self, directory):
        self.ca, self.ca_key, self.chain, self.key, self.both = (
            directory / name for name in ("ca.pem", "ca.key", "leaf.pem", "leaf.key", "both.pem"))
        request, extensions = directory / "leaf.csr", directory / "leaf.ext"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *new_key, "-keyout", self.ca_key, "-out", self.ca, "-subj", "/CN=measure", "-days", 7,
                "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost")
        extensions.write_text(SERVER_EXTENSIONS)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-days", 7, "-out", self.chain,
                "-extfile", extensions)
        self.both.write_text(self.chain.read_text() + self.key.read_text())


def descendants(pid):
    """The process and all that it started, directly or not."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += parents.get(parent, [])
    return found


class Program:
    """A program that was started here, and is ended by its process id."""

    def __init__(self, name, command, log):
        self.name, self.log = name, log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output)

    def wait_for(self, ports):
        limit = time.monotonic() + 30
        for port in ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > limit:
                        self.stop()
                        said = self.log.read_text(errors="replace").strip()[-600:]
                        raise Failed(f"{self.name} does not start: {said}") from None
                    time.sleep(0.02)

    def pids(self):
        return descendants(self.process.pid)

    def stop(self):
        if self.process.poll() is not None:
            return
        left = [(pid, started(pid)) for pid in self.pids()[1:]]
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, start in left:
            # An id may have been given to another process since.
            if start is not None and started(pid) == start:
                os.kill(pid, signal.SIGKILL)


def started(pid):
    """When the process began, in ticks since the machine did; none when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def cpu_seconds(pids):
    """User and system time of the processes with all their threads, ended ones too, to the nanosecond."""
    total = 0
    for pid in pids:
        try:
            # The clock of another process, as clock_getcpuclockid(3) names it.
            total += time.clock_gettime_ns((~pid << 3) | 2)
        except OSError:
            continue
    return total / 1e9


def threads(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def seconds_of_further_threads(pid, known):
    """User and system time of the threads of a process that are not among these, and have not ended."""
    further = (thread for thread in threads(pid) if thread not in known)
    return sum(int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) for thread in further) / 1e9


def field_kib(pids, file, name):
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/{file}").read_text()
        total += int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1])
    return total


def pss_kib(pids):
    return field_kib(pids, "smaps_rollup", "Pss")


def rss_kib(pids):
    return field_kib(pids, "status", "VmRSS")


def peak_kib(pids):
    """The highest RSS since `reset_peak`."""
    return field_kib(pids, "status", "VmHWM")


def reset_peak(pids):
    for pid in pids:
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pids):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


class Trace:
    """Counts the system calls of processes while it is open."""

    def __init__(self, pids, directory):
        self.file = directory / "strace.txt"
        self.log = directory / "strace.log"
        attach = [text for pid in pids for text in ("-p", str(pid))]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["strace", "-c", "-f", "-o", str(self.file), *attach], stdout=log, stderr=log)
        limit = time.monotonic() + 20
        while self.log.read_text().count("attached") < len(pids):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise Failed(f"strace cannot attach: {self.log.read_text().strip()[-300:]}")
            time.sleep(0.02)

    def stop(self):
        """Calls by name."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        calls = {}
        for line in self.file.read_text().splitlines():
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls[words[-1]] = calls.get(words[-1], 0) + int(words[3])
        return calls


def describe():
    """The machine, for whoever reads the figures later."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]
    return {"cpu": cpu, "cpus": os.cpu_count(), "memory_mib": int(memory) // 1024, "kernel": os.uname().release}
