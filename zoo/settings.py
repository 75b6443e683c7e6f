"""Every setting of the service, in one table, read from the environment in one place.

`docs/settings.md` repeats the table for operators; a test fails when a setting is missing there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import UserError

KIB, MIB, GIB = 2**10, 2**20, 2**30


class BadSetting(UserError):
    code = "bad-setting"


@dataclass(frozen=True)
class Setting:
    """One setting: the environment variable is `ZOOSCOPE_` and the name in capitals."""

    name: str
    default: Any
    read: Callable[[str], Any]
    help: str

    @property
    def variable(self) -> str:
        return f"ZOOSCOPE_{self.name.upper()}"


def _optional_path(text: str) -> Path | None:
    return Path(text) if text else None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else ",".join(value) if isinstance(value, tuple) else str(value)


SETTINGS = (
    Setting("data", Path("data"), Path, "Folder of documents, blobs, queue, secrets and worker caches."),
    Setting("host", "127.0.0.1", str, "Address the web server listens on."),
    Setting("port", 8080, int, "Port the web server listens on; 0 takes any free one."),
    Setting(
        "hosts", (), _names, "Host names answered to, with commas; empty: any, or only localhost when listening on it."
    ),
    Setting("web_threads", 32, int, "Web server threads that answer at once; others stand in for those that wait."),
    Setting("event_streams", 16, int, "Server-sent event streams at once; beyond them pages fall back to polling."),
    Setting("beanstalkd", "", str, "host:port of a running beanstalkd; empty: `up` starts its own."),
    Setting("elasticsearch", "", str, "URL of an Elasticsearch 8 for the documents; empty: SQLite in the data folder."),
    Setting("elasticsearch_prefix", "zooscope", str, "What the names of our indices there begin with."),
    Setting("elasticsearch_api_key", "", str, "API key for it, if it asks for one."),
    Setting("upload_bytes", 256 * MIB, int, "Largest uploaded image file, in bytes."),
    Setting("image_pixels", 2**30, int, "Most pixels (width x height x planes x channels) an image may declare."),
    Setting("image_planes", 4096, int, "Most planes an image may declare."),
    Setting("image_side", 2**17, int, "Longest side an image may declare, in pixels."),
    Setting("plane_pixels", 128 * 2**20, int, "Most pixels (width x height x channels) of one plane."),
    Setting("compression_ratio", 2000, int, "Most decoded bytes an image may declare for each byte of its file."),
    Setting("roi_pixels", 4096 * 4096, int, "Largest region of a preview, in pixels, unless the model asks for less."),
    Setting("free_disk_bytes", GIB // 2, int, "Uploads and results are refused when less disk than this is free."),
    Setting("package_bytes", 512 * MIB, int, "Largest model package, in bytes."),
    Setting(
        "reviewed_packages", (), _names, "sha256 of packages whose HDF5 or SavedModel weights may run, with commas."
    ),
    Setting("result_file_bytes", GIB, int, "Largest file a worker may post as part of a result."),
    Setting("attempts", 3, int, "How often a job is tried before it is buried."),
    Setting("ert_floor_seconds", 10.0, float, "Shortest lease of a running job."),
    Setting("ert_slack", 3.0, float, "Lease length as a multiple of the expected runtime."),
    Setting("claim_seconds", 5.0, float, "How long a worker has to start a job it was handed."),
    Setting("reserve_seconds", 20.0, float, "How long a worker's request for a job may wait for one."),
    Setting("token_hours", 72.0, float, "How long a queued job's token stays valid."),
    Setting("log_format", "text", _one_of("text", "json"), "How processes log, to stderr: text or json, a line each."),
    Setting("log_bytes", 4 * MIB, int, "Most bytes kept of a job's log."),
    Setting("job_days", 365.0, float, "How long results are kept."),
    Setting("queued_per_owner", 50, int, "Most jobs one visitor may have queued or running."),
    Setting("queued_per_address", 200, int, "Most jobs queued or running from one network address; 0: no limit."),
    Setting("running_per_owner", 16, int, "Most jobs of one visitor that run at once; the rest wait; 0: no limit."),
    Setting("worker_token", "", str, "Token workers show; empty: one is made and kept in the data folder."),
    Setting("worker_server", "", str, "URL of the scheduler, for a worker started on its own."),
    Setting("worker_cache_bytes", 4 * GIB, int, "Disk a worker may use for packages and inputs."),
    Setting("worker_models", 3, int, "Models a worker keeps warm at once."),
    Setting(
        "stream_memory_bytes",
        2 * GIB,
        int,
        "Memory of a preview in the terminal, beside the network; what is larger is streamed.",
    ),
    Setting("worker_memory_bytes", 0, int, "Address space of a worker's child process; 0: no limit."),
    Setting("stall_seconds", 20.0, float, "A child that shows no sign of life for this long is hung."),
    Setting("cancel_seconds", 1.5, float, "How long a child may take to stop by itself before it is killed."),
    Setting("cpu_threads", 0, int, "Threads of a CPU worker; 0: all."),
    Setting("beanstalkd_binary", "beanstalkd", str, "Program `up` starts as its queue."),
    Setting(
        "beanstalkd_sync_ms",
        50,
        int,
        "How long the queue that `up` starts may leave its log unsynced, in milliseconds; 0: sync before each answer.",
    ),
    Setting("trusted_proxies", 0, int, "How many reverse proxies in front set X-Forwarded-For and -Proto."),
    Setting("secure_cookies", False, lambda text: text.lower() in {"1", "true", "yes"}, "Cookies only over https."),
    Setting(
        "local_accounts",
        "",
        _one_of("", "open", "added", "off"),
        "Accounts with a password: open (anyone makes one), added (by the operator), off; empty: open without OpenID.",
    ),
    Setting("oidc_issuer", "", str, "OpenID provider people sign in with: orcid, orcid-sandbox, or an issuer's URL."),
    Setting("oidc_client_id", "", str, "Id of this Zooscope there."),
    Setting("oidc_client_secret", "", str, "Secret of this Zooscope there."),
    Setting(
        "oidc_name", "", str, "What the provider is called on the sign-in page; empty: ORCID, or your institution."
    ),
    Setting(
        "public_url",
        "",
        str,
        "Address people reach this Zooscope at, such as https://zoo.example.org; DOIs resolve to it.",
    ),
    Setting("doi_registry", "none", _one_of("none", "datacite", "zenodo"), "Who mints DOIs: none, datacite or zenodo."),
    Setting("doi_url", "", str, "URL of that registry's API; empty: the real one. Test systems: see docs/dois.md."),
    Setting("doi_user", "", str, "DataCite repository account, such as ABCD.ZOO."),
    Setting("doi_password", "", str, "Its password, or the access token at Zenodo."),
    Setting("doi_prefix", "", str, "DOI prefix of the DataCite repository, such as 10.12345."),
    Setting("publisher", "Zooscope", str, "Publisher named in citations and DOIs: your institution."),
    Setting("server", "", str, "URL of the Zooscope that search and fetch ask; empty: the one on this machine."),
    Setting("token", "", str, "API token that publish --server shows; made on the page /account there."),
    Setting("seed_folder", None, _optional_path, "Folder of seed packages; empty: those that come with Zooscope."),
)


class Settings:
    """Values of `SETTINGS` as attributes; immutable. Made by `read_settings` or, in tests, from keyword arguments."""

    def __init__(self, **values: Any) -> None:
        known = {setting.name: setting.default for setting in SETTINGS}
        unknown = values.keys() - known.keys()
        if unknown:
            raise BadSetting(f"Unknown setting: {', '.join(sorted(unknown))}.")
        self.__dict__.update(known | values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are read-only: {name}")

    def replace(self, **values: Any) -> Settings:
        return Settings(**(self.__dict__ | values))

    def environment(self) -> dict[str, str]:
        """The variables from which `read_settings` makes the same settings in another process."""
        return {setting.variable: _written(getattr(self, setting.name)) for setting in SETTINGS}

    @property
    def documents_file(self) -> Path:
        return Path(self.data) / "documents.sqlite3"

    @property
    def blobs_folder(self) -> Path:
        return Path(self.data) / "blobs"

    @property
    def queue_folder(self) -> Path:
        return Path(self.data) / "queue"

    @property
    def secrets_folder(self) -> Path:
        return Path(self.data) / "secrets"

    @property
    def workers_folder(self) -> Path:
        return Path(self.data) / "workers"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read every setting from the environment; raises `BadSetting` for a value that does not parse."""
    environment = os.environ if environment is None else environment
    values = {}
    for setting in SETTINGS:
        text = environment.get(setting.variable)
        # An empty variable is an unset one: an empty host, above all, would listen on every address.
        if not text:
            continue
        try:
            values[setting.name] = setting.read(text)
        except ValueError as error:
            raise BadSetting(f"{setting.variable} is {text!r}, which is not a valid value: {setting.help}") from error
    return Settings(**values)
