"""Augmenting images with boxes, what a grid detector should answer, and how wrong it is; TensorFlow operations.

Targets and losses follow CenterNet (Zhou et al. 2019: Gaussian score targets, penalty-reduced focal loss) with TTFNet's
training of sizes around the centre (Liu et al. 2020) by generalised IoU (Rezatofighi et al. 2019).
"""

from __future__ import annotations

import math

import tensorflow as tf

VISIBLE_LEAST = 0.45
SIGMA_SHARE, SIGMA_LEAST = 0.09, 0.7
SIZE_RADIUS = 0.35


def random_view(
    images: tf.Tensor, rows: tf.Tensor, size: int, *, min_scale: float, max_scale: float, tilt: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Windows of `size` pixels, turned, mirrored, scaled and stretched at random, with their boxes.

    A box is taken for an ellipse when it is turned, since cells are round: its new box is the ellipse's.

    Args:
        images: (batch, Y, X, channel) float32.
        rows: (batch, n, 5) float32: class or -1, left, top, right, bottom.
        size: side of the windows.
        min_scale, max_scale: the range of the magnification.
        tilt: up to how many radians images are turned off the quarter turns.

    Returns:
        images (batch, size, size, channel); rows in pixels of the windows, not yet clipped; (batch, size, size, 1)
        float32, 1 where the window shows the image and not its reflection.
    """
    batch = tf.shape(images)[0]
    height, width = (tf.cast(tf.shape(images)[axis], tf.float32) for axis in (1, 2))
    zoom = tf.exp(tf.random.uniform([batch], math.log(min_scale), math.log(max_scale)))
    stretch = tf.exp(tf.random.uniform([batch], -0.1, 0.1))
    quarter = tf.cast(tf.random.uniform([batch], 0, 4, tf.int32), tf.float32) * (math.pi / 2)
    angle = quarter + tf.random.uniform([batch], -tilt, tilt)
    mirror = tf.where(tf.random.uniform([batch]) < 0.5, -1.0, 1.0)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Input pixel = A (output pixel - window's middle) + view's middle.
    a00, a01 = cos * stretch / zoom * mirror, -sin / stretch / zoom
    a10, a11 = sin * stretch / zoom * mirror, cos / stretch / zoom
    reach = size / 2 / zoom
    middle_x, middle_y = (
        side / 2 + tf.random.uniform([batch], -1.0, 1.0) * tf.maximum(side / 2 - reach, 12.0)
        for side in (width, height)
    )
    half = (size - 1) / 2
    zero = tf.zeros([batch])
    shift_x, shift_y = middle_x - 0.5 - (a00 + a01) * half, middle_y - 0.5 - (a10 + a11) * half
    transforms = tf.stack([a00, a01, shift_x, a10, a11, shift_y, zero, zero], axis=1)

    def warped(stack: tf.Tensor, fill: str) -> tf.Tensor:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=stack, transforms=transforms, output_shape=[size, size], interpolation="BILINEAR",
            fill_mode=fill, fill_value=0.0,
        )  # fmt: skip

    shown = warped(tf.ones_like(images[..., :1]), "CONSTANT")
    determinant = a00 * a11 - a01 * a10
    b00, b01, b10, b11 = (value[:, None] / determinant[:, None] for value in (a11, -a01, -a10, a00))
    left, top, right, bottom = (rows[..., index] for index in range(1, 5))
    from_x, from_y = (left + right) / 2 - middle_x[:, None], (top + bottom) / 2 - middle_y[:, None]
    centre_x, centre_y = b00 * from_x + b01 * from_y + size / 2, b10 * from_x + b11 * from_y + size / 2
    radius_x, radius_y = (right - left) / 2, (bottom - top) / 2
    new_x = tf.sqrt((b00 * radius_x) ** 2 + (b01 * radius_y) ** 2)
    new_y = tf.sqrt((b10 * radius_x) ** 2 + (b11 * radius_y) ** 2)
    corners = [centre_x - new_x, centre_y - new_y, centre_x + new_x, centre_y + new_y]
    return warped(images, "REFLECT"), tf.stack([rows[..., 0], *corners], axis=-1), shown


def grid_targets(rows: tf.Tensor, shown: tf.Tensor, classes: int, stride: int) -> tf.Tensor:
    """(batch, y, x, classes + 6) on the grid: scores, the box's left, top, right, bottom in pixels, the weight of the
    box, and the weight of the scores.

    Objects cut by the window count as the part that is seen, as annotators draw them; where little of one is seen,
    neither finding nor missing it is wrong.
    """
    size = float(shown.shape[1])
    clipped = tf.clip_by_value(rows[..., 1:], 0.0, size)
    area = _area(clipped)
    visible = area / tf.maximum(_area(rows[..., 1:]), 1e-3)
    there = rows[..., 0] >= 0
    taught = there & (visible >= VISIBLE_LEAST)
    ignored = there & ~taught & (area > 0)
    left, top, right, bottom = (clipped[..., index][:, :, None, None] for index in range(4))
    cells = tf.range(shown.shape[1] // stride, dtype=tf.float32)
    middles = (cells + 0.5) * stride
    grid_x, grid_y = middles[None, None, None, :], middles[None, None, :, None]
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    # The peak lies on the middle of the cell that holds the centre, where it is exactly 1.
    peak_x, peak_y = ((tf.floor(centre / stride) + 0.5) * stride for centre in (centre_x, centre_y))
    sigma_x, sigma_y = (
        tf.maximum(SIGMA_SHARE * side / stride, SIGMA_LEAST) * stride for side in (right - left, bottom - top)
    )
    hill = tf.exp(-0.5 * (((grid_x - peak_x) / sigma_x) ** 2 + ((grid_y - peak_y) / sigma_y) ** 2))
    hill = tf.where(taught[:, :, None, None], hill, 0.0)
    scores = [
        tf.reduce_max(tf.where((rows[..., 0] == kind)[:, :, None, None], hill, 0.0), axis=1) for kind in range(classes)
    ]
    owner = tf.argmax(hill, axis=1)
    boxes = tf.gather(clipped, owner, batch_dims=1)
    nearness = tf.reduce_max(hill, axis=1)
    weight = tf.where(nearness > SIZE_RADIUS, nearness, 0.0)
    inside = (grid_x > left) & (grid_x < right) & (grid_y > top) & (grid_y < bottom)
    blind = tf.reduce_any(inside & ignored[:, :, None, None], axis=1)
    seen = tf.nn.avg_pool2d(shown, stride, stride, "VALID")[..., 0] > 0.5
    counted = tf.cast(seen & (~blind | (nearness > SIZE_RADIUS)), tf.float32)
    return tf.stack([*scores, *tf.unstack(boxes, axis=-1), weight, counted], axis=-1)


def _area(corners: tf.Tensor) -> tf.Tensor:
    sides = tf.maximum(corners[..., 2:] - corners[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def grid_loss(targets: tf.Tensor, maps: tf.Tensor, classes: int, stride: int, size_weight: float = 2.0) -> tf.Tensor:
    """Focal loss of the scores by the number of objects, and the generalised IoU of the boxes around centres."""
    truth, corners = targets[..., :classes], targets[..., classes : classes + 4]
    weight, counted = targets[..., classes + 4], targets[..., classes + 5 :]
    scores = tf.clip_by_value(maps[..., :classes], 1e-5, 1 - 1e-5)
    peak = tf.cast(truth > 0.999, tf.float32)
    right = peak * (1 - scores) ** 2 * tf.math.log(scores)
    wrong = (1 - peak) * (1 - truth) ** 4 * scores**2 * tf.math.log(1 - scores)
    objects = tf.maximum(tf.reduce_sum(peak), 1.0)
    focal = -tf.reduce_sum(counted * (right + wrong)) / objects
    found = grid_corners(maps[..., classes:], stride)
    sizes = 1 - _generalised_iou(corners, found)
    centres = tf.abs((corners[..., :2] + corners[..., 2:] - found[..., :2] - found[..., 2:]) / 2)
    share = centres / tf.maximum(corners[..., 2:] - corners[..., :2], 4.0)
    total = tf.maximum(tf.reduce_sum(weight), 1.0)
    return focal + size_weight * tf.reduce_sum(weight * (sizes + tf.reduce_sum(share, axis=-1))) / total


def grid_corners(maps: tf.Tensor, stride: int) -> tf.Tensor:
    """(batch, y, x, 4) left, top, right, bottom in pixels of maps (batch, y, x, 4) of offsets and sizes."""
    rows, columns = tf.shape(maps)[1], tf.shape(maps)[2]
    grid_y, grid_x = tf.meshgrid(tf.range(rows), tf.range(columns), indexing="ij")
    cells = tf.cast(tf.stack([grid_x, grid_y], axis=-1), tf.float32)
    centres = (cells + 0.5 + maps[..., :2] / 2) * stride
    sides = stride * tf.exp(tf.minimum(maps[..., 2:], 6.0))
    return tf.concat([centres - sides / 2, centres + sides / 2], axis=-1)


def _generalised_iou(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    shared = _area(tf.concat([tf.maximum(one[..., :2], other[..., :2]), tf.minimum(one[..., 2:], other[..., 2:])], -1))
    around = _area(tf.concat([tf.minimum(one[..., :2], other[..., :2]), tf.maximum(one[..., 2:], other[..., 2:])], -1))
    union = tf.maximum(_area(one) + _area(other) - shared, 1e-3)
    return shared / union - (around - union) / tf.maximum(around, 1e-3)
