"""Run by `zoo/hdf5_file.py` in a process of its own: walks a file and prints "begun" and then
`{"reason": ...}`, empty if harmless.

Links are looked at before they are followed, and `visititems`, which follows them, is never called.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys

import h5py

MAXIMUM_OBJECTS = 20_000
MAXIMUM_DEPTH = 40
# A dataset may declare this much whatever it stores; beyond it, only so many times what it stores.
DECLARED_BYTES, DECLARED_RATIO = 64 * 2**20, 100
MEMORY_BYTES, PROCESSOR_SECONDS = 2 * 2**30, 60


def walk(file: h5py.File) -> str:
    """Why the file is refused, or nothing."""
    seen: set[object] = set()
    waiting: list[tuple[h5py.Group, int]] = [(file, 0)]
    while waiting:
        group, depth = waiting.pop()
        if depth > MAXIMUM_DEPTH:
            return "its groups are nested too deep"
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                return f"{name[:60]!r} in it is a link, which can lead out of the file"
            node = group[name]
            identity = h5py.h5o.get_info(node.id).addr
            if identity in seen:
                return "something in it lies at two places"
            seen.add(identity)
            if len(seen) > MAXIMUM_OBJECTS:
                return f"it holds more than {MAXIMUM_OBJECTS} groups and arrays"
            if isinstance(node, h5py.Group):
                waiting.append((node, depth + 1))
            elif reason := dataset_reason(name, node):
                return reason
    return ""


def dataset_reason(name: str, node: object) -> str:
    if not isinstance(node, h5py.Dataset):
        return f"{name[:60]!r} in it is no array"
    if node.external or node.is_virtual:
        return f"the array {name[:60]!r} in it lies in another file"
    if node.dtype.kind not in "fiubSO" or (node.dtype.kind == "O" and h5py.check_string_dtype(node.dtype) is None):
        return f"the array {name[:60]!r} in it holds no numbers"
    declared, stored = node.size * node.dtype.itemsize, node.id.get_storage_size()
    if declared > DECLARED_BYTES and declared > DECLARED_RATIO * max(1, stored):
        return f"the array {name[:60]!r} in it says that it is {declared:.1e} bytes, and stores {stored}"
    return ""


def limit() -> None:
    """Keep a crafted file from taking the machine; macOS does not know every limit."""
    limits = (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_CORE, 0),
    )
    for what, most in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def main() -> None:
    limit()
    # All that is needed is there; what goes wrong from here on is the file's fault.
    print("begun", flush=True)
    with h5py.File(sys.argv[1], "r", locking=False) as file:
        print(json.dumps({"reason": walk(file)}))


if __name__ == "__main__":
    main()
