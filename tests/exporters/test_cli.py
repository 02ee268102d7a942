from __future__ import annotations

from pathlib import Path

import pytest

from exporters.cli import Unusable, host_port, main, parser, prepare
from exporters.startup import NoEntry, look_up, look_up_in_child, own_name

CONFIG = Path(__file__).resolve().parents[2] / "config"


def test_the_nodes_entry_of_the_shipped_inventory() -> None:
    facts = look_up(CONFIG, "PI41")
    assert (facts.port, facts.tier) == (9191, 4)
    assert facts.address.startswith("192.168.")
    assert facts.board.startswith("raspberry-pi")


def test_what_the_inventory_wants_there_travels_too() -> None:
    facts = look_up_in_child(CONFIG, "AGX0")
    ollama = next(service for service in facts.services if service.kind == "ollama")
    assert (ollama.name, ollama.port, ollama.models) == ("ollama", 11434, 18)
    assert "codellama" in ollama.present
    assert {service.name for service in look_up(CONFIG, "PI52").services} == {"postgresql", "redis", "minio"}


def test_an_unknown_node_lists_the_known_ones() -> None:
    with pytest.raises(NoEntry, match=r"no node 'PI99' in the inventory; there are .*PI41"):
        look_up(CONFIG, "PI99")


@pytest.mark.parametrize(
    ("told", "host", "name"),
    [
        ("", "PI41", "PI41"),
        ("", "pi41", "PI41"),
        ("", "Agx0.lan", "AGX0"),
        ("", "web.lan", "web.lan"),
        ("PI41", "agx0", "PI41"),
        ("pi-99", "agx0", "pi-99"),  # what was said is taken as it was said; whether there is one is another question
    ],
)
def test_which_node_this_host_is(told: str, host: str, name: str) -> None:
    assert own_name(["AGX0", "PI41", "web.lan"], told, host) == name


@pytest.mark.parametrize("host", ["raspberrypi", "pi4", "", ".lan"])
def test_a_host_no_node_is_called_as(host: str) -> None:
    with pytest.raises(NoEntry, match=r"which node is this\?.*--node NAME or TIERWATCH_NODE=NAME.*AGX0, PI41"):
        own_name(["AGX0", "PI41"], "", host)


def test_the_environment_and_the_host_name_choose_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERWATCH_CONFIG", str(CONFIG))
    monkeypatch.setenv("TIERWATCH_NODE", "")  # an empty line in the environment file is no name
    monkeypatch.setattr("socket.gethostname", lambda: "pi52")
    assert look_up_in_child(None, None) == look_up(CONFIG, "PI52")
    monkeypatch.setenv("TIERWATCH_NODE", "PI41")
    settings, listen, _ = prepare(parser().parse_args([]))
    assert settings.identity.node == "PI41"
    assert listen == (look_up(CONFIG, "PI41").address, 9191)


@pytest.mark.parametrize(
    ("environment", "words", "folder"),
    [("", [], None), ("/a", [], "/a"), ("/a", ["--collector.textfile.directory", "/b"], "/b")],
    ids=["none", "environment", "option"],
)
def test_where_textfiles_are(
    monkeypatch: pytest.MonkeyPatch, environment: str, words: list[str], folder: str | None
) -> None:
    monkeypatch.setenv("TIERWATCH_TEXTFILE_DIRECTORY", environment)
    monkeypatch.setattr("exporters.cli.look_up_in_child", look_up)
    options = parser().parse_args(["--config", str(CONFIG), "--node", "PI41", *words])
    assert prepare(options)[0].textfile_directory == folder


def test_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporters.cli.look_up_in_child", look_up)
    words = ["--config", str(CONFIG), "--node", "PI41"]
    _, listen, disabled = prepare(parser().parse_args(words))
    assert listen == (look_up(CONFIG, "PI41").address, 9191)
    assert disabled == frozenset()
    _, listen, disabled = prepare(parser().parse_args([*words, "--listen", ":9", "--collector.disable", "hwmon,mmc"]))
    assert listen == ("0.0.0.0", 9)
    assert disabled == {"hwmon", "mmc"}


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9191", ("127.0.0.1", 9191)), ("[::1]:0", ("::1", 0)), (":9191", ("0.0.0.0", 9191))],
)
def test_host_port(text: str, address: tuple[str, int]) -> None:
    assert host_port(text) == address


@pytest.mark.parametrize("text", ["9191", "localhost", "localhost:http", "x:70000", "x:-1", ""])
def test_bad_host_port(text: str) -> None:
    with pytest.raises(Unusable, match="expected HOST:PORT"):
        host_port(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--collector.disable", "cpu,gpu"], "no collector gpu; there are arp"),
        (["--collector.deadline", "0"], "more than 0 and at most 60"),
        (["--collector.filesystem.fs-types-exclude", "("], "'(' is no regular expression"),
        (["--listen", "nowhere"], "--listen 'nowhere': expected HOST:PORT"),
        (["--config", "/nonexistent"], "/nonexistent/cluster.yaml"),
    ],
)
def test_bad_options_are_told(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("exporters.cli.look_up_in_child", look_up)
    monkeypatch.setattr("exporters.cli.to_stderr", lambda _: None)
    try:
        status = main(["--config", str(CONFIG), "--node", "PI41", *words])
    except SystemExit as error:  # argparse ends the program itself
        status = int(str(error.code))
    assert status == 2
    assert message in capsys.readouterr().err
