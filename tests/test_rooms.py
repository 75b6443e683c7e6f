"""The house rules of the source tree, checked on the tree itself: who imports whom, and what a module looks like."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("zoo", "scheduler", "worker", "web")
LONGEST_MODULE_LINES = 350

# A room and the modules of other rooms it may import: a whole room, or one module of it.
MAY_IMPORT = {
    "zoo": (),
    "scheduler": ("zoo",),
    "worker": ("zoo", "scheduler.contract"),
    "web": ("zoo", "scheduler"),
}
# A library and the only rooms that may import it.
KEPT_IN = {
    "tensorflow": ("worker",),
    "keras": ("worker",),
    "onnxruntime": ("worker",),
    "greenstalk": ("scheduler",),
    "requests": ("worker", "scheduler", "zoo"),
    "datacite": ("zoo",),
    "gunicorn": ("web",),
    "sqlite3": ("zoo",),
    "flask": ("web", "scheduler"),
    "bioimageio": ("zoo",),
}


def modules(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py")) if "node_modules" not in path.parts]


def imported(tree: ast.AST, package: str) -> Iterator[tuple[str, int]]:
    """Every imported module's full name with its line, wherever in the file; `package` resolves relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(f"{allowed}.")


def broken_rules(source: str, room: str, package: str) -> list[str]:
    broken = []
    for name, line in imported(ast.parse(source), package):
        top = name.split(".")[0]
        if top in ROOMS and top != room and not any(within(name, allowed) for allowed in MAY_IMPORT[room]):
            broken.append(f"line {line}: {room} must not import {name}")
        if room not in KEPT_IN.get(top, (room,)):
            broken.append(f"line {line}: {top} belongs to {' and '.join(KEPT_IN[top])}")
    return broken


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down_only(room: str) -> None:
    broken = []
    for path in modules(room):
        package = ".".join(path.relative_to(ROOT).parent.parts)
        broken += [f"{path.relative_to(ROOT)} {rule}" for rule in broken_rules(path.read_text(), room, package)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("zoo", "def late():\n    from scheduler import contract"),
        ("worker", "from scheduler import queue"),
        ("worker", "from scheduler.queue import Queue"),
        ("web", "import tensorflow as tf"),
        ("web", "from worker.engine import run"),
        ("zoo", "from keras.models import load_model"),
    ],
)
def test_the_import_rules_see_a_breach(room: str, source: str) -> None:
    assert broken_rules(source, room, f"{room}.inner")


def test_the_contract_is_all_a_worker_may_import_of_the_scheduler() -> None:
    assert not broken_rules("from scheduler import contract\nfrom scheduler.contract import PREFIX", "worker", "worker")


def test_the_front_door_imports_no_room_at_the_start() -> None:
    tree = ast.parse((ROOT / "zooscope.py").read_text())
    names = {name for name, _ in imported(ast.Module(tree.body, []), "")}
    assert {name for name in names if name.split(".")[0] in ROOMS} == {"zoo.errors.ZooscopeError"}


@pytest.mark.parametrize("path", modules(*ROOMS), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_stays_short(path: Path) -> None:
    source = path.read_text()
    if path.name != "__init__.py" or source.strip():
        assert ast.get_docstring(ast.parse(source)), "a module begins with a docstring that says what it is"
    assert source.count("\n") <= LONGEST_MODULE_LINES, "one module, one subject: split it"


def test_rooms_say_what_lives_in_them() -> None:
    for room in ROOMS:
        assert ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())), room


def committed_text() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if not (ROOT / name).is_file():
            continue
        try:
            yield name, (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_registry_or_a_machine() -> None:
    # In pieces, so that this file is held to its own rule.
    hosts = ("python" + "hosted.org", "pypi." + "org/simple", "registry." + "npmjs", "registry." + "yarnpkg")
    places = tuple(f"/{folder}/" for folder in ("work", "home", "root", "Users"))
    found = [
        f"{name}: {word}"
        for name, text in committed_text()
        for word in hosts + (places if name.endswith((".py", ".sh", ".js", ".toml", "Makefile")) else ())
        if word in text
    ]
    assert not found, "\n".join(found)


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X:")
    code = (".py", ".js", ".css", ".html", ".sh")
    found = [
        f"{name}: {mark}" for name, text in committed_text() if name.endswith(code) for mark in marks if mark in text
    ]
    assert not found, "\n".join(found)
