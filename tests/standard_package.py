"""Packages as others publish them: any weights, axes and sizes, nothing of Zooscope's own; ONNX networks for them."""

from __future__ import annotations

import gc
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17


def write_onnx(
    path: Path,
    *,
    axes: str = "bcyx",
    channels: int = 1,
    maps: int = 1,
    side: int | None = None,
    batch: int | None = None,
    stride: int = 1,
    seed: int = 0,
    activation: str = "Sigmoid",
) -> Path:
    """Two convolutions with zero padding, the second of `stride`; sizes are fixed where given."""
    rng = np.random.default_rng(seed)
    kernels = {
        "one": rng.normal(0, 0.4, (4, channels, 3, 3)).astype(np.float32),
        "two": rng.normal(0, 0.4, (maps, 4, 3, 3)).astype(np.float32),
    }
    sizes: dict[str, Any] = {"b": batch or "b", "c": channels, "y": side or "y", "x": side or "x"}
    missing = [axis for axis in "bcyx" if axis not in axes]
    full = [*missing, *axes]
    to_conv, from_conv = [full.index(axis) for axis in "bcyx"], ["bcyx".index(axis) for axis in full]
    ends = np.arange(len(missing), dtype=np.int64)
    nodes = [
        helper.make_node("Unsqueeze", ["image", "missing"], ["full"]) if missing else None,
        helper.make_node("Transpose", ["full" if missing else "image"], ["planes"], perm=to_conv),
        helper.make_node("Conv", ["planes", "one"], ["hidden"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["hidden"], ["rectified"]),
        helper.make_node("Conv", ["rectified", "two"], ["logits"], pads=[1, 1, 1, 1], strides=[stride, stride]),
        helper.make_node(activation, ["logits"], ["activated"]),
        helper.make_node("Transpose", ["activated"], ["turned"], perm=from_conv),
        helper.make_node("Squeeze" if missing else "Identity", ["turned", *(["missing"] if missing else [])], ["maps"]),
    ]
    given = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [sizes[axis] for axis in axes])
    made_sizes = [maps if axis == "c" else (sizes[axis] if axis == "b" else None) for axis in axes]
    made = helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, made_sizes)
    constants = [numpy_helper.from_array(value, name) for name, value in kernels.items()]
    constants += [numpy_helper.from_array(ends, "missing")] if missing else []
    return save([node for node in nodes if node], given, made, constants, path)


def save(nodes: list[Any], given: Any, made: Any, constants: list[Any], path: Path) -> Path:
    graph = helper.make_graph(nodes, "network", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def run_onnx(path: Path, given: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of the array, without any engine of ours."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: given})[0]


def make_standard_package(
    out: Path,
    weights: dict[str, Any],
    given: np.ndarray,
    made: np.ndarray,
    *,
    axes: str = "bcyx",
    output_axes: str | None = None,
    size: Any = None,
    output_scale: int = 1,
    halo: int = 8,
    preprocessing: list[dict[str, Any]] | None = None,
    postprocessing: list[dict[str, Any]] | None = None,
    config: dict[str, Any] | None = None,
    tolerance: list[dict[str, Any]] | None = None,
) -> Path:
    """Write a package with test tensors `given` and `made` in the orders of `axes` and `output_axes`.

    `weights` is what WeightsDescr takes, its sources as paths; `size` a side, or (least, step); None: (32, 8).
    """
    from bioimageio.spec import save_bioimageio_package
    from bioimageio.spec.common import FileDescr
    from bioimageio.spec.model import v0_5

    out_axes = output_axes or axes
    length = (
        size
        if isinstance(size, int)
        else v0_5.ParameterizedSize(**dict(zip(("min", "step"), size or (32, 8), strict=True)))
    )

    def input_axis(letter: str) -> Any:
        if letter == "b":
            return v0_5.BatchAxis()
        if letter == "c":
            return v0_5.ChannelAxis(channel_names=names("channel", given.shape[axes.index("c")]))
        return v0_5.SpaceInputAxis(id=v0_5.AxisId(letter), size=length)

    def output_axis(letter: str) -> Any:
        if letter == "b":
            return v0_5.BatchAxis()
        if letter == "c":
            return v0_5.ChannelAxis(channel_names=names("map", made.shape[out_axes.index("c")]))
        if letter == "i":
            return v0_5.IndexOutputAxis(size=v0_5.DataDependentSize(min=1))
        reference = v0_5.SizeReference(tensor_id=v0_5.TensorId("image"), axis_id=v0_5.AxisId(letter))
        kwargs: dict[str, Any] = {"id": v0_5.AxisId(letter), "size": reference, "scale": output_scale}
        return v0_5.SpaceOutputAxisWithHalo(**kwargs, halo=halo) if halo else v0_5.SpaceOutputAxis(**kwargs)

    def names(word: str, count: int) -> Any:
        return [v0_5.Identifier(f"{word}{index}") for index in range(count)]

    # The writer of bioimageio.spec 0.5.12 leaves the files it packs to the garbage collector.
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        here = Path(folder)
        np.save(here / "given.npy", given)
        np.save(here / "made.npy", made)
        (here / "README.md").write_text("# A network\n\n# Validation\n\nNone.\n")
        described = v0_5.ModelDescr(
            id=v0_5.ModelId(out.stem),
            name="A network",
            description="A network from elsewhere.",
            authors=[v0_5.Author(name="Ada Tester")],
            cite=[v0_5.CiteEntry(text="A test", doi="10.5281/zenodo.0")],  # type: ignore[arg-type]
            license="CC0-1.0",  # type: ignore[arg-type]
            documentation=FileDescr(source=here / "README.md"),
            version=v0_5.Version("1.0.0"),
            inputs=[
                v0_5.InputTensorDescr(
                    id=v0_5.TensorId("image"),
                    axes=[input_axis(letter) for letter in axes],
                    test_tensor=FileDescr(source=here / "given.npy"),
                    preprocessing=preprocessing or [],  # type: ignore[arg-type]
                )
            ],
            outputs=[
                v0_5.OutputTensorDescr(
                    id=v0_5.TensorId("maps"),
                    axes=[output_axis(letter) for letter in out_axes],
                    test_tensor=FileDescr(source=here / "made.npy"),
                    postprocessing=postprocessing or [],  # type: ignore[arg-type]
                )
            ],
            weights=v0_5.WeightsDescr(**weights),
            config=v0_5.Config(
                bioimageio=v0_5.BioimageioConfig(reproducibility_tolerance=tolerance or []),  # type: ignore[arg-type]
                **(config or {}),
            ),
        )
        written = Path(save_bioimageio_package(described, output_path=out))
        del described
        gc.collect()
        return written


def onnx_weights(path: Path) -> dict[str, Any]:
    return {"onnx": {"source": path, "opset_version": OPSET}}
