"""Tiled TIFF compressed behind other work, read back by tifffile."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tifffile

from worker.stream import tiff
from worker.stream.planes import Stored
from worker.stream.rows import Rows
from worker.stream.scratch import Scratch
from zoo.images import PixelSize


@pytest.mark.parametrize("dtype", ["float32", "uint16", "uint32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("large", [False, True])
def test_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, channels: int, large: bool) -> None:
    if large:
        monkeypatch.setattr(tiff, "CLASSIC_BYTES", 1000)
    rng = np.random.default_rng(3)
    planes = (rng.random((1100, 700, channels)) * 60_000).astype(dtype)
    writer = tiff.TiledWriter(Stored(planes), dtype, Scratch(tmp_path, 2**20), "tiles")  # type: ignore[arg-type]
    writer.start()
    for row in (300, 900, 1100):
        writer.passed(row)
    names = [f"map {index}" for index in range(channels)]
    writer.finish(tmp_path / "out.ome.tif", names, PixelSize(0.5, 0.25))
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tif:
        assert tif.is_bigtiff is large
        assert tif.is_ome
        page = tif.pages[0]
        assert (page.tilelength, page.tilewidth) == (512, 512)  # type: ignore[union-attr]
        assert len(tif.pages) == channels
        for index, page in enumerate(tif.pages):
            np.testing.assert_array_equal(page.asarray(), planes[..., index])
        root = ElementTree.fromstring(tif.ome_metadata or "")
    pixels = next(each for each in root.iter() if each.tag.endswith("Pixels"))
    assert (pixels.get("SizeX"), pixels.get("SizeY"), pixels.get("SizeC")) == ("700", "1100", str(channels))
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeY")) == ("0.5", "0.25")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.ome.tif"]


def test_stopped_it_ends_and_what_it_raised_comes_out(tmp_path: Path) -> None:
    class Broken(Stored):
        def read(self, y: tuple[int, int], x: tuple[int, int]) -> np.ndarray:
            raise OSError("disk")

    plane = np.zeros((600, 20, 1), np.float32)
    before = threading.active_count()
    waiting = tiff.TiledWriter(Stored(plane), np.float32, Scratch(tmp_path, 2**20), "tiles")
    waiting.start()
    waiting.stop()
    broken = tiff.TiledWriter(Broken(plane), np.float32, Scratch(tmp_path, 2**20), "tiles")
    broken.start()
    with pytest.raises(OSError, match="disk"):
        broken.finish(tmp_path / "out.tif", ["map"], None)
    assert threading.active_count() == before


def test_rows_come_out_in_their_order(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows", 4)
    for number in (2, 3, 0, 1):
        rows.put(number, b"abcd"[number : number + 1] * (number + 1))
    rows.write(tmp_path / "out", head=b"[", between=b",", tail=b"]")
    assert (tmp_path / "out").read_bytes() == b"[a,bb,ccc,dddd]"
