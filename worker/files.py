"""Writing a result's files. The same content gives the same bytes: no dates, no random identifiers, no paths."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import imagecodecs
import numpy as np
import tifffile

from zoo.images import PixelSize

PNG_LEVEL = 1
# One filter for all rows: libpng's choosing among them takes longer than compressing.
PNG_FILTER_PAETH = 128
DEFLATE_LEVEL = 1
ROWS_PER_STRIP = 128
DECIMALS = {
    "score": 4,
    "eccentricity": 4,
    "area_um2": 6,
    "spots_per_um2": 6,
    "radius_um": 6,
    "width_um": 6,
    "height_um": 6,
}
OME_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def write_png(path: Path, picture: np.ndarray) -> None:
    """uint8 (y, x, 3) or (y, x)."""
    path.write_bytes(imagecodecs.png_encode(picture, level=PNG_LEVEL, filter=PNG_FILTER_PAETH))


def write_ome_tiff(path: Path, planes: np.ndarray, channel_names: Sequence[str], pixel_size: PixelSize | None) -> None:
    """Write (channel, y, x) of uint16, uint32 or float32 as OME-TIFF, one page a channel, with the pixel size in µm."""
    with tifffile.TiffWriter(path) as writer:
        for index, plane in enumerate(planes):
            writer.write(
                plane,
                photometric="minisblack",
                compression="zlib",
                compressionargs={"level": DEFLATE_LEVEL},
                predictor=3 if plane.dtype.kind == "f" else 2,
                rowsperstrip=ROWS_PER_STRIP,
                description=ome_xml(planes.shape, planes.dtype, channel_names, pixel_size).encode()
                if index == 0
                else None,
                metadata=None,
                software="Zooscope",
            )


def ome_xml(shape: tuple[int, ...], dtype: np.dtype, channel_names: Sequence[str], pixel_size: PixelSize | None) -> str:
    """The OME-XML of planes of `shape` (channel, y, x), with the pixel size in µm."""
    count, height, width = shape
    kind = "float" if dtype.kind == "f" else dtype.name
    size = ""
    if pixel_size is not None:
        size = (
            f' PhysicalSizeX="{pixel_size.x_um!r}" PhysicalSizeXUnit="µm"'
            f' PhysicalSizeY="{pixel_size.y_um!r}" PhysicalSizeYUnit="µm"'
        )
    channels = "".join(
        f'<Channel ID="Channel:0:{index}" Name={quoteattr(name)} SamplesPerPixel="1"/>'
        for index, name in enumerate(channel_names)
    )
    data = "".join(
        f'<TiffData FirstC="{index}" FirstT="0" FirstZ="0" IFD="{index}" PlaneCount="1"/>' for index in range(count)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{OME_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{OME_NAMESPACE} {OME_NAMESPACE}/ome.xsd" Creator="Zooscope">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="{kind}" SizeX="{width}" '
        f'SizeY="{height}" SizeC="{count}" SizeZ="1" SizeT="1" BigEndian="false"{size}>{channels}{data}'
        "</Pixels></Image></OME>"
    )


def label_image(labels: np.ndarray) -> np.ndarray:
    """(y, x) labels in the smallest of uint16 and uint32 that holds them, as (1, y, x)."""
    return labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)[None]


def rounded(table: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
    """The columns as Python numbers, decimals as they are written everywhere."""
    return {
        name: column.tolist() if column.dtype.kind in "iu" else np.round(column, DECIMALS.get(name, 3)).tolist()
        for name, column in table.items()
    }


def write_csv(path: Path, table: Mapping[str, Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    path.write_text(text.getvalue(), encoding="utf-8")


def write_json(path: Path, body: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
