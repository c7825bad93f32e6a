"""What was measured, to be read: tables, and a plot beside them."""

import statistics

import bars
from plot import plot
from workloads import ALL, FIGURES

__all__ = ["markdown", "plot"]


def number(value):
    """Three digits that say something."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def table(header, lines):
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def names(results):
    return [name for name in results["versions"] if name != "direct"] + ["direct"] * ("direct" in results["versions"])


def cell(results, workload, peer, figure):
    """The median, and what it is of that of the peer compared with, in the same repetition."""
    found = bars.values(results["rows"], workload.name, peer, figure.key)
    if not found:
        return "cannot" if f"{workload.name} {peer}" in results["failures"] else ""
    shown = number(statistics.median(found.values()))
    against = results.get("against", bars.THEIRS)
    ratios = [] if peer == against else bars.ratios(results["rows"], workload.name, peer, figure.key, against)
    if not ratios:
        return shown
    middle, low, high = bars.spread(ratios)
    spread = f" ({low:.2f}–{high:.2f})" if len(ratios) > 1 else ""
    return f"{shown}<br>{middle:.2f} ×{spread}"


def figure_table(results, figure):
    lines = []
    for workload in ALL:
        if workload.kind not in figure.kinds or (figure.units and workload.unit not in figure.units):
            continue
        cells = [cell(results, workload, peer, figure) for peer in names(results)]
        if any(text not in ("", "cannot") for text in cells):
            lines.append([workload.what, *cells])
    return f"### {figure.title}\n\n{table(['', *names(results)], lines)}" if lines else ""


def bar_table(results):
    lines = []
    for bar, found, aimed, verdict in bars.judge(results["rows"]):
        sign = " ×" if bar.against else ""
        measured = "–"
        if found:
            middle, low, high = bars.spread(found)
            measured = f"**{number(middle)}{sign}** ({number(low)}–{number(high)})"
        against = "500 sessions" if bar.base else bar.against
        most = f"{number(bar.at_most)}{sign} {against}".strip()
        aim = "–" if bar.aim is None else f"{number(bar.aim)}{sign} {bar.aim_against}".strip()
        if aimed and bar.aim_against != bar.against:
            aim += f": {number(statistics.median(aimed))}{sign}"
        medians = [bars.values(results["rows"], bar.workload, peer, bar.figure) for peer in (bars.OURS, bars.THEIRS, bars.FLOOR)]
        lines.append([bar.what, *(number(statistics.median(found.values())) if found else "–" for found in medians),
                      measured, most, aim, verdict])
    return table(["", bars.OURS, bars.THEIRS, bars.FLOOR, "median of the ratios (least–most)", "at most", "aim", ""], lines)


def notes(results):
    at = results["machine"]
    text = (f"`{results['command']}` on {results['date']}: {at['cpus']} × {at['cpu']}, {at['memory_mib']} MiB, Linux {at['kernel']}; "
            f"{results['workers']} worker(s), {results['repetitions']} repetition(s) of {results['seconds_each']} s, "
            f"{results['took_s']} s in all.\n\n")
    lines = [[name, results["versions"].get(name, "–"), results["notes"].get(name, "")] for name in names(results)]
    text += table(["peer", "version", "workers"], lines)
    for name, why in results["missing"].items():
        text += f"\n- without {name}: {why}"
    reasons = {}
    for which, why in results["failures"].items():
        workload, peer = which.split()
        reasons.setdefault((peer, why), []).append(workload)
    for (peer, why), workloads in reasons.items():
        text += f"\n- {peer} cannot {', '.join(workloads)}: {why}"
    if results["quick"]:
        text += "\n\nA quick run: short, once, and with a tenth of the idle sessions. It shows that all works, not how fast."
    return text + "\n"


def rule_table(results):
    """Mailwarden under rules against itself without any, in the same repetition."""
    ruled = [name for name in names(results) if name.endswith("-rules")]
    lines = []
    for workload in ALL:
        for key, title in (("cpu_us_per_op", "CPU"), ("p50_us", "p50"), ("kib_fresh", "memory"), ("kib_after", "memory, after 1 MiB")):
            found = [bars.ratios(results["rows"], workload.name, peer, key, bars.OURS) for peer in ruled]
            if any(found):
                lines.append([f"{workload.what}: {title}", *(
                    "{:.3f} × ({:.3f}–{:.3f})".format(*bars.spread(ratios)) if ratios else "" for ratios in found)])
    return "## 1,000 rules against none\n\n" + table(["", *ruled], lines) if lines else ""


def markdown(results):
    parts = ["# Mailwarden and its peers\n", notes(results), "## The bars\n\n" + bar_table(results), *filter(None, [rule_table(results)]),
             f"## All figures\n\nThe median; below it the median of the ratios to {results.get('against', bars.THEIRS)} in the same "
             "repetition, and the least and the most of them.\n"]
    parts += filter(None, (figure_table(results, figure) for figure in FIGURES))
    return "\n".join(parts)
