"""A `.keras` file that is whole in every part and computes nothing: what packages of tests have for a network."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np

CONFIG: dict[str, Any] = {
    "module": "keras.src.models.functional",
    "class_name": "Functional",
    "config": {
        "name": "stand_in",
        "trainable": True,
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": {"batch_shape": [None, None, None, 1], "dtype": "float32", "name": "image"},
                "registered_name": None,
                "name": "image",
                "inbound_nodes": [],
            }
        ],
        "input_layers": [["image", 0, 0]],
        "output_layers": [["image", 0, 0]],
    },
    "registered_name": "Functional",
}


def weights_file(number: int = 1) -> bytes:
    """An HDF5 file of one array, another one for another number."""
    file = io.BytesIO()
    with h5py.File(file, "w") as weights:
        weights.create_dataset("layers/one/vars/0", data=np.full(4, number, np.float32))
    return file.getvalue()


def keras_file(number: int = 1, config: Any = None, weights: bytes | None = None, **members: bytes) -> bytes:
    """The bytes of the file, the same every time; `members` are further files in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("metadata.json"), json.dumps({"keras_version": "3.15.1"}))
        archive.writestr(
            zipfile.ZipInfo("config.json"), config if isinstance(config, bytes) else json.dumps(config or CONFIG)
        )
        archive.writestr(zipfile.ZipInfo("model.weights.h5"), weights_file(number) if weights is None else weights)
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()
