"""From trained weights to a package: fold, test tensors, samples, covers, measured runtime, card, zip.

`python -m worker.training.export nuclei --data ../shared/data --weights build/nuclei/best.weights.h5 --out zoo/seed`
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tifffile
from PIL import Image

from worker.training.__main__ import RECIPES
from worker.training.description import Description, Sample
from worker.training.export_planes import write_variants
from worker.training.network import fold_batch_normalisation, receptive_radius
from worker.training.pack import FULL_MANTISSA, rounded, save_packed
from zoo.package_build import PackageParts, build_package

COVER_SIDE = 480
# Of samples that are JPEG files, as their originals are.
SAMPLE_QUALITY = 95
# Those of the U-Net; recipes of other networks name their own.
STRIDE, LEVELS = 8, 4
HALO = -(-receptive_radius(LEVELS) // STRIDE) * STRIDE
OUTPUT_RANGE = (0.0, 1.0)


def plain_model(recipe: Any, weights: Path, **options: Any) -> keras.Model:
    """The recipe's network in float32 with batch normalisation folded into the convolutions."""
    trained, plain = recipe.build(**options), recipe.build(normalise=False, **options)
    trained.load_weights(weights)
    fold_batch_normalisation(trained, plain)
    return plain


def measured_runtime(model_file: Path, channels: int) -> dict[str, Any]:
    """Seconds to load and trace the model, and seconds per megapixel of its forward pass, here and now."""
    started = time.perf_counter()
    model = keras.saving.load_model(model_file, compile=False)
    forward = tf.function(lambda tensor: model(tensor, training=False))
    forward(tf.zeros((1, 256, 256, channels)))
    load_s = time.perf_counter() - started
    tensor, durations = tf.random.uniform((1, 1024, 1024, channels)), []
    for _ in range(5):
        started = time.perf_counter()
        forward(tensor)
        durations.append(time.perf_counter() - started)
    megapixels = 1024 * 1024 / 1e6
    return {
        "load_s": round(load_s, 2),
        "seconds_per_megapixel": round(float(np.median(durations)) / megapixels, 3),
        "measured_on": f"{os.cpu_count()} cores {platform.machine()}",
        "n": len(durations),
    }


def export(recipe: Any, data: Path, weights: Path, out: Path, planes: Mapping[int, Path] | None = None) -> Path:
    """Write `<out>/<id>.zip`; `planes` are the weights of networks for more planes, by their count."""
    bits, more = getattr(recipe, "MANTISSA_BITS", FULL_MANTISSA), planes or {}
    stride, halo = getattr(recipe, "STRIDE", STRIDE), getattr(recipe, "HALO", HALO)
    side = 2 * halo + stride
    model = rounded(plain_model(recipe, weights), bits)
    variants = {frames: rounded(plain_model(recipe, file, frames=frames), bits) for frames, file in more.items()}
    description: Description = recipe.describe(model, data, variants) if variants else recipe.describe(model, data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model_file = folder / "model.keras"
        save_packed(model, model_file)
        test = _test_tensors(model, description, side, folder)
        sample_files = [_save_sample(folder / sample.file, sample) for sample in description.samples]
        # The standard wants a sample of the input's own dimensions: grey for one channel, colour for three.
        fitting = 2 if len(description.channel_names) == 1 else 3
        tensor_file = next(
            path
            for path, sample in zip(sample_files, description.samples, strict=True)
            if sample.pixels.ndim == fitting and not sample.stack
        )
        several: dict[str, Any] = {"frames": 1}
        variant_files: list[Path] = []
        if variants:
            stack = next(sample.pixels for sample in description.samples if sample.stack)
            several, variant_files = write_variants(
                variants, stack, description.percentiles, (model_file, *test), folder
            )
        covers = _covers(recipe, model, description.samples[0], folder)
        card = folder / "README.md"
        card.write_text(description.card, encoding="utf-8")
        zooscope = description.zooscope | {
            "ert": {"cpu": measured_runtime(model_file, len(description.channel_names))},
            **several,
            "stride": stride,
            "halo": halo,
            "samples": [sample.to_json() for sample in description.samples],
        }
        parts = PackageParts(
            id=description.id,
            version=description.version,
            name=description.name,
            description=description.description,
            licence=description.licence,
            authors=[{"name": "The Zooscope founders"}],
            cite=description.cite,
            tags=description.tags,
            card=card,
            covers=covers,
            weights=model_file,
            keras_version=keras.__version__,
            tensorflow_version=tf.__version__,
            channel_names=description.channel_names,
            output_channels=description.output_channels,
            preprocessing=[_scale_range(description.percentiles)],
            minimum_size=side,
            stride=stride,
            halo=halo,
            output_stride=description.zooscope["head"].get("stride", 1),
            output_range=getattr(recipe, "OUTPUT_RANGE", OUTPUT_RANGE),
            pixel_size_um=description.pixel_size_um,
            test_input=test[0],
            test_output=test[1],
            sample=tensor_file,
            attachments=[*(path for path in sample_files if path != tensor_file), *variant_files],
            bioimageio=description.bioimageio | {"model_parameter_count": model.count_params()},
            zooscope=zooscope,
        )
        return build_package(parts, out / f"{description.id}.zip")


def _scale_range(percentiles: tuple[float, float]) -> dict[str, Any]:
    low, high = percentiles
    axes = ["channel", "y", "x"]
    return {"id": "scale_range", "kwargs": {"axes": axes, "min_percentile": low, "max_percentile": high}}


def normalised(pixels: np.ndarray, channels: int, percentiles: tuple[float, float]) -> np.ndarray:
    """Raw pixels to the network's input (y, x, channel), as the package's preprocessing does it."""
    from worker.training.data import scale_range

    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return scale_range(np.repeat(pixels, channels, axis=-1) if pixels.shape[-1] < channels else pixels, *percentiles)


def _test_tensors(model: keras.Model, description: Description, side: int, folder: Path) -> tuple[Path, Path]:
    channels = len(description.channel_names)
    pixels = description.samples[0].pixels[:side, :side]
    raw = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], channels, axis=-1)
    maps = np.asarray(model(normalised(raw, channels, description.percentiles)[None], training=False))
    files = folder / "test_input.npy", folder / "test_output.npy"
    np.save(files[0], raw[None].astype(np.float32))
    np.save(files[1], maps.astype(np.float32))
    return files


def _save_sample(path: Path, sample: Sample) -> Path:
    if sample.stack:
        size = {f"PhysicalSize{axis}": sample.pixel_size_um for axis in "XY"} if sample.pixel_size_um else {}
        tifffile.imwrite(
            path, sample.pixels, ome=True, metadata={"axes": "ZYX", **size}, compression="zlib", predictor=True
        )
    else:
        Image.fromarray(sample.pixels).save(path, quality=SAMPLE_QUALITY)
    return path


def _covers(recipe: Any, model: keras.Model, sample: Sample, folder: Path) -> list[Path]:
    """The first sample with its result drawn over it, and as it is; both square."""
    before, after = recipe.picture(model, sample.pixels)
    side = min(before.shape[:2])
    pictures = []
    for name, pixels in (("cover.jpg", after), ("cover_before.jpg", before)):
        square = Image.fromarray(pixels[:side, :side]).resize((COVER_SIDE, COVER_SIDE), Image.Resampling.LANCZOS)
        square.save(folder / name, quality=86)
        pictures.append(folder / name)
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.training.export", description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--planes", nargs="*", default=[], metavar="FRAMES=WEIGHTS", help="networks for more planes")
    arguments = parser.parse_args()
    planes = {int(frames): Path(file) for frames, _, file in (each.partition("=") for each in arguments.planes)}
    recipe = importlib.import_module(RECIPES[arguments.recipe])
    print(export(recipe, arguments.data, arguments.weights, arguments.out, planes))


if __name__ == "__main__":
    main()
