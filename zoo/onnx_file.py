"""What an ONNX file may hold: the standard's operators, and tensors in the file itself or in the one named for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.package_archive import PackageInvalid

# The standard's domains, and that of onnxruntime's own fused operators.
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
MAXIMUM_DEPTH = 20
# A larger file takes several times its size to parse: a process of its own gives that back when it ends.
APART_BYTES, APART_SECONDS = 32 * 2**20, 120
HINT = "Export the network again with torch.onnx.export or tf2onnx, in one file."


def _refuse(reason: str) -> PackageInvalid:
    return PackageInvalid(f"The ONNX file is not accepted: {reason}.", HINT)


def check_onnx(path: Path, data_file: str = "") -> None:
    """Raise `PackageInvalid` unless the ONNX file at `path` is harmless; `data_file` may hold tensors of it."""
    if path.stat().st_size <= APART_BYTES:
        look(path, data_file)
        return
    command = [sys.executable, "-m", "zoo.onnx_file", str(path), data_file]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=APART_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise _refuse("looking through it takes too long") from None
    if done.returncode:
        raise _refuse("it is damaged")
    if said := json.loads(done.stdout):
        raise PackageInvalid(said["message"], said["hint"])


def look(path: Path, data_file: str = "") -> None:
    """As `check_onnx`, in this process."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError) as error:
        raise _refuse("it is damaged, or no ONNX file") from error
    if not model.graph.node and not model.graph.initializer:
        raise _refuse("it has no graph")
    for domain in {entry.domain for entry in model.opset_import} | {function.domain for function in model.functions}:
        if domain not in DOMAINS:
            raise _refuse(f"it needs operators of {domain[:60]!r}, which are not the standard's")
    for graph in [model.graph, *model.functions]:
        for tensor in _tensors(graph, 0):
            _check_tensor(tensor, data_file)


def _check_tensor(tensor: Any, data_file: str) -> None:
    for entry in tensor.external_data:
        if entry.key == "location" and (not data_file or entry.value != Path(data_file).name):
            raise _refuse(f"it refers to the file {entry.value[:60]!r}, which is not in the package")
    if any(side < 0 for side in tensor.dims):
        raise _refuse(f"the tensor {tensor.name[:60]!r} in it has a negative size")


def _tensors(graph: Any, depth: int) -> Iterator[Any]:
    """Every tensor of a graph or function, and of the graphs inside its nodes."""
    if depth > MAXIMUM_DEPTH:
        raise _refuse("its graphs are nested too deep")
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise _refuse(f"it needs the operator {node.op_type[:60]!r} of {node.domain[:60]!r}")
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _tensors(inner, depth + 1)


def main() -> None:
    said = None
    try:
        look(Path(sys.argv[1]), sys.argv[2])
    except PackageInvalid as refused:
        said = {"message": refused.message, "hint": refused.hint}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
