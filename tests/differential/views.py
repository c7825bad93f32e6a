"""Whether what a server executed is what the proxy judged and let up."""
import json


# A server may take longer to refuse a login than a session waits for it.
SLOW = {"AUTHENTICATE", "LOGIN"}


class Judged:
    """What the proxy's log says of one session."""

    def __init__(self):
        self.commands = []   # [id, tag, name] in order
        self.answered = {}   # id: by whom
        self.violations = []
        self.listener = self.client = self.reason = None

    def let_up(self):
        """Commands that went up and were answered from there."""
        return [(tag, name) for number, tag, name in self.commands
                if self.answered.get(number) not in ("policy", "syntax", "proxy")]

    def given_up(self):
        """Commands that went up, and whose client then lost its way: the proxy answers these, and ends them upstream."""
        return [(tag, name) for number, tag, name in self.commands
                if self.answered.get(number) == "syntax" and name in ("IDLE", "AUTHENTICATE", "AUTH", "APPEND")]


def read_log(text):
    """The sessions of each listener, in the order of their numbers."""
    by_number = {}
    for line in text.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if "session" not in event:
            continue
        judged = by_number.setdefault(event["session"], Judged())
        message = event.get("message")
        if message == "command begun":
            judged.commands.append((event["command_id"], event.get("tag"), event["command"]))
        elif message == "command completed":
            judged.answered[event["command_id"]] = event["by"]
        elif message == "protocol violation":
            judged.violations.append((event["side"], event["kind"]))
        elif message == "session ended":
            judged.reason, judged.listener = event["reason"], event["listener"]
            judged.client = int(event["client"].rsplit(":", 1)[1])
    by_listener = {}
    for _, judged in sorted(by_number.items()):
        by_listener.setdefault(judged.listener, []).append(judged)
    return by_listener


def imap_differences(judged, executed, own_log):
    """Sentences, one for each difference: `executed` are the completion results that the server gave, `own_log`
    the commands that it logged as executed, if it keeps such a log."""
    found = []
    let_up = judged.let_up()
    names = {}
    for tag, name in let_up:
        names.setdefault(tag, []).append(name)
    left = {tag: len(all_names) for tag, all_names in names.items()}
    given_up = {}
    for tag, name in judged.given_up():
        names.setdefault(tag, []).append(name)
        given_up[tag] = given_up.get(tag, 0) + 1
    for tag, status in executed:
        if tag.startswith("MW") and tag not in left:
            continue
        if left.get(tag, 0) > 0:
            left[tag] -= 1
        elif given_up.get(tag, 0) > 0:
            given_up[tag] -= 1
        else:
            found.append(f"the server answered {tag!r} {status}, which was not let up")
    if judged.reason == "client_eof":  # nobody ended the session before the last answer
        found += [f"{tag!r} {names[tag]} was let up and never answered" for tag, count in left.items()
                  if count > 0 and not set(names[tag]) <= SLOW]
    for entry in own_log or []:
        tag, name = entry.get("cmd_tag", ""), logged_name(entry)
        if tag.startswith("MW") and tag not in names:
            continue
        if name not in names.get(tag, []):
            found.append(f"the server executed {tag!r} as {name}, judged as {names.get(tag)}")
    return found


def logged_name(entry):
    """The name in Dovecot's log; it calls what no plugin serves `unknown`."""
    name = entry.get("cmd_name", "nothing it knows").upper()
    return entry.get("cmd_input_name", name).upper() if name == "UNKNOWN" else name


def pop3_differences(judged, recorded, own_log):
    """The same for POP3, which has no tags: every line that went up must be a command that was let up, in order."""
    found = []
    up = bytes(recorded.up)
    if b"\r" in up.replace(b"\r\n", b"") or b"\n" in up.replace(b"\r\n", b""):
        found.append("a bare CR or LF went up")
    # In order, and whether it surely went up.
    waiting = [(name.upper(), judged.answered.get(number) != "syntax") for number, _, name in judged.commands
               if judged.answered.get(number) not in ("policy", "proxy")]
    judged_names, exchange = [name for name, _ in waiting], False
    for line in up.decode("latin-1").split("\r\n")[:-1]:
        keyword = line.split(" ")[0].upper()
        while waiting and waiting[0][0] != keyword and not waiting[0][1]:
            waiting.pop(0)
        if waiting and keyword == waiting[0][0]:
            waiting.pop(0)
            exchange = keyword == "AUTH"
        elif exchange:
            exchange = False
        elif keyword != "CAPA":
            found.append(f"{keyword!r} went up, judged were {judged_names}")
    for entry in own_log or []:
        name = logged_name(entry)
        if name in judged_names:
            judged_names.remove(name)
        elif name != "CAPA":
            found.append(f"the server executed {name}, which was not let up")
    return found
