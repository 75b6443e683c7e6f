"""Which of a package's weights are run: formats that cannot hold code of their own, and reviewed ones that can.

A Keras file in safe mode and an ONNX graph are arithmetic. HDF5 and SavedModel can hold programs, so that they run only
where the operator names the package as reviewed. PyTorch's formats are programs and never run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from zoo.package_archive import PackageInvalid

RUNNABLE_WEIGHTS = ("keras_v3", "onnx")
REVIEWED_WEIGHTS = ("keras_hdf5", "tensorflow_saved_model_bundle")
WORDS = {
    "keras_v3": "Keras (.keras)",
    "onnx": "ONNX",
    "keras_hdf5": "Keras (HDF5)",
    "tensorflow_saved_model_bundle": "TensorFlow (SavedModel)",
    "pytorch_state_dict": "PyTorch",
    "torchscript": "TorchScript",
    "tensorflow_js": "TensorFlow.js",
}


@dataclass(frozen=True)
class Weights:
    """The weights that are run: `file` of the archive, and `data`, the file beside it that holds large tensors."""

    format: str
    file: str
    sha256: str
    data: str = ""


def choose_weights(described: Any, package_sha256: str, reviewed: Collection[str]) -> Weights:
    """The best of the description's weights; `reviewed` are the sha256 of packages whose code may run.

    Raises `PackageInvalid` when none can be run, with what would help.
    """
    allowed = RUNNABLE_WEIGHTS + (REVIEWED_WEIGHTS if package_sha256 in reviewed else ())
    for name in allowed:
        entry = getattr(described.weights, name, None)
        if entry is not None:
            data = getattr(entry, "external_data", None)
            return Weights(name, str(entry.source), str(entry.sha256 or ""), str(data.source) if data else "")
    offered = [name for name, entry in described.weights if entry is not None]
    told = " and ".join(WORDS.get(name, name) for name in offered)
    if any(name in REVIEWED_WEIGHTS for name in offered):
        raise PackageInvalid(
            f"The package has weights as {told}, which can hold programs and run only after a review.",
            f"Save the network as .keras or ONNX; or let the operator add {package_sha256} to "
            "ZOOSCOPE_REVIEWED_PACKAGES of the service and of its workers.",
        )
    raise PackageInvalid(
        f"The package has weights as {told}, which Zooscope does not run.",
        "Export the network to ONNX (torch.onnx.export for PyTorch) or save it as .keras, and add that to the package.",
    )
