"""Half precision: chosen by the card, really computed, and given up where it does harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from standard_package import make_standard_package

from worker import network_tensorflow
from worker.network_tensorflow import TensorFlowNetwork, load_tensorflow
from worker.precision import fast_at_half, halved
from zoo.packages import ModelPackage, read_package
from zoo.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RNG = np.random.default_rng(6)


def network(gain: float = 1.0) -> keras.Model:
    """`gain` is how much larger than the output the values inside are."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((None, None, 1))
    hidden = keras.layers.Conv2D(8, 3, padding="same", activation="relu", use_bias=False)(inputs)
    hidden = keras.layers.Rescaling(gain)(hidden)
    hidden = keras.layers.Rescaling(1 / gain)(hidden)
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(hidden))


def loaded(folder: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch, capability: Any) -> TensorFlowNetwork:
    """The package's network as it is loaded on a card of this compute capability."""
    monkeypatch.setattr(network_tensorflow, "compute_capability", lambda: capability)
    package = packed(folder, model)
    file = package.extract_weights(folder / "weights")
    return load_tensorflow(file, package, "a card", 1)


def packed(folder: Path, model: keras.Model) -> ModelPackage:
    model.save(folder / "network.keras")
    given = RNG.uniform(0, 1, (1, 40, 40, 1)).astype(np.float32)
    entry = {"source": folder / "network.keras", "keras_version": "3.15.1", "backend": ["tensorflow", "2.21.0"]}
    out = folder / "model.zip"
    return read_package(
        make_standard_package(out, {"keras_v3": entry}, given, np.asarray(model(given)), axes="byxc"), Settings()
    )


@pytest.mark.parametrize(("capability", "fast"), [(None, False), ((6, 1), False), ((7, 0), True), ((9, 0), True)])
def test_cards_with_tensor_cores_are_fast_at_it(capability: tuple[int, int] | None, fast: bool) -> None:
    assert fast_at_half(capability) is fast


def test_what_a_halved_network_computes_is_float16() -> None:
    model = network()
    other = halved(model)
    given = RNG.uniform(0, 1, (1, 32, 32, 1)).astype(np.float32)
    assert [layer.compute_dtype for layer in other.layers[1:]] == ["float16", "float16", "float16", "float32"]
    inner = keras.Model(other.inputs[0], other.layers[-2].output)
    assert inner(given).dtype == tf.float16
    exact, half = np.asarray(model(given)), np.asarray(other(given))
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.01


def test_a_fast_card_computes_in_half_precision_if_the_test_tensor_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = loaded(tmp_path, network(), monkeypatch, (8, 0))
    assert fast.precision.startswith("mixed float16, which changes the test output by")
    given = RNG.uniform(0, 1, (2, 64, 64, 1)).astype(np.float32)
    exact = np.asarray(network()(given))
    made = fast.start(given).result()
    assert made.dtype == np.float32
    assert 0 < np.abs(made - exact).max() < 0.01


def test_what_is_to_be_exact_is_not_halved_nor_computed_in_tensor_float_32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_tensorflow, "compute_capability", lambda: (9, 0))
    package = packed(tmp_path, network())
    exact = load_tensorflow(package.extract_weights(tmp_path / "weights"), package, "a card", 1, exact=True)
    assert exact.precision == "float32"
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    with network_tensorflow.full_precision():
        assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert tf.config.experimental.tensor_float_32_execution_enabled() is before


def test_values_that_half_precision_cannot_hold_are_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = loaded(tmp_path, network(gain=1e6), monkeypatch, (8, 0))
    assert kept.precision.startswith("float32: half precision would change the test output")
    given = RNG.uniform(0, 1, (1, 64, 64, 1)).astype(np.float32)
    np.testing.assert_allclose(kept.start(given).result(), np.asarray(network(gain=1e6)(given)), atol=1e-5)


def test_a_slow_card_and_the_cpu_compute_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(tmp_path, network(), monkeypatch, (6, 1)).precision == "float32"
    assert loaded(tmp_path, network(), monkeypatch, None).precision == "float32"
