"""A check from the queue to the posted report, through a worker with the real engine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from check_packages import crop_of, discs, keras_network, without_tensors
from example_package import MASK_HEAD, make_package
from plant import Plant

from scheduler.contract import CHECK_FILES
from scheduler.jobs import JobRequest
from zoo.crops import encode_crop


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checked")
    whole = make_package(folder / "whole.zip", weights=keras_network(folder / "bright.keras"), head=MASK_HEAD)
    return without_tensors(whole, folder / "bare.zip")


def submitted(plant: Plant, package: str) -> str:
    model = {"id": "m", "version": "1", "name": "M", "package_sha256": package, "head_kind": "x"}
    crop = plant.blobs.put_bytes(encode_crop(crop_of(discs()))).sha256
    source = {"roi": [0, 0, 160, 120], "image_name": "discs.tif"}
    request = JobRequest("check", "ada", model, {}, crop, source, 10.0, 5.0)
    return str(plant.scheduler.submit(replace(request, requires={"formats": ["keras"]}))["uuid"])


@pytest.mark.slow
def test_a_worker_checks_a_model_and_a_package_that_is_none(plant: Plant) -> None:
    worker = plant.worker("one", engine="worker.engine", stall_seconds=60.0)
    done = plant.until_state(submitted(plant, plant.package), "done", 120)
    files = {file["name"]: file for file in done["result"]["files"]}
    assert list(files) == list(CHECK_FILES)
    assert files["report.json"]["media_type"] == "application/json"
    report = json.loads(plant.blobs.path(files["report.json"]["sha256"]).read_text())
    assert report["passed"], report
    assert done["result"]["summary"]["objects"] == 3
    assert {"loading", "reproducing", "trying", "timing"} <= done["result"]["timings"].keys()
    assert "reproduce: ok" in plant.scheduler.log_text(done["uuid"])

    broken = plant.blobs.put_bytes(b"no package").sha256
    told = plant.until_state(submitted(plant, broken), "done", 60)["result"]
    assert told["summary"]["passed"] is False, "a bad model is a report, not a failed job"
    assert worker.stop() == 0
