"""The container files, held to what can be checked without Docker: what they name exists, nothing is left open."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import zooscope
from scheduler.queue import MAXIMUM_BODY
from zoo.elasticsearch_server import VERSION
from zoo.settings import SETTINGS

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
GPU: dict[str, Any] = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLES = {setting.variable for setting in SETTINGS}
# Of the Compose specification; a key that is not known is refused by Compose.
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "env_file", "environment", "healthcheck", "image",
    "init", "networks", "ports", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs",
    "ulimits", "volumes",
}  # fmt: skip


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage of the Dockerfile, continued lines joined, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: dict[str, list[tuple[str, str]]] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            name = rest.split(" AS ")[1]
            found[name] = []
        found[name].append((instruction, " ".join(rest.split())))
    return found


STAGES = stages()


def in_context(path: str) -> bool:
    """Whether a file of the repository reaches the builder, by the rules of the ignore file."""
    kept = True
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern, keep = rule.removeprefix("!"), rule.startswith("!")
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        if any(fnmatch.fnmatch(each, pattern) or fnmatch.fnmatch(f"x/{each}", pattern) for each in above):
            kept = keep
    return kept


def test_base_images_have_a_version() -> None:
    bases = [rest.split()[0] for steps in STAGES.values() for name, rest in steps if name == "FROM"]
    assert all(re.fullmatch(r"[a-z]+:[a-z0-9.-]+", base) for base in bases), bases
    assert not [base for base in bases if base.endswith(":latest")]


@pytest.mark.parametrize("name", ["queue", "zooscope"])
def test_what_runs_is_not_root(name: str) -> None:
    users = [rest for instruction, rest in STAGES[name] if instruction == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    after = [instruction for instruction, _ in STAGES[name][STAGES[name].index(("USER", users[-1])) :]]
    assert "RUN" not in after


def test_nothing_unverified_is_installed() -> None:
    runs = [rest for steps in STAGES.values() for name, rest in steps if name == "RUN"]
    assert not [name for steps in STAGES.values() for name, _ in steps if name == "ADD"]
    for run in runs:
        assert not re.search(r"curl|wget|\bsudo\b|chmod 777", run)
        for install in re.findall(r"pip install [^&;]*", run):
            assert "--require-hashes" in install or "--no-deps" in install
        if "apt-get install" in run:
            assert "--no-install-recommends" in run
            assert "rm -rf /var/lib/apt/lists/*" in run
            assert run.startswith("apt-get update &&")


def test_what_is_copied_is_there_and_in_the_context() -> None:
    for steps in STAGES.values():
        for name, rest in steps:
            if name != "COPY" or "--from=" in rest:
                continue
            for source in [part for part in rest.split()[:-1] if not part.startswith("--")]:
                assert (ROOT / source).exists()
                assert source == "." or in_context(source), source


def test_the_context_has_the_program_and_nothing_private() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    kept = {name for name in listed if in_context(name)}
    for needed in ("zooscope.py", "pyproject.toml", "docs/index.md", "zoo/seed/nuclei.zip", "web/templates/base.html"):
        assert needed in kept
    code = {name for name in listed if name.split("/")[0] in ("web", "worker", "scheduler", "zoo")}
    assert code <= kept
    assert not [name for name in kept if name.startswith(("tests/", "benchmarks/", ".ci/"))]
    for name in (
        "data/secrets/worker-token",
        ".git/config",
        ".venv/bin/python",
        "docker/.env",
        "web/node_modules/x.js",
    ):
        assert not in_context(name), name


def test_the_queue_has_the_limits_that_up_gives_it() -> None:
    command = json.loads(next(rest for name, rest in STAGES["queue"] if name == "CMD"))
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["-z"] == str(MAXIMUM_BODY)
    sync = next(setting.default for setting in SETTINGS if setting.name == "beanstalkd_sync_ms")
    assert options["-f"] == str(sync)


def test_compose_names_what_there_is() -> None:
    assert COMPOSE.keys() <= {"name", "services", "networks", "volumes", "x-confined"}
    for name, service in (*SERVICES.items(), *GPU["services"].items()):
        assert service.keys() <= SERVICE_KEYS, name
        build = service.get("build")
        if build:
            assert (DOCKER / build["context"] / build["dockerfile"]).is_file()
            assert build["target"] in STAGES
        assert set(service.get("networks", [])) <= COMPOSE["networks"].keys()
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= COMPOSE["volumes"].keys()
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] == "service_started" or "healthcheck" in SERVICES[other]
        own = {variable for variable in service.get("environment", {}) if variable.startswith("ZOOSCOPE_")}
        assert own <= VARIABLES
    assert SERVICES["elasticsearch"]["image"].endswith(f":{VERSION}")


@pytest.mark.parametrize("service", ["zooscope", "worker"])
def test_the_commands_are_commands(service: str) -> None:
    given = {service: SERVICES[service]["command"]}
    if service in GPU["services"]:
        given["gpu"] = GPU["services"][service]["command"]
    for name, *options in given.values():
        module = importlib.import_module(next(each.module for each in zooscope.COMMANDS if each.name == name))
        parser = argparse.ArgumentParser(exit_on_error=False)
        module.add_arguments(parser)
        parser.parse_args(options)


def test_addresses_are_those_of_the_services() -> None:
    environment = SERVICES["zooscope"]["environment"]
    assert environment["ZOOSCOPE_BEANSTALKD"] == "queue:11300"
    assert environment["ZOOSCOPE_ELASTICSEARCH"] == "http://elasticsearch:9200"
    assert "http://zooscope:8080" in SERVICES["worker"]["command"]
    assert environment["ZOOSCOPE_WORKER_TOKEN"] == SERVICES["worker"]["environment"]["ZOOSCOPE_WORKER_TOKEN"]


def test_nothing_but_the_pages_can_be_reached() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["zooscope"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["zooscope"]["ports"])
    internal = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    for name in ("worker", "queue", "elasticsearch"):
        assert set(SERVICES[name]["networks"]) <= internal
    # Strangers' models run in the worker: it shares no network with the queue and the documents.
    assert not set(SERVICES["worker"]["networks"]) & set(SERVICES["queue"]["networks"])
    assert not set(SERVICES["worker"]["volumes"]) & set(SERVICES["zooscope"]["volumes"])
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_secret_is_written_in_the_files() -> None:
    for path in DOCKER.iterdir():
        assert not re.search(r"[0-9a-f]{32}|zst_|zsw_", path.read_text()), path.name
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("TOKEN|PASSWORD|SECRET|KEY", variable):
                assert value.startswith("${")
