"""Augmentation of training patches, as TensorFlow operations over a whole batch.

Geometry (rotation, flip, scale) is one projective resampling of image and targets together; intensity (gamma,
contrast, colour, blur, noise, inversion) touches the image alone. Images are float32 in about 0..1, shape
(batch, y, x, channel).
"""

from __future__ import annotations

import math

import tensorflow as tf


def random_affine(stack: tf.Tensor, size: int, *, min_scale: float, max_scale: float, free_rotation: bool) -> tf.Tensor:
    """Resample (batch, Y, X, channel) to (batch, size, size, channel) about the centre, bilinear, reflected outside."""
    batch = tf.shape(stack)[0]
    zoom = tf.exp(tf.random.uniform([batch], math.log(min_scale), math.log(max_scale)))
    stretch = tf.exp(tf.random.uniform([batch], -0.12, 0.12))
    quarter = tf.cast(tf.random.uniform([batch], 0, 4, tf.int32), tf.float32) * (math.pi / 2)
    angle = quarter + (tf.random.uniform([batch], -math.pi / 4, math.pi / 4) if free_rotation else 0.0)
    mirror = tf.where(tf.random.uniform([batch]) < 0.5, -1.0, 1.0)
    cos, sin = tf.cos(angle), tf.sin(angle)
    a0, a1 = cos * stretch / zoom * mirror, -sin / stretch / zoom
    b0, b1 = sin * stretch / zoom * mirror, cos / stretch / zoom
    out_centre = (size - 1) / 2
    in_y, in_x = (tf.cast(tf.shape(stack)[axis] - 1, tf.float32) / 2 for axis in (1, 2))
    zero = tf.zeros([batch])
    transforms = tf.stack(
        [
            a0, a1, in_x - (a0 + a1) * out_centre,
            b0, b1, in_y - (b0 + b1) * out_centre,
            zero, zero,
        ],
        axis=1,
    )  # fmt: skip
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=stack,
        transforms=transforms,
        output_shape=[size, size],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )


def _per_sample(batch: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return tf.random.uniform([tf.shape(batch)[0], 1, 1, 1], low, high)


def _blurred(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    offsets = tf.range(-4, 5, dtype=tf.float32)
    kernel = tf.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= tf.reduce_sum(kernel)
    channels = images.shape[-1]
    for shape in ((9, 1, 1, 1), (1, 9, 1, 1)):
        weights = tf.tile(tf.reshape(kernel, shape), [1, 1, channels, 1])
        images = tf.nn.depthwise_conv2d(images, weights, [1, 1, 1, 1], "SAME")
    return images


def random_intensity(images: tf.Tensor, *, invert_chance: float = 0.0, grey_chance: float = 0.0) -> tf.Tensor:
    """Change gamma, contrast, brightness, colour balance, sharpness and noise of (batch, y, x, channel) at random."""
    images = tf.clip_by_value(images, 0.0, 1.5)
    images = tf.pow(images + 1e-4, tf.exp(_per_sample(images, -0.5, 0.5)))
    channels = images.shape[-1]
    if channels > 1:
        grey = tf.reduce_mean(images, axis=-1, keepdims=True)
        images = tf.where(_per_sample(images, 0, 1) < grey_chance, grey, images)
        balance = tf.random.uniform([tf.shape(images)[0], 1, 1, channels], 0.88, 1.12)
        is_colour = tf.reduce_max(tf.abs(images - grey), axis=[1, 2, 3], keepdims=True) > 0.02
        images = tf.where(is_colour, images * balance, images)
    images = images * _per_sample(images, 0.7, 1.2) + _per_sample(images, -0.08, 0.12)
    if invert_chance:
        images = tf.where(_per_sample(images, 0, 1) < invert_chance, 1.0 - images, images)
    blurred = _blurred(images, tf.random.uniform([], 0.4, 1.8))
    images = tf.where(_per_sample(images, 0, 1) < 0.3, blurred, images)
    noise = tf.random.normal(tf.concat([tf.shape(images)[:3], [1]], 0))
    strength = tf.maximum(_per_sample(images, -0.06, 0.08), 0.0)
    return images + noise * strength


def random_elastic(stack: tf.Tensor, *, amplitude: float, spacing: int) -> tf.Tensor:
    """Bend (batch, y, x, channel) by a smooth random field, bilinear, clamped at the edges (Simard et al. 2003).

    The field is drawn on a grid of about `spacing` pixels, normal with a standard deviation that is itself drawn for
    each picture between 0 and `amplitude` pixels, and upsampled bicubically.
    """
    batch, height, width, channels = (tf.shape(stack)[axis] for axis in range(4))
    strength = _per_sample(stack, 0.0, amplitude)
    grid = tf.random.normal([batch, height // spacing + 2, width // spacing + 2, 2]) * strength
    field = tf.image.resize(grid, [height, width], method="bicubic")
    y = tf.range(height, dtype=tf.float32)[None, :, None] + field[..., 0]
    x = tf.range(width, dtype=tf.float32)[None, None, :] + field[..., 1]
    y = tf.clip_by_value(y, 0.0, tf.cast(height - 1, tf.float32))
    x = tf.clip_by_value(x, 0.0, tf.cast(width - 1, tf.float32))
    top = tf.minimum(tf.cast(y, tf.int32), height - 2)
    left = tf.minimum(tf.cast(x, tf.int32), width - 2)
    down, right = (y - tf.cast(top, tf.float32))[..., None], (x - tf.cast(left, tf.float32))[..., None]
    pixels = tf.reshape(stack, [batch, height * width, channels])
    first = tf.reshape(top * width + left, [batch, height * width])

    def corner(offset: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.gather(pixels, first + offset, batch_dims=1), tf.shape(stack))

    above = corner(tf.constant(0)) * (1 - right) + corner(tf.constant(1)) * right
    below = corner(width) * (1 - right) + corner(width + 1) * right
    return above * (1 - down) + below * down
