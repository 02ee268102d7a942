"""Graphics cards of NVIDIA in nodes that are no Jetson."""

from __future__ import annotations

from dashboards.board import Section, Tile, note
from dashboards.queries import Query, pick, rate, ratio
from dashboards.view import View
from exporters.catalog import board


def tiles(view: View) -> list[Tile]:
    house, scope, count = view.house, view.exporters, len(view.family("generic"))
    legend = view.name("gpu")
    used = ratio(pick(board.NVIDIA_GPU_MEMORY_USED, scope), pick(board.NVIDIA_GPU_MEMORY_SIZE, scope))
    return [
        house.graph(
            "Graphics card utilization",
            note(
                "Share of time a card was busy, right for any time range.",
                "The work that the card is there for.",
                "Flat at 0 while people wait: the model runs on the processor. nvidia-smi tells who uses the card.",
            ),
            [Query(rate(board.NVIDIA_GPU_BUSY, scope), legend)],
            "percentunit",
            lines=count,
            high=1,
            by_node=False,
        ),
        house.graph(
            "Graphics card memory",
            note(
                "Share of a card's memory in use.",
                "A model must fit into the rest.",
                "nvidia-smi tells who holds it; ollama stop MODEL frees it.",
            ),
            [Query(used, legend)],
            "percentunit",
            lines=count,
            high=1,
            by_node=False,
        ),
        house.graph(
            "Graphics card temperature",
            note(
                "Temperature of a card's chip.",
                "It slows down from about 83 °C.",
                "Dust, and air for the case.",
            ),
            [Query(pick(board.NVIDIA_GPU_TEMPERATURE, scope), legend)],
            "celsius",
            lines=count,
            low=None,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Graphics card power",
            note(
                "Power that a card draws.",
                "What the work costs.",
                "nvidia-smi -pl WATTS sets a limit.",
            ),
            [Query(pick(board.NVIDIA_GPU_POWER, scope), legend)],
            "watt",
            lines=count,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Graphics card clock",
            note(
                "A card's current clock.",
                "Low under load is heat or a power limit.",
                "Compare with temperature and power.",
            ),
            [Query(pick(board.NVIDIA_GPU_FREQUENCY, scope), legend)],
            "hertz",
            lines=count,
            by_node=False,
            width=8,
        ),
    ]


def section(view: View) -> Section:
    return Section("Graphics cards", tiles(view), collapsed=True)
