"""Training: targets, scores, folding, and a run that is interrupted and goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.training.data import Example, instance_targets, patches, scale_range
from worker.training.scores import average_precision, dice

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def discs() -> np.ndarray:
    """Labels of two discs that touch, and a square apart."""
    y, x = np.mgrid[:60, :90]
    labels = np.zeros((60, 90), np.int32)
    labels[(y - 20) ** 2 + (x - 20) ** 2 < 144] = 1
    labels[((y - 20) ** 2 + (x - 42) ** 2 < 144) & (labels == 0)] = 2
    labels[40:55, 60:80] = 3
    return labels


def test_touching_objects_have_separate_hills() -> None:
    labels = discs()
    foreground, distance = np.moveaxis(instance_targets(labels), -1, 0)
    assert np.array_equal(foreground > 0, labels > 0)
    for number in (1, 2, 3):
        assert distance[labels == number].max() == pytest.approx(1)
    assert distance[20, 31] < 0.3
    assert (distance[labels == 0] == 0).all()


def test_an_object_cut_by_the_edge_goes_on_beyond_it() -> None:
    y, x = np.mgrid[:40, :60]
    whole = ((y - 19.5) ** 2 + (x - 29.5) ** 2 < 200).astype(np.int32)
    assert np.array_equal(instance_targets(whole)[:, 30:], instance_targets(whole[:, 30:]))
    assert np.array_equal(instance_targets(whole)[20:, 30:], instance_targets(whole[20:, 30:]))
    assert np.isfinite(instance_targets(np.ones((9, 12), np.int32))).all()


def test_average_precision_counts_hits_and_misses() -> None:
    truth = discs()
    assert average_precision(truth, truth) == 1
    assert average_precision(truth, np.where(truth == 3, 0, truth)) == pytest.approx(2 / 3)
    shifted = np.where(truth == 3, 0, truth)
    shifted[41:56, 72:92] = 3
    assert average_precision(truth, shifted) == pytest.approx(2 / 4)
    assert average_precision(truth, (truth > 0).astype(np.int32)) == 0
    assert average_precision(truth, np.zeros_like(truth)) == 0
    assert average_precision(np.zeros_like(truth), np.zeros_like(truth)) == 1


@given(st.permutations([1, 2, 3]))
def test_average_precision_does_not_depend_on_numbers(order: list[int]) -> None:
    truth = discs()
    assert average_precision(truth, np.array([0, *order])[truth]) == 1


def test_dice() -> None:
    mask = discs() > 0
    assert dice(mask, mask) == 1
    assert dice(mask, ~mask) == 0
    assert dice(~mask & mask, ~mask & mask) == 1


def test_percentiles_become_nought_and_one() -> None:
    image = np.arange(1001, dtype=np.float32).reshape(77, 13)
    scaled = scale_range(image, 10, 90)
    assert scaled.ravel()[100] == pytest.approx(0, abs=1e-6)
    assert scaled.ravel()[900] == pytest.approx(1, abs=1e-6)


def examples() -> list[Example]:
    labels, rng = discs(), np.random.default_rng(0)
    image = ((labels > 0) + rng.normal(0, 0.1, labels.shape)).astype(np.float32)[..., None]
    return [Example(str(index), "made", image, instance_targets(labels), labels) for index in range(3)]


def test_small_images_are_mirrored_to_the_size_of_a_patch() -> None:
    images, targets = next(patches(examples(), np.ones(3), 128, 2, seed=1))
    assert images.shape == (2, 128, 128, 1)
    assert targets.shape == (2, 128, 128, 2)
    assert targets[..., 0].mean() > 0.1


def test_folding_keeps_the_function() -> None:
    import keras

    from worker.training.network import build_unet, fold_batch_normalisation

    keras.utils.set_random_seed(3)
    trained, plain = (build_unet(1, 2, width=4, levels=3, normalise=normalise) for normalise in (True, False))
    rng = np.random.default_rng(4)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    fold_batch_normalisation(trained, plain)
    image = rng.normal(size=(1, 32, 40, 1)).astype(np.float32)
    assert np.allclose(trained(image, training=False), plain(image, training=False), atol=1e-5)


def test_the_receptive_field_ends_where_it_is_said_to() -> None:
    from worker.training.network import build_unet, receptive_radius

    net = build_unet(1, 1, width=2, levels=3, normalise=False)
    radius, side = receptive_radius(3), 96
    image = np.zeros((1, side, side, 1), np.float32)
    changed = image.copy()
    changed[0, side // 2, side // 2] = 100
    moved = np.abs(np.asarray(net(image)) - np.asarray(net(changed)))[0, ..., 0] > 0
    rows = np.flatnonzero(moved.any(axis=1))
    assert rows.size
    assert max(side // 2 - rows.min(), rows.max() - side // 2) <= radius


def test_an_interrupted_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    import json

    import keras
    import tensorflow as tf

    from worker.training.loop import Plan, train
    from worker.training.network import build_unet

    def run(steps: int) -> Path:
        keras.utils.set_random_seed(5)
        return train(
            build_unet(1, 2, width=4, levels=2),
            patches(examples(), np.ones(3), 64, 2, seed=1),
            lambda images, targets: (images, targets),
            lambda targets, maps: tf.reduce_mean(tf.square(targets - maps)),
            lambda model: 1.0 - float(np.mean(np.abs(np.asarray(model(examples()[0].image[None, :56, :88]))))),
            Plan(steps=steps, warm_up=2, evaluate_every=2),
            tmp_path,
        )

    run(4)
    best = run(8)
    state = json.loads((tmp_path / "state.json").read_text())
    assert [entry["step"] for entry in state["history"]] == [2, 4, 6, 8]
    assert state["history"][-1]["loss"] < state["history"][0]["loss"]
    assert state["best"] == max(entry["score"] for entry in state["history"])
    build_unet(1, 2, width=4, levels=2).load_weights(best)


def test_augmentation_moves_image_and_targets_together() -> None:
    from worker.training.augment import random_affine, random_intensity

    ramp = np.linspace(0, 1, 96 * 96, dtype=np.float32).reshape(1, 96, 96, 1)
    stack = np.concatenate([ramp, ramp], axis=-1)
    turned = np.asarray(random_affine(stack, 48, min_scale=0.7, max_scale=1.4, free_rotation=True))
    assert turned.shape == (1, 48, 48, 2)
    assert np.array_equal(turned[..., 0], turned[..., 1])
    changed = np.asarray(random_intensity(ramp, invert_chance=0.5))
    assert changed.shape == ramp.shape
    assert np.isfinite(changed).all()
