"""Lines that open a model elsewhere: other programs, Python, this command line, the API, another site's page.

Each is filled in with the real addresses, file names and checksums, ready to be copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from web.files import download_name

# The weights that a program can run, as the standard names their formats.
FIJI_FORMATS = ("onnx", "torchscript", "tensorflow_saved_model_bundle")
ILASTIK_FORMATS = ("onnx", "torchscript", "pytorch_state_dict")
FORMAT_NAMES = {
    "keras_v3": "Keras 3",
    "keras_hdf5": "Keras HDF5",
    "onnx": "ONNX",
    "torchscript": "TorchScript",
    "pytorch_state_dict": "PyTorch",
    "tensorflow_saved_model_bundle": "TensorFlow",
}
# With it comes what runs the weights; a newer pydantic breaks the release that is pinned.
CORE = '"bioimageio.core[{extra}]==0.11.0" "pydantic<2.14"'
EMBED_SIZE = (360, 440)
# What brings any picture to the channels of a network.
_CHANNEL_LINES = {
    1: ("image = image if image.ndim == 2 else image.mean(-1)  # y, x",),
    3: ("image = (image if image.ndim == 3 else image[..., None].repeat(3, -1))[..., :3]  # y, x, channel",),
}


@dataclass(frozen=True)
class Way:
    """A program: what to do in words, and lines to copy; `works` is false where it cannot run these weights."""

    name: str
    words: str
    code: str = ""
    works: bool = True


def package_name(model: Mapping[str, Any]) -> str:
    return f"{download_name(model['id'], model['version'])}.zip"


def package_url(model: Mapping[str, Any], root: str) -> str:
    return f"{_api(model, root)}/package.zip"


def download_line(model: Mapping[str, Any], root: str) -> str:
    """Shell lines that fetch the package, go on where a transfer broke off, and check what came."""
    name = package_name(model)
    return (
        f'curl --fail --location --continue-at - --output {name} "{package_url(model, root)}"\n'
        f'echo "{model["package_sha256"]}  {name}" | sha256sum --check'
    )


def ways(model: Mapping[str, Any], root: str) -> list[Way]:
    """How the package of a version is opened in other programs."""
    name, url = package_name(model), package_url(model, root)
    whole = f"{model['id']}@{model['version']}"
    return [
        Way(
            "This command line",
            "Fetches the package, checks it, and runs it on an image of yours, without a server.",
            f"zooscope fetch {whole} --server {root}\nzooscope preview your-image.tif --model {name} --out out/",
        ),
        Way(
            "A shell",
            "Fetches the package, goes on where a transfer broke off, and checks what came.",
            download_line(model, root),
        ),
        Way(
            "Python",
            "With bioimageio.core, the standard's own library.",
            f"pip install {CORE.format(extra=_extra(model))}\n\n# then, in Python\n{python_lines(model, root)}",
            bool(model.get("network", True)),
        ),
        Way(
            "napari",
            "Runs the model as in Python above, and looks at the result.",
            f"{python_lines(model, root)}\n{_napari_lines(model)}",
            bool(model.get("network", True)) and bool(_to_tensor(model)),
        ),
        _program(
            model,
            "deepImageJ",
            "In Fiji: Plugins > DeepImageJ > DeepImageJ Install Model. Choose the file, or paste its address.",
            url,
            FIJI_FORMATS,
        ),
        _program(
            model,
            "ilastik",
            "Start a project Neural Network Classification (Local); on its page NN Prediction drop the file or paste "
            "its path.",
            name,
            ILASTIK_FORMATS,
        ),
    ]


def _program(model: Mapping[str, Any], name: str, words: str, code: str, formats: tuple[str, ...]) -> Way:
    """A program that runs some formats of weights only."""
    has = _formats(model)
    if not model.get("network", True):
        return Way(name, f"{name} runs networks, and this method has none.", works=False)
    if not set(has) & set(formats):
        told = ", ".join(FORMAT_NAMES.get(one, one) for one in has)
        taken = ", ".join(FORMAT_NAMES[one] for one in formats)
        return Way(name, f"{name} runs {taken}; this package has its weights for {told} only.", works=False)
    return Way(name, words, code)


def _formats(model: Mapping[str, Any]) -> list[str]:
    return list(model.get("weights_formats") or [model["weights_format"]])


def _extra(model: Mapping[str, Any]) -> str:
    return "onnx" if "onnx" in _formats(model) else "tensorflow"


def _to_tensor(model: Mapping[str, Any]) -> str:
    """A Python expression for the network's input from `image`, a plane (y, x) or (y, x, channel); or empty."""
    axes, single = model.get("axes", ""), model.get("channels", 1) == 1
    if axes not in ("byxc", "bcyx"):
        return ""
    if single:
        return "image[None, :, :, None]" if axes == "byxc" else "image[None, None]"
    return "image[None]" if axes == "byxc" else "image.transpose(2, 0, 1)[None]"


def python_lines(model: Mapping[str, Any], root: str) -> str:
    """Python that fetches the package, checks it and, where the axes are plain, runs it on an image."""
    name, expression = package_name(model), _to_tensor(model)
    lines = [
        "from urllib.request import urlretrieve",
        "",
        "from bioimageio.core import load_model_description, test_model",
        "",
        f'urlretrieve("{package_url(model, root)}", "{name}")',
        f'model = load_model_description("{name}")',
        "print(test_model(model).status)",
    ]
    if expression:
        names = {"b": "batch", "c": "channel", "y": "y", "x": "x"}
        dims = ", ".join(f'"{names[axis]}"' for axis in model["axes"])
        channels = model.get("channels", 1)
        lines[2:3] = [
            "import imageio.v3 as iio",
            "from bioimageio.core import Tensor, load_model_description, predict, test_model",
        ]
        lines += [
            "",
            'image = iio.imread("your-image.tif").astype("float32")',
            *_CHANNEL_LINES.get(channels, (f"# image must be y, x, channel, with {channels} channels",)),
            f"tensor = Tensor.from_numpy({expression}, dims=({dims}))",
            "maps = predict(model=model, inputs={model.inputs[0].id: tensor}).members",
            "print({name: tuple(map_.sizes.values()) for name, map_ in maps.items()})",
        ]
    return "\n".join(lines)


def _napari_lines(model: Mapping[str, Any]) -> str:
    channel = {"byxc": 3, "bcyx": 1}.get(model.get("output_axes") or model.get("axes", ""), 1)
    return (
        "\nimport napari\n\nviewer = napari.Viewer()\nviewer.add_image(image)\n"
        "for name, map_ in maps.items():\n"
        f"    viewer.add_image(map_.data.data[0], name=str(name), channel_axis={channel - 1})\n"
        "napari.run()"
    )


def api_examples(model: Mapping[str, Any], root: str) -> dict[str, str]:
    """A preview of an image on this service, from a shell and from Python: {language: lines}."""
    id, version = model["id"], model["version"]
    asked = json.dumps({"image": "$image", "models": [{"id": id, "version": version}]}).replace('"', '\\"')
    shell = (
        f"ZOOSCOPE={root}\n"
        'image=$(curl -sS --fail -c cookies -b cookies -F "file=@your-image.png" "$ZOOSCOPE/api/v1/images" \\\n'
        "  | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"id\"])')\n"
        "job=$(curl -sS --fail -c cookies -b cookies \\\n"
        f'  --json "{asked}" \\\n'
        '  "$ZOOSCOPE/api/v1/jobs" | python3 -c \'import json, sys; print(json.load(sys.stdin)["jobs"][0]["uuid"])\')\n'
        "# ends when the preview is done\n"
        'curl -sS --fail -N "$ZOOSCOPE/api/v1/jobs/$job/events" > events\n'
        'curl -sS --fail -o result.zip "$ZOOSCOPE/api/v1/jobs/$job/result.zip"\n'
        'echo "$ZOOSCOPE/r/$job"'
    )
    python = (
        "import time\n\nimport requests\n\n"
        f'zooscope = "{root}"\n'
        "session = requests.Session()  # its cookie says which uploads are yours\n\n"
        'with open("your-image.png", "rb") as file:\n'
        '    image = session.post(f"{zooscope}/api/v1/images", files={"file": file}).json()\n'
        f'body = {{"image": image["id"], "models": [{{"id": "{id}", "version": "{version}"}}]}}\n'
        'job = session.post(f"{zooscope}/api/v1/jobs", json=body).json()["jobs"][0]\n'
        'while job["state"] not in ("done", "failed", "cancelled"):\n'
        "    time.sleep(0.5)\n"
        "    job = session.get(f\"{zooscope}/api/v1/jobs/{job['uuid']}\").json()\n"
        'print(job["state"], f"{zooscope}/r/{job[\'uuid\']}")\n'
        "table = session.get(f\"{zooscope}/api/v1/jobs/{job['uuid']}/files/objects.csv\").text"
    )
    return {"curl": shell, "Python": python}


def embed_snippet(model: Mapping[str, Any], root: str) -> str:
    width, height = EMBED_SIZE
    return (
        f'<iframe src="{root}/embed/models/{quote(model["id"])}" title="{escape(model["name"])}, a model on Zooscope"\n'
        f'  width="{width}" height="{height}" loading="lazy"></iframe>'
    )


def _api(model: Mapping[str, Any], root: str) -> str:
    return f"{root}/api/v1/models/{quote(model['id'])}/versions/{quote(model['version'])}"
