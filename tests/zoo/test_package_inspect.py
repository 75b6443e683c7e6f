"""What files tell of themselves: networks of Keras and ONNX, packages; and what is refused with which sentence."""

from __future__ import annotations

import copy
import zipfile
from pathlib import Path
from typing import Any

import pytest
from example_network import CONFIG, keras_file
from standard_package import write_onnx

from zoo.keras_graph import read_keras
from zoo.onnx_graph import read_onnx
from zoo.package_archive import ArchiveRefused, PackageInvalid
from zoo.package_inspect import inspect_file, look, slug
from zoo.settings import Settings

SEEDS = Path(__file__).parents[2] / "zoo" / "seed"


def seed_network(name: str, tmp_path: Path) -> Path:
    with zipfile.ZipFile(SEEDS / f"{name}.zip") as archive:
        return Path(archive.extract("model.keras", tmp_path))


@pytest.mark.parametrize(
    ("name", "channels", "maps", "cell", "stride", "activation"),
    [("nuclei", 3, 2, 1, 8, "sigmoid"), ("em-membranes", 1, 1, 1, 16, "sigmoid"),
     ("blood-cells", 3, 7, 8, 32, "mixed")],
)  # fmt: skip
def test_trained_networks_tell_their_shape(
    name: str, channels: int, maps: int, cell: int, stride: int, activation: str, tmp_path: Path
) -> None:
    facts = read_keras(seed_network(name, tmp_path))
    assert (facts.axes, facts.channels, facts.maps, facts.cell) == ("byxc", channels, maps, cell)
    assert (facts.stride, facts.activation, facts.padded) == (stride, activation, True)
    assert 40 < (facts.reach or 0) < 250


@pytest.mark.parametrize("axes", ["bcyx", "byxc", "cyx", "yx"])
def test_an_onnx_network_tells_its_axes(axes: str, tmp_path: Path) -> None:
    channels = 2 if "c" in axes else 1
    facts = read_onnx(write_onnx(tmp_path / "net.onnx", axes=axes, channels=channels, maps=1))
    assert (facts.axes, facts.output_axes, facts.channels) == (axes, axes, channels)
    assert (facts.cell, facts.stride, facts.reach, facts.activation) == (1, 1, 2, "sigmoid")


def test_an_onnx_network_of_one_size_with_coarse_maps(tmp_path: Path) -> None:
    facts = read_onnx(write_onnx(tmp_path / "net.onnx", stride=4, maps=6, side=64, batch=1, activation="Identity"))
    assert (facts.input_size, facts.maps, facts.cell, facts.stride) == ([64, 64], 6, 4, 4)
    assert facts.activation == "linear"


def test_a_configuration_of_an_unknown_form_tells_less(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, None, None, None, 1]
    path = tmp_path / "net.keras"
    path.write_bytes(keras_file(config=config))
    facts = read_keras(path)
    assert (facts.framework, facts.version, facts.axes, facts.maps) == ("keras", "3.15.1", "", None)
    found = look(path, "net.keras", Settings())
    assert "axes" in {one["field"] for one in found.wrong}


def test_a_network_is_looked_at_in_a_process_of_its_own(tmp_path: Path) -> None:
    found = inspect_file(seed_network("blood-cells", tmp_path), "cells.keras")
    assert found.kind == "keras"
    assert found.fields["head"] == {"kind": "grid-detector"}
    assert found.fields["activation"] == "none", "its maps are scores and sizes"
    assert found.fields["output_stride"] == 8
    assert found.fields["channel_names"] == ["red", "green", "blue"]


def test_a_package_fills_in_the_form() -> None:
    fields = inspect_file(SEEDS / "nuclei.zip", "nuclei.zip").fields
    assert (fields["name"], fields["id"], fields["task"]) == ("Nuclei", "nuclei", "instances")
    assert fields["licence"] == "CC-BY-4.0"
    assert fields["structure"]
    assert fields["authors"][0]["name"]
    assert fields["cite"][0]["doi"].startswith("10.")


@pytest.mark.parametrize(
    ("name", "data", "error", "word"),
    [
        ("net.zip", b"PK\x03\x04 no zip at all", ArchiveRefused, "does not end as one"),
        ("net.onnx", b"\x08\x07broken", PackageInvalid, "damaged"),
        ("net.safetensors", b"\x80\0\0\0\0\0\0\0{}", PackageInvalid, "PyTorch"),
        ("net.h5", b"\x89HDF\r\n\x1a\n", PackageInvalid, "old HDF5"),
        ("net.exe", b"MZ\x90\0", PackageInvalid, "no package"),
        ("net.keras", b"", PackageInvalid, "empty"),
    ],
)
def test_what_is_refused(name: str, data: bytes, error: Any, word: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(error, match=word) as refused:
        look(path, name, Settings())
    assert refused.value.hint


def test_a_refusal_comes_back_from_the_other_process(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"PK\x03\x04 no zip at all")
    with pytest.raises(PackageInvalid, match="does not end as one") as refused:
        inspect_file(path, "net.zip")
    assert (refused.value.code, refused.value.status) == ("archive-refused", 422)


@pytest.mark.parametrize(
    ("name", "made"), [("Nuclei (H&E)", "nuclei-h-e"), ("Äußere  Zellen", "auere-zellen"), ("!", "")]
)
def test_addresses_are_made_of_names(name: str, made: str) -> None:
    assert slug(name) == made
