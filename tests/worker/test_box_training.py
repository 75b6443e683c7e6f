"""Training of the grid detector: boxes follow their image, targets decode to the boxes they were made of, scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.heads.boxes import Boxes
from worker.heads.grid import decode_grid
from worker.training.box_scores import average_precision, scores_of_classes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

HEAD = {"stride": 4, "classes": [{}, {}], "scores": [0, 1], "offset": [2, 3], "size": [4, 5], "threshold": 0.99}


def boxes_of(xyxy: list[list[float]], scores: list[float] | None = None) -> Boxes:
    corners = np.array(xyxy, np.float32).reshape(-1, 4)
    score = np.ones(len(corners), np.float32) if scores is None else np.array(scores, np.float32)
    return Boxes(corners, score, np.zeros(len(corners), np.int32))


def test_average_precision_is_the_area_under_the_envelope() -> None:
    truth = [np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float), np.array([[0, 0, 10, 10]], float)]
    found = [
        boxes_of([[0, 0, 10, 10], [0, 1, 10, 10], [20, 0, 30, 9]], [0.9, 0.8, 0.5]),
        boxes_of([[50, 50, 60, 60]], [0.7]),
    ]
    # Hits in the order of the scores: yes, no (taken), no, yes; recall 1/3 at precision 1, 2/3 at 1/2.
    assert average_precision(truth, found) == pytest.approx(1 / 3 + 1 / 6)
    assert average_precision(truth, [boxes.ordered() for boxes in truth_as_boxes(truth)]) == 1
    assert average_precision(truth, [Boxes.empty(), Boxes.empty()]) == 0
    assert scores_of_classes(truth_as_boxes(truth), truth_as_boxes(truth), 2) == [1, 0]


def truth_as_boxes(truth: list[np.ndarray]) -> list[Boxes]:
    return [boxes_of(boxes.tolist()) for boxes in truth]


@given(st.integers(0, 10**6))
def test_half_an_overlap_is_a_hit(seed: int) -> None:
    side = int(np.random.default_rng(seed).integers(2, 100)) * 2
    truth = [np.array([[0, 0, side, side]], float)]
    assert average_precision(truth, [boxes_of([[0, 0, side, side / 2]])]) == 1
    assert average_precision(truth, [boxes_of([[0, 0, side, side / 2 - 1]])]) == 0


def discs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture (1, 120, 160, 1) of bright discs with the rows of their boxes."""
    y, x = np.mgrid[:120, :160]
    image, rows = np.zeros((120, 160), np.float32), np.full((1, 6, 5), -1, np.float32)
    for index, (cx, cy) in enumerate([(30, 30), (80, 30), (130, 30), (30, 90), (80, 90), (130, 90)]):
        radius = float(rng.uniform(8, 16))
        image[(x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2 < radius**2] = index + 1
        rows[0, index] = index % 2, cx - radius, cy - radius, cx + radius, cy + radius
    return image[None, ..., None], rows


def test_boxes_follow_their_image() -> None:
    import tensorflow as tf

    from worker.training.grid_targets import random_view

    tf.random.set_seed(4)
    seen = 0
    for attempt in range(12):
        image, rows = discs(np.random.default_rng(attempt))
        # One disc at a time, so that interpolation makes no other disc's number of its edge.
        for index in range(6):
            alone = (image == index + 1).astype(np.float32)
            view, moved, shown = random_view(
                alone, rows[:, index : index + 1], 96, min_scale=0.8, max_scale=1.3, tilt=0.3
            )
            left, top, right, bottom = moved[0, 0, 1:].numpy()
            if min(left, top) < 2 or max(right, bottom) > 94:
                continue
            y, x = np.nonzero((view[0, ..., 0].numpy() > 0.5) & (shown[0, ..., 0].numpy() > 0.99))
            inside = (x > left - 2) & (x < right + 2) & (y > top - 2) & (y < bottom + 2)
            if not inside.any():
                continue
            seen += 1
            found = (x[inside].min(), y[inside].min(), x[inside].max() + 1, y[inside].max() + 1)
            assert np.abs(np.array(found) - (left, top, right, bottom)).max() <= 2
    assert seen > 15


@given(seed=st.integers(0, 10**6))
def test_targets_decode_to_the_boxes_they_were_made_of(seed: int) -> None:
    from worker.training.grid_targets import grid_loss, grid_targets

    _, rows = discs(np.random.default_rng(seed))
    rows = rows[:, :, :] * np.array([1, 0.6, 0.8, 0.6, 0.8], np.float32)
    targets = grid_targets(rows, np.ones((1, 96, 96, 1), np.float32), 2, 4).numpy()
    assert targets.shape == (1, 24, 24, 8)
    left, top, right, bottom = np.moveaxis(targets[..., 2:6], -1, 0)
    y, x = np.mgrid[:24, :24]
    sides = [np.log(np.maximum(side, 1e-3) / 4) for side in (right - left, bottom - top)]
    offsets = [2 * ((left + right) / 8 - x - 0.5), 2 * ((top + bottom) / 8 - y - 0.5)]
    maps = np.stack([targets[..., 0], targets[..., 1], *offsets, *sides], axis=-1).astype(np.float32)
    found = decode_grid(maps[0], HEAD)
    order = np.lexsort((found.xyxy[:, 0], found.kind))
    true = rows[0][np.lexsort((rows[0][:, 1], rows[0][:, 0]))]
    assert np.allclose(found.xyxy[order], true[:, 1:], atol=1e-3)
    assert found.kind[order].tolist() == true[:, 0].tolist()
    wrong = maps.copy()
    wrong[..., 2:4] += 1
    assert float(grid_loss(targets, maps, 2, 4)) < float(grid_loss(targets, wrong, 2, 4))
    assert float(grid_loss(targets, maps, 2, 4)) < float(grid_loss(targets, maps[..., [1, 0, 2, 3, 4, 5]], 2, 4))


def test_little_seen_of_an_object_is_neither_right_nor_wrong() -> None:
    from worker.training.grid_targets import grid_targets

    rows = np.array([[[0, -30, 10, 10, 40], [0, -10, 60, 22, 84], [-1, -1, -1, -1, -1]]], np.float32)
    shown = np.ones((1, 96, 96, 1), np.float32)
    shown[:, :, 80:] = 0
    targets = grid_targets(rows, shown, 1, 4).numpy()[0]
    counted, scores = targets[..., -1], targets[..., 0]
    assert counted[6, 1] == 0
    assert counted[6, 6] == 1
    assert (counted[:, 20:] == 0).all()
    assert scores[18, 2] == 1
    assert targets[18, 2, 1:5].tolist() == [0, 60, 22, 84]


@pytest.fixture(scope="module")
def trained_and_plain():
    import keras

    from worker.training.grid_network import build_grid_network
    from worker.training.network import fold_batch_normalisation

    keras.utils.set_random_seed(3)
    trained = build_grid_network(3, halve=False)
    rng = np.random.default_rng(4)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.6, 1.4, weights.shape) for weights in layer.get_weights()])
    plain = build_grid_network(3, normalise=False)
    fold_batch_normalisation(trained, plain)
    return trained, plain


def test_the_exported_network_halves_images_itself(trained_and_plain) -> None:
    from worker.training.blood_data import halved

    trained, plain = trained_and_plain
    image = np.random.default_rng(4).normal(size=(96, 128, 3)).astype(np.float32)
    maps = np.asarray(plain(image[None], training=False))
    assert maps.shape == (1, 12, 16, 7)
    assert np.allclose(maps, np.asarray(trained(halved(image)[None], training=False)), rtol=1e-3, atol=1e-3)
    assert ((maps[..., :3] >= 0) & (maps[..., :3] <= 1)).all()
    assert (maps[..., 3:5] < 0).any()


def test_the_receptive_field_ends_where_it_is_said_to(trained_and_plain) -> None:
    from worker.training.grid_network import GRID_STRIDE, RECEPTIVE_RADIUS

    image = np.zeros((1, 512, 512, 3), np.float32)
    changed = image.copy()
    changed[0, 256, 256] = 1000
    network = trained_and_plain[1]
    moved = np.abs(np.asarray(network(image)) - np.asarray(network(changed)))[0].max(axis=-1) > 0
    rows = np.flatnonzero(moved.any(axis=1))
    assert rows.size
    assert 256 - (rows.min() + 1) * GRID_STRIDE <= RECEPTIVE_RADIUS
    assert rows.max() * GRID_STRIDE - 256 <= RECEPTIVE_RADIUS


def test_the_mean_of_the_weights_is_scored_and_kept(tmp_path) -> None:
    import keras
    import tensorflow as tf

    from worker.training.loop import Plan, train

    def build() -> keras.Model:
        keras.utils.set_random_seed(1)
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])

    scored = []

    def evaluate(model: keras.Model) -> float:
        scored.append(float(model.get_weights()[0].item()))
        return float(len(scored))

    def run(steps: int):
        model = build()
        batches = iter(lambda: (np.ones((4, 1), np.float32), np.ones((4, 1), np.float32)), None)
        loss = lambda targets, values: tf.reduce_mean(tf.square(targets - values))  # noqa: E731
        plan = Plan(steps=steps, warm_up=1, evaluate_every=5, averaging=0.9)
        return model, train(model, batches, lambda *pair: pair, loss, evaluate, plan, tmp_path)

    model, best = run(10)
    kept = build()
    kept.load_weights(best)
    weight, mean = (float(each.get_weights()[0].item()) for each in (model, kept))
    assert 0 < mean < weight
    assert scored[-1] == pytest.approx(mean)
    # Resumed, the mean goes on from where it was.
    run(15)
    assert mean < scored[-1] < weight * 1.6
