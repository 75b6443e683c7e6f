"""The small U-Net of the seed models (Ronneberger et al. 2015) and its export form."""

from __future__ import annotations

import keras
import numpy as np

STRIDE_PER_LEVEL = 2


def build_unet(
    input_channels: int,
    output_channels: int,
    *,
    width: int = 16,
    levels: int = 4,
    normalise: bool = True,
    context: tuple[int, ...] = (),
) -> keras.Model:
    """A U-Net for tensors of shape (batch, y, x, channel), float32, any y and x divisible by 2**(levels-1).

    `width` is the number of filters at full resolution, doubled at each level. With `normalise=False` the
    convolutions carry a bias in place of batch normalisation: the form that `fold_batch_normalisation` fills.
    `context` adds at the deepest level a residual chain of 3x3 convolutions dilated so much (Yu & Koltun 2016), which
    adds nothing until it is trained; its layers are named `context_...`.
    Outputs lie in 0..1 (sigmoid), float32 whatever the computing dtype.
    """
    layers = keras.layers

    def convolve_twice(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=not normalise, kernel_initializer="he_normal")(x)
            if normalise:
                x = layers.BatchNormalization(momentum=0.97)(x)
            x = layers.ReLU()(x)
        return x

    def with_context(x: keras.KerasTensor) -> keras.KerasTensor:
        filters = x.shape[-1]
        y = layers.Conv2D(filters // 2, 1, activation="relu", name="context_in")(x)
        for rate in context:
            name = f"context_{rate}"
            y = layers.Conv2D(
                filters // 2, 3, padding="same", dilation_rate=rate, activation="relu",
                kernel_initializer="he_normal", name=name,
            )(y)  # fmt: skip
        return layers.Add()([x, layers.Conv2D(filters, 1, kernel_initializer="zeros", name="context_out")(y)])

    inputs = keras.Input((None, None, input_channels), name="image")
    x, skips = inputs, []
    for level in range(levels):
        x = convolve_twice(x, width * 2**level)
        if level < levels - 1:
            skips.append(x)
            x = layers.MaxPooling2D()(x)
    if context:
        x = with_context(x)
    for level in reversed(range(levels - 1)):
        x = layers.UpSampling2D(interpolation="nearest")(x)
        x = layers.Concatenate()([x, skips[level]])
        x = convolve_twice(x, width * 2**level)
    outputs = layers.Conv2D(output_channels, 1, activation="sigmoid", dtype="float32", name="maps")(x)
    return keras.Model(inputs, outputs)


def receptive_radius(levels: int = 4, context: tuple[int, ...] = ()) -> int:
    """How many pixels away an input pixel can still change an output pixel of `build_unet`.

    Two 3x3 convolutions a level each reach 2 pixels of that level, twice (down and up) but at the deepest;
    pooling and nearest upsampling together shift by less than one pixel of the next level. The convolutions of
    `context` reach their dilation each, in pixels of the deepest level.
    """
    radius = sum(context) * 2 ** (levels - 1)
    for level in range(levels):
        passes = 1 if level == levels - 1 else 2
        radius += passes * 2 * 2**level + (2**level if level else 0)
    return radius


def fold_batch_normalisation(trained: keras.Model, plain: keras.Model) -> None:
    """Copy `trained` (with batch normalisation) into `plain` (`normalise=False`): same function, fewer operations."""
    trained_convolutions = [layer for layer in trained.layers if isinstance(layer, keras.layers.Conv2D)]
    normalisations = [layer for layer in trained.layers if isinstance(layer, keras.layers.BatchNormalization)]
    plain_convolutions = [layer for layer in plain.layers if isinstance(layer, keras.layers.Conv2D)]
    for index, (source, target) in enumerate(zip(trained_convolutions, plain_convolutions, strict=True)):
        if index >= len(normalisations):
            target.set_weights(source.get_weights())
            continue
        gamma, beta, mean, variance = normalisations[index].get_weights()
        scale = gamma / np.sqrt(variance + normalisations[index].epsilon)
        target.set_weights([source.get_weights()[0] * scale, beta - mean * scale])


def copy_convolutions(source: keras.Model, target: keras.Model) -> None:
    """Copy the convolutions of `source` into `target`, which has those of a `context` besides."""
    given = [layer for layer in source.layers if isinstance(layer, keras.layers.Conv2D)]
    own = [layer for layer in target.layers if isinstance(layer, keras.layers.Conv2D)]
    own = [layer for layer in own if not layer.name.startswith("context_")]
    for before, after in zip(given, own, strict=True):
        after.set_weights(before.get_weights())
