"""What the kernel's log says of trouble, and what scripts leave in the textfile directory."""

from __future__ import annotations

from dashboards import limits
from dashboards.board import Section, Tile, note
from dashboards.queries import Query, increase, pick, top
from dashboards.view import View
from exporters.catalog import kernel_log, own

MOST = 8


def tiles(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    return [
        house.graph(
            "Troubles in the kernel's log",
            note(
                "What the kernel logged: memory kills, I/O and file system errors, under-voltage, hung tasks, lockups.",
                "A card dies here first, days before it is read-only.",
                "sudo dmesg -T | tail -50. Nothing here may mean that the log cannot be read: install the drop-in"
                " tierwatch-exporter-kernel-log.conf.",
            ),
            [Query(top(MOST, increase(kernel_log.KERNEL_EVENTS, scope)), view.name("event"))],
            "short",
            lines=MOST,
            by_node=False,
        ),
        house.graph(
            "Kernel log lost",
            note(
                "Records of the kernel's log that were overwritten before they were read.",
                "What they said is not counted beside.",
                "sudo dmesg -T | tail: something floods the log.",
            ),
            [Query(increase(kernel_log.KERNEL_LOST, scope), view.name())],
            "short",
            lines=view.count,
            width=6,
        ),
        house.graph(
            "Textfiles unreadable",
            note(
                "1 while a file of the textfile directory cannot be read or is no valid page.",
                "What scripts tell there is missing, and alerts on it are blind.",
                "journalctl -u tierwatch-exporter | grep textfile names the file and the line.",
            ),
            [Query(pick(own.TEXTFILE_ERROR, scope), view.name())],
            "short",
            lines=view.count,
            limit=limits.ANY_WARNING,
            width=6,
            decimals=0,
        ),
    ]


def section(view: View) -> Section:
    return Section("What the kernel logs", tiles(view), collapsed=True)
