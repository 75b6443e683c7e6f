"""The recipe of the seed model `em-membranes`: the probability of cell membrane in ssTEM sections at 4.6 nm.

The truth marks membranes and the thin dark glia between cells alike: what is not membrane is the inside of a cell.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage
from skimage import io
from skimage.morphology import skeletonize

from worker.heads.membranes import decode_cells
from worker.training import augment
from worker.training.about import ABOUT
from worker.training.data import Example, patches, read_em, scale_range
from worker.training.description import CARDS, Description, Sample, shown_with_overlay
from worker.training.half_network import build_half_unet, half_receptive_radius
from worker.training.loop import Plan, train
from worker.training.scores import cells_rand_error, skeleton_f1
from worker.training.varied import averaged

PATCH, DRAWN, BATCH = 256, 352, 8
PERCENTILES = (1.0, 99.0)
PIXEL_SIZE_UM = 0.0046
THRESHOLD = 0.5
# Chosen for the adapted Rand error of training sections.
SEED_HEIGHT, SMOOTHING, MINIMUM_AREA = 0.15, 1.0, 60
# Membranes of about this half width, and the cells' pixels this close to their middle line, count most.
THIN_PX, NEAR_PX, THIN_WEIGHT = 5.0, 4.0, 3.0
# The share of patches whose grey levels are changed, blurred or made noisy.
CHANGED_CHANCE = 0.6
LEVELS = 4
STRIDE = 2**LEVELS
HALO = -(-half_receptive_radius(LEVELS) // STRIDE) * STRIDE
# A million weights share the 2.5 MB of a package with the samples; six bits of mantissa are enough.
MANTISSA_BITS = 6
PLAN = Plan(steps=1900, averaging=0.99)
SETTLING = Plan(steps=0, peak_rate=6e-4, warm_up=30, evaluate_every=100, averaging=0.98)
SETTLING_SHARE = 0.2
# Sigma in pixels over the logits of the network that is used, the best on the training sections.
LINE_SMOOTHING = 1.0
# Eight passes: a tenth less of adapted Rand error, on training sections more.
VARIATIONS = "8-flips"


def build(normalise: bool = True) -> keras.Model:
    smoothing = 0.0 if normalise else LINE_SMOOTHING
    return build_half_unet(1, 1, width=24, levels=LEVELS, normalise=normalise, smoothing=smoothing)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/em-vnc/train`, choosing the checkpoint on `val`; returns the best weights.

    Last, in `<folder>/settled`, it settles on pictures that are hardly changed, as those it will see are.
    """
    examples, held_out = read_em(data, "train", "membranes"), read_em(data, "val", "membranes")
    weighted = [with_thin_weight(example) for example in examples]
    drawn = patches(weighted, np.ones(len(weighted)), DRAWN, BATCH, seed=3)
    evaluate = partial(mean_score, examples=held_out)
    best = train(build(), drawn, partial(_augmented, amount=1.0), _loss, evaluate, plan, folder)
    if json.loads((folder / "state.json").read_text())["history"][-1]["step"] < plan.steps:
        return best
    settling = dataclasses.replace(SETTLING, steps=max(1, round(plan.steps * SETTLING_SHARE)), minutes=plan.minutes)
    model = build()
    model.load_weights(best)
    return train(model, drawn, partial(_augmented, amount=0.3), _loss, evaluate, settling, folder / "settled")


def with_thin_weight(example: Example) -> Example:
    """The example with a second target: 1 at the middle of thin membranes, falling off beside them and in thick ones.

    A thin membrane is a small part of the area and the whole of the parting between two cells.
    """
    line = skeletonize(example.truth)
    if not line.any():
        thin = np.zeros(line.shape, np.float32)
    else:
        half_width = ndimage.distance_transform_edt(np.pad(example.truth, 1, mode="edge"))[1:-1, 1:-1]
        away, (row, column) = ndimage.distance_transform_edt(~line, return_indices=True)
        thin = np.exp(-((half_width[row, column] / THIN_PX) ** 2) - (away / NEAR_PX) ** 2).astype(np.float32)
    return dataclasses.replace(example, targets=np.concatenate([example.targets, thin[..., None]], axis=-1))


def _augmented(images: tf.Tensor, targets: tf.Tensor, amount: float) -> tuple[tf.Tensor, tf.Tensor]:
    """`amount` is how much of the changes of scale, shape and grey levels: 1 is all; flips and rotations always are."""
    stack = tf.concat([images, targets], axis=-1)
    scale = 1.22**amount
    stack = augment.random_affine(stack, PATCH, min_scale=1 / scale, max_scale=scale, free_rotation=True)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 3])
    stack = augment.random_elastic(stack, amplitude=2.5 * amount, spacing=32)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 3])
    images = stack[..., :1]
    chance = tf.random.uniform([tf.shape(images)[0], 1, 1, 1])
    images = tf.where(chance < CHANGED_CHANCE * amount, augment.random_intensity(images), images)
    return images, tf.clip_by_value(stack[..., 1:], 0.0, 1.0)


def _loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Cross-entropy that counts more along thin membranes, plus soft Dice over the batch."""
    membrane, thin = targets[..., :1], targets[..., 1:]
    maps = tf.clip_by_value(maps, 1e-6, 1 - 1e-6)
    entropy = -membrane * tf.math.log(maps) - (1 - membrane) * tf.math.log(1 - maps)
    weight = 1.0 + THIN_WEIGHT * thin
    overlap = 2 * tf.reduce_sum(membrane * maps) + 1.0
    dice = overlap / (tf.reduce_sum(membrane) + tf.reduce_sum(maps) + 1.0)
    return tf.reduce_sum(weight * entropy) / tf.reduce_sum(weight) + 0.5 * (1 - dice)


def predict(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """Probability of membrane (y, x) of a normalised image (y, x, 1), padded to the network's stride."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="reflect")
    return np.asarray(model(padded[None], training=False))[0, :height, :width, 0].astype(np.float32)


def mean_score(model: keras.Model, examples: list[Example]) -> float:
    """Mean F1 of the skeletons at 2 px over the sections."""
    return float(np.mean([skeleton_f1(e.truth, predict(model, e.image) >= THRESHOLD)[0] for e in examples]))


def decode(membrane: np.ndarray) -> np.ndarray:
    """Cells (y, x) of a probability of membrane with the settings the package will carry."""
    return decode_cells(
        membrane, threshold=THRESHOLD, seed_height=SEED_HEIGHT, smoothing=SMOOTHING, minimum_area=MINIMUM_AREA
    )


def all_scores(model: keras.Model, examples: list[Example]) -> dict[str, float]:
    """Means over the sections with the package's default settings: f1, precision and recall of the skeletons, adapted
    Rand error of the cells.
    """
    rows = []
    for example in examples:
        membrane = averaged(partial(predict, model), example.image, VARIATIONS)
        rows.append(
            (*skeleton_f1(example.truth, membrane >= THRESHOLD), cells_rand_error(example.truth, decode(membrane)))
        )
    means = np.mean(rows, axis=0)
    return {
        name: round(float(mean), 3) for name, mean in zip(("f1", "precision", "recall", "rand"), means, strict=True)
    }


ORIGIN = (
    "Gerhard et al. 2013, Drosophila larva ventral nerve cord, section {name}, kept for validation; a quarter of it"
)
SAMPLE_SECTION, SAMPLE_Y, SAMPLE_X, SAMPLE_SIDE = "13", 256, 256, 512
DATASET = "Gerhard et al. 2013, sections 13 to 15"


def describe(model: keras.Model, data: Path) -> Description:
    """The words, the scores on `val` and the sample of the package."""
    training, held_out = read_em(data, "train", "membranes"), read_em(data, "val", "membranes")
    scores = all_scores(model, held_out)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    section = io.imread(data / "em-vnc" / "val" / "raw" / f"{SAMPLE_SECTION}.png")
    section = section[SAMPLE_Y : SAMPLE_Y + SAMPLE_SIDE, SAMPLE_X : SAMPLE_X + SAMPLE_SIDE]
    card = (CARDS / "em-membranes.md").read_text(encoding="utf-8")
    return Description(
        id="em-membranes",
        version="1.1.0",
        name="Membranes and cells in electron micrographs",
        description="Cell membranes, and the cells between them, in serial-section electron micrographs of nervous "
        "tissue.",
        licence="CC-BY-NC-SA-3.0",
        cite=[
            {"text": "Gerhard et al. 2013, Segmented anisotropic ssTEM dataset of neural tissue",
             "doi": "10.6084/m9.figshare.856713"},
            {"text": "Ronneberger et al. 2015, U-Net", "doi": "10.1007/978-3-319-24574-4_28"},
        ],
        tags=["membranes", "cells", "neurons", "instance-segmentation", "electron-microscopy", "drosophila", "2d",
              "tensorflow", "keras", "unet", "zooscope"],
        channel_names=["grey"],
        output_channels=["membrane"],
        percentiles=PERCENTILES,
        pixel_size_um=PIXEL_SIZE_UM,
        card=card.format(
            train_images=len(training), val_images=len(held_out), parameters=f"{model.count_params():,}",
            seed_height=SEED_HEIGHT, **scores,
        ),
        samples=[
            Sample("sample_1.png", "Nervous tissue, ssTEM", ORIGIN.format(name=SAMPLE_SECTION), "CC-BY-NC-SA-3.0",
                   section, PIXEL_SIZE_UM)
        ],
        bioimageio={"modality": "electron microscopy", "target_structure": ["membrane", "cell"],
                    "task": "instance segmentation", "architecture_type": "unet",
                    "out_of_scope_use": "Light microscopy; micrographs with inverted contrast."},
        zooscope={
            "head": {"kind": "boundary-cells", "channel": 0, "threshold": THRESHOLD, "seed_height": SEED_HEIGHT,
                     "smoothing": SMOOTHING, "minimum_area_px": MINIMUM_AREA, "object": "cell", "objects": "cells",
                     "variations": VARIATIONS},
            "preview": {"maximum_pixels": 16_777_216, "colour": "#CC79A7"},
            "finds": "cell membranes, and the cells between them",
            "images": "electron micrographs (ssTEM) of nervous tissue",
            "not_for": "light microscopy, inverted contrast, following a cell from plane to plane",
            "pixel_size": {"value_um": PIXEL_SIZE_UM, "nominal": False},
            "about": ABOUT["em-membranes"],
            "scores": [
                {"dataset": DATASET, "split": "val", "metric": metric, "value": scores[name],
                 "images": len(held_out), "date": today}
                for metric, name in (("F1 of skeletons at 2 px", "f1"), ("adapted Rand error of cells", "rand"))
            ],
        },
    )  # fmt: skip


def picture(model: keras.Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sample as shown, and with its cells drawn over it; both uint8 (y, x, 3)."""
    cells = decode(averaged(partial(predict, model), scale_range(pixels[..., None], *PERCENTILES), VARIATIONS))
    return shown_with_overlay(np.repeat(pixels[..., None], 3, axis=-1), cells)
