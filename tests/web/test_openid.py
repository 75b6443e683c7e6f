"""Signing in at a provider, against a fake one that speaks the real protocol, and against bad ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest
from fakes.oidc_provider import OidcProvider
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from web import openid
from web.app import create_app
from web.openid import OpenIdProvider
from zoo.accounts import is_orcid
from zoo.settings import BadSetting, Settings

HOPPER = {"sub": "0001", "name": "Grace Hopper", "email": "grace@example.org", "email_verified": True}
CALLBACK = "http://localhost/sign-in/callback"


class Stay(HTTPRedirectHandler):
    """A browser's part at the provider, without following it back."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    provider = OidcProvider(people={"grace": HOPPER}, redirect_uris=[CALLBACK])
    yield provider
    provider.stop()


@pytest.fixture
def make(settings: Settings, provider: OidcProvider) -> Iterator[Callable[..., Flask]]:
    made = []

    def make(**more: Any) -> Flask:
        values = {
            "oidc_issuer": provider.issuer, "oidc_client_id": provider.client_id,
            "oidc_client_secret": provider.client_secret,
        }  # fmt: skip
        made.append(create_app(settings.replace(**(values | more))))
        return made[-1]

    yield make
    for app in made:
        app.extensions["zooscope"].close()


@pytest.fixture
def visitor(make: Callable[..., Flask]) -> FlaskClient:
    return make().test_client()


def at_provider(url: str, login: str = "grace") -> str:
    """Sign in on the provider's page; where it sends the browser, or its refusal."""
    opener = build_opener(Stay)
    try:
        page = opener.open(url).read().decode()
        waiting = re.search(r'name="request" value="([^"]+)"', page)
        assert waiting
        data = urlencode({"request": waiting[1], "login": login}).encode()
        opener.open(Request(f"{url.partition('/authorize')[0]}/decide", data))
    except OSError as answer:
        return str(answer.headers.get("Location") or answer.read().decode())  # type: ignore[attr-defined]
    raise AssertionError("the provider led nowhere")


def sign_in(client: FlaskClient, login: str = "grace", target: str = "/account") -> TestResponse:
    away = client.get(f"/sign-in/provider?next={target}")
    assert away.status_code == 303, away.text
    back = at_provider(away.location, login)
    return client.get(back.removeprefix("http://localhost"))


def test_a_person_signs_in_and_is_known_again(visitor: FlaskClient, make: Callable[..., Flask]) -> None:
    answer = sign_in(visitor, target="/try?model=nuclei")
    assert (answer.status_code, answer.location) == (303, "/try?model=nuclei")
    account = visitor.get("/api/v1/account").get_json()
    assert (account["name"], account["roles"], account["orcid"]) == ("Grace Hopper", ["author"], "")
    assert "grace@example.org" in visitor.get("/account").text
    again = make().test_client()
    sign_in(again)
    assert again.get("/api/v1/account").get_json()["id"] == account["id"]


def test_orcid_is_a_preset_and_gives_its_number(
    make: Callable[..., Flask], provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(openid.ISSUERS, "orcid", provider.issuer)
    provider.auth_methods = ["client_secret_post"]
    provider.people["grace"] = {"sub": "0000-0002-1825-0097", "given_name": "Josiah", "family_name": "Carberry"}
    client = make(oidc_issuer="orcid").test_client()
    assert "Sign in with ORCID" in client.get("/sign-in").text
    sign_in(client)
    account = client.get("/api/v1/account").get_json()
    assert (account["name"], account["orcid"]) == ("Josiah Carberry", "0000-0002-1825-0097")
    assert "https://orcid.org/0000-0002-1825-0097" in client.get("/account").text


def test_the_presets_are_orcids_own_addresses(settings: Settings) -> None:
    given = {"oidc_client_id": "APP-1", "oidc_client_secret": "s"}
    assert OpenIdProvider(settings.replace(oidc_issuer="orcid", **given)).issuer == "https://orcid.org"
    assert OpenIdProvider(settings.replace(oidc_issuer="orcid-sandbox", **given)).issuer == "https://sandbox.orcid.org"


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "http://provider.example.org", "oidc_client_id": "a", "oidc_client_secret": "b"},
        {"oidc_issuer": "ftp://x", "oidc_client_id": "a", "oidc_client_secret": "b"},
        {"oidc_issuer": "orcid", "oidc_client_id": "", "oidc_client_secret": "b"},
        {"oidc_issuer": "orcid", "oidc_client_id": "a", "oidc_client_secret": ""},
    ],
)
def test_settings_that_can_not_work_are_refused_at_the_start(settings: Settings, wrong: dict[str, str]) -> None:
    with pytest.raises(BadSetting):
        OpenIdProvider(settings.replace(**wrong))


def test_the_name_is_asked_for_when_the_token_has_none(visitor: FlaskClient, provider: OidcProvider) -> None:
    provider.claims_in_token = False
    sign_in(visitor)
    assert visitor.get("/api/v1/account").get_json()["name"] == "Grace Hopper"
    assert "/userinfo" in provider.asked


def test_a_name_that_was_changed_here_stays(visitor: FlaskClient, provider: OidcProvider) -> None:
    from account_helpers import form_word

    sign_in(visitor)
    visitor.post("/account/profile", data={"form": form_word(visitor), "name": "Amazing Grace"})
    sign_in(visitor)
    assert visitor.get("/api/v1/account").get_json()["name"] == "Amazing Grace"


def test_an_email_that_is_not_verified_is_not_believed(visitor: FlaskClient, provider: OidcProvider) -> None:
    provider.people["grace"] = HOPPER | {"email_verified": False}
    sign_in(visitor)
    assert "grace@example.org" not in visitor.get("/account").text


def test_what_leaves_for_the_provider_has_pkce_state_and_nonce(visitor: FlaskClient) -> None:
    asked = parse_qs(urlsplit(visitor.get("/sign-in/provider").location).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [CALLBACK]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    again = parse_qs(urlsplit(visitor.get("/sign-in/provider").location).query)
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name][0]) >= 32
        assert asked[name] != again[name]


def refused(answer: TestResponse, client: FlaskClient) -> str:
    """The sentence on the sign-in page; nobody is signed in."""
    assert answer.status_code in (403, 503), answer.status_code
    assert client.get("/api/v1/account").status_code == 401
    found = re.search(r'role="alert"><strong>(.*?)</strong>', answer.text)
    assert found
    return found[1]


def test_who_says_no_is_told_so(visitor: FlaskClient) -> None:
    assert "You did not let the provider" in refused(sign_in(visitor, login=""), visitor)


def test_a_code_begun_elsewhere_signs_nobody_in(visitor: FlaskClient, make: Callable[..., Flask]) -> None:
    victim = make().test_client()
    back = at_provider(visitor.get("/sign-in/provider").location).removeprefix("http://localhost")
    assert "in another browser" in refused(victim.get(back), victim)
    victim.get("/sign-in/provider")
    assert "not begun in this browser" in refused(victim.get(back), victim)


def test_an_answer_is_taken_once(visitor: FlaskClient, provider: OidcProvider) -> None:
    back = at_provider(visitor.get("/sign-in/provider").location).removeprefix("http://localhost")
    kept = visitor.get_cookie("zooscope_sign_in", path="/sign-in")
    assert kept
    assert visitor.get(back).status_code == 303
    visitor.delete_cookie("zooscope_account")
    assert "in another browser" in refused(visitor.get(back), visitor)
    visitor.set_cookie("zooscope_sign_in", kept.value, path="/sign-in")
    assert "invalid_grant" in refused(visitor.get(back), visitor)


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ("invalid_claim", {"iss": "https://evil.example"}),
        ("meant for another|invalid_claim|missing_claim", {"aud": "another-client"}),
        ("meant for another", {"aud": ["another-client"], "azp": "zooscope"}),
        ("invalid_claim", {"azp": "another-client"}),
        ("invalid_claim", {"nonce": "of another sign-in"}),
        ("missing_claim", {"nonce": None}),
        ("expired_token", {"exp": 1_000_000_000}),
        ("invalid_claim|invalid_token", {"iat": 9_000_000_000}),
        ("invalid_claim", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
        ("missing_claim|meant for", {"sub": None}),
    ],
)
def test_an_id_token_that_is_not_for_us_signs_nobody_in(
    visitor: FlaskClient, provider: OidcProvider, told: str, wrong: dict[str, Any]
) -> None:
    provider.tamper = lambda claims: {name: value for name, value in (claims | wrong).items() if value is not None}
    assert re.search(told, refused(sign_in(visitor), visitor))


@pytest.mark.parametrize("signed", ["none", "HS256", "another key"])
def test_an_id_token_that_the_provider_did_not_sign_is_none(
    visitor: FlaskClient, provider: OidcProvider, signed: str
) -> None:
    provider.sign_as = signed
    assert "not valid" in refused(sign_in(visitor), visitor)


def test_an_answer_of_another_provider_is_none(visitor: FlaskClient, provider: OidcProvider) -> None:
    provider.answer_as = "https://evil.example"
    assert "Another provider answered" in refused(sign_in(visitor), visitor)


def test_an_answer_that_does_not_say_whose_it_is_is_none(visitor: FlaskClient) -> None:
    back = at_provider(visitor.get("/sign-in/provider").location).removeprefix("http://localhost")
    assert "Another provider answered" in refused(visitor.get(back.rpartition("&iss=")[0]), visitor)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://169.254.169.254/latest"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
def test_a_provider_that_says_odd_things_of_itself_is_not_used(
    visitor: FlaskClient, provider: OidcProvider, wrong: dict[str, Any]
) -> None:
    provider.tamper_metadata = lambda told: told | wrong
    assert "does not answer" in refused(visitor.get("/sign-in/provider"), visitor)
    assert "/token" not in provider.asked


def test_a_provider_that_is_down_says_so_and_passwords_go_on(visitor: FlaskClient, provider: OidcProvider) -> None:
    from account_helpers import signed_in

    provider.down = True
    answer = visitor.get("/sign-in/provider")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    signed_in(visitor)
    assert visitor.get("/account").status_code == 200
    provider.down = False
    visitor.delete_cookie("zooscope_account")
    assert sign_in(visitor).status_code == 303


def test_new_keys_of_the_provider_are_fetched_when_they_are_met(visitor: FlaskClient, provider: OidcProvider) -> None:
    sign_in(visitor)
    provider.rotate_keys()
    visitor.delete_cookie("zooscope_account")
    assert sign_in(visitor).status_code == 303
    assert provider.asked.count("/jwks") == 2


def test_the_provider_refuses_what_a_real_one_refuses(make: Callable[..., Flask], provider: OidcProvider) -> None:
    client = make(oidc_client_secret="wrong").test_client()
    assert "invalid_client" in refused(sign_in(client), client)
    provider.redirect_uris = ["http://localhost/elsewhere"]
    away = make().test_client().get("/sign-in/provider").location
    assert "redirect_uri_mismatch" in at_provider(away)
    provider.redirect_uris = [CALLBACK]
    assert "error=invalid_request" in at_provider(re.sub(r"code_challenge=[^&]*", "code_challenge=x", away))
    other = make(public_url="http://127.0.0.1:9/zoo").test_client()
    assert "redirect_uri_mismatch" in at_provider(other.get("/sign-in/provider").location), "the public address counts"


def test_a_wrong_verifier_is_refused(visitor: FlaskClient, provider: OidcProvider) -> None:
    away = visitor.get("/sign-in/provider").location
    forged = re.sub(r"code_challenge=[^&]*", f"code_challenge={'A' * 43}", away)
    back = at_provider(forged).removeprefix("http://localhost")
    assert "invalid_grant" in refused(visitor.get(back), visitor)


def test_a_locked_account_stays_out(visitor: FlaskClient) -> None:
    from account_helpers import sessions_of

    sign_in(visitor)
    sessions_of(visitor).accounts.disable(visitor.get("/api/v1/account").get_json()["id"])
    assert "locked" in refused(sign_in(visitor), visitor)


def test_without_a_provider_there_is_no_such_door(client: FlaskClient) -> None:
    assert client.get("/sign-in/provider").status_code == 404
    assert client.get("/sign-in/callback?code=1&state=2").status_code == 404


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("0000-0002-1825-0097", True),
        ("0000-0002-1694-233X", True),
        ("0000-0002-1825-0098", False),
        ("0000-0002-1694-2330", False),
        ("0000000218250097", False),
        ("0000-0002-1694-233x", False),
        ("\u0660\u0660\u0660\u0660-0002-1825-0097", False),
        ("", False),
    ],
)
def test_the_check_digit_of_an_orcid(text: str, right: bool) -> None:
    assert is_orcid(text) is right
