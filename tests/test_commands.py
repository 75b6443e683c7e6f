"""The front door: fast answers, and the exit status of a mistake."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import version

import pytest

import zooscope
from zoo.errors import Unavailable, UserError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "zooscope", *arguments], capture_output=True, text=True, check=False)


def test_help_names_every_command_and_imports_no_room() -> None:
    program = (
        "import sys, zooscope\n"
        "try:\n    zooscope.main(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "assert not {'numpy', 'flask', 'requests', 'web', 'worker', 'scheduler'} & sys.modules.keys()\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert all(f"  {command.name} " in answer.stdout for command in zooscope.COMMANDS)


@pytest.mark.parametrize("name", [command.name for command in zooscope.COMMANDS])
def test_help_of_a_command_needs_no_tensorflow(name: str) -> None:
    program = (
        "import sys, zooscope\n"
        f"try:\n    zooscope.main([{name!r}, '--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
        "assert not {'tensorflow', 'keras'} & sys.modules.keys()\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"usage: zooscope {name}")


@pytest.mark.parametrize("arguments", [(), ("fly",), ("up", "--wings"), ("up", "--port", "eighty"), ("publish",)])
def test_bad_usage_ends_with_status_2_and_no_traceback(arguments: tuple[str, ...]) -> None:
    answer = run(*arguments)
    assert answer.returncode == 2
    assert "usage: zooscope" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_version_is_the_installed_one() -> None:
    assert run("version").stdout == f"zooscope {version('zooscope')}\n"


@pytest.mark.parametrize(("error", "status"), [(UserError, 2), (Unavailable, 1)])
def test_an_error_is_one_sentence_and_a_status(
    error: type[UserError], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise error("The zoo is closed.", "Come back tomorrow.")

    monkeypatch.setattr(importlib.import_module("zoo.models_command"), "run", fail)
    assert zooscope.main(["models"]) == status
    assert capsys.readouterr().err == "zooscope: The zoo is closed. Come back tomorrow.\n"
