"""What a `.keras` file may hold: layers of Keras itself, with settings that are data, and an HDF5 file of arrays.

Keras' safe mode refuses the worst of what a configuration can name, but holes in it were found again and again
(CVE-2025-1550, CVE-2025-8747, CVE-2025-9905, CVE-2026-1669). So the file is looked at as text first, and only names on
the short list here ever reach Keras.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.hdf5_file import check_hdf5
from zoo.package_archive import PackageInvalid, check_archive

MEMBERS = frozenset({"metadata.json", "config.json", "model.weights.h5"})
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAXIMUM_CONFIG = 16 * 2**20
MAXIMUM_DEPTH = 100
# Where the classes of a network come from; `keras.src` is how Keras itself writes models and older files their layers.
MODULE = re.compile(
    r"keras(\.src)?\.(layers|initializers|regularizers|constraints|activations|dtype_policies|models|ops|quantizers)"
    r"(\.[a-z0-9_]+)*|keras"
)
# Classes begin with a capital; Keras also has functions, such as one that fetches files.
CLASS = re.compile(r"[A-Z][A-Za-z0-9]*")
WITHOUT_MODULE = frozenset({"__keras_tensor__", "__tuple__", "__typespec__", "__ellipsis__"})
# Classes of Keras that run programs, load other files, or read them.
REFUSED = {
    "Lambda": "a Lambda layer, which holds a program",
    "__lambda__": "a lambda, which is a program",
    "TFSMLayer": "a TFSMLayer, which loads another program",
    "TorchModuleWrapper": "a TorchModuleWrapper, which holds a program",
    "JaxLayer": "a JaxLayer, which holds a program",
    "FlaxLayer": "a FlaxLayer, which holds a program",
    "StringLookup": "a StringLookup layer, which can read files",
    "IntegerLookup": "an IntegerLookup layer, which can read files",
    "TextVectorization": "a TextVectorization layer, which can read files",
    "HashedCrossing": "a HashedCrossing layer, which works on words",
}
HINT = "Build the network of Keras' own layers, without Lambda and custom classes, and save it with model.save."


def _refuse(reason: str) -> PackageInvalid:
    return PackageInvalid(f"The Keras file is not accepted: {reason}.", HINT)


def check_keras_file(path: Path, maximum_bytes: int, folder: Path) -> None:
    """Raise `ArchiveRefused` or `PackageInvalid` unless the `.keras` file at `path` is harmless; works in `folder`."""
    with path.open("rb") as file:
        if file.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
            raise _refuse("it is a network in the old HDF5 form, which can hold programs")
    check_archive(path, maximum_bytes)
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if names - MEMBERS:
            raise _refuse(f"it holds {min(names - MEMBERS)!r}, which belongs in no network")
        if MEMBERS - names:
            raise _refuse(f"it lacks {min(MEMBERS - names)}")
        if archive.getinfo("config.json").file_size > MAXIMUM_CONFIG:
            raise _refuse(f"its config.json is larger than {MAXIMUM_CONFIG // 2**20} MiB")
        check_config(archive.read("config.json"))
        weights = Path(archive.extract("model.weights.h5", folder))
    check_hdf5(weights)


def check_config(text: bytes) -> None:
    """Raise `PackageInvalid` unless every class that the configuration names is a harmless one of Keras."""
    try:
        config = json.loads(text)
        entries = list(_entries(config, 0))
    except (ValueError, RecursionError):
        raise _refuse("its config.json is not JSON, or nested too deep") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise _refuse("its config.json describes no network")
    for entry in entries:
        _check_entry(entry)


def _check_entry(entry: dict[str, Any]) -> None:
    name, module, registered = entry.get("class_name"), entry.get("module"), entry.get("registered_name")
    if not isinstance(name, str):
        raise _refuse("a class in it has no name")
    if name in REFUSED:
        raise _refuse(f"it has {REFUSED[name]}")
    if module is None:
        # Old files name layers without a module; Keras then looks among its own classes, and registered ones.
        if name in WITHOUT_MODULE or (registered in (None, name) and CLASS.fullmatch(name)):
            return
        raise _refuse(f"it names {name[:60]!r} without saying where it comes from")
    if name == "function" and module == "builtins":
        if not re.fullmatch(r"[a-z_0-9]+", str(entry.get("config", ""))) or registered not in (None, "function"):
            raise _refuse("it names a function that is none of Keras'")
        return
    if not isinstance(module, str) or not MODULE.fullmatch(module) or not CLASS.fullmatch(name):
        raise _refuse(f"it names {name[:60]!r} of {str(module)[:60]!r}, which is not part of Keras")
    if registered is not None and (not isinstance(registered, str) or registered.rpartition(">")[2] != name):
        raise _refuse(f"it registers {name[:60]!r} under another name")


def _entries(node: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Everything in a configuration that names a class, at any depth."""
    if depth > MAXIMUM_DEPTH:
        raise RecursionError
    if isinstance(node, dict):
        if "class_name" in node:
            yield node
        for key, value in node.items():
            if key == "vocabulary" and value is not None:
                raise _refuse("it names a vocabulary, which can be a file of this machine")
            yield from _entries(value, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _entries(value, depth + 1)
