"""Disk traffic, what udev knows of each disk, and the wear of eMMC and SD cards."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporters.catalog import storage
from exporters.catalog.metric import Metric
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families
from exporters.sources import procfs
from exporters.sources.files import Roots, attribute, entries, read, to_number

# node_exporter's default: no partitions, no RAM disks.
DEVICES_EXCLUDE = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$"


class DiskStats:
    """``/proc/diskstats`` and udev's database (``/run/udev/data/bMAJOR:MINOR``)."""

    def __init__(self, roots: Roots, devices_exclude: str = DEVICES_EXCLUDE) -> None:
        self._roots = roots
        self._exclude = re.compile(devices_exclude)

    def collect(self) -> Sequence[Family]:
        rows: dict[Metric, list[Row]] = {storage.DISK_INFO: [], storage.DISK_FILESYSTEM_INFO: []}
        columns = storage.DISK_COLUMNS
        rows.update((metric, []) for metric, _ in columns)
        for major, minor, device, numbers in procfs.diskstats(read(self._roots.proc("diskstats"))):
            if self._exclude.match(device):
                continue
            labels = (device,)
            for (metric, factor), value in zip(columns, numbers, strict=False):
                rows[metric].append((labels, value * factor))
            self._describe(device, major, minor, rows)
        return families(rows)

    def _describe(self, device: str, major: int, minor: int, rows: dict[Metric, list[Row]]) -> None:
        known = _udev(attribute(self._roots.root(f"run/udev/data/b{major}:{minor}")) or "")
        rows[storage.DISK_INFO].append(
            (
                (
                    device,
                    str(major),
                    str(minor),
                    known.get("ID_PATH", ""),
                    known.get("ID_WWN", ""),
                    known.get("ID_MODEL", ""),
                    known.get("SCSI_IDENT_SERIAL") or known.get("ID_SERIAL_SHORT", ""),
                    known.get("ID_REVISION", ""),
                ),
                1.0,
            )
        )
        if usage := known.get("ID_FS_USAGE"):
            labels = (
                device,
                known.get("ID_FS_TYPE", ""),
                usage,
                known.get("ID_FS_UUID", ""),
                known.get("ID_FS_VERSION", ""),
            )
            rows[storage.DISK_FILESYSTEM_INFO].append((labels, 1.0))


def _udev(text: str) -> dict[str, str]:
    """Properties of a udev database entry: lines ``E:NAME=value``."""
    properties = {}
    for line in text.splitlines():
        if line.startswith("E:"):
            name, _, value = line[2:].partition("=")
            properties[name] = value
    return properties


class MmcWear:
    """``life_time`` (two bands of a tenth, 0x01 to 0x0b) and ``pre_eol_info`` of eMMC 5.0 and newer: JESD84-B51,
    EXT_CSD[269..267]; 0 means the device does not say. SD cards mostly say nothing."""

    def __init__(self, roots: Roots) -> None:
        self._folder = roots.sys("class/block")

    def collect(self) -> Sequence[Family]:
        life: list[Row] = []
        reserve: list[Row] = []
        for device in entries(self._folder):
            if not re.fullmatch(r"mmcblk\d+", device):
                continue
            words = (attribute(f"{self._folder}/{device}/device/life_time") or "").split()
            for area, word in zip(("a", "b"), words, strict=False):
                band = to_number(word)
                if band is not None and 1 <= band <= 11:
                    life.append(((device, area), band / 10))
            state = to_number(attribute(f"{self._folder}/{device}/device/pre_eol_info"))
            if state is not None and 1 <= state <= 3:
                reserve.append(((device,), state))
        found = families({storage.MMC_LIFE_USED: life, storage.MMC_RESERVE: reserve})
        if not found:
            raise NoData("no MMC device tells its wear")
        return found
