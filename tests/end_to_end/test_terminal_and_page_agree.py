"""A preview made through the service and one made in the terminal are the same files, bit for bit."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests

from scheduler.contract import RESULT_FILES
from zoo.packages import read_package
from zoo.settings import Settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 120
CASES = {
    "nuclei": {"roi": [20, 30, 300, 210], "settings": {"threshold": 0.4}},
    "em-mitochondria": {"roi": [0, 32, 220, 220], "settings": {"enhancement": "cdeep3m2"}, "pixel_size_um": 0.006},
    "em-membranes": {"roi": [10, 0, 200, 230], "settings": {"variations": "8-flips"}},
    "blood-cells": {"roi": [40, 30, 500, 400], "settings": {"overlap": 0.4}},
    "spots": {"roi": [0, 0, 300, 280], "settings": {"spot_method": "dog"}},
}


def from_service(url: str, image: bytes, model: str, case: dict[str, Any]) -> dict[str, bytes]:
    api, session = f"{url}/api/v1", requests.Session()
    with session:
        stored = session.post(f"{api}/images", files={"file": ("cells.png", image)}, timeout=SECONDS)
        stored.raise_for_status()
        body = {"image": stored.json()["id"], "models": [{"id": model}], **case}
        made = session.post(f"{api}/jobs", json=body, timeout=SECONDS)
        made.raise_for_status()
        job = f"{api}/jobs/{made.json()['jobs'][0]['uuid']}"
        # The stream of events ends when the job does.
        session.get(f"{job}/events", timeout=SECONDS).raise_for_status()
        assert session.get(job, timeout=SECONDS).json()["state"] == "done"
        result = session.get(f"{job}/result.zip", timeout=SECONDS)
    with zipfile.ZipFile(io.BytesIO(result.content)) as archive:
        return {Path(name).name: archive.read(name) for name in archive.namelist()}


def from_terminal(folder: Path, image: bytes, model: str, case: dict[str, Any]) -> dict[str, bytes]:
    (folder / "cells.png").write_bytes(image)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in case["settings"].items()]
    if "pixel_size_um" in case:
        options.append(f"--pixel-size={case['pixel_size_um']}")
    roi = ",".join(map(str, case["roi"]))
    command = [sys.executable, "-m", "zooscope", "preview", "cells.png", "--model", model, "--roi", roi, "-o", "out"]
    subprocess.run([*command, *options], cwd=folder, check=True, capture_output=True, timeout=SECONDS)
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


@pytest.mark.parametrize("model", CASES)
def test_the_same_files_bit_for_bit(zooscope_url: str, tmp_path: Path, model: str) -> None:
    package = read_package(ROOT / "zoo" / "seed" / f"{model}.zip", Settings())
    image = package.open(package.samples[0]["file"])
    served = from_service(zooscope_url, image, model, CASES[model])
    typed = from_terminal(tmp_path, image, model, CASES[model])
    assert set(served) == set(typed) == set(RESULT_FILES)
    for name in set(RESULT_FILES) - {"manifest.json"}:
        assert served[name] == typed[name], name
    told, said = (json.loads(files["manifest.json"]) for files in (served, typed))
    assert told.pop("timings").keys() == said.pop("timings").keys()
    assert told == said
