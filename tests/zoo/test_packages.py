"""Reading and writing bioimage.io packages."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import yaml
from example_package import GRID_HEAD, INSTANCES_HEAD, make_package

from zoo.packages import PackageInvalid, file_sha256, read_package, to_document
from zoo.settings import Settings

SETTINGS = Settings()


@pytest.fixture(scope="module")
def package_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("zoo") / "cells.zip", channels=3, head=INSTANCES_HEAD)


def rewritten(source: Path, target: Path, change) -> Path:
    """A copy of the package with `change(rdf: dict, files: dict)` applied."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in files if name in ("rdf.yaml", "bioimageio.yaml"))
    rdf = yaml.safe_load(files[name])
    change(rdf, files)
    files[name] = yaml.safe_dump(rdf).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return target


def test_what_was_written_is_read(package_file: Path) -> None:
    package = read_package(package_file, SETTINGS)
    assert (package.id, package.version, package.axes, package.channels) == ("cells", "1.0.0", "byxc", 3)
    assert package.output_channels == ["foreground", "distance"]
    assert package.head == INSTANCES_HEAD
    # The standard converts to float32 before and after what was given.
    assert [step["id"] for step in package.preprocessing] == ["ensure_dtype", "scale_range", "ensure_dtype"]
    assert package.preprocessing[1]["kwargs"]["max_percentile"] == 99.8
    assert (package.stride, package.halo, package.grey_to_rgb) == (8, 64, True)
    assert package.sha256 == file_sha256(package_file)
    assert (package.cover, package.cover_before) == ("cover.jpg", "cover_before.jpg")
    assert package.open(package.cover)[:2] == b"\xff\xd8"
    assert "# Validation" in package.card
    assert to_document(package)["package_sha256"] == package.sha256


def test_pixel_size_goes_through_the_axes(tmp_path: Path) -> None:
    package = read_package(make_package(tmp_path / "em.zip", pixel_size_um=0.0046), SETTINGS)
    assert package.pixel_size_um == pytest.approx(0.0046)
    assert not package.pixel_size_nominal


@pytest.mark.parametrize("pixel_size_um", [None, 0.25])
def test_maps_on_a_grid_have_coarser_axes(tmp_path: Path, pixel_size_um: float | None) -> None:
    file = make_package(tmp_path / "cells.zip", head=GRID_HEAD, channels=3, pixel_size_um=pixel_size_um)
    package = read_package(file, SETTINGS)
    assert (package.output_stride, package.stride, package.halo) == (8, 8, 64)
    assert package.pixel_size_um == pixel_size_um
    # Packages of others name the halo in their output's axes alone, in cells.
    bare = rewritten(file, tmp_path / "bare.zip", lambda rdf, files: rdf["config"]["zooscope"].pop("halo"))
    assert read_package(bare, SETTINGS).halo == 64


def test_the_head_has_the_cells_of_the_output(tmp_path: Path) -> None:
    file = make_package(tmp_path / "cells.zip", head=GRID_HEAD, channels=3)

    def coarser(rdf: dict, files: dict) -> None:
        rdf["config"]["zooscope"]["head"]["stride"] = 4

    with pytest.raises(PackageInvalid, match="every 4 pixels, the output's axes every 8"):
        read_package(rewritten(file, tmp_path / "other.zip", coarser), SETTINGS)

    def odd(rdf: dict, files: dict) -> None:
        rdf["config"]["zooscope"]["stride"] = 12

    with pytest.raises(PackageInvalid, match="stride of 12 pixels holds no whole number"):
        read_package(rewritten(file, tmp_path / "odd.zip", odd), SETTINGS)


def test_weights_are_extracted_whole(package_file: Path, tmp_path: Path) -> None:
    package = read_package(package_file, SETTINGS)
    assert package.extract_weights(tmp_path / "deep").read_bytes() == package.open(package.weights_file)


def test_the_build_leaves_nothing_beside_the_package(tmp_path: Path) -> None:
    make_package(tmp_path / "one.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["one.zip"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rdf, files: rdf.pop("weights"), "weights"),
        (lambda rdf, files: rdf.update(type="dataset"), "does not describe a model"),
        (lambda rdf, files: files.pop("test_input.npy"), "lacks"),
        (lambda rdf, files: files.update({"model.keras": b"changed"}), "sha256"),
        (
            lambda rdf, files: rdf["weights"]["keras_v3"].update(source="https://example.org/model.keras"),
            "outside itself",
        ),
        (lambda rdf, files: rdf["config"]["zooscope"]["head"].update(kind="oracle"), "not known"),
        (lambda rdf, files: rdf["config"]["zooscope"]["head"].update(distance=7), "output channels"),
        (lambda rdf, files: rdf.update(format_version="0.5.12", inputs=[]), "input"),
    ],
)
def test_a_wrong_description_is_refused_with_a_sentence(package_file: Path, tmp_path: Path, change, sentence) -> None:
    broken = rewritten(package_file, tmp_path / "broken.zip", change)
    with pytest.raises(PackageInvalid, match=sentence):
        read_package(broken, SETTINGS)


def test_a_description_that_is_not_yaml_is_refused(package_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "bad.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("rdf.yaml", "a: [1\n")
    with pytest.raises(PackageInvalid, match="YAML"):
        read_package(target, SETTINGS)


def test_a_package_over_the_limit_is_refused(package_file: Path) -> None:
    with pytest.raises(PackageInvalid, match="MiB"):
        read_package(package_file, SETTINGS.replace(package_bytes=10))
