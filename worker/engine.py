"""All that the child needs in order to compute, in one import that takes seconds: TensorFlow, validator, engine.

The child takes another module with the same names in its place, which is how tests make it slow, hang or crash.
"""

from __future__ import annotations

import onnxruntime
import tensorflow as tf

from worker.check_job import CheckJob, run_check
from worker.inference import ModelCache
from worker.preview import PreviewJob, run_preview
from zoo.images import decode_crop
from zoo.packages import preload, read_package

__all__ = [
    "CheckJob", "ModelCache", "PreviewJob", "decode_crop", "gpu_formats", "read_package", "run_check", "run_preview",
]  # fmt: skip

preload()


def gpu_formats() -> list[str]:
    """The formats of weights that this process computes on a GPU; asked after a ModelCache was made."""
    if not tf.config.get_visible_devices("GPU"):
        return []
    onnx = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return ["keras", "onnx"] if onnx else ["keras"]
