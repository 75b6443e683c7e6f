"""The child with the real engine and a real network: what a worker does when nothing is replaced."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from example_package import MASK_HEAD, make_package
from plant import Plant

from scheduler.contract import RESULT_FILES
from zoo.preview_settings import resolve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    folder = tmp_path_factory.mktemp("real")
    image = keras.Input((None, None, 1))
    network = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(image))
    with warnings.catch_warnings(action="ignore"):  # of NumPy, about Keras
        network.save(folder / "model.keras")
    return make_package(folder / "test-model.zip", weights=folder / "model.keras")


def test_two_jobs_the_second_with_a_warm_model_and_what_is_broken(plant: Plant) -> None:
    settings = resolve({}, {"head": MASK_HEAD})
    broken = plant.blobs.put_bytes(b"no package").sha256
    worker = plant.worker("one", engine="worker.engine", stall_seconds=60.0)
    first, second = (plant.until_state(plant.submit(**settings), "done", 90) for _ in range(2))
    assert {file["name"] for file in second["result"]["files"]} == set(RESULT_FILES)
    assert second["result"]["timings"]["loading"] < first["result"]["timings"]["loading"] / 4
    same = [{file["name"]: file["sha256"] for file in job["result"]["files"]} for job in (first, second)]
    assert {name for name in RESULT_FILES if same[0][name] != same[1][name]} <= {"manifest.json"}
    log = plant.scheduler.log_text(second["uuid"])
    assert "model test-model 1.0.0" in log
    assert "tensorflow" not in log.lower()
    package, plant.package = plant.package, broken
    failed = plant.until_state(plant.submit(**settings), "failed")
    assert (failed["attempt"], failed["error"]["code"]) == (1, "archive-refused")
    plant.package, plant.input = package, broken
    failed = plant.until_state(plant.submit(**settings), "failed")
    assert failed["error"]["message"].endswith(".")
    assert worker.stop() == 0
