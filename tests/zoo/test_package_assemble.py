"""Drafts become packages: what is missing is said, what is made can be read and run, what stays keeps its bytes."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drafts import WORDS
from example_network import keras_file
from example_package import make_package
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from standard_package import write_onnx

from zoo.package_archive import PackageInvalid, check_archive
from zoo.package_assemble import FORMAT, amend, assemble, missing
from zoo.package_fields import FIELDS
from zoo.package_head_form import HEAD_FORMS, head_of
from zoo.package_inspect import look
from zoo.package_missing import bare_orcid, doi_of, is_link
from zoo.packages import read_package
from zoo.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 80), dtype=np.uint8)).save(path, format="PNG")
    return path


def draft_of(network: Path, name: str) -> dict[str, Any]:
    found = look(network, name, SETTINGS)
    return found.fields | WORDS | {"facts": found.facts}


def test_an_empty_draft_lacks_everything_in_the_order_of_the_form() -> None:
    lacking = [one["field"] for one in missing({}, ())]
    assert lacking[:4] == ["package", "name", "id", "version"]
    assert set(lacking) == {"package"} | {field.name for field in FIELDS if field.required}
    assert {one["field"] for one in missing({}, ("package",))}.isdisjoint({"axes", "package"})


def test_the_format_is_the_one_that_the_reader_knows() -> None:
    from bioimageio.spec.model.v0_5 import ModelDescr

    assert ModelDescr.implemented_format_version == FORMAT


@pytest.mark.parametrize("kind", ["onnx", "keras"])
def test_a_bare_network_becomes_a_package(kind: str, image: Path, tmp_path: Path) -> None:
    network = tmp_path / "network"
    if kind == "onnx":
        write_onnx(network, channels=1, maps=1)
    else:
        network.write_bytes(keras_file())
    fields = draft_of(network, f"net.{kind}") | {"pixel_size_um": "0,5", "not_for": "diagnosis"}
    files = {"weights": network, "test_image": image, "cover": image}
    assert missing(fields, files) == []
    out = assemble(fields, files, tmp_path / "out.zip", names={"test_image": "Cells.PNG"})
    package = read_package(out, SETTINGS)
    assert (package.id, package.version, package.licence) == ("nuclei-of-tests", "1.0.0", "CC-BY-4.0")
    assert package.authors == [{"name": "Ada Tester", "orcid": "0000-0002-1825-0097"}]
    assert package.pixel_size_um == pytest.approx(0.5)
    assert package.head["object"] == "nucleus"
    assert package.weights_format == {"onnx": "onnx", "keras": "keras_v3"}[kind]
    assert package.open(package.samples[0]["file"]) == image.read_bytes()
    assert package.open(package.cover) == image.read_bytes()
    assert package.test_input == ""
    assert package.open(package.weights_file) == network.read_bytes()
    again = assemble(fields, files, tmp_path / "again.zip", names={"test_image": "Cells.PNG"})
    assert again.read_bytes() == out.read_bytes(), "the same draft makes the same package"


def test_coarse_maps_of_one_size_become_boxes(image: Path, tmp_path: Path) -> None:
    network = write_onnx(tmp_path / "network", stride=4, maps=6, side=64, activation="Identity")
    fields = draft_of(network, "net.onnx") | {"head": {"kind": "grid-detector", "classes": ["red cell", "platelet"]}}
    out = assemble(fields, {"weights": network, "test_image": image}, tmp_path / "out.zip")
    package = read_package(out, SETTINGS)
    assert (package.output_stride, package.input_size) == (4, [64, 64])
    assert (package.head["scores"], package.head["offset"], package.head["size"]) == ([0, 1], [2, 3], [4, 5])
    assert [one["objects"] for one in package.head["classes"]] == ["red cells", "platelets"]


@pytest.mark.parametrize("form", HEAD_FORMS, ids=lambda form: form.kind)
def test_every_head_of_the_form_can_be_made(form: Any) -> None:
    columns = ["x_min", "y_min", "x_max", "y_max", "score", "class"]
    typed: dict[str, Any] = {"kind": form.kind}
    typed |= {part.name: str(part.default) for part in form.parts if part.kind == "number"}
    if form.kind in ("boxes", "grid-detector"):
        typed["classes"] = ["cell", "platelet"]
    fields = {"head": typed, "output_channels": columns, "output_stride": "1", "structure": ["mitochondrion"]}
    head = head_of(fields)
    assert head["kind"] == form.kind
    assert "classes" in head or head["objects"] == "mitochondria"


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"name": "Zellkerne für alle"}, "name", "ü"),
        ({"name": "Abc"}, "name", "too short"),
        ({"id": "No Address"}, "id", "a-z"),
        ({"version": "one"}, "version", "1.2.0"),
        ({"authors": [{"name": "Ada", "orcid": "0000-0002-1825-0098"}]}, "authors", "ORCID of Ada"),
        ({"authors": [{"affiliation": "Somewhere"}]}, "authors", "no name"),
        ({"licence": "cc-by-4.0"}, "licence", "write CC-BY-4.0"),
        ({"licence": "Beer"}, "licence", "SPDX"),
        ({"cite": [{"text": "A paper"}]}, "cite", "DOI or a link"),
        ({"cite": [{"text": "A paper", "url": "javascript:alert(1)"}]}, "cite", "no link"),
        ({"training_data": [{"name": "Data", "url": "ftp://x"}]}, "training_data", "no link"),
        ({"pixel_size_um": "-1"}, "pixel_size_um", "number"),
        ({"stride": "eight"}, "stride", "whole number"),
        ({"structure": ["x" * 400]}, "structure", "too long"),
        ({"tags": [str(n) for n in range(60)]}, "tags", "too many"),
        ({"description": "x" * 2000}, "description", "2,000"),
        ({"task": "guess"}, "task", "list"),
        ({"channel_names": ["a", "b"]}, "channel_names", "1 channels; 2"),
        ({"head": {"kind": "watershed-instances"}}, "head", "distance"),
        ({"head": {"kind": "probability-mask", "threshold": "high"}}, "head", "number"),
        ({"output_stride": "2"}, "stride", "whole number of cells"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(change: dict[str, Any], field: str, word: str, tmp_path: Path) -> None:
    network = write_onnx(tmp_path / "network")
    found = missing(draft_of(network, "net.onnx") | change, ("weights", "test_image"))
    assert [one["field"] for one in found] == [field]
    assert word in found[0]["sentence"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*(field.name for field in FIELDS), "head", "facts"]), JSON, max_size=12))
def test_whatever_is_typed_is_answered_with_sentences(fields: dict[str, Any]) -> None:
    for one in missing(fields, ("weights", "test_image")):
        assert set(one) == {"field", "sentence"}
        assert one["sentence"]


def test_a_draft_that_lacks_something_makes_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageInvalid, match="Drop a package"):
        assemble(WORDS, {}, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("package") / "cells.zip", name="Cells of tests")


def members(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_an_unchanged_package_keeps_every_byte(package: Path, tmp_path: Path) -> None:
    told = look(package, "cells.zip", SETTINGS).fields
    told |= {"structure": ["cell"], "modality": ["bright-field microscopy"]}
    reworded = assemble(told, {"package": package}, tmp_path / "reworded.zip")
    fields = look(reworded, "x.zip", SETTINGS).fields
    same = assemble(fields, {"package": reworded}, tmp_path / "same.zip")
    assert same.read_bytes() == reworded.read_bytes()


def test_a_package_is_reworded_and_its_files_stay(package: Path, tmp_path: Path) -> None:
    fields = look(package, "cells.zip", SETTINGS).fields | {
        "structure": ["nucleus"], "modality": ["fluorescence microscopy"], "name": "Other cells", "version": "2.0.0",
        "card": "# New card",
    }  # fmt: skip
    out = assemble(fields, {"package": package}, tmp_path / "out.zip")
    read = read_package(out, SETTINGS)
    assert (read.name, read.version, read.card) == ("Other cells", "2.0.0", "# New card\n")
    before, after = members(package), members(out)
    assert {name for name in before if before[name] != after.get(name)} == {"rdf.yaml", "README.md"}
    check_archive(out, 2**24)


def test_amending_keeps_all_but_what_is_given(package: Path, tmp_path: Path) -> None:
    cover, tensor = tmp_path / "a-cover", tmp_path / "tensor"
    Image.new("RGB", (64, 64), (9, 9, 9)).save(cover, format="PNG")
    with tensor.open("wb") as file:
        np.save(file, np.ones((1, 136, 136, 1), np.float32))
    ert = {"cpu": {"load_s": 2.0, "seconds_per_megapixel": 0.5}}
    out = amend(package, tmp_path / "out.zip", ert=ert, cover=cover, test_output=tensor, version="1.0.1")
    read = read_package(out, SETTINGS)
    assert (read.ert, read.version, read.cover, read.cover_before) == (ert, "1.0.1", "cover.png", "")
    assert read.open(read.test_output) == tensor.read_bytes()
    before, after = members(package), members(out)
    assert "cover.jpg" not in after
    assert {name for name in before.keys() & after.keys() if before[name] != after[name]} == {
        "rdf.yaml",
        "test_output.npy",
    }


@given(st.text(alphabet="0123456789X -", max_size=25))
def test_an_orcid_is_written_in_one_way(text: str) -> None:
    assert bare_orcid(bare_orcid(text)) == bare_orcid(text)


@pytest.mark.parametrize("text", ["10.5281/zenodo.1", "doi:10.5281/zenodo.1", "https://doi.org/10.5281/zenodo.1"])
def test_a_doi_is_known_however_it_is_written(text: str) -> None:
    assert doi_of(text) == "10.5281/zenodo.1"


@pytest.mark.parametrize(
    "text", ["javascript:alert(1)", "https://", "http://a b", "//x", "data:text/html,x", "http://[::1"]
)
def test_what_is_no_link(text: str) -> None:
    assert not is_link(text)


def test_every_field_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "publishing.md").read_text()
    assert [field.name for field in FIELDS if f"| `{field.name}` |" not in text] == []
