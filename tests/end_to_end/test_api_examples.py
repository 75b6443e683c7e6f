"""The examples of docs/lab-engineer.md, run as they stand against a running service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from zoo.packages import read_package
from zoo.settings import Settings

ROOT = Path(__file__).parents[2]
SECONDS = 120


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl, which is not here")
def test_the_examples_of_the_documentation_work(zooscope_url: str, tmp_path: Path) -> None:
    package = read_package(ROOT / "zoo" / "seed" / "nuclei.zip", Settings())
    (tmp_path / "cells.png").write_bytes(package.open(package.samples[0]["file"]))
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "lab-engineer.md").read_text(), re.DOTALL | re.MULTILINE)
    script = "\n".join(["set -euo pipefail", *blocks])
    environment = os.environ | {"ZOOSCOPE": zooscope_url}
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert "\ndone\n" in ran.stdout
    assert (tmp_path / "objects.csv").read_text().startswith("id,class,score,x_min,")
    with zipfile.ZipFile(tmp_path / "result.zip") as archive:
        assert {"overlay.png", "manifest.json"} <= {Path(name).name for name in archive.namelist()}
