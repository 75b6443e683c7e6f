"""Train one seed model: `python -m worker.training nuclei --data ../shared/data --out build/nuclei`.

Run again after an interruption, it goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import logging
import math
from pathlib import Path

import keras

RECIPES = {
    "blood-cells": "worker.training.blood_cells",
    "nuclei": "worker.training.nuclei",
    "em-membranes": "worker.training.membranes",
    "em-mitochondria": "worker.training.mitochondria",
    "em-mitochondria-planes": "worker.training.mitochondria_planes",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.training", description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="a folder laid out as ../shared/data")
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints and the best weights go")
    parser.add_argument("--steps", type=int, help="optimiser steps, in place of the recipe's")
    parser.add_argument("--minutes", type=float, default=math.inf, help="save and end after this long, to be resumed")
    parser.add_argument("--dtype", default="mixed_bfloat16", help="keras dtype policy while training")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    keras.mixed_precision.set_global_policy(arguments.dtype)
    keras.utils.set_random_seed(7)
    recipe = importlib.import_module(RECIPES[arguments.recipe])
    plan = dataclasses.replace(recipe.PLAN, steps=arguments.steps or recipe.PLAN.steps, minutes=arguments.minutes)
    print(recipe.fit(arguments.data, arguments.out, plan))


if __name__ == "__main__":
    main()
