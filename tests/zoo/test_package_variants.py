"""Packages with networks for 1, 3 and 5 planes: read, checked, kept in the catalogue's documents."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from example_network import keras_file
from example_package import make_package

from zoo.packages import PackageInvalid, from_document, read_package, to_document
from zoo.settings import Settings

SETTINGS = Settings()
NETWORKS = {1: keras_file(), 3: b"of three planes", 5: b"of five planes"}


def files_of(frames: int) -> dict[str, bytes]:
    number = "" if frames == 1 else f"_{frames}"
    return {
        f"model{number}.keras": NETWORKS[frames],
        f"test_input{number}.npy": b"given",
        f"test_output{number}.npy": b"made",
    }


def entry(frames: int) -> dict[str, Any]:
    weights, given, made = files_of(frames)
    digest = hashlib.sha256(NETWORKS[frames]).hexdigest()
    return {"frames": frames, "weights": weights, "sha256": digest, "test_input": given, "test_output": made}


def package_with(folder: Path, change: Callable[[dict[str, Any], dict[str, bytes]], Any] | None = None) -> Path:
    """A package of three networks with `change(config, files)` applied."""
    source = make_package(folder / "plain.zip")
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in files if name.endswith((".yaml", ".yml")))
    described = yaml.safe_load(files[name])
    config = described["config"]["zooscope"]
    config.update(frames=[1, 3, 5], variants=[entry(5), entry(1), entry(3)])
    files.update(files_of(3) | files_of(5))
    if change:
        change(config, files)
    files[name] = yaml.safe_dump(described).encode()
    out = folder / "stack.zip"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return out


def test_every_count_of_frames_has_its_network(tmp_path: Path) -> None:
    package = read_package(package_with(tmp_path), SETTINGS)
    assert package.frames == (1, 3, 5)
    assert package.variants == {1: "model.keras", 3: "model_3.keras", 5: "model_5.keras"}
    assert package.variant_tests[3] == ["test_input_3.npy", "test_output_3.npy"]
    assert package.channels == 1
    for frames, weights in NETWORKS.items():
        assert package.extract_weights(tmp_path / "out", frames).read_bytes() == weights


def test_a_package_without_variants_has_one_network_of_one_plane(tmp_path: Path) -> None:
    package = read_package(make_package(tmp_path / "plain.zip"), SETTINGS)
    assert (package.frames, package.variants, package.variant_tests) == ((1,), {1: "model.keras"}, {})


def test_a_document_gives_the_package_back(tmp_path: Path) -> None:
    package = read_package(package_with(tmp_path), SETTINGS)
    document = json.loads(json.dumps(to_document(package)))
    assert from_document(document, package.path) == package


def test_a_document_from_before_variants_is_of_one_plane(tmp_path: Path) -> None:
    package = read_package(make_package(tmp_path / "plain.zip"), SETTINGS)
    document = to_document(package) | {"frames": 1}
    del document["variants"], document["variant_tests"]
    assert from_document(document, package.path) == package


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda config, files: files.pop("model_3.keras"), "lacks 'model_3.keras'"),
        (lambda config, files: files.pop("test_output_5.npy"), "lacks 'test_output_5.npy'"),
        (lambda config, files: files.update({"model_5.keras": b"changed"}), "sha256"),
        (lambda config, files: config["variants"].append(entry(3)), "two networks of 3"),
        (lambda config, files: config.update(frames=[1, 3]), "tells of"),
        (lambda config, files: config.update(frames=[1, "3"]), "tells of"),
        (lambda config, files: config["variants"].pop(1), "none of the package's variants"),
        (lambda config, files: config["variants"][0].update(frames=4), "no count of frames"),
        (lambda config, files: config["variants"][0].update(frames="5"), "no count of frames"),
        (lambda config, files: config.update(variants="model_3.keras"), "not a list"),
        (lambda config, files: config.update(variants=None, frames=2), "no count of frames"),
    ],
)
def test_wrong_variants_are_refused_with_a_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], Any], sentence: str
) -> None:
    with pytest.raises(PackageInvalid, match=sentence):
        read_package(package_with(tmp_path, change), SETTINGS)
