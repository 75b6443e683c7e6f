"""Weights of every format, lists of boxes, several planes, no network at all; memory that runs out; half precision."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from example_package import make_package
from onnx import helper, numpy_helper
from standard_package import make_standard_package, onnx_weights, run_onnx, save, write_onnx

from worker.check import TestTensorsMissing, reproduces
from worker.inference import ModelCache, ModelUnrunnable, WarmModel
from zoo.packages import ModelPackage, PackageInvalid, file_sha256, read_package
from zoo.settings import Settings

SETTINGS = Settings(cpu_threads=1)
# Keras 3.15 hands its variables to NumPy 2 in an old way when it saves them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RNG = np.random.default_rng(5)
BOXES_HEAD = {
    "kind": "boxes",
    "columns": ["x_min", "y_min", "x_max", "y_max", "score"],
    "classes": [{"object": "dot", "objects": "dots"}],
    "threshold": 0.6,
}


@pytest.fixture(scope="module")
def models() -> ModelCache:
    return ModelCache(SETTINGS, "cpu")


def predicted(model: WarmModel, plane: np.ndarray, **settings: Any) -> np.ndarray:
    return model.predict(plane, lambda done, tiles: None, lambda line: None, **settings)


def keras_network(channels: int = 1) -> Any:
    import keras

    keras.utils.set_random_seed(3)
    inputs = keras.Input((None, None, channels))
    hidden = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(hidden))


def test_keras_and_its_reviewed_formats_agree(tmp_path: Path, models: ModelCache) -> None:
    import tensorflow as tf

    network = keras_network()
    network.save(tmp_path / "network.keras")
    network.save(tmp_path / "network.h5")
    serve = tf.function(lambda image: {"maps": network(image)}).get_concrete_function(
        image=tf.TensorSpec([None, None, None, 1], tf.float32)
    )
    tf.saved_model.save(network, str(tmp_path / "saved"), signatures=serve)
    shutil.make_archive(str(tmp_path / "saved"), "zip", tmp_path / "saved")
    given = RNG.uniform(0, 1, (1, 40, 48, 1)).astype(np.float32)
    made = np.asarray(network(given))
    formats: dict[str, dict[str, Any]] = {
        "keras_v3": {
            "source": tmp_path / "network.keras",
            "keras_version": "3.15.1",
            "backend": ["tensorflow", "2.21.0"],
        },
        "keras_hdf5": {"source": tmp_path / "network.h5", "tensorflow_version": "2.21.0"},
        "tensorflow_saved_model_bundle": {"source": tmp_path / "saved.zip", "tensorflow_version": "2.21.0"},
    }
    for name, entry in formats.items():
        out = make_standard_package(tmp_path / "packed" / f"{name}.zip", {name: entry}, given, made, axes="byxc")
        sha256 = file_sha256(out)
        if name != "keras_v3":
            with pytest.raises(PackageInvalid, match="only after a review") as refused:
                read_package(out, SETTINGS)
            assert sha256 in refused.value.hint
        package = read_package(out, SETTINGS.replace(reviewed_packages=(sha256,)))
        assert package.weights_format == name
        found = reproduces(package, models)
        assert found.agrees, f"{name}: {found.text}"
        assert found.difference < 1e-5


def test_a_keras_network_of_one_size_is_given_that_size(tmp_path: Path, models: ModelCache) -> None:
    import keras

    free = keras_network()
    inputs = keras.Input((64, 64, 1))
    fixed = keras.Model(inputs, free(inputs))
    fixed.save(tmp_path / "network.keras")
    given = RNG.uniform(0, 1, (1, 64, 64, 1)).astype(np.float32)
    entry = {"source": tmp_path / "network.keras", "keras_version": "3.15.1", "backend": ["tensorflow", "2.21.0"]}
    out = tmp_path / "model.zip"
    made = np.asarray(fixed(given))
    package = read_package(make_standard_package(out, {"keras_v3": entry}, given, made, axes="byxc", size=64), SETTINGS)
    assert reproduces(package, models).agrees
    assert models.get(package).network().window == (64, 64)
    plane = RNG.uniform(0, 1, (100, 90, 1)).astype(np.float32)
    expected = np.asarray(free(plane[None]))[0]
    found = predicted(models.get(package), plane)
    # The plane is reflected to whole windows, where its own border had zeros.
    np.testing.assert_allclose(found[:98, :88], expected[:98, :88], atol=1e-5)


def test_a_wrong_test_output_is_found_out(tmp_path: Path, models: ModelCache) -> None:
    file = write_onnx(tmp_path / "network.onnx")
    given = RNG.uniform(0, 1, (1, 1, 40, 40)).astype(np.float32)
    made = run_onnx(file, given)
    made[0, 0, 3, 3] += 0.005
    out = tmp_path / "model.zip"
    package = read_package(make_standard_package(out, onnx_weights(file), given, made), SETTINGS)
    found = reproduces(package, models)
    assert not found.agrees
    assert found.mismatched_ppm == pytest.approx(625)
    # The package itself may allow more.
    allowed = [{"absolute_tolerance": 0.006, "relative_tolerance": 0.001, "mismatched_elements_per_million": 0}]
    package = read_package(make_standard_package(out, onnx_weights(file), given, made, tolerance=allowed), SETTINGS)
    assert reproduces(package, models).agrees
    with pytest.raises(TestTensorsMissing):
        reproduces(ModelPackage(**package.__dict__ | {"test_input": ""}), models)


def test_pytorch_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "network.pt").write_bytes(b"a program")
    weights = {"torchscript": {"source": tmp_path / "network.pt", "pytorch_version": "2.5.0"}}
    given = RNG.uniform(0, 1, (1, 1, 40, 40)).astype(np.float32)
    with pytest.raises(PackageInvalid, match="TorchScript, which Zooscope does not run") as refused:
        read_package(make_standard_package(tmp_path / "model.zip", weights, given, given), SETTINGS)
    assert "ONNX" in refused.value.hint


def test_onnx_weights_beside_the_graph_are_found_and_no_other_file(tmp_path: Path, models: ModelCache) -> None:
    whole = write_onnx(tmp_path / "whole.onnx", channels=2)
    graph = onnx.load(str(whole))
    split = tmp_path / "split.onnx"
    onnx.save(graph, str(split), save_as_external_data=True, location="weights.data", size_threshold=16)
    given = RNG.uniform(0, 1, (1, 2, 40, 40)).astype(np.float32)
    weights = onnx_weights(split)
    weights["onnx"]["external_data"] = {"source": tmp_path / "weights.data"}
    out = make_standard_package(tmp_path / "model.zip", weights, given, run_onnx(whole, given))
    package = read_package(out, SETTINGS)
    assert package.weights_data == "weights.data"
    assert reproduces(package, models).agrees
    # A graph that names a file outside its folder is not loaded.
    (tmp_path / "secret").write_bytes(b"0" * 4096)
    graph = onnx.load(str(split), load_external_data=False)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = str(tmp_path / "secret")
    (tmp_path / "thief").mkdir()
    thief = tmp_path / "thief" / "network.onnx"
    thief.write_bytes(graph.SerializeToString())
    out = make_standard_package(tmp_path / "thief.zip", onnx_weights(thief), given, given[:, :1])
    with pytest.raises(ModelUnrunnable, match="cannot be loaded"):
        models.get(read_package(out, SETTINGS))


def detector(path: Path) -> Path:
    """A graph that lists a box of 7 by 5 pixels about each bright point, and a row that is none."""
    one, zero = np.float32(1), np.float32(0)
    constants = {
        "half": np.array(0.5, np.float32),
        "corners": np.array([[-3, -2, 4, 3]], np.float32),
        "column_y": np.array([2], np.int64),
        "column_x": np.array([3], np.int64),
        "axis_one": np.array([1], np.int64),
        "filler": np.array([[zero, zero, zero, zero, -one]], np.float32),
    }
    nodes = [
        helper.make_node("Greater", ["image", "half"], ["bright"]),
        helper.make_node("NonZero", ["bright"], ["where"]),
        helper.make_node("Transpose", ["where"], ["points"]),
        helper.make_node("Gather", ["points", "column_x"], ["xs"], axis=1),
        helper.make_node("Gather", ["points", "column_y"], ["ys"], axis=1),
        helper.make_node("Concat", ["xs", "ys", "xs", "ys"], ["centres"], axis=1),
        helper.make_node("Cast", ["centres"], ["places"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["places", "corners"], ["boxes"]),
        helper.make_node("GatherND", ["image", "points"], ["values"]),
        helper.make_node("Unsqueeze", ["values", "axis_one"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["rows"], axis=1),
        helper.make_node("Concat", ["rows", "filler"], ["found"], axis=0),
    ]
    given = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["b", 1, "y", "x"])
    made = helper.make_tensor_value_info("found", onnx.TensorProto.FLOAT, ["n", 5])
    return save(nodes, given, made, [numpy_helper.from_array(value, name) for name, value in constants.items()], path)


@pytest.fixture(scope="module")
def boxes_package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("boxes")
    file = detector(folder / "network.onnx")
    given = np.zeros((1, 1, 40, 40), np.float32)
    given[0, 0, 10, 20] = 0.9
    config = {"zooscope": {"head": BOXES_HEAD, "stride": 8, "halo": 8}}
    out = make_standard_package(
        folder / "model.zip", onnx_weights(file), given, run_onnx(file, given), output_axes="ic", config=config
    )
    return read_package(out, SETTINGS)


def test_boxes_are_the_same_whatever_the_tiles(boxes_package: ModelPackage, models: ModelCache) -> None:
    model = models.get(boxes_package)
    plane = np.zeros((150, 130, 1), np.float32)
    rng = np.random.default_rng(11)
    places = rng.choice(140 * 120, 60, replace=False)
    for place in places:
        plane[4 + place // 120, 4 + place % 120] = rng.uniform(0.6, 1)
    whole = predicted(model, plane)
    assert {(int(y + 2) - 4) * 120 + int(x + 3) - 4 for x, y in whole[:, :2]} == set(places.tolist())
    assert len(whole) == 60
    for tile in (32, 40, 64):
        np.testing.assert_allclose(predicted(model, plane, tile=tile), whole, atol=1e-4)
    assert predicted(model, np.zeros((50, 50, 1), np.float32)).shape == (0, 5)


def test_a_head_of_boxes_needs_a_list_of_boxes(tmp_path: Path) -> None:
    file = write_onnx(tmp_path / "network.onnx", maps=5)
    given = RNG.uniform(0, 1, (1, 1, 40, 40)).astype(np.float32)
    out = make_standard_package(
        tmp_path / "model.zip",
        onnx_weights(file),
        given,
        run_onnx(file, given),
        config={"zooscope": {"head": BOXES_HEAD}},
    )
    with pytest.raises(PackageInvalid, match="list of boxes"):
        read_package(out, SETTINGS)


def test_several_planes_have_networks_of_their_own(tmp_path: Path, models: ModelCache) -> None:
    package = read_package(make_package(tmp_path / "planes.zip", weights=saved(tmp_path / "one.keras", 1)), SETTINGS)
    model = models.get(package)
    assert sorted(model.networks) == [1]
    with pytest.raises(ModelUnrunnable, match="no network for 3 planes"):
        predicted(model, np.zeros((64, 64, 3), np.float32), frames=3)


def saved(path: Path, channels: int) -> Path:
    keras_network(channels).save(path)
    return path


def test_without_a_network_the_plane_is_the_map(tmp_path: Path, models: ModelCache) -> None:
    head = {"kind": "spots", "channel": 0, "threshold": 0.1}
    package = read_package(make_package(tmp_path / "spots.zip", head=head, network=False), SETTINGS)
    assert not package.network
    plane = RNG.uniform(0, 1, (30, 40, 1)).astype(np.float32)
    np.testing.assert_array_equal(predicted(models.get(package), plane), plane)


CRAMPED = """
import resource, sys
from pathlib import Path
import numpy as np
from worker.inference import WarmModel
from zoo.packages import read_package
from zoo.settings import Settings

package = read_package(Path(sys.argv[1]), Settings())
model = WarmModel(package, "cpu", 1)
assert "tensorflow" not in sys.modules
plane = np.random.default_rng(0).uniform(0, 1, (256, 256, 1)).astype(np.float32)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), resource.RLIM_INFINITY))
found = model.predict(plane, lambda done, tiles: None, print, tile=128, batch=4)
assert np.allclose(found, 1 / (1 + np.exp(-plane)), atol=1e-5)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is bounded on Linux only")
def test_onnxruntime_out_of_memory_tries_less_and_says_so(tmp_path: Path) -> None:
    file = greedy(tmp_path / "network.onnx")
    given = RNG.uniform(0, 1, (1, 1, 40, 40)).astype(np.float32)
    out = make_standard_package(tmp_path / "model.zip", onnx_weights(file), given, run_onnx(file, given))
    command = [sys.executable, "-c", CRAMPED, str(out), str(400 * 2**20)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("out of memory: batch halved from 4 to 2 tiles\n")


def greedy(path: Path) -> Path:
    """The mean of each pixel over 1024 copies of it: 4 KiB a pixel on the way."""
    constants = {"copies": np.array([1, 1024, 1, 1], np.int64), "axis": np.array([1], np.int64)}
    nodes = [
        helper.make_node("Tile", ["image", "copies"], ["many"]),
        helper.make_node("Sigmoid", ["many"], ["squashed"]),
        helper.make_node("ReduceMean", ["squashed"], ["maps"], axes=[1], keepdims=1),
    ]
    given = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["b", 1, "y", "x"])
    made = helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, ["b", 1, "y", "x"])
    return save(nodes, given, made, [numpy_helper.from_array(value, name) for name, value in constants.items()], path)
