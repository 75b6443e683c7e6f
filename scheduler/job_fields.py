"""What jobs are searched by. A search by anything else is refused, so add the field here; old documents follow.

Every order costs each submission and each change a little, so there is one for each question that is asked often or
of many jobs, and none for what an owner's few jobs or the running ones can answer by being looked through.
"""

from __future__ import annotations

from zoo.documents import Fields

FIELDS = Fields(
    single=(
        "kind",
        "state",
        "owner",
        "address",
        "created_at",
        "started_at",
        "finished_at",
        "lease.until",
        "lease.token",
        "queue.priority",
        "input.sha256",
        "model.package_sha256",
        "error.code",
        "rerun_of",
        "held",
        "buried",
        "has_garbage",
        "deleted",
    ),
    several=("blobs",),
    orders=(
        ("deleted", "state", "created_at"),
        ("deleted", "state", "kind", "created_at"),
        # Whose turn it is, and how many are before a job.
        ("deleted", "state", "kind", "queue.priority"),
        ("deleted", "state", "queue.priority", "created_at"),
        ("owner", "deleted", "state", "kind", "queue.priority"),
        # What a person and what an operator looks at.
        ("owner", "deleted", "created_at"),
        ("deleted", "finished_at"),
        ("buried", "deleted", "finished_at"),
        # What maintenance looks for, and who needs a blob.
        ("has_garbage", "created_at"),
        ("input.sha256", "deleted", "state"),
        ("model.package_sha256", "deleted", "state"),
    ),
    counts=(
        ("deleted", "state", "kind"),
        ("owner", "deleted", "state"),
        ("address", "deleted", "state"),
        ("buried", "deleted"),
    ),
)
