"""Our operators and our packages before the standard's own tool, bioimageio.core 0.11 in an environment of its own.

`make test` makes that environment (`install/packages.sh referee`); without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from worker.normalise import OPERATORS, apply_operators, preprocess
from worker.statistics import Measured

ROOT = Path(__file__).parent.parent.parent
REFEREE = ROOT / ".venv" / "referee" / "bin" / "python"
CASES = 400
DTYPES = ("uint8", "uint16", "int16", "float32", "float64")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REFEREE.exists(), reason="bioimageio.core is not installed: run `install/packages.sh referee`"
    ),
]


def referee(*arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "KERAS_BACKEND": "tensorflow"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [REFEREE, Path(__file__).parent / "referee.py", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def tensor(kind: str, dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = {
        "uniform": lambda: rng.uniform(0, 250, shape),
        "normal": lambda: rng.normal(3, 2, shape),
        "few": lambda: rng.integers(0, 4, shape),
        "constant": lambda: np.full(shape, 7.0),
    }[kind]()
    return (np.abs(values) if dtype.startswith("u") else values).astype(dtype)


# In core 0.11.
FAIL_AT_TRUTH_VALUES = ("sigmoid", "softmax", "clip", "scale_range")
FAIL_AT_UNSIGNED = ("softmax",)  # it takes the largest from all others: below zero begins at the top again
DIVIDED_BY_SPREAD = ("scale_range", "scale_mean_variance", "zero_mean_unit_variance")
NUMBERS = st.floats(-20, 20).map(lambda value: round(value, 3))
SPREADS = st.floats(0.01, 20).map(lambda value: round(value, 3))
# The description refuses a scaling that does nothing.
GAINS = SPREADS.filter(lambda value: value != 1)
OVER = st.one_of(
    st.none(),
    st.lists(st.sampled_from(["batch", "y", "x", "channel"]), min_size=1, unique=True).filter(
        lambda axes: axes != ["batch"]
    ),
)


@st.composite
def operator(draw: st.DrawFn, name: str, sizes: dict[str, int], last: str) -> dict[str, Any]:
    """One operator with arguments that the description allows for a tensor of these sizes."""
    axis = draw(st.sampled_from(["y", "x", "channel"]))
    low = draw(st.floats(0, 60).map(lambda value: round(value, 1)))
    high = draw(st.floats(61, 100).map(lambda value: round(value, 1)))
    over, eps = draw(OVER), draw(st.sampled_from([1e-6, 1e-3, 0.1]))
    along = draw(st.booleans())

    def values(each: st.SearchStrategy[float], axis: str) -> list[float]:
        return draw(st.lists(each, min_size=sizes[axis], max_size=sizes[axis]))

    kwargs: dict[str, Any] = {}
    match name:
        case "binarize":  # core 0.11 compares a list of thresholds with the last axis, whatever `axis` says
            along = along and last != "batch"
            kwargs = {"threshold": values(NUMBERS, last), "axis": last} if along else {"threshold": draw(NUMBERS)}
        case "clip" if along:
            kwargs = {"min_percentile": low, "max_percentile": high} | ({"axes": over} if over else {})
        case "clip":
            kwargs = {"min": draw(st.floats(-5, 0)), "max": draw(st.floats(0.5, 50))}
        case "ensure_dtype":
            kwargs = {"dtype": draw(st.sampled_from(["float32", "float64", "int32", "uint16", "bool"]))}
        case "fixed_zero_mean_unit_variance" if along:
            kwargs = {"mean": values(NUMBERS, axis), "std": values(SPREADS, axis), "axis": axis}
        case "fixed_zero_mean_unit_variance":
            kwargs = {"mean": draw(NUMBERS), "std": draw(SPREADS)}
        case "scale_linear" if along:
            kwargs = {"gain": values(GAINS, axis), "offset": values(NUMBERS, axis), "axis": axis}
        case "scale_linear":
            kwargs = {"gain": draw(GAINS), "offset": draw(NUMBERS)}
        case "scale_range":
            kwargs = {"min_percentile": low, "max_percentile": high, "eps": eps} | ({"axes": over} if over else {})
        case "scale_mean_variance":
            kwargs = {"reference_tensor": "image", "eps": eps} | ({"axes": over} if over else {})
        case "softmax":
            kwargs = {"axis": axis}
        case "zero_mean_unit_variance":
            kwargs = {"eps": eps} | ({"axes": over} if over else {})
    return {"id": name} | ({"kwargs": kwargs} if kwargs else {})


def fits(name: str, before: list[dict[str, Any]]) -> bool:
    """Whether core has an answer for this operator after those before it."""
    if not before:
        return True
    dtype = before[-1].get("kwargs", {}).get("dtype")
    if before[-1]["id"] == "binarize" or dtype == "bool":
        return name not in FAIL_AT_TRUTH_VALUES
    return dtype != "uint16" or name not in FAIL_AT_UNSIGNED


@st.composite
def case(draw: st.DrawFn) -> dict[str, Any]:
    place = draw(st.sampled_from(["input", "output"]))
    sizes = {
        "batch": 1,
        "y": draw(st.integers(1, 12)),
        "x": draw(st.integers(2, 12)),
        "channel": draw(st.integers(1, 4)),
    }
    dims = draw(st.permutations(list(sizes)))
    names = [name for name in sorted(OPERATORS) if place == "output" or name != "scale_mean_variance"]
    chain: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 3))):
        fitting = [name for name in names if fits(name, chain)]
        chain.append(draw(operator(draw(st.sampled_from(fitting)), sizes, dims[-1])))
    shape = tuple(sizes[name] for name in dims)
    kind, dtype = draw(st.sampled_from(["uniform", "normal", "few", "constant"])), draw(st.sampled_from(DTYPES))
    dtype = dtype if place == "input" else "float32"
    seed = draw(st.integers(0, 2**31))
    return {
        "place": place,
        "dims": dims,
        "operators": chain,
        "tensor": tensor(kind, dtype, shape, seed),
        "input": tensor("normal", "float32", shape, seed + 1),
    }


def drawn(count: int) -> list[dict[str, Any]]:
    """So many cases, the same every time: they go to the referee together, whose start takes seconds."""
    cases: dict[str, dict[str, Any]] = {}

    @settings(
        phases=[Phase.generate],
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case())
    def collect(each: dict[str, Any]) -> None:
        cases.setdefault(repr(each), each)

    collect()
    return list(cases.values())


def steady(each: dict[str, Any]) -> bool:
    """Whether rounding cannot turn the answer: nothing computed lies where an operator jumps, or has hardly a spread.

    Which cases are drawn is not for us to say: Hypothesis takes constants from the sources of the project.
    """
    for index, entry in enumerate(each["operators"]):
        before = ours(each | {"operators": each["operators"][:index]}).astype(np.float64)
        if entry.get("kwargs", {}).get("dtype") == "uint16" and (before < 0).any():
            return False  # what C does with it is for the machine to say
        if not index:
            continue
        if (np.abs(to_the_next_jump(before, entry)) < 1e-4).any():
            return False
        if entry["id"] in DIVIDED_BY_SPREAD and (spread(before, entry, each["dims"]) < 1e-2).any():
            return False
    return True


def to_the_next_jump(values: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    match entry["id"], entry.get("kwargs", {}).get("dtype"):
        case "binarize", _:
            return values - np.asarray(entry["kwargs"]["threshold"])
        case "ensure_dtype", "bool":
            return values
        case "ensure_dtype", "int32" | "uint16":
            return values - np.round(values)
    return np.ones(1)


def spread(values: np.ndarray, entry: dict[str, Any], dims: list[str]) -> np.ndarray:
    """What the operator divides by, as a share of the largest value."""
    kwargs = entry.get("kwargs", {})
    over = tuple(dims.index(name) for name in kwargs.get("axes") or dims)
    low, high = np.percentile(values, [kwargs.get("min_percentile", 0), kwargs.get("max_percentile", 100)], axis=over)
    return (high - low) / (1 + np.abs(values).max())


def ours(each: dict[str, Any]) -> np.ndarray:
    order = [each["dims"].index(name) for name in ("y", "x", "channel", "batch")]
    plane, image = (each[name].transpose(order)[..., 0] for name in ("tensor", "input"))
    if each["place"] == "input":
        made = preprocess(plane, each["operators"])
    else:
        made = apply_operators(plane, each["operators"], reference=Measured(image))
    return made[..., None].transpose(np.argsort(order))


def test_operators_agree_with_the_standard_s_tool(tmp_path: Path) -> None:
    cases = [each for each in drawn(CASES) if steady(each)]
    seen = {entry["id"] for each in cases for entry in each["operators"]}
    assert seen == set(OPERATORS), "an operator was never drawn"
    told = [{name: each[name] for name in ("place", "dims", "operators")} for each in cases]
    (tmp_path / "cases.json").write_text(json.dumps(told))
    arrays = {f"{name}{index}": each[name] for index, each in enumerate(cases) for name in ("tensor", "input")}
    np.savez(tmp_path / "arrays.npz", **arrays)
    referee("operators", str(tmp_path))
    made = np.load(tmp_path / "made.npz")
    wrong = []
    for index, each in enumerate(cases):
        if f"error{index}" in made:
            wrong.append(f"{told[index]}: the referee fails: {made[f'error{index}']}")
            continue
        theirs, mine = made[f"made{index}"].astype(np.float64), ours(each).astype(np.float64)
        if theirs.shape != mine.shape or not np.allclose(mine, theirs, rtol=1e-4, atol=1e-4):
            apart = np.abs(mine - theirs).max() if theirs.shape == mine.shape else "other shapes"
            wrong.append(f"{told[index]}, {each['tensor'].dtype}: {apart}")
    assert not wrong, f"{len(wrong)} of {len(cases)} differ:\n" + "\n".join(line[:600] for line in wrong[:12])


@pytest.mark.timeout(600)
def test_our_packages_pass_the_standard_s_own_test(tmp_path: Path) -> None:
    """And others', with ONNX weights, pass both: what the referee accepts, our engine reproduces."""
    from worker.check import reproduces
    from worker.inference import ModelCache
    from zoo.packages import read_package
    from zoo.settings import Settings

    seeds = sorted((ROOT / "zoo" / "seed").glob("*.zip"))
    files = [*seeds, foreign_package(tmp_path)]
    told = [json.loads(line) for line in referee("packages", *map(str, files)).splitlines() if line.startswith("{")]
    assert [(each["package"], each["status"]) for each in told] == [(file.name, "passed") for file in files], told
    models = ModelCache(Settings(cpu_threads=1), "cpu")
    for file in files:
        package = read_package(file, Settings())
        for frames in [None, *package.variant_tests]:
            found = reproduces(package, models, frames)
            assert found.agrees, f"{file.name}, {frames or 'all'} planes: {found.text}"


def foreign_package(folder: Path) -> Path:
    """Channels first, 16 bits in, operators before and after the network that measure its input and its output."""
    from standard_package import make_standard_package, onnx_weights, run_onnx, write_onnx

    given = np.random.default_rng(3).integers(90, 4000, (1, 2, 48, 56)).astype(np.uint16)
    before = [
        {"id": "clip", "kwargs": {"min_percentile": 1.0, "max_percentile": 99.0, "axes": ["y", "x"]}},
        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"]}},
    ]
    after = [
        {"id": "scale_linear", "kwargs": {"gain": [2.0, -1.0, 0.5], "offset": 0.25, "axis": "channel"}},
        {"id": "sigmoid"},
        {"id": "softmax", "kwargs": {"axis": "channel"}},
    ]
    low, high = np.quantile(given, [0.01, 0.99], axis=(0, 2, 3), keepdims=True, method="inverted_cdf")
    plane = (given.clip(low, high) - given.mean()) / (given.std() + 1e-6)
    network = write_onnx(folder / "network.onnx", channels=2, maps=3, activation="Identity")
    maps = run_onnx(network, plane.astype(np.float32))
    scaled = np.exp(1 / (1 + np.exp(-(maps * np.array([2, -1, 0.5]).reshape(1, 3, 1, 1) + 0.25))))
    made = (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)
    return make_standard_package(
        folder / "foreign.zip", onnx_weights(network), given, made, preprocessing=before, postprocessing=after
    )


@pytest.mark.timeout(600)
def test_what_a_check_makes_of_a_bare_network_passes_the_standard_s_own_test(tmp_path: Path) -> None:
    """A bare .keras, a bare .onnx, a detector that lists boxes, and a package that came whole, as the service makes
    them; and the next check of each reproduces what the first one wrote."""
    from check_packages import onnx_package

    files = [*bare_packages(tmp_path), onnx_package(tmp_path)]
    published = [checked_package(file, tmp_path / "published") for file in files]
    told = [json.loads(line) for line in referee("packages", *map(str, published)).splitlines() if line.startswith("{")]
    assert [(each["package"], each["status"]) for each in told] == [(file.name, "passed") for file in published], told
    for file in published:
        again = checked_package(file, tmp_path / "again")
        assert again.is_file()


def bare_packages(folder: Path) -> list[Path]:
    """Packages without test tensors, made of networks and of what their authors type."""
    from check_packages import box_lister, keras_network
    from standard_package import write_onnx

    from zoo.package_assemble import assemble
    from zoo.package_inspect import inspect_file

    words = {
        "version": "1.0.0", "description": "Finds what is bright.", "task": "segment", "structure": ["nucleus"],
        "modality": ["fluorescence microscopy"], "authors": [{"name": "Ada Tester"}], "licence": "CC-BY-4.0",
        "cite": [{"text": "A paper", "doi": "10.5281/zenodo.0"}], "sample_licence": "CC0-1.0",
        "channel_names": ["grey"], "normalisation": "percentile", "stride": "1",
    }  # fmt: skip
    boxes = ["x_min", "y_min", "x_max", "y_max", "score"]
    networks = {
        "bare-keras": (keras_network(folder / "bare.keras"), {"output_channels": ["bright"]}),
        "bare-onnx": (write_onnx(folder / "bare.onnx", maps=2), {"output_channels": ["one", "two"], "stride": "8"}),
        "bare-boxes": (
            box_lister(folder / "boxes.onnx"),
            {"axes": "byxc", "output_channels": boxes, "task": "detect",
             "head": {"kind": "boxes", "classes": ["cell"]}},
        ),
    }  # fmt: skip
    made = []
    for name, (weights, more) in networks.items():
        found = inspect_file(weights, weights.name)
        image = folder / f"{name}.tif"
        write_image(image)
        fields = found.fields | words | {"id": name, "name": name.replace("-", " ").title()} | more
        files = {"weights": weights, "test_image": image}
        made.append(assemble(fields, files, folder / f"{name}.zip", names={"test_image": image.name}))
    return made


def write_image(path: Path) -> None:
    import tifffile
    from check_packages import discs

    tifffile.imwrite(path, discs())


def checked_package(file: Path, folder: Path) -> Path:
    """The package as the service publishes it: checked on its own sample or tensor, what was found written into it."""
    from worker.check_job import CheckJob, run_check
    from worker.inference import ModelCache
    from zoo.check_input import check_input
    from zoo.images import decode_crop
    from zoo.package_checked import write_findings
    from zoo.packages import read_package
    from zoo.settings import Settings

    limits = Settings(cpu_threads=1)
    package = read_package(file, limits)
    given = check_input(package, None, "", "", limits)
    out = folder / file.stem
    out.mkdir(parents=True)
    job = CheckJob(file, decode_crop(given.crop), {}, given.source)
    run_check(job, ModelCache(limits, "cpu"), limits, out, lambda told: None, lambda line: None, lambda: False)
    report = json.loads((out / "report.json").read_text())
    assert report["passed"], report
    made = {path.name: path for path in out.iterdir()}
    return write_findings(package, report["ert"], made, folder / file.name, limits).path
