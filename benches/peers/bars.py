"""What Mailwarden must hold against HAProxy, and what it aims at."""

import dataclasses
import statistics

OURS, THEIRS, FLOOR = "mailwarden", "haproxy", "relay"


@dataclasses.dataclass(frozen=True)
class Bar:
    what: str
    workload: str
    figure: str
    at_most: float
    aim: float | None = None
    # Whom the aim is measured against; empty for a figure that stands by itself.
    against: str = THEIRS
    aim_against: str = THEIRS
    # The workload of ours it is compared with, instead of another peer's.
    base: str | None = None


BARS = [
    Bar("FETCH 1 MiB, CPU s/GB", "fetch-1m-8", "cpu_s_per_gb", 0.50, 0.36),
    Bar("RETR 1 MiB, CPU s/GB", "retr-1m-8", "cpu_s_per_gb", 0.50, 0.36),
    Bar("FETCH 64 KiB, CPU s/GB", "fetch-64k-8", "cpu_s_per_gb", 0.55, 0.40),
    Bar("APPEND 1 MiB, CPU s/GB", "append-1m-8", "cpu_s_per_gb", 0.50, 0.36),
    Bar("FETCH 4 KiB, CPU µs/message", "fetch-4k-8", "cpu_us_per_op", 0.80, 0.70),
    Bar("NOOP, 1 connection, p50", "noop-1", "p50_us", 1.00, 1.00, aim_against=FLOOR),
    Bar("NOOP, 1 connection, p99", "noop-1", "p99_us", 1.00, 1.00, aim_against=FLOOR),
    Bar("NOOP, 64 connections, CPU µs/command", "noop-64", "cpu_us_per_op", 0.80, 0.75),
    Bar("100 pipelined FETCH FLAGS, CPU µs/command", "flags", "cpu_us_per_op", 1.00, 0.80),
    Bar("session, full handshake, CPU µs", "imap-full", "cpu_us_per_op", 0.45, 0.36),
    Bar("idle session, KiB PSS, fresh", "idle-1000", "kib_fresh", 0.70, 0.45),
    Bar("idle session, KiB PSS, after 1 MiB", "idle-1000", "kib_after", 0.70, 0.45),
    Bar("5,000 idle sessions against 500, KiB each", "idle-5000", "kib_fresh", 1.05, base="idle-500"),
    Bar("system calls per MB, FETCH 1 MiB", "calls", "calls_per_mb", 40, 15, against="", aim_against=""),
]


def values(rows, workload, peer, figure):
    """By repetition."""
    return {row["repetition"]: row[figure] for row in rows
            if row["workload"] == workload and row["peer"] == peer and row.get(figure) is not None}


def ratios(rows, workload, peer, figure, against, base=None):
    """Of the values of each repetition, which stand closest in time."""
    ours, theirs = values(rows, workload, peer, figure), values(rows, base or workload, against, figure)
    return [ours[repetition] / theirs[repetition] for repetition in sorted(ours.keys() & theirs.keys()) if theirs[repetition]]


def spread(found):
    return statistics.median(found), min(found), max(found)


def judge(rows):
    """For each bar: it, the values that are held against it and against the aim, and whether it is held."""
    for bar in BARS:
        found, aimed = (list(values(rows, bar.workload, OURS, bar.figure).values()) if not against else
                        ratios(rows, bar.workload, OURS, bar.figure, OURS if bar.base else against, bar.base)
                        for against in (bar.against, bar.aim_against))
        verdict = "not measured"
        if found:
            verdict = "held" if statistics.median(found) <= bar.at_most else "**missed**"
            if bar.aim is not None and aimed and statistics.median(aimed) <= bar.aim:
                verdict += ", aim reached"
        yield bar, found, aimed, verdict
