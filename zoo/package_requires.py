"""What a package asks of the worker that runs it: `config.zooscope.requires`, and the formats of its weights.

`requires` is `{device: any | gpu, gpu_memory_gb: number}`, both optional; asking for memory asks for a GPU. It is meant
for networks that are hopeless on a CPU: without it a model runs anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.package_archive import PackageInvalid
from zoo.package_weights import REVIEWED_WEIGHTS, RUNNABLE_WEIGHTS

DEVICES = ("any", "gpu")
MOST_GPU_MEMORY_GB = 80
# How a worker speaks of the formats that it runs.
WORKER_FORMATS = {"keras_v3": "keras", "onnx": "onnx"} | dict.fromkeys(REVIEWED_WEIGHTS, "reviewed")


def check_requires(config: Mapping[str, Any]) -> dict[str, Any]:
    """{device, gpu_memory_gb} of `config.zooscope`, without what is left out; raises `PackageInvalid`."""
    given = config.get("requires") or {}
    if not isinstance(given, Mapping) or given.keys() - {"device", "gpu_memory_gb"}:
        raise PackageInvalid(
            "config.zooscope.requires is not understood.", "Give {device: gpu, gpu_memory_gb: 16}, or leave it out."
        )
    requires = dict(given)
    if requires.get("device", "any") not in DEVICES:
        raise PackageInvalid(
            f"The model requires the device {str(requires['device'])[:20]!r}.", f"Devices: {', '.join(DEVICES)}."
        )
    memory = requires.get("gpu_memory_gb", 0)
    if isinstance(memory, bool) or not isinstance(memory, int | float) or not 0 <= memory <= MOST_GPU_MEMORY_GB:
        raise PackageInvalid(
            f"The model requires {str(memory)[:20]!r} GB of GPU memory.",
            f"Give a number up to {MOST_GPU_MEMORY_GB}, the most that one card is expected to have.",
        )
    if memory:
        requires["device"] = "gpu"
    return requires


def weights_formats(described: Any, chosen: str) -> list[str]:
    """The formats of which a worker needs one: all that run anywhere, or the reviewed one that was chosen."""
    if chosen not in RUNNABLE_WEIGHTS:
        return [chosen]
    return [name for name in RUNNABLE_WEIGHTS if getattr(described.weights, name, None) is not None]


def needs_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """What `scheduler.capabilities.Needs.read` takes, of the document of a model version."""
    # Networks for several planes are stored in one format; documents older than `weights_formats` name one as well.
    several = len(model.get("frames") or ()) > 1
    offered = None if several else model.get("weights_formats")
    formats = sorted({WORKER_FORMATS[name] for name in offered or [model["weights_format"]] if name in WORKER_FORMATS})
    return dict(model.get("requires") or {}) | {"formats": formats if model.get("network", True) else []}
