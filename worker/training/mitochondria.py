"""The recipe of the seed model `em-mitochondria`: a probability mask in ssTEM sections at 4.6 nm."""

from __future__ import annotations

import datetime
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from skimage import io
from skimage.measure import label

from worker.heads.labels import drop_small
from worker.training import augment
from worker.training.data import Example, patches, read_em, scale_range
from worker.training.description import CARDS, Description, Sample, shown_with_overlay
from worker.training.loop import Plan, train
from worker.training.network import build_unet
from worker.training.scores import dice

PATCH, DRAWN, BATCH = 256, 352, 8
PERCENTILES = (1.0, 99.0)
PIXEL_SIZE_UM = 0.0046
THRESHOLD, MINIMUM_AREA = 0.5, 150
PLAN = Plan(steps=2000)


def build(normalise: bool = True) -> keras.Model:
    return build_unet(1, 1, width=16, levels=4, normalise=normalise)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/em-vnc/train`, choosing the checkpoint on `val`; returns the best weights."""
    examples, held_out = read_em(data, "train", "mitochondria"), read_em(data, "val", "mitochondria")
    drawn = patches(examples, np.ones(len(examples)), DRAWN, BATCH, seed=2)
    return train(build(), drawn, _augmented, _loss, lambda model: mean_score(model, held_out), plan, folder)


def _augmented(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    stack = tf.concat([images, targets], axis=-1)
    stack = augment.random_affine(stack, PATCH, min_scale=0.75, max_scale=1.35, free_rotation=True)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 2])
    return augment.random_intensity(stack[..., :1]), tf.clip_by_value(stack[..., 1:], 0.0, 1.0)


def _loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Cross-entropy plus soft Dice over the batch, so that the rare class counts."""
    entropy = tf.reduce_mean(keras.losses.binary_crossentropy(targets, maps))
    overlap = 2 * tf.reduce_sum(targets * maps) + 1.0
    return entropy + 0.5 * (1 - overlap / (tf.reduce_sum(targets) + tf.reduce_sum(maps) + 1.0))


def mean_score(model: keras.Model, examples: list[Example]) -> float:
    """Mean Dice over the sections."""
    found = []
    for example in examples:
        probability = np.asarray(model(example.image[None], training=False))[0, ..., 0]
        found.append(dice(example.truth, probability >= THRESHOLD))
    return float(np.mean(found))


ORIGIN = (
    "Gerhard et al. 2013, Drosophila larva ventral nerve cord, section {name}, kept for validation; a quarter of it"
)
SAMPLE_SECTION, SAMPLE_Y, SAMPLE_X, SAMPLE_SIDE = "14", 500, 192, 512


def describe(model: keras.Model, data: Path) -> Description:
    """The words, the score on `val` and the sample of the package."""
    training, held_out = read_em(data, "train", "mitochondria"), read_em(data, "val", "mitochondria")
    score = round(mean_score(model, held_out), 3)
    section = io.imread(data / "em-vnc" / "val" / "raw" / f"{SAMPLE_SECTION}.png")
    section = section[SAMPLE_Y : SAMPLE_Y + SAMPLE_SIDE, SAMPLE_X : SAMPLE_X + SAMPLE_SIDE]
    card = (CARDS / "em-mitochondria.md").read_text(encoding="utf-8")
    return Description(
        id="em-mitochondria",
        version="1.0.0",
        name="EM mitochondria",
        description="Mitochondria in transmission electron micrographs of nervous tissue at about 4.6 nm a pixel.",
        licence="CC-BY-NC-SA-3.0",
        cite=[
            {"text": "Gerhard et al. 2013, Segmented anisotropic ssTEM dataset of neural tissue",
             "doi": "10.6084/m9.figshare.856713"},
            {"text": "Ronneberger et al. 2015, U-Net", "doi": "10.1007/978-3-319-24574-4_28"},
        ],
        tags=["mitochondria", "neurons", "semantic-segmentation", "electron-microscopy", "drosophila", "2d",
              "tensorflow", "keras", "unet", "zooscope"],
        channel_names=["grey"],
        output_channels=["mitochondria"],
        percentiles=PERCENTILES,
        pixel_size_um=PIXEL_SIZE_UM,
        card=card.format(
            train_images=len(training), val_images=len(held_out), parameters=f"{model.count_params():,}",
            score=f"{score:.3f}",
        ),
        samples=[
            Sample("sample_1.png", "Nervous tissue, ssTEM", ORIGIN.format(name=SAMPLE_SECTION), "CC-BY-NC-SA-3.0",
                   section, PIXEL_SIZE_UM)
        ],
        bioimageio={"modality": "electron microscopy", "target_structure": ["mitochondrion"],
                    "task": "semantic segmentation", "architecture_type": "unet",
                    "out_of_scope_use": "Light microscopy; micrographs with inverted contrast."},
        zooscope={
            "head": {"kind": "probability-mask", "channel": 0, "threshold": THRESHOLD,
                     "minimum_area_px": MINIMUM_AREA, "object": "mitochondrion", "objects": "mitochondria"},
            "preview": {"maximum_pixels": 16_777_216, "colour": "#E69F00"},
            "finds": "mitochondria",
            "images": "electron micrographs (ssTEM) of nervous tissue",
            "not_for": "light microscopy, inverted contrast, telling touching mitochondria apart",
            "pixel_size": {"value_um": PIXEL_SIZE_UM, "nominal": False},
            "task": "segment",
            "modality": ["electron microscopy"],
            "structure": ["mitochondrion"],
            "scores": [
                {"dataset": "Gerhard et al. 2013, sections 13 to 15", "split": "val", "metric": "Dice",
                 "value": score, "images": len(held_out),
                 "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
            ],
        },
    )  # fmt: skip


def picture(model: keras.Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sample as shown, and with its result drawn over it; both uint8 (y, x, 3)."""
    image = scale_range(pixels[..., None], *PERCENTILES)
    probability = np.asarray(model(image[None], training=False))[0, ..., 0]
    labels = drop_small(label(probability >= THRESHOLD), MINIMUM_AREA)
    return shown_with_overlay(np.repeat(pixels[..., None], 3, axis=-1), labels)
