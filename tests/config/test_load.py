"""Loading as a whole: everything wrong at once, nothing said twice, the command's answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from config.alerting import Alerting
from config.check import main
from config.cluster import Cluster
from config.load import default_directory, load, load_cluster
from config.problems import ConfigError
from tests.config.support import ALERTING, CLUSTER, SHIPPED, changed, problems, write

COMMAND = [sys.executable, str(SHIPPED.parent / "tierwatch.py"), "check", "config"]


def test_the_good_files_are_good(tmp_path: Path) -> None:
    config = load(write(tmp_path), {"PHONE_URL": "ntfys://ntfy.sh/topic"})
    assert config.cluster.nodes["BACK"].services["ollama"].port == 11434
    assert config.cluster.nodes["FRONT"].memory == 8 * 2**30
    assert config.alerting.route.group_interval == 60.0
    assert [secret.reveal() for secret in config.urls["phone"]] == ["ntfys://ntfy.sh/topic"]
    assert config.urls["page"] == ()
    assert config.rule_paths() == [tmp_path / "rules" / "node.yml"]


BLOCK_STYLE = """\
      redis:
        kind: redis
        ports: {plain: 6379, tls: 6380}
"""
SIX = (("10.0.0.0/24", "fd00::/64"), ("10.0.0.11", "fd00::b"), ("10.0.0.12", "fd00::c"), ("10.0.0.1,", '"fd00::1",'))
GOOD_VARIANTS = {
    "byte order mark": "\ufeff" + CLUSTER,
    "Windows line ends": CLUSTER.replace("\n", "\r\n"),
    "non-ASCII comment": CLUSTER + "\n# a comment: ä ✓\n",
    "wider network": changed(CLUSTER, ("cidr: 10.0.0.0/24", "cidr: 10.0.0.0/8")),
    "no exposure, no flows": CLUSTER[: CLUSTER.index("exposed:")],
    "hexadecimal tier": changed(CLUSTER, ("  1: Front", "  0x1: Front")),
    "quotes": changed(CLUSTER, ("steps: [BACK/ollama]", 'steps: ["BACK/ollama"]')),
    "block style": changed(CLUSTER, ("      redis: {kind: redis, port: 6379}\n", BLOCK_STYLE)),
    "sizes": changed(CLUSTER, ("8GiB", "8 GiB"), ("1TB", "0.9TB")),
    "alias": CLUSTER.replace("8GiB", "&m 8GiB", 1).replace("memory: 8GiB", "memory: *m"),
    "IPv6": changed(CLUSTER, *SIX),
}


@pytest.mark.parametrize("cluster", GOOD_VARIANTS.values(), ids=GOOD_VARIANTS)
def test_good_variants(cluster: str, tmp_path: Path) -> None:
    assert problems(write(tmp_path, cluster)) == []


def test_what_the_check_lets_pass_is_what_msgspec_lets_pass(tmp_path: Path) -> None:
    config = load(write(tmp_path), {})
    for value, kind in ((config.cluster, Cluster), (config.alerting, Alerting)):
        again = msgspec.convert(msgspec.to_builtins(value), kind)
        assert again == value


def test_all_problems_of_both_files_at_once(tmp_path: Path) -> None:
    cluster = changed(
        CLUSTER,
        ("memory: 8GiB", "memory: lots"),  # FRONT: broken, its other values are still looked at
        ("tier: 1", "tier: 7"),
        ("kind: redis, port: 6379", "kind: redis, port: 11434"),
        ("- FRONT/nginx", "- FRONT/apache"),
        ("percent: 20", "percent: 30"),
    )
    alerting = changed(
        ALERTING, ("5s", "five"), ("receiver: page", "receiver: pager"), ("source_matchers", "source_matcher")
    )
    assert problems(write(tmp_path, cluster, alerting)) == [
        'alerting.yaml:2: timing.scrape_interval: expected a duration such as 5s, 1m30s or 30d, got "five"',
        'alerting.yaml:13: route.routes.0.receiver: no receiver "pager"; did you mean "page"?',
        'alerting.yaml:21: inhibit_rules.0.source_matcher: unknown key; did you mean "source_matchers"?',
        "cluster.yaml:11: nodes.FRONT.tier: no tier 7 in tiers (1, 2)",
        'cluster.yaml:13: nodes.FRONT.memory: expected a size such as 512MiB, 8GiB or 1TB, got "lots"',
        "cluster.yaml:30: nodes.BACK.services.redis: port 11434 is used by ollama on this node too",
        'cluster.yaml:39: flows.chat.steps.0: no service "apache" on FRONT; known: nginx, kong',
        "cluster.yaml:41: flows.chat.steps.1.split: the percentages add up to 110, not 100",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  BACK:\n", "  BACK: later\n  OTHER:\n", "cluster.yaml:18: nodes.BACK: expected a mapping"),
        ("      ollama:\n", "      olama :\n        colour: red\n", "unknown key"),
        ("    services:\n      ollama:", "    servces:\n      ollama:", 'unknown key; did you mean "services"?'),
        ("nodes:\n", "noodes:\n", 'cluster.yaml:8: noodes: unknown key; did you mean "nodes"?'),
        ("tiers:\n", "tires:\n", 'cluster.yaml:5: tires: unknown key; did you mean "tiers"?'),
        ("network:\n", "netwrk:\n", 'cluster.yaml:2: netwrk: unknown key; did you mean "network"?'),
        ("  2: Back\n", "  two: Back\n", "cluster.yaml:7: tiers.two: expected a whole number from 1 to 99"),
        ("  cidr: 10.0.0.0/24\n", "  cidr: nowhere\n", "cluster.yaml:3: network.cidr: expected a network"),
        ("  BACK:\n", "  OFF:\n", "cluster.yaml:18: YAML reads the key OFF as false"),
        ("  BACK:\n", "  <<:\n", 'cluster.yaml:18: merging with "<<" is not supported'),
        ("    services:\n      ollama:", "    !!int x:\n      ollama:", "cluster.yaml:25: expected a name as key"),
        ("        split:\n", "        null:\n", "cluster.yaml:41: expected a name as key"),
        ("disk: 1TB\n    cuda", "disk: 2026-13-45\n    cuda", "cluster.yaml:23: YAML cannot read this"),
    ],
)
def test_one_mistake_makes_one_message(old: str, new: str, message: str, tmp_path: Path) -> None:
    """No "no node BACK" when BACK is there and is itself broken."""
    text = CLUSTER.replace("BACK/ollama", "BACK/olama") if "olama :" in new else CLUSTER
    found = problems(write(tmp_path, changed(text, (old, new))))
    assert len(found) == 1
    assert message in found[0]


def test_a_broken_list_of_receivers_makes_no_route_wrong(tmp_path: Path) -> None:
    found = problems(write(tmp_path, alerting=changed(ALERTING, ("  - name: page\n", "  - nmae: page\n"))))
    assert found == ['alerting.yaml:19: receivers.1.nmae: unknown key; did you mean "name"?']


def test_missing_folder_and_empty_files(tmp_path: Path) -> None:
    assert problems(tmp_path / "none") == [
        "alerting.yaml: no such file; --config must name the folder that holds it",
        "cluster.yaml: no such file; --config must name the folder that holds it",
    ]
    assert problems(write(tmp_path, "", "# only words\n")) == ["alerting.yaml: is empty", "cluster.yaml: is empty"]


def test_the_inventory_alone(tmp_path: Path) -> None:
    """A node that only runs an exporter has no use for the alerting file."""
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    assert load_cluster(tmp_path).cluster == "bench"
    (tmp_path / "cluster.yaml").write_text(CLUSTER.replace("1TB", "big"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_cluster(tmp_path)
    assert len(caught.value.problems) == 2


def test_rule_paths_are_sorted_and_given_once(tmp_path: Path) -> None:
    alerting = changed(
        ALERTING, ("external_url", 'rule_files: ["rules/*.yml", rules/node.yml, "rules/*"]\nexternal_url')
    )
    write(tmp_path, alerting=alerting)
    (tmp_path / "rules" / "a.yml").write_text("groups: []\n", encoding="utf-8")
    assert [path.name for path in load(tmp_path, {}).rule_paths()] == ["a.yml", "node.yml"]


def test_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHONE_URL", raising=False)
    write(tmp_path)
    (tmp_path / "rules" / "node.yml").unlink()
    assert main(["--config", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: bench: 2 nodes in 2 tiers, 4 services, 1 flow, 2 receivers: fine",
        "note: receiver phone has no URL: alerts sent to it are only shown on the page",
        f"note: rule_files: no rule files in {tmp_path}: nothing will ever alert",
    ]


def test_a_url_file_that_everybody_can_read_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, alerting=changed(ALERTING, ("- url: ${PHONE_URL:-}", "- url_file: phone.url")))
    path = tmp_path / "phone.url"
    path.write_text("json://localhost\n", encoding="utf-8")
    for mode, lines in ((0o644, 2), (0o640, 1), (0o600, 1)):
        path.chmod(mode)
        assert main(["--config", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert len(out.splitlines()) == lines
        assert (f"note: {path}: everybody on this machine can read it; chmod o= {path}" in out) is (lines == 2)


def test_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERWATCH_CONFIG", "/srv/here")
    assert default_directory() == Path("/srv/here")


@pytest.mark.parametrize(
    ("change", "status", "out", "err"),
    [
        ("", 0, ": fine\n", ""),
        ("tier: 9", 1, "", "no tier 9 in tiers (1, 2)\n1 problem in "),
    ],
)
def test_the_real_command(change: str, status: int, out: str, err: str, tmp_path: Path) -> None:
    write(tmp_path, changed(CLUSTER, ("tier: 1", change or "tier: 1")))
    environ = {**os.environ, "PHONE_URL": "json://localhost"}
    done = subprocess.run(
        [*COMMAND, "--config", str(tmp_path)], check=False, capture_output=True, text=True, env=environ, timeout=60
    )
    assert done.returncode == status
    assert out in done.stdout
    assert err in done.stderr


def test_the_real_command_refuses_unknown_options() -> None:
    done = subprocess.run([*COMMAND, "--colour"], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "unrecognized arguments: --colour" in done.stderr
