"""A region is read once, piece by piece as the file has it; troubles come out where its rows are awaited."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from worker.stream import reading
from worker.stream.reading import ImageRegion, Reader
from worker.stream.scratch import DiskFull, Scratch
from worker.stream.statistics import NotStreamable
from zoo.image_limits import BadImage
from zoo.images import encode_crop, inspect
from zoo.roi import Region
from zoo.settings import Settings

PIXELS = np.random.default_rng(1).integers(0, 2**16, (300, 200)).astype(np.uint16)


def image_of(path: Path, region: Region | None = None, **saved: object) -> ImageRegion:
    tifffile.imwrite(path, PIXELS, **saved)  # type: ignore[arg-type]
    info = inspect(path, path.name, Settings())
    return ImageRegion(path, info, region or Region(0, 0, 200, 300), 0, None, None, 1, Settings())


@pytest.mark.parametrize(
    "saved", [{"tile": (64, 48)}, {"rowsperstrip": 11, "compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}]
)
@pytest.mark.parametrize("region", [Region(0, 0, 200, 300), Region(37, 65, 101, 90)])
@pytest.mark.parametrize("memory", [2**18, 2**24])
def test_the_file_of_the_crop_is_filled(tmp_path: Path, saved: dict[str, object], region: Region, memory: int) -> None:
    reader = Reader(image_of(tmp_path / "image.tif", region, **saved), Scratch(tmp_path, memory))
    covered = np.zeros((300, 200), int)
    for window in reader.windows:
        covered[window.y : window.y + window.height, window.x : window.x + window.width] += 1
    inside = covered[region.y : region.y + region.height, region.x : region.x + region.width]
    assert (inside == 1).all()
    assert covered.sum() == inside.sum()
    reader.start()
    reader.wait(region.height)
    reader.stop()
    wanted = PIXELS[region.y : region.y + region.height, region.x : region.x + region.width]
    np.testing.assert_array_equal(reader.crop.pixels[..., 0], wanted)
    assert reader.path.read_bytes() == encode_crop(reader.crop)


def test_pieces_too_large_for_the_memory_are_refused(tmp_path: Path) -> None:
    image = image_of(tmp_path / "image.tif", compression="zlib", rowsperstrip=300)
    with pytest.raises(NotStreamable, match="pieces of 200 x 300 pixels") as refused:
        Reader(image, Scratch(tmp_path, 2**16))
    assert "tiled TIFF" in str(refused.value.hint)


def test_damage_met_on_the_way_comes_out(tmp_path: Path) -> None:
    image = image_of(tmp_path / "image.tif", tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(image.path) as tif:
        offset = tif.pages[0].dataoffsets[-3]
    with image.path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 50)
    before = threading.active_count()
    reader = Reader(image, Scratch(tmp_path, 2**18))
    reader.start()
    with pytest.raises(BadImage):
        reader.wait(300)
    reader.stop()
    assert threading.active_count() == before


def test_stopped_it_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(image_of(tmp_path / "image.tif", tile=(16, 16)), Scratch(tmp_path, 2**14))
    read, seen = reading.read_region, threading.Event()

    def slow(*given: object) -> np.ndarray:
        seen.set()
        reader._stopped = True
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_region", slow)
    reader.start()
    seen.wait(10)
    reader.stop()
    assert reader.share < 1


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = image_of(tmp_path / "image.tif", tile=(64, 64))
    monkeypatch.setattr("worker.stream.scratch.SPARE", 2**60)
    with pytest.raises(DiskFull, match="of disk"):
        Reader(image, Scratch(tmp_path, 2**24))
