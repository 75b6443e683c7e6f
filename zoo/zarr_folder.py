"""An OME-Zarr that is a folder, read as if it were a zip: for files of one's own, on the command line."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

METADATA = (".zattrs", "zarr.json")
# Metadata stand at the top, or in the folders of an image's series.
DEEPEST = 2
MOST_FOLDERS = 64


@dataclass(frozen=True)
class Member:
    """A file of the folder, with what is asked of a zip's."""

    filename: str
    file_size: int
    flag_bits: int = 0
    compress_type: int = zipfile.ZIP_STORED


class ZarrFolder:
    """The files below a folder by their names, as `zipfile.ZipFile` has them; chunks are not listed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def namelist(self) -> list[str]:
        """The names of the metadata near the top."""
        names, folders = list[str](), [self.folder]
        for _ in range(DEEPEST):
            names += [
                (folder / name).relative_to(self.folder).as_posix()
                for folder in folders
                for name in METADATA
                if (folder / name).is_file()
            ]
            folders = [inner for folder in folders for inner in sorted(folder.iterdir()) if inner.is_dir()]
            folders = folders[:MOST_FOLDERS]
        return names

    def getinfo(self, name: str) -> Member:
        """Raises KeyError when there is none."""
        path = self._path(name)
        if not path.is_file():
            raise KeyError(name)
        return Member(name, path.stat().st_size)

    def read(self, member: Member) -> bytes:
        return self._path(member.filename).read_bytes()

    def _path(self, name: str) -> Path:
        inner = PurePosixPath(name)
        if inner.is_absolute() or ".." in inner.parts:
            raise KeyError(name)
        return self.folder / inner
