"""A U-Net that works at half resolution inside: for thin lines that are some pixels wide and want to be smooth.

Four times less is left to compute, which pays for wider levels and twice the surroundings; the last convolution works
at full resolution on maps enlarged bilinearly.
"""

from __future__ import annotations

import keras
import numpy as np

from worker.training.network import receptive_radius

LAST_FILTERS = 8
SMOOTHING_REACH = 3


def build_half_unet(
    input_channels: int,
    output_channels: int,
    *,
    width: int = 24,
    levels: int = 4,
    normalise: bool = True,
    smoothing: float = 0.0,
) -> keras.Model:
    """As `worker.training.network.build_unet`, for y and x divisible by 2**levels; `width` holds at half resolution.

    With `smoothing`, a fixed Gaussian of so many pixels lies over what the sigmoid is given: lines become as smooth as
    membranes are. It is for the network that is used, not for the one that is trained, which would learn to undo it.
    """
    layers = keras.layers

    def convolve(x: keras.KerasTensor, filters: int, size: int = 3, strides: int = 1) -> keras.KerasTensor:
        x = layers.Conv2D(
            filters, size, strides, padding="same", use_bias=not normalise, kernel_initializer="he_normal"
        )(x)
        if normalise:
            x = layers.BatchNormalization(momentum=0.97)(x)
        return layers.ReLU()(x)

    inputs = keras.Input((None, None, input_channels), name="image")
    x, skips = convolve(convolve(inputs, width, size=4, strides=2), width), []
    for level in range(1, levels):
        skips.append(x)
        x = layers.MaxPooling2D()(x)
        x = convolve(convolve(x, width * 2**level), width * 2**level)
    for level in reversed(range(levels - 1)):
        x = layers.Concatenate()([layers.UpSampling2D(interpolation="nearest")(x), skips[level]])
        x = convolve(convolve(x, width * 2**level), width * 2**level)
    x = convolve(x, LAST_FILTERS)
    if normalise:
        x = layers.UpSampling2D(interpolation="bilinear")(x)
    else:
        # The same but for the outermost pixels; Keras cannot enlarge planes of unknown size bilinearly in a graph.
        doubled = layers.UpSampling2D(interpolation="nearest")(x)
        enlarge = layers.DepthwiseConv2D(3, padding="same", use_bias=False, trainable=False, name="bilinear")
        x = enlarge(doubled)
        enlarge.set_weights([_spread(np.array([0.25, 0.5, 0.25]), LAST_FILTERS)])
    if not smoothing:
        last = layers.Conv2D(output_channels, 3, padding="same", activation="sigmoid", dtype="float32", name="maps")
        return keras.Model(inputs, last(x))
    x = layers.Conv2D(output_channels, 3, padding="same", dtype="float32", name="maps")(x)
    smooth = layers.DepthwiseConv2D(
        2 * SMOOTHING_REACH + 1, padding="same", use_bias=False, activation="sigmoid", trainable=False, name="smooth"
    )
    model = keras.Model(inputs, smooth(x))
    gaussian = np.exp(-0.5 * (np.arange(-SMOOTHING_REACH, SMOOTHING_REACH + 1) / smoothing) ** 2)
    smooth.set_weights([_spread(gaussian / gaussian.sum(), output_channels)])
    return model


def _spread(line: np.ndarray, channels: int) -> np.ndarray:
    """The kernel (y, x, channel, 1), float32, of a filter that is `line` along both axes."""
    return np.repeat(np.outer(line, line)[..., None, None], channels, axis=2).astype(np.float32)


def half_receptive_radius(levels: int = 4) -> int:
    """How far an input pixel can still change an output pixel of `build_half_unet`.

    Twice the U-Net's radius and the convolution before the maps are enlarged, a few pixels at full resolution, and the
    smoothing.
    """
    return 2 * (receptive_radius(levels) + 1) + 4 + SMOOTHING_REACH
