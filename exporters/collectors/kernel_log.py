"""Troubles in the kernel's log, counted as they are logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from exporters.catalog import kernel_log as catalog
from exporters.collector import Family
from exporters.collectors.shape import single
from exporters.sources.kernel_log import EVENTS, KernelLog

if TYPE_CHECKING:
    from exporters.registry import Settings


class KernelTroubles:
    """Gives the counts; the log is read by a thread of its own."""

    def __init__(self, kernel: KernelLog) -> None:
        self._kernel = kernel

    def collect(self) -> Sequence[Family]:
        readable = single(catalog.KERNEL_READABLE, float(self._kernel.readable))
        if not self._kernel.readable:
            return [readable]
        counts = self._kernel.events
        return [
            readable,
            Family(catalog.KERNEL_EVENTS, [((name,), float(counts[name])) for name in EVENTS]),
            single(catalog.KERNEL_LOST, float(self._kernel.lost)),
        ]


def watched(settings: Settings) -> KernelTroubles:
    """The collector, with a reader that begins now and ends with the exporter."""
    kernel = KernelLog(settings.roots.root("dev/kmsg"), lambda: settings.changed("kernel"))
    kernel.start()
    settings.on_stop(kernel.stop)
    return KernelTroubles(kernel)
