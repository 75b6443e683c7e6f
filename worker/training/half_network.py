"""A U-Net that works at half resolution inside: for thin lines that are some pixels wide and want to be smooth.

Four times less is left to compute, which pays for wider levels and twice the surroundings; the last convolution works
at full resolution on maps enlarged bilinearly.
"""

from __future__ import annotations

import keras

from worker.training.network import receptive_radius

LAST_FILTERS = 8


def build_half_unet(
    input_channels: int, output_channels: int, *, width: int = 24, levels: int = 4, normalise: bool = True
) -> keras.Model:
    """As `worker.training.network.build_unet`, for y and x divisible by 2**levels; `width` holds at half resolution."""
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
    x = layers.UpSampling2D(interpolation="bilinear")(convolve(x, LAST_FILTERS))
    outputs = layers.Conv2D(output_channels, 3, padding="same", activation="sigmoid", dtype="float32", name="maps")(x)
    return keras.Model(inputs, outputs)


def half_receptive_radius(levels: int = 4) -> int:
    """How far an input pixel can still change an output pixel of `build_half_unet`.

    Twice the U-Net's radius and the convolution before the maps are enlarged, and a few pixels at full resolution.
    """
    return 2 * (receptive_radius(levels) + 1) + 4
