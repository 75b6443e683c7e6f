"""The same small network, four convolutions of sixteen filters, as a Keras and as an ONNX package of the plain
standard: nothing of Zooscope's own in them, so that other tools run them, too.
"""

from __future__ import annotations

import gc
import itertools
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

FRAMEWORKS = ("keras", "onnx")
FILTERS, LAYERS, MAPS = 16, 4, 2
STEP, HALO, SIDE = 8, 16, 64
OPSET = 17
# By framework: the order of the axes.
AXES = {"keras": "byxc", "onnx": "bcyx"}


def kernels() -> list[np.ndarray]:
    """(y, x, in, out) float32 of each layer."""
    rng = np.random.default_rng(9)
    sides = [1, *[FILTERS] * (LAYERS - 1), MAPS]
    return [
        rng.normal(0, np.sqrt(2 / (9 * have)), (3, 3, have, want)).astype(np.float32)
        for have, want in itertools.pairwise(sides)
    ]


def write_package(folder: Path, framework: str) -> Path:
    """The package `<framework>.zip` in `folder`."""
    weights = folder / ("network.keras" if framework == "keras" else "network.onnx")
    given = np.random.default_rng(2).normal(size=(1, SIDE, SIDE, 1)).astype(np.float32)
    made = _write_keras(weights, given)
    described: dict[str, Any] = {"keras_v3": {"source": weights, "keras_version": _keras_version(), "backend": (
        "tensorflow", "2.21.0")}}  # fmt: skip
    if framework == "onnx":
        _write_onnx(weights)
        described = {"onnx": {"source": weights, "opset_version": OPSET}}
    order = ["byxc".index(axis) for axis in AXES[framework]]
    return _package(
        folder / f"{framework}.zip", AXES[framework], described, given.transpose(order), made.transpose(order)
    )


def _keras_version() -> str:
    import keras

    return str(keras.__version__)


def _write_keras(path: Path, given: np.ndarray) -> np.ndarray:
    import keras

    image = now = keras.Input((None, None, 1))
    layers = []
    for index, kernel in enumerate(kernels()):
        last = index == LAYERS - 1
        layers.append(keras.layers.Conv2D(kernel.shape[3], 3, padding="same", activation="sigmoid" if last else "relu"))
        now = layers[-1](now)
    network = keras.Model(image, now)
    for layer, kernel in zip(layers, kernels(), strict=True):
        layer.set_weights([kernel, np.zeros(kernel.shape[3], np.float32)])
    if path.suffix == ".keras":
        network.save(path)
    return np.asarray(network(given))


def _write_onnx(path: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    nodes, constants, now = [], [], "image"
    for index, kernel in enumerate(kernels()):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), f"kernel{index}"))
        nodes.append(helper.make_node("Conv", [now, f"kernel{index}"], [f"sum{index}"], pads=[1, 1, 1, 1]))
        last = index == LAYERS - 1
        now = "maps" if last else f"layer{index}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"sum{index}"], [now]))
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["b", channels, "y", "x"])
        for name, channels in (("image", 1), ("maps", MAPS))
    ]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9), str(path))


def _package(out: Path, axes: str, weights: dict[str, Any], given: np.ndarray, made: np.ndarray) -> Path:
    from bioimageio.spec import save_bioimageio_package
    from bioimageio.spec.common import FileDescr
    from bioimageio.spec.model import v0_5

    def axis(letter: str, of_input: bool) -> Any:
        if letter == "b":
            return v0_5.BatchAxis()
        if letter == "c":
            count = 1 if of_input else MAPS
            return v0_5.ChannelAxis(channel_names=[v0_5.Identifier(f"c{index}") for index in range(count)])
        if of_input:
            size = v0_5.ParameterizedSize(min=SIDE, step=STEP)
            return v0_5.SpaceInputAxis(id=v0_5.AxisId(letter), size=size)
        reference = v0_5.SizeReference(tensor_id=v0_5.TensorId("image"), axis_id=v0_5.AxisId(letter))
        return v0_5.SpaceOutputAxisWithHalo(id=v0_5.AxisId(letter), size=reference, halo=HALO)

    # The writer of bioimageio.spec 0.5.12 leaves the files it packs to the garbage collector.
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        folder = Path(name)
        np.save(folder / "given.npy", given)
        np.save(folder / "made.npy", made)
        (folder / "README.md").write_text("# Four convolutions\n\n# Validation\n\nNone: for measuring speed.\n")
        described = v0_5.ModelDescr(
            id=v0_5.ModelId(out.stem),
            name="Four convolutions",
            description="A network of random weights for measuring speed.",
            authors=[v0_5.Author(name="Zooscope")],
            cite=[v0_5.CiteEntry(text="A benchmark", doi="10.5281/zenodo.0")],  # type: ignore[arg-type]
            license="CC0-1.0",  # type: ignore[arg-type]
            documentation=FileDescr(source=folder / "README.md"),
            version=v0_5.Version("1.0.0"),
            inputs=[
                v0_5.InputTensorDescr(
                    id=v0_5.TensorId("image"),
                    axes=[axis(letter, True) for letter in axes],
                    test_tensor=FileDescr(source=folder / "given.npy"),
                )
            ],
            outputs=[
                v0_5.OutputTensorDescr(
                    id=v0_5.TensorId("maps"),
                    axes=[axis(letter, False) for letter in axes],
                    test_tensor=FileDescr(source=folder / "made.npy"),
                )
            ],
            weights=v0_5.WeightsDescr(**weights),
        )
        written = Path(save_bioimageio_package(described, output_path=out))
        del described
        gc.collect()
        return written
