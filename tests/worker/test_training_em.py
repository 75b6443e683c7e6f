"""Training on electron micrographs: recipes run on small made data, membranes are scored, planes are stacked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import io
from skimage.measure import label

from worker.training import membranes, mitochondria, mitochondria_planes
from worker.training.data import Example, read_em
from worker.training.loop import Plan
from worker.training.scores import cells_rand_error, skeleton_f1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def walls(side: int = 96, step: int = 24) -> np.ndarray:
    """Walls three pixels thick around square cells."""
    mask = np.zeros((side, side), bool)
    for offset in range(3):
        mask[step // 2 + offset :: step] = True
        mask[:, step // 2 + offset :: step] = True
    return mask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like shared/data with three sections for training and two held out."""
    rng = np.random.default_rng(5)
    for split, numbers in (("train", range(3)), ("val", range(3, 5))):
        for number in numbers:
            mask = np.roll(walls(), number, axis=0)
            pixels = np.clip(180 - 120 * mask + rng.normal(0, 10, mask.shape), 0, 255).astype(np.uint8)
            for part, image in (("raw", pixels), ("membranes", mask * np.uint8(255)),
                                ("mitochondria", mask * np.uint8(255))):  # fmt: skip
                folder = tmp_path / "em-vnc" / split / part
                folder.mkdir(parents=True, exist_ok=True)
                io.imsave(folder / f"{number:02d}.png", image, check_contrast=False)
    return tmp_path


@pytest.fixture(autouse=True)
def small_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    for recipe in (membranes, mitochondria_planes):
        for name, value in (("PATCH", 48), ("DRAWN", 64), ("BATCH", 2)):
            monkeypatch.setattr(recipe, name, value)


def test_skeletons_are_compared_within_two_pixels() -> None:
    truth = walls()
    assert skeleton_f1(truth, truth) == (1, 1, 1)
    f1, precision, recall = skeleton_f1(truth, np.roll(truth, 1, axis=1))
    assert min(f1, precision, recall) > 0.95
    half = truth.copy()
    half[:, 48:] = False
    f1, precision, recall = skeleton_f1(truth, half)
    assert precision > 0.95
    assert recall == pytest.approx(0.5, abs=0.1)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert skeleton_f1(truth, truth & False) == (0, 0, 0)
    assert skeleton_f1(truth & False, truth & False) == (1, 1, 1)


@given(st.permutations(range(3, 28)))
def test_the_rand_error_does_not_depend_on_numbers(order: list[int]) -> None:
    mask = walls()
    cells = label(~mask, connectivity=1)
    assert cells.max() == len(order)
    assert cells_rand_error(mask, np.array([0, *order])[cells]) == pytest.approx(0)


def test_merged_cells_raise_the_rand_error() -> None:
    mask = walls()
    cells = label(~mask, connectivity=1)
    merged = np.where(cells == 2, 1, cells)
    assert cells_rand_error(mask, cells) < cells_rand_error(mask, merged) < cells_rand_error(mask, np.minimum(cells, 1))


def test_thin_membranes_weigh_most() -> None:
    mask = walls()
    mask[60:90, 60:90] = True
    example = Example("one", "em", mask[..., None].astype(np.float32), mask[..., None].astype(np.float32), mask)
    weighted = membranes.with_thin_weight(example)
    thin = weighted.targets[..., 1]
    assert weighted.targets.shape == (96, 96, 2)
    assert thin[13, 24] > 0.5
    assert thin[75, 75] < 0.1
    assert thin[24, 24] < 0.1
    empty = membranes.with_thin_weight(Example("none", "em", example.image, example.targets * 0, mask & False))
    assert (empty.targets == 0).all()


def test_the_recipe_for_membranes_trains_and_finds_walls(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    best = membranes.fit(data, folder, Plan(steps=2, warm_up=1, evaluate_every=1))
    model = membranes.build()
    model.load_weights(best)
    assert len(json.loads((folder / "state.json").read_text())["history"]) == 2
    scores = membranes.all_scores(model, read_em(data, "val", "membranes"))
    assert set(scores) == {"f1", "precision", "recall", "rand"}
    assert all(0 <= score <= 1 for score in scores.values())


def test_neighbours_are_channels_and_edges_are_repeated(data: Path) -> None:
    sections = read_em(data, "train", "mitochondria")
    stacks = mitochondria.stacked(sections, 5)
    assert [stack.image.shape for stack in stacks] == [(96, 96, 5)] * 3
    for index, planes in enumerate([(0, 0, 0, 1, 2), (0, 0, 1, 2, 2), (0, 1, 2, 2, 2)]):
        for channel, plane in enumerate(planes):
            assert np.array_equal(stacks[index].image[..., channel], sections[plane].image[..., 0])
    assert np.array_equal(stacks[1].targets, sections[1].targets)


def test_a_widened_network_begins_with_what_the_former_knows() -> None:
    former, wider = mitochondria.build(frames=3), mitochondria.build(frames=5)
    mitochondria_planes.widen(former, wider)
    image = np.random.default_rng(1).normal(size=(1, 16, 24, 5)).astype(np.float32)
    assert np.allclose(former(image[..., 1:4], training=False), wider(image, training=False), atol=1e-5)


def test_networks_of_more_planes_are_trained_one_from_the_other(data: Path, tmp_path: Path) -> None:
    plan = Plan(steps=2, warm_up=1, evaluate_every=2)
    with pytest.raises(FileNotFoundError, match="em-mitochondria"):
        mitochondria_planes.fit(data, tmp_path / "out", plan)
    (tmp_path / "out").mkdir()
    mitochondria.build().save_weights(tmp_path / "out" / "best.weights.h5")
    best = mitochondria_planes.fit(data, tmp_path / "out", plan)
    assert best == tmp_path / "out" / "5" / "best.weights.h5"
    models = {1: mitochondria.build(), 5: mitochondria.build(frames=5)}
    models[5].load_weights(best)
    scores = mitochondria.scores_by_frames(models, read_em(data, "val", "mitochondria"))
    assert list(scores) == ["1", "5", "1+5"]


def test_packed_weights_are_smaller_and_the_same(tmp_path: Path) -> None:
    import keras

    from worker.training.pack import rounded, save_packed

    model = mitochondria.build(normalise=False)
    before = model.get_weights()
    rounded(model, 5)
    for exact, near in zip(before, model.get_weights(), strict=True):
        assert np.all(np.abs(near - exact) <= np.abs(exact) / 64)
    model.save(tmp_path / "plain.keras")
    packed = save_packed(model, tmp_path / "packed.keras")
    assert packed.stat().st_size < 0.35 * (tmp_path / "plain.keras").stat().st_size
    again = keras.saving.load_model(packed, compile=False).get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(again, model.get_weights(), strict=True))
    assert rounded(model, 23).get_weights()[0].dtype == np.float32


def test_bending_moves_image_and_targets_together_and_keeps_what_is_flat() -> None:
    from worker.training.augment import random_elastic

    y, x = np.mgrid[:64, :80].astype(np.float32)
    stack = np.stack([y, y, x, np.ones_like(y)], axis=-1)[None].repeat(3, axis=0)
    bent = np.asarray(random_elastic(stack, amplitude=3.0, spacing=16))
    assert bent.shape == stack.shape
    assert np.array_equal(bent[..., 0], bent[..., 1])
    assert np.allclose(bent[..., 3], 1, atol=1e-5)
    moved = np.abs(bent - stack)[..., :3]
    assert 0.1 < moved.max() < 20
    assert np.allclose(np.asarray(random_elastic(stack, amplitude=1e-6, spacing=16)), stack, atol=1e-3)


def test_the_half_network_folds_and_its_field_ends_where_it_is_said_to() -> None:
    import keras

    from worker.training.half_network import build_half_unet, half_receptive_radius
    from worker.training.network import fold_batch_normalisation

    keras.utils.set_random_seed(3)
    trained, plain = (build_half_unet(1, 1, width=4, levels=3, normalise=normalise) for normalise in (True, False))
    rng = np.random.default_rng(4)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    fold_batch_normalisation(trained, plain)
    side, radius = 192, half_receptive_radius(3)
    image = rng.normal(size=(1, side, side, 1)).astype(np.float32)
    maps = np.asarray(plain(image, training=False))
    inner = (0, slice(4, -4), slice(4, -4))
    assert np.allclose(np.asarray(trained(image, training=False))[inner], maps[inner], atol=1e-5)
    # Planes of any size in a graph, as runtimes have them.
    for shape in ((1, 32, 48, 1), (1, 64, 40, 1)):
        assert plain.predict(np.zeros(shape, np.float32), verbose=0).shape == shape
    changed = image.copy()
    changed[0, side // 2, side // 2] = 100
    moved = np.abs(np.asarray(plain(changed, training=False)) - maps)[0, ..., 0] > 0
    rows = np.flatnonzero(moved.any(axis=1))
    assert rows.size
    assert max(side // 2 - rows.min(), rows.max() - side // 2) <= radius
