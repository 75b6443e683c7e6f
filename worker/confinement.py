"""What the child process may see and use: an environment without secrets, and limits it sets itself at its start."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Mapping
from typing import Any

from zoo.settings import SETTINGS, Settings

OPEN_FILES = 1024
PR_SET_PDEATHSIG = 1

# Names let through to the child; everything else (tokens, cloud credentials, proxies) stays behind.
_PASSED = {"PATH", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV"}
_PASSED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "XLA_")
_SETTINGS_KEPT_BACK = {
    "worker_token", "worker_server", "beanstalkd", "data", "hosts", "seed_folder", "server", "token", "public_url",
}  # fmt: skip
# Databases, registries and identity providers, with their keys: all settings that begin so.
_SETTINGS_KEPT_BACK_PREFIXES = ("elasticsearch", "doi_", "oidc_")


def child_environment(environment: Mapping[str, str], cpu_threads: int, device: str, home: str) -> dict[str, str]:
    """The environment of a child at home in the folder `home`; `device` is `cpu`, `gpu:<index>` or `auto`."""
    kept = {name: value for name, value in environment.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    kept |= {"HOME": home, "TMPDIR": home, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONNOUSERSITE": "1"}
    if device == "cpu":
        kept["CUDA_VISIBLE_DEVICES"] = "-1"
    if cpu_threads:
        threads = str(cpu_threads)
        kept |= {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    return kept


def child_settings(settings: Settings) -> dict[str, Any]:
    """The settings a child gets, as JSON: limits, counts and lists, no secrets, no addresses, no folders."""
    plain = (int, float, str, tuple)
    given: dict[str, Any] = {setting.name: getattr(settings, setting.name) for setting in SETTINGS}
    return {
        name: value
        for name, value in given.items()
        if name not in _SETTINGS_KEPT_BACK
        and not name.startswith(_SETTINGS_KEPT_BACK_PREFIXES)
        and isinstance(value, plain)
    }


def limit_resources(file_bytes: int, memory_bytes: int = 0) -> None:
    """No core dumps, bounded files (count and size) and, unless 0, a bounded address space; cannot be undone."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    if memory_bytes:
        _lower(resource.RLIMIT_AS, memory_bytes)


def _lower(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent ends; elsewhere the closed stdin must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
