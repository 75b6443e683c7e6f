"""Who may see and change a submission: its author, the reviewers, the admins."""

from __future__ import annotations

from web import checks
from web.accounts import Account, NotAllowed, check_owner, require_account, require_role
from web.service import service
from zoo.review import Person
from zoo.submissions import Body


def person(account: Account) -> Person:
    return Person(account.id, account.name, "admin" in account.roles)


def is_reviewer(account: Account) -> bool:
    return account.has_role("reviewer")


def readable_submission(uuid: str) -> Body:
    """The submission, for its author and the reviewers; raises SubmissionMissing, SignInNeeded, NotAllowed."""
    account = require_account()
    body = service().submissions.get(uuid)
    if account.id != body["owner"] and not is_reviewer(account):
        raise NotAllowed("This submission belongs to somebody else.", "Its author and the reviewers may see it.")
    return checks.settle(body)


def own_submission(uuid: str) -> Body:
    """The submission, for its author, while they have that role, and admins; raises as above."""
    require_role("author")
    body = service().submissions.get(uuid)
    check_owner(body["owner"])
    return checks.settle(body)
