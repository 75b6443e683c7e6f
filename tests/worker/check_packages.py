"""Packages and images for the tests of checks: small real networks that find bright things, and ways to break them."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from standard_package import make_standard_package, onnx_weights, run_onnx, save, write_onnx

from zoo.image_types import Crop, PixelSize
from zoo.roi import Region

DISCS = ((20, 30), (60, 80), (90, 30))


def discs(height: int = 120, width: int = 160, dtype: Any = np.uint8) -> np.ndarray:
    """(y, x) dark, with three bright discs of radius 8."""
    y, x = np.mgrid[:height, :width]
    picture = np.full((height, width), 10, dtype)
    for centre in DISCS:
        picture[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= 64] = 200
    return picture


def crop_of(picture: np.ndarray, pixel_size: PixelSize | None = None) -> Crop:
    pixels = picture if picture.ndim == 3 else picture[..., None]
    return Crop(pixels, pixel_size, False, Region(0, 0, pixels.shape[1], pixels.shape[0]))


def keras_network(path: Path, *, channels: int = 1, maps: int = 1, bad: float | None = None) -> Path:
    """One convolution of 1 x 1 and a sigmoid, that tells bright pixels; with `bad` a weight of that value."""
    import keras

    image = keras.Input((None, None, channels), name="image")
    layer = keras.layers.Conv2D(maps, 1, activation="sigmoid", name="bright")
    network = keras.Model(image, layer(image))
    kernel = np.full((1, 1, channels, maps), 12.0 / channels, np.float32)
    if bad is not None:
        kernel[0, 0, 0, 0] = bad
    layer.set_weights([kernel, np.full(maps, -6.0, np.float32)])
    with warnings.catch_warnings(action="ignore"):  # of NumPy, about Keras
        network.save(path)
    return path


def onnx_package(folder: Path, **more: Any) -> Path:
    """A package from elsewhere: ONNX, channels first, test tensors that onnxruntime itself made."""
    network = write_onnx(folder / "network.onnx")
    given = np.random.default_rng(4).random((1, 1, 48, 64), np.float32)
    return make_standard_package(folder / "foreign.zip", onnx_weights(network), given, run_onnx(network, given), **more)


def box_lister(path: Path) -> Path:
    """An ONNX network that lists a box of 8 x 8 around every pixel brighter than 0.9 of (1, y, x, 1)."""
    import onnx
    from onnx import helper, numpy_helper

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value), name)

    nodes = [
        helper.make_node("Greater", ["image", "level"], ["bright"]),
        helper.make_node("NonZero", ["bright"], ["places"]),  # (4, n)
        helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        helper.make_node("Cast", ["rows"], ["real"], to=onnx.TensorProto.FLOAT),
        helper.make_node("MatMul", ["real", "pick"], ["corners"]),  # x, y, x, y, 0
        helper.make_node("Add", ["corners", "side"], ["boxes"]),
    ]
    pick = np.zeros((4, 5), np.float32)
    pick[2, [0, 2]] = pick[1, [1, 3]] = 1
    order = np.zeros((4, 5), np.float32)
    order[2, 0] = order[1, 1] = order[2, 2] = order[1, 3] = 1
    constants = [
        constant("level", np.float32(0.9)),
        constant("pick", order),
        constant("side", np.array([-3.5, -3.5, 4.5, 4.5, 0.9], np.float32)),
    ]
    given = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, "y", "x", 1])
    made = helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, ["n", 5])
    return save(nodes, given, made, constants, path)


def saved_model(folder: Path, touched: Path) -> Path:
    """The zip of a SavedModel whose graph writes the file `touched` and reads it again whenever it is run."""
    import tensorflow as tf

    signature = tf.TensorSpec([None, None, None, 1], tf.float32, name="image")

    class Program(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[signature], autograph=False)
        def serve(self, image: Any) -> dict[str, Any]:
            with tf.control_dependencies([tf.io.write_file(str(touched), "it ran")]):
                read = tf.io.read_file(str(touched))
            with tf.control_dependencies([read]):
                return {"maps": tf.sigmoid(12.0 * image - 6.0)}

    program = Program()
    tf.saved_model.save(program, str(folder / "saved"), signatures=program.serve)
    packed = folder / "saved.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((folder / "saved").rglob("*")):
            if path.is_file():
                archive.write(path, str(path.relative_to(folder / "saved")))
    return packed


def changed(package: Path, out: Path, change: Any = None, **files: bytes) -> Path:
    """The package with `change` done to its parsed rdf.yaml, and files of other bytes."""
    with zipfile.ZipFile(package) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    described = yaml.safe_load(members["rdf.yaml"])
    if change is not None:
        change(described)
    members |= files
    _sum_anew(described, files)
    members["rdf.yaml"] = yaml.safe_dump(described).encode()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out


def _sum_anew(node: Any, files: dict[str, bytes]) -> None:
    """Every sha256 that stands beside the name of one of the files."""
    if isinstance(node, dict):
        if node.get("source") in files and "sha256" in node:
            node["sha256"] = hashlib.sha256(files[node["source"]]).hexdigest()
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        _sum_anew(each, files)


def without_tensors(package: Path, out: Path) -> Path:
    """The package as one is that was put together of a bare network: no test tensors, no sample."""

    def strip(described: dict[str, Any]) -> None:
        for tensor in [*described["inputs"], *described["outputs"]]:
            tensor.pop("test_tensor", None)
            tensor.pop("sample_tensor", None)

    return changed(package, out, strip)
