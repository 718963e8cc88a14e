"""People whom a provider or a proxy signs on: a table of tokens, keys that change or are not to be had, and rights."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamguard.config.sign_on import GrantSettings, OpenIdSettings
from streamguard.errors import ConfigError, SignOnRefused, SignOnUnavailable
from streamguard.server.caller import Caller, Grant
from streamguard.server.sign_on import OpenId, granted
from streamguard.server.signing_keys import FRESH, PAUSE, STALE, SigningKeys
from tests.alerts.tools import Clock
from tests.support.openid_provider import AUDIENCE, GRANTS, Provider, settings_of

MADE = [GrantSettings.model_validate(each) for each in GRANTS]
SHARED = "a secret that is shared, of 32 bytes or more"


@pytest.fixture(scope="module")
def fuzzed() -> tuple[OpenId, str, Callable[[Coroutine[Any, Any, Caller]], Caller]]:
    """What reads tokens and has its keys already; a right token; what runs a coroutine that waits for nothing."""
    provider = Provider(Path("unused.pem"), "https://id.example")
    provider.add("one")
    made = OpenIdSettings(issuer=provider.issuer, audience=(AUDIENCE,))
    keys = SigningKeys(made, lambda: 1000.0)
    keys._keys, keys._fetched = provider.published(), 1000.0

    def run(asked: Coroutine[Any, Any, Caller]) -> Caller:
        try:
            asked.send(None)
        except StopIteration as done:
            return cast("Caller", done.value)
        raise AssertionError

    return OpenId(made, MADE, keys), provider.token(exp=time.time() + 3600), run


def reader(provider: Provider, clock: Clock | None = None, **more: Any) -> OpenId:
    """What reads the provider's tokens."""
    made = OpenIdSettings.model_validate(settings_of(provider, **more))
    return OpenId(made, MADE, SigningKeys(made, clock or time.monotonic))


def raw(head: dict[str, Any], claims: Any, signature: bytes = b"") -> str:
    """A token made by hand."""
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hashed(claims: dict[str, Any], key: bytes) -> str:
    """A token signed by HMAC, made by hand: PyJWT refuses to take a public key for a secret."""
    head, body, _ = raw({"alg": "HS256", "kid": "one"}, claims).split(".")
    mac = hmac.digest(key, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def table(provider: Provider) -> dict[str, tuple[str, str]]:
    """What it is -> a token, and why it is refused; admitted where that is empty."""
    now = time.time()
    token, claims = provider.token, provider.claims()
    public = provider.published()[0]
    provider.add("other")
    provider.hidden.add("other")
    provider.add("p384", "ES384")
    provider.add("rsa", "RS256")
    weak = {"kty": "oct", "k": base64.urlsafe_b64encode(SHARED.encode()).decode(), "kid": "shared", "alg": "HS256"}
    provider.extra = [weak]
    head = {"alg": "ES256", "kid": "one", "typ": "JWT"}
    return {
        "right": (token(), ""),
        "right, by RSA": (token("rsa"), ""),
        "right, of several audiences": (token(aud=["else", AUDIENCE]), ""),
        "right, access token": (token(headers={"typ": "at+jwt"}), ""),
        "right, without a type": (token(headers={"typ": None}), ""),
        "right, expired within the leeway": (token(exp=now - 20), ""),
        "right, not before within the leeway": (token(nbf=now + 20), ""),
        "expired": (token(exp=now - 31), "it has expired"),
        "not yet valid": (token(nbf=now + 60), "it does not hold yet"),
        "issued in the future": (token(iat=now + 60), "it does not hold yet"),
        "never expires": (token(exp=None), "a claim is missing"),
        "expires at a word": (token(exp="soon"), "no JWT"),
        "no audience": (token(aud=None), "a claim is missing"),
        "another audience": (token(aud="else"), "another audience"),
        "an audience like ours": (token(aud=f"{AUDIENCE}-test"), "another audience"),
        "no issuer": (token(iss=None), "a claim is missing"),
        "another issuer": (token(iss="https://evil.example"), "another issuer"),
        "issuer with a slash more": (token(iss=f"{provider.issuer}/"), "another issuer"),
        "nobody": (token(sub=None), "names nobody"),
        "empty name": (token(sub=" "), "names nobody"),
        "a name with a line end": (token(sub="anna\nadmin"), "names nobody"),
        "a name without end": (token(sub="a" * 129), "names nobody"),
        "alg none": (raw({"alg": "none", "typ": "JWT"}, claims), "a kind that is not allowed"),
        "alg None": (raw({"alg": "None", "kid": "one"}, claims), "a kind that is not allowed"),
        "alg is a list": (raw({"alg": ["ES256"], "kid": "one"}, claims), "a kind that is not allowed"),
        "HMAC with the public key": (hashed(claims, json.dumps(public).encode()), "a kind that is not allowed"),
        "HMAC with a published secret": (
            jwt.encode(claims, SHARED, "HS256", headers={"kid": "shared"}),
            "a kind that is not allowed",
        ),
        "of a kind that is not allowed": (token("p384"), "a kind that is not allowed"),
        "of a key of another kind": (token(headers={"kid": "rsa"}), "no key"),
        "by a key that is not published": (token("other"), "no key"),
        "by another key, under this one's name": (token("other", {"kid": "one"}), "signature is wrong"),
        "without a signature": (raw(head, claims), "signature is wrong"),
        "signature of another token": (token().rpartition(".")[0] + "." + token().rpartition(".")[2], "signature"),
        "a key of its own": (
            token("other", {"kid": "one", "jwk": public, "jku": "https://evil.example/keys"}),
            "signature is wrong",
        ),
        "critical extension": (token(headers={"crit": ["exp"], "exp": 1}), "no JWT"),
        "another type": (token(headers={"typ": "logout+jwt"}), "a kind that is not known"),
        "a number for a key": (raw({**head, "kid": 1}, claims), "no JWT"),
        "claims are a list": (raw(head, [claims], b"x" * 64), "signature is wrong"),
        "nothing": ("..", "no JWT"),
        "one part": ("anna", "no JWT"),
        "four parts": (token() + ".x", "no JWT"),
        "too long": (token(more="x" * 20_000), "too long"),
        "not ASCII": ("ä.ö.ü", "no JWT"),
    }


async def test_the_table_of_tokens(provider: Provider) -> None:
    cases = table(provider)
    reads = reader(provider)
    for name, (token, why) in cases.items():
        if not why:
            assert (await reads.caller(token, "1.2.3.4")).name == "openid:anna", name
            continue
        with pytest.raises(SignOnRefused) as caught:
            await reads.caller(token, "1.2.3.4")
        assert why in caught.value.cause, (name, caught.value.cause)
        assert token not in str(caught.value) or len(token) < 10
    assert provider.asked <= 2, "made-up keys do not have them fetched again and again"


async def test_every_kind_of_signature_that_is_allowed(provider: Provider) -> None:
    kinds = {"RS512": "RS512", "PS256": "PS256", "ES384": "ES384", "EdDSA": "EdDSA"}
    for name, algorithm in kinds.items():
        provider.add(name, algorithm)
    reads = reader(provider, algorithms=list(kinds.values()))
    for name in kinds:
        assert (await reads.caller(provider.token(name), "")).name == "openid:anna"
    with pytest.raises(SignOnRefused, match="not allowed"):
        await reads.caller(provider.token(), "")


async def test_a_token_without_a_key_s_name_is_tried_with_each(provider: Provider) -> None:
    provider.add("two")
    reads = reader(provider)
    token = jwt.encode(provider.claims(), provider.keys["two"][1], "ES256")
    assert (await reads.caller(token, "")).name == "openid:anna"


async def test_a_weak_key_is_not_believed(provider: Provider) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    key = rsa.generate_private_key(65537, 1024)
    provider.extra = [{**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "weak"}]
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        token = jwt.encode(provider.claims(), key, "RS256", headers={"kid": "weak"})
    with pytest.raises(SignOnRefused, match="no key"):
        await reader(provider).caller(token, "")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_that_was_changed_is_let_in(
    fuzzed: tuple[OpenId, str, Callable[[Coroutine[Any, Any, Caller]], Caller]], data: st.DataObject
) -> None:
    """Whatever is sent, and however a right token is changed: refused, and nothing else is raised."""
    reads, right, run = fuzzed
    kind = data.draw(st.sampled_from(("text", "flip", "cut", "head", "claims")))
    if kind == "text":
        token = data.draw(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
    elif kind == "flip":
        place = data.draw(st.integers(0, len(right) - 1))
        token = right[:place] + data.draw(st.characters(codec="ascii")) + right[place + 1 :]
    elif kind == "cut":
        start, end = sorted((data.draw(st.integers(0, len(right))), data.draw(st.integers(0, len(right)))))
        token = right[:start] + right[end:]
    else:
        values = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=6,
        )
        names = (
            ("alg", "kid", "typ", "crit", "b64", "jwk") if kind == "head" else ("exp", "aud", "iss", "sub", "groups")
        )
        changed = data.draw(st.dictionaries(st.sampled_from(names), values, min_size=1))
        head, claims, signature = right.split(".")
        part = head if kind == "head" else claims
        document = {**json.loads(base64.urlsafe_b64decode(part + "==")), **changed}
        written = base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
        token = f"{written}.{claims}.{signature}" if kind == "head" else f"{head}.{written}.{signature}"
    same = _bits(token) == _bits(right)
    try:
        caller = run(reads.caller(token, ""))
    except SignOnRefused:
        return
    # The last character of base64 has bits that say nothing.
    assert same
    assert caller.name == "openid:anna"


def _bits(token: str) -> list[bytes]:
    try:
        return [base64.urlsafe_b64decode(part + "==") for part in token.encode("ascii").split(b".")]  # type: ignore[operator]
    except (ValueError, UnicodeError, TypeError):
        return [token.encode("utf-8", "replace")]


async def test_keys_are_rotated_without_a_restart(provider: Provider) -> None:
    clock = Clock(1000.0)
    reads = reader(provider, clock)
    await reads.caller(provider.token(), "")
    assert provider.asked == 1
    provider.add("two")
    del provider.keys["one"]
    token = provider.token("two")
    with pytest.raises(SignOnRefused, match="no key"):
        await reads.caller(token, "")
    assert provider.asked == 1, "just fetched: a key that is not known is not looked for again at once"
    clock.pass_(PAUSE + 1)
    assert (await reads.caller(token, "")).name == "openid:anna"
    assert provider.asked == 2
    clock.pass_(FRESH + 1)
    await reads.caller(token, "")
    assert provider.asked == 3


async def test_keys_that_cannot_be_fetched(provider: Provider) -> None:
    clock = Clock(1000.0)
    reads = reader(provider, clock)
    provider.answer = 503
    for _ in range(3):
        with pytest.raises(SignOnUnavailable, match="cannot be fetched"):
            await reads.caller(provider.token(), "")
    assert (provider.asked, reads.keys.failures, reads.keys.age) == (1, 1, None)
    for bad in (302, b"", b"[]", b"{}", b'{"keys": 1}', b"\xff", b"[" * 100_000, b"x" * 300_000):
        clock.pass_(PAUSE + 1)
        provider.answer = bad
        with pytest.raises(SignOnUnavailable):
            await reads.caller(provider.token(), "")
    provider.answer = 200
    clock.pass_(PAUSE + 1)
    assert (await reads.caller(provider.token(), "")).name == "openid:anna"
    # The old ones hold for a day.
    provider.answer = 500
    clock.pass_(FRESH + 1)
    assert (await reads.caller(provider.token(), "")).name == "openid:anna"
    with pytest.raises(SignOnUnavailable):
        await reads.caller(provider.token(headers={"kid": "new"}), "")
    clock.pass_(STALE)
    with pytest.raises(SignOnUnavailable):
        await reads.caller(provider.token(), "")


async def test_the_configuration_of_another_issuer_is_not_believed(provider: Provider) -> None:
    provider.told_issuer = "https://evil.example"
    with pytest.raises(SignOnUnavailable):
        await reader(provider).caller(provider.token(), "")
    assert provider.asked == 0
    direct = reader(provider, keys_url=f"{provider.issuer}/keys")
    assert (await direct.caller(provider.token(), "")).name == "openid:anna"


async def test_an_authority_that_is_not_trusted(provider: Provider) -> None:
    made = OpenIdSettings(issuer=provider.issuer, audience=(AUDIENCE,))
    with pytest.raises(SignOnUnavailable):
        await OpenId(made, MADE, SigningKeys(made)).caller(provider.token(), "")
    with pytest.raises(ConfigError, match="no certificates"):
        SigningKeys(made.model_copy(update={"ca_file": Path(__file__)}))


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({}, set()),
        ({"groups": ["desk"]}, {("view", "news-1"), ("review", "news-1")}),
        ({"groups": "desk"}, {("view", "news-1"), ("review", "news-1")}),
        ({"groups": ["Desk", "desk ", 7, None]}, set()),
        ({"groups": {"desk": True}}, set()),
        ({"scope": "openid streamguard.publish"}, {("publish", "studio-1")}),
        (
            {"scp": ["streamguard.publish"], "groups": ["desk"]},
            {("publish", "studio-1"), ("view", "news-1"), ("review", "news-1")},
        ),
        ({"scope": "desk"}, set()),
        ({"groups": ["streamguard.publish"]}, set()),
        (
            {"groups": ["chiefs"]},
            {
                (scope, stream)
                for scope in ("publish", "view", "review", "admin")
                for stream in ("news-1", "studio-1", "door")
            },
        ),
    ],
)
async def test_what_groups_and_scopes_open(
    provider: Provider, claims: dict[str, Any], may: set[tuple[str, str]]
) -> None:
    caller = await reader(provider).caller(provider.token(**claims), "")
    scopes, streams = ("publish", "view", "review", "admin"), ("news-1", "studio-1", "door")
    found = {(scope, stream) for scope in scopes for stream in streams if caller.may_on(scope, stream)}  # type: ignore[arg-type]
    assert found == may


async def test_groups_may_lie_deeper(provider: Provider) -> None:
    reads = reader(provider, groups_claim="realm_access.roles", user_claim="email")
    token = provider.token(realm_access={"roles": ["chiefs"]}, email="anna@news.example")
    caller = await reads.caller(token, "")
    assert (caller.name, caller.may("admin")) == ("openid:anna@news.example", True)
    named = reader(provider, groups_claim="https://news.example/groups")
    assert (await named.caller(provider.token(**{"https://news.example/groups": ["chiefs"]}), "")).may("admin")


scope = st.sampled_from(("publish", "view", "review"))
pattern = st.sampled_from(("*", "news-*", "studio-?", "door", "[a-c]*"))
stream = st.sampled_from(("news-1", "news-2", "studio-1", "studio-12", "door", "attic", "zoo"))


@given(
    st.lists(st.builds(Grant, st.frozensets(scope, min_size=1), st.lists(pattern, min_size=1, max_size=3).map(tuple))),
    scope,
    stream,
)
def test_a_grant_opens_what_it_names_and_nothing_else(grants: list[Grant], wanted: Any, name: str) -> None:
    from fnmatch import fnmatchcase

    caller = Caller.of("x", grants, "")
    right = any(wanted in each.scopes and any(fnmatchcase(name, one) for one in each.streams) for each in grants)
    assert caller.may_on(wanted, name) == right
    assert not caller.may("admin")
    assert caller.may_somewhere(wanted) == any(wanted in each.scopes for each in grants)
    assert not caller.may(wanted) or all(caller.may_on(wanted, other) for other in ("a", "door", "zoo"))


def test_nobody_is_granted_anything_by_nothing() -> None:
    assert granted(MADE, [], []) == []
    assert granted([], ["desk"], ["x"]) == []
