"""The check job on real networks: what passes, what is found out, and the sentence that its author reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_packages import changed, crop_of, discs, keras_network, onnx_package, saved_model, without_tensors
from example_package import MASK_HEAD, make_package
from PIL import Image
from standard_package import make_standard_package, onnx_weights, save

from scheduler.contract import CHECK_FILES, CHECK_STAGES, Progress
from worker import check_speed
from worker.check_job import CheckJob, run_check
from worker.inference import ModelCache
from worker.job import Cancelled
from worker.networks import layout_of
from zoo.check_input import check_input
from zoo.image_types import Crop
from zoo.images import decode_crop
from zoo.packages import file_sha256, read_package
from zoo.settings import Settings

SETTINGS = Settings(cpu_threads=1)
HEAD = MASK_HEAD | {"object": "disc", "objects": "discs"}


@pytest.fixture(scope="module")
def models() -> ModelCache:
    return ModelCache(SETTINGS, "cpu")


@pytest.fixture(scope="module")
def keras_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a real network; its test output is none that it would make."""
    folder = tmp_path_factory.mktemp("keras")
    return make_package(folder / "bright.zip", weights=keras_network(folder / "bright.keras"), head=HEAD)


@pytest.fixture(autouse=True)
def small_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is timed is as small as can be: the figures are no figures here."""
    monkeypatch.setattr(check_speed, "SIDES", (64, 128))


Checked = Callable[..., dict[str, Any]]


@pytest.fixture
def checked(models: ModelCache, tmp_path: Path) -> Checked:
    def check(package: Path, crop: Crop | None = None, **more: Any) -> dict[str, Any]:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        job = CheckJob(package, crop or crop_of(discs()), {}, {"roi": [0, 0, 160, 120], "image_name": "discs.tif"})
        given = {"report": lambda progress: None, "log": lambda line: None, "cancelled": lambda: False} | more
        result = run_check(job, models, SETTINGS, out, **given)
        report = json.loads((out / "report.json").read_text())
        assert sorted(path.name for path in out.iterdir()) == sorted(result.files)
        assert [step["name"] for step in report["steps"]] == ["load", "reproduce", "test_image", "figures"]
        return report | {"step": {step["name"]: step for step in report["steps"]}, "files": result.files}

    return check


def test_a_bare_network_passes_and_gets_test_tensors_that_the_next_check_reproduces(
    keras_package: Path, checked: Checked, models: ModelCache, tmp_path: Path
) -> None:
    told: list[Progress] = []
    written: list[str] = []
    bare = without_tensors(keras_package, tmp_path / "bare.zip")
    report = checked(bare, report=told.append, written=written.append)
    assert report["passed"], report
    assert report["files"] == list(CHECK_FILES) == written
    assert report["objects"] == 3
    assert "found 3 discs" in report["step"]["test_image"]["sentence"]
    assert report["tensors_made"]
    assert report["seconds_per_megapixel"] > 0 < report["load_s"]
    assert report["ert"]["cpu"]["seconds_per_megapixel"] == report["seconds_per_megapixel"]
    assert [one["megapixels"] for one in report["measured"]] == sorted(one["megapixels"] for one in report["measured"])
    assert report["peak_memory_bytes"] > 2**20
    assert {progress.stage for progress in told} <= set(CHECK_STAGES)
    assert [one.fraction for one in told] == sorted(one.fraction for one in told)

    given, made = (np.load(tmp_path / "out" / f"test_{name}.npy") for name in ("input", "output"))
    assert given.dtype == made.dtype == np.float32
    assert (given.shape[0], given.shape[3]) == (1, 1)
    assert (given.shape[1] - 136) % 8 == (given.shape[2] - 136) % 8 == 0
    files = {f"test_{name}.npy": (tmp_path / "out" / f"test_{name}.npy").read_bytes() for name in ("input", "output")}
    again = checked(changed(keras_package, tmp_path / "whole.zip", **files))
    assert again["passed"], again["steps"]
    assert again["step"]["reproduce"]["sentence"].startswith("The test output is reproduced: largest difference 0")
    assert not again["tensors_made"]
    assert again["difference"] == 0


def test_covers_are_square_small_and_show_the_discs_with_and_without_the_result(
    keras_package: Path, checked: Checked, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(0, 40, (700, 1500), np.uint8)
    noise[300:380, 1300:1380] = 250
    checked(without_tensors(keras_package, tmp_path / "bare.zip"), crop_of(noise))
    pictures = {name: Image.open(tmp_path / "out" / name) for name in ("cover.png", "cover-before.png")}
    for name, picture in pictures.items():
        assert picture.width == picture.height
        assert (tmp_path / "out" / name).stat().st_size < 500_000
    after, before = (np.asarray(picture, np.int16) for picture in pictures.values())
    assert np.ptp(before, axis=2).max() == 0, "the image itself is grey"
    assert np.abs(after - before).max() > 50, "the result is drawn over it"
    assert before.max() > 200, "what was found is in the picture"


def test_an_unchanged_package_from_elsewhere_passes(checked: Checked, tmp_path: Path) -> None:
    report = checked(onnx_package(tmp_path))
    assert report["passed"], report
    assert not report["tensors_made"]
    assert report["difference"] < 1e-4
    assert "test_input.npy" not in report["files"]


@pytest.mark.parametrize("axes", ["bcyx", "yxc", "cyx", "yx"])
def test_test_tensors_are_made_in_the_order_of_the_package_s_axes(axes: str, checked: Checked, tmp_path: Path) -> None:
    from standard_package import run_onnx, write_onnx

    network = write_onnx(tmp_path / "network.onnx", axes=axes, maps=2 if "c" in axes else 1)
    sides = {"b": 1, "c": 1, "y": 32, "x": 40}
    given = np.random.default_rng(1).random([sides[axis] for axis in axes], np.float32)
    whole = make_standard_package(
        tmp_path / "whole.zip", onnx_weights(network), given, run_onnx(network, given), axes=axes
    )
    report = checked(without_tensors(whole, tmp_path / "bare.zip"))
    assert report["passed"], report
    made_in, made_out = (np.load(tmp_path / "out" / f"test_{name}.npy") for name in ("input", "output"))
    assert made_in.ndim == made_out.ndim == len(axes)
    np.testing.assert_allclose(run_onnx(network, made_in), made_out, atol=1e-6)
    package = read_package(whole, SETTINGS)
    assert layout_of(package).given == axes


def test_46_weights_that_are_no_numbers_are_told(checked: Checked, keras_package: Path, tmp_path: Path) -> None:
    broken = keras_network(tmp_path / "bright.keras", bad=float("nan")).read_bytes()
    with_tensors = changed(keras_package, tmp_path / "nan.zip", **{"bright.keras": broken})
    report = checked(with_tensors)
    assert not report["passed"]
    assert "no numbers" in report["step"]["reproduce"]["sentence"]
    bare = checked(without_tensors(with_tensors, tmp_path / "bare.zip"))
    assert bare["step"]["reproduce"]["sentence"] == (
        "100% of the values that the network makes are no numbers (NaN or infinity): its weights are damaged."
    )
    assert not bare["step"]["test_image"]["ok"]
    assert "test_input.npy" not in bare["files"]


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # of Keras, which then says what is wrong
def test_46_weights_of_another_architecture_are_told(checked: Checked, keras_package: Path, tmp_path: Path) -> None:
    other = keras_network(tmp_path / "bright.keras", channels=1, maps=4).read_bytes()
    report = checked(changed(keras_package, tmp_path / "other.zip", **{"bright.keras": other}))
    load = report["step"]["load"]
    assert not load["ok"]
    assert "its description promises 1 maps" in load["sentence"]
    assert {report["step"][name]["ok"] for name in ("reproduce", "test_image", "figures")} == {None}
    mixed = mixed_keras(tmp_path, keras_package)
    report = checked(changed(keras_package, tmp_path / "mixed.zip", **{"bright.keras": mixed}))
    assert report["step"]["load"]["sentence"].startswith("The network of bright 1.0.0 cannot be loaded: ")


def mixed_keras(folder: Path, package: Path) -> bytes:
    """The architecture of one network and the weights of another."""
    import io
    import zipfile

    parts = [keras_network(folder / f"{maps}.keras", maps=maps) for maps in (1, 4)]
    made = io.BytesIO()
    with zipfile.ZipFile(parts[0]) as one, zipfile.ZipFile(parts[1]) as other, zipfile.ZipFile(made, "w") as out:
        for name in one.namelist():
            out.writestr(name, (other if name.endswith(".h5") else one).read(name))
    return made.getvalue()


def test_46_a_network_of_another_dtype_is_told(checked: Checked, tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    package = onnx_package(tmp_path)
    shape = ["b", 1, "y", "x"]
    words = helper.make_tensor_value_info("image", onnx.TensorProto.STRING, shape)
    made = helper.make_tensor_value_info("maps", onnx.TensorProto.STRING, shape)
    network = save([helper.make_node("Identity", ["image"], ["maps"])], words, made, [], tmp_path / "words.onnx")
    report = checked(changed(package, tmp_path / "words.zip", **{"network.onnx": network.read_bytes()}))
    assert report["step"]["load"]["sentence"] == (
        "The network takes 1 tensors, of tensor(string); one of numbers is run."
    )


def test_43_a_saved_model_that_writes_and_reads_files_never_runs_without_a_review(
    checked: Checked, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    given = np.random.default_rng(2).random((1, 32, 40, 1), np.float32)
    weights = {
        "tensorflow_saved_model_bundle": {"source": saved_model(tmp_path, touched), "tensorflow_version": "2.21.0"}
    }
    package = make_standard_package(tmp_path / "program.zip", weights, given, given, axes="byxc")
    report = checked(package)
    load = report["step"]["load"]
    assert load["sentence"] == (
        "The package has weights as TensorFlow (SavedModel), which can hold programs and run only after a review."
    )
    assert file_sha256(package) in load["hint"]
    assert not report["passed"]
    assert not touched.exists()


def test_what_the_author_saw_and_we_do_not_is_told(checked: Checked, keras_package: Path) -> None:
    report = checked(keras_package)  # its test output is noise
    step = report["step"]["reproduce"]
    assert not step["ok"]
    assert step["sentence"].startswith("The test output is not reproduced: largest difference ")
    assert step["hint"]
    assert not report["passed"]
    assert report["step"]["test_image"]["ok"], "the other steps are done all the same"
    assert "cover.png" in report["files"]
    assert "test_output.npy" not in report["files"]


def test_a_package_that_is_none_is_a_report_too(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no zip at all")
    report = checked(tmp_path / "no.zip")
    assert report["step"]["load"]["sentence"] == "This archive is not accepted: it is not a zip file."


def test_an_image_with_other_channels_is_told_with_what_would_work(
    checked: Checked, keras_package: Path, tmp_path: Path
) -> None:
    picture = np.zeros((40, 40, 2), np.uint8)
    report = checked(without_tensors(keras_package, tmp_path / "bare.zip"), crop_of(picture))
    assert report["step"]["reproduce"]["sentence"] == "The model works on one channel and was given 2."


def test_nothing_found_and_maps_that_are_no_probabilities_are_hints(
    checked: Checked, keras_package: Path, tmp_path: Path
) -> None:
    bare = without_tensors(keras_package, tmp_path / "bare.zip")
    dark = checked(bare, crop_of(np.full((64, 64), 3, np.uint8)))
    assert dark["passed"]
    assert dark["step"]["test_image"]["sentence"].startswith("On the test image of 64 × 64 px it found no discs")
    assert dark["step"]["test_image"]["hint"].startswith("Nothing was found")


def test_a_cancelled_check_stops(checked: Checked, keras_package: Path) -> None:
    with pytest.raises(Cancelled):
        checked(keras_package, cancelled=lambda: True)


def test_a_model_without_a_network_is_timed_as_a_whole(checked: Checked) -> None:
    seed = Path(__file__).parents[2] / "zoo" / "seed" / "spots.zip"
    package = read_package(seed, SETTINGS)
    given = check_input(package, None, "", "", SETTINGS)
    report = checked(seed, decode_crop(given.crop))
    assert report["passed"], report
    assert "its head alone works" in report["step"]["load"]["sentence"]
    pixels = report["found"]["width"] * report["found"]["height"]
    assert report["measured"][0]["megapixels"] == pytest.approx(pixels / 1e6, abs=1e-4)
    assert report["seconds_per_megapixel"] > 0.01
