"""What is read of packages that others made: axes, sizes, operators and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standard_package import make_standard_package, onnx_weights
from test_packages import rewritten

from zoo.packages import ModelPackage, PackageInvalid, from_document, read_package, to_document
from zoo.settings import Settings

SETTINGS = Settings()
GIVEN = np.random.default_rng(1).uniform(0, 1, (1, 1, 40, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(tmp_path_factory.mktemp("tensors"))


def packed(folder: Path, **more: Any) -> Path:
    (folder / "network.onnx").write_bytes(b"stands in for a network")
    return make_standard_package(folder / "model.zip", onnx_weights(folder / "network.onnx"), GIVEN, GIVEN, **more)


def read_changed(base: Path, folder: Path, change: Any) -> ModelPackage:
    return read_package(rewritten(base, folder / "changed.zip", change), SETTINGS)


def test_what_a_package_from_elsewhere_says(base: Path) -> None:
    package = read_package(base, SETTINGS)
    assert (package.axes, package.output_axes, package.weights_format) == ("bcyx", "bcyx", "onnx")
    assert (package.stride, package.halo, package.minimum_size, package.input_size) == (8, 8, 32, [])
    assert (package.head["kind"], package.network, package.frames) == ("probability-mask", True, (1,))
    assert from_document(to_document(package), base) == package


@pytest.mark.parametrize(
    ("size", "expected"),
    [(40, ([40, 40], 1, 32)), ((16, 4), ([], 16, 4)), ((24, 16), ([264, 264], 1, 32))],
)
def test_sizes_are_free_fixed_or_odd(tmp_path: Path, size: Any, expected: tuple[list[int], int, int]) -> None:
    package = read_package(packed(tmp_path, size=size, halo=4), SETTINGS)
    assert (package.input_size, package.minimum_size, package.stride) == expected


def test_an_output_shorter_than_its_input_is_refused(base: Path, tmp_path: Path) -> None:
    def shorten(rdf: dict[str, Any], files: dict[str, bytes]) -> None:
        for axis in rdf["outputs"][0]["axes"]:
            if axis["type"] == "space":
                axis["size"]["offset"] = -8

    with pytest.raises(PackageInvalid, match="-8 pixels longer"):
        read_changed(base, tmp_path, shorten)


def test_a_third_dimension_is_refused(base: Path, tmp_path: Path) -> None:
    def deepen(rdf: dict[str, Any], files: dict[str, bytes]) -> None:
        for tensor in (rdf["inputs"][0], rdf["outputs"][0]):
            tensor["axes"].insert(2, {"type": "space", "id": "z", "size": 1})

    with pytest.raises(PackageInvalid, match="models of y and x"):
        read_changed(base, tmp_path, deepen)


@pytest.mark.parametrize(
    ("operator", "hint"),
    [
        ({"id": "cellpose_flow_dynamics",
          "kwargs": {"cellprob_threshold": 0.0, "flow_threshold": 0.4, "do_3D": False}}, "flows"),
        ({"id": "custom", "callable": "run", "source": "network.onnx", "kwargs": {}}, "never run"),
    ],
)  # fmt: skip
def test_operators_that_are_programs_of_others_are_refused(
    base: Path, tmp_path: Path, operator: dict[str, Any], hint: str
) -> None:
    def append(rdf: dict[str, Any], files: dict[str, bytes]) -> None:
        if operator["id"] == "custom":
            files["network.py"] = b"def run(): pass"
            operator["source"] = "network.py"
        rdf["outputs"][0]["postprocessing"] = [operator]

    with pytest.raises(PackageInvalid, match=operator["id"]) as refused:
        read_changed(base, tmp_path, append)
    assert hint in refused.value.hint


def test_stardist_s_postprocessing_is_a_head(base: Path, tmp_path: Path) -> None:
    kwargs = {"prob_threshold": 0.45, "nms_threshold": 0.3, "n_rays": 32, "grid": [2, 2], "b": 2}

    def append(rdf: dict[str, Any], files: dict[str, bytes]) -> None:
        rdf["outputs"][0]["postprocessing"] = [{"id": "stardist_postprocessing", "kwargs": kwargs}]

    package = read_changed(base, tmp_path, append)
    assert package.postprocessing == []
    assert (package.output_stride, len(package.output_channels)) == (2, 33)
    assert package.head == {
        "kind": "star-convex",
        "probability": 0,
        "rays": list(range(1, 33)),
        "stride": 2,
        "threshold": 0.45,
        "overlap": 0.3,
    }
    kwargs["grid"] = [2, 4]
    with pytest.raises(PackageInvalid, match="stardist_postprocessing"):
        read_changed(base, tmp_path, append)
