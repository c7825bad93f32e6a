"""One measurement of one peer under one workload."""

import http.client
import json
import select
import subprocess
import threading
import time

import machine
from machine import Failed

# Time for memory to settle after sessions were opened, moved something or were closed.
SETTLE = 1.5


class Clients:
    """Sessions that are open and wait for work."""

    def __init__(self, lab, peer, errand, sessions, number=1, resume=False, patience=120):
        command = [lab.load, "--threads", lab.workers, "client", errand, "--imap", f"127.0.0.1:{peer.imap}", "--pop3",
                   f"127.0.0.1:{peer.pop3}", "--ca", lab.certificates.ca, "--sessions", sessions, "--number", number]
        self.errors = lab.directory / "client.log"
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(list(map(str, command + ["--resume"] * resume)), stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors, text=True)
        self.answer(patience)

    def answer(self, patience):
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            self.process.wait()
            said = " ".join(self.errors.read_text(errors="replace").split())[:200]
            raise Failed(said or f"no answer within {patience} s")
        return json.loads(line)

    def work(self, seconds, patience=120):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer(patience)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def measure(lab, peer, workload):
    return {"work": work, "idle": idle, "calls": calls, "peak": peak, "scrape": scrape}[workload.kind](lab, peer, workload)


def work(lab, peer, workload):
    with Clients(lab, peer, workload.errand, workload.sessions, workload.number, workload.resume) as clients:
        ends = [lab.server.process.pid], [clients.process.pid]
        before = peer.cpu(), *map(machine.cpu_seconds, ends)
        done = clients.work(lab.seconds)
        cpu, server, client = (now - then for now, then in zip((peer.cpu(), *map(machine.cpu_seconds, ends)), before))
    seconds, operations, gb = done["seconds"], done["operations"], done["octets"] / 1e9
    figures = {"seconds": seconds, "operations": operations, "octets": done["octets"], "op_s": operations / seconds,
               "p50_us": done["p50_us"], "p99_us": done["p99_us"], "p999_us": done["p999_us"],
               "client_cpu_share": client / seconds, "server_cpu_share": server / seconds}
    if workload.resume:
        figures["resumed_share"] = done["resumed"] / operations
    if peer.programs:
        figures |= {"cpu_s": cpu, "cpu_us_per_op": cpu * 1e6 / operations}
    if gb:
        figures["mb_s"] = gb * 1000 / seconds
        if peer.programs:
            figures["cpu_s_per_gb"] = cpu / gb
    return figures


def idle(lab, peer, workload):
    # A few sessions bring in the pages of the code, which are no cost of a session.
    with Clients(lab, peer, "fetch", 8, 2) as warm:
        warm.work(0.2)
    time.sleep(SETTLE)
    empty = machine.pss_kib(peer.pids())
    with Clients(lab, peer, "idle", workload.sessions, patience=300) as clients:
        time.sleep(SETTLE)
        pids = peer.pids()
        fresh, descriptors = machine.pss_kib(pids), machine.descriptors(pids)
        if descriptors < 2 * workload.sessions:
            raise Failed(f"only {descriptors} descriptors for {workload.sessions} sessions")
        figures = {"empty_kib": empty, "kib_fresh": (fresh - empty) / workload.sessions}
        if not workload.fresh_only:
            clients.work(0, patience=600)
            time.sleep(SETTLE)
            figures["kib_after"] = (machine.pss_kib(peer.pids()) - empty) / workload.sessions
    return figures


def calls(lab, peer, workload):
    with Clients(lab, peer, workload.errand, workload.sessions, workload.number) as clients:
        trace = machine.Trace(peer.pids(), lab.directory)
        try:
            done = clients.work(min(lab.seconds, 1))
        finally:
            counted = trace.stop()
    mb = done["octets"] / 1e6
    return {"calls_per_mb": sum(counted.values()) / mb,
            "calls_by_name": {name: round(count / mb, 2) for name, count in sorted(counted.items(), key=lambda call: -call[1])}}


# What a scraper that prefers a format asks for.
FORMATS = {"text": "text/plain;version=0.0.4", "openmetrics": "application/openmetrics-text;version=1.0.0"}
SCRAPES = 50


def ask(port, accept):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics", headers={"Accept": accept})
    octets = connection.getresponse().read()
    connection.close()
    return octets


def scrape(lab, peer, workload):
    """Scrapes are written by threads of their own, which come with the first and may go."""
    (pid, *_), figures = peer.pids(), {}
    others = set(machine.threads(pid))
    with Clients(lab, peer, workload.errand, workload.sessions, workload.number, patience=300) as clients:
        sessions = b'mailwarden_sessions_active{listener="imap",protocol="imap"} %d\n' % workload.sessions
        if sessions not in ask(peer.admin, FORMATS["text"]):
            raise Failed(f"there are not {workload.sessions} sessions")
        for form, accept in FORMATS.items():
            done = {}
            working = threading.Thread(target=lambda: done.update(clients.work(lab.seconds)))
            before = machine.seconds_of_further_threads(pid, others)
            working.start()
            count = 0
            while working.is_alive():
                ask(peer.admin, accept)
                count += 1
            cpu = machine.seconds_of_further_threads(pid, others) - before
            if not done["operations"]:
                raise Failed("no session worked")
            figures |= {f"scrape_{form}_busy_ms": cpu * 1000 / count, f"scrapes_{form}": count,
                        f"op_s_{form}": done["operations"] / done["seconds"]}
            before = peer.cpu()
            for _ in range(SCRAPES):
                octets = ask(peer.admin, accept)
            figures |= {f"scrape_{form}_idle_ms": (peer.cpu() - before) * 1000 / SCRAPES, f"octets_{form}": len(octets)}
    return figures


def peak(lab, peer, workload):
    # A first, smaller message brings in the pages of the code.
    with Clients(lab, peer, workload.errand, 1, 2) as clients:
        clients.work(0.2)
    with Clients(lab, peer, workload.errand, 1, workload.number) as clients:
        pids = peer.pids()
        before = machine.rss_kib(pids)
        machine.reset_peak(pids)
        clients.work(0, patience=300)
        return {"before_kib": before, "peak_kib": machine.peak_kib(pids) - before}
