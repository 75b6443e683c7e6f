"""Several GPUs: a worker on each, ended together. There need be no GPU here: the driver's listing is stood in for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from plant import TOKEN, Plant

from worker.cards import Card, Pool, devices_for, find_card, list_cards, worker_commands

pytestmark = pytest.mark.slow

TWO = ["GPU 0: NVIDIA A100 (UUID: GPU-1)", "GPU 1: NVIDIA A100 (UUID: GPU-2)"]


@pytest.mark.parametrize(
    ("device", "cards", "visible", "expected"),
    [
        ("auto", [], None, ["auto"]),
        ("auto", TWO[:1], None, ["auto"]),
        ("auto", TWO, None, ["gpu:0", "gpu:1"]),
        ("auto", TWO, "1", ["auto"]),
        ("auto", TWO, "1,0", ["gpu:0", "gpu:1"]),
        ("auto", TWO * 2, "0,1,2", ["gpu:0", "gpu:1", "gpu:2"]),
        ("auto", TWO, "0,-1,1", ["auto"]),
        ("auto", TWO, "", ["auto"]),
        ("gpu:1", TWO, None, ["gpu:1"]),
        ("cpu", TWO, None, ["cpu"]),
    ],
)
def test_every_visible_card_has_a_worker(
    device: str, cards: list[str], visible: str | None, expected: list[str]
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert devices_for(device, lambda: cards, environment) == expected


def stand_in(folder: Path, lines: list[str]) -> dict[str, str]:
    """An environment in which the driver's tool lists these lines."""
    tool = folder / "nvidia-smi"
    tool.write_text("#!/bin/sh\n" + "".join(f'echo "{line}"\n' for line in lines))
    tool.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_cards_are_what_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", stand_in(tmp_path, [*TWO, "  MIG 1g.10gb Device 0"])["PATH"])
    assert list_cards() == TWO
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert list_cards() == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert list_cards() == []


ROWS = ["0, GPU-aa11, NVIDIA A100-SXM4-40GB, 40960", "1, GPU-bb22, Tesla T4, 15360", "2, GPU-cc33, [N/A], [N/A]"]


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        ("gpu:0", None, Card("NVIDIA A100-SXM4-40GB", 40.0)),
        ("gpu:1", None, Card("Tesla T4", 15.0)),
        ("auto", None, Card("NVIDIA A100-SXM4-40GB", 40.0)),
        ("gpu:0", "1,0", Card("Tesla T4", 15.0)),
        ("gpu:1", "1", None),
        ("gpu", "GPU-bb", Card("Tesla T4", 15.0)),
        ("gpu:0", "MIG-1234", None),
        ("gpu:0", "2", None),
        ("auto", "", None),
        ("cpu", None, None),
    ],
)
def test_a_card_is_found_as_cuda_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, visible: str | None, expected: Card | None
) -> None:
    monkeypatch.setenv("PATH", stand_in(tmp_path, ROWS)["PATH"])
    assert find_card(device, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == expected


def test_commands_tell_the_workers_apart_and_hold_no_token() -> None:
    commands = worker_commands("bench", "http://127.0.0.1:1", "data", ["gpu:0", "gpu:1"])
    assert [command[command.index("--name") + 1] for command in commands] == ["bench-gpu0", "bench-gpu1"]
    assert [command[-1] for command in commands] == ["gpu:0", "gpu:1"]
    assert all("--token" not in command for command in commands)


def test_when_one_worker_ends_all_end_with_its_status() -> None:
    commands = [[sys.executable, "-c", program] for program in ("import signal; signal.pause()", "raise SystemExit(3)")]
    assert Pool(commands, os.environ).run() == 3


def test_two_cards_two_workers_until_they_are_told_to_stop(lasting_plant: Plant, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zooscope", "worker", "--server", lasting_plant.server, "--name", "bench"]
    environment = stand_in(tmp_path, TWO) | {"ZOOSCOPE_WORKER_TOKEN": TOKEN}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    with subprocess.Popen(
        [*command, "--data", str(tmp_path / "data")], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        begun = set()
        for line in process.stderr:
            begun |= {name for name in ("worker bench-gpu0 ", "worker bench-gpu1 ") if name in line}
            if len(begun) == 2:
                break
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(30) == 0
    assert sorted(path.name for path in (tmp_path / "data" / "workers").iterdir()) == ["bench-gpu0", "bench-gpu1"]
