"""/admin/accounts: who has an account, and what each may do. For admins."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, redirect, request

from web.account_pages import page, with_form
from web.accounts import NotAllowed, require_role, require_session, sessions
from web.api import query
from zoo.accounts import ROLES
from zoo.errors import UserError

PATH = "/admin/accounts"
ACCOUNTS_SHOWN = 50

blueprint = Blueprint("admin_accounts", __name__, url_prefix=PATH)


def _listed(status: int = 200, error: UserError | None = None, about: str = "") -> Response:
    require_session()
    admin = require_role("admin")
    role, number = query.choice("role", ("", *ROLES), ""), query.integer("page", 1, 1, query.LARGEST_PAGE)
    found = sessions().accounts.listed(number, ACCOUNTS_SHOWN, role)
    return page(
        "admin_accounts.html",
        "Accounts",
        status,
        accounts=[item.body for item in found.items],
        total=found.total,
        next_page=number + 1 if found.total > number * ACCOUNTS_SHOWN else None,
        role=role,
        roles=ROLES,
        admin=admin,
        form_word=sessions().form_word(),
        error=error,
        about=about or request.args.get("about", ""),
        done=request.args.get("done", ""),
    )


@blueprint.get("")
def list_accounts() -> Response:
    return _listed()


def _answer(id: str, act: Callable[[], str]) -> Response:
    """Do it, and say on the list what came of it."""
    try:
        done = act()
    except UserError as error:
        return _listed(error.status, error, id)
    role = request.args.get("role", "")
    return cast(Response, redirect(f"{PATH}?{urlencode({'done': done, 'about': id, 'role': role})}", 303))


@blueprint.post("/<id>/roles")
@with_form
def set_roles(id: str) -> Response:
    admin = require_role("admin")

    def act() -> str:
        sessions().accounts.set_roles(id, request.form.getlist("role"), admin.id)
        return "roles"

    return _answer(id, act)


@blueprint.post("/<id>/lock")
@with_form
def lock(id: str) -> Response:
    """Lock an account, or open it again."""
    admin = require_role("admin")

    def act() -> str:
        locked = request.form.get("action") == "lock"
        if locked and id == admin.id:
            raise NotAllowed("You can not lock your own account.", "Ask another admin.")
        sessions().accounts.disable(id, locked, admin.id)
        return "locked" if locked else "opened"

    return _answer(id, act)


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)
