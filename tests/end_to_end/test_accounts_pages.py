"""Signing in, one's account and the admins' list in a browser: by keyboard, at a provider, and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from browser_visitor import Visitor, visitors_of
from fakes.oidc_provider import OidcProvider
from playwright.sync_api import Browser, Page, expect
from served_application import served
from test_page_checks import check

from web.accounts import Sessions
from web.app import create_app
from web.up import free_port
from zoo.settings import Settings

PASSWORD = "four words in a row"
SIZES = {"desktop": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}
JOSIAH = {"sub": "0000-0002-1825-0097", "name": "Josiah Carberry", "orcid": "0000-0002-1825-0097"}


@dataclass
class Door:
    """A service with accounts, and the provider that people may sign in at, on another site."""

    sessions: Sessions
    operator_token: str
    new_visitor: Callable[..., Visitor]

    def person(self, login: str, name: str, *roles: str) -> str:
        """The id of a new local account."""
        return str(self.sessions.accounts.add(login, name, PASSWORD, roles or ("author",))["id"])

    def enter(self, visitor: Visitor, login: str, path: str = "/account") -> Page:
        """Sign in by keyboard alone, led there from the page that was asked for."""
        page = visitor.open(path)
        page.locator("#login").focus()
        page.keyboard.type(login)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{visitor.url}{path}")
        return page


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Sessions, str]]:
    provider, port = OidcProvider(people={"josiah": JOSIAH}), free_port()
    # To a browser, localhost and 127.0.0.1 are two sites.
    url = f"http://localhost:{port}"
    provider.redirect_uris = [f"{url}/sign-in/callback"]
    settings = Settings(
        data=tmp_path_factory.mktemp("accounts") / "data",
        beanstalkd="127.0.0.1:1",
        free_disk_bytes=0,
        local_accounts="open",
        oidc_issuer=provider.issuer,
        oidc_client_id=provider.client_id,
        oidc_client_secret=provider.client_secret,
        oidc_name="Brown University",
    )
    app = create_app(settings)
    token = (settings.secrets_folder / "operator-token").read_text().strip()
    with served(app, port):
        yield url, app.extensions["zooscope_accounts"], token
    provider.stop()
    app.extensions["zooscope"].close()


@pytest.fixture
def door(browser: Browser, service: tuple[str, Sessions, str]) -> Iterator[Door]:
    url, sessions, token = service
    for new_visitor in visitors_of(browser, url):
        yield Door(sessions, token, new_visitor)


def test_a_new_person_makes_an_account_and_stays_signed_in(door: Door) -> None:
    visitor = door.new_visitor()
    page = visitor.open("/account")
    expect(page).to_have_url(f"{visitor.url}/sign-in?next=%2Faccount")
    check(page)
    page.get_by_role("link", name="Make an account").click()
    expect(page.locator("#name")).to_be_focused()
    check(page)
    for typed in ("Grace Hopper", "grace@example.org", PASSWORD):
        page.keyboard.type(typed)
        page.keyboard.press("Enter" if typed is PASSWORD else "Tab")
    expect(page.locator("h1")).to_have_text("Grace Hopper")
    expect(page.locator(".site-header")).to_contain_text("Grace Hopper")
    check(page)
    page.close()
    again = visitor.open("/account")
    expect(again.locator("h1")).to_have_text("Grace Hopper")
    again.click("#sign-out")
    expect(again.locator(".site-header")).to_contain_text("Sign in")


def test_a_wrong_password_is_said_and_the_name_stays(door: Door) -> None:
    door.person("wrong@example.org", "Wrong")
    visitor = door.new_visitor()
    page = visitor.open("/sign-in")
    page.fill("#login", "wrong@example.org")
    page.fill("#password", "not it at all")
    page.keyboard.press("Enter")
    expect(page.locator("[role=alert]")).to_contain_text("The name or the password is not right.")
    expect(page.locator("#login")).to_have_value("wrong@example.org")
    expect(page.locator("#password")).to_be_focused()
    visitor.complaints.clear()  # the browser notes the 403 of the page itself
    check(page)


def test_signing_in_at_a_provider_on_another_site_and_back(door: Door) -> None:
    visitor = door.new_visitor()
    page = visitor.open("/account")
    page.get_by_role("link", name="Sign in with Brown University").click()
    page.get_by_role("button", name="josiah").click()
    expect(page).to_have_url(f"{visitor.url}/account")
    expect(page.locator("h1")).to_have_text("Josiah Carberry")
    expect(page.locator("#profile")).to_contain_text("0000-0002-1825-0097")
    check(page)
    page.click("#sign-out")
    page.goto(f"{visitor.url}/sign-in")
    page.click("#provider")
    page.get_by_role("button", name="Deny").click()
    expect(page.locator("[role=alert]")).to_contain_text("You did not let the provider sign you in here.")
    visitor.complaints[:] = [said for said in visitor.complaints if "403" not in said]


def test_a_token_is_made_copied_and_revoked(door: Door) -> None:
    door.person("token@example.org", "Ada")
    visitor = door.new_visitor()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = door.enter(visitor, "token@example.org")
    page.fill("#token-name", "publishing from the cluster")
    page.keyboard.press("Enter")
    token = page.locator("#new-token").inner_text()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == token
    check(page)
    asked = page.evaluate(
        "async (token) => (await fetch('/api/v1/account', {headers: {Authorization: `Bearer ${token}`}})).status", token
    )
    assert asked == 200
    page.get_by_role("button", name="Revoke publishing from the cluster").click()
    expect(page.locator("#tokens [role=status]")).to_have_text("The token is revoked.")
    expect(page.locator("#tokens")).to_contain_text("No token yet.")


def test_the_operator_becomes_an_admin_and_gives_a_role(door: Door) -> None:
    door.person("root@example.org", "Root")
    ada = door.person("rev@example.org", "Ada Lovelace")
    page = door.enter(door.new_visitor(), "root@example.org")
    page.get_by_text("I run this Zooscope").click()
    page.fill("#token", door.operator_token)
    page.keyboard.press("Enter")
    expect(page.locator("#operate")).to_contain_text("You are an admin now.")
    page.get_by_role("link", name="All accounts").click()
    check(page)
    row = page.locator(f"#account-{ada}")
    row.get_by_label("reviewer").check()
    row.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_have_text("The roles are changed.")
    expect(page.locator(f"#account-{ada}").get_by_label("reviewer")).to_be_checked()
    page.get_by_role("button", name="Lock the account of Ada Lovelace").click()
    expect(page.locator(f"#account-{ada}")).to_contain_text("locked")
    check(page)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "theme"), [("desktop", "dark"), ("tablet", "light"), ("phone", "dark")])
def test_every_window_and_theme(door: Door, size: str, theme: str) -> None:
    width, height = SIZES[size]
    login = f"{size}.{theme}@example.org"
    door.person(login, "Ada Lovelace", "author", "reviewer", "admin")
    visitor = door.new_visitor({"width": width, "height": height}, theme)
    for path in ("/sign-in", "/sign-up"):
        page = visitor.open(path)
        check(page)
        page.close()
    page = door.enter(visitor, login)
    check(page)
    page.goto(f"{visitor.url}/admin/accounts")
    check(page)
