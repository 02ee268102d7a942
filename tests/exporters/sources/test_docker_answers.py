from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.sources.docker_answers import (
    HEALTHS,
    STATES,
    BadAnswer,
    EventText,
    event_of,
    inspected,
    listed,
    moment,
    signal_number,
    version_of,
)

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "docker"
VERSIONS = ("1.24", "1.30", "1.41", "1.52")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def recorded_list(version: str) -> Any:
    """Of 1.52: as 1.41 with what that version changed."""
    if version != "1.52":
        return json.loads((RECORDED / f"list_v{version}.json").read_text())
    entries = json.loads((RECORDED / "list_v1.41.json").read_text())
    for entry in entries:
        words = entry.pop("Status")
        status = "unhealthy" if "(unhealthy)" in words else "healthy" if "(healthy)" in words else "none"
        entry["Health"] = {"Status": status, "FailingStreak": 3 * (status == "unhealthy")}
        entry["Status"] = "words for people"
    return entries


def recorded_containers(version: str) -> list[Any]:
    answers: list[Any] = json.loads(
        (RECORDED / f"inspect_v{'1.41' if version == '1.52' else version}.json").read_text()
    )
    return answers


def recorded_events(version: str) -> bytes:
    if version == "1.24":
        return (RECORDED / "events_v1.24.txt").read_bytes()
    lines = (RECORDED / "events_v1.41.txt").read_text().splitlines()
    if version == "1.52":
        kept = [{k: v for k, v in json.loads(line).items() if k not in ("status", "id", "from")} for line in lines]
        lines = [json.dumps(told) for told in kept]
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_list(version: str) -> None:
    found = {entry.name: (entry.state, entry.health, entry.image) for entry in listed(recorded_list(version))}
    assert found == {
        "web": ("running", "healthy", "tw:test"),
        "broken": ("running", "unhealthy", "tw:test"),
        "hungry": ("exited", "", "tw:test"),
        "loop": ("restarting", "", "tw:test"),
        "new": ("created", "", "tw:test"),
        "still": ("paused", "", "tw:test"),
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_inspections(version: str) -> None:
    web, broken, hungry, loop, new, still = map(inspected, recorded_containers(version))
    assert (web.name, web.state, web.health, web.restart_policy) == ("web", "running", "healthy", "unless-stopped")
    assert (web.memory_limit, web.cpu_quota, web.cpu_period) == (64 * 2**20, 50_000, 100_000)
    assert (web.compose_project, web.compose_service, web.stop_signal) == ("shop", "web", signal.SIGQUIT)
    assert web.pid > 0
    assert web.started is not None
    assert web.finished is None
    assert broken.health == "unhealthy"
    assert (hungry.state, hungry.exit_code, hungry.oom_killed, hungry.pid) == ("exited", 137, True, 0)
    assert hungry.finished is not None
    assert (loop.state, loop.exit_code, loop.pid) == ("restarting", 3, 0)
    assert loop.restarts >= 4
    assert (new.state, new.started, new.finished) == ("created", None, None)
    assert (still.state, still.own_network, web.own_network) == ("paused", False, True)


def test_no_secret_is_kept() -> None:
    for answer in recorded_containers("1.41"):
        assert "do-not-tell" not in repr(inspected(answer))
    assert "do-not-tell" in json.dumps(recorded_containers("1.41"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_stream_of_events_in_pieces_of_any_size(version: str, size: int) -> None:
    stream, text = recorded_events(version), EventText()
    objects = [told for at in range(0, len(stream), size) for told in text.feed(stream[at : at + size])]
    found = [told for told in map(event_of, objects) if told is not None]
    assert len(found) == stream.count(b'"Type": "container"') + stream.count(b'"Type":"container"')
    by_name = {(told.name, told.action): told for told in found}
    assert by_name["hungry", "oom"].id == by_name["hungry", "die"].id
    assert by_name["hungry", "die"].exit_code == 137
    assert by_name["loop", "die"].exit_code == 3
    assert by_name["broken", "health_status"].exit_code is None


@pytest.mark.parametrize("text", [b"<html>", b'{"a":1} garbage', b"[]", b"\xff\xfe"])
def test_a_stream_of_something_else(text: bytes) -> None:
    with pytest.raises(BadAnswer, match="something else"):
        EventText().feed(text)


def test_an_event_that_never_ends() -> None:
    text = EventText()
    with pytest.raises(BadAnswer, match="does not end"):
        for _ in range(100):
            text.feed(b'{"x": "' + b"y" * 10_000)


@pytest.mark.parametrize("version", ["1.24", "1.52"])
def test_a_name_given_by_an_old_link_is_not_the_containers_own(version: str) -> None:
    entries = recorded_list(version)
    entries[0]["Names"] = ["/web/alias", "/still"]
    assert listed(entries)[0].name == "still"


def test_podman_has_other_words() -> None:
    (first, *_) = listed([{"Id": "a", "Names": ["/a"], "State": "stopped"}, {"Id": "b", "State": "initialized"}])
    assert first.state == "exited"
    assert listed([{"Id": "b", "State": "flying"}])[0].state == ""


@given(JSON)
def test_no_answer_breaks_the_reader(answer: Any) -> None:
    wrapped = {"Id": "x", "State": answer, "Config": answer, "HostConfig": answer, "RestartCount": answer}
    for made in (answer, wrapped, {**wrapped, "State": {"Status": answer, "Health": answer, "Pid": answer}}):
        try:
            found = inspected(made)
        except BadAnswer:
            continue
        assert found.state in (*STATES, "")
        assert found.health in (*HEALTHS, "")
        float(found.restarts)
    try:
        listed([answer, {"Id": "x", "Names": answer, "State": answer, "Health": answer}])
    except BadAnswer:
        pytest.fail("a list is a list")
    event_of(answer)
    event_of({"Type": "container", "Action": answer, "Actor": {"ID": answer, "Attributes": {"exitCode": answer}}})


@pytest.mark.parametrize(
    ("told", "number"),
    [("9", 9), ("SIGQUIT", 3), ("winch", 28), ("RTMIN+3", int(signal.SIGRTMIN) + 3), ("", 0), ("SIGX", 0), (None, 0)],
)
def test_signals(told: object, number: int) -> None:
    assert signal_number(told) == number


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T01:00:01.123456789+01:00", 1.123456),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:01", None),
        ("yesterday", None),
        (17, None),
    ],
)
def test_moments(told: object, seconds: float | None) -> None:
    assert moment(told) == seconds


def test_versions_compare_as_numbers() -> None:
    assert version_of("1.9") < version_of("1.24") < version_of("1.100")  # type: ignore[operator]
    assert version_of("1") is version_of("latest") is version_of(None) is None
