"""The network of the seed model `blood-cells`: scores, offsets and sizes on a grid of 8 pixels.

It looks at images halved by averaging: cells are large, and four times less is left to compute.
"""

from __future__ import annotations

import math

import keras

GRID_STRIDE = 8
INPUT_STRIDE = 32
# How far an input pixel can change a cell, in pixels: 1 + 2 + 4 + 4 down to the grid of 8, 16 + 8 there, 32 + 16 on
# the grid of 16, 64 on that of 32, and 16 + 16 + 8 + 32 on the way back.
RECEPTIVE_RADIUS = 219
# A cell starts with this chance of being a centre, so that the many empty ones do not swamp the first steps.
PRIOR = 0.02
TYPICAL_LOG_SIZE = 2.3


def build_grid_network(classes: int, *, halve: bool = True, normalise: bool = True) -> keras.Model:
    """A fully convolutional detector of images (batch, y, x, 3), float32, y and x divisible by INPUT_STRIDE.

    Output (batch, y / 8, x / 8, classes + 4) float32: a score in 0..1 for each class, then the offsets of the centre
    in x and y from the middle of the cell in half cells, and the logarithms of width and height in cells, all of
    them unbounded. With `normalise=False` convolutions carry a bias in place of batch normalisation; with
    `halve=False` the images are halved already, as in training.
    """
    layers = keras.layers

    def convolve(x: keras.KerasTensor, filters: int, strides: int = 1) -> keras.KerasTensor:
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=not normalise, kernel_initializer="he_normal")(
            x
        )
        if normalise:
            x = layers.BatchNormalization(momentum=0.97)(x)
        return layers.ReLU()(x)

    def block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        return layers.Add()([x, convolve(convolve(x, filters), filters)])

    inputs = keras.Input((None, None, 3), name="image")
    x = layers.AveragePooling2D(2)(inputs) if halve else inputs
    x = convolve(convolve(x, 32, strides=2), 32)
    fine = block(convolve(x, 48, strides=2), 48)
    middle = block(convolve(fine, 64, strides=2), 64)
    x = block(convolve(middle, 80, strides=2), 80)
    x = layers.Concatenate()([layers.UpSampling2D(interpolation="nearest")(x), middle])
    x = convolve(x, 64)
    x = layers.Concatenate()([layers.UpSampling2D(interpolation="nearest")(x), fine])
    x = block(convolve(x, 48), 48)
    scores, boxes = convolve(x, 48), convolve(x, 48)
    # The 1x1 convolutions come last: folding takes convolutions and normalisations in order.
    score_bias = keras.initializers.Constant(math.log(PRIOR / (1 - PRIOR)))
    scores = layers.Conv2D(
        classes, 1, activation="sigmoid", bias_initializer=score_bias, dtype="float32", name="scores"
    )(scores)
    small = keras.initializers.RandomNormal(stddev=0.01)
    size_bias = keras.initializers.Constant(TYPICAL_LOG_SIZE)
    offsets = layers.Conv2D(2, 1, kernel_initializer=small, dtype="float32", name="offsets")(boxes)
    sizes = layers.Conv2D(2, 1, kernel_initializer=small, bias_initializer=size_bias, dtype="float32", name="sizes")(
        boxes
    )
    return keras.Model(inputs, layers.Concatenate(dtype="float32", name="maps")([scores, offsets, sizes]))
