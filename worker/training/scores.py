"""Scores of segmentations against ground truth, on label images (y, x) and masks."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.metrics import adapted_rand_error
from skimage.morphology import skeletonize


def average_precision(truth: np.ndarray, found: np.ndarray, overlap: float = 0.5) -> float:
    """TP / (TP + FP + FN) of instance labels at an intersection over union above `overlap` (Caicedo et al. 2019)."""
    truth_count, found_count = len(np.unique(truth[truth > 0])), len(np.unique(found[found > 0]))
    if truth_count == 0 or found_count == 0:
        return float(truth_count == found_count)
    width = int(found.max()) + 1
    pairs, counts = np.unique(truth.astype(np.int64) * width + found, return_counts=True)
    truth_ids, found_ids = np.divmod(pairs, width)
    truth_areas, found_areas = np.bincount(truth.ravel()), np.bincount(found.ravel())
    union = truth_areas[truth_ids] + found_areas[found_ids] - counts
    hits = int(((counts / union > overlap) & (truth_ids > 0) & (found_ids > 0)).sum())
    return hits / (truth_count + found_count - hits)


def dice(truth: np.ndarray, found: np.ndarray) -> float:
    """Dice coefficient of two boolean masks; 1 where both are empty."""
    total = int(truth.sum()) + int(found.sum())
    return 2 * int((truth & found).sum()) / total if total else 1.0


def skeleton_f1(truth: np.ndarray, found: np.ndarray, tolerance: float = 2.0) -> tuple[float, float, float]:
    """F1, precision and recall of the skeletons of two boolean masks (y, x), within `tolerance` pixels.

    Precision is the share of the found skeleton's pixels that have one of the true skeleton at most so far away,
    recall the share of the true skeleton's pixels that have one of the found skeleton.
    """
    true_line, found_line = skeletonize(truth), skeletonize(found)
    if not true_line.any() or not found_line.any():
        same = float(true_line.any() == found_line.any())
        return same, same, same
    precision = float((ndimage.distance_transform_edt(~true_line)[found_line] <= tolerance).mean())
    recall = float((ndimage.distance_transform_edt(~found_line)[true_line] <= tolerance).mean())
    return 2 * precision * recall / max(precision + recall, 1e-12), precision, recall


def cells_rand_error(membrane: np.ndarray, cells: np.ndarray) -> float:
    """Adapted Rand error of labelled cells (y, x), 0 the best, against the pieces that a true membrane mask leaves.

    Counted on pixels that are not membrane in the truth, as in the SNEMI3D challenge (Arganda-Carreras et al. 2015);
    pixels of no found cell are one more segment there.
    """
    return float(adapted_rand_error(label(~membrane, connectivity=1), cells, ignore_labels=(0,))[0])
