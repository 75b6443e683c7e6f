"""Keras networks and SavedModels on TensorFlow, as traced functions; and which device TensorFlow computes on."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worker.networks import Layout, layout_of, unloadable
from worker.precision import in_half_precision
from zoo.errors import UserError
from zoo.package_archive import check_archive
from zoo.packages import ModelPackage

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

MOST_SAVED_MODEL_BYTES = 4 * 2**30
LOADS = (ValueError, TypeError, KeyError, OSError, AttributeError, ImportError, RuntimeError)
Forward = Callable[[tf.Tensor], tf.Tensor]


class DeviceMissing(UserError):
    code = "device-missing"


def prepare_device(device: str, threads: int) -> str:
    """Choose what TensorFlow computes on: "auto" (a GPU if there is one), "cpu" or "gpu:<index>"; 0 threads: all.

    Must be called before TensorFlow first computes; later calls only tell the device. Raises `DeviceMissing`.
    """
    cards = tf.config.list_physical_devices("GPU")
    if device.startswith("gpu"):
        index = int(device.partition(":")[2] or 0)
        if index >= len(cards):
            raise DeviceMissing(f"There is no {device}; TensorFlow sees {len(cards)} GPUs.", "Use the device cpu.")
        cards = cards[index : index + 1]
    chosen = [] if device == "cpu" else cards[:1]
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for card in chosen:
            tf.config.experimental.set_memory_growth(card, True)
        if chosen:
            tf.config.experimental.enable_op_determinism()
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        chosen = tf.config.get_visible_devices("GPU")
    if not chosen:
        return "cpu"
    return str(tf.config.experimental.get_device_details(chosen[0]).get("device_name", "gpu"))


def compute_capability() -> tuple[int, int] | None:
    """Of the GPU in use, such as (8, 0); None without one."""
    cards = tf.config.get_visible_devices("GPU")
    if not cards:
        return None
    return tf.config.experimental.get_device_details(cards[0]).get("compute_capability")


@dataclass(frozen=True)
class _Running:
    made: tf.Tensor
    layout: Layout

    def result(self) -> np.ndarray:
        try:
            return np.asarray(memoryview(self.made))  # on the CPU it is not copied
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(str(error)) from error


class TensorFlowNetwork:
    """`forward` is the traced function of a (b, y, x, channel) float32 tensor; `fixed` is the shape of the network's
    input as it tells it, with None for any size.
    """

    def __init__(self, call: Forward, layout: Layout, channels: int, device: str, fixed: tuple[Any, ...] = ()) -> None:
        self.layout, self.device, self.precision = layout, device, "float32"
        sizes = dict(zip(layout.given, fixed, strict=False))
        lists = "y" not in layout.made
        self.batch: int | None = 1 if "b" not in layout.given or lists else sizes.get("b")
        self.window = (sizes["y"], sizes["x"]) if sizes.get("y") and sizes.get("x") else None
        self.call = call
        lacks_in, lacks_out = layout.lacks
        turn_in, turn_out = layout.to_network, layout.from_network
        signature = tf.TensorSpec([None, None, None, channels], tf.float32)

        @tf.function(input_signature=[signature], autograph=False)
        def forward(batch: tf.Tensor) -> tf.Tensor:
            given = batch if turn_in == (0, 1, 2, 3) else tf.transpose(batch, turn_in)
            if lacks_in:
                given = tf.squeeze(given, list(range(lacks_in)))
            made = call(given)
            for _ in range(lacks_out):
                made = made[None]
            return tf.cast(
                made if turn_out == tuple(range(len(turn_out))) else tf.transpose(made, turn_out), tf.float32
            )

        self.forward = forward

    def start(self, batch: np.ndarray) -> _Running:
        try:
            return _Running(self.forward(tf.constant(batch)), self.layout)
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(str(error)) from error


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Without TensorFloat-32, in which newer cards compute float32 with ten bits of mantissa."""
    allowed = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(allowed)


def load_tensorflow(
    file: Path, package: ModelPackage, device: str, frames: int, exact: bool = False
) -> TensorFlowNetwork:
    """The network in a .keras, .h5 or zipped SavedModel file; the caller has seen to it that the last two may run.

    A card that is fast at half precision computes in it, if the package's test tensor shows no harm and it is not to
    be `exact`.
    """
    layout, channels = layout_of(package), package.channels * frames
    try:
        if package.weights_format == "tensorflow_saved_model_bundle":
            return TensorFlowNetwork(_saved_model(file), layout, channels, device)
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except LOADS as error:
        hint = "Save it again with model.save('model.keras'), without Lambda layers or layers of your own."
        raise unloadable(package, error, hint) from error

    def wrapped(network: keras.Model) -> TensorFlowNetwork:
        fixed = network.input_shape if isinstance(network.input_shape, tuple) else ()
        return TensorFlowNetwork(lambda given: network(given, training=False), layout, channels, device, fixed)

    full = wrapped(model)
    return full if exact else in_half_precision(full, model, wrapped, package, frames, compute_capability())


def _saved_model(file: Path) -> Forward:
    """The serving function of a SavedModel in a zip, of one input and its first output."""
    check_archive(file, MOST_SAVED_MODEL_BYTES)
    folder = file.parent / "saved-model"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    found = sorted(folder.rglob("saved_model.pb"))
    if not found:
        raise ValueError("there is no saved_model.pb in the zip")
    loaded = tf.saved_model.load(str(found[0].parent))
    serve = loaded.signatures["serving_default"]
    name = next(iter(serve.structured_input_signature[1]))
    dtype = serve.structured_input_signature[1][name].dtype

    def call(given: tf.Tensor, keep: Any = loaded) -> tf.Tensor:
        made = serve(**{name: tf.cast(given, dtype)})
        return made[sorted(made)[0]]

    return call
