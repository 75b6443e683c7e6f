"""The recipe of the seed model `em-mitochondria`: a probability mask in ssTEM sections at 4.6 nm."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from skimage import io
from skimage.measure import label

from worker.heads.labels import drop_small
from worker.training import augment
from worker.training.about import ABOUT
from worker.training.data import Example, patches, read_em, scale_range
from worker.training.description import CARDS, Description, Sample, shown_with_overlay
from worker.training.loop import Plan, train
from worker.training.network import build_unet
from worker.training.scores import dice

PATCH, DRAWN, BATCH = 256, 352, 8
PERCENTILES = (1.0, 99.0)
PIXEL_SIZE_UM = 0.0046
THRESHOLD, MINIMUM_AREA = 0.5, 150
LICENCE = "CC-BY-NC-SA-3.0"
# Three networks share the 2.5 MB of a package; four bits of mantissa cost less than 0.001 of Dice.
MANTISSA_BITS = 4
PLAN = Plan(steps=2000)


def build(normalise: bool = True, frames: int = 1) -> keras.Model:
    """The network for `frames` planes."""
    return build_unet(frames, 1, width=16, levels=4, normalise=normalise)


def fit(data: Path, folder: Path, plan: Plan = PLAN) -> Path:
    """Train on `<data>/em-vnc/train`, choosing the checkpoint on `val`; returns the best weights."""
    examples, held_out = read_em(data, "train", "mitochondria"), read_em(data, "val", "mitochondria")
    drawn = patches(examples, np.ones(len(examples)), DRAWN, BATCH, seed=2)
    return train(build(), drawn, _augmented, loss, lambda model: mean_score(model, held_out), plan, folder)


def _augmented(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    stack = tf.concat([images, targets], axis=-1)
    stack = augment.random_affine(stack, PATCH, min_scale=0.75, max_scale=1.35, free_rotation=True)
    stack = tf.ensure_shape(stack, [None, PATCH, PATCH, 2])
    return augment.random_intensity(stack[..., :1]), tf.clip_by_value(stack[..., 1:], 0.0, 1.0)


def loss(targets: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Cross-entropy plus soft Dice over the batch, so that the rare class counts."""
    entropy = tf.reduce_mean(keras.losses.binary_crossentropy(targets, maps))
    overlap = 2 * tf.reduce_sum(targets * maps) + 1.0
    return entropy + 0.5 * (1 - overlap / (tf.reduce_sum(targets) + tf.reduce_sum(maps) + 1.0))


def stacked(examples: list[Example], frames: int) -> list[Example]:
    """Each section (y, x, 1) with its neighbours as channels (y, x, frames); the sections are one after the other."""
    last, reach = len(examples) - 1, frames // 2
    stacks = []
    for index, example in enumerate(examples):
        chosen = [min(max(index + offset, 0), last) for offset in range(-reach, reach + 1)]
        image = np.concatenate([examples[plane].image for plane in chosen], axis=-1)
        stacks.append(dataclasses.replace(example, image=image))
    return stacks


def mean_score(model: keras.Model, examples: list[Example]) -> float:
    """Mean Dice over the sections."""
    return _mean_dice(examples, _maps(model, examples))


def _maps(model: keras.Model, examples: list[Example]) -> list[np.ndarray]:
    return [np.asarray(model(example.image[None], training=False))[0, ..., 0] for example in examples]


def _mean_dice(examples: list[Example], maps: list[np.ndarray]) -> float:
    return float(np.mean([dice(e.truth, found >= THRESHOLD) for e, found in zip(examples, maps, strict=True)]))


def scores_by_frames(models: Mapping[int, keras.Model], examples: list[Example]) -> dict[str, float]:
    """Mean Dice over consecutive sections of each network, and of the mean of all maps, named by their frames."""
    maps = {frames: _maps(models[frames], stacked(examples, frames)) for frames in sorted(models)}
    scores = {str(frames): _mean_dice(examples, found) for frames, found in maps.items()}
    if len(maps) > 1:
        means = [np.mean(found, axis=0) for found in zip(*maps.values(), strict=True)]
        scores["+".join(scores)] = _mean_dice(examples, means)
    return {name: round(score, 3) for name, score in scores.items()}


TISSUE = "Gerhard et al. 2013, Drosophila larva ventral nerve cord"
ORIGIN = TISSUE + ", section {name}, kept for validation; a part of it"
STACK_ORIGIN = TISSUE + ", sections 7 to 11 of the volume without labels; a part of them"
SAMPLE_SECTION, SAMPLE_Y, SAMPLE_X, SAMPLE_SIDE = "15", 544, 448, 384
STACK_SECTIONS, STACK_Y, STACK_X, STACK_SIDE = range(7, 12), 432, 720, 256
DATASET = "Gerhard et al. 2013, sections 13 to 15, {frames}"


def _samples(data: Path) -> list[Sample]:
    folder = data / "em-vnc"
    section = io.imread(folder / "val" / "raw" / f"{SAMPLE_SECTION}.png")
    section = section[SAMPLE_Y : SAMPLE_Y + SAMPLE_SIDE, SAMPLE_X : SAMPLE_X + SAMPLE_SIDE]
    stack = np.stack([io.imread(folder / "volume" / f"{number:02d}.png") for number in STACK_SECTIONS])
    stack = stack[:, STACK_Y : STACK_Y + STACK_SIDE, STACK_X : STACK_X + STACK_SIDE]
    words = "Nervous tissue, ssTEM"
    return [
        Sample("sample_1.png", words, ORIGIN.format(name=SAMPLE_SECTION), LICENCE, section, PIXEL_SIZE_UM),
        Sample("sample_2.ome.tif", f"{words}, five sections", STACK_ORIGIN, LICENCE, stack, PIXEL_SIZE_UM, stack=True),
    ]


def describe(model: keras.Model, data: Path, planes: Mapping[int, keras.Model] | None = None) -> Description:
    """The words, the scores on `val` and the samples of the package; `planes` are the networks for more frames."""
    training, held_out = read_em(data, "train", "mitochondria"), read_em(data, "val", "mitochondria")
    models = {1: model} | dict(planes or {})
    scores = scores_by_frames(models, held_out)
    card = (CARDS / "em-mitochondria.md").read_text(encoding="utf-8")
    return Description(
        id="em-mitochondria",
        version="1.1.1",
        name="EM mitochondria",
        description="Mitochondria in transmission electron micrographs of nervous tissue at about 4.6 nm a pixel.",
        licence=LICENCE,
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
            train_images=len(training), val_images=len(held_out),
            parameters=", ".join(f"{each.count_params():,} ({_told(str(frames))})" for frames, each in models.items()),
            scores="\n".join(f"- {_told(frames)}: {score:.3f}" for frames, score in scores.items()),
        ),
        samples=_samples(data),
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
            "about": ABOUT["em-mitochondria"],
            "scores": [
                {"dataset": DATASET.format(frames=_told(frames)), "split": "val", "metric": "Dice",
                 "value": score, "images": len(held_out),
                 "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
                for frames, score in scores.items()
            ],
        },
    )  # fmt: skip


def _told(frames: str) -> str:
    return "1 frame" if frames == "1" else f"{frames} frames"


def picture(model: keras.Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sample as shown, and with its result drawn over it; both uint8 (y, x, 3)."""
    image = scale_range(pixels[..., None], *PERCENTILES)
    probability = np.asarray(model(image[None], training=False))[0, ..., 0]
    labels = drop_small(label(probability >= THRESHOLD), MINIMUM_AREA)
    return shown_with_overlay(np.repeat(pixels[..., None], 3, axis=-1), labels)
