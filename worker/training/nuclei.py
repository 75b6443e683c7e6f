"""The recipe of the seed model `nuclei`: foreground and normalised distance, three kinds of image.

Trained in two runs: a U-Net with batch normalisation, then the same folded (which trains almost twice as fast), given
a wider view by dilated convolutions at its deepest level, with more weight on gaps and on small nuclei.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections import Counter
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from skimage import io

from worker.heads.watershed import decode_instances
from worker.training import augment
from worker.training.about import ABOUT
from worker.training.data import Example, patches, read_nuclei, scale_range
from worker.training.description import CARDS, Description, Sample, shown_with_overlay
from worker.training.loop import Plan, train
from worker.training.network import build_unet, copy_convolutions, fold_batch_normalisation, receptive_radius
from worker.training.nuclei_targets import with_weights
from worker.training.scores import average_precision
from worker.training.varied import averaged

PATCH, DRAWN, BATCH = 256, 352, 8
PERCENTILES = (1.0, 99.8)
SEED_HEIGHT, SMOOTHING, MINIMUM_AREA, MINIMUM_SCORE = 0.22, 1.0, 25, 0.75
SHARE_OF_KIND = {"fluorescence": 0.66, "stained-tissue": 0.24, "brightfield-grey": 0.10}
CONTEXT = (2, 4)
STRIDE, HALO = 8, -(-receptive_radius(4, CONTEXT) // 8) * 8
# Of the weights' 23 bits: no score changes, and the package is a fifth smaller.
MANTISSA_BITS = 16
# Four passes: on validation images 0.008 of AP in fluorescence and 0.03 in stained tissue.
VARIATIONS = "cdeep3m2-4"
BENT_SHARE = 0.25
# The published weights had as many steps, in three runs with falling rates, each from the best of the one before.
PLAN = Plan(steps=5600, peak_rate=1e-3, warm_up=150, evaluate_every=700, averaging=0.998)
FIRST = Plan(steps=4000)


def build(normalise: bool = False) -> keras.Model:
    """The network of the second run, which has no batch normalisation left to fold."""
    return build_unet(3, 2, context=CONTEXT, normalise=False)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/nuclei/train`, choosing the checkpoint on `val`; returns the best weights."""
    examples = [with_weights(example) for example in read_nuclei(data, "train")]
    held_out = read_nuclei(data, "val")

    def run(model: keras.Model, plan: Plan, folder: Path) -> Path:
        # Another seed after each interruption, or the same patches would come again.
        drawn = patches(examples, _weights(examples), DRAWN, BATCH, seed=1 + _steps_done(folder))
        return train(model, drawn, _augmented, _loss, lambda model: mean_score(model, held_out), plan, folder)

    first, plain, model = build_unet(3, 2), build_unet(3, 2, normalise=False), build()
    begun = folder / "first" / "best.weights.h5"
    if _steps_done(begun.parent) < FIRST.steps:
        run(first, dataclasses.replace(FIRST, minutes=plan.minutes), begun.parent)
        if _steps_done(begun.parent) < FIRST.steps:
            return begun
    first.load_weights(begun)
    fold_batch_normalisation(first, plain)
    copy_convolutions(plain, model)
    return run(model, plan, folder)


def _steps_done(folder: Path) -> int:
    state = folder / "state.json"
    return int(json.loads(state.read_text())["history"][-1]["step"]) if state.exists() else 0


def _weights(examples: list[Example]) -> np.ndarray:
    """Kinds by their share; within a kind every image alike, small or large, as the score counts them."""
    count = Counter(example.kind for example in examples)
    return np.array([SHARE_OF_KIND[example.kind] / count[example.kind] for example in examples])


def _augmented(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    stack = tf.concat([images, targets], axis=-1)
    stack = augment.random_affine(stack, PATCH, min_scale=0.65, max_scale=1.65, free_rotation=True)
    stack = tf.cond(
        tf.random.uniform([]) < BENT_SHARE,
        lambda: augment.random_elastic(stack, amplitude=3.0, spacing=32),
        lambda: stack,
    )
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 6])
    images = augment.random_intensity(stack[..., :3], invert_chance=0.05, grey_chance=0.2)
    return images, stack[..., 3:]


def _loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the foreground and squared error of the distance, which counts more on objects."""
    foreground, distance = (tf.clip_by_value(targets[..., map_ : map_ + 1], 0.0, 1.0) for map_ in (0, 1))
    weight = tf.maximum(targets[..., 2:], 0.0)
    entropy = keras.losses.binary_crossentropy(foreground, maps[..., :1])[..., None]
    squares = (1.0 + 3.0 * foreground) * tf.square(distance - maps[..., 1:])
    return tf.reduce_mean(weight * (entropy + 3.0 * squares))


def predict(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """Maps (y, x, 2) of a normalised image (y, x, 3), padded to the network's stride and cropped back."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="reflect")
    return np.asarray(model(padded[None], training=False))[0, :height, :width].astype(np.float32)


def decode(maps: np.ndarray) -> np.ndarray:
    """Labels (y, x) of maps (y, x, 2) with the settings the package will carry."""
    return decode_instances(
        maps[..., 0], maps[..., 1], seed_height=SEED_HEIGHT, smoothing=SMOOTHING, minimum_area=MINIMUM_AREA,
        minimum_score=MINIMUM_SCORE,
    )  # fmt: skip


def scores_by_kind(model: keras.Model, examples: list[Example], variations: str = "none") -> dict[str, list[float]]:
    """AP at IoU 0.5 of each image, by kind."""
    found: dict[str, list[float]] = {}
    for example in examples:
        labels = decode(averaged(partial(predict, model), example.image, variations))
        found.setdefault(example.kind, []).append(average_precision(example.truth, labels))
    return found


def mean_score(model: keras.Model, examples: list[Example]) -> float:
    return float(np.mean([score for kind in scores_by_kind(model, examples).values() for score in kind]))


KINDS = {
    "fluorescence": "fluorescence",
    "stained-tissue": "stained tissue (H&E)",
    "brightfield-grey": "bright-field",
}
ORIGIN = "BBBC038v1, 2018 Data Science Bowl stage 1, image {name}, kept for validation"
# Of larger images only the upper left corner, to keep the package small.
SAMPLES = (("4327d2759187", "Fluorescence"), ("b214800de5ed", "Stained tissue"), ("3594684b9ea0", "Bright-field"))
SAMPLE_SIDE = 480


def describe(model: keras.Model, data: Path) -> Description:
    """The words, scores on `val` and samples of the package."""
    training, held_out = read_nuclei(data, "train"), read_nuclei(data, "val")
    by_kind = scores_by_kind(model, held_out, VARIATIONS)
    by_kind["all"] = [score for scores in by_kind.values() for score in scores]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    scores = [
        {
            "dataset": f"BBBC038v1 validation, {KINDS.get(kind, 'all kinds')}",
            "split": "val",
            "metric": "AP at IoU 0.5",
            "value": round(float(np.mean(values)), 3),
            "images": len(values),
            "date": today,
        }
        for kind, values in by_kind.items()
    ]
    card = (CARDS / "nuclei.md").read_text(encoding="utf-8")
    return Description(
        id="nuclei",
        version="1.3.0",
        name="Nuclei",
        description="Cell nuclei, one by one, in fluorescence, bright-field and stained tissue images.",
        licence="CC-BY-4.0",
        cite=[
            {"text": "Caicedo et al. 2019, Nucleus segmentation across imaging experiments",
             "doi": "10.1038/s41592-019-0612-7"},
            {"text": "Ronneberger et al. 2015, U-Net", "doi": "10.1007/978-3-319-24574-4_28"},
        ],
        tags=["nuclei", "cells", "instance-segmentation", "fluorescence-light-microscopy", "bright-field-microscopy",
              "histology", "2d", "tensorflow", "keras", "unet", "zooscope"],
        channel_names=["red", "green", "blue"],
        output_channels=["foreground", "distance"],
        percentiles=PERCENTILES,
        pixel_size_um=None,
        card=card.format(
            train_images=len(training),
            val_images=len(held_out),
            tissue_images=sum(example.kind == "stained-tissue" for example in training),
            parameters=f"{model.count_params():,}",
            minimum_score=MINIMUM_SCORE,
            minimum_area=MINIMUM_AREA,
            seed_height=SEED_HEIGHT,
            scores="\n".join(f"- {row['dataset']}: {row['value']:.3f} ({row['images']} images)" for row in scores),
        ),
        samples=[
            Sample(f"sample_{number}.png", title, ORIGIN.format(name=name), "CC0-1.0",
                   io.imread(data / "nuclei" / "val" / "images" / f"{name}.png")[:SAMPLE_SIDE, :SAMPLE_SIDE])
            for number, (name, title) in enumerate(SAMPLES, start=1)
        ],
        bioimageio={"modality": "light microscopy", "target_structure": ["nucleus"], "task": "instance segmentation",
                    "architecture_type": "unet", "out_of_scope_use": "Diagnosis; three-dimensional images."},
        zooscope={
            "head": {"kind": "watershed-instances", "foreground": 0, "distance": 1, "threshold": 0.5,
                     "seed_height": SEED_HEIGHT, "smoothing": SMOOTHING, "minimum_area_px": MINIMUM_AREA,
                     "minimum_score": MINIMUM_SCORE, "variations": VARIATIONS,
                     "object": "nucleus", "objects": "nuclei"},
            "input": {"grey_to_rgb": True},
            "preview": {"maximum_pixels": 16_777_216, "colour": "#56B4E9"},
            "finds": "cell nuclei, one by one",
            "images": "fluorescence, bright-field, stained tissue",
            "not_for": "diagnosis, whole cells, three-dimensional stacks, electron micrographs",
            "pixel_size": {"value_um": 0.5, "nominal": True},
            "about": ABOUT["nuclei"],
            "scores": scores,
        },
    )  # fmt: skip


def picture(model: keras.Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sample as shown, and with its result drawn over it; both uint8 (y, x, 3)."""
    rgb = np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels
    maps = averaged(partial(predict, model), scale_range(rgb, *PERCENTILES), VARIATIONS)
    return shown_with_overlay(rgb, decode(maps))
