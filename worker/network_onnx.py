"""ONNX networks on onnxruntime: on the GPU when its provider is installed, else on the CPU.

A session lets go of Python's lock while it computes, so that tiles are read and stitched beside it. On a GPU it runs in
a thread of its own, so that the next batch is at hand when it ends; on the CPU that thread would only be in the way of
the session's. The graph gets no operators but onnxruntime's own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from worker.networks import Handle, ModelUnrunnable, layout_of, unloadable
from zoo.packages import ModelPackage

DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
# onnxruntime tells of memory in words only: of its arenas, of the C++ library, of CUDA.
MEMORY_WORDS = ("failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "cuda_error_out_of_memory")
LOADS = "Export it again for the CPU, with operators of the ONNX standard."


class OnnxNetwork:
    """One session; `precision` is float32, or what the graph itself computes in."""

    precision = "float32"

    def __init__(self, file: Path, package: ModelPackage, device: str, threads: int) -> None:
        self.layout = layout_of(package)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(str(file), options, providers=providers(device))
        except Exception as error:  # its exceptions share no class of their own
            raise unloadable(package, error, LOADS) from error
        given: list[Any] = session.get_inputs()
        made: list[Any] = session.get_outputs()
        if len(given) != 1 or not made or given[0].type not in DTYPES:
            raise ModelUnrunnable(f"The network takes {len(given)} tensors, of {given[0].type}; one of numbers is run.")
        self.session, self.input, self.output = session, given[0].name, made[0].name
        self.dtype = DTYPES[given[0].type]
        self.device = "cpu" if session.get_providers()[0] == "CPUExecutionProvider" else device
        self.batch, self.window = self._fixed(given[0].shape)
        self._thread = None if self.device == "cpu" else ThreadPoolExecutor(1, "onnx")

    def _fixed(self, shape: list[Any]) -> tuple[int | None, tuple[int, int] | None]:
        """The batch and the (y, x) that the graph is fixed to; names and None stand for any size."""
        axes = self.layout.given
        if len(shape) != len(axes):
            raise ModelUnrunnable(f"The network takes {len(shape)} axes; its description has {len(axes)}: {axes}.")
        sizes = {axis: size for axis, size in zip(axes, shape, strict=True) if isinstance(size, int) and size > 0}
        # Lists of different lengths do not make a batch.
        batch = 1 if "b" not in axes or "y" not in self.layout.made else sizes.get("b")
        return batch, (sizes["y"], sizes["x"]) if "y" in sizes and "x" in sizes else None

    def start(self, batch: np.ndarray) -> Handle:
        if self._thread is None:
            return Made(memory_told(lambda: self._run(batch)))
        return self._thread.submit(memory_told, lambda: self._run(batch))

    def _run(self, batch: np.ndarray) -> np.ndarray:
        given = self.layout.give(batch).astype(self.dtype, copy=False)
        made = self.layout.take(self.session.run([self.output], {self.input: given})[0])
        return np.asarray(made, np.float32)


@dataclass(frozen=True)
class Made:
    """What is computed already."""

    array: np.ndarray

    def result(self) -> np.ndarray:
        return self.array


def memory_told(run: Callable[[], np.ndarray]) -> np.ndarray:
    """`run`'s array; an exception that tells of memory becomes a `MemoryError`."""
    try:
        return run()
    except MemoryError:
        raise
    except Exception as error:
        if any(word in str(error).lower() for word in MEMORY_WORDS):
            raise MemoryError(str(error).splitlines()[0]) from error
        raise


def providers(device: str) -> list[Any]:
    """What onnxruntime computes on: CUDA if the worker has a GPU and this onnxruntime can use it, and the CPU."""
    if device == "cpu" or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return ["CPUExecutionProvider"]
    # Visible cards are told apart by the worker; TF32 would cost accuracy unasked.
    return [("CUDAExecutionProvider", {"device_id": 0, "use_tf32": "0"}), "CPUExecutionProvider"]
