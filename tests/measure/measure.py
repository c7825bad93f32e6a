#!/usr/bin/env python3
"""Measures the proxy next to HAProxy (TLS on both sides) in the same run, on this machine.

    measure.py memory     peak memory while one large message passes by FETCH, APPEND and RETR
    measure.py idle       memory of a session in IDLE
    measure.py speed      MB/s, and processor seconds of the proxy for a GB of mail

Client, proxy and server share the machine: compare the rows of one run, never runs of two machines.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import peers
import process

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
ERRANDS = ("fetch", "append", "retr")


class Lab:
    """One synthetic server and what stands before it."""

    def __init__(self, args, directory, size):
        self.args, self.directory = args, directory
        self.certificates = peers.Certificates(directory)
        self.server = peers.upstream(args.load, directory, self.certificates, size)

    def peer(self, name):
        if name == "direct":
            return self.server
        if name == "haproxy":
            return peers.haproxy(self.directory, self.certificates, self.server, self.args.sessions)
        return peers.mailwarden(self.args.binary, self.directory, self.certificates, self.server)

    def command(self, peer, errand, **options):
        port = peer.pop3 if errand == "retr" else peer.imap
        flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        return [self.args.load, "client", errand, "--address", f"127.0.0.1:{port}", "--ca", self.certificates.ca, *flags]

    def run(self, peer, errand, **options):
        done = subprocess.run(self.command(peer, errand, **options), capture_output=True, text=True, timeout=600)
        if done.returncode:
            sys.exit(f"{peer.name} {errand}: {done.stderr}")
        return json.loads(done.stdout)

    def hold(self, peer, sessions):
        """Sessions in IDLE; they end when the value's standard input is closed."""
        holder = subprocess.Popen(self.command(peer, "idle", sessions=sessions), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        if not holder.stdout.readline():
            sys.exit(f"{peer.name}: the sessions could not be opened")
        time.sleep(2)
        return holder


def release(holder):
    holder.stdin.close()
    holder.wait(60)


def measure_memory(args, directory, report):
    lab = Lab(args, directory, args.size * MIB)
    for name in args.peers:
        for errand in ERRANDS:
            peer = lab.peer(name)
            # A first small message brings in the pages of the code, which are no cost of a session.
            lab.run(peer, errand, number=2, size=64 << 10)
            holder = lab.hold(peer, 1)
            idle = process.rss_kib(peer.pid)
            release(holder)
            process.reset_peak(peer.pid)
            lab.run(peer, errand, size=args.size * MIB)
            peak = process.peak_kib(peer.pid)
            report(peer=name, errand=errand, message_mib=args.size, idle_kib=idle, peak_kib=peak, growth_kib=peak - idle)
            peer.stop()
    lab.server.stop()


def measure_idle(args, directory, report):
    lab = Lab(args, directory, MIB)
    for name in args.peers:
        peer = lab.peer(name)
        lab.run(peer, "fetch", number=2, size=64 << 10)
        before = process.pss_kib(peer.pid)
        holder = lab.hold(peer, args.sessions)
        after, descriptors = process.pss_kib(peer.pid), process.descriptors(peer.pid)
        if descriptors < 2 * args.sessions:
            sys.exit(f"{name} has {descriptors} descriptors for {args.sessions} sessions")
        release(holder)
        time.sleep(2)
        report(peer=name, sessions=args.sessions, kib_per_session=round((after - before) / args.sessions, 1),
               before_kib=before, after_close_kib=process.pss_kib(peer.pid))
        peer.stop()
    lab.server.stop()


def measure_speed(args, directory, report):
    size = args.message * 1024
    messages = max(1, args.total * 10**6 // (size * args.connections))
    lab = Lab(args, directory, size)
    names = ["direct", *args.peers]
    running = {name: lab.peer(name) for name in names}
    for errand in ERRANDS:
        rows = {name: [] for name in names}
        for number in range(args.rounds + 1):
            for name in names:
                peer = running[name]
                before = process.cpu_seconds(peer.pid)
                done = lab.run(peer, errand, sessions=args.connections, messages=messages, size=size)
                gb = done["octets"] / 1e9
                row = (gb * 1000 / done["seconds"], (process.cpu_seconds(peer.pid) - before) / gb)
                # The first round warms up.
                rows[name] += [row] if number else []
        for name in names:
            speed, cpu = (statistics.median(column) for column in zip(*rows[name]))
            report(peer=name, errand=errand, message_kib=args.message, connections=args.connections,
                   mb_per_second=round(speed), cpu_seconds_per_gb=None if name == "direct" else round(cpu, 3))
    for peer in running.values():
        peer.stop()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "idle", "speed"])
    parser.add_argument("--peers", nargs="+", default=["haproxy", "mailwarden"], choices=["haproxy", "mailwarden"])
    parser.add_argument("--binary", default=ROOT / "target/release/mailwarden", help="the proxy")
    parser.add_argument("--load", default=ROOT / "target/release/examples/load", help="server and clients")
    parser.add_argument("--size", type=int, default=200, help="memory: MiB of the message")
    parser.add_argument("--sessions", type=int, default=1000, help="idle: sessions")
    parser.add_argument("--message", type=int, default=1024, help="speed: KiB of a message")
    parser.add_argument("--connections", type=int, default=4, help="speed: connections at a time")
    parser.add_argument("--total", type=int, default=1000, help="speed: MB for each figure")
    parser.add_argument("--rounds", type=int, default=3, help="speed: rounds, of which the median is told")
    args = parser.parse_args()
    for program in (args.load, *([args.binary] if "mailwarden" in args.peers else [])):
        if not pathlib.Path(program).exists():
            sys.exit(f"{program} is missing: cargo build --release --locked --bins --example load")
    return args


def main():
    args = arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    measures = {"memory": measure_memory, "idle": measure_idle, "speed": measure_speed}
    with tempfile.TemporaryDirectory() as directory:
        measures[args.what](args, pathlib.Path(directory), lambda **row: print(json.dumps(row), flush=True))


main()
