"""Pictures made on demand from stored pixels, kept on disk by what they were made from.

A render is named by the sha256 of its source and of everything that shaped it, so it never goes stale; the folder is
a cache that may be emptied at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from web.service import service

# Raise when the same source would now be drawn differently.
RENDER_VERSION = 2
CACHE_BYTES = 2 * 2**30
# Large renders hold whole regions in memory: so many at once, and no more.
AT_ONCE = threading.BoundedSemaphore(2)

# Okabe-Ito, without black: objects of a mask cycle through them.
OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def kept(source_sha256: str, kind: str, draw: Callable[[], bytes], suffix: str = ".png") -> Path:
    """The file of the render `kind` of a source, drawn now when it is not there yet."""
    key = hashlib.sha256(f"{RENDER_VERSION}/{kind}/{source_sha256}".encode()).hexdigest()
    folder = service().renders_folder
    path = folder / f"{key}{suffix}"
    # It may go between two looks: another thread, or another replica, makes room.
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)
        return path
    with AT_ONCE:
        if path.exists():
            return path
        data = draw()
        _make_room(folder, len(data))
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
            part.write(data)
        Path(part.name).replace(path)
    return path


def _make_room(folder: Path, needed: int) -> None:
    """Drop the renders unused for longest until `needed` bytes fit into the cache."""
    entries = sorted(_seen(folder))
    total = sum(size for _, size, _ in entries) + needed
    for _, size, path in entries:
        if total <= CACHE_BYTES:
            return
        Path(path).unlink(missing_ok=True)
        total -= size


def _seen(folder: Path) -> Iterator[tuple[float, int, str]]:
    """Time of last use, bytes and path of each render; not of those that another thread writes or renames just now."""
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            stat = entry.stat()
            yield stat.st_mtime, stat.st_size, entry.path


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 (y, x) or (y, x, 3|4) as PNG; fast rather than small."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", compress_level=1)
    return out.getvalue()


def encode_labels(labels: np.ndarray) -> bytes:
    """Labels (y, x), 0 background, as a PNG of Okabe-Ito colours with a transparent background."""
    colours = np.where(labels > 0, (labels.astype(np.int64) - 1) % len(OKABE_ITO) + 1, 0).astype(np.uint8)
    image = Image.fromarray(colours, mode=None)
    image.putpalette(bytes(value for colour in ((0, 0, 0), *OKABE_ITO) for value in colour))
    out = io.BytesIO()
    image.save(out, format="PNG", compress_level=1, transparency=0)
    return out.getvalue()


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 picture with its longer side at most `side` px."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)
