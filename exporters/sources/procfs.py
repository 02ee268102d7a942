"""Formats of ``/proc``: text in, plain values out. proc(5) and the kernel's Documentation/filesystems/proc.rst.

A line that does not have the expected shape is skipped where the file is a list of independent lines, and is a
CollectorFailed where the file means nothing without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exporters.collector import CollectorFailed

# The unit of the cpu lines in /proc/stat (USER_HZ); 100 on every architecture Linux still supports on boards.
USER_HZ = 100
SECTOR_BYTES = 512


@dataclass(slots=True)
class KernelStat:
    """``/proc/stat``. ``cpus``: core number -> ticks of user, nice, system, idle, iowait, irq, softirq, steal, guest,
    guest_nice (as many as the kernel writes). ``counters``: first number of every other line."""

    cpus: dict[str, list[int]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


def stat(text: str) -> KernelStat:
    result = KernelStat()
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name.startswith("cpu"):
            if len(name) > 3:
                result.cpus[name[3:]] = [int(word) for word in rest.split()]
        elif rest:
            result.counters[name] = int(rest.split(" ", 1)[0])
    if not result.cpus:
        raise CollectorFailed("/proc/stat: no cpu lines")
    return result


def loadavg(text: str) -> tuple[float, float, float]:
    """Averages of the last 1, 5 and 15 minutes."""
    words = text.split()
    try:
        return float(words[0]), float(words[1]), float(words[2])
    except (IndexError, ValueError) as error:
        raise CollectorFailed(f"/proc/loadavg: expected three numbers, found {text[:40]!r}") from error


def meminfo(text: str) -> dict[str, float]:
    """Field as node_exporter writes it (``MemTotal_bytes``, ``Active_anon_bytes``, ``HugePages_Free``) -> value."""
    fields: dict[str, float] = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        if not colon or not words:
            continue
        name = name.replace("(", "_").replace(")", "")
        if len(words) > 1 and words[1] == "kB":
            fields[name + "_bytes"] = float(words[0]) * 1024
        else:
            fields[name] = float(words[0])
    return fields


def pairs(text: str) -> dict[str, float]:
    """``name value`` lines, as of ``/proc/vmstat``."""
    result = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value:
            result[name] = float(value)
    return result


def pressure(text: str) -> dict[str, float]:
    """``some``/``full`` -> seconds stalled since boot (accounting/psi.rst); the file counts microseconds."""
    totals = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        _, found, total = rest.rpartition("total=")
        if found:
            totals[kind] = int(total) / 1e6
    return totals


def diskstats(text: str) -> list[tuple[int, int, str, list[int]]]:
    """(major, minor, device, numbers): 11, 15 (discards, 4.18) or 17 (flushes, 5.5); admin-guide/iostats.rst."""
    rows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 14:
            rows.append((int(words[0]), int(words[1]), words[2], [int(word) for word in words[3:]]))
    return rows


def netdev(text: str) -> dict[str, list[int]]:
    """``/proc/net/dev``: interface -> eight numbers received, then eight sent."""
    devices = {}
    for line in text.splitlines()[2:]:
        name, colon, rest = line.rpartition(":")
        numbers = rest.split()
        if colon and len(numbers) >= 16:
            devices[name.strip()] = [int(word) for word in numbers[:16]]
    return devices


def snmp(text: str) -> dict[str, float]:
    """``/proc/net/snmp`` and ``netstat``: pairs of a names line and a values line -> ``Tcp_CurrEstab`` and so on."""
    result: dict[str, float] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        protocol, _, fields = names.partition(": ")
        value_protocol, _, numbers = values.partition(": ")
        if protocol != value_protocol:
            raise CollectorFailed(f"names of {protocol} are followed by values of {value_protocol}")
        for name, word in zip(fields.split(), numbers.split(), strict=False):
            result[f"{protocol}_{name}"] = float(word)
    return result


def snmp6(text: str) -> dict[str, float]:
    """``/proc/net/snmp6``: ``Ip6InReceives 5`` -> ``Ip6_InReceives``."""
    result: dict[str, float] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 2:
            continue
        head, six, tail = words[0].partition("6")
        if six:
            result[f"{head}6_{tail}"] = float(words[1])
    return result


def sockstat(text: str) -> dict[str, float]:
    """``TCP: inuse 4 orphan 0`` -> ``TCP_inuse``, ``TCP_orphan``; ``mem`` counts pages."""
    result: dict[str, float] = {}
    for line in text.splitlines():
        protocol, _, rest = line.partition(":")
        words = rest.split()
        for name, value in zip(words[::2], words[1::2], strict=False):
            result[f"{protocol}_{name}"] = float(value)
    return result


def softnet(text: str) -> list[tuple[int, int, int]]:
    """``/proc/net/softnet_stat``, hexadecimal: one (processed, dropped, squeezed) for each CPU."""
    rows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3:
            rows.append((int(words[0], 16), int(words[1], 16), int(words[2], 16)))
    return rows


def udp_queues(text: str) -> tuple[int, int]:
    """Bytes waiting in all sockets of ``/proc/net/udp`` or ``udp6``: (to send, received)."""
    sending = receiving = 0
    for line in text.splitlines()[1:]:
        words = line.split(None, 5)
        if len(words) > 4:
            tx, _, rx = words[4].partition(":")
            sending += int(tx, 16)
            receiving += int(rx, 16)
    return sending, receiving


def arp(text: str) -> dict[str, int]:
    """``/proc/net/arp``: interface -> number of entries."""
    counts: dict[str, int] = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if words:
            counts[words[-1]] = counts.get(words[-1], 0) + 1
    return counts


def conntrack(text: str) -> dict[str, int]:
    """``/proc/net/stat/nf_conntrack``: column name -> sum over the CPUs; hexadecimal."""
    lines = text.splitlines()
    if not lines:
        return {}
    names = lines[0].split()
    totals = dict.fromkeys(names, 0)
    for line in lines[1:]:
        for name, word in zip(names, line.split(), strict=False):
            totals[name] += int(word, 16)
    return totals


def process(text: str) -> tuple[str, int] | None:
    """``/proc/PID/stat`` -> (state letter, threads). The command may hold spaces and brackets: count from its end."""
    _, found, rest = text.rpartition(") ")
    words = rest.split(" ", 18)
    if not found or len(words) < 18:
        return None
    return words[0], int(words[17])


def os_release(text: str) -> dict[str, str]:
    """os-release(5): ``NAME="Debian GNU/Linux"`` lines, quotes and backslashes taken off."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[name] = value.replace('\\"', '"').replace("\\$", "$").replace("\\`", "`").replace("\\\\", "\\")
    return values
