"""The page that a router serves itself, as prometheus-node-exporter-lua of OpenWRT writes it: read, and shown."""

from __future__ import annotations

from pathlib import Path

from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix
from alerting.scrape.exposition import PageReader
from alerting.scrape.targets import targets_of
from config.load import Config, load
from tests.config.support import SHIPPED
from tests.dashboards.reading import dashboards, filled, panels, targets
from tests.exporters.probes.servers import RECORDED
from tests.support.memory_querier import MemoryQuerier

STEP_MS = 15_000
LINE = "    # metrics: {port: 9100}\n"
# What the recordings do not hold: the table of connections, a port to the modem.
MORE = b"""\
# TYPE node_nf_conntrack_entries gauge
node_nf_conntrack_entries 812
# TYPE node_nf_conntrack_entries_limit gauge
node_nf_conntrack_entries_limit 15360
node_network_carrier{device="wan"} 1
# TYPE node_network_transmit_bytes_total counter
node_network_transmit_bytes_total{device="wan"} 99000
"""


def with_router_page(folder: Path) -> Config:
    """The shipped inventory with the line about the router's page, which stands there as a comment."""
    for path in SHIPPED.glob("*.yaml"):
        text = path.read_text()
        if path.name == "cluster.yaml":
            assert LINE in text
            text = text.replace(LINE, LINE.replace("# ", ""))
        (folder / path.name).write_text(text)
    (folder / "rules").symlink_to(SHIPPED / "rules")
    return load(folder, {})


def test_a_router_of_openwrt_is_read_and_shown(tmp_path: Path) -> None:
    config = with_router_page(tmp_path)
    (target,) = (one for one in targets_of(config) if one.job == "openwrt")
    reader = PageReader(target.limits, target.attach)
    page = b"".join(
        (RECORDED / name).read_bytes() for name in ("openwrt_node_exporter_lua.txt", "openwrt_netclass_lua.txt")
    )
    read = reader.read(page + MORE)
    store = MemoryQuerier()
    for slot, value in zip(read.slots.tolist(), read.values.tolist(), strict=True):
        growing = 1.001 if reader.labels[slot].metric_name.endswith("_total") else 1.0
        store.put(reader.labels[slot], [(number * STEP_MS, value * growing**number) for number in range(9)])
    board = dashboards(config.cluster)["tierwatch-tier-4"]
    shown = [panel for panel in panels(board) if "router" in panel["title"] and 'job="openwrt"' in str(panel)]
    assert [panel["title"] for panel in shown] == [
        "Traffic of the router",
        "Connections through the router",
        "Links of the router",
    ]
    for panel in shown:
        for target_json in targets(panel):
            value = (
                Engine(store).range(parse(filled(target_json["expr"], {"node": ".+"})), 60_000, 120_000, STEP_MS).value
            )
            assert isinstance(value, Matrix)
            assert len(value.series) > 0, target_json["expr"]
            assert all(series.labels.get("device") != "lo" for series in value)
