"""The shell scripts of deploy/install, run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.machine import PATIENCE

INSTALL = Path(__file__).resolve().parents[2] / "deploy" / "install"


class Host:
    """A configuration file, what is shipped, and the script between them."""

    def __init__(self, folder: Path) -> None:
        self.shipped = folder / "shipped.yml"
        self.installed = folder / "etc" / "rules.yml"
        self.record = folder / "etc" / ".shipped"
        self.installed.parent.mkdir()

    def upgrade(self, text: str) -> str:
        """Ships a version; returns the first word of what the script said."""
        self.shipped.write_text(text)
        command = ["sh", str(INSTALL / "conffile.sh"), str(self.shipped), str(self.installed), str(self.record)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert said.stderr == ""
        return (said.stdout.split() or [""])[0]

    @property
    def beside(self) -> Path:
        return self.installed.with_name("rules.yml.new")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_file_nobody_edited_follows_every_upgrade(host: Host) -> None:
    assert host.upgrade("one\n") == "new"
    assert host.upgrade("one\n") == ""
    assert host.upgrade("two\n") == "updated"
    assert host.upgrade("three\n") == "updated"
    assert host.installed.read_text() == "three\n"
    assert host.installed.stat().st_mode & 0o777 == 0o644
    assert not host.beside.exists()


def test_an_edited_file_is_kept_and_the_new_one_put_beside_it_once(host: Host) -> None:
    host.upgrade("one\n")
    host.installed.write_text("mine\n")
    assert host.upgrade("one\n") == ""
    assert not host.beside.exists()
    assert host.upgrade("two\n") == "kept"
    assert host.upgrade("two\n") == ""
    assert host.installed.read_text() == "mine\n"
    assert host.beside.read_text() == "two\n"


def test_an_edit_that_became_the_shipped_version_follows_again(host: Host) -> None:
    host.upgrade("one\n")
    host.installed.write_text("two\n")
    assert host.upgrade("two\n") == ""
    assert host.upgrade("three\n") == "updated"
    assert host.installed.read_text() == "three\n"


def test_a_file_from_before_the_record_is_taken_as_edited(host: Host) -> None:
    host.installed.write_text("copied from the hub\n")
    assert host.upgrade("one\n") == "kept"
    assert host.installed.read_text() == "copied from the hub\n"


def test_each_file_has_its_own_line_of_the_record(host: Host) -> None:
    host.record.write_text(f"0000 {host.installed}.other\n")
    host.upgrade("one\n")
    host.upgrade("two\n")
    lines = host.record.read_text().splitlines()
    assert lines[0] == f"0000 {host.installed}.other"
    assert [line.split()[1] for line in lines] == [f"{host.installed}.other", str(host.installed)]


def fake_python(folder: Path, *, version_is_new: bool = True, is_64_bit: bool = True) -> Path:
    """A stand-in that answers venv.sh's questions: old, of 32 bits, or without ensurepip."""
    path = folder / "python3"
    path.write_text(f"""#!/bin/sh
case "$*" in
    *maxsize*) exit {int(not is_64_bit)} ;;
    *sys.exit*version_info*) exit {int(not version_is_new)} ;;
    *ensurepip*) exit 1 ;;
    *print*version_info*) echo python3.11-venv ;;
    --version) echo "Python 3.6.9" ;;
    *) exit 9 ;;
esac
""")
    path.chmod(0o755)
    return path


def venv(python: str, folder: Path, path: str = os.environ["PATH"]) -> tuple[int, str]:
    command = ["/bin/sh", str(INSTALL / "venv.sh"), python, str(folder / ".venv")]
    # pip's installation is ten seconds of work.
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60 * PATIENCE, check=False, env={"PATH": path}
    )
    return done.returncode, done.stderr


def test_a_missing_python(tmp_path: Path) -> None:
    status, said = venv("python9.9", tmp_path)
    assert status == 1
    assert "python9.9 not found" in said
    assert "sudo apt install python3" in said


def test_an_old_python(tmp_path: Path) -> None:
    status, said = venv(str(fake_python(tmp_path, version_is_new=False)), tmp_path)
    assert status == 1
    assert "Python 3.6.9 is too old: 3.11 or newer is needed" in said
    assert "PYTHON=/path/to/python3.11" in said


def test_a_system_of_32_bits(tmp_path: Path) -> None:
    status, said = venv(str(fake_python(tmp_path, is_64_bit=False)), tmp_path)
    assert status == 1
    assert "64-bit" in said


def test_a_python_without_ensurepip_where_nothing_can_be_installed(tmp_path: Path) -> None:
    """A PATH with ``id`` and no apt-get stands for a user who may install nothing."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "id").chmod(0o755)
    status, said = venv(str(fake_python(tmp_path)), tmp_path, str(tools))
    assert status == 1
    assert "sudo apt install python3.11-venv" in said


def test_an_environment_is_made(tmp_path: Path) -> None:
    status, said = venv(sys.executable, tmp_path)
    assert (status, said) == (0, "")
    assert (tmp_path / ".venv" / "bin" / "python").exists()


@pytest.mark.parametrize("words", [[], ["hubb"]])
def test_a_role_must_be_named(words: list[str]) -> None:
    command = ["sh", str(INSTALL / "host.sh"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "hub|node|docker|remove" in done.stderr
