"""The one shape of an error, in every module of the zoo."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest

import zoo
from zoo.errors import Unavailable, UserError, ZooscopeError


def error_classes() -> list[type[ZooscopeError]]:
    for module in pkgutil.iter_modules(zoo.__path__, "zoo."):
        importlib.import_module(module.name)
    found: list[type[ZooscopeError]] = [ZooscopeError]
    for known in found:
        found.extend(child for child in known.__subclasses__() if child not in found)
    return [error for error in found if error.__module__.startswith("zoo.")]


def test_the_shape() -> None:
    error = UserError("The region is empty.", "Draw it larger.")
    assert str(error) == error.message == "The region is empty."
    assert error.to_json() == {
        "error": {"code": "bad-request", "message": "The region is empty.", "hint": "Draw it larger."}
    }
    assert error.status == 400


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_has_a_code_and_a_fitting_status(error: type[ZooscopeError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.code)
    assert 400 <= error.status < 600
    assert issubclass(error, UserError) == (error.status < 500)
    assert issubclass(error, Unavailable) == (error.status == 503)


def test_a_code_of_one_error_is_not_that_of_another() -> None:
    codes: dict[str, type[ZooscopeError]] = {}
    for error in error_classes():
        if "code" in vars(error):
            known = codes.setdefault(error.code, error)
            assert known is error, f"{error.__name__} and {known.__name__} are both {error.code!r}"


def test_unavailable_says_when_to_come_back() -> None:
    assert Unavailable.retry_after_seconds > 0
    assert inspect.isclass(Unavailable)
