"""What Linux says about a process: memory, processor time, descriptors."""

import os

TICK = os.sysconf("SC_CLK_TCK")


def _field(pid, file, name):
    with open(f"/proc/{pid}/{file}") as lines:
        for line in lines:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/{file} has no {name}")


def rss_kib(pid):
    return _field(pid, "status", "VmRSS")


def peak_kib(pid):
    """The highest RSS since `reset_peak`."""
    return _field(pid, "status", "VmHWM")


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


def pss_kib(pid):
    return _field(pid, "smaps_rollup", "Pss")


def cpu_seconds(pid):
    """User and system time of all its threads."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
