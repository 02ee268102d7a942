"""What only a Raspberry Pi has: its supply, and the firmware that brakes it."""

from __future__ import annotations

from dashboards import limits, look, names
from dashboards.board import Section, Tile, note
from dashboards.queries import Query, Scope, by, increase, pick
from dashboards.view import View
from exporters.catalog import board
from exporters.catalog.sensors import ZONE_TEMP

# Boards with a connector for a fan that tells its speed.
FAN_BOARDS = frozenset({"raspberry-pi-5"})


def scope_of(view: View) -> Scope:
    return view.exporters.where(board="=~raspberry-pi-.*")


def tiles(view: View) -> list[Tile]:
    house, scope, count = view.house, scope_of(view), 1 if view.single else len(view.family("raspberry-pi"))
    return [
        house.timeline(
            "Braked by the firmware",
            note(
                "Whether the firmware limits the board now, and why: supply, clock cap, heat.",
                "A braked Pi is slow for a reason that no process list shows.",
                "under_voltage: the official supply and a short, thick cable. Heat: fan and dust.",
            ),
            [Query(pick(board.PI_THROTTLE_STATE, scope), view.name("reason"))],
            look.YES_IS_WARNING,
            rows=4 * count,
        ),
        house.timeline(
            "Braked since boot",
            note(
                "Whether it has happened at least once since the board booted.",
                "Catches what is too short to be seen above.",
                "Check supply and cooling when you are there; a reboot clears it.",
            ),
            [Query(pick(board.PI_THROTTLE_SINCE_BOOT, scope), view.name("reason"))],
            look.YES_IS_WARNING,
            rows=4 * count,
        ),
        house.graph(
            "Supply dips",
            note(
                "How often the supply fell below 4.63 V.",
                "Each dip can damage a card; many mean that the supply is at its limit.",
                "The official supply, a short cable, and no USB disk powered by the board.",
            ),
            [
                Query(
                    increase(board.PI_UNDERVOLTAGE_EVENTS, scope),
                    view.name(),
                )
            ],
            "short",
            lines=count,
            width=8,
        ),
        house.graph(
            "ARM clock",
            note(
                "Clock of the cores; the firmware lowers it when idle and when it brakes.",
                "Low under load is throttling.",
                "Compare with the temperature and with the timeline above.",
            ),
            [Query(pick(board.PI_ARM_FREQUENCY, scope), view.name())],
            "hertz",
            lines=count,
            width=8,
        ),
        house.graph(
            "Raspberry Pi temperature",
            note(
                "Temperature of the chip.",
                "From 80 °C the firmware brakes, at 85 °C hard.",
                "Dashed: PiHot and PiOverheating. Fan, heat sink, dust.",
            ),
            [Query(by("node", "max", pick(ZONE_TEMP, scope)), view.name())],
            "celsius",
            lines=count,
            low=None,
            limit=limits.PI_TEMPERATURE,
            width=8,
        ),
    ]


def fan(view: View) -> Tile:
    scope = scope_of(view)
    return view.house.graph(
        "Raspberry Pi fan",
        note(
            "Turns a minute of the fan, where the board has one with a speed signal.",
            "0 while the board is hot: the fan is dead or unplugged.",
            "Check the plug and the fan; vcgencmd measure_temp.",
        ),
        [Query(pick(names.HWMON_FAN, scope), view.name("chip"))],
        "rotrpm",
        lines=1 if view.single else len(view.family("raspberry-pi")),
        width=8,
    )


def section(view: View, title: str = "Raspberry Pi: supply and throttling", *, collapsed: bool = False) -> Section:
    fans = any(node.board in FAN_BOARDS for node in view.nodes.values())
    return Section(title, [*tiles(view), *([fan(view)] if fans else [])], collapsed=collapsed)
