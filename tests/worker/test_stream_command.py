"""`zooscope preview` streams by itself what does not fit, with the same result, and leaves nothing when stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from example_package import INSTANCES_HEAD, make_package
from test_stream import network_file, picture, write_zarr

import zooscope
from scheduler.contract import RESULT_FILES
from worker.stream.choice import too_large
from zoo.packages import read_package
from zoo.pixel_scale import Scale
from zoo.roi import Region
from zoo.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    weights = network_file(folder / "net.keras", 1, 2)
    return make_package(folder / "nuclei.zip", weights=weights, head=INSTANCES_HEAD)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "cells.tif"
    tifffile.imwrite(path, picture()[..., 0], tile=(64, 64))
    return path


def preview(image: Path, package: Path, out: Path) -> int:
    return zooscope.main(["preview", str(image), "--model", str(package), "-o", str(out), "--tile-px", "100"])


def test_the_same_result_streamed(
    image: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_zarr(tmp_path / "cells.zarr", picture()[..., 0], 2)
    assert preview(image, package, tmp_path / "whole") == 0
    # One plane has more values than a service would accept.
    for name, value in (("STREAM_MEMORY_BYTES", 6 * 2**20), ("PLANE_PIXELS", 1000), ("IMAGE_PIXELS", 1000)):
        monkeypatch.setenv(f"ZOOSCOPE_{name}", str(value))
    for given, name in ((image, "tiff"), (folder, "zarr")):
        assert preview(given, package, tmp_path / name) == 0
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted(RESULT_FILES)
        for file in ("labels.ome.tif", "probability.ome.tif"):
            np.testing.assert_array_equal(
                tifffile.imread(tmp_path / name / file), tifffile.imread(tmp_path / "whole" / file)
            )
        for file in ("objects.csv", "objects.geojson"):
            assert (tmp_path / name / file).read_text() == (tmp_path / "whole" / file).read_text()
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        assert manifest["summary"]["streamed"]
        assert (manifest["source"]["image_sha256"] is None) == (name == "zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.zarr", "tiff", "whole", "zarr"]
    assert capsys.readouterr().out.count("objects in 260 x 300 pixels") == 3


def test_interrupted_it_leaves_nothing(
    image: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("ZOOSCOPE_STREAM_MEMORY_BYTES", str(6 * 2**20))
    monkeypatch.setattr("worker.stream.run.write_objects", interrupted)
    assert preview(image, package, tmp_path / "out") == 130
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_told_before_it_is_full(
    image: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOOSCOPE_STREAM_MEMORY_BYTES", str(6 * 2**20))
    monkeypatch.setattr("worker.stream.scratch.SPARE", 2**60)
    assert preview(image, package, tmp_path / "out") == 2
    assert "of disk for its work" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_fits_is_not_streamed(package: Path) -> None:
    model, region = read_package(package, Settings()), Region(0, 0, 1000, 1000)
    assert not too_large(model, region, Scale(), 1, 10**7, 2**30)
    assert too_large(model, region, Scale(), 1, 10**5, 2**30)
    assert too_large(model, region, Scale(), 1, 10**7, 2**26)
    assert too_large(model, region, Scale(4, 4), 1, 10**7, 2**30)
