"""Test tensors, `.npy`: arrays of numbers, as large as they say, read without pickle."""

from __future__ import annotations

import math
import tokenize
from typing import BinaryIO

import numpy as np

from zoo.package_archive import PackageInvalid

MAXIMUM_ELEMENTS = 2**28


def _refuse(name: str, reason: str) -> PackageInvalid:
    return PackageInvalid(f"The test tensor {name!r} is not accepted: {reason}.", "Save it with numpy.save as numbers.")


def check_npy(name: str, file: BinaryIO, size: int) -> None:
    """Raise `PackageInvalid` unless the `size` bytes of `file` are an array of numbers."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, EOFError, OverflowError, RecursionError, TypeError, tokenize.TokenError) as error:
        raise _refuse(name, "it is no .npy file") from error
    if dtype.kind not in "fiub":
        raise _refuse(name, "it holds objects, which can be programs" if dtype.hasobject else "it holds no numbers")
    elements = math.prod(shape)
    if elements > MAXIMUM_ELEMENTS or any(side < 1 for side in shape):
        raise _refuse(name, f"it says that it has {elements:.1e} numbers")
    if size - file.tell() != elements * dtype.itemsize:
        raise _refuse(name, "it is shorter or longer than it says")
