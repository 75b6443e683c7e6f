"""Keys that are made once per installation and kept in the data folder, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from zoo.errors import ZooscopeError
from zoo.identifiers import check_slug, new_uuid
from zoo.settings import Settings

KEY_BYTES = 32
OWNER_ONLY_FILE, OWNER_ONLY_FOLDER = 0o600, 0o700

WORKER_TOKEN = "worker-token"  # noqa: S105
SERVICE_TOKEN = "service-token"  # noqa: S105
OPERATOR_TOKEN = "operator-token"  # noqa: S105
JOB_TOKENS = "job-tokens"
VISITOR_COOKIES = "visitor-cookies"
ACCOUNT_SESSIONS = "account-sessions"


class SecretDamaged(ZooscopeError):
    code = "secret-damaged"


def worker_token(settings: Settings) -> str:
    """The token that workers show to the scheduler: the setting when it is given, otherwise the one kept here."""
    return settings.worker_token or read_or_make_key(settings, WORKER_TOKEN)


def read_or_make_key(settings: Settings, name: str) -> str:
    """The key called `name`, 64 hexadecimal digits, made on first use; the same in every process, whoever is first.

    Raises `SecretDamaged` when the file was cut short or changed by hand.
    """
    file = settings.secrets_folder / check_slug(name)
    if not file.exists():
        _make(file)
    file.chmod(OWNER_ONLY_FILE)
    key = file.read_text("ascii", "replace").strip()
    if len(key) != 2 * KEY_BYTES or set(key) - set("0123456789abcdef"):
        raise SecretDamaged(
            f"The secret {name} in the data folder is damaged.",
            "Delete its file to have a new one made; what was signed with the old one is then no longer valid.",
        )
    return key


def _make(file: Path) -> None:
    file.parent.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    file.parent.chmod(OWNER_ONLY_FOLDER)
    temporary = file.with_name(f".{file.name}.{new_uuid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY_FILE)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_hex(KEY_BYTES))
            out.flush()
            os.fsync(out.fileno())
        # A link appears with its content or not at all, and unlike a rename never replaces the key of a faster process.
        file.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
