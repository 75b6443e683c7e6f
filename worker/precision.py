"""Half precision where it is fast and does no harm: on cards with tensor cores, checked with the package's own test.

Weights stay float32 and the last layer computes in float32 (Micikevicius et al. 2018); everything between is float16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.test_tensors import read_test_tensors
from zoo.packages import ModelPackage

if TYPE_CHECKING:
    import keras

    from worker.network_tensorflow import TensorFlowNetwork

# The first compute capability with tensor cores.
FAST_SINCE = (7, 0)
HALF = "mixed_float16"
# Most that half precision may change a map of the test tensor, as a share of the range of the maps' values.
HARM = 0.01


def fast_at_half(capability: tuple[int, int] | None) -> bool:
    """Whether a card of this compute capability computes faster in float16; None: there is no card."""
    return capability is not None and tuple(capability) >= FAST_SINCE


def in_half_precision(
    full: TensorFlowNetwork,
    model: keras.Model,
    wrapped: Callable[[keras.Model], TensorFlowNetwork],
    package: ModelPackage,
    frames: int,
    capability: tuple[int, int] | None,
) -> TensorFlowNetwork:
    """The network in half precision if the card is fast at it and the test tensor shows no harm, else `full`.

    Its `precision` says which, and why.
    """
    if not fast_at_half(capability):
        return full
    tensors = read_test_tensors(package, frames if frames in package.variant_tests else None)
    if tensors is None:
        full.precision = "float32: there is no test tensor to check half precision with"
        return full
    given = tensors.prepared(package)
    try:
        half = wrapped(halved(model))
        exact = full.start(given).result()
        change = np.abs(half.start(given).result() - exact).max() / max(float(np.ptp(exact)), 1e-6)
    except (ValueError, TypeError, NotImplementedError, MemoryError):
        full.precision = "float32: the network does not take half precision"
        return full
    # Infinite and missing values are harm as well.
    if not change <= HARM:
        full.precision = f"float32: half precision would change the test output by {change:.2g} of its range"
        return full
    half.precision = f"mixed float16, which changes the test output by {change:.2g} of its range"
    return half


def halved(model: keras.Model) -> keras.Model:
    """A copy of a Keras network that computes in float16 up to its last layer, with the same weights."""
    import keras

    last = {layer.name for layer in model.layers if any(layer is made._keras_history[0] for made in model.outputs)}

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name not in last:
            config["dtype"] = HALF
        return layer.__class__.from_config(config)

    other = keras.models.clone_model(model, clone_function=copy)
    other.set_weights(model.get_weights())
    return other
