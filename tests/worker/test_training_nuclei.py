"""Training the nuclei: what counts most, a network that is widened without changing, and the two runs."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from skimage import io

from worker.training import nuclei
from worker.training.loop import Plan
from worker.training.network import build_unet, copy_convolutions, receptive_radius
from worker.training.nuclei_targets import GAP_WEIGHT, LEAST_WEIGHT, MOST_WEIGHT, pixel_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def squares() -> np.ndarray:
    """Labels of two large squares that touch, one that stands alone, and a small one."""
    labels = np.zeros((80, 100), np.int32)
    labels[10:40, 10:40] = 1
    labels[10:40, 40:70] = 2
    labels[50:76, 10:36] = 3
    labels[60:65, 80:85] = 4
    return labels


def test_gaps_and_small_nuclei_count_most() -> None:
    weights = pixel_weights(squares())
    assert weights[25, 39] == pytest.approx(LEAST_WEIGHT + GAP_WEIGHT, abs=0.7)
    assert weights[25, 40] == pytest.approx(weights[25, 39])
    assert weights[25, 39] > weights[25, 36] > weights[25, 30]
    assert weights[63, 20] == pytest.approx(LEAST_WEIGHT)
    assert weights[62, 82] == pytest.approx(MOST_WEIGHT)
    assert weights[78, 60] == 1
    # The edge of a nucleus that stands alone is no gap.
    assert weights[50, 20] == pytest.approx(LEAST_WEIGHT)


def test_the_narrower_gap_counts_more() -> None:
    labels = squares()
    labels[:, 40:42] = 0
    narrow = pixel_weights(labels)[25, 40:42].max()
    labels[:, 42:44] = 0
    wide = pixel_weights(labels)[25, 40:44].max()
    assert 1 < wide < narrow


def test_labels_without_neighbours_have_no_gaps() -> None:
    assert (pixel_weights(np.zeros((20, 20), np.int32)) == 1).all()
    assert pixel_weights(np.where(squares() == 4, 4, 0)).max() == MOST_WEIGHT


def test_a_network_is_widened_without_changing_what_it_finds() -> None:
    keras.utils.set_random_seed(2)
    narrow = build_unet(1, 2, width=4, levels=3, normalise=False)
    wide = build_unet(1, 2, width=4, levels=3, normalise=False, context=(2, 4))
    copy_convolutions(narrow, wide)
    image = np.random.default_rng(3).normal(size=(1, 48, 40, 1)).astype(np.float32)
    assert np.array_equal(np.asarray(narrow(image)), np.asarray(wide(image)))


def test_context_reaches_as_far_as_is_said() -> None:
    keras.utils.set_random_seed(2)
    net = build_unet(1, 1, width=2, levels=2, normalise=False, context=(6,))
    for layer in net.layers:
        layer.set_weights([np.full(weights.shape, 0.1) for weights in layer.get_weights()])
    radius, side = receptive_radius(2, (6,)), 96
    image = np.zeros((1, side, side, 1), np.float32)
    changed = image.copy()
    changed[0, side // 2, side // 2] = 100
    moved = np.abs(np.asarray(net(image)) - np.asarray(net(changed)))[0, ..., 0] > 0
    rows = np.flatnonzero(moved.any(axis=1))
    assert receptive_radius(2) < max(side // 2 - rows.min(), rows.max() - side // 2) <= radius


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like shared/data with two images for training and one held out."""
    rng, lines = np.random.default_rng(5), ["split,name,kind,height,width,objects"]
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        pixels = np.clip(60 + 120 * (squares() > 0) + rng.normal(0, 5, (80, 100)), 0, 255).astype(np.uint8)
        for part, image in (("images", pixels), ("labels", squares().astype(np.uint16))):
            folder = tmp_path / "data" / "nuclei" / split / part
            folder.mkdir(parents=True, exist_ok=True)
            io.imsave(folder / f"{name}.png", image, check_contrast=False)
        lines.append(f"{split},{name},fluorescence,80,100,4")
    (tmp_path / "data" / "nuclei" / "index.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


def test_the_second_run_goes_on_from_the_first(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PATCH", 64), ("DRAWN", 88), ("BATCH", 2), ("FIRST", Plan(steps=2, evaluate_every=1))):
        monkeypatch.setattr(nuclei, name, value)
    keras.utils.set_random_seed(4)
    out = tmp_path / "run"
    assert nuclei.fit(data, out, Plan(steps=1, minutes=0)) == out / "first" / "best.weights.h5"
    assert not (out / "state.json").exists()
    best = nuclei.fit(data, out, Plan(steps=2, evaluate_every=1, averaging=0.9))
    assert best == out / "best.weights.h5"
    steps = [
        [entry["step"] for entry in json.loads((folder / "state.json").read_text())["history"]]
        for folder in (out / "first", out)
    ]
    assert steps == [[1, 2], [1, 2]]
    nuclei.build().load_weights(best)
