"""What a package asks of the worker that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_package import make_package

from scheduler.capabilities import GPU_LEVELS, Needs
from zoo.package_archive import PackageInvalid
from zoo.package_requires import MOST_GPU_MEMORY_GB, needs_of
from zoo.packages import from_document, read_package, to_document
from zoo.settings import Settings


def needs(model: dict[str, Any]) -> Needs:
    return Needs.read(needs_of(model))


def test_a_package_that_asks_for_nothing_needs_its_format_alone(tmp_path: Path) -> None:
    document = to_document(read_package(make_package(tmp_path / "cells.zip"), Settings()))
    assert (document["requires"], document["weights_formats"]) == ({}, ["keras_v3"])
    assert needs(document) == Needs(("keras",))


def test_a_package_that_asks_for_memory_asks_for_a_gpu(tmp_path: Path) -> None:
    path = make_package(tmp_path / "large.zip", requires={"gpu_memory_gb": 10})
    package = read_package(path, Settings())
    assert package.requires == {"device": "gpu", "gpu_memory_gb": 10}
    assert needs(to_document(package)) == Needs(("keras",), True, 16)
    assert from_document(to_document(package), path).requires == package.requires


@pytest.mark.parametrize(
    "requires",
    [
        {"device": "tpu"}, {"device": 3}, {"gpu_memory_gb": -1}, {"gpu_memory_gb": 81}, {"gpu_memory_gb": True},
        {"gpu_memory_gb": "16"}, {"memory": 3}, "gpu", [1],
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_in_a_sentence(tmp_path: Path, requires: Any) -> None:
    with pytest.raises(PackageInvalid, match=r"requires|GPU memory") as refused:
        read_package(make_package(tmp_path / "odd.zip", requires=requires), Settings())
    assert refused.value.hint


def test_documents_of_before_need_the_format_that_was_chosen() -> None:
    assert needs({"weights_format": "onnx"}) == Needs(("onnx",))
    assert needs({"weights_format": "tensorflow_saved_model_bundle"}) == Needs(("reviewed",))
    assert needs({"weights_format": "keras_v3", "network": False}) == Needs()


def test_weights_in_two_formats_are_run_by_either_kind_of_worker() -> None:
    both = {"weights_format": "keras_v3", "weights_formats": ["keras_v3", "onnx"]}
    assert needs(both) == Needs(("keras", "onnx"))
    assert needs(both | {"frames": [1, 3]}) == Needs(("keras",))


def test_the_most_that_may_be_asked_for_is_the_last_level() -> None:
    assert GPU_LEVELS[-1] == MOST_GPU_MEMORY_GB
