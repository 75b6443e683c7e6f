"""A small, complete model package for tests; the weights are a stand-in unless a `.keras` file is given."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from example_network import keras_file
from PIL import Image

from zoo.package_build import PackageParts, build_package

MASK_HEAD = {"kind": "probability-mask", "channel": 0, "threshold": 0.5, "minimum_area_px": 5}
INSTANCES_HEAD = {
    "kind": "watershed-instances",
    "foreground": 0,
    "distance": 1,
    "threshold": 0.5,
    "seed_height": 0.1,
    "smoothing": 1.0,
    "minimum_area_px": 5,
}
GRID_HEAD = {
    "kind": "grid-detector",
    "stride": 8,
    "classes": [
        {"object": "red cell", "objects": "red cells", "colour": "#D55E00"},
        {"object": "platelet", "objects": "platelets", "colour": "#009E73", "threshold": 0.2},
    ],
    "scores": [0, 1],
    "offset": [2, 3],
    "size": [4, 5],
    "threshold": 0.5,
    "overlap": 0.5,
}
OUTPUTS = {
    "watershed-instances": ["foreground", "distance"],
    "grid-detector": ["red_cell", "platelet", "offset_x", "offset_y", "log_width", "log_height"],
}


def make_package(
    out: Path,
    *,
    weights: Path | None = None,
    channels: int = 1,
    head: dict[str, Any] | None = None,
    version: str = "1.0.0",
    name: str = "Test model",
    pixel_size_um: float | None = None,
    variants: dict[int, Path] | None = None,
    outputs: list[str] | None = None,
    **zooscope: Any,
) -> Path:
    """Write a package named after `out`'s stem; `zooscope` overrides keys of `config.zooscope`.

    `variants` are the weights for other counts of planes than the one that `weights` take.
    """
    head = head or MASK_HEAD
    outputs = outputs or OUTPUTS.get(head["kind"], ["object"])
    cells = 136 // head.get("stride", 1)
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (136, 136, channels), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        if weights is None:
            weights = here / "model.keras"
            weights.write_bytes(keras_file())
        np.save(here / "test_input.npy", pixels[None].astype(np.float32))
        np.save(here / "test_output.npy", rng.random((1, cells, cells, len(outputs)), np.float32))
        (here / "README.md").write_text("# Test model\n\n# Validation\n\nNone.\n")
        shown = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        shown.save(here / "sample_1.png")
        for cover in ("cover.jpg", "cover_before.jpg"):
            shown.save(here / cover)
        files = {1: weights} | (variants or {})
        listed = [
            {"frames": frames, "weights": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
            for frames, file in files.items()
        ]
        sample = {"file": "sample_1.png", "title": "Noise", "origin": "made by a test", "licence": "CC0-1.0"}
        parts = PackageParts(
            id=out.stem,
            version=version,
            name=name,
            description="A model for tests.",
            licence="CC0-1.0",
            authors=[{"name": "Ada Tester"}],
            cite=[{"text": "A test", "doi": "10.5281/zenodo.0"}],
            tags=["test"],
            card=here / "README.md",
            covers=[here / "cover.jpg", here / "cover_before.jpg"],
            weights=weights,
            keras_version="3.15.1",
            tensorflow_version="2.21.0",
            channel_names=[f"channel{index}" for index in range(channels)],
            output_channels=outputs,
            preprocessing=[
                {
                    "id": "scale_range",
                    "kwargs": {"axes": ["channel", "y", "x"], "min_percentile": 1.0, "max_percentile": 99.8},
                }
            ],
            minimum_size=136,
            stride=8,
            halo=64,
            pixel_size_um=pixel_size_um,
            output_stride=head.get("stride", 1),
            test_input=here / "test_input.npy",
            test_output=here / "test_output.npy",
            sample=here / "sample_1.png",
            attachments=list((variants or {}).values()),
            zooscope={
                "head": head,
                "ert": {"cpu": {"load_s": 1.0, "seconds_per_megapixel": 1.0}},
                "stride": 8,
                "halo": 64,
                "input": {"grey_to_rgb": channels == 3},
                "finds": "test objects",
                "images": "noise",
                "samples": [sample | {"width": 136, "height": 136, "pixel_size_um": pixel_size_um}],
            }
            | ({"frames": list(files), "variants": listed} if variants else {})
            | zooscope,
        )
        return build_package(parts, out)
