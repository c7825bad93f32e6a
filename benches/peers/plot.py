"""The ratios to HAProxy as a picture: a row for each workload, a dot for each peer, a line for the spread."""

import math
from html import escape

import bars
from workloads import NAMED

ROWS = [("fetch-1m-8", "cpu_s_per_gb", "CPU s/GB"), ("retr-1m-8", "cpu_s_per_gb", "CPU s/GB"),
        ("fetch-64k-8", "cpu_s_per_gb", "CPU s/GB"), ("append-1m-8", "cpu_s_per_gb", "CPU s/GB"),
        ("fetch-4k-8", "cpu_us_per_op", "CPU µs"), ("noop-1", "p50_us", "p50"), ("noop-1", "p99_us", "p99"),
        ("noop-64", "cpu_us_per_op", "CPU µs"), ("flags", "cpu_us_per_op", "CPU µs"), ("imap-full", "cpu_us_per_op", "CPU µs"),
        ("imap-resumed", "cpu_us_per_op", "CPU µs"), ("pop3-full", "cpu_us_per_op", "CPU µs"), ("mixed", "cpu_us_per_op", "CPU µs"),
        ("calls", "calls_per_mb", "per MB"), ("idle-1000", "kib_fresh", "KiB fresh"), ("idle-1000", "kib_after", "KiB after 1 MiB")]
COLOURS = {"mailwarden": "#c2410c", "relay": "#0f766e", "haproxy": "#334155", "nginx": "#2563eb", "dovecot": "#7c3aed",
           "stunnel": "#a16207", "sslsplit": "#be185d", "mitmproxy": "#65a30d"}
LEFT, WIDTH, TOP, HEIGHT, STEP = 330, 640, 96, 30, 30
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
FONT = 'font-family="sans-serif" font-size="13"'


def points(results):
    """The rows that were measured, each with the ratios of its peers."""
    rows = []
    for workload, figure, unit in ROWS:
        found = {peer: bars.ratios(results["rows"], workload, peer, figure, bars.THEIRS) for peer in COLOURS if peer != bars.THEIRS}
        found = {peer: bars.spread(ratios) for peer, ratios in found.items() if ratios}
        if found:
            rows.append((f"{NAMED[workload].what}: {unit}", workload, figure, found))
    return rows


def plot(results):
    rows = points(results)
    values = [value for *_, found in rows for spread in found.values() for value in spread] + [0.4, 1.25]
    low, high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
    bottom = TOP + STEP * len(rows)

    def x(value):
        return LEFT + WIDTH * (math.log10(value) - low) / (high - low)

    shown = [peer for peer in COLOURS if peer == bars.THEIRS or any(peer in found for *_, found in rows)]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 30} {bottom + 50}" {FONT}>',
             '<rect width="100%" height="100%" fill="#fff"/>',
             '<text x="16" y="26" font-size="17" font-weight="bold">What a proxy costs, as a multiple of HAProxy (less is better)</text>',
             *legend(shown), *grid(x, low, high, bottom)]
    for index, (label, workload, figure, found) in enumerate(rows):
        y = TOP + STEP * index + STEP / 2
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        parts += limit(x, y, workload, figure)
        # Ours is drawn last: nothing hides it.
        for peer in sorted(found, key=lambda peer: peer == bars.OURS):
            middle, least, most = found[peer]
            colour = COLOURS[peer]
            parts.append(f'<line x1="{x(least):.1f}" x2="{x(most):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2" opacity="0.5"/>')
            size = 6 if peer == bars.OURS else 4.5
            parts.append(f'<circle cx="{x(middle):.1f}" cy="{y}" r="{size}" fill="{colour}"><title>{escape(peer)} {middle:.2f}</title></circle>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def legend(shown):
    at = 16
    for peer in shown:
        yield f'<circle cx="{at + 5}" cy="52" r="5" fill="{COLOURS[peer]}"/><text x="{at + 16}" y="56">{escape(peer)}</text>'
        at += 34 + 8 * len(peer)
    yield f'<path d="M{at + 5} 45v14" stroke="#c2410c" stroke-width="2"/><text x="{at + 14}" y="56">what Mailwarden may take at most</text>'


def grid(x, low, high, bottom):
    for tick in TICKS:
        if low <= math.log10(tick) <= high:
            strong = ' stroke="#334155" stroke-width="1.5"' if tick == 1 else ' stroke="#e2e8f0"'
            yield f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 8}" y2="{bottom}"{strong}/>'
            yield f'<text x="{x(tick):.1f}" y="{bottom + 20}" text-anchor="middle">{tick:g} ×</text>'
    yield f'<text x="{x(1):.1f}" y="{bottom + 38}" text-anchor="middle" fill="#334155">haproxy</text>'


def limit(x, y, workload, figure):
    for bar in bars.BARS:
        if (bar.workload, bar.figure, bar.against) == (workload, figure, bars.THEIRS) and not bar.base:
            yield f'<path d="M{x(bar.at_most):.1f} {y - 9}v18" stroke="#c2410c" stroke-width="2"/>'
