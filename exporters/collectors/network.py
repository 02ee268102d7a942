"""Traffic and state of the network interfaces."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporters.catalog import network
from exporters.catalog.metric import Metric
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families
from exporters.sources import procfs
from exporters.sources.files import Roots, attribute, entries, number, read

# Docker makes a veth pair with a new name for every container start: forty series that end with the container.
TRAFFIC_EXCLUDE = r"^(lo|veth.*)$"
CLASS_EXCLUDE = r"^veth"


class NetworkTraffic:
    """``/proc/net/dev``, and packets nobody wanted from sysfs."""

    def __init__(self, roots: Roots, exclude: str = TRAFFIC_EXCLUDE) -> None:
        self._roots = roots
        self._exclude = re.compile(exclude)

    def collect(self) -> Sequence[Family]:
        columns = (*network.RECEIVE, *network.TRANSMIT)
        rows: dict[Metric, list[Row]] = {metric: [] for metric in columns}
        rows[network.RECEIVE_NOHANDLER] = []
        for device, numbers in procfs.netdev(read(self._roots.proc("net/dev"))).items():
            if self._exclude.match(device):
                continue
            labels = (device,)
            for metric, value in zip(columns, numbers, strict=True):
                rows[metric].append((labels, float(value)))
            unwanted = number(self._roots.sys(f"class/net/{device}/statistics/rx_nohandler"))
            if unwanted is not None:
                rows[network.RECEIVE_NOHANDLER].append((labels, unwanted))
        return families(rows)


class NetworkClass:
    """``/sys/class/net`` (Documentation/ABI/testing/sysfs-class-net)."""

    def __init__(self, roots: Roots, exclude: str = CLASS_EXCLUDE) -> None:
        self._folder = roots.sys("class/net")
        self._exclude = re.compile(exclude)

    def collect(self) -> Sequence[Family]:
        rows: dict[Metric, list[Row]] = {metric: [] for metric in network.CLASS_ATTRIBUTES.values()}
        rows.update({network.SPEED: [], network.UP: [], network.INFO: []})
        for device in entries(self._folder):
            folder = f"{self._folder}/{device}"
            state = None if self._exclude.match(device) else attribute(f"{folder}/operstate")
            if state is None:
                continue  # excluded, a file such as bonding_masters, or gone since the listing
            self._describe(device, folder, state, rows)
        found = families(rows)
        if not found:
            raise NoData("no network interfaces")
        return found

    def _describe(self, device: str, folder: str, state: str, rows: dict[Metric, list[Row]]) -> None:
        labels = (device,)
        rows[network.UP].append((labels, 1.0 if state == "up" else 0.0))
        words = [attribute(f"{folder}/{name}") or "" for name in ("address", "broadcast", "duplex", "ifalias")]
        rows[network.INFO].append(((device, words[0], words[1], words[2], state, words[3]), 1.0))
        for name, metric in network.CLASS_ATTRIBUTES.items():
            value = number(f"{folder}/{name}")
            if value is not None:
                rows[metric].append((labels, value))
        megabits = number(f"{folder}/speed")
        if megabits is not None and megabits >= 0:  # -1: the driver does not know
            rows[network.SPEED].append((labels, megabits * 1e6 / 8))
