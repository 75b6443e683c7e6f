"""Reading an ONNX file's graph for what it tells of the network, without running it; `zoo.onnx_file` has checked it."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

from zoo.network_facts import NetworkFacts, Trace, as_numbers, beside, joined

# Numbers of onnx.TensorProto.DataType.
DTYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
          10: "float16", 11: "float64"}  # fmt: skip
ACTIVATIONS = {"Sigmoid": "sigmoid", "Softmax": "softmax", "Relu": "relu"}
MOST_CHANNELS = 64
# A Resize whose factor is computed as it runs: what it is added to, or stands beside, tells.
UNTOLD = Fraction(0)


def read_onnx(path: Path) -> NetworkFacts:
    """What the ONNX file at `path` tells; what cannot be told is left out."""
    import onnx

    model = onnx.load_model_from_string(path.read_bytes())
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    told: dict[str, Any] = {}
    if len(inputs) == 1 and graph.output:
        given, made = _dims(inputs[0]), _dims(graph.output[0])
        told = _layout(given, made) | {"dtype": DTYPES.get(inputs[0].type.tensor_type.elem_type, "other")}
        with contextlib.suppress(KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError):
            walk = Walk(constants)
            trace = walk.graph(graph, inputs[0].name, Trace(told.get("channels")))
            numbers = as_numbers(trace, walk.cells)
            told |= numbers | {"padded": walk.padded, "maps": _channel(made, told["output_axes"]) or numbers["maps"]}
            told["cell"] = _declared_cell(told, given, made) or (numbers["cell"] if trace.cell else None)
    version = str(max(opsets, default=""))
    return NetworkFacts("onnx", version, backend_version=model.producer_name[:60], layers=len(graph.node), **told)


def _dims(value: Any) -> list[int | str | None]:
    """Sizes that are fixed are numbers, the others names or nothing."""
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in dims]


def _layout(given: list[Any], made: list[Any]) -> dict[str, Any]:
    """The axes: the channel is where a few are fixed, first as PyTorch has it or last as Keras does."""
    if len(given) == 4:
        last = _few(given[3]) and not _few(given[1])
        axes = "byxc" if last else "bcyx"
    elif len(given) == 3:
        axes = "yxc" if _few(given[2]) and not _few(given[0]) else "cyx" if _few(given[0]) else "byx"
    else:
        axes = "yx" if len(given) == 2 else ""
    if not axes:
        return {}
    sizes = dict(zip(axes, given, strict=True))
    fixed = [sizes["y"], sizes["x"]]
    output = axes
    if len(made) != len(given):
        output = {0: axes, 3: "bci" if "b" in axes else "", 2: "ic"}.get(len(made), "")
    return {
        "axes": axes,
        "output_axes": output,
        "channels": _channel(given, axes) if "c" in axes else 1,
        "input_size": fixed if all(isinstance(side, int) and side > 0 for side in fixed) else [],
        "batch": images if isinstance(images := sizes.get("b"), int) and images > 0 else None,
    }


def _few(size: Any) -> bool:
    return isinstance(size, int) and 0 < size <= MOST_CHANNELS


def _channel(dims: list[Any], axes: str) -> int | None:
    if "c" not in axes or len(dims) != len(axes):
        return None
    size = dims[axes.index("c")]
    return size if isinstance(size, int) and size > 0 else None


def _declared_cell(told: dict[str, Any], given: list[Any], made: list[Any]) -> int | None:
    """From the sizes of input and output, where both are fixed or have the same name."""
    axes, output = told["axes"], told["output_axes"]
    if "y" not in output:
        return None
    before, after = given[axes.index("y")], made[output.index("y")]
    if isinstance(before, int) and isinstance(after, int) and before and after and before % after == 0:
        return before // after
    return 1 if before is not None and before == after else None


class Walk:
    """Follows the input through the graph; `cells` are those of every tensor met."""

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self.cells: list[Fraction] = []
        self.padded = True

    def graph(self, graph: Any, name: str, given: Trace) -> Trace:
        traces = {name: given}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute:
                self.constants[node.output[0]] = node.attribute[0].t
                continue
            before = [traces[one] for one in node.input if one in traces]
            if not before:
                continue
            made = self.node(node, before)
            if made.cell:
                self.cells.append(made.cell)
            for output in node.output:
                traces[output] = made
        return traces[graph.output[0].name]

    def node(self, node: Any, given: list[Trace]) -> Trace:
        settings = {attribute.name: _value(attribute) for attribute in node.attribute}
        first, kind = given[0], node.op_type
        if kind == "Conv":
            kernel = self._weights(node.input[1])
            self._pad(settings, kernel[2:])
            return first.convolved(
                max(kernel[2:]), max(settings.get("dilations", [1])), max(settings.get("strides", [1])), kernel[0]
            )
        if kind == "ConvTranspose":
            kernel = self._weights(node.input[1])
            factor = Fraction(max(settings.get("strides", [1])))
            return first.finer(factor, kernel[1] * settings.get("group", 1), max(kernel[2:]))
        if kind in ("MaxPool", "AveragePool"):
            return first.convolved(max(settings["kernel_shape"]), 1, max(settings.get("strides", [1])), first.channels)
        if kind in ("Resize", "Upsample"):
            scale = self._scale(node, settings)
            return first.finer(scale, first.channels) if scale else Trace(first.channels, UNTOLD, first.reach)
        if kind == "Concat" and len(given) > 1:
            return beside(given)
        if len(given) > 1:
            return joined(given, max((trace.channels or 0 for trace in given), default=0) or None)
        return first.activated(ACTIVATIONS.get(kind, first.activation))

    def _weights(self, name: str) -> list[int]:
        return list(self.constants[name].dims)

    def _scale(self, node: Any, settings: dict[str, Any]) -> Fraction | None:
        """The factor of the rows, where it is written in the file."""
        from onnx import numpy_helper

        scales = settings.get("scales")
        place = 2 if node.op_type == "Resize" else 1
        if scales is None and len(node.input) > place and node.input[place] in self.constants:
            scales = numpy_helper.to_array(self.constants[node.input[place]]).tolist()
        # The rows are the second last or the second axis: of (1, 1, s, s) and (1, s, s, 1) the largest is theirs.
        return Fraction(max(scales)).limit_denominator(64) if scales else None

    def _pad(self, settings: dict[str, Any], kernel: list[int]) -> None:
        if max(kernel) > 1 and settings.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID"):
            pads = settings.get("pads", [0])
            self.padded = self.padded and any(pads)


def _value(attribute: Any) -> Any:
    """Of the kinds that say how a layer computes: whole numbers, words, and lists of numbers."""
    if attribute.ints:
        return list(attribute.ints)
    if attribute.floats:
        return list(attribute.floats)
    return attribute.s or attribute.i
