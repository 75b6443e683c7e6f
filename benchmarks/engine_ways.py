"""Passes of a network over a large plane, in a process of its own, in one of three ways: our engine, a bare loop of
the framework over the same tiles, or bioimageio.core. Says "ready", then one line of JSON for each pass asked for.

Run by the interpreter of the environment that has what the way needs: bioimageio.core has its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Pass = Callable[[], np.ndarray]
SEED = 5


def plane_of(side: int) -> np.ndarray:
    """(side, side, 1) float32."""
    return np.random.default_rng(SEED).standard_normal((side, side, 1), np.float32)


def bare(package: Path, framework: str, plane: np.ndarray, tiles: dict[str, Any]) -> Pass:
    """Cut, compute, stitch, one after the other."""
    (height, width), cells = tiles["window"], tiles["tiles"]
    run = _bare_keras(package) if framework == "keras" else _bare_onnx(package)

    def once() -> np.ndarray:
        maps = np.empty((*plane.shape[:2], 2), np.float32)
        for y, x, (top, bottom), (left, right) in cells:
            made = run(plane[y : y + height, x : x + width])
            maps[top:bottom, left:right] = made[top - y : bottom - y, left - x : right - x]
        return maps

    run(plane[:height, :width])
    return once


def _bare_keras(package: Path) -> Callable[[np.ndarray], np.ndarray]:
    import keras
    import tensorflow as tf

    network = keras.saving.load_model(_weights(package, ".keras"), compile=False)
    forward = tf.function(lambda batch: network(batch, training=False), input_signature=[
        tf.TensorSpec([None, None, None, 1], tf.float32)
    ], autograph=False)  # fmt: skip
    return lambda window: forward(tf.constant(window[None])).numpy()[0]


def _bare_onnx(package: Path) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(_weights(package, ".onnx")), providers=["CPUExecutionProvider"])
    return lambda window: session.run(None, {"image": window[None].transpose(0, 3, 1, 2)})[0][0].transpose(1, 2, 0)


def _weights(package: Path, ending: str) -> Path:
    with zipfile.ZipFile(package) as archive:
        name = next(name for name in archive.namelist() if name.endswith(ending))
        return Path(archive.extract(name, package.parent / f"weights{ending}"))


def engine(package: Path, framework: str, plane: np.ndarray, tiles: dict[str, Any]) -> Pass:
    from worker.inference import ModelCache
    from zoo.packages import read_package
    from zoo.settings import Settings

    model = ModelCache(Settings(), "cpu").get(read_package(package, Settings()))
    height, width = tiles["window"]
    nothing: Callable[..., None] = lambda *told: None  # noqa: E731
    model.predict(np.ascontiguousarray(plane[:height, :width]), nothing, nothing, tile=max(height, width))
    return lambda: model.predict(plane, nothing, nothing, tile=tiles["tile"], batch=1)


def core(package: Path, framework: str, plane: np.ndarray, tiles: dict[str, Any]) -> Pass:
    from bioimageio.core import Tensor, create_prediction_pipeline, load_model_description, predict
    from bioimageio.spec.model.v0_5 import AxisId

    described: Any = load_model_description(package, perform_io_checks=False)
    pipeline = create_prediction_pipeline(described)
    dims = ("batch", "y", "x", "channel") if framework == "keras" else ("batch", "channel", "y", "x")
    order = [("batch", "y", "x", "channel").index(name) for name in dims]
    height, width = tiles["window"]
    shape = {"image": {AxisId("y"): height, AxisId("x"): width}}

    def over(given: np.ndarray) -> np.ndarray:
        tensor = Tensor.from_numpy(given[None].transpose(order), dims=dims)
        made = predict(model=pipeline, inputs={"image": tensor}, input_block_shape=shape)
        maps = np.asarray(made.members["maps"].data.data)
        return maps[0] if framework == "keras" else maps[0].transpose(1, 2, 0)

    over(plane[:height, :width])
    return lambda: over(plane)


WAYS: dict[str, Callable[[Path, str, np.ndarray, dict[str, Any]], Pass]] = {
    "bioimageio.core": core,
    "bare loop": bare,
    "engine": engine,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--framework")
    parser.add_argument("--side", type=int)
    parser.add_argument("--tiles", type=Path, help="JSON: tile, window and the tiles")
    parser.add_argument("--keep", type=Path, help="where to keep the maps")
    arguments = parser.parse_args()
    # What libraries print (bioimageio.core does) must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tiles = json.loads(arguments.tiles.read_text())
    plane = plane_of(arguments.side)
    once = WAYS[arguments.way](arguments.package, arguments.framework, plane, tiles)
    print("ready", file=answers, flush=True)
    maps = None
    for _ in sys.stdin:
        maps = None  # as a loop would that hands its maps on
        started, spent = time.perf_counter(), time.process_time()
        maps = once()
        seconds, spent = time.perf_counter() - started, time.process_time() - spent
        print(json.dumps({"seconds": seconds, "cpu": spent}), file=answers, flush=True)
    if arguments.keep and maps is not None:
        np.save(arguments.keep, maps)


if __name__ == "__main__":
    main()
