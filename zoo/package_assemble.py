"""From a draft to a package: what was typed and uploaded becomes a bioimage.io 0.5 zip, or changes the one uploaded.

A bare network becomes a package without test tensors; the check makes them and enters them with `amend`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.keras_graph import read_keras
from zoo.network_facts import NetworkFacts
from zoo.onnx_file import APART_BYTES
from zoo.onnx_graph import read_onnx
from zoo.package_amend import DESCRIPTION, amend, cover_suffix, describe, write
from zoo.package_archive import PackageInvalid
from zoo.package_fields import FIELDS, number, text, texts, whole
from zoo.package_head_form import head_of
from zoo.package_inspect import KERAS, ZIP_MAGIC, inspect_file
from zoo.package_missing import missing
from zoo.package_words import TASK_WORDS, about_of, card_of, description_words, fields_of
from zoo.packages import read_package
from zoo.settings import Settings

__all__ = ["amend", "assemble", "identifier", "missing"]

FORMAT = "0.5.12"
KERAS_BACKEND = "2.21.0"
OLDEST_OPSET = 7
# Fields of a package that came whole which its author may reword; the others say how it works, and stay.
REWORDED = ("name", "description", "authors", "cite", "license", "tags", "id", "version")


def assemble(
    fields: Mapping[str, Any], files: Mapping[str, Path], out: Path, *, names: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Path:  # fmt: skip
    """Write the package of a draft to `out`; `files` are those of its roles, `names` what their owner calls them.

    A package that was uploaded whole is kept byte for byte unless something of it was reworded. Raises
    `PackageInvalid` for what `missing` lists, and for a package that could not be read back.
    """
    settings = settings or Settings()
    if lacking := missing(fields, files.keys()):
        raise PackageInvalid(lacking[0]["sentence"], "Fill in the form; it says what is missing.")
    if "package" in files:
        _reword(fields, files["package"], out, files.get("cover"), settings)
    else:
        _describe(fields, files, out, (names or {}).get("test_image", ""))
    read_package(out, settings)
    return out


def _reword(fields: Mapping[str, Any], path: Path, out: Path, cover: Path | None, settings: Settings) -> None:
    """The uploaded package with the words of the form, where they are others than its own."""
    package = read_package(path, settings)
    told = fields_of(package)
    names = [field.name for field in FIELDS if not field.bare] + ["head"]
    changed = {name for name in names if (fields.get(name) or None) != told.get(name)}
    if not changed and cover is None:
        shutil.copyfile(path, out)
        return
    before, after = description_words(told), description_words(fields)
    words = {name: after.get(name, []) for name in REWORDED if after.get(name) != before.get(name)}
    # What cards and lists say of a model; packages from elsewhere lack it.
    said = {"finds": (package.finds, "structure"), "images": (package.images, "modality")}
    ours: dict[str, Any] = {
        name: ", ".join(texts(fields, source)) for name, (there, source) in said.items() if not there
    }
    if "not_for" in changed:
        ours["not_for"] = text(fields, "not_for")
    if "pixel_size_um" in changed and (size := number(fields, "pixel_size_um")) is not None:
        ours["pixel_size"] = {"value_um": size}
    if "head" in changed and fields.get("head"):
        ours["head"] = head_of({**fields, "output_channels": package.output_channels})
    about = about_of(fields, "onnx" if package.weights_format == "onnx" else "keras")
    card = card_of(fields) if "card" in changed else None
    amend(path, out, words=words, about=about, zooscope=ours, card=card, cover=cover)


def identifier(name: str) -> str:
    """A channel's name as the standard has them: letters, digits and underscores, not beginning with a digit."""
    plain = re.sub(r"\W+", "_", name.strip(), flags=re.ASCII).strip("_") or "channel"
    return f"_{plain}" if plain[0].isdigit() else plain


def _describe(fields: Mapping[str, Any], files: Mapping[str, Path], out: Path, image_name: str) -> None:
    """A package of a bare network."""
    weights = files["weights"]
    facts = _facts(weights)
    weights_name = "model.keras" if facts.framework == KERAS else "model.onnx"
    card = card_of(fields).encode()
    content: dict[str, Path | bytes] = {"README.md": card, weights_name: weights}
    raw: dict[str, Any] = {"type": "model", "format_version": FORMAT} | description_words(fields)
    raw["documentation"] = {"source": "README.md", "sha256": hashlib.sha256(card).hexdigest()}
    samples = []
    if "test_image" in files:
        name = f"sample{PurePosixPath(image_name).suffix.lower() or '.png'}"
        content[name] = files["test_image"]
        raw["attachments"] = [{"source": name, "sha256": _sha256(files["test_image"])}]
        samples = [{"file": name, "title": text(fields, "sample_title") or "Test image",
                    "origin": text(fields, "sample_origin"), "licence": text(fields, "sample_licence"),
                    "pixel_size_um": number(fields, "pixel_size_um")}]  # fmt: skip
    if "cover" in files:
        name = f"cover{cover_suffix(files['cover'])}"
        content[name] = files["cover"]
        raw["covers"] = [{"source": name, "sha256": _sha256(files["cover"])}]
    stride, cell, halo = whole(fields, "stride") or 1, whole(fields, "output_stride") or 1, _halo(fields, facts)
    raw["inputs"] = [_input(fields, facts, stride, halo)]
    raw["outputs"] = [_output(fields, facts, cell, halo)]
    raw["weights"] = _weights(facts, weights_name, _sha256(weights))
    about = about_of(fields, facts.framework)
    raw["config"] = {
        "bioimageio": {"task": TASK_WORDS[text(fields, "task")], "target_structure": texts(fields, "structure"),
                       "modality": ", ".join(texts(fields, "modality"))},
        "zooscope": {"about": about, "head": head_of(fields), "stride": stride, "halo": halo, "samples": samples,
                     "finds": ", ".join(texts(fields, "structure")), "images": ", ".join(texts(fields, "modality"))}
        | ({"not_for": text(fields, "not_for")} if text(fields, "not_for") else {})
        # Grey images are shown to a network of colours as they are looked at.
        | ({"input": {"grey_to_rgb": True}} if _is_rgb(texts(fields, "channel_names")) else {}),
    }  # fmt: skip
    write(out, {DESCRIPTION: describe(raw)} | content)


def _facts(weights: Path) -> NetworkFacts:
    if weights.stat().st_size > APART_BYTES:
        return NetworkFacts(**inspect_file(weights, "").facts)
    with weights.open("rb") as file:
        return read_keras(weights) if file.read(4) == ZIP_MAGIC else read_onnx(weights)


def _is_rgb(channels: list[str]) -> bool:
    return [name.lower() for name in channels] in (["red", "green", "blue"], ["r", "g", "b"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _halo(fields: Mapping[str, Any], facts: NetworkFacts) -> int:
    """Pixels of the input, whole cells; of a network of one size at most a quarter of it, so that something is left."""
    cell = whole(fields, "output_stride") or 1
    halo = whole(fields, "halo") or 0
    if facts.input_size:
        halo = min(halo, min(facts.input_size) // 4)
    return halo // cell * cell


def _space(fields: Mapping[str, Any]) -> dict[str, Any]:
    size = number(fields, "pixel_size_um")
    return {} if size is None else {"unit": "micrometer", "scale": round(size, 8)}


def _input(fields: Mapping[str, Any], facts: NetworkFacts, stride: int, halo: int) -> dict[str, Any]:
    # More than both halos must be left of a tile.
    least = -(-max(whole(fields, "minimum_size") or 1, 2 * halo + 1, stride) // stride) * stride
    sides: Any = dict(zip("yx", facts.input_size, strict=True)) if facts.input_size else {}
    axes = []
    for letter in text(fields, "axes"):
        size = sides.get(letter, {"min": least, "step": stride})
        axes.append(_axis(letter, texts(fields, "channel_names"), {"size": size} | _space(fields)))
        if letter == "b" and (facts.batch == 1 or "y" not in (facts.output_axes or "y")):
            axes[-1]["size"] = 1  # lists of different lengths make no batch
    none = text(fields, "normalisation") == "none"
    dtype = facts.dtype if none and facts.dtype != "other" else "float32"
    return {"id": "image", "axes": axes, "data": {"type": dtype}, "preprocessing": _preprocessing(fields, facts)}


def _axis(letter: str, channels: list[str], space: dict[str, Any]) -> dict[str, Any]:
    if letter == "b":
        return {"type": "batch"}
    if letter == "c":
        return {"type": "channel", "channel_names": _different([identifier(name) for name in channels])}
    if letter == "i":
        return {"type": "index", "size": {"min": 1}}
    return {"type": "space", "id": letter} | space


def _different(names: list[str]) -> list[str]:
    return [name if names.index(name) == at else f"{name}_{at + 1}" for at, name in enumerate(names)]


def _output(fields: Mapping[str, Any], facts: NetworkFacts, cell: int, halo: int) -> dict[str, Any]:
    space = _space(fields)
    pixel = space.get("scale", 1.0)
    axes = []
    for letter in text(fields, "output_axes") or facts.output_axes or text(fields, "axes"):
        size = {"size": {"tensor_id": "image", "axis_id": letter}, "scale": pixel * cell, "halo": halo // cell}
        axes.append(_axis(letter, texts(fields, "output_channels"), space | size))
    activation = text(fields, "activation")
    operators = {"sigmoid": [{"id": "sigmoid"}], "softmax": [{"id": "softmax", "kwargs": {"axis": "channel"}}]}
    return {"id": "maps", "axes": axes, "data": {"type": "float32"}, "postprocessing": operators.get(activation, [])}


def _preprocessing(fields: Mapping[str, Any], facts: NetworkFacts) -> list[dict[str, Any]]:
    chosen = text(fields, "normalisation")
    together = ["channel", "y", "x"] if "c" in text(fields, "axes") else ["y", "x"]
    axes = ["y", "x"] if chosen.endswith("-channel") else together
    percentiles = {"axes": axes, "min_percentile": 1.0, "max_percentile": 99.8}
    operators: dict[str, dict[str, Any]] = {
        "percentile": {"id": "scale_range", "kwargs": percentiles},
        "mean-std": {"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}},
        "divide-255": {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}},
    }
    operator = operators.get(chosen.removesuffix("-channel"))
    dtype = facts.dtype if facts.dtype != "other" else "float32"
    if operator is None:
        return [_typed(dtype)]
    return [_typed("float32"), operator, _typed(dtype)]


def _typed(dtype: str) -> dict[str, Any]:
    return {"id": "ensure_dtype", "kwargs": {"dtype": dtype}}


def _weights(facts: NetworkFacts, name: str, sha256: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"source": name, "sha256": sha256}
    if facts.framework == KERAS:
        entry |= {"keras_version": facts.version or "3.0.0", "backend": ["tensorflow", KERAS_BACKEND]}
        return {"keras_v3": entry}
    return {"onnx": entry | {"opset_version": max(OLDEST_OPSET, int(facts.version or OLDEST_OPSET))}}
