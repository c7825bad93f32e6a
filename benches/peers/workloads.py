"""The workloads, and the figures that each yields."""

import dataclasses

SIZES = {"4k": (1, 4 << 10), "64k": (2, 64 << 10), "1m": (3, 1 << 20), "25m": (4, 25 << 20), "200m": (5, 200 << 20)}

# kind "work": a time of work in open sessions, or in one session after another.
# kind "idle": memory of sessions in IDLE, fresh, and after each has moved 1 MiB.
# kind "calls": system calls while messages pass, under strace.
# kind "scrape": processor time of scrapes while all sessions work, and while they wait.
# kind "peak": the highest memory while one large message passes.


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    kind: str
    errand: str
    sessions: int
    what: str
    size: str = "4k"
    resume: bool = False
    # What one operation is called.
    unit: str = "command"
    # Only the memory of fresh sessions.
    fresh_only: bool = False
    # Only these peers.
    only: tuple = ()

    @property
    def number(self):
        return SIZES[self.size][0]

    def smaller(self):
        """For a quick run: fewer idle sessions, under the same name."""
        return dataclasses.replace(self, sessions=self.sessions // 10) if self.kind == "idle" else self


def bulk(errand, size, sessions):
    name = {"fetch": "FETCH", "retr": "RETR", "append": "APPEND"}[errand]
    shown = size.replace("k", " KiB").replace("m", " MiB")
    return Workload(f"{errand}-{size}-{sessions}", "work", errand, sessions, f"{name} {shown}, {sessions} conn.", size,
                    unit="message")


def session(name, errand, what, resume):
    return Workload(name, "work", errand, 8, what, resume=resume, unit="session")


ALL = [
    *(bulk(errand, size, sessions) for errand in ("fetch", "retr") for size in ("4k", "64k", "1m", "25m")
      for sessions in (1, 8, 64)),
    bulk("append", "1m", 8),
    Workload("noop-1", "work", "noop", 1, "NOOP, 1 conn."),
    Workload("noop-64", "work", "noop", 64, "NOOP, 64 conn."),
    Workload("flags", "work", "flags", 8, "100 pipelined FETCH FLAGS, 8 conn."),
    session("imap-full", "session", "IMAP login and logout, full handshake", False),
    session("imap-resumed", "session", "IMAP login and logout, resumed", True),
    session("pop3-full", "collect", "POP3 STAT UIDL RETR QUIT, full handshake", False),
    session("pop3-resumed", "collect", "POP3 STAT UIDL RETR QUIT, resumed", True),
    Workload("mixed", "work", "mixed", 64, "mixed, 64 conn."),
    Workload("calls", "calls", "fetch", 8, "system calls in FETCH 1 MiB, 8 conn.", "1m"),
    Workload("idle-500", "idle", "idle", 500, "500 sessions in IDLE", fresh_only=True),
    Workload("idle-1000", "idle", "idle", 1000, "1,000 sessions in IDLE"),
    Workload("idle-5000", "idle", "idle", 5000, "5,000 sessions in IDLE"),
    Workload("scrape-1000", "scrape", "noop", 1000, "a scrape with 1,000 sessions", only=("mailwarden",)),
    *(Workload(f"peak-{errand}", "peak", errand, 1, f"peak memory, {errand.upper()} 200 MiB", "200m")
      for errand in ("fetch", "append", "retr")),
]

NAMED = {workload.name: workload for workload in ALL}

# What the bars are about. How the memory of a session depends on their number is asked of one peer only.
BARS = [
    *(NAMED[name] for name in ("fetch-1m-8", "retr-1m-8", "fetch-64k-8", "append-1m-8", "fetch-4k-8", "noop-1", "noop-64",
                               "flags", "imap-full", "calls", "idle-1000")),
    *(dataclasses.replace(NAMED[name], fresh_only=True, only=("mailwarden",)) for name in ("idle-500", "idle-5000")),
]


@dataclasses.dataclass(frozen=True)
class Figure:
    key: str
    title: str
    kinds: tuple
    # Of which operations it is told, "" for all.
    units: tuple = ()
    less_is_better: bool = True


FIGURES = [
    Figure("cpu_s_per_gb", "Processor seconds of the peer for a GB of mail", ("work",), ("message",)),
    Figure("cpu_us_per_op", "Processor time of the peer, µs for a command, message or session", ("work",)),
    Figure("mb_s", "MB of mail in a second", ("work",), ("message",), less_is_better=False),
    Figure("op_s", "Commands, messages or sessions in a second", ("work",), less_is_better=False),
    Figure("p50_us", "Latency, median, µs", ("work",)),
    Figure("p99_us", "Latency, 99th percentile, µs", ("work",)),
    Figure("p999_us", "Latency, 99.9th percentile, µs", ("work",)),
    Figure("kib_fresh", "KiB (PSS) for an idle session, fresh", ("idle",)),
    Figure("kib_after", "KiB (PSS) for an idle session after it has moved 1 MiB", ("idle",)),
    Figure("calls_per_mb", "System calls for a MB of mail", ("calls",)),
    *(Figure(f"scrape_{form}_{when}_ms", f"Processor ms of a scrape, {form}, {what}", ("scrape",))
      for form in ("text", "openmetrics")
      for when, what in (("busy", "the thread that writes it, while all sessions work"), ("idle", "the whole process, while they wait"))),
    Figure("peak_kib", "Growth of memory (RSS) at its peak, KiB", ("peak",)),
]
