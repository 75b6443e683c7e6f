"""What biologists ask of a model: told by its package, in the zoo's words, whatever else a package says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from example_package import make_package
from hypothesis import given

from zoo.package_metadata import fastest, read_about, tidied
from zoo.packages import from_document, read_package, to_document
from zoo.settings import Settings

MASK = {"kind": "probability-mask"}


def about(raw: dict[str, Any], head: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    given = {"axes": "byxc", "frames": (1,), "weights_format": "keras_v3", "network": True} | more
    return read_about(raw, head or MASK, **given)


def zooscope(**keys: Any) -> dict[str, Any]:
    return {"config": {"zooscope": keys}}


def test_what_the_author_says_is_written_in_the_zoos_words() -> None:
    typed = {"organism": ["mouse", "Unknown beast"], "structure": "nuclei", "task": "count", "plane_size_um": 0.04}
    found = about(zooscope(about=typed | {"training_data": ["EPFL", {"id": "x", "doi": "10.1/x"}]}))
    assert found["organism"] == ["Mus musculus", "Unknown beast"]
    assert found["organism_ids"] == ["NCBITaxon:10090"]
    assert (found["structure"], found["structure_ids"]) == (["nucleus"], ["GO:0005634"])
    assert "mouse" in found["also"]
    assert (found["task"], found["plane_size_um"]) == ("count", 0.04)
    assert found["training_data"] == [{"name": "EPFL"}, {"name": "x", "doi": "10.1/x"}]
    assert not {"cell_type", "staining", "modality"} & set(found)


@pytest.mark.parametrize(
    ("raw", "head", "task"),
    [
        ({"config": {"bioimageio": {"task": "instance segmentation"}}}, MASK, "instances"),
        ({"config": {"bioimageio": {"task": "semantic segmentation"}}}, MASK, "segment"),
        ({"tags": ["object-detection"]}, MASK, "detect"),
        ({}, MASK, "segment"),
        ({}, {"kind": "spots"}, "detect"),
        ({"config": {"bioimageio": {"task": "semantic segmentation"}}}, {"kind": "star-convex"}, "instances"),
        (zooscope(task="count"), {"kind": "spots"}, "count"),
        (zooscope(task="magic"), MASK, "segment"),
    ],
)
def test_the_task_is_told_by_the_author_the_head_or_the_words(raw: dict, head: dict, task: str) -> None:
    assert about(raw, head)["task"] == task


def test_tags_axes_and_weights_tell_the_rest() -> None:
    found = about({"tags": ["electron-microscopy", "zebrafish", "axon", "unet"]}, axes="bzyxc", weights_format="onnx")
    assert (found["modality"], found["organism"], found["structure"]) == (
        ["electron microscopy"], ["Danio rerio"], ["axon"],
    )  # fmt: skip
    assert (found["dimensionality"], found["framework"]) == ("3d", "onnx")
    assert about({}, frames=(1, 3, 5))["dimensionality"] == "2.5d"
    assert "framework" not in about({}, network=False)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["about", "task", "structure", "organism", "organism_ids", "training_data", "url", "name", "plane_size_um"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(anything, anything, anything)
def test_whatever_stands_there_becomes_plain_words_or_nothing(config: Any, other: Any, tags: Any) -> None:
    found = about({"config": {"zooscope": config, "bioimageio": other}, "tags": tags, "training_data": other})
    json.dumps(found, allow_nan=False)
    assert tidied(found) == found
    for name, value in found.items():
        assert isinstance(value, str | float | list), name
        if name != "training_data" and isinstance(value, list):
            assert value
            assert all(isinstance(word, str) for word in value)


def test_a_package_tells_and_older_documents_do_without(tmp_path: Path) -> None:
    ert = {device: {"load_s": 1, "seconds_per_megapixel": speed} for device, speed in (("cpu", 0.5), ("gpu", 0.1))}
    path = make_package(tmp_path / "cells.zip", about={"organism": ["human"]}, ert=ert)
    document = to_document(read_package(path, Settings()))
    assert document["about"]["organism"] == ["Homo sapiens"]
    assert document["speed_s_per_mp"] == 0.1
    del document["about"], document["speed_s_per_mp"]
    assert from_document(document, path).about == {}


@pytest.mark.parametrize("ert", [{}, None, {"cpu": 3}, {"cpu": {"seconds_per_megapixel": "fast"}}])
def test_no_measurement_is_no_speed(ert: Any) -> None:
    assert fastest(ert) is None


def test_the_model_it_was_made_from_is_told_as_the_standard_names_it() -> None:
    assert about({"parent": {"id": "affable-shark", "version": "1.1"}})["parent"] == {
        "id": "affable-shark",
        "version": "1.1",
    }
    for nothing in (
        {},
        {"parent": "affable-shark"},
        {"parent": {"version": "1"}},
        {"parent": {"id": 5}},
        {"parent": []},
    ):
        assert "parent" not in about(nothing)
