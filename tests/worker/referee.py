"""Run by the Python of `.venv/referee`, where bioimageio.core is: what it makes of operators and of whole packages.

`referee.py operators FOLDER` reads cases.json and arrays.npz of the folder and writes made.npz; a case has `dims`,
`operators` and `place` (input | output), its tensor is the array `tensor<index>`, for outputs the input is
`input<index>`. `referee.py packages ZIP...` prints a line of JSON for each: the status of its own test, its errors.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")


def operators(folder: Path) -> None:
    from loguru import logger

    logger.remove()
    arrays = np.load(folder / "arrays.npz")
    made = {}
    for index, case in enumerate(json.loads((folder / "cases.json").read_text())):
        judge = processed_input if case["place"] == "input" else processed_output
        try:
            made[f"made{index}"] = judge(case, arrays[f"tensor{index}"], arrays[f"input{index}"])
        except Exception as error:
            made[f"error{index}"] = np.array(f"{type(error).__name__}: {error}")
    np.savez(folder / "made.npz", **made)


def processed_input(case: dict[str, Any], array: np.ndarray, _: np.ndarray) -> np.ndarray:
    from bioimageio.core import Sample, Tensor
    from bioimageio.core.proc_setup import get_pre_and_postprocessing

    sample = Sample(members={"image": Tensor.from_numpy(array, dims=case["dims"])}, stat={}, id=None)
    get_pre_and_postprocessing(model(case, array), dataset_for_initial_statistics=[]).pre(sample)
    return sample.members["image"].to_numpy()


def processed_output(case: dict[str, Any], array: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Operator by operator: the pipeline of 0.11 measures outputs before there are any, and fails."""
    from bioimageio.core import Sample, Tensor
    from bioimageio.core.proc_ops import get_proc
    from bioimageio.core.stat_calculators import compute_measures

    sample = Sample(
        members={
            "image": Tensor.from_numpy(given, dims=case["dims"]),
            "maps": Tensor.from_numpy(array, dims=case["dims"]),
        },
        stat={},
        id=None,
    )
    described = model(case, array).outputs[0]
    for entry in described.postprocessing:
        operator = get_proc(entry, described)
        sample.stat = compute_measures(operator.required_measures, [sample])
        operator(sample)
    return sample.members["maps"].to_numpy()


def model(case: dict[str, Any], array: np.ndarray) -> Any:
    from bioimageio.spec.model import v0_5

    def axes(space: type) -> list[Any]:
        made: list[Any] = []
        for name, size in zip(case["dims"], array.shape, strict=True):
            if name == "batch":
                made.append(v0_5.BatchAxis())
            elif name == "channel":
                made.append(v0_5.ChannelAxis(channel_names=[f"c{index}" for index in range(size)]))
            else:
                made.append(space(id=v0_5.AxisId(name), size=size))
        return made

    given, made = (case["operators"], []) if case["place"] == "input" else ([], case["operators"])
    image = v0_5.InputTensorDescr(id="image", axes=axes(v0_5.SpaceInputAxis), preprocessing=given)
    maps = v0_5.OutputTensorDescr(id="maps", axes=axes(v0_5.SpaceOutputAxis), postprocessing=made)
    return v0_5.ModelDescr.model_construct(inputs=[image], outputs=[maps])


def packages(paths: list[str]) -> None:
    from bioimageio.core import load_model_description, test_model
    from loguru import logger

    logger.remove()
    for path in paths:
        summary = test_model(load_model_description(path, perform_io_checks=False))
        errors = [error.msg for detail in summary.details for error in detail.errors]
        print(json.dumps({"package": Path(path).name, "status": summary.status, "errors": errors[:3]}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "operators":
        operators(Path(sys.argv[2]))
    else:
        packages(sys.argv[2:])
