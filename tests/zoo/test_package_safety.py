"""Hostile weights and tensors, by their number in the list of bad inputs: what is refused, and the sentence for it."""

from __future__ import annotations

import copy
import io
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from example_network import CONFIG, keras_file, weights_file
from example_package import make_package
from onnx import TensorProto, helper

import zooscope
from zoo.hdf5_file import NotLookedAt, check_hdf5
from zoo.keras_file import check_config, check_keras_file
from zoo.npy_file import check_npy
from zoo.onnx_file import check_onnx
from zoo.package_archive import ArchiveRefused, PackageInvalid

LIMIT = 2**24


def with_layer(**entry: Any) -> bytes:
    config = copy.deepcopy(CONFIG)
    config["config"]["layers"].append({"name": "bad", "config": {}, "inbound_nodes": [], **entry})
    return json.dumps(config).encode()


def check_keras(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(data)
    check_keras_file(path, LIMIT, tmp_path)


def test_a_plain_network_passes(tmp_path: Path) -> None:
    check_keras(keras_file(), tmp_path)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ({"module": "keras.layers", "class_name": "Lambda"}, "a Lambda layer, which holds a program"),
        ({"module": "builtins", "class_name": "__lambda__"}, "a lambda, which is a program"),
        (
            {"module": "os", "class_name": "function", "config": "system"},
            "'function' of 'os', which is not part of Keras",
        ),
        ({"module": "keras.utils", "class_name": "function", "config": "get_file"}, "of 'keras.utils'"),
        ({"module": "keras.src.utils.file_utils", "class_name": "get_file"}, "which is not part of Keras"),
        ({"module": "keras.layers", "class_name": "os.system"}, "which is not part of Keras"),
        ({"module": "keras.layers.evil\u0000", "class_name": "Dense"}, "which is not part of Keras"),
        ({"module": "builtins", "class_name": "function", "config": "exec('x')"}, "a function that is none of Keras'"),
        ({"module": "my_code", "class_name": "MyLayer"}, "'MyLayer' of 'my_code'"),
        ({"module": None, "class_name": "x", "registered_name": "a>x"}, "without saying where it comes from"),
        ({"module": "keras.layers", "class_name": "Dense", "registered_name": "evil>Other"}, "under another name"),
        ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/etc"}}, "a TFSMLayer"),
        ({"module": "keras.layers", "class_name": "StringLookup"}, "which can read files"),
        ({"module": "keras.layers", "class_name": "Hashing", "config": {"vocabulary": "/etc/passwd"}}, "a vocabulary"),
        ({"module": "keras.layers", "class_name": 7}, "a class in it has no name"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_40_configurations_that_name_programs(layer: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid) as caught:
        check_keras(keras_file(config=with_layer(**layer)), tmp_path)
    assert told in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "config", [b"{", b"[]", b"{}", b"[" * 10_000, b'{"class_name": ' * 300 + b"1" + b"}" * 300, b"\xff"]
)
def test_40_configurations_that_are_none(config: bytes) -> None:
    with pytest.raises(PackageInvalid):
        check_config(config)


def test_40_a_config_that_is_too_large_or_a_bomb(tmp_path: Path) -> None:
    with pytest.raises((PackageInvalid, ArchiveRefused)):
        check_keras(keras_file(config=b" " * (LIMIT * 2)), tmp_path)
    path = tmp_path / "large.keras"
    path.write_bytes(keras_file(config=b" " * (LIMIT + 1)))
    with pytest.raises(PackageInvalid, match="larger than"):
        check_keras_file(path, 10 * LIMIT, tmp_path)


def test_40_files_that_belong_in_no_network(tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid, match=r"'assets_evil\.so', which belongs in no network"):
        check_keras(keras_file(**{"assets_evil.so": b"x"}), tmp_path)


def hdf5(tmp_path: Path, fill: Callable[[h5py.File], object]) -> Path:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def cyclic(file: h5py.File) -> None:
    group = file.create_group("a")
    group["again"] = group


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    file.create_virtual_dataset("v", layout)


def deep(file: h5py.File) -> None:
    group: Any = file
    for _ in range(60):
        group = group.create_group("g")


@pytest.mark.parametrize(
    ("fill", "told"),
    [
        (lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/hostname", "y")), "is a link"),
        (lambda file: file.__setitem__("x", h5py.SoftLink("/elsewhere")), "is a link"),
        (lambda file: file.create_group("layers").__setitem__("x", h5py.SoftLink("/y")), "is a link"),
        (lambda file: file.create_dataset("x", (4,), "u1", external=[("/etc/hostname", 0, 4)]), "lies in another file"),
        (virtual, "lies in another file"),
        (lambda file: file.create_dataset("x", (2**40,), "u1", chunks=(2**20,)), "says that it is"),
        (cyclic, "lies at two places"),
        (deep, "nested too deep"),
        (lambda file: file.create_dataset("x", (1,), h5py.ref_dtype), "holds no numbers"),
        (lambda file: file.__setitem__("x", np.dtype("f4")), "is no array"),
    ],
    ids=[
        "external",
        "soft",
        "soft in between",
        "storage",
        "virtual",
        "terabyte",
        "cycle",
        "deep",
        "references",
        "type",
    ],
)
def test_42_hdf5_that_leads_elsewhere_or_declares_too_much(
    tmp_path: Path, fill: Callable[[h5py.File], object], told: str
) -> None:
    with pytest.raises(PackageInvalid) as caught:
        check_hdf5(hdf5(tmp_path, fill))
    assert told in caught.value.message
    with pytest.raises(PackageInvalid, match="weights is not accepted"):
        check_keras(keras_file(weights=(tmp_path / "weights.h5").read_bytes()), tmp_path)


@pytest.mark.parametrize("keep", [0, 8, 100, 500, 1500])
def test_42_damaged_hdf5(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(weights_file()[:keep])
    with pytest.raises(PackageInvalid, match="damaged"):
        check_hdf5(path)


def test_weights_that_nobody_can_look_at_are_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(weights_file())
    check_hdf5(path)
    bare = tmp_path / "python"
    # Without the packages of this one.
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr("zoo.hdf5_file.sys.executable", str(bare))
    with pytest.raises(NotLookedAt):
        check_hdf5(path)


def graph_file(tmp_path: Path, change: Callable[[onnx.ModelProto], object] = lambda model: None) -> Path:
    """A network that adds a constant, after `change`."""
    sides = [None, 1, None, None]
    image, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("image", "out"))
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    graph = helper.make_graph([helper.make_node("Add", ["image", "one"], ["out"])], "g", [image], [out], [one])
    model = helper.make_model(graph)
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def outside(model: onnx.ModelProto, tensor: Any = None) -> None:
    tensor = tensor or model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def outside_in_a_branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])])
    outside(model, inner.initializer[0])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner))


def test_a_plain_graph_passes(tmp_path: Path) -> None:
    check_onnx(graph_file(tmp_path))
    check_onnx(graph_file(tmp_path, lambda model: named_beside(model)), "folder/weights.bin")


def named_beside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.external_data.add(key="location", value="weights.bin")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (outside, "'../../etc/passwd', which is not in the package"),
        (outside_in_a_branch, "'../../etc/passwd', which is not in the package"),
        (lambda model: model.opset_import.add(domain="evil.ops", version=1), "operators of 'evil.ops'"),
        (lambda model: model.graph.node.add(op_type="Run", domain="my"), "the operator 'Run' of 'my'"),
        (lambda model: model.graph.initializer[0].dims.append(-1), "a negative size"),
        (lambda model: model.ClearField("graph"), "it has no graph"),
    ],
    ids=["file", "file in a branch", "domain", "operator", "size", "empty"],
)
def test_onnx_that_leads_elsewhere(tmp_path: Path, change: Callable[[onnx.ModelProto], object], told: str) -> None:
    with pytest.raises(PackageInvalid) as caught:
        check_onnx(graph_file(tmp_path, change))
    assert told in caught.value.message


@pytest.mark.parametrize("data", [b"", b"no protobuf at all", b"\x0a\xff\xff\xff\xff\xff"])
def test_what_is_no_onnx(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(PackageInvalid):
        check_onnx(path)


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (npy(np.array([{}], dtype=object), allow_pickle=True), "objects, which can be programs"),
        (pickle.dumps({}), "no .npy file"),
        (b"", "no .npy file"),
        (npy(np.zeros(100))[:-1], "shorter or longer"),
        (npy(np.zeros(100)) + b"x", "shorter or longer"),
        (npy(np.zeros((0, 3))), "says that it has"),
        (npy(np.zeros(1)).replace(b"(1,)", b"(9**99,)"[:4]), "no .npy file"),
        (npy(np.array(["x"])), "no numbers"),
    ],
    ids=["objects", "pickle", "empty", "short", "long", "no numbers in it", "not a shape", "words"],
)
def test_44_tensors_that_are_programs_or_lie(data: bytes, told: str) -> None:
    with pytest.raises(PackageInvalid) as caught:
        check_npy("test_input.npy", io.BytesIO(data), len(data))
    assert told in caught.value.message


def test_44_a_tensor_that_says_it_is_huge() -> None:
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    data = file.getvalue()
    with pytest.raises(PackageInvalid, match="says that it has"):
        check_npy("test_input.npy", io.BytesIO(data), len(data))


def test_plain_tensors_pass() -> None:
    for array in (np.zeros((1, 4, 4, 1), np.float32), np.ones(3, bool), np.arange(4, dtype=np.uint16)):
        data = npy(array)
        check_npy("test_input.npy", io.BytesIO(data), len(data))


def test_a_hostile_network_is_never_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = tmp_path / "model.keras"
    network.write_bytes(keras_file(config=with_layer(module="keras.layers", class_name="Lambda")))
    package = make_package(tmp_path / "hostile.zip", weights=network)
    assert zooscope.main(["publish", str(package), "--data", str(tmp_path / "data")]) == 2
    assert capsys.readouterr().err.startswith("zooscope: The Keras file is not accepted: it has a Lambda layer")
    assert not list((tmp_path / "data" / "blobs").rglob("*.zip"))
