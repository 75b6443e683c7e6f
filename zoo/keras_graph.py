"""Reading a `.keras` file's configuration as a graph of layers, without Keras; `zoo.keras_file` has checked it."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from zoo.network_facts import NetworkFacts, Trace, as_numbers, beside, joined

CONVOLUTIONS = {"Conv2D", "SeparableConv2D", "DepthwiseConv2D"}
POOLINGS = {"MaxPooling2D", "AveragePooling2D"}
# Layers that say themselves what values they make.
ACTIVATIONS = {"Softmax": "softmax", "ReLU": "relu", "LeakyReLU": "relu"}
MERGING = {"Add", "Average", "Maximum", "Multiply", "Subtract", "Minimum"}


def read_keras(path: Path) -> NetworkFacts:
    """What the `.keras` file at `path` tells; what cannot be told is left out."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        metadata = json.loads(archive.read("metadata.json"))
    version = str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""
    told: dict[str, Any] = {}
    walk = Walk()
    # A configuration that Keras wrote has this form; of one that somebody else did, less is told.
    with contextlib.suppress(KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError):
        shape, dtype = _input(config)
        told = _layout(shape, _channels_first(config)) | {"dtype": dtype}
        made = walk.network(config, [Trace(told["channels"])])
        told |= as_numbers(made, walk.cells) | {"padded": walk.padded, "output_axes": told["axes"]}
    return NetworkFacts("keras", version, layers=len(walk.cells), **told)


def _layout(shape: list[Any], first: bool) -> dict[str, Any]:
    if len(shape) != 4:
        raise ValueError(shape)
    axes = "bcyx" if first else "byxc"
    sizes = dict(zip(axes, shape, strict=True))
    fixed = [sizes["y"], sizes["x"]]
    return {
        "axes": axes,
        "channels": sizes["c"],
        "input_size": fixed if all(isinstance(side, int) for side in fixed) else [],
        "batch": sizes["b"] if isinstance(sizes["b"], int) else None,
    }


def _layers(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(config["config"]["layers"])


def _input(config: Mapping[str, Any]) -> tuple[list[Any], str]:
    """The shape and dtype of the first input layer, at whatever depth."""
    for layer in _every_layer(config):
        if layer["class_name"] == "InputLayer":
            settings = layer["config"]
            shape = settings.get("batch_shape") or settings.get("batch_input_shape")
            return list(shape), str(settings.get("dtype", "float32"))
    build = config["config"].get("build_input_shape") or config["build_config"]["input_shape"]
    return list(build), "float32"


def _every_layer(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for layer in _layers(config):
        yield layer
        if isinstance(layer.get("config"), dict) and "layers" in layer["config"]:
            yield from _every_layer(layer)


def _channels_first(config: Mapping[str, Any]) -> bool:
    formats = {layer["config"].get("data_format") for layer in _every_layer(config)}
    return "channels_first" in formats


class Walk:
    """Follows tensors through networks; `cells` are those of every tensor met, `padded` False after a "valid" one."""

    def __init__(self) -> None:
        self.cells: list[Fraction] = []
        self.padded = True

    def network(self, config: Mapping[str, Any], given: list[Trace]) -> Trace:
        """The first output of a Functional or Sequential network of the given inputs."""
        if config["class_name"] == "Sequential":
            trace = given[0]
            for layer in _layers(config):
                trace = self.layer(layer, [trace])
            return trace
        traces: dict[str, Trace] = {}
        inputs = iter(given)
        for layer in _layers(config):
            name = layer["config"]["name"]
            if layer["class_name"] == "InputLayer":
                traces[name] = next(inputs, given[0])
                continue
            before = list(_before(layer.get("inbound_nodes", [])))
            traces[name] = self.layer(layer, [traces[one] for one in before])
        return traces[_name(config["config"]["output_layers"])]

    def layer(self, layer: Mapping[str, Any], given: list[Trace]) -> Trace:
        made = self._made(str(layer["class_name"]), layer["config"], layer, given)
        self.cells.append(made.cell)
        activation = layer["config"].get("activation")
        return made.activated(activation) if isinstance(activation, str) else made

    def _made(self, kind: str, settings: Mapping[str, Any], layer: Mapping[str, Any], given: list[Trace]) -> Trace:
        first = given[0]
        if kind in ("Functional", "Sequential", "Model"):
            return self.network(layer, given)
        if kind in CONVOLUTIONS:
            channels = settings.get("filters")
            if kind == "DepthwiseConv2D":
                channels = (first.channels or 0) * settings.get("depth_multiplier", 1) or None
            kernel, dilation = _one(settings["kernel_size"]), _one(settings.get("dilation_rate", 1))
            self._pad(settings, kernel)
            return first.convolved(kernel, dilation, _one(settings.get("strides", 1)), channels)
        if kind in POOLINGS:
            size = _one(settings["pool_size"])
            return first.convolved(size, 1, _one(settings.get("strides") or size), first.channels)
        if kind == "UpSampling2D":
            return first.finer(Fraction(_one(settings["size"])), first.channels)
        if kind == "Conv2DTranspose":
            factor = Fraction(_one(settings.get("strides", 1)))
            return first.finer(factor, settings.get("filters"), _one(settings["kernel_size"]))
        if kind == "Concatenate":
            return beside(given)
        if kind in MERGING:
            return joined(given, max((trace.channels or 0 for trace in given), default=0) or None)
        if kind in ("Reshape", "Flatten", "Dense", "Permute") or kind.startswith("Global"):
            return Trace(settings.get("units"), first.cell, first.reach)
        return first.activated(ACTIVATIONS.get(kind, "linear" if kind == "BatchNormalization" else first.activation))

    def _pad(self, settings: Mapping[str, Any], kernel: int) -> None:
        if kernel > 1 and settings.get("padding") == "valid":
            self.padded = False


def _one(value: Any) -> int:
    return int(max(value)) if isinstance(value, list | tuple) else int(value)


def _name(layers: Any) -> str:
    """Of the first output: layers are written as one [name, node, tensor], a list of them, or a dictionary."""
    while isinstance(layers, dict | list):
        layers = next(iter(layers.values())) if isinstance(layers, dict) else layers[0]
    return str(layers)


def _before(node: Any) -> Iterator[str]:
    """Names of the layers that a layer is given, of the first time that it is used, as Keras 3 or 2 writes them."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            yield str(node["config"]["keras_history"][0])
            return
        for value in node.values():
            yield from _before(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
            yield node[0]
            return
        for value in node:
            yield from _before(value)
