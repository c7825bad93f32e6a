"""What the dashboards show: rows of panels, each with its question as description.

In queries `{M` begins the selection by job and instance, and `[R]` is the window of rates.
"""

CONNECTIONLESS = "name_unknown|refused|connect_timeout|unreachable"
FAULTS = "upstream_connect|upstream_tls|upstream_greeting|upstream_violation|overload|internal"


def rate(family, by, more=""):
    """The rate of a counter, summed by labels."""
    return f"sum by ({by}) (rate(mailwarden_{family}{{M{more}}}[R]))"


def quantile(share, family, by, more=""):
    """A quantile of a histogram, by labels."""
    inner = f"sum by (le, {by}) (rate(mailwarden_{family}_bucket{{M{more}}}[R]))"
    return f"histogram_quantile({share}, {inner})"


def panel(title, description, unit, *targets, kind="timeseries", width=8, red=None, red_below=None, stack=False,
          text="auto"):
    """Targets are pairs of a query and the legend of its series; from `red` on, or below `red_below`, values are red."""
    return {
        "title": title, "description": description, "unit": unit, "targets": targets, "kind": kind, "width": width,
        "red": red, "red_below": red_below, "stack": stack, "text": text,
    }


P = ',protocol=~"$protocol"'
U = ',upstream=~"$upstream"'

OVERVIEW = [
    ("Is mail served?", [
        panel("Proxies up", "Instances that answer scrapes; the number should be that of your instances. Red: none "
              "does; see MailwardenDown in the runbook.", "short", ("sum(up{M})", "up"), kind="stat", width=4, red_below=1),
        panel("Sessions", "Sessions open now.", "short",
              (f"sum(mailwarden_sessions_active{{M{P}}})", "sessions"), kind="stat", width=4),
        panel("Sessions that failed", "Share of ended sessions that ended through a fault of an upstream or of the "
              "proxy. Clients that hang up are not counted. Red: 'Why sessions end' has the reason.", "percentunit",
              (f'sum(rate(mailwarden_sessions_closed_total{{M{P},reason=~"{FAULTS}"}}[R])) / '
               f"sum(rate(mailwarden_sessions_closed_total{{M{P}}}[R]))", "failed"),
              kind="stat", width=4, red=0.02),
        panel("Commands", "Commands ended a second.", "ops",
              (f"sum(rate(mailwarden_commands_total{{M{P}}}[R]))", "commands"), kind="stat", width=4),
        panel("Answer time, p99", "Time that servers take for a command, without IDLE and rare commands. "
              "Red: *Upstreams and TLS* says which server and which command.", "s", (f"histogram_quantile(0.99, sum by (le) (rate(mailwarden_command_duration_seconds_bucket"
                    f'{{M{P},command!="other"}}[R])))', "p99"), kind="stat", width=4, red=1),
        panel("Sessions ended by a panic", "Faults in the proxy itself since the start. Anything but 0 should be "
              "reported.", "short", ("sum(mailwarden_task_panics_total{M})", "panics"), kind="stat", width=4, red=1),
    ]),
    ("Rate, errors and duration by protocol", [
        panel("Commands by result", "ok, no and bad are the server's answers (no is also -ERR); denied is a rule of "
              "the policy; error is what the proxy refused as malformed.", "ops",
              (rate("commands_total", "protocol, result", P), "{{protocol}} {{result}}"), stack=True),
        panel("Commands that did not succeed", "Share of commands whose result is not ok, by command. Red: *Policy* says "
              "whether the server, a rule or the syntax refuses them.", "percentunit",
              (f'{rate("commands_total", "protocol, command", P + ",result!=" + chr(34) + "ok" + chr(34))} / '
               f'({rate("commands_total", "protocol, command", P)} > 0)', "{{protocol}} {{command}}"), red=0.1),
        panel("Answer time by protocol", "Time from a command's end to the server's answer: median, 95th and 99th "
              "percentile.", "s",
              *[(quantile(share, "command_duration_seconds", "protocol", P + ',command!="other"'),
                 "{{protocol}} " + name) for share, name in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")]]),
    ]),
    ("By listener", [
        panel("New sessions", "Sessions opened a second.", "ops",
              (rate("sessions_opened_total", "listener", P), "{{listener}}")),
        panel("Why sessions end", "logout and client_eof are the usual ends; upstream_connect, upstream_tls and "
              "upstream_greeting say that a server is not usable.", "ops",
              (rate("sessions_closed_total", "listener, reason", P), "{{listener}} {{reason}}"), stack=True),
        panel("Connections turned away", "max_sessions: the limit of the listener is reached. descriptors: the "
              "process has no file descriptors left. Red: clients get no session; see MailwardenTurnsAway in the runbook.",
              "ops", (rate("connections_rejected_total", "listener, reason"), "{{listener}} {{reason}}"), red=0.1),
        panel("Sessions open", "By listener. A fall to nothing with no stop of the proxy is a network that is cut.", "short",
              (f"sum by (listener) (mailwarden_sessions_active{{M{P}}})", "{{listener}}"), width=6),
        panel("Room for connections", "Share of the connections that a listener takes (connections of [limits]) in use. Red: "
              "raise it if memory and descriptors allow, or see who opens so many (/api/top?by=clients).", "percentunit",
              ("max by (listener) (mailwarden_connections_active{M} / mailwarden_connections_limit{M})", "{{listener}}"),
              width=6, red=0.8),
        panel("Sessions by state", "Of the protocol: a crowd before log-in is an attack or a server that hangs.", "short",
              (f"sum by (protocol, state) (mailwarden_sessions_in_state{{M{P}}})", "{{protocol}} {{state}}"),
              stack=True, width=6),
        panel("Length of sessions", "Median and 95th percentile of sessions that ended.", "s",
              *[(quantile(share, "session_duration_seconds", "protocol", P), "{{protocol}} " + name)
                for share, name in [(0.5, "p50"), (0.95, "p95")]], width=6),
    ]),
    ("Log-ins", [
        panel("Log-ins accepted", "By mechanism.", "ops",
              (rate("auth_attempts_total", "protocol, mechanism", P + ',result="accepted"'),
               "{{protocol}} {{mechanism}}"), width=12),
        panel("Log-ins refused", "By mechanism. A steady stream of these is someone who guesses passwords, or a device "
              "with an old one. Red: /api/top?by=clients&of=failures names the addresses.", "ops",
              (rate("auth_attempts_total", "protocol, mechanism", P + ',result="refused"'),
               "{{protocol}} {{mechanism}}"), width=12, red=1),
    ]),
]


POP3_CHANGES = (
    "Messages marked for deletion; they are gone with QUIT. This protocol has no uploads.",
    (rate("commands_total", "command", ',protocol="pop3",command="DELE",result="ok"'), "deleted"),
)
IMAP_CHANGES = (
    "Messages that a server told to be gone, and messages uploaded.",
    (rate("messages_expunged_total", "protocol", ',protocol="imap"'), "expunged"),
    (rate("messages_stored_total", "protocol", ',protocol="imap"'), "uploaded"),
)


def retrieval(protocol, name, changes):
    """The half of the retrieval dashboard that is about one protocol; both halves are alike."""
    only = f',protocol="{protocol}"'
    return [
        panel(f"{name}: messages retrieved", "whole: all of a message; headers: its head only; part: a MIME part; "
              "partial: a range of octets.", "ops",
              (rate("messages_retrieved_total", "extent", only), "{{extent}}"), width=12, stack=True),
        panel(f"{name}: octets of content", "Content of messages that went to clients.", "Bps",
              (rate("retrieved_bytes_total", "extent", only), "{{extent}}"), width=12, stack=True),
        panel(f"{name}: octets in one retrieval", "Mean size of what one retrieval brings.", "bytes",
              (f'{rate("retrieved_bytes_total", "extent", only)} / '
               f'({rate("messages_retrieved_total", "extent", only)} > 0)', "{{extent}}"), width=12),
        panel(f"{name}: deletes and uploads", changes[0], "ops", *changes[1:], width=12),
        panel(f"{name}: what commands are for", "In the words that both protocols share.", "ops",
              (rate("operations_total", "operation", only), "{{operation}}"), width=12, stack=True),
    ]


def side_by_side(left, right):
    """One panel of each in turn: with widths of 12 they stand next to each other."""
    return [one for pair in zip(left, right) for one in pair]


RETRIEVAL = [
    ("POP3 and IMAP", side_by_side(retrieval("pop3", "POP3", POP3_CHANGES),
                                     retrieval("imap", "IMAP", IMAP_CHANGES))),
    ("Both together", [
        panel("Octets received", "Plaintext from clients and from servers.", "Bps",
              (rate("wire_bytes_total", "protocol, from", P), "{{protocol}} from {{from}}")),
        panel("What compression leaves", "Octets on the line for each octet of plaintext; 1 is no gain.",
              "percentunit",
              ('sum by (side, flow) (rate(mailwarden_compression_bytes_total{M,form="deflated"}[R])) / '
               '(sum by (side, flow) (rate(mailwarden_compression_bytes_total{M,form="plain"}[R])) > 0)',
               "{{side}} {{flow}}")),
        panel("Octets uploaded", "Content of messages that clients stored.", "Bps",
              (rate("stored_bytes_total", "protocol", P), "{{protocol}}")),
        panel("Size of messages retrieved whole", "Median and 95th percentile.", "bytes",
              *[(quantile(share, "retrieved_message_bytes", "protocol", P), "{{protocol}} " + name)
                for share, name in [(0.5, "p50"), (0.95, "p95")]]),
        panel("IMAP sessions that wait", "For what the server tells: in IDLE, or since NOTIFY.", "short",
              ("sum(mailwarden_idle_active{M})", "IDLE"), ("sum(mailwarden_notify_active{M})", "NOTIFY")),
        panel("How often clients ask", "IMAP: from one IDLE to the next of a session (29 minutes at most); "
              "POP3: from one log-in of a user to the next. Medians.", "s",
              ("histogram_quantile(0.5, sum by (le) (rate(mailwarden_idle_reissue_interval_seconds_bucket{M}[R])))",
               "IDLE"),
              ("histogram_quantile(0.5, sum by (le) (rate(mailwarden_pop3_poll_interval_seconds_bucket{M}[R])))",
               "POP3")),
        panel("IMAP push", "IDLE commands ended, by result; NOTIFY likewise.", "ops",
              ('sum by (command, result) (rate(mailwarden_commands_total{M,command=~"IDLE|NOTIFY"}[R]))',
               "{{command}} {{result}}"), width=12),
        panel("Answer time of retrievals", "95th percentile, transfer included.", "s",
              (quantile(0.95, "command_duration_seconds", "protocol, command",
                        P + ',command=~"FETCH|RETR|TOP"'), "{{protocol}} {{command}}"), width=12),
    ]),
]

UPSTREAMS = [
    ("Upstreams", [
        panel("Attempts that failed", "Share of attempts to use an upstream that failed: not reached, no TLS, or not "
              "trusted. Red: see the reason beside, and MailwardenUpstreamFails in the runbook.", "percentunit",
              (f'{rate("upstream_connect_failures_total", "upstream", U)} / '
               f'(({rate("upstream_connect_duration_seconds_count", "upstream", U)} + '
               + rate("upstream_connect_failures_total", "upstream", U + f',reason=~"{CONNECTIONLESS}"')
               + ") > 0)", "{{upstream}}"), red=0.05),
        panel("Failures by reason", "docs/errors.md explains the reasons, and what to do about each.", "ops",
              (rate("upstream_connect_failures_total", "upstream, reason", U), "{{upstream}} {{reason}}"), stack=True),
        panel("Time to connect", "Name resolution included: median and 99th percentile. Red: the line, a firewall "
              "or the name service, before the server itself.", "s",
              *[(quantile(share, "upstream_connect_duration_seconds", "upstream", U), "{{upstream}} " + name)
                for share, name in [(0.5, "p50"), (0.99, "p99")]], red=1),
        panel("Time to greet", "From the connection to the server's greeting: median and 99th percentile. Red: the "
              "server has no room, or asks a name service about us.", "s",
              *[(quantile(share, "upstream_greeting_duration_seconds", "upstream", U), "{{upstream}} " + name)
                for share, name in [(0.5, "p50"), (0.99, "p99")]], red=1),
        panel("Connections in use", "Now, by upstream.", "short",
              (f"sum by (upstream) (mailwarden_upstream_connections{{M{U}}})", "{{upstream}}")),
        panel("Answer time of frequent commands", "95th percentile by command.", "s",
              (quantile(0.95, "command_duration_seconds", "protocol, command", P + ',command!="other"'),
               "{{protocol}} {{command}}")),
    ]),
    ("Certificates", [
        panel("Days left", "Until a certificate expires: of listeners, of the local authority, and the one an upstream "
              "showed last. An upstream is there once it was connected. Red: fewer than 14 days; renew it.", "d",
              ("(min by (usage, name) (mailwarden_certificate_expiry_timestamp_seconds{M}) - time()) / 86400",
               "{{usage}} {{name}}"), width=12, red_below=14),
        panel("Certificates made", "By the local authority, and how often it had one already.", "ops",
              ("sum(rate(mailwarden_certificates_minted_total{M}[R]))", "made"),
              ("sum(rate(mailwarden_certificate_cache_hits_total{M}[R]))", "had"), width=12),
    ]),
    ("TLS", [
        panel("Handshakes", "By side and result.", "ops",
              (rate("tls_handshakes_total", "side, result"), "{{side}} {{result}}"), stack=True),
        panel("Handshakes that failed", "Share, by side. Clients: mostly programs that do not trust the certificate. "
              "Upstreams: a certificate or a server that changed. Red: 'Handshakes' has the reason.", "percentunit",
              ('sum by (side) (rate(mailwarden_tls_handshakes_total{M,result!="ok"}[R])) / '
               "(sum by (side) (rate(mailwarden_tls_handshakes_total{M}[R])) > 0)", "{{side}}"), red=0.1),
        panel("Time of handshakes", "Median and 99th percentile by side.", "s",
              *[(quantile(share, "tls_handshake_duration_seconds", "side"), "{{side}} " + name)
                for share, name in [(0.5, "p50"), (0.99, "p99")]]),
        panel("What is agreed", "Version and cipher suite of handshakes that succeeded.", "ops",
              (rate("tls_sessions_total", "side, cipher"), "{{side}} {{cipher}}"), width=12),
        panel("Handshakes resumed", "Share of those that succeeded.", "percentunit",
              ('sum by (side) (rate(mailwarden_tls_sessions_total{M,resumed="true"}[R])) / '
               "(sum by (side) (rate(mailwarden_tls_sessions_total{M}[R])) > 0)", "{{side}}"), width=12),
    ]),
]

POLICY = [
    ("Decisions", [
        panel("Decisions by rule", "What rules decided; a mode other than enforced changes nothing.", "ops",
              (rate("policy_decisions_total", "rule, action, mode"), "{{rule}}: {{action}} {{mode}}"), stack=True,
              width=12),
        panel("Commands denied", "Share of commands that the policy refused, by command.", "percentunit",
              (f'{rate("commands_total", "protocol, command", P + ",result=" + chr(34) + "denied" + chr(34))} / '
               f'({rate("commands_total", "protocol, command", P)} > 0)', "{{protocol}} {{command}}"), width=12),
        panel("Time to decide", "Of commands for which rules are looked at: how long that takes.", "s",
              *[(f"histogram_quantile({share}, sum by (le) (rate(mailwarden_policy_evaluation_seconds_bucket{{M}}[R])))", name)
                for share, name in [(0.5, "p50"), (0.99, "p99")]],
              width=24),
    ]),
    ("Hooks", [
        panel("Questions to hooks", "By what came of them; failed: the hook did not answer, or not in time.", "ops",
              (rate("hook_answers_total", "result"), "{{result}}"), width=24),
    ]),
    ("Protocol", [
        panel("Violations", "Breaches of the protocol by who and how; docs/recording.md explains the kinds.", "ops",
              (rate("violations_total", "protocol, side, kind", P), "{{protocol}} {{side}} {{kind}}"), stack=True),
        panel("Commands refused as malformed", "Result error: not sent on to the server.", "ops",
              (rate("commands_total", "protocol", P + ',result="error"'), "{{protocol}}")),
        panel("Octets altered", "What went out otherwise than it came in, by why. All other octets arrive as sent.",
              "Bps", (rate("altered_bytes_total", "protocol, to, why, change", P),
                      "{{protocol}} to {{to}}: {{why}} {{change}}")),
        panel("Limits reached", "Of the section [limits], and of file descriptors.", "ops",
              (rate("limits_hit_total", "limit"), "{{limit}}"), width=12),
        panel("Refusals by the server", "By the class of the response code; none: the server gave no code.", "ops",
              (rate("command_failures_total", "protocol, class", P), "{{protocol}} {{class}}"), width=12),
    ]),
]

PROCESS = [
    ("Load", [
        panel("CPU", "Seconds of processor time a second, by instance; 1 is a whole core. It is counted in "
              "whole seconds, so short windows are coarse.", "short",
              ("sum by (instance) (rate(process_cpu_seconds_total{M}[R]))", "{{instance}}")),
        panel("CPU for each GB", "Seconds of processor time for 10⁹ octets received. Handshakes are in it: with many "
              "short sessions it rises.", "s",
              ("1e9 * sum by (instance) (rate(process_cpu_seconds_total{M}[R])) / "
               "(sum by (instance) (rate(mailwarden_wire_bytes_total{M}[R])) > 0)", "{{instance}}")),
        panel("Memory", "Resident memory.", "bytes",
              ("sum by (instance) (process_resident_memory_bytes{M})", "{{instance}}")),
    ]),
    ("Saturation", [
        panel("Memory for each session", "Resident memory divided by open sessions. Few sessions make it large: look at "
              "it under load.", "bytes",
              ("sum by (instance) (process_resident_memory_bytes{M}) / "
               "(sum by (instance) (mailwarden_sessions_active{M}) > 0)", "{{instance}}")),
        panel("File descriptors in use", "Share of the limit; a session takes two. Red: raise LimitNOFILE of the "
              "service.", "percentunit",
              ("sum by (instance) (process_open_fds{M}) / sum by (instance) (process_max_fds{M})", "{{instance}}"),
              red=0.8),
        panel("Threads", "Of the process.", "short", ("sum by (instance) (process_threads{M})", "{{instance}}")),
        panel("Up since", "When the process started.", "dateTimeAsIso",
              ("1000 * max by (instance) (process_start_time_seconds{M})", "{{instance}}"), kind="stat", width=12),
        panel("Version", "What runs, and how many instances of it.", "short",
              ("count by (version) (mailwarden_build_info{M})", "{{version}}"), kind="stat", width=12,
              text="value_and_name"),
    ]),
    ("Runtime", [
        panel("Time added by the proxy", "From octets being read to what came of them being written: median and 99th "
              "percentile of a sample. Red: too little CPU; see 'Workers busy'.", "s",
              *[(quantile(share, "proxy_duration_seconds", "protocol", P), "{{protocol}} " + name)
                for share, name in [(0.5, "p50"), (0.99, "p99")]], red=0.005),
        panel("Workers busy", "Share of the time of all workers; near 1 sessions wait for each other. "
              "Red: more cores (workers of [process]), or one more instance.", "percentunit",
              ("sum by (instance) (rate(mailwarden_runtime_worker_busy_seconds_total{M}[R])) / "
               "sum by (instance) (mailwarden_runtime_workers{M})", "{{instance}}"), red=0.8),
        panel("Tasks", "Alive, and waiting for a worker.", "short",
              ("sum by (instance) (mailwarden_runtime_tasks_alive{M})", "{{instance}} alive"),
              ("sum by (instance) (mailwarden_runtime_queue_depth{M})", "{{instance}} waiting")),
    ]),
    ("Disk and compression", [
        panel("Recordings", "Of sessions that a rule wants kept: begun, and missing or not whole. Red: the disk is full or "
              "slow; sessions go on all the same.", "ops",
              ("sum by (instance) (rate(mailwarden_recordings_total{M}[R]))", "{{instance}} begun"),
              ("sum by (instance, reason) (rate(mailwarden_recording_failures_total{M}[R]))",
               "{{instance}} failed: {{reason}}")),
        panel("Octets recorded", "Written to the directory of recordings. It holds at most most x size of them.", "Bps",
              ("sum by (instance) (rate(mailwarden_recording_bytes_total{M}[R]))", "{{instance}}")),
        panel("Compressed sides", "Share of compressed_sides of [limits] in use; each holds some 400 KiB. At 1 clients are "
              "refused COMPRESS and go on without.", "percentunit",
              ("sum by (instance) (mailwarden_compressed_sides{M}) / "
               "(sum by (instance) (mailwarden_compressed_sides_limit{M}) > 0)", "{{instance}}"), red=0.9),
    ]),
    ("Configuration", [
        panel("Last reload in force", "1: the configuration that was last looked at is in force; 0: it was refused, and "
              "the one before goes on. Red: the log says why; so does mailwarden check.", "short",
              ("min by (instance) (mailwarden_config_last_reload_successful{M})", "{{instance}}"), kind="stat",
              red_below=1),
        panel("Configuration read", "When the configuration in force was read.", "dateTimeAsIso",
              ("1000 * max by (instance) (mailwarden_config_last_reload_success_timestamp_seconds{M})",
               "{{instance}}"), kind="stat"),
        panel("Reloads", "In the time that is shown, by result.", "short",
              ("sum by (result) (increase(mailwarden_reloads_total{M}[$__range]))", "{{result}}"), kind="stat"),
    ]),
]

DASHBOARDS = {
    "overview": ("Mailwarden / Overview", OVERVIEW),
    "retrieval": ("Mailwarden / Retrieval", RETRIEVAL),
    "upstreams": ("Mailwarden / Upstreams and TLS", UPSTREAMS),
    "policy": ("Mailwarden / Policy", POLICY),
    "process": ("Mailwarden / Process", PROCESS),
}
