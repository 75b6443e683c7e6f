"""Small weights: rounded to few bits of mantissa, and stored so that what is left packs well. Still float32 to all."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

WEIGHTS = "model.weights.h5"
FULL_MANTISSA = 23
# Smaller arrays are not worth the header of a filter.
LEAST_PACKED = 1000


def rounded(model: keras.Model, mantissa_bits: int) -> keras.Model:
    """The same model, its weights rounded in place to the nearest with so many bits of mantissa."""
    if mantissa_bits >= FULL_MANTISSA:
        return model
    drop = np.uint32(FULL_MANTISSA - mantissa_bits)
    half = np.uint32(1) << (drop - np.uint32(1))

    def nearest(weights: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(weights, np.float32).view(np.uint32)
        return ((bits + half) >> drop << drop).view(np.float32)

    model.set_weights([nearest(weights) for weights in model.get_weights()])
    return model


def save_packed(model: keras.Model, path: Path) -> Path:
    """Write `model` as a `.keras` file whose arrays have their bytes shuffled and deflated, as HDF5 itself can do.

    Every reader of `.keras` files gets the same weights; the zip around is deflated, with a fixed date.
    """
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[WEIGHTS] = _packed(members[WEIGHTS])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def _packed(weights: bytes) -> bytes:
    out = io.BytesIO()
    with h5py.File(io.BytesIO(weights)) as source, h5py.File(out, "w") as target:

        def copy(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                filters: dict[str, Any] = {}
                if node.size >= LEAST_PACKED:
                    filters = {"chunks": node.shape, "compression": "gzip", "compression_opts": 9, "shuffle": True}
                made = target.create_dataset(name, data=node[()], **filters)
            else:
                made = target.require_group(name)
            made.attrs.update(node.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    return out.getvalue()
