"""The token in a queue entry: proof that this scheduler queued this job, for this owner, input and model.

beanstalkd has no passwords, so an entry is believed only when its token is ours and says what the job document says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from itsdangerous import BadSignature, TimedSerializer, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode

from scheduler.clock import now
from zoo.errors import UserError

SALT = "zooscope.job"


class BadToken(UserError):
    code = "bad-token"
    status = 401


class TokenExpired(BadToken):
    code = "token-expired"


class _Signer(TimestampSigner):
    def get_timestamp(self) -> int:
        return int(now())


class _Serializer(URLSafeTimedSerializer):
    def dump_payload(self, obj: Any) -> bytes:
        """Without trying to compress it, which takes as long as all the rest."""
        return base64_encode(TimedSerializer.dump_payload(self, obj))


def _claims(body: Mapping[str, Any]) -> dict[str, Any]:
    model = body["model"]
    return {
        "uuid": body["uuid"],
        "owner": body["owner"],
        "input": body["input"]["sha256"],
        "model": [model["id"], model["version"], model["package_sha256"]],
    }


class Tokens:
    """Makes and checks tokens with one key; `hours` is how long a token is good for."""

    def __init__(self, key: bytes | str, hours: float) -> None:
        self._serializer = _Serializer(key, salt=SALT, signer=_Signer)
        self._seconds = round(hours * 3600)

    def make(self, body: Mapping[str, Any]) -> str:
        """A token for the job document `body`, stamped with the time."""
        return str(self._serializer.dumps(_claims(body)))

    def check(self, token: str, body: Mapping[str, Any]) -> None:
        """Raise BadToken unless `token` is ours and speaks of the job `body`; TokenExpired when it did too long ago."""
        try:
            claims, signed_at = self._serializer.loads(token, return_timestamp=True)
        except (BadSignature, UnicodeError):
            raise BadToken("The queue entry is not signed by this service.") from None
        if claims != _claims(body):
            raise BadToken("The queue entry's token belongs to another job.")
        # Not the serializer's own limit: it takes a token for expired that was made by a clock a second ahead.
        if now() - signed_at.timestamp() > self._seconds:
            raise TokenExpired(
                f"The job was queued on {signed_at:%Y-%m-%d %H:%M} UTC and waited too long.", "Run it again."
            )
