"""Item 47 of the list of bad inputs: descriptions too large, too deep, ambiguous, hostile, or of wrong types."""

from __future__ import annotations

import contextlib
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from example_package import make_package
from hostile_files import laughs
from hypothesis import given
from hypothesis import strategies as st
from test_packages import rewritten

from zoo.errors import UserError
from zoo.package_archive import PackageInvalid
from zoo.package_safety import check_contents
from zoo.packages import DESCRIPTION_NAMES, ModelPackage, read_package
from zoo.settings import Settings

SETTINGS = Settings()
Rdf = dict[str, Any]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("plain") / "cells.zip", pixel_size_um=0.5)


def with_text(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of the package whose description's text is changed."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for name in archive.namelist():
            out.writestr(name, change(archive.read(name)) if name in DESCRIPTION_NAMES else archive.read(name))
    return target


def refusal(package: Path) -> str:
    """The sentence, said within a second of computing."""
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        check_contents(read_package(package, SETTINGS))
    assert time.process_time() - start < 1
    assert 400 <= caught.value.status < 500
    assert caught.value.hint
    assert len(caught.value.message) < 600
    return caught.value.message


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (b"\nmore: " + b"x" * 10**7, "rdf.yaml is larger than 1 MiB."),
        (b"".join(b"\nk%d: 1" % number for number in range(50_000)), "rdf.yaml has more than 10,000 entries."),
        (b"\ndeep: " + b"[" * 10**5 + b"]" * 10**5, "rdf.yaml is nested deeper than 40 levels."),
        (b"\ndeep: " + b"{a: " * 10**5 + b"}" * 10**5, "rdf.yaml is nested deeper than 40 levels."),
        (laughs(), "rdf.yaml has more than 10,000 entries."),
        (b"\nloop: &me [*me]\n", "rdf.yaml has a part that lies within itself (*me)."),
        (b"\nname: Another\n", "rdf.yaml names the key 'name' twice in one place."),
        (b"\nmore: [{a: 1, a: 2}]\n", "rdf.yaml names the key 'a' twice in one place."),
        (b'\nmore: "a\\0b"\n', "rdf.yaml holds control characters, in 'a\\x00b'."),
        (b"\nmore: " + b"9" * 10**5, "rdf.yaml is not valid YAML: Exceeds the limit (4300 digits)"),
        (b"\nmore: !!python/object/apply:os.system [ls]\n", "rdf.yaml is not valid YAML: could not determine"),
        (b"\nmore: \xff\xfe\n", "rdf.yaml is not valid YAML"),
        (b"\n---\nname: Another\n", "rdf.yaml is not valid YAML: expected a single document"),
    ],
    ids=["10 MB", "50,000 keys", "depth", "depth of names", "laughs", "loop", "twice", "twice inside", "control",
         "digits", "program", "bytes", "two documents"],
)  # fmt: skip
def test_47_texts_that_are_too_much_or_not_plain(plain: Path, tmp_path: Path, added: bytes, told: str) -> None:
    assert refusal(with_text(plain, tmp_path / "cells.zip", lambda text: text + added)).startswith(told)


def test_aliases_that_stay_small_are_read(plain: Path, tmp_path: Path) -> None:
    def same_twice(rdf: Rdf, files: dict[str, bytes]) -> None:
        rdf["tags"] = rdf["config"]["zooscope"]["more"] = ["one", "two"]

    assert read_package(rewritten(plain, tmp_path / "cells.zip", same_twice), SETTINGS).tags == ["one", "two"]


def put(*path: Any) -> Callable[..., None]:
    """A change that puts the last of `path` at the place that the others name."""

    def change(rdf: Rdf, files: dict[str, bytes]) -> None:
        node: Any = rdf
        for step in path[:-2]:
            node = node[step]
        node[path[-2]] = path[-1]

    return change


ZOOSCOPE = ("config", "zooscope")
WRONG_TYPES = [
    (put("name", 7), "The model description is not valid: name: Input should be a valid string."),
    (put("tags", "abc"), "The model description is not valid: tags: Input should be a valid list."),
    (put("authors", "Ada"), "The model description is not valid: authors: Input should be a valid list."),
    (put("config", "x"), "config is 'x', not a mapping of names to values."),
    (put("config", "zooscope", [1]), "config.zooscope is '[1]', not a mapping of names to values."),
    (put(*ZOOSCOPE, "stride", "eight"), "config.zooscope.stride is 'eight', not a whole number from 1 to 4096."),
    (put(*ZOOSCOPE, "stride", 0), "config.zooscope.stride is '0', not a whole number from 1 to 4096."),
    (put(*ZOOSCOPE, "halo", 10**30), f"config.zooscope.halo is '{10**30}', not a whole number from 0 to 16384."),
    (put(*ZOOSCOPE, "network", "no"), "config.zooscope.network is 'no', not true or false."),
    (put(*ZOOSCOPE, "finds", ["cells"]), "config.zooscope.finds is \"['cells']\", not a text."),
    (put(*ZOOSCOPE, "input", 3), "config.zooscope.input is '3', not a mapping of names to values."),
    (put(*ZOOSCOPE, "pixel_size", {"value_um": -1}),
     "config.zooscope.pixel_size.value_um is '-1', not a number of micrometres above 0."),
    (put(*ZOOSCOPE, "preview", {"maximum_pixels": "many"}),
     "config.zooscope.preview.maximum_pixels is 'many', not a whole number above 0."),
    (put(*ZOOSCOPE, "ert", "fast"), "config.zooscope.ert is 'fast', not a mapping of names to values."),
    (put(*ZOOSCOPE, "ert", {"cpu": {"load_s": float("nan")}}),
     "config.zooscope.ert.cpu.load_s is 'nan', not a number of seconds."),
    (put(*ZOOSCOPE, "scores", [{"metric": "F1"}]), "config.zooscope.scores[0] has no value."),
    (put(*ZOOSCOPE, "scores", [{"metric": "F1", "value": "good"}]),
     "config.zooscope.scores[0].value is 'good', not a number."),
    (put(*ZOOSCOPE, "samples", {"a": 1}), "config.zooscope.samples is \"{'a': 1}\", not a list of entries with names."),
    (put(*ZOOSCOPE, "samples", 0, "file", "../x.png"),
     "The package lacks '../x.png', which config.zooscope.samples[0] names."),
    (put(*ZOOSCOPE, "samples", [{"file": "rdf.yaml"}] * 51),
     "config.zooscope.samples is '51', not of at most 50 entries."),
    (put(*ZOOSCOPE, "head", "threshold", "half"), "The head's threshold is 'half'."),
    (put("version", "../1"), "'../1' cannot be a version."),
    (put("timestamp", "never"), "The model description is not valid: timestamp: Expected 4 digits, got 'neve'."),
    (put("covers", [7]), "The model description is not valid: covers.0: "),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), WRONG_TYPES, ids=[told[:50] for _, told in WRONG_TYPES])
def test_47_wrong_types_are_told_by_their_names(plain: Path, tmp_path: Path, change: Any, told: str) -> None:
    assert refusal(rewritten(plain, tmp_path / "cells.zip", change)).startswith(told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("description", "word " * 10**5), "description: String should have at most 1024 characters."),
        (put("name", "<script>alert(1)</script>"), "name: '<script>alert(1)</script>' is not restricted to"),
        (put("cite", 0, "url", "javascript:alert(1)"), "cite.0.url: URL scheme should be 'http' or 'https'."),
        (put("git_repo", "javascript:alert(1)"), "git_repo: URL scheme should be 'http' or 'https'."),
        (put("license", "MINE-1.0"), "license: it is not the name of a licence in the SPDX list, such as CC-BY-4.0."),
        (put("license", 12), "license: it is not the name of a licence in the SPDX list, such as CC-BY-4.0."),
        (put("cite", 0, "doi", "hello"), "cite.0.doi: String should match pattern"),
    ],
    ids=["long", "script", "link", "repository", "licence", "number as licence", "DOI"],
)
def test_47_what_the_standard_does_not_allow(plain: Path, tmp_path: Path, change: Any, told: str) -> None:
    told = f"The model description is not valid: {told}"
    assert refusal(rewritten(plain, tmp_path / "cells.zip", change)).startswith(told)


@pytest.mark.parametrize("name", ["test_input.npy", "cover.jpg", "README.md", "model.keras"])
def test_47_a_file_that_is_not_what_its_sha256_says(plain: Path, tmp_path: Path, name: str) -> None:
    def swap(rdf: Rdf, files: dict[str, bytes]) -> None:
        files[name] = b"something else"

    told = f"'{name}' is not the file its sha256 names."
    assert refusal(rewritten(plain, tmp_path / "cells.zip", swap)) == told


def test_47_pictures_that_are_none(plain: Path, tmp_path: Path) -> None:
    def script(rdf: Rdf, files: dict[str, bytes]) -> None:
        files["cover.jpg"] = b"<svg onload='alert(1)'/>"
        rdf["covers"][0] = {"source": "cover.jpg"}

    told = "The picture 'cover.jpg' is not accepted: "
    assert refusal(rewritten(plain, tmp_path / "cells.zip", script)).startswith(told)


def test_covers_that_no_page_shows_are_left_out(plain: Path, tmp_path: Path) -> None:
    def animate(rdf: Rdf, files: dict[str, bytes]) -> None:
        files["cover.svg"] = b"<svg/>"
        rdf["covers"] = [{"source": "cover.svg"}]

    assert read_package(rewritten(plain, tmp_path / "cells.zip", animate), SETTINGS).cover == ""


def cited(plain: Path, tmp_path: Path, cite: list[Rdf]) -> ModelPackage:
    return read_package(rewritten(plain, tmp_path / "cells.zip", put("cite", cite)), SETTINGS)


def test_47_dois_are_one_in_any_case(plain: Path, tmp_path: Path) -> None:
    cite = [
        {"text": "A", "doi": "10.5281/ZENODO.1"},
        {"text": "B", "doi": "10.5281/zenodo.1"},
        {"text": "C", "url": "https://x.org"},
    ]
    assert [(entry["text"], entry.get("doi")) for entry in cited(plain, tmp_path, cite).cite] == [
        ("A", "10.5281/zenodo.1"),
        ("C", None),
    ]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["head", "ert", "stride", "halo", "frames", "variants", "preview", "samples", "scores", "pixel_size", "input",
        "finds", "requires", "network", "about", "task", "modality", "structure"]  # fmt: skip


@given(key=st.sampled_from(KEYS), value=ANYTHING)
def test_47_anything_in_the_place_of_a_setting_is_read_or_refused_with_a_sentence(
    plain: Path, tmp_path: Path, key: str, value: Any
) -> None:
    package = rewritten(plain, tmp_path / "cells.zip", put("config", "zooscope", key, value))
    with contextlib.suppress(PackageInvalid):
        check_contents(read_package(package, SETTINGS))
