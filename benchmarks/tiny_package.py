"""A package with a network so small that all the rest of a preview shows: maps that follow the image's brightness."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.package_build import PackageParts, build_package

KERNEL, STRIDE, HALO, SIDE = 7, 8, 16, 136
HEAD = {
    "kind": "watershed-instances",
    "foreground": 0,
    "distance": 1,
    "threshold": 0.5,
    "seed_height": 0.1,
    "smoothing": 1.0,
    "minimum_area_px": 20,
}


def tiny_package(out: Path) -> Path:
    """Write a package for grey images to `out`, its id being the stem: bright things are objects."""
    import keras

    image = keras.Input((None, None, 1))
    layer = keras.layers.Conv2D(2, KERNEL, padding="same", activation="sigmoid")
    network = keras.Model(image, layer(image))
    bump = np.exp(-((np.arange(KERNEL) - KERNEL // 2) ** 2) / 4.0)
    kernel = np.outer(bump, bump) / np.outer(bump, bump).sum()
    layer.set_weights([np.stack([kernel * 16, kernel * 6], axis=-1)[:, :, None], np.array([-8.0, -4.0])])
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    given = (pixels[None, ..., None] / 255).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network.save(folder / "model.keras")
        np.save(folder / "given.npy", given)
        np.save(folder / "made.npy", np.asarray(network(given)))
        (folder / "README.md").write_text("# Tiny\n\n# Validation\n\nNone: a stand-in for measurements.\n")
        for file in ("sample.png", "cover.jpg"):
            Image.fromarray(pixels).save(folder / file)
        parts = PackageParts(
            id=out.stem,
            version="1.0.0",
            name="Tiny network",
            description="Bright things are objects; made for measuring everything but the network.",
            licence="CC0-1.0",
            authors=[{"name": "Zooscope"}],
            cite=[{"text": "A benchmark", "doi": "10.5281/zenodo.0"}],
            tags=["benchmark"],
            card=folder / "README.md",
            covers=[folder / "cover.jpg"],
            weights=folder / "model.keras",
            keras_version=keras.__version__,
            tensorflow_version="2.21.0",
            channel_names=["grey"],
            output_channels=["foreground", "distance"],
            preprocessing=[{"id": "scale_range", "kwargs": {"min_percentile": 1.0, "max_percentile": 99.8}}],
            minimum_size=SIDE,
            stride=STRIDE,
            halo=HALO,
            pixel_size_um=None,
            test_input=folder / "given.npy",
            test_output=folder / "made.npy",
            sample=folder / "sample.png",
            zooscope={
                "head": HEAD,
                "ert": {"cpu": {"load_s": 1.0, "seconds_per_megapixel": 0.1}},
                "stride": STRIDE,
                "halo": HALO,
                "input": {"grey_to_rgb": False},
                "finds": "bright things",
                "images": "any",
                "samples": [
                    {"file": "sample.png", "title": "Noise", "origin": "random", "licence": "CC0-1.0", "width": SIDE,
                     "height": SIDE, "pixel_size_um": None}
                ],
            },
        )  # fmt: skip
        return build_package(parts, out)
