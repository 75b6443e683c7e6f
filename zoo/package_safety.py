"""Looking into the weights, test tensors and pictures of a stranger's package before anything opens them to run them.

Formats that can hold programs (HDF5 models, SavedModel, PyTorch's) are not looked into: without a review they never
run at all (`zoo/package_weights.py`).
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.images import inspect
from zoo.keras_file import check_keras_file
from zoo.npy_file import check_npy
from zoo.onnx_file import check_onnx
from zoo.package_archive import PackageInvalid
from zoo.settings import Settings

if TYPE_CHECKING:
    from zoo.packages import ModelPackage


def _check_picture(name: str, path: Path) -> None:
    try:
        inspect(path, name, Settings())
    except UserError as error:
        raise PackageInvalid(f"The picture {name[:80]!r} is not accepted: {error.message}", error.hint) from error
    finally:
        path.unlink()


def check_contents(package: ModelPackage) -> None:
    """Raise `PackageInvalid` or `ArchiveRefused`, with a sentence, unless the package's weights are harmless."""
    members = {package.weights_file, *package.variants.values()}
    tensors = {
        package.test_input,
        package.test_output,
        *(name for pair in package.variant_tests.values() for name in pair),
    }
    with zipfile.ZipFile(package.path) as archive, tempfile.TemporaryDirectory() as folder:
        for name in sorted(tensors - {""}):
            with archive.open(name) as file:
                check_npy(name, file, archive.getinfo(name).file_size)  # type: ignore[arg-type]
        pictures = {package.cover, package.cover_before, *(sample["file"] for sample in package.samples)}
        for name in sorted(pictures - {""}):
            _check_picture(name, Path(archive.extract(name, folder)))
        for number, name in enumerate(sorted(members)):
            here = Path(folder) / str(number)
            here.mkdir()
            if package.weights_format == "keras_v3":
                limit = 2 * archive.getinfo(name).file_size + 2**24
                check_keras_file(Path(archive.extract(name, here)), limit, here)
            elif package.weights_format == "onnx":
                check_onnx(Path(archive.extract(name, here)), package.weights_data)
