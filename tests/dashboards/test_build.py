"""The command: writes, compares, says what is wrong; and what the files depend on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tierwatch
from config.cluster import Cluster
from dashboards.board import Section, Tile
from dashboards.build import files, main
from dashboards.look import node_colours
from dashboards.panels import House, panel_id
from dashboards.queries import Query
from tests.config.support import SHIPPED
from tests.dashboards.clusters import ALL_JETSON, LONELY, NO_JETSON, ONE_PI_HUB, OTHERS
from tests.dashboards.reading import dashboards, panels, rows

GENERATED = SHIPPED.parent / "dashboards" / "generated"


def test_committed_dashboards_are_what_the_inventory_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--config", str(SHIPPED)]) == 0, capsys.readouterr().out


def test_check_names_every_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tierwatch.main(["dashboards", "build", "--config", str(SHIPPED), "--out", str(tmp_path)]) == 0
    assert main(["--check", "--config", str(SHIPPED), "--out", str(tmp_path)]) == 0
    (tmp_path / "tierwatch-node.json").unlink()
    (tmp_path / "tierwatch-tier-9.json").write_text("{}")
    edited = tmp_path / "tierwatch-tier-2.json"
    edited.write_text(edited.read_text().replace("GPU clock", "GPU klock"))
    capsys.readouterr()
    assert main(["--check", "--config", str(SHIPPED), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "tierwatch-node.json: missing",
        "tierwatch-tier-2.json: differs",
        "tierwatch-tier-9.json: not made any more",
    ]
    assert main(["build", "--config", str(SHIPPED), "--out", str(tmp_path)]) == 0
    assert main(["--check", "--config", str(SHIPPED), "--out", str(tmp_path)]) == 0


def test_other_files_stay(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text("{}")
    assert main(["--config", str(SHIPPED), "--out", str(tmp_path)]) == 0
    assert mine.exists()


def test_a_bad_inventory_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cluster.yaml").write_text("cluster: x\n")
    assert main(["--config", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "cluster.yaml" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--config", str(SHIPPED), "--out", str(tmp_path / "file" / "below")]) == 1
    assert "below" in capsys.readouterr().err


@pytest.mark.parametrize("cluster", OTHERS.values(), ids=OTHERS.keys())
def test_the_same_inventory_gives_the_same_bytes(cluster: Cluster) -> None:
    assert files(cluster) == files(cluster)


def test_tiers_come_from_the_inventory() -> None:
    assert set(files(LONELY)) == {"tierwatch-overview.json", "tierwatch-tier-1.json", "tierwatch-node.json"}
    assert set(files(ONE_PI_HUB)) == {"tierwatch-overview.json", "tierwatch-tier-3.json", "tierwatch-node.json"}
    assert {"tierwatch-tier-1.json", "tierwatch-tier-2.json", "tierwatch-tier-9.json"} < set(files(NO_JETSON))


def test_boards_that_are_not_there_are_not_shown() -> None:
    for cluster, strange in (
        (NO_JETSON, "jetson"),
        (LONELY, "jetson"),
        (LONELY, "raspberry"),
        (ALL_JETSON, "raspberry"),
    ):
        for dashboard in dashboards(cluster).values():
            queries = json.dumps([panel.get("targets") for panel in panels(dashboard)])
            assert strange not in queries


def test_a_tier_shows_its_work_first() -> None:
    made = dashboards(NO_JETSON)
    shown = {uid: [row["title"] for row in rows(made[uid]) if not row["collapsed"]] for uid in made}
    assert "Gateway" in shown["tierwatch-tier-1"]
    assert "PostgreSQL" in shown["tierwatch-tier-2"]
    assert "Scrapes and collectors" in shown["tierwatch-tier-9"]
    assert "Scrapes and collectors" not in shown["tierwatch-tier-1"]


def test_ids_survive_a_panel_that_comes_before() -> None:
    ids = {panel["title"]: panel["id"] for panel in panels(dashboards(NO_JETSON)["tierwatch-node"])}
    more = {panel["title"]: panel["id"] for panel in panels(dashboards(ALL_JETSON)["tierwatch-node"])}
    assert ids.keys() != more.keys()
    assert all(ids[title] == more[title] for title in ids.keys() & more.keys())


def test_two_panels_of_one_title_are_refused() -> None:
    from dashboards.board import Board
    from dashboards.panels import dashboard

    house = House({})
    twin: list[Tile] = [house.stat("Twin", "", [Query("up", "")]) for _ in range(2)]
    with pytest.raises(ValueError, match="Twin"):
        dashboard(Board("x", "X", "", [], [Section("", twin)]))


def test_ids_fit_grafana() -> None:
    assert 0 < panel_id("anything") < 2**31


def test_a_new_node_at_the_end_changes_no_colour() -> None:
    names = [f"N{number}" for number in range(40)]
    assert node_colours(names[:7]).items() <= node_colours(names).items()
    assert len(set(node_colours(names).values())) == len(names)


def test_titles_with_quotes_and_dollars_stay_text() -> None:
    assert dashboards(NO_JETSON)["tierwatch-tier-1"]["title"] == 'Tier 1: Front "door"'
