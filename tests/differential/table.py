"""The table of what the servers and the proxy make of the same octets."""
import re

import wire

HEAD = """# What real servers make of the same octets

Made by `tests/differential/compare.py --table`: each session is sent to Dovecot 2.3, Cyrus IMAP 3.6 and Courier
IMAP 5.0 directly, and through the proxy (posture `enforce`) to each of them. A row is a session that the three
do not answer alike, or that the proxy answers differently from all of them.

IMAP cells give the tag and status of each answer but those to LOGIN, SELECT and the NOOP at the end; POP3 cells a
`+` or `-` for each status. `evil1` and `evil2` stand where a literal, a quoted string, a refused line or a message
holds what looks like a command: an answer to them, where the client meant no command, is what a smuggler looks
for. In the proxy's column, an answer to `evil1` means that the proxy, too, took it for a command, and judged it; `no
answer` there means that it closed with `* BYE`, since it could not know where the next command begins.

"""


def add(rows, server, protocol, direct, proxied):
    """Notes what each session came to at this server, direct, and at the proxy before it."""
    for kind, all_played in (("", direct), (" proxied", proxied)):
        for played in all_played:
            row = rows.setdefault((protocol, played.session.kind, played.session.name), {})
            row[server + kind] = outcome(protocol, played.came)


def outcome(protocol, came):
    """The answers in short: `t1 OK, evil1 BAD`, or `+ + -` for POP3."""
    if protocol == "imap":
        shown = [f"{tag} {status}" for tag, status in wire.completions(came) if tag not in ("l", "s", "end")]
        return ", ".join(shown) or "no answer"
    lines = [line.split(b" ")[0].strip() for line in came.split(b"\n")]
    return "".join({b"+OK": "+", b"-ERR": "-"}.get(line, "") for line in lines)


def cell(text):
    """Text that keeps its place in a Markdown table."""
    shown = re.sub(r"[^ -~]", lambda match: f"\\x{ord(match[0]):02x}", text)[:90]
    return f"`` {shown} ``".replace("|", "\\|") if shown else ""


def write(path, rows):
    """The rows in which somebody differs."""
    names = sorted({name for row in rows.values() for name in row if " " not in name})
    lines = ["| session | " + " | ".join(names) + " | proxy before them |", "|" + " --- |" * (len(names) + 2)]
    same = 0
    for (protocol, kind, name), row in rows.items():
        direct = [row.get(server, "") for server in names]
        proxied = [row.get(f"{server} proxied", "") for server in names]
        if len(set(direct)) == 1 and proxied == direct:
            same += 1
            continue
        proxy = proxied[0] if len(set(proxied)) == 1 else "; ".join(f"{server}: {text}" for server, text in zip(names, proxied))
        lines.append("| " + " | ".join([cell(f"{kind}: {name}"), *map(cell, direct), proxy and cell_long(proxy)]) + " |")
    lines += ["", f"{same} more sessions are answered alike by all, directly and through the proxy."]
    with open(path, "w", encoding="utf-8") as file:
        file.write(HEAD + "\n".join(lines) + "\n")


def cell_long(text):
    return cell(text) if len(text) < 90 else "<br>".join(cell(part) for part in text.split("; "))
